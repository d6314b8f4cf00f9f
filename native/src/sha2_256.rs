//! SHA2-256 of two messages at a time, with the instructions that x86 has for it.
//!
//! Each of these waits for the one before, so one message leaves the unit idle half the time: two interleaved
//! take hardly longer than one. Messages of any lengths: what the longer has more is hashed alone, and all of
//! it by *ring* where the instructions are missing. Source: FIPS 180-4; the order of the instructions is that of
//! Intel's "SHA Extensions". Who calls: [`crate::small_files`].

/// A SHA2-256 digest.
pub type Digest = [u8; 32];

/// Digests of two messages.
pub fn pair(first: &[u8], second: &[u8]) -> [Digest; 2] {
    #[cfg(target_arch = "x86_64")]
    if x86::is_here() {
        // SAFETY: the instructions are there.
        return unsafe { x86::pair(first, second) };
    }
    [alone(first), alone(second)]
}

/// Digest of one message.
pub fn alone(message: &[u8]) -> Digest {
    ring::digest::digest(&ring::digest::SHA256, message).as_ref().try_into().expect("32 bytes")
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use std::arch::x86_64::*;

    use super::Digest;

    const BLOCK_BYTES: usize = 64;
    const START: [u32; 8] =
        [0x6a09_e667, 0xbb67_ae85, 0x3c6e_f372, 0xa54f_f53a, 0x510e_527f, 0x9b05_688c, 0x1f83_d9ab, 0x5be0_cd19];
    #[rustfmt::skip]
    const K: [u32; 64] = [
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
    ];

    pub fn is_here() -> bool {
        is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3") && is_x86_feature_detected!("sse4.1")
    }

    /// # Safety
    /// The machine has SHA, SSSE3 and SSE4.1.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    pub unsafe fn pair(first: &[u8], second: &[u8]) -> [Digest; 2] {
        let both = first.len().min(second.len()) / BLOCK_BYTES * BLOCK_BYTES;
        let mut states = [START; 2];
        // SAFETY: as for this function.
        unsafe {
            blocks(&mut states, [&first[..both], &second[..both]]);
            let [one, two] = states;
            [finish(one, first, both), finish(two, second, both)]
        }
    }

    /// The digest of a message of which `done` bytes are in `state`.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    unsafe fn finish(state: [u32; 8], message: &[u8], done: usize) -> Digest {
        let mut states = [state];
        let rest = &message[done..];
        let (whole, tail) = rest.split_at(rest.len() / BLOCK_BYTES * BLOCK_BYTES);
        let mut last = [0; 2 * BLOCK_BYTES];
        last[..tail.len()].copy_from_slice(tail);
        last[tail.len()] = 0x80;
        let length = if tail.len() < BLOCK_BYTES - 8 { BLOCK_BYTES } else { 2 * BLOCK_BYTES };
        last[length - 8..length].copy_from_slice(&(message.len() as u64 * 8).to_be_bytes());
        // SAFETY: as for this function.
        unsafe {
            blocks(&mut states, [whole]);
            blocks(&mut states, [&last[..length]]);
        }
        let mut digest = [0; 32];
        for (bytes, word) in digest.chunks_exact_mut(4).zip(states[0]) {
            bytes.copy_from_slice(&word.to_be_bytes());
        }
        digest
    }

    /// Take whole blocks of N messages, equally many of each, into their states.
    #[target_feature(enable = "sha,ssse3,sse4.1")]
    unsafe fn blocks<const N: usize>(states: &mut [[u32; 8]; N], messages: [&[u8]; N]) {
        let big_endian = _mm_set_epi64x(0x0c0d_0e0f_0809_0a0b, 0x0405_0607_0001_0203);
        let (mut abef, mut cdgh) = ([_mm_setzero_si128(); N], [_mm_setzero_si128(); N]);
        for n in 0..N {
            // SAFETY: eight words are two vectors.
            let (low, high) = unsafe {
                let words = states[n].as_ptr().cast::<__m128i>();
                (_mm_loadu_si128(words), _mm_loadu_si128(words.add(1)))
            };
            let (low, high) = (_mm_shuffle_epi32(low, 0xb1), _mm_shuffle_epi32(high, 0x1b));
            abef[n] = _mm_alignr_epi8(low, high, 8);
            cdgh[n] = _mm_blend_epi16(high, low, 0xf0);
        }
        for block in 0..messages[0].len() / BLOCK_BYTES {
            let (abef_before, cdgh_before) = (abef, cdgh);
            let mut w = [[_mm_setzero_si128(); 4]; N];
            for n in 0..N {
                let bytes = &messages[n][block * BLOCK_BYTES..][..BLOCK_BYTES];
                for (part, word) in w[n].iter_mut().enumerate() {
                    // SAFETY: four parts of 16 bytes are a block.
                    let loaded = unsafe { _mm_loadu_si128(bytes.as_ptr().cast::<__m128i>().add(part)) };
                    *word = _mm_shuffle_epi8(loaded, big_endian);
                }
            }
            for four in 0..16 {
                // SAFETY: 16 times four constants.
                let k = unsafe { _mm_loadu_si128(K.as_ptr().cast::<__m128i>().add(four)) };
                for n in 0..N {
                    let now = four % 4;
                    if four >= 4 {
                        let (after, last) = (w[n][(four + 2) % 4], w[n][(four + 3) % 4]);
                        let sum = _mm_sha256msg1_epu32(w[n][now], w[n][(four + 1) % 4]);
                        let sum = _mm_add_epi32(sum, _mm_alignr_epi8(last, after, 4));
                        w[n][now] = _mm_sha256msg2_epu32(sum, last);
                    }
                    let keyed = _mm_add_epi32(w[n][now], k);
                    cdgh[n] = _mm_sha256rnds2_epu32(cdgh[n], abef[n], keyed);
                    abef[n] = _mm_sha256rnds2_epu32(abef[n], cdgh[n], _mm_shuffle_epi32(keyed, 0x0e));
                }
            }
            for n in 0..N {
                abef[n] = _mm_add_epi32(abef[n], abef_before[n]);
                cdgh[n] = _mm_add_epi32(cdgh[n], cdgh_before[n]);
            }
        }
        for n in 0..N {
            let (low, high) = (_mm_shuffle_epi32(abef[n], 0x1b), _mm_shuffle_epi32(cdgh[n], 0xb1));
            // SAFETY: two vectors are eight words.
            unsafe {
                let words = states[n].as_mut_ptr().cast::<__m128i>();
                _mm_storeu_si128(words, _mm_blend_epi16(low, high, 0xf0));
                _mm_storeu_si128(words.add(1), _mm_alignr_epi8(high, low, 8));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{alone, pair};

    #[test]
    fn two_messages_of_any_lengths_have_the_digests_they_have_alone() {
        let bytes: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let lengths = [0, 1, 54, 55, 56, 57, 63, 64, 65, 119, 120, 127, 128, 129, 1000, 107_374, 262_144];
        for first in lengths {
            for second in lengths {
                let (first, second) = (&bytes[..first], &bytes[500_000..500_000 + second]);
                assert_eq!(pair(first, second), [alone(first), alone(second)], "{} {}", first.len(), second.len());
            }
        }
    }
}
