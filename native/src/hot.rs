//! One turn of a kept-alive connection whose request is a GET that was decided before.
//!
//! What it is: `recv`, two dictionary look-ups, one LMDB read, XXH3, `sendmsg`, without a Python frame
//! between them. It decides nothing: tables and transactions are Python's, and whatever is not exactly
//! the expected is handed back untouched for the general way to answer.
//! Who calls: `net.hot_connection` through the port `net.app.HotPath`; made by `gateway.hot`.
//!
//! Invariants
//!  1. The transaction and its view end before `turn` returns (no view outlives the call).
//!  2. Nothing is sent of a value whose length or checksum is not the entry's. What lies in a slot of a pack,
//!     which may be emptied at any time, is checked in the copy that is sent.
//!  3. An entry is used only while the store's generation is the entry's.
//!
//! A body that lies in an extent leaves over many turns: [`crate::large`] has it until it is whole.

use std::cell::RefCell;
use std::io;
use std::mem::MaybeUninit;

use pyo3::exceptions::PyValueError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyTuple};
use twox_hash::XxHash3_64;

use crate::buffer::Borrowed;
use crate::extent::CHECKSUM_FROM_END;
use crate::groups::SEGMENT_BYTES;
use crate::large::{Begun, Bodies, Generation, LargeEntry};

/// A request head is far smaller; what is longer is read on by the general way.
const READ_BYTES: usize = 16 * 1024;
/// From here on the system call is long enough for other threads to have the GIL meanwhile.
const DETACH_BYTES: usize = 64 * 1024;
/// Word of the board that holds the generation (runtime/board.py).
const GENERATION_WORD: usize = 1;

/// What is known of one target: where its first segment lies and what is sent before it.
#[pyclass(frozen, module = "content.bao._native")]
pub struct HotEntry {
    generation: u64,
    head: Py<PyBytes>,
    key: Py<PyBytes>,
    seed: u64,
    first_bytes: usize,
    value_bytes: usize,
    whole: bool,
    hit: Py<PyAny>,
    slot: Option<(u64, i64)>,
}

#[pymethods]
impl HotEntry {
    /// `first_bytes`: content in the first segment; `value_bytes`: length of its stored value;
    /// `whole`: the content is this one segment; `hit`: what `turn` hands back; `slot`: the pack in which
    /// the content lies and where in it, if it is not in the value.
    #[new]
    #[pyo3(signature = (generation, head, key, seed, first_bytes, value_bytes, whole, hit, slot=None))]
    #[allow(clippy::too_many_arguments)]
    fn new(
        generation: u64,
        head: Py<PyBytes>,
        key: Py<PyBytes>,
        seed: u64,
        first_bytes: usize,
        value_bytes: usize,
        whole: bool,
        hit: Py<PyAny>,
        slot: Option<(u64, i64)>,
    ) -> PyResult<Self> {
        let inside_bytes = if slot.is_some() { 0 } else { first_bytes };
        if first_bytes == 0 || value_bytes < inside_bytes.saturating_add(CHECKSUM_FROM_END) {
            return Err(PyValueError::new_err("a stored value is longer than the content in it"));
        }
        if first_bytes > SEGMENT_BYTES {
            return Err(PyValueError::new_err("a segment is not that long"));
        }
        Ok(Self { generation, head, key, seed, first_bytes, value_bytes, whole, hit, slot })
    }
}

/// The board's words, held while the hot path lives.
struct Words(Borrowed);
// SAFETY: the buffer is a shared map that never moves; it is released with the GIL held, when Python
// drops the object that owns this.
unsafe impl Send for Words {}
unsafe impl Sync for Words {}

/// The table of entries and what it takes to read the store.
#[pyclass(frozen, module = "content.bao._native")]
pub struct HotPath {
    // first: its thread reads the board, and ends before that is released
    bodies: Bodies,
    entries: Py<PyDict>,
    begin: Py<PyAny>,
    generation: Generation,
    _words: Words,
    packs: Py<PyDict>,
}

thread_local! {
    /// Where the content of a slot is copied to be checked and sent; it stays in the core's cache.
    static COPY: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

enum Sent {
    All,
    Part(usize),
    Begun,
    Nothing,
}

#[pymethods]
impl HotPath {
    /// `entries`: target -> HotEntry or LargeEntry; `words`: the board; `begin`: opens a transaction of views;
    /// `packs`, `extents`: those that are open, by number.
    #[new]
    fn new(
        entries: Py<PyDict>,
        words: &Bound<'_, PyAny>,
        begin: Py<PyAny>,
        packs: Py<PyDict>,
        extents: Py<PyDict>,
    ) -> PyResult<Self> {
        let words = Words(Borrowed::of(words)?);
        if words.0.bytes().len() < 8 * (GENERATION_WORD + 1) {
            return Err(PyValueError::new_err("the board has too few words"));
        }
        let board: *const u64 = words.0.bytes().as_ptr().cast();
        // SAFETY: it has this word, see above.
        let generation = Generation(unsafe { board.add(GENERATION_WORD) });
        let bodies = Bodies::new(extents, generation)?;
        Ok(Self { bodies, entries, begin, generation, _words: words, packs })
    }

    /// Read once from `fd` and answer if that is a known GET.
    ///
    /// Returns the entry's hit when head and content were sent whole; `(data, hit, taken)` when the
    /// kernel took a part of them; `(data, hit)` when the rest will follow (`ended` tells of `owner`); else the
    /// bytes that were read. Raises OSError, BlockingIOError too.
    fn turn<'py>(
        &self,
        py: Python<'py>,
        fd: i32,
        plain: &Bound<'py, PyDict>,
        opening: &Bound<'py, PyBytes>,
        owner: Py<PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let mut room = [const { MaybeUninit::<u8>::uninit() }; READ_BYTES];
        let data = receive(fd, &mut room)?;
        let Some(entry) = self.entry(py, plain, data)? else { return Ok(PyBytes::new(py, data).into_any()) };
        let (sent, hit) = match entry.cast::<LargeEntry>() {
            Ok(large) => (self.send_large(py, fd, large.get(), opening, owner)?, &large.get().hit),
            Err(_) => {
                let entry = entry.cast::<HotEntry>()?.get();
                (self.send(py, fd, entry, opening)?, &entry.hit)
            }
        };
        let hit = hit.bind(py).clone();
        let data = PyBytes::new(py, data).into_any();
        Ok(match sent {
            Sent::All => hit,
            Sent::Nothing => data,
            Sent::Part(taken) => PyTuple::new(py, [data, hit, taken.into_pyobject(py)?.into_any()])?.into_any(),
            Sent::Begun => PyTuple::new(py, [data, hit])?.into_any(),
        })
    }

    /// Readable when `ended` has something to tell.
    fn fileno(&self) -> i32 {
        self.bodies.fileno()
    }

    /// `(owner, whole)` of each body that ended since it was asked last; one that is not whole is to be taken back.
    fn ended(&self, py: Python<'_>) -> Vec<(Py<PyAny>, bool)> {
        self.bodies.ended(py)
    }

    /// Bytes of head and body that left so far of what was begun on `fd`; None: nothing is.
    fn taken_bytes(&self, fd: i32) -> Option<usize> {
        self.bodies.taken_bytes(fd)
    }

    /// The same, and nothing more of it is sent.
    fn take_back(&self, py: Python<'_>, fd: i32) -> Option<usize> {
        self.bodies.take_back(py, fd)
    }
}

impl HotPath {
    /// The entry for a request that is exactly `GET target` and a header block known to be plain.
    fn entry<'py>(
        &self,
        py: Python<'py>,
        plain: &Bound<'py, PyDict>,
        data: &[u8],
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let Some(rest) = data.strip_prefix(b"GET ") else { return Ok(None) };
        let Some(end) = rest.iter().position(|&byte| byte == b' ') else { return Ok(None) };
        if !plain.contains(PyBytes::new(py, &rest[end + 1..]))? {
            return Ok(None);
        }
        self.entries.bind(py).get_item(PyBytes::new(py, &rest[..end]))
    }

    fn send_large(
        &self,
        py: Python<'_>,
        fd: i32,
        entry: &LargeEntry,
        opening: &Bound<'_, PyBytes>,
        owner: Py<PyAny>,
    ) -> PyResult<Sent> {
        if self.generation.now() != entry.generation {
            return Ok(Sent::Nothing);
        }
        let Some(ready) = self.bodies.ready(py, entry)? else { return Ok(Sent::Nothing) };
        let head = [opening.as_bytes(), entry.head.bind(py).as_bytes(), &[]];
        let head_bytes = head.iter().map(|part| part.len()).sum();
        let taken = transmit(fd, &head, libc::MSG_MORE);
        if taken < head_bytes {
            return Ok(if taken == 0 { Sent::Nothing } else { Sent::Part(taken) });
        }
        Ok(match self.bodies.begin(py, fd, entry, ready, owner, head_bytes) {
            Begun::Whole => Sent::All,
            Begun::Goes => Sent::Begun,
            Begun::Declined(at) => Sent::Part(head_bytes + at),
        })
    }

    fn send<'py>(&self, py: Python<'py>, fd: i32, entry: &HotEntry, opening: &Bound<'py, PyBytes>) -> PyResult<Sent> {
        if self.generation.now() != entry.generation {
            return Ok(Sent::Nothing);
        }
        let txn = self.begin.bind(py).call0()?;
        let sent = self.send_value(py, &txn, fd, entry, opening);
        txn.call_method0(intern!(py, "abort"))?;
        sent
    }

    fn send_value<'py>(
        &self,
        py: Python<'py>,
        txn: &Bound<'py, PyAny>,
        fd: i32,
        entry: &HotEntry,
        opening: &Bound<'py, PyBytes>,
    ) -> PyResult<Sent> {
        let value = txn.call_method1(intern!(py, "get"), (&entry.key,))?;
        if value.is_none() {
            return Ok(Sent::Nothing);
        }
        let view = Borrowed::of(&value)?;
        let value = view.bytes();
        if value.len() != entry.value_bytes {
            return Ok(Sent::Nothing);
        }
        let at = entry.value_bytes - CHECKSUM_FROM_END;
        let checksum = u64::from_le_bytes(value[at..at + 8].try_into().expect("eight bytes"));
        let (opening, head, seed) = (opening.as_bytes(), entry.head.bind(py).as_bytes(), entry.seed);
        let length = opening.len() + head.len() + entry.first_bytes;
        let checked = move |content: &[u8]| {
            (XxHash3_64::oneshot_with_seed(seed, content) == checksum)
                .then(|| transmit(fd, &[opening, head, content], 0))
        };
        let taken = match entry.slot {
            None => {
                let work = || checked(&value[..entry.first_bytes]);
                if entry.first_bytes > DETACH_BYTES { py.detach(work) } else { work() }
            }
            Some((pack, offset)) => {
                let Some(pack) = self.packs.bind(py).get_item(pack)? else { return Ok(Sent::Nothing) };
                let pack_fd: i32 = pack.getattr(intern!(py, "fd"))?.extract()?;
                let work = || with_copy(pack_fd, offset, entry.first_bytes, checked);
                if entry.first_bytes > DETACH_BYTES { py.detach(work) } else { work() }
            }
        };
        Ok(match taken {
            None => Sent::Nothing,
            Some(taken) if entry.whole && taken == length => Sent::All,
            Some(taken) => Sent::Part(taken),
        })
    }
}

/// What `work` makes of a copy of `bytes` of a file; None where they cannot be had.
fn with_copy(fd: i32, offset: i64, bytes: usize, work: impl Fn(&[u8]) -> Option<usize>) -> Option<usize> {
    COPY.with_borrow_mut(|room| {
        room.resize(SEGMENT_BYTES, 0);
        // SAFETY: the kernel writes at most `bytes`, fewer than there is room for.
        let got = unsafe { libc::pread(fd, room.as_mut_ptr().cast(), bytes, offset) };
        if usize::try_from(got) == Ok(bytes) { work(&room[..bytes]) } else { None }
    })
}

fn receive(fd: i32, room: &mut [MaybeUninit<u8>]) -> io::Result<&[u8]> {
    // SAFETY: the kernel writes at most `len` bytes, and `count` of them are then initialised.
    unsafe {
        let count = libc::recv(fd, room.as_mut_ptr().cast(), room.len(), libc::MSG_DONTWAIT);
        if count < 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(std::slice::from_raw_parts(room.as_ptr().cast(), count as usize))
    }
}

/// One `sendmsg`; what it did not take, and an error, are both for the general way to meet again.
fn transmit(fd: i32, parts: &[&[u8]; 3], flags: i32) -> usize {
    let mut vectors = parts.map(|part| libc::iovec { iov_base: part.as_ptr().cast_mut().cast(), iov_len: part.len() });
    // SAFETY: the vectors point into buffers that outlive the call; sendmsg only reads them.
    unsafe {
        let mut message: libc::msghdr = std::mem::zeroed();
        message.msg_iov = vectors.as_mut_ptr();
        message.msg_iovlen = vectors.len() as _;
        let count = libc::sendmsg(fd, &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL | flags);
        usize::try_from(count).unwrap_or(0)
    }
}
