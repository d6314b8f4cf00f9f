//! Byte-identity with `bao-tree`, `abao` and `bao`, and the same verdict on corrupted streams.

use std::io::Cursor;

use _native::groups::{GROUP_BYTES, chunk_nodes, outboard};
use _native::simd::Simd;
use _native::subtree::{Mismatch, Subtree};
use bao_tree::io::outboard::PreOrderMemOutboard;
use bao_tree::io::sync::DecodeResponseIter;
use bao_tree::{BaoTree, BlockSize, ChunkRanges};

const GROUPS: BlockSize = BlockSize::from_chunk_log(4);

fn data(size: usize) -> Vec<u8> {
    let mut out = vec![0; size];
    blake3::Hasher::new().update(b"peers").finalize_xof().fill(&mut out);
    out
}

fn sizes() -> Vec<usize> {
    let mut found = vec![0, 1, 1023, 1024, 1025, 16383, 16384, 16385, 262_143, 262_144, 262_145];
    found.extend((2..40).map(|groups| groups * GROUP_BYTES));
    found.extend((2..40).map(|groups| groups * GROUP_BYTES - 700));
    found.extend([1_048_577, 2_500_000, 5_000_001]);
    found
}

#[test]
fn outboards_are_bao_trees() {
    for size in sizes() {
        let data = data(size);
        let (root, nodes) = outboard(&Simd::detected(), &data);
        let peer = PreOrderMemOutboard::create(&data, GROUPS);
        assert_eq!(root, *peer.root.as_bytes(), "{size}");
        assert_eq!(nodes, peer.data, "{size}");
    }
}

#[test]
fn outboards_are_abaos_and_inner_nodes_are_baos() {
    for size in sizes() {
        let data = data(size);
        let (root, nodes) = outboard(&Simd::detected(), &data);
        let (peer, peer_root) = abao::encode::outboard(&data);
        assert_eq!(root, *peer_root.as_bytes());
        assert_eq!(nodes, peer[8..]);
        if size <= GROUP_BYTES {
            assert_eq!(chunk_nodes(&Simd::detected(), &data, 0), bao::encode::outboard(&data).0[8..], "{size}");
        }
    }
}

fn ours(root: [u8; 32], size: usize, stream: &[u8], step: usize) -> Result<usize, Mismatch> {
    let simd = Simd::detected();
    let mut tree = Subtree::new(root, 0, size as u64, true);
    let (mut at, mut end, mut proven) = (0, 0, 0);
    while end < stream.len() || (size == 0 && tree.next_bytes().is_some()) {
        end = stream.len().min(end + step);
        let (used, pieces) = tree.feed(&simd, &[], &stream[at..end])?;
        at += used;
        proven += pieces.iter().map(|piece| piece.stop - piece.start).sum::<usize>();
    }
    Ok(proven)
}

fn peer_accepts(root: [u8; 32], size: usize, stream: &[u8]) -> bool {
    let ranges = ChunkRanges::all();
    let tree = BaoTree::new(size as u64, GROUPS);
    DecodeResponseIter::new(root.into(), tree, Cursor::new(stream), &ranges).all(|item| item.is_ok())
}

#[test]
fn combined_encodings_of_abao_verify_at_any_step() {
    for size in sizes() {
        let data = data(size);
        let (combined, root) = abao::encode::encode(&data);
        for step in [4999, 262_144, usize::MAX / 2] {
            assert_eq!(ours(*root.as_bytes(), size, &combined[8..], step), Ok(size), "{size} {step}");
        }
    }
}

#[test]
fn corrupted_streams_meet_the_same_verdict() {
    for size in [1, 1025, 16384, 16385, 50_000, 300_001] {
        let data = data(size);
        let (combined, root) = abao::encode::encode(&data);
        let stream = &combined[8..];
        let steps = (stream.len() / 40).max(1);
        for at in (0..stream.len().min(70)).chain((0..stream.len()).step_by(steps)) {
            let mut bad = stream.to_vec();
            bad[at] ^= 1 << (at % 8);
            let refused = ours(*root.as_bytes(), size, &bad, usize::MAX / 2).is_err();
            assert_eq!(refused, !peer_accepts(*root.as_bytes(), size, &bad));
            assert!(refused, "{size} {at}");
        }
    }
}

#[test]
fn sizes_that_are_not_the_blobs_are_refused_by_both() {
    let size = 100_000;
    let data = data(size);
    let (combined, root) = abao::encode::encode(&data);
    for claim in [1, 16384, 32768, 65536, 99_328, 99_999, 100_001, 100_352, 114_688, 131_072] {
        let mut stream = combined[8..].to_vec();
        stream.resize(200_000, 0);
        assert!(ours(*root.as_bytes(), claim, &stream, usize::MAX / 2).is_err(), "{claim}");
        assert!(!peer_accepts(*root.as_bytes(), claim, &stream), "{claim}");
    }
}
