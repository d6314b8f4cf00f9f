//! Checksums of neighbouring segments whose data lies in one extent (docs/formats/store.md).
//!
//! What a large body costs beside the kernel's part is this check; in one call for a whole step it costs
//! what reading the bytes costs. It decides nothing: which segments may be sent is `blockstore.blob`'s.

use pyo3::intern;
use pyo3::prelude::*;
use twox_hash::XxHash3_64;

use crate::buffer::Borrowed;

const SEGMENT_BYTES: usize = 256 * 1024;
const GROUP_BYTES: usize = 16 * 1024;
const NODE_BYTES: usize = 64;
const TRAILER_BYTES: usize = 24;
const CHECKSUM_FROM_END: usize = 16;
/// Mixes a storage id into seeds (blockstore/segment.py).
const ID_MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;

/// How many bytes from the beginning of `data` match their checksums, in whole segments.
///
/// `data` is that of segments `first`, `first + 1`, … of a storage id, where it lies apart; all but the last are
/// full. `txn` gives their values, which are let go of before hashing begins.
#[pyfunction]
pub fn intact_bytes(txn: &Bound<'_, PyAny>, storage_id: u64, first: u32, data: &Bound<'_, PyAny>) -> PyResult<usize> {
    let py = txn.py();
    let data = Borrowed::of(data)?;
    let mut checks = Vec::with_capacity(data.bytes().len().div_ceil(SEGMENT_BYTES));
    for (place, part) in data.bytes().chunks(SEGMENT_BYTES).enumerate() {
        let number = first.wrapping_add(place as u32);
        match checksum(py, txn, storage_id, number, part.len())? {
            Some(sum) => {
                let seed = storage_id.wrapping_mul(ID_MULTIPLIER).wrapping_add(u64::from(number));
                checks.push((part, seed, sum));
            }
            None => break,
        }
    }
    Ok(py.detach(|| {
        checks
            .iter()
            .take_while(|(part, seed, sum)| XxHash3_64::oneshot_with_seed(*seed, part) == *sum)
            .map(|(part, _, _)| part.len())
            .sum()
    }))
}

/// The checksum of a segment's data; None where there is no value of the length that says it lies apart.
fn checksum(
    py: Python<'_>,
    txn: &Bound<'_, PyAny>,
    storage_id: u64,
    number: u32,
    data_bytes: usize,
) -> PyResult<Option<u64>> {
    let mut key = [0; 12];
    key[..8].copy_from_slice(&storage_id.to_be_bytes());
    key[8..].copy_from_slice(&number.to_be_bytes());
    let value = txn.call_method1(intern!(py, "get"), (key.as_slice(),))?;
    if value.is_none() {
        return Ok(None);
    }
    let view = Borrowed::of(&value)?;
    let bytes = view.bytes();
    if bytes.len() != (data_bytes.div_ceil(GROUP_BYTES) - 1) * NODE_BYTES + TRAILER_BYTES {
        return Ok(None);
    }
    let at = bytes.len() - CHECKSUM_FROM_END;
    Ok(Some(u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))))
}
