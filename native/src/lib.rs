//! BLAKE3 trees over 16 KiB groups: chaining values, outboards, verification of whole subtrees; and, beside
//! them in [`hot`], one turn of a connection that asks for something known.
//!
//! What it is: the part of `content.bao` that Python cannot do at the speed of memory. It hashes and
//! compares; it knows no wire header, no range and no file.
//! What it is not: a hasher for other purposes, or a home for wire formats (those are Python).
//! Who calls: `content.bao` through [`python`], and the tests in `native/tests`.

pub mod groups;
pub mod shape;
pub mod simd;
pub mod subtree;

#[cfg(feature = "python")]
mod buffer;
#[cfg(feature = "python")]
mod hot;
#[cfg(feature = "python")]
mod python;
