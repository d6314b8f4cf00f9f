//! The two BLAKE3 compressions that make a tree, at one chosen SIMD level.
//!
//! `blake3::platform` is public but unstable, hence the exact version in Cargo.toml and the equality
//! tests over every level. The public `Hasher` reaches 0.9 of the speed that this reaches.

use blake3::IncrementCounter;
use blake3::platform::Platform;

/// Bytes of one BLAKE3 chunk, the finest thing a proof can name.
pub const CHUNK_BYTES: usize = 1024;
/// Bytes of one tree node: left chaining value, then right.
pub const NODE_BYTES: usize = 64;
/// A chaining value, or a root.
pub type Cv = [u8; 32];

// BLAKE3 specification, section 2.1 and table 3.
const IV: [u32; 8] =
    [0x6A09_E667, 0xBB67_AE85, 0x3C6E_F372, 0xA54F_F53A, 0x510E_527F, 0x9B05_688C, 0x1F83_D9AB, 0x5BE0_CD19];
const CHUNK_START: u8 = 1;
const CHUNK_END: u8 = 2;
const PARENT: u8 = 4;
const ROOT: u8 = 8;
const BLOCK_BYTES: usize = 64;

/// One SIMD level of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Simd(Platform);

impl Simd {
    /// The widest level this processor has.
    pub fn detected() -> Self {
        Self(Platform::detect())
    }

    /// A level chosen by hand, for tests that compare levels.
    pub fn at(platform: Platform) -> Self {
        Self(platform)
    }

    /// Hash one chunk of 0..=1024 bytes; `root` when it is the whole blob.
    pub fn chunk(&self, data: &[u8], index: u64, root: bool) -> Cv {
        assert!(data.len() <= CHUNK_BYTES);
        let mut words = IV;
        let mut start = CHUNK_START;
        let mut rest = data;
        while rest.len() > BLOCK_BYTES {
            let (block, after) = rest.split_first_chunk::<BLOCK_BYTES>().expect("longer than one block");
            self.0.compress_in_place(&mut words, block, BLOCK_BYTES as u8, index, start);
            (start, rest) = (0, after);
        }
        let mut block = [0; BLOCK_BYTES];
        block[..rest.len()].copy_from_slice(rest);
        let flags = start | CHUNK_END | if root { ROOT } else { 0 };
        self.0.compress_in_place(&mut words, &block, rest.len() as u8, index, flags);
        bytes_of(words)
    }

    /// Join two chaining values; `root` when the node is the topmost.
    pub fn parent(&self, node: &[u8; NODE_BYTES], root: bool) -> Cv {
        let mut words = IV;
        let flags = PARENT | if root { ROOT } else { 0 };
        self.0.compress_in_place(&mut words, node, NODE_BYTES as u8, 0, flags);
        bytes_of(words)
    }

    /// Hash whole chunks `first`, `first + 1`, … that are not roots; the inputs may lie anywhere.
    pub fn chunks(&self, inputs: &[&[u8; CHUNK_BYTES]], first: u64, out: &mut [Cv]) {
        assert_eq!(inputs.len(), out.len());
        let out = out.as_flattened_mut();
        self.0.hash_many(inputs, &IV, first, IncrementCounter::Yes, 0, CHUNK_START, CHUNK_END, out);
    }

    /// Join many pairs that are not roots; the nodes may lie anywhere.
    pub fn parents(&self, nodes: &[&[u8; NODE_BYTES]], out: &mut [Cv]) {
        assert_eq!(nodes.len(), out.len());
        let out = out.as_flattened_mut();
        self.0.hash_many(nodes, &IV, 0, IncrementCounter::No, PARENT, 0, 0, out);
    }
}

fn bytes_of(words: [u32; 8]) -> Cv {
    let mut out = [0; 32];
    for (slot, word) in out.chunks_exact_mut(4).zip(words) {
        slot.copy_from_slice(&word.to_le_bytes());
    }
    out
}

/// How far ahead memory is asked into the second cache level. Measured on AVX-512 over 512 MiB: with the
/// starts of the next 16 chunks asked into the first level (the assembly runs only two lines ahead within
/// a chunk) 1.10 of no prefetching; one line in two suffices, because the processor fetches its neighbour.
const AHEAD_BYTES: usize = 288 * 1024;
const AHEAD_STEP_BYTES: usize = 128;

/// Ask for the memory that will be hashed soon after `data`, if it goes on there. A hint only.
#[inline]
pub fn prefetch_beyond(data: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _MM_HINT_T1, _mm_prefetch};
        let line = |distance: usize| data.as_ptr().wrapping_add(distance).cast();
        for at in (0..data.len()).step_by(AHEAD_STEP_BYTES) {
            // SAFETY: a prefetch reads nothing and never faults, wherever the address points.
            unsafe { _mm_prefetch::<_MM_HINT_T1>(line(AHEAD_BYTES + at)) };
        }
        for chunk in (data.len()..2 * data.len()).step_by(CHUNK_BYTES) {
            // SAFETY: as above.
            unsafe {
                _mm_prefetch::<_MM_HINT_T0>(line(chunk));
                _mm_prefetch::<_MM_HINT_T0>(line(chunk + 64));
            }
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}
