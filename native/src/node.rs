//! `PbNode`: a dag-pb node as Python sees it. Read once, whole; a link becomes objects when it is asked for.

use std::ops::Range;

use pyo3::exceptions::{PyIndexError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PyString, PyTuple};

use crate::dag_pb::{self, Broken, Link, Node, Span};
use crate::python::fenced;
use crate::unixfs::{self, Message};

/// (kind, payload, file_bytes, block_bytes, hash_type, fanout, mode, mtime)
type MessageParts<'py> = (
    Option<u64>,
    Option<(usize, usize)>,
    Option<u64>,
    Bound<'py, PyTuple>,
    Option<u64>,
    Option<u64>,
    Option<u64>,
    Option<(i64, Option<u32>)>,
);

/// A dag-pb node over the block it was read from.
#[pyclass(frozen, module = "content.bao._native")]
pub struct PbNode {
    block: Py<PyBytes>,
    node: Node,
}

#[pymethods]
impl PbNode {
    #[new]
    fn new(py: Python<'_>, block: Py<PyBytes>) -> PyResult<Self> {
        let bytes = block.as_bytes(py);
        // 2 MiB take 1 ms at most: not worth giving the GIL up
        let node = fenced(py, 0, || dag_pb::parse(bytes))?.map_err(refused)?;
        Ok(Self { block, node })
    }

    fn __len__(&self) -> usize {
        self.node.links.len()
    }

    /// Where the data field lies in the block.
    #[getter]
    fn data(&self) -> Option<(usize, usize)> {
        self.node.data.map(|span| (span.range().start, span.range().end))
    }

    /// (CID, name, size) of a link.
    fn link<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyTuple>> {
        self.parts(py, self.at(index)?)
    }

    /// (CID, name, size) of every link.
    fn links<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let parts: PyResult<Vec<_>> = self.node.links.iter().map(|link| self.parts(py, link)).collect();
        PyList::new(py, parts?)
    }

    /// ((name, CID, size) of every entry, CIDs of the sub-shards) of a directory whose link names begin with
    /// `width` digits of a slot: a name of just these is a sub-shard's. A flat directory has a width of 0.
    fn entries<'py>(&self, py: Python<'py>, width: usize) -> PyResult<(Bound<'py, PyList>, Bound<'py, PyList>)> {
        let (entries, shards) = (PyList::empty(py), PyList::empty(py));
        for link in &self.node.links {
            let name = link.name.map_or(0..0, Span::range);
            if name.len() > width || width == 0 {
                let text = self.text(py, name.start + width..name.end)?;
                entries.append((text, self.bytes(py, link.cid), link.size))?;
            } else {
                shards.append(self.bytes(py, link.cid))?;
            }
        }
        Ok((entries, shards))
    }

    /// The CID of a link.
    fn cid<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyBytes>> {
        Ok(self.bytes(py, self.at(index)?.cid))
    }

    /// The CID of every link.
    fn cids<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        PyList::new(py, self.node.links.iter().map(|link| self.bytes(py, link.cid)))
    }

    /// The first link of that name.
    fn find(&self, py: Python<'_>, name: &[u8]) -> Option<usize> {
        let block = self.block.as_bytes(py);
        self.node.links.iter().position(|link| link.name.is_some_and(|span| &block[span.range()] == name))
    }

    /// Whether the links are those of the slots that are set in `field` (big-endian), one each and in order, named
    /// by the slot's number in `width` upper-case hex digits and whatever follows.
    fn in_slots(&self, py: Python<'_>, field: &[u8], width: usize) -> bool {
        let block = self.block.as_bytes(py);
        let mut names = self.node.links.iter().map(|link| link.name.map_or(&[][..], |span| &block[span.range()]));
        let mut slots = (0..field.len() * 8).filter(|slot| field[field.len() - 1 - slot / 8] >> (slot % 8) & 1 == 1);
        slots.all(|slot| names.next().is_some_and(|name| is_named_by(name, slot, width))) && names.next().is_none()
    }

    /// The UnixFS message in the data field, which there must be; its payload's place in the block.
    fn unixfs<'py>(&self, py: Python<'py>) -> PyResult<MessageParts<'py>> {
        let Some(span) = self.node.data else {
            return Err(PyValueError::new_err(("it has no data field", 0)));
        };
        let (start, raw) = (span.range().start, &self.block.as_bytes(py)[span.range()]);
        let Message { kind, data, file_bytes, block_bytes, hash_type, fanout, mode, mtime } =
            fenced(py, 0, || unixfs::parse(raw))?
                .map_err(|Broken { what, at }| refused(Broken { what, at: start + at }))?;
        let payload = data.map(|range| (start + range.start, start + range.end));
        Ok((kind, payload, file_bytes, PyTuple::new(py, block_bytes)?, hash_type, fanout, mode, mtime))
    }
}

impl PbNode {
    fn at(&self, index: usize) -> PyResult<&Link> {
        self.node.links.get(index).ok_or_else(|| PyIndexError::new_err("there is no such link"))
    }

    fn bytes<'py>(&self, py: Python<'py>, span: Span) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.block.as_bytes(py)[span.range()])
    }

    fn parts<'py>(&self, py: Python<'py>, link: &Link) -> PyResult<Bound<'py, PyTuple>> {
        let name = link.name.map(|span| self.text(py, span.range())).transpose()?;
        (self.bytes(py, link.cid), name, link.size).into_pyobject(py)
    }

    /// A name; bytes that are no UTF-8 come as lone surrogates, so that they can be given back.
    fn text<'py>(&self, py: Python<'py>, range: Range<usize>) -> PyResult<Bound<'py, PyString>> {
        let raw = &self.block.as_bytes(py)[range];
        match std::str::from_utf8(raw) {
            Ok(text) => Ok(PyString::new(py, text)),
            Err(_) => PyString::from_encoded_object(&PyBytes::new(py, raw), Some(c"utf-8"), Some(c"surrogateescape")),
        }
    }
}

fn is_named_by(name: &[u8], slot: usize, width: usize) -> bool {
    let digit = |place: usize| b"0123456789ABCDEF"[slot >> (4 * (width - 1 - place)) & 0xf];
    name.len() >= width && (0..width).all(|place| name[place] == digit(place))
}

fn refused(Broken { what, at }: Broken) -> PyErr {
    PyValueError::new_err((what, at))
}
