//! A borrowed view of any contiguous Python buffer, whatever its item type.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::ffi;
use pyo3::prelude::*;

/// The bytes of a buffer, held until dropped. Its owner cannot resize it meanwhile.
///
/// Another thread may still write into a mutable buffer while it is hashed; then the hash is of no
/// particular moment, exactly as with `hashlib`.
pub struct Borrowed {
    // Boxed: CPython keeps pointers into the struct itself (`shape` may point at `len`).
    view: Box<ffi::Py_buffer>,
}

impl Borrowed {
    pub fn of(object: &Bound<'_, PyAny>) -> PyResult<Self> {
        let py = object.py();
        let mut view = Box::new(ffi::Py_buffer::new());
        // SAFETY: `object` is alive and `view` is a zeroed Py_buffer at a stable address.
        let code = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &mut *view, ffi::PyBUF_SIMPLE) };
        if code == 0 {
            return Ok(Self { view });
        }
        let error = PyErr::fetch(py);
        if error.is_instance_of::<PyTypeError>(py) {
            return Err(PyTypeError::new_err(format!(
                "a bytes-like object is required, not {}",
                object.get_type().name()?
            )));
        }
        Err(PyValueError::new_err(format!("the buffer must be contiguous: {error}")))
    }

    pub fn bytes(&self) -> &[u8] {
        if self.view.len == 0 {
            return &[];
        }
        // SAFETY: PyBUF_SIMPLE promises `len` readable bytes at `buf` until the view is released.
        unsafe { std::slice::from_raw_parts(self.view.buf.cast(), self.view.len as usize) }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        // SAFETY: the view was filled by PyObject_GetBuffer and is released once, with the GIL held:
        // a Borrowed lives only inside entry points, which give the GIL up around hashing alone.
        unsafe { ffi::PyBuffer_Release(&mut *self.view) }
    }
}
