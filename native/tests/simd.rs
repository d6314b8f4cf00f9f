//! Every SIMD level of this machine gives the same trees: `blake3::platform` promises nothing by itself.

use _native::groups::{GROUP_BYTES, SEGMENT_BYTES, chunk_nodes, outboard, segment, small_subtree};
use _native::simd::Simd;
use _native::subtree::Subtree;
use blake3::platform::Platform;

fn levels() -> Vec<Simd> {
    let mut found = vec![Simd::at(Platform::portable()), Simd::detected()];
    #[cfg(target_arch = "x86_64")]
    found.extend(
        [Platform::sse2(), Platform::sse41(), Platform::avx2(), Platform::avx512()].into_iter().flatten().map(Simd::at),
    );
    found
}

fn data(size: usize) -> Vec<u8> {
    let mut out = vec![0; size];
    blake3::Hasher::new().update(b"levels").finalize_xof().fill(&mut out);
    out
}

const SIZES: &[usize] = &[
    0, 1, 64, 65, 1023, 1024, 1025, 2048, 5000, 16383, 16384, 16385, 32768, 49153, 262_143, 262_144, 262_145, 278_528,
    786_437, 1_500_001,
];

#[test]
fn roots_are_those_of_the_public_hasher() {
    for simd in levels() {
        for &size in SIZES {
            let data = data(size);
            assert_eq!(outboard(&simd, &data).0, *blake3::hash(&data).as_bytes(), "{simd:?} {size}");
        }
    }
}

#[test]
fn outboards_segments_and_chunk_nodes_agree_over_all_levels() {
    let portable = Simd::at(Platform::portable());
    for simd in levels() {
        for &size in SIZES {
            let data = data(size);
            assert_eq!(outboard(&simd, &data), outboard(&portable, &data), "{simd:?} {size}");
            let part = &data[..size.min(SEGMENT_BYTES)];
            let mut nodes = vec![0; 64 * (part.len().div_ceil(GROUP_BYTES).max(1) - 1)];
            let mut expected = nodes.clone();
            let first = 256 * 12345;
            assert_eq!(
                segment(&simd, part, first, false, &mut nodes),
                segment(&portable, part, first, false, &mut expected)
            );
            assert_eq!(nodes, expected);
            let group = &data[..size.min(GROUP_BYTES)];
            assert_eq!(chunk_nodes(&simd, group, first), chunk_nodes(&portable, group, first));
        }
    }
}

#[test]
fn chaining_values_are_those_of_hazmat() {
    use blake3::hazmat::HasherExt;
    for simd in levels() {
        for size in [1, 1023, 1024, 1025, 8192, 16000, 16384] {
            let (data, first) = (data(size), 16 * 777);
            let mut hasher = blake3::Hasher::new();
            hasher.set_input_offset(first * 1024).update(&data);
            assert_eq!(small_subtree(&simd, &data, first, false), hasher.finalize_non_root());
        }
    }
}

#[test]
fn every_level_verifies_and_refuses_the_same_streams() {
    let data = data(300_000);
    let (combined, root) = abao::encode::encode(&data);
    let stream = &combined[8..];
    for simd in levels() {
        let feed = |stream: &[u8]| Subtree::new(*root.as_bytes(), 0, 300_000, true).feed(&simd, &[], stream);
        let (used, proven) = feed(stream).expect("the stream is good");
        assert_eq!(used, stream.len());
        let mut next = 0;
        for piece in proven {
            assert_eq!(piece.offset, next);
            assert_eq!(stream[piece.start..piece.stop], data[next as usize..][..piece.stop - piece.start]);
            next += (piece.stop - piece.start) as u64;
        }
        assert_eq!(next, 300_000);
        for at in (0..stream.len()).step_by(4999) {
            let mut bad = stream.to_vec();
            bad[at] ^= 4;
            assert!(feed(&bad).is_err(), "{simd:?} {at}");
        }
    }
}
