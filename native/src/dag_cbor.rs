//! dag-cbor as Python values, read strictly in one pass: shortest numbers, 64-bit floats that are finite, map keys
//! that are texts in order and once, no tag but 42, nothing indefinite. What a link becomes is Python's to say.
//!
//! Memory is bounded by the values themselves: no length is believed before the bytes for it are there, and nothing
//! is reserved ahead. The stack is bounded by the depth that the caller allows.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyList, PyString};

const LINK_TAG: u64 = 42;
/// Offsets of the numbers that follow a head byte, by its low five bits less 24.
const WIDTHS: [usize; 4] = [1, 2, 4, 8];

type Read<'py> = (Bound<'py, PyAny>, usize);

/// The value that `data` is the encoding of. `link(raw)` makes a link of a binary CID or raises ValueError.
///
/// Raises ValueError(what is broken, at which byte).
#[pyfunction]
pub fn dag_cbor_decode<'py>(
    py: Python<'py>,
    data: &[u8],
    link: &Bound<'py, PyAny>,
    deepest: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let reader = Reader { py, data, link, deepest };
    let (value, end) = reader.value(0, 0)?;
    if end == data.len() { Ok(value) } else { broken("bytes follow the value", end) }
}

struct Reader<'a, 'py> {
    py: Python<'py>,
    data: &'a [u8],
    link: &'a Bound<'py, PyAny>,
    deepest: usize,
}

impl<'py> Reader<'_, 'py> {
    /// (major type, number, index behind) of the head at `at`.
    fn head(&self, at: usize) -> PyResult<(u8, u64, usize)> {
        let Some(&first) = self.data.get(at) else {
            return broken("it is cut short", at);
        };
        let (major, info) = (first >> 5, first & 31);
        if info < 24 {
            return Ok((major, u64::from(info), at + 1));
        }
        let Some(&width) = WIDTHS.get(usize::from(info) - 24) else {
            return broken("an indefinite or reserved length", at);
        };
        let Some(raw) = self.data.get(at + 1..at + 1 + width) else {
            return broken("it is cut short", at);
        };
        let number = raw.iter().fold(0, |number, &byte| number << 8 | u64::from(byte));
        let least = if width == 1 { 24 } else { 1 << (4 * width) };
        if number < least && major != 7 {
            return broken("a number is not in its shortest form", at);
        }
        Ok((major, number, at + 1 + width))
    }

    fn value(&self, at: usize, depth: usize) -> PyResult<Read<'py>> {
        if depth > self.deepest {
            return broken(&format!("it is nested deeper than {}", self.deepest), at);
        }
        let (major, number, end) = self.head(at)?;
        let value = match major {
            0 => number.into_pyobject(self.py)?.into_any(),
            1 if let Ok(number) = i64::try_from(number) => (-1 - number).into_pyobject(self.py)?.into_any(),
            1 => (-1 - i128::from(number)).into_pyobject(self.py)?.into_any(),
            2 => {
                let (raw, end) = self.stretch(number, end, at)?;
                return Ok((PyBytes::new(self.py, raw).into_any(), end));
            }
            3 => {
                let (text, end) = self.text(number, end, at)?;
                return Ok((PyString::new(self.py, text).into_any(), end));
            }
            4 => return self.list(self.count(number, end, at)?, end, depth),
            5 => return self.map(self.count(number, end, at)?, end, depth),
            6 => return self.linked(number, at, end),
            _ => self.simple(at, number)?,
        };
        Ok((value, end))
    }

    /// How many items a list or map has; each takes a byte at least.
    fn count(&self, number: u64, end: usize, at: usize) -> PyResult<usize> {
        match usize::try_from(number) {
            Ok(count) if count <= self.data.len() - end => Ok(count),
            _ => broken("a list or map is longer than the block", at),
        }
    }

    fn stretch(&self, number: u64, start: usize, at: usize) -> PyResult<(&[u8], usize)> {
        let stop = usize::try_from(number).ok().and_then(|length| start.checked_add(length));
        match stop.and_then(|stop| Some((self.data.get(start..stop)?, stop))) {
            Some(found) => Ok(found),
            None => broken("a string is cut short", at),
        }
    }

    fn text(&self, number: u64, start: usize, at: usize) -> PyResult<(&str, usize)> {
        let (raw, end) = self.stretch(number, start, at)?;
        match std::str::from_utf8(raw) {
            Ok(text) => Ok((text, end)),
            Err(_) => broken("a text is not UTF-8", at),
        }
    }

    fn list(&self, count: usize, mut at: usize, depth: usize) -> PyResult<Read<'py>> {
        let mut items = Vec::new();
        for _ in 0..count {
            let (item, end) = self.value(at, depth + 1)?;
            items.push(item);
            at = end;
        }
        Ok((PyList::new(self.py, items)?.into_any(), at))
    }

    fn map(&self, count: usize, mut at: usize, depth: usize) -> PyResult<Read<'py>> {
        let items = PyDict::new(self.py);
        let mut last: Option<&str> = None;
        for _ in 0..count {
            let (major, number, start) = self.head(at)?;
            if major != 3 {
                return broken("a map key is not a text", at);
            }
            let (key, end) = self.text(number, start, at)?;
            // shorter keys first, then byte by byte
            if last.is_some_and(|last| (key.len(), key.as_bytes()) <= (last.len(), last.as_bytes())) {
                return broken("map keys are repeated or out of order", at);
            }
            last = Some(key);
            let (item, end) = self.value(end, depth + 1)?;
            items.set_item(PyString::new(self.py, key), item)?;
            at = end;
        }
        Ok((items.into_any(), at))
    }

    fn linked(&self, tag: u64, at: usize, end: usize) -> PyResult<Read<'py>> {
        if tag != LINK_TAG {
            return broken(&format!("tag {tag}: only {LINK_TAG} (a link) may occur"), at);
        }
        let (major, length, start) = self.head(end)?;
        let (raw, stop) = self.stretch(length, start, at)?;
        let (2, Some((0, cid))) = (major, raw.split_first()) else {
            return broken("a link is not a byte string that begins with zero", at);
        };
        match self.link.call1((PyBytes::new(self.py, cid),)) {
            Ok(link) => Ok((link, stop)),
            Err(error) if error.is_instance_of::<PyValueError>(self.py) => {
                broken(&error.value(self.py).to_string(), at)
            }
            Err(error) => Err(error),
        }
    }

    fn simple(&self, at: usize, number: u64) -> PyResult<Bound<'py, PyAny>> {
        match self.data[at] & 31 {
            20 => Ok(PyBool::new(self.py, false).to_owned().into_any()),
            21 => Ok(PyBool::new(self.py, true).to_owned().into_any()),
            22 => Ok(self.py.None().into_bound(self.py)),
            27 if f64::from_bits(number).is_finite() => Ok(PyFloat::new(self.py, f64::from_bits(number)).into_any()),
            27 => broken("NaN and infinities are not in the data model", at),
            _ => broken("a simple value or short float that the format does not have", at),
        }
    }
}

fn broken<T>(what: &str, at: usize) -> PyResult<T> {
    Err(PyValueError::new_err((what.to_owned(), at)))
}
