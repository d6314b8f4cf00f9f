//! `content.bao._native`: arguments checked, the GIL given up for long work, panics fenced in.

use std::panic::{AssertUnwindSafe, catch_unwind};

use pyo3::create_exception;
use pyo3::exceptions::{PyException, PyOverflowError, PyRuntimeError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList, PySlice, PyTuple};

use crate::base32;
use crate::buffer::Borrowed;
use crate::dag_cbor::dag_cbor_decode;
use crate::groups::{self, GROUP_BYTES, SEGMENT_BYTES, SEGMENT_GROUPS};
use crate::hot::{HotEntry, HotPath};
use crate::node::PbNode;
use crate::simd::{CHUNK_BYTES, Cv, NODE_BYTES, Simd};
use crate::small_files::SmallFiles;
use crate::subtree;
use crate::tls::{TlsServer, TlsSession};

/// Below this, giving the GIL up costs more than the hashing.
const DETACH_BYTES: usize = 8 * 1024;
/// BLAKE3 hashes at most 2^64 - 1 bytes, so chunk numbers stay below this.
const CHUNK_LIMIT: u64 = 1 << 54;

create_exception!(_native, Mismatch, PyException, "(first, stop): these chunks differ from what the root commits to.");

/// Run `work` without the GIL when `bytes` make it long; a panic becomes RuntimeError.
pub fn fenced<T: Send>(py: Python<'_>, bytes: usize, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    let work = || catch_unwind(AssertUnwindSafe(work));
    let done = if bytes > DETACH_BYTES { py.detach(work) } else { work() };
    done.map_err(|_| PyRuntimeError::new_err("native code broke one of its own promises"))
}

fn number(name: &str, value: &Bound<'_, PyAny>) -> PyResult<u64> {
    value.extract::<u64>().map_err(|error| {
        if error.is_instance_of::<PyOverflowError>(value.py()) {
            PyValueError::new_err(format!("{name} must lie in 0..2**64"))
        } else {
            PyTypeError::new_err(format!("{name} must be an int"))
        }
    })
}

fn chunk_number(name: &str, value: &Bound<'_, PyAny>) -> PyResult<u64> {
    let chunk = number(name, value)?;
    if chunk >= CHUNK_LIMIT {
        return Err(PyValueError::new_err(format!("{name} must lie in 0..2**54")));
    }
    Ok(chunk)
}

fn chaining_value(name: &str, value: &Bound<'_, PyAny>) -> PyResult<Cv> {
    let borrowed = Borrowed::of(value)?;
    let found = borrowed.bytes().len();
    borrowed.bytes().try_into().map_err(|_| PyValueError::new_err(format!("{name} must be 32 bytes, not {found}")))
}

fn pair<'py>(py: Python<'py>, cv: &Cv, nodes: &[u8]) -> (Bound<'py, PyBytes>, Bound<'py, PyBytes>) {
    (PyBytes::new(py, cv), PyBytes::new(py, nodes))
}

/// Hash one segment: its chaining value (or root) and its group nodes in pre-order.
#[pyfunction]
fn segment<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    index: &Bound<'py, PyAny>,
    only: bool,
) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let index = number("index", index)?;
    let borrowed = Borrowed::of(data)?;
    let bytes = borrowed.bytes();
    if bytes.len() > SEGMENT_BYTES {
        return Err(PyValueError::new_err(format!("a segment has at most {SEGMENT_BYTES} bytes, not {}", bytes.len())));
    }
    if bytes.is_empty() && !only {
        return Err(PyValueError::new_err("only the single segment of an empty blob is empty"));
    }
    if only && index != 0 {
        return Err(PyValueError::new_err("an only segment has index 0"));
    }
    let chunks = (SEGMENT_BYTES / CHUNK_BYTES) as u64;
    if index >= CHUNK_LIMIT / chunks {
        return Err(PyValueError::new_err("index must lie in 0..2**46"));
    }
    let (cv, nodes, count) = fenced(py, bytes.len(), || {
        let mut nodes = [0; (SEGMENT_GROUPS - 1) * NODE_BYTES];
        let count = bytes.len().div_ceil(GROUP_BYTES).max(1);
        let own = &mut nodes[..(count - 1) * NODE_BYTES];
        (groups::segment(&Simd::detected(), bytes, index * chunks, only, own), nodes, count)
    })?;
    Ok(pair(py, &cv, &nodes[..(count - 1) * NODE_BYTES]))
}

/// Root and pre-order nodes over segments, from two or more chaining values of segments.
#[pyfunction]
fn upper<'py>(py: Python<'py>, cvs: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let borrowed = Borrowed::of(cvs)?;
    let bytes = borrowed.bytes();
    if bytes.len() % 32 != 0 || bytes.len() < 64 {
        return Err(PyValueError::new_err("cvs must hold two or more chaining values of 32 bytes"));
    }
    let (root, nodes) = fenced(py, bytes.len(), || {
        let values = bytes.chunks_exact(32).map(|cv| cv.try_into().expect("32 bytes")).collect();
        groups::upper(&Simd::detected(), values)
    })?;
    Ok(pair(py, &root, &nodes))
}

/// Root and whole pre-order outboard over groups, without the length prefix.
#[pyfunction]
fn outboard<'py>(py: Python<'py>, data: &Bound<'py, PyAny>) -> PyResult<(Bound<'py, PyBytes>, Bound<'py, PyBytes>)> {
    let borrowed = Borrowed::of(data)?;
    let bytes = borrowed.bytes();
    let (root, nodes) = fenced(py, bytes.len(), || groups::outboard(&Simd::detected(), bytes))?;
    Ok(pair(py, &root, &nodes))
}

/// Join two chaining values.
#[pyfunction]
fn parent<'py>(
    py: Python<'py>,
    left: &Bound<'py, PyAny>,
    right: &Bound<'py, PyAny>,
    is_root: bool,
) -> PyResult<Bound<'py, PyBytes>> {
    let mut node = [0; NODE_BYTES];
    node[..32].copy_from_slice(&chaining_value("left", left)?);
    node[32..].copy_from_slice(&chaining_value("right", right)?);
    let cv = fenced(py, 0, || Simd::detected().parent(&node, is_root))?;
    Ok(PyBytes::new(py, &cv))
}

/// Pre-order nodes over the chunks of one group: 64 bytes for each chunk but one.
#[pyfunction]
fn chunk_nodes<'py>(
    py: Python<'py>,
    data: &Bound<'py, PyAny>,
    first: &Bound<'py, PyAny>,
) -> PyResult<Bound<'py, PyBytes>> {
    let first = chunk_number("first", first)?;
    let borrowed = Borrowed::of(data)?;
    let bytes = borrowed.bytes();
    if bytes.len() > GROUP_BYTES {
        return Err(PyValueError::new_err(format!("a group has at most {GROUP_BYTES} bytes, not {}", bytes.len())));
    }
    let nodes = fenced(py, bytes.len(), || groups::chunk_nodes(&Simd::detected(), bytes, first))?;
    Ok(PyBytes::new(py, &nodes))
}

/// Lower-case base32 without padding.
#[pyfunction]
fn base32_text(data: &[u8]) -> String {
    base32::encode(data)
}

/// Bytes of a blob that match its root, and where they stand.
#[pyclass(frozen, module = "content.bao._native")]
struct Proven {
    #[pyo3(get)]
    offset_bytes: u64,
    #[pyo3(get)]
    data: Py<PyAny>,
}

#[pymethods]
impl Proven {
    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(format!("Proven(offset_bytes={}, data=<{} bytes>)", self.offset_bytes, self.data.bind(py).len()?))
    }
}

/// One whole subtree on its way to being proven: `size_bytes` from chunk `first`, hashing to `cv`.
#[pyclass(module = "content.bao._native")]
struct Subtree {
    tree: subtree::Subtree,
    /// The beginning of a node or leaf whose rest was not fed yet: less than one group.
    held: Vec<u8>,
}

#[pymethods]
impl Subtree {
    #[new]
    fn new(
        cv: &Bound<'_, PyAny>,
        first: &Bound<'_, PyAny>,
        size_bytes: &Bound<'_, PyAny>,
        is_root: bool,
    ) -> PyResult<Self> {
        let first = chunk_number("first", first)?;
        let size_bytes = number("size_bytes", size_bytes)?;
        if is_root && first != 0 {
            return Err(PyValueError::new_err("the root's first chunk is 0"));
        }
        if size_bytes == 0 && !is_root {
            return Err(PyValueError::new_err("only the root of an empty blob covers no bytes"));
        }
        if (first * CHUNK_BYTES as u64).checked_add(size_bytes).is_none() {
            return Err(PyValueError::new_err("the subtree ends beyond 2**64 bytes"));
        }
        let cv = chaining_value("cv", cv)?;
        Ok(Self { tree: subtree::Subtree::new(cv, first, size_bytes, is_root), held: Vec::new() })
    }

    /// How many more bytes the next node or leaf needs; None when all is proven.
    #[getter]
    fn missing_bytes(&self) -> Option<usize> {
        self.tree.next_bytes().map(|bytes| bytes - self.held.len())
    }

    /// First chunk of the next node or leaf; None when all is proven.
    #[getter]
    fn next_chunk(&self) -> Option<u64> {
        self.tree.next_chunk()
    }

    /// Take `view` from `start` to its end, or to the end of the subtree: (position after that, what is proven).
    fn feed<'py>(
        &mut self,
        py: Python<'py>,
        view: &Bound<'py, PyAny>,
        start: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyTuple>> {
        let mut at = number("start", start)? as usize;
        let borrowed = Borrowed::of(view)?;
        let bytes = borrowed.bytes();
        if at > bytes.len() {
            return Err(PyValueError::new_err("start lies beyond the view"));
        }
        if !self.held.is_empty() {
            at += self.hold(&bytes[at..]);
            if self.missing_bytes() != Some(0) {
                return (at, PyList::empty(py)).into_pyobject(py);
            }
        }
        let rest = &bytes[at..];
        let (tree, held) = (&mut self.tree, &self.held);
        let (used, proven) = fenced(py, rest.len() + held.len(), || tree.feed(&Simd::detected(), held, rest))?
            .map_err(|bad| Mismatch::new_err((bad.first, bad.stop)))?;
        let pieces = PyList::empty(py);
        for piece in proven {
            let data = if piece.in_head {
                PyBytes::new(py, &self.held[piece.start..piece.stop]).into_any()
            } else {
                view.get_item(PySlice::new(py, (at + piece.start) as isize, (at + piece.stop) as isize, 1))?
            };
            pieces.append(Proven { offset_bytes: piece.offset, data: data.unbind() })?;
        }
        self.held.clear();
        at += used;
        if self.tree.next_bytes().is_some() {
            at += self.hold(&bytes[at..]);
        }
        (at, pieces).into_pyobject(py)
    }
}

impl Subtree {
    /// Keep the front of `bytes` towards the next node or leaf; how many were kept.
    fn hold(&mut self, bytes: &[u8]) -> usize {
        let missing = self.missing_bytes().unwrap_or(0).min(bytes.len());
        self.held.extend_from_slice(&bytes[..missing]);
        missing
    }
}

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_function(wrap_pyfunction!(segment, module)?)?;
    module.add_function(wrap_pyfunction!(upper, module)?)?;
    module.add_function(wrap_pyfunction!(outboard, module)?)?;
    module.add_function(wrap_pyfunction!(parent, module)?)?;
    module.add_function(wrap_pyfunction!(chunk_nodes, module)?)?;
    module.add_function(wrap_pyfunction!(base32_text, module)?)?;
    module.add_function(wrap_pyfunction!(dag_cbor_decode, module)?)?;
    module.add_class::<Proven>()?;
    module.add_class::<Subtree>()?;
    module.add_class::<crate::extent::ExtentSums>()?;
    module.add_class::<HotEntry>()?;
    module.add_class::<crate::large::LargeEntry>()?;
    module.add_class::<HotPath>()?;
    module.add_class::<PbNode>()?;
    module.add_class::<SmallFiles>()?;
    module.add_class::<TlsServer>()?;
    module.add_class::<TlsSession>()?;
    module.add("Mismatch", module.py().get_type::<Mismatch>())
}
