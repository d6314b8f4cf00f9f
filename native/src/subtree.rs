//! Verification of one whole subtree: nodes and groups in pre-order, fed in any sizes.
//!
//! Nothing counts as proven before every node above it and the bytes themselves were compared. Within a
//! feed, claims of nodes are followed first and compared in batches of 16 groups; one bad compare refuses
//! the feed and everything after it. Memory: one stack entry per open level, whatever size is claimed.

use crate::groups::{GROUP_BYTES, SEGMENT_GROUPS, small_subtree, whole_groups};
use crate::shape::left_leaves;
use crate::simd::{CHUNK_BYTES, Cv, NODE_BYTES, Simd};

/// The chunks `first..stop` whose bytes, or whose node, differ from what the root commits to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch {
    pub first: u64,
    pub stop: u64,
}

/// Proven bytes: `offset` in the blob, `start..stop` in the head or in the data that were fed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Proven {
    pub offset: u64,
    pub in_head: bool,
    pub start: usize,
    pub stop: usize,
}

#[derive(Clone, Copy)]
struct Pending {
    first: u64,
    bytes: u64,
    cv: Cv,
    root: bool,
}

impl Pending {
    fn is_leaf(&self) -> bool {
        self.bytes <= GROUP_BYTES as u64
    }

    fn mismatch(&self) -> Mismatch {
        Mismatch { first: self.first, stop: self.first + self.bytes.div_ceil(CHUNK_BYTES as u64).max(1) }
    }
}

/// A subtree on its way to being proven.
pub struct Subtree {
    stack: Vec<Pending>,
    failed: Option<Mismatch>,
}

impl Subtree {
    /// `bytes` of the blob from chunk `first` on, expected to hash to `cv`.
    pub fn new(cv: Cv, first: u64, bytes: u64, root: bool) -> Self {
        Self { stack: vec![Pending { first, bytes, cv, root }], failed: None }
    }

    /// Bytes of the next node or leaf; `None` when everything is proven.
    pub fn next_bytes(&self) -> Option<usize> {
        self.stack.last().map(|next| if next.is_leaf() { next.bytes as usize } else { NODE_BYTES })
    }

    /// First chunk of the next node or leaf; `None` when everything is proven.
    pub fn next_chunk(&self) -> Option<u64> {
        self.stack.last().map(|next| next.first)
    }

    /// Take the next node or leaf from `head`, unless that is empty, then whole ones from the front of
    /// `data`: how many bytes of `data` were used, and what they prove.
    pub fn feed(&mut self, simd: &Simd, head: &[u8], data: &[u8]) -> Result<(usize, Vec<Proven>), Mismatch> {
        if let Some(bad) = self.failed {
            return Err(bad);
        }
        assert!(head.is_empty() || Some(head.len()) == self.next_bytes());
        let mut proven = Vec::with_capacity(data.len() / (2 * GROUP_BYTES) + 2);
        let mut batch = Batch::new();
        if !head.is_empty() {
            let whole = self.take(head, true, 0, &mut batch, &mut proven);
            assert!(whole == Some(head.len()));
        }
        let mut at = 0;
        loop {
            let used = self.gather(data, at, &mut batch, &mut proven);
            at += used;
            if let Err(bad) = batch.check(simd) {
                self.failed = Some(bad);
                return Err(bad);
            }
            if used == 0 || self.stack.is_empty() {
                return Ok((at, proven));
            }
        }
    }

    /// Follow the claims of `data` from `at` up to 16 leaves on, leaving their comparison to `batch`.
    fn gather<'a>(&mut self, data: &'a [u8], at: usize, batch: &mut Batch<'a>, proven: &mut Vec<Proven>) -> usize {
        let mut used = 0;
        while !batch.is_full() {
            let Some(more) = self.take(&data[at + used..], false, at + used, batch, proven) else { break };
            used += more;
        }
        used
    }

    /// Follow the claim of the next node or leaf at the front of `data`, if it is there as a whole.
    fn take<'a>(
        &mut self,
        data: &'a [u8],
        in_head: bool,
        start: usize,
        batch: &mut Batch<'a>,
        proven: &mut Vec<Proven>,
    ) -> Option<usize> {
        let next = *self.stack.last()?;
        if next.is_leaf() {
            let leaf = data.get(..next.bytes as usize)?;
            let offset = next.first * CHUNK_BYTES as u64;
            note(proven, Proven { offset, in_head, start, stop: start + leaf.len() });
            batch.leaf(next, leaf);
            self.stack.pop();
            Some(leaf.len())
        } else {
            let node = data.first_chunk::<NODE_BYTES>()?;
            batch.node(next, node);
            self.stack.pop();
            self.open(next, node);
            Some(NODE_BYTES)
        }
    }

    fn open(&mut self, above: Pending, node: &[u8; NODE_BYTES]) {
        let left_bytes = left_leaves(above.bytes.div_ceil(GROUP_BYTES as u64)) * GROUP_BYTES as u64;
        let (left, right) = node.split_at(32);
        let child =
            |first, bytes, cv: &[u8]| Pending { first, bytes, cv: cv.try_into().expect("32 bytes"), root: false };
        let middle = above.first + left_bytes / CHUNK_BYTES as u64;
        self.stack.push(child(middle, above.bytes - left_bytes, right));
        self.stack.push(child(above.first, left_bytes, left));
    }
}

/// Neighbours in the stream and in the blob become one stretch.
fn note(proven: &mut Vec<Proven>, more: Proven) {
    if more.start == more.stop {
        return;
    }
    match proven.last_mut() {
        Some(last) if last.stop == more.start && last.in_head == more.in_head => last.stop = more.stop,
        _ => proven.push(more),
    }
}

/// Comparisons put off so that they fill the SIMD width.
struct Batch<'a> {
    nodes: Vec<(Pending, &'a [u8; NODE_BYTES])>,
    groups: Vec<(Pending, &'a [u8; GROUP_BYTES])>,
    odd: Option<(Pending, &'a [u8])>,
}

impl<'a> Batch<'a> {
    fn new() -> Self {
        // 16 groups come with 16 nodes, and with up to 54 more where a large subtree begins.
        Self { nodes: Vec::with_capacity(32), groups: Vec::with_capacity(SEGMENT_GROUPS), odd: None }
    }

    fn is_full(&self) -> bool {
        self.groups.len() == SEGMENT_GROUPS || self.odd.is_some()
    }

    fn node(&mut self, expected: Pending, node: &'a [u8; NODE_BYTES]) {
        self.nodes.push((expected, node));
    }

    fn leaf(&mut self, expected: Pending, leaf: &'a [u8]) {
        match leaf.try_into() {
            Ok(group) if !expected.root => self.groups.push((expected, group)),
            _ => self.odd = Some((expected, leaf)),
        }
    }

    /// Compare everything, forget it, and report what is first in the stream if anything differs.
    fn check(&mut self, simd: &Simd) -> Result<(), Mismatch> {
        let node = self.bad_node(simd);
        let leaf = self.bad_group(simd).or_else(|| self.bad_odd(simd));
        self.nodes.clear();
        self.groups.clear();
        self.odd = None;
        // In pre-order a node stands before a leaf exactly when it starts at or before it.
        match (node, leaf) {
            (Some(node), Some(leaf)) if leaf.first < node.first => Err(leaf),
            (Some(bad), _) | (None, Some(bad)) => Err(bad),
            (None, None) => Ok(()),
        }
    }

    fn bad_node(&self, simd: &Simd) -> Option<Mismatch> {
        let mut got = [[0; 32]; 16];
        for batch in self.nodes.chunks(16) {
            let mut inputs = [&[0; NODE_BYTES]; 16];
            for (slot, (_, node)) in inputs.iter_mut().zip(batch) {
                *slot = node;
            }
            simd.parents(&inputs[..batch.len()], &mut got[..batch.len()]);
            if batch[0].0.root {
                got[0] = simd.parent(batch[0].1, true);
            }
            if let Some(((bad, _), _)) = batch.iter().zip(&got).find(|((expected, _), got)| expected.cv != **got) {
                return Some(bad.mismatch());
            }
        }
        None
    }

    fn bad_group(&self, simd: &Simd) -> Option<Mismatch> {
        let (first, _) = self.groups.first()?;
        let mut inputs = [&[0; GROUP_BYTES]; SEGMENT_GROUPS];
        for (slot, (_, group)) in inputs.iter_mut().zip(&self.groups) {
            *slot = group;
        }
        let mut got = [[0; 32]; SEGMENT_GROUPS];
        let count = self.groups.len();
        whole_groups(simd, &inputs[..count], first.first, &mut got[..count]);
        let bad = self.groups.iter().zip(&got).find(|((expected, _), got)| expected.cv != **got);
        bad.map(|((expected, _), _)| expected.mismatch())
    }

    fn bad_odd(&self, simd: &Simd) -> Option<Mismatch> {
        let (expected, leaf) = self.odd?;
        let got = small_subtree(simd, leaf, expected.first, expected.root);
        (got != expected.cv).then(|| expected.mismatch())
    }
}
