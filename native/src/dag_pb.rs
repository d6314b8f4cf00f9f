//! dag-pb read strictly: where the links and the data of a node lie in its block. Nothing is copied.
//!
//! The rules are those of the DAG-PB specification: a link's fields in the order of their numbers, links in one
//! run with the data before or behind it, nothing repeated, no other field. Beyond it, as everywhere in
//! `content`: numbers in their shortest form of at most 9 bytes, and a hash that is exactly one CID.
//!
//! Cost: one pass; memory 32 bytes a link, and a link has 8 bytes of block at least.

use std::ops::Range;

const DATA: u8 = 0x0a; // field 1, length-delimited
const LINK: u8 = 0x12; // field 2, length-delimited
const HASH: u8 = 0x0a;
const NAME: u8 = 0x12;
const TSIZE: u8 = 0x18; // field 3, varint
const VARINT_BYTES: usize = 9;
const DIGEST_BYTES: u64 = 128;
const SHA2_256: [u8; 2] = [0x12, 0x20];

/// A stretch of the block.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Span {
    start: u32,
    stop: u32,
}

impl Span {
    fn new(start: usize, stop: usize) -> Self {
        // `parse` has refused blocks in which these would not fit
        Self { start: start as u32, stop: stop as u32 }
    }

    pub fn range(self) -> Range<usize> {
        self.start as usize..self.stop as usize
    }
}

#[derive(Debug)]
pub struct Link {
    pub cid: Span,
    pub name: Option<Span>,
    pub size: Option<u64>,
}

#[derive(Debug)]
pub struct Node {
    pub links: Vec<Link>,
    pub data: Option<Span>,
}

/// What breaks the form, and the byte at which.
#[derive(Debug)]
pub struct Broken {
    pub what: String,
    pub at: usize,
}

pub fn broken(what: &str, at: usize) -> Broken {
    Broken { what: what.to_owned(), at }
}

/// Read a node.
pub fn parse(block: &[u8]) -> Result<Node, Broken> {
    if u32::try_from(block.len()).is_err() {
        return Err(broken("a block of 4 GiB and more", 0));
    }
    let mut node = Node { links: Vec::new(), data: None };
    let mut links_over = false;
    let mut at = 0;
    while let Some(&key) = block.get(at) {
        if key != LINK && key != DATA {
            return Err(Broken { what: format!("an unknown field (key {key:#x})"), at });
        }
        let (start, stop) = stretch(block, at + 1, at, "a field is cut short")?;
        if key == LINK {
            if links_over {
                return Err(broken("links are not in one run", at));
            }
            node.links.push(link(block, start, stop)?);
        } else {
            if node.data.is_some() {
                return Err(broken("the data field occurs twice", at));
            }
            node.data = Some(Span::new(start, stop));
            links_over = !node.links.is_empty();
        }
        at = stop;
    }
    Ok(node)
}

fn link(block: &[u8], mut at: usize, stop: usize) -> Result<Link, Broken> {
    let next = |at: usize| block[..stop].get(at).copied();
    if next(at) != Some(HASH) {
        return Err(broken("a link does not begin with its hash", at));
    }
    let (start, end) = stretch(&block[..stop], at + 1, at, "a link's hash is cut short")?;
    check_cid(&block[start..end])
        .map_err(|why| Broken { what: format!("a link's hash is no CID ({why})"), at: start })?;
    let mut found = Link { cid: Span::new(start, end), name: None, size: None };
    at = end;
    if next(at) == Some(NAME) {
        let (start, end) = stretch(&block[..stop], at + 1, at, "a link's name is cut short")?;
        found.name = Some(Span::new(start, end));
        at = end;
    }
    if next(at) == Some(TSIZE) {
        let (size, end) = varint(&block[..stop], at + 1)?;
        found.size = Some(size);
        at = end;
    }
    if at != stop {
        return Err(broken("a link has a field that is unknown, repeated or out of order", at));
    }
    Ok(found)
}

/// Where a length-delimited field lies whose length stands at `at`; `key_at` is told when it is cut short.
fn stretch(block: &[u8], at: usize, key_at: usize, cut: &str) -> Result<(usize, usize), Broken> {
    let (length, start) = varint(block, at)?;
    if length > (block.len() - start) as u64 {
        return Err(broken(cut, key_at));
    }
    Ok((start, start + length as usize))
}

/// (number, index behind it) of the multiformats varint at `at`, which is at most `block.len()`.
pub fn varint(block: &[u8], at: usize) -> Result<(u64, usize), Broken> {
    let mut number = 0;
    for (index, &byte) in block[at..].iter().take(VARINT_BYTES).enumerate() {
        number |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            if byte == 0 && index > 0 {
                return Err(broken("a varint is not in its shortest form", at + index));
            }
            return Ok((number, at + index + 1));
        }
    }
    let is_long = block.len() - at >= VARINT_BYTES;
    Err(broken(if is_long { "a varint is longer than 9 bytes" } else { "a varint is cut short" }, at))
}

/// Whether `raw` is exactly one CID, of version 0 or 1: the rules of `content.cid`.
fn check_cid(raw: &[u8]) -> Result<(), &'static str> {
    if raw.len() == 36 && raw[0] == 1 && raw[1] < 0x80 && raw[2..4] == SHA2_256 {
        return Ok(()); // nearly all there are
    }
    if raw.starts_with(&SHA2_256) {
        return if raw.len() == 34 { Ok(()) } else { Err("a CIDv0 has 34 bytes") };
    }
    let part = |at| varint(raw, at).map_err(|_| "a number in it is malformed");
    let (version, at) = part(0)?;
    if version != 1 {
        return Err("its version is neither 0 nor 1");
    }
    let (_codec, at) = part(at)?;
    let (_hash, at) = part(at)?;
    let (length, at) = part(at)?;
    if length > DIGEST_BYTES {
        return Err("its digest is longer than 128 bytes");
    }
    if length != (raw.len() - at) as u64 {
        return Err("its digest has another length than it says");
    }
    Ok(())
}
