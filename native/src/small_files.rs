//! Small files, many in one call: opened, read and hashed without the GIL, and written where they are to lie.
//!
//! What `add` of ten thousand small files costs beside hashing is Python's lock: each call that gives it up
//! queues for it again. Here a hand of files is one call. It decides nothing: whatever is not a plain file that
//! is still as small as it was when it was listed is left to the general way, which also says what is wrong
//! with it. Who calls: `tools.edge.reading` to read, `blockstore.bundle` to store.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes};
use twox_hash::XxHash3_64;

use crate::groups::{self, GROUP_BYTES, SEGMENT_BYTES};
use crate::python::fenced;
use crate::sha2_256;
use crate::simd::{Cv, NODE_BYTES, Simd};

/// A hand has 64 files of at most a segment each; what is asked beyond is refused, so memory is bounded.
const FILES_MAX: usize = 64;

/// A file that was read whole.
struct Found {
    start: usize,
    stop: usize,
    announced: u64,
    mode: u32,
    mtime: (i64, i64),
    sha2_256: [u8; 32],
    root: Cv,
    nodes: Vec<u8>,
}

/// What was read of one hand of files, by their places in the list that was given.
#[pyclass(frozen, module = "content.bao._native")]
pub struct SmallFiles {
    bytes: Vec<u8>,
    found: Vec<Option<Found>>,
}

type Told<'py> = (u32, (i64, i64), u64, Bound<'py, PyBytes>, Bound<'py, PyBytes>, Bound<'py, PyBytes>, usize);

#[pymethods]
impl SmallFiles {
    /// Read the files at `paths`, at most 64; the last part of a path may be a symlink only with `follow`.
    /// `size_bytes`: how much they are likely to hold together.
    #[new]
    fn new(py: Python<'_>, paths: Vec<Vec<u8>>, follow: bool, size_bytes: usize) -> PyResult<Self> {
        if paths.len() > FILES_MAX {
            return Err(PyValueError::new_err(format!("at most {FILES_MAX} files at a time, not {}", paths.len())));
        }
        fenced(py, usize::MAX, || {
            let simd = Simd::detected();
            let mut bytes = Vec::with_capacity(size_bytes.min(FILES_MAX * SEGMENT_BYTES) + paths.len());
            let mut found: Vec<_> = paths.into_iter().map(|path| read(path, follow, &mut bytes)).collect();
            hash(&simd, &bytes, found.iter_mut().flatten().collect());
            Self { bytes, found }
        })
    }

    /// (mode, mtime in s and ns, size when it was opened, SHA2-256, BLAKE3 root, group nodes, bytes read) of file `place`;
    /// None where the general way has to look at it.
    fn told<'py>(&self, py: Python<'py>, place: usize) -> PyResult<Option<Told<'py>>> {
        Ok(self.place(place)?.map(|each| {
            (
                each.mode,
                each.mtime,
                each.announced,
                PyBytes::new(py, &each.sha2_256),
                PyBytes::new(py, &each.root),
                PyBytes::new(py, &each.nodes),
                each.stop - each.start,
            )
        }))
    }

    /// A copy of the bytes of file `place`, which was told.
    fn data<'py>(&self, py: Python<'py>, place: usize) -> PyResult<Bound<'py, PyByteArray>> {
        Ok(PyByteArray::new(py, self.read_bytes(place)?))
    }

    /// Write files where they are to lie: each of `places` is (place, descriptor, offset, seed).
    ///
    /// Returns the XXH3 of each under its seed. With `soon` the kernel is asked to begin with the disk's part.
    /// Raises OSError.
    fn store(&self, py: Python<'_>, places: Vec<(usize, i32, u64, u64)>, soon: bool) -> PyResult<Vec<u64>> {
        let mut jobs = Vec::with_capacity(places.len());
        for (place, fd, offset, seed) in places {
            jobs.push((self.read_bytes(place)?, fd, offset, seed));
        }
        let done = fenced(py, usize::MAX, || {
            jobs.iter().try_for_each(|(bytes, fd, offset, _)| write(*fd, bytes, *offset))?;
            if soon {
                begin_writeback(&jobs);
            }
            Ok(jobs.iter().map(|(bytes, _, _, seed)| XxHash3_64::oneshot_with_seed(*seed, bytes)).collect())
        })?;
        done.map_err(|error: io::Error| PyOSError::new_err((error.raw_os_error().unwrap_or(0), error.to_string())))
    }
}

impl SmallFiles {
    fn place(&self, place: usize) -> PyResult<Option<&Found>> {
        self.found.get(place).map(Option::as_ref).ok_or_else(|| PyValueError::new_err("there is no such file"))
    }

    fn read_bytes(&self, place: usize) -> PyResult<&[u8]> {
        let found = self.place(place)?.ok_or_else(|| PyValueError::new_err("that file was not read"))?;
        Ok(&self.bytes[found.start..found.stop])
    }
}

fn read(path: Vec<u8>, follow: bool, bytes: &mut Vec<u8>) -> Option<Found> {
    let path = CString::new(path).ok()?;
    // not blocking: what was a file when the folder was listed may be a pipe by now
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NONBLOCK | if follow { 0 } else { libc::O_NOFOLLOW };
    // SAFETY: `path` ends in a zero and lives; the descriptor is nobody else's.
    let file = match unsafe { libc::open(path.as_ptr(), flags) } {
        -1 => return None,
        fd => unsafe { OwnedFd::from_raw_fd(fd) },
    };
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: the descriptor is open and `stat` has room for what is written.
    if unsafe { libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: fstat succeeded.
    let stat = unsafe { stat.assume_init() };
    if stat.st_mode & libc::S_IFMT != libc::S_IFREG || stat.st_size < 0 || stat.st_size as usize > SEGMENT_BYTES {
        return None;
    }
    let (start, size) = (bytes.len(), stat.st_size as usize);
    fill(file.as_raw_fd(), size + 1, bytes)?;
    if bytes.len() - start > size {
        bytes.truncate(start);
        return None;
    }
    Some(Found {
        start,
        stop: bytes.len(),
        announced: stat.st_size as u64,
        mode: stat.st_mode,
        mtime: (stat.st_mtime, stat.st_mtime_nsec),
        sha2_256: [0; 32],
        root: [0; 32],
        nodes: Vec::new(),
    })
}

/// Hash what was read; two files at a time that are about as long as one another.
fn hash(simd: &Simd, bytes: &[u8], mut found: Vec<&mut Found>) {
    for each in &mut found {
        let data = &bytes[each.start..each.stop];
        each.nodes = vec![0; (data.len().div_ceil(GROUP_BYTES).max(1) - 1) * NODE_BYTES];
        each.root = groups::segment(simd, data, 0, true, &mut each.nodes);
    }
    found.sort_unstable_by_key(|each| each.stop - each.start);
    for pair in found.chunks_mut(2) {
        match pair {
            [first, second] => {
                [first.sha2_256, second.sha2_256] =
                    sha2_256::pair(&bytes[first.start..first.stop], &bytes[second.start..second.stop]);
            }
            [last] => last.sha2_256 = sha2_256::alone(&bytes[last.start..last.stop]),
            _ => unreachable!("chunks of two have one or two"),
        }
    }
}

/// Append up to `most` bytes of a file to `bytes`, fewer at its end; None, and nothing appended, when it fails.
fn fill(fd: i32, most: usize, bytes: &mut Vec<u8>) -> Option<()> {
    let start = bytes.len();
    bytes.reserve(most);
    while bytes.len() - start < most {
        let (at, room) = (bytes.len(), most - (bytes.len() - start));
        // SAFETY: `room` bytes behind `at` are reserved, and only those that were read are counted in.
        let got = unsafe { libc::read(fd, bytes.as_mut_ptr().add(at).cast(), room) };
        if got < 0 {
            if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
                continue;
            }
            bytes.truncate(start);
            return None;
        }
        // SAFETY: `got` bytes were written there, and `got` is at most `room`.
        unsafe { bytes.set_len(at + got as usize) };
        if got == 0 || at + got as usize - start == most - 1 {
            break; // short of the one byte more that was asked for: its end
        }
    }
    Some(())
}

/// Ask the kernel to begin with what was written, once a file: slots in a row go to the disk as one.
#[cfg(target_os = "linux")]
fn begin_writeback(jobs: &[(&[u8], i32, u64, u64)]) {
    let mut at = 0;
    while at < jobs.len() {
        let fd = jobs[at].1;
        let same = jobs[at..].iter().take_while(|job| job.1 == fd).count();
        let start = jobs[at..at + same].iter().map(|job| job.2).min().expect("at least one");
        let stop = jobs[at..at + same].iter().map(|job| job.2 + job.0.len() as u64).max().expect("at least one");
        // SAFETY: plain numbers. Whether it could is of no moment: what must be on the disk is synced later.
        unsafe { libc::sync_file_range(fd, start as i64, (stop - start) as i64, libc::SYNC_FILE_RANGE_WRITE) };
        at += same;
    }
}

#[cfg(not(target_os = "linux"))]
fn begin_writeback(_: &[(&[u8], i32, u64, u64)]) {}

fn write(fd: i32, bytes: &[u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < bytes.len() {
        let rest = &bytes[done..];
        // SAFETY: `rest` is readable for its length.
        let wrote = unsafe { libc::pwrite(fd, rest.as_ptr().cast(), rest.len(), (offset + done as u64) as i64) };
        match wrote {
            -1 if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            -1 => return Err(io::Error::last_os_error()),
            0 => return Err(io::Error::from_raw_os_error(libc::EIO)),
            wrote => done += wrote as usize,
        }
    }
    Ok(())
}
