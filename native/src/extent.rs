//! What is known of the bytes of one extent: their checksums, and until when a check holds (docs/decisions/0026).
//!
//! What a large body costs beside the kernel's part is reading its bytes to check them. A check is therefore
//! good for five seconds, while the file's `ctime` and size say that nobody wrote to it: many who fetch the same
//! thing share it. It decides nothing: which segments were proven to BLAKE3 is `blockstore.blob`'s to say, and
//! only those are ever learned here.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use pyo3::intern;
use pyo3::prelude::*;
use twox_hash::XxHash3_64;

use crate::buffer::Borrowed;
use crate::groups::{GROUP_BYTES, SEGMENT_BYTES};
use crate::simd::NODE_BYTES;

const TRAILER_BYTES: usize = 24;
/// The checksum of a segment's data lies here, counted from the end of its value (docs/formats/store.md).
pub const CHECKSUM_FROM_END: usize = 16;
/// Mixes a storage id into seeds (blockstore/segment.py).
const ID_MULTIPLIER: u64 = 0x9E37_79B9_7F4A_7C15;
/// Segments remembered of one extent, 4 GiB; of a longer one those that were sent last.
const KNOWN_MAX: usize = 16_384;
/// How long a check holds at most: what a disk may do to a page that left the cache and came back meanwhile.
const FRESH_NS: i64 = 5_000_000_000;
/// A clock of files may stand still for some milliseconds. What changed so lately may change again unseen.
const SETTLED_NS: i64 = 100_000_000;

#[derive(Clone, Copy, Default)]
struct Known {
    number_plus_1: u32,
    sum: u64,
    checked_ns: i64,
}

/// What a file says of its last change.
#[derive(Clone, Copy, Default, PartialEq)]
struct Stamp {
    size: i64,
    changed_ns: i64,
}

struct State {
    stamp: Stamp,
    known: Vec<Known>,
}

/// The checksums of an open extent, with a descriptor and a map of its own: whoever sends of it holds them.
pub struct Sums {
    fd: OwnedFd,
    map: *const u8,
    map_bytes: usize,
    storage_id: u64,
    state: Mutex<State>,
}

// SAFETY: the map is read-only, never moves and is taken away in `drop` alone.
unsafe impl Send for Sums {}
unsafe impl Sync for Sums {}

/// The same for Python.
#[pyclass(frozen, module = "content.bao._native")]
pub struct ExtentSums {
    pub sums: Arc<Sums>,
}

#[pymethods]
impl ExtentSums {
    #[new]
    fn new(fd: i32, storage_id: u64) -> PyResult<Self> {
        Ok(Self { sums: Arc::new(Sums::of(fd, storage_id)?) })
    }

    /// How many bytes from segment `first` on match their checksums, in whole segments, to `stop` at most.
    ///
    /// `stop` is the end of a segment; all before it are full. `txn` gives the values of those that are not known
    /// yet, which are let go of before hashing begins. The caller vouches that they were proven.
    fn intact_bytes(&self, txn: &Bound<'_, PyAny>, first: u32, stop: usize) -> PyResult<usize> {
        let (py, sums) = (txn.py(), &self.sums);
        for number in sums.unknown(first, stop) {
            let data_bytes = (stop - number as usize * SEGMENT_BYTES).min(SEGMENT_BYTES);
            let Some(sum) = checksum(py, txn, sums.storage_id, number, data_bytes)? else { break };
            *sums.locked().place(number) = Known { number_plus_1: number + 1, sum, checked_ns: 0 };
        }
        Ok(py.detach(|| sums.intact(first, stop)))
    }
}

impl Sums {
    fn of(fd: i32, storage_id: u64) -> io::Result<Self> {
        // SAFETY: a fresh descriptor, owned from here on; the kernel refuses one that is not open.
        let fd = unsafe {
            let copy = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0);
            if copy < 0 {
                return Err(io::Error::last_os_error());
            }
            OwnedFd::from_raw_fd(copy)
        };
        let size = Stamp::of(fd.as_raw_fd()).ok_or_else(io::Error::last_os_error)?.size;
        let map_bytes = usize::try_from(size).unwrap_or(0);
        // SAFETY: a fresh read-only map of an open file.
        let map = unsafe {
            libc::mmap(std::ptr::null_mut(), map_bytes, libc::PROT_READ, libc::MAP_SHARED, fd.as_raw_fd(), 0)
        };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let places = map_bytes.div_ceil(SEGMENT_BYTES).clamp(1, KNOWN_MAX);
        let state = State { stamp: Stamp::default(), known: vec![Known::default(); places] };
        Ok(Self { fd, map: map.cast(), map_bytes, storage_id, state: Mutex::new(state) })
    }

    pub fn fd(&self) -> i32 {
        self.fd.as_raw_fd()
    }

    /// As `intact_bytes`, of what is known alone. Needs no GIL.
    pub fn intact(&self, first: u32, stop: usize) -> usize {
        let Some(stamp) = Stamp::of(self.fd()) else { return 0 };
        // To touch a page behind the end of a file kills the process
        if stop > self.map_bytes || stamp.size < stop as i64 {
            return 0;
        }
        // SAFETY: the map lives as long as `self`, and the file reaches that far.
        let data = unsafe { std::slice::from_raw_parts(self.map, stop) };
        let now_ns = clock_ns(libc::CLOCK_MONOTONIC_COARSE);
        let settled = clock_ns(libc::CLOCK_REALTIME_COARSE) - stamp.changed_ns >= SETTLED_NS;
        let plan = self.plan(first, stop, stamp);
        let mut intact = 0;
        for known in plan {
            let number = known.number_plus_1 - 1;
            let start = number as usize * SEGMENT_BYTES;
            let part = &data[start..stop.min(start + SEGMENT_BYTES)];
            if known.checked_ns == 0 || now_ns - known.checked_ns >= FRESH_NS {
                let seed = self.storage_id.wrapping_mul(ID_MULTIPLIER).wrapping_add(u64::from(number));
                let matches = XxHash3_64::oneshot_with_seed(seed, part) == known.sum;
                self.checked(number, matches, stamp, if settled { now_ns } else { 0 });
                if !matches {
                    break;
                }
            }
            intact += part.len();
        }
        intact
    }

    /// Whether the checks of all segments from `first` to `stop` hold still. As cheap as a `fstat`.
    pub fn is_fresh(&self, first: u32, stop: usize) -> bool {
        let Some(stamp) = Stamp::of(self.fd()) else { return false };
        let now_ns = clock_ns(libc::CLOCK_MONOTONIC_COARSE);
        let mut state = self.locked();
        let last = stop.div_ceil(SEGMENT_BYTES) as u32;
        state.stamp == stamp
            && (first..last).all(|number| {
                let known = state.place(number);
                known.number_plus_1 == number + 1 && known.checked_ns != 0 && now_ns - known.checked_ns < FRESH_NS
            })
    }

    fn unknown(&self, first: u32, stop: usize) -> Vec<u32> {
        let mut state = self.locked();
        let last = stop.div_ceil(SEGMENT_BYTES) as u32;
        (first..last).filter(|&number| state.place(number).number_plus_1 != number + 1).collect()
    }

    /// The known segments from `first` on, with what was checked before the file was as it is now forgotten.
    fn plan(&self, first: u32, stop: usize, stamp: Stamp) -> Vec<Known> {
        let mut state = self.locked();
        if state.stamp != stamp {
            state.stamp = stamp;
            state.known.iter_mut().for_each(|each| each.checked_ns = 0);
        }
        let last = stop.div_ceil(SEGMENT_BYTES) as u32;
        (first..last)
            .map(|number| (number, *state.place(number)))
            .take_while(|(number, known)| known.number_plus_1 == number + 1)
            .map(|(_, known)| known)
            .collect()
    }

    /// Remember a check that was begun when the file was as `stamp` says; of damage nothing is known any more.
    fn checked(&self, number: u32, matches: bool, stamp: Stamp, now_ns: i64) {
        let mut state = self.locked();
        let unchanged = state.stamp == stamp;
        let known = state.place(number);
        if known.number_plus_1 == number + 1 {
            match matches {
                true if unchanged => known.checked_ns = now_ns,
                true => {}
                false => *known = Known::default(),
            }
        }
    }

    fn locked(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Sums {
    fn drop(&mut self) {
        // SAFETY: mapped in `of`, and nobody has a view of it any more.
        unsafe { libc::munmap(self.map.cast_mut().cast(), self.map_bytes) };
    }
}

impl State {
    fn place(&mut self, number: u32) -> &mut Known {
        let places = self.known.len();
        &mut self.known[number as usize % places]
    }
}

impl Stamp {
    fn of(fd: i32) -> Option<Self> {
        let mut stat = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the kernel fills the structure whole when it returns 0.
        let stat = unsafe {
            if libc::fstat(fd, stat.as_mut_ptr()) != 0 {
                return None;
            }
            stat.assume_init()
        };
        Some(Self { size: stat.st_size, changed_ns: stat.st_ctime * 1_000_000_000 + stat.st_ctime_nsec })
    }
}

fn clock_ns(clock: libc::clockid_t) -> i64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the kernel writes one timespec; these clocks exist since Linux 2.6.32.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec * 1_000_000_000 + time.tv_nsec
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
