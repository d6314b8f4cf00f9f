//! Prints tests/content/bao/vectors.json: what three other implementations make of known blobs.
//!
//! `cargo run --release --example vectors > ../tests/content/bao/vectors.json`. Run it again only to widen
//! the vectors: the forms are frozen. Data is BLAKE3's extendable output of `SEED`, so that any side can
//! make it; streams are given as length and BLAKE3 hash. Combined encodings and slices come from `abao`
//! (16 KiB groups), 1 KiB ones from `bao`, outboards and sub-group ranges from `bao-tree`.

use std::io::{Cursor, Read};

use bao_tree::io::outboard::PreOrderMemOutboard;
use bao_tree::io::round_up_to_chunks;
use bao_tree::io::sync::{DecodeResponseIter, encode_ranges_validated};
use bao_tree::{BaoTree, BlockSize, ByteRanges, ChunkRanges};

const SEED: &str = "fleek-edge bao vectors";
const KIB: u64 = 1024;
const SIZES: &[u64] = &[
    0,
    1,
    1023,
    1024,
    1025,
    2048,
    2049,
    3 * KIB,
    15 * KIB + 1,
    16 * KIB - 1,
    16 * KIB,
    16 * KIB + 1,
    17 * KIB,
    24 * KIB + 7,
    32 * KIB,
    32 * KIB + 1,
    48 * KIB,
    80 * KIB + 5,
    112 * KIB,
    256 * KIB - 1,
    256 * KIB,
    256 * KIB + 1,
    257 * KIB,
    272 * KIB,
    273 * KIB + 1,
    512 * KIB,
    512 * KIB + 1,
    777_777,
    1024 * KIB,
    1_500_001,
    3 * 1024 * KIB + 17,
    5_000_000,
];

/// A small deterministic generator; any would do.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

fn data(size: u64) -> Vec<u8> {
    let mut out = vec![0; size as usize];
    blake3::Hasher::new().update(SEED.as_bytes()).finalize_xof().fill(&mut out);
    out
}

fn stream(bytes: &[u8]) -> String {
    format!("[{}, \"{}\"]", bytes.len(), blake3::hash(bytes).to_hex())
}

fn read_all(mut from: impl Read) -> Vec<u8> {
    let mut out = Vec::new();
    from.read_to_end(&mut out).expect("memory reads");
    out
}

fn slices(size: u64, random: &mut Random) -> Vec<(u64, u64)> {
    let mut found = vec![(0, 0), (0, 1), (0, size), (size / 2, 1), (size, 0), (size, 1), (size + 5000, 10)];
    found.push((size.saturating_sub(1), 100_000));
    for _ in 0..4 {
        let start = random.below(size + 10);
        found.push((start, random.below(size / 3 + 20_000)));
    }
    found
}

fn queries(size: u64, random: &mut Random) -> Vec<Vec<(u64, u64)>> {
    let last = size.saturating_sub(1) / KIB * KIB;
    let mut found = vec![
        vec![(0, 1)],
        vec![(0, size.max(1))],
        vec![(0, 1 << 60)],
        vec![(last, last + 1)],
        vec![(0, last.max(1))],
        vec![(size + 5000, size + 5001)],
        vec![(0, 1), (size + 5000, size + 5001)],
        vec![(size / 2, size / 2 + 64 * KIB)],
        vec![(size / 3, size / 3 + 1), (size / 2, size / 2 + 20_000)],
    ];
    for _ in 0..6 {
        let count = 1 + random.below(4);
        let range = |random: &mut Random| {
            let start = random.below(size + 3000);
            (start, start + 1 + random.below(size / 4 + 40_000))
        };
        found.push((0..count).map(|_| range(random)).collect());
    }
    found
}

fn chunk_ranges(ranges: &[(u64, u64)]) -> ChunkRanges {
    let mut bytes = ByteRanges::empty();
    for &(start, stop) in ranges {
        bytes |= ByteRanges::from(start..stop);
    }
    round_up_to_chunks(&bytes)
}

fn subgroup(data: &[u8], ranges: &ChunkRanges) -> Vec<u8> {
    let outboard = PreOrderMemOutboard::create(data, BlockSize::from_chunk_log(4));
    let mut out = (data.len() as u64).to_le_bytes().to_vec();
    encode_ranges_validated(data, &outboard, ranges, &mut out).expect("memory writes");
    out
}

fn accepts(root: blake3::Hash, encoded: &[u8], ranges: &ChunkRanges) -> bool {
    let (header, body) = encoded.split_at(8);
    let size = u64::from_le_bytes(header.try_into().expect("8 bytes"));
    let tree = BaoTree::new(size, BlockSize::from_chunk_log(4));
    DecodeResponseIter::new(root, tree, Cursor::new(body), ranges).all(|item| item.is_ok())
}

/// Flip bits all over a sub-group stream: `[position, bit, does bao-tree accept it]`.
fn corruptions(size: u64, ranges: &[(u64, u64)], random: &mut Random) -> String {
    let data = data(size);
    let chunks = chunk_ranges(ranges);
    let good = subgroup(&data, &chunks);
    let root = blake3::hash(&data);
    let mut verdicts = Vec::new();
    let spread = (0..60).map(|_| random.below(good.len() as u64));
    // Sizes above 2^40 are left out: the peer computes with them unchecked.
    for at in (0..5).chain(8..12).chain(70..76).chain(spread).collect::<Vec<_>>() {
        let bit = random.below(8);
        if (5..8).contains(&at) || at >= good.len() as u64 {
            continue;
        }
        let mut bad = good.clone();
        bad[at as usize] ^= 1 << bit;
        verdicts.push(format!("[{at}, {bit}, {}]", accepts(root, &bad, &chunks)));
    }
    format!("{{\"size\": {size}, \"ranges\": {}, \"verdicts\": [{}]}}", pairs(ranges), verdicts.join(", "))
}

fn pairs(ranges: &[(u64, u64)]) -> String {
    let all: Vec<String> = ranges.iter().map(|(a, b)| format!("[{a}, {b}]")).collect();
    format!("[{}]", all.join(", "))
}

/// Cuts a slice (start, length) out of a combined encoding.
type Extract<'a> = &'a dyn Fn(&[u8], u64, u64) -> Vec<u8>;

fn case(size: u64, random: &mut Random) -> String {
    let data = data(size);
    let tree = PreOrderMemOutboard::create(&data, BlockSize::from_chunk_log(4));
    let (combined, abao_root) = abao::encode::encode(&data);
    assert_eq!(abao_root.as_bytes(), tree.root.as_bytes());
    let fine = bao::encode::encode(&data).0;
    let sliced = |of: &[u8], extract: Extract<'_>, random: &mut Random| {
        let all = slices(size, random).into_iter();
        let all = all.map(|(start, length)| format!("[{start}, {length}, {}]", stream(&extract(of, start, length))));
        all.collect::<Vec<_>>().join(",\n    ")
    };
    let by_abao = |of: &[u8], a, b| read_all(abao::encode::SliceExtractor::new(Cursor::new(of), a, b));
    let by_bao = |of: &[u8], a, b| read_all(bao::encode::SliceExtractor::new(Cursor::new(of), a, b));
    let groups = sliced(&combined, &by_abao, random);
    let chunks = if size <= 100_000 { sliced(&fine, &by_bao, random) } else { String::new() };
    let subgroups: Vec<String> = queries(size, random)
        .iter()
        .map(|ranges| format!("[{}, {}]", pairs(ranges), stream(&subgroup(&data, &chunk_ranges(ranges)))))
        .collect();
    format!(
        "{{\"size\": {size}, \"root\": \"{}\", \"outboard\": {}, \"combined\": {},\n  \"slices\": [{groups}],\n  \
         \"chunk_slices\": [{chunks}],\n  \"subgroup\": [{}]}}",
        tree.root.to_hex(),
        stream(&tree.into_inner_with_prefix()),
        stream(&combined),
        subgroups.join(",\n    ")
    )
}

fn main() {
    let mut random = Random(2026);
    let cases: Vec<String> = SIZES.iter().map(|&size| case(size, &mut random)).collect();
    let bad: Vec<String> = [
        (0, vec![(0, 1)]),
        (1025, vec![(0, 1)]),
        (16 * KIB + 1, vec![(16 * KIB, 16 * KIB + 1)]),
        (100_000, vec![(20_000, 30_000)]),
        (100_000, vec![(99_000, 200_000)]),
        (777_777, vec![(5, 6), (300_000, 400_000)]),
        (777_777, vec![(0, 777_777)]),
    ]
    .iter()
    .map(|(size, ranges)| corruptions(*size, ranges, &mut random))
    .collect();
    println!("{{\"made_by\": \"abao 0.2.0, bao 0.13.1, bao-tree 0.17.0\", \"seed\": \"{SEED}\",");
    println!("\"cases\": [\n{}\n],\n\"corruptions\": [\n{}\n]}}", cases.join(",\n"), bad.join(",\n"));
}
