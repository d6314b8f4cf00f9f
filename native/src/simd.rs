//! The two BLAKE3 compressions that make a tree, at one chosen SIMD level.
//!
//! `blake3::platform` is public but unstable, hence the exact version in Cargo.toml and the equality
//! tests over every level. The public `Hasher` reaches 0.9 of the speed that this reaches.

use std::sync::LazyLock;

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
const CACHE_LINE_BYTES: usize = 64;

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

/// Measured: EPYC (Zen) gains a tenth by `touch`, a Xeon (Sapphire Rapids) loses a fifth.
#[cfg(target_arch = "x86_64")]
static TOUCHING_HELPS: LazyLock<bool> = LazyLock::new(|| {
    // The vendor as cpuid spells it, in three registers: "Auth", "enti", "cAMD".
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx] == [*b"Auth", *b"enti", *b"cAMD"].map(u32::from_le_bytes)
});
#[cfg(not(target_arch = "x86_64"))]
static TOUCHING_HELPS: LazyLock<bool> = LazyLock::new(|| true);

/// Read one byte of every cache line, in order, so that the bytes are in the second cache level when the
/// compressions, which walk 16 chunks at once, come for them: where the processor's own prefetching knows one
/// ascending stream and not sixteen. Nothing where it follows them all.
pub fn touch(data: &[u8]) {
    if !*TOUCHING_HELPS {
        return;
    }
    let seen = data.chunks_exact(CACHE_LINE_BYTES).fold(0, |seen, line| seen ^ line[0]);
    std::hint::black_box(seen);
}

/// Ask for the starts of the chunks hashed next; the assembly runs two lines ahead within a chunk but not
/// from one chunk to the next. A hint only, and only on x86-64.
#[inline]
pub fn prefetch_chunk_starts(data: &[u8]) {
    #[cfg(target_arch = "x86_64")]
    for chunk in data.chunks_exact(CHUNK_BYTES) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        for line in chunk.chunks_exact(CACHE_LINE_BYTES).take(2) {
            // SAFETY: a prefetch reads nothing and never faults.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
        }
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = data;
}
