//! What Python cannot do at the speed of memory. BLAKE3 trees over 16 KiB groups: chaining values, outboards,
//! verification of whole subtrees. dag-pb nodes and their UnixFS messages, and dag-cbor, read ([`dag_pb`],
//! [`unixfs`], [`dag_cbor`]). And, in [`hot`], one turn of a connection that asks for something known, in [`large`] the
//! turns of a large body and in [`extent`] the checksums of each, in [`small_files`] a hand of files to add, and in [`tls`] the TLS under connections.
//!
//! What it is not: a hasher for other purposes, or a home for formats at large. A format is read here when it
//! was measured to be a request's cost (docs/decisions/0012), and written in Python all the same.
//! Who calls: `content` through [`python`] and [`node`], and the tests in `native/tests`.

pub mod base32;
pub mod dag_pb;
pub mod groups;
pub mod shape;
pub mod simd;
pub mod subtree;
pub mod unixfs;

#[cfg(feature = "python")]
mod buffer;
#[cfg(feature = "python")]
mod dag_cbor;
#[cfg(feature = "python")]
mod extent;
#[cfg(feature = "python")]
mod hot;
#[cfg(feature = "python")]
mod large;
#[cfg(feature = "python")]
mod lend;
#[cfg(feature = "python")]
mod node;
#[cfg(feature = "python")]
mod python;
#[cfg(feature = "python")]
pub mod sha2_256;
#[cfg(feature = "python")]
mod small_files;
#[cfg(feature = "python")]
mod tls;
