//! Bodies that lie in extents, sent by a thread of their own: check, `sendfile`, wait for room.
//!
//! What it is: sockets that wait to take more of a body, in an epoll set that one thread looks after, without
//! Python and its lock; a page that has to come from the disk holds up other large bodies and nobody else. What it
//! is not: a way to answer. A body whose next segment is not known, is damaged, was removed, or whose socket
//! broke is given back untouched for the general way to go on with or to end.
//! Who calls: `net.hot_connection` and `net.serving` through the port `net.app.HotPath`, by way of [`crate::hot`].
//!
//! Invariants
//!  1. Nothing is sent that `Sums` did not vouch for in the same turn.
//!  2. A body is sent only while the store's generation is the entry's; what was removed is let go of within a second.
//!  3. After `take_back` the thread does not touch the socket any more.
//!  4. The thread never waits for Python, and nobody waits for the thread with Python's lock held.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict};

use crate::extent::{ExtentSums, Sums};
use crate::groups::SEGMENT_BYTES;
use crate::lend::{TURN_BYTES, Turn, hand_over, lend};

const EVENTS: usize = 64;
/// How often bodies whose clients take nothing are looked at.
const LOOK_S: Duration = Duration::from_secs(1);
/// How long the news of a whole body may wait: by then the next request on its connection has mostly come, which
/// asks by itself (`take_back`), and the event loop was spared a turn.
const NEWS_S: Duration = Duration::from_millis(10);
/// What the thread's set calls the descriptor that tells it to stop.
const STOP: u64 = 0;

/// What is known of one target whose content lies in an extent.
#[pyclass(frozen, module = "content.bao._native")]
pub struct LargeEntry {
    pub generation: u64,
    pub head: Py<PyBytes>,
    number: u64,
    size_bytes: usize,
    pub hit: Py<PyAny>,
}

#[pymethods]
impl LargeEntry {
    /// `number`: of the extent, in which the content has `size_bytes`; `hit`: what `turn` hands back.
    #[new]
    fn new(generation: u64, head: Py<PyBytes>, number: u64, size_bytes: usize, hit: Py<PyAny>) -> Self {
        Self { generation, head, number, size_bytes, hit }
    }
}

/// A body that may be begun; so much of it was checked lately.
pub struct Ready {
    sums: Arc<Sums>,
    fresh_bytes: usize,
}

/// How a body was begun.
pub enum Begun {
    Whole,
    /// `ended` will tell of its end.
    Goes,
    /// This much of it has left; the rest is not for the thread.
    Declined(usize),
}

/// The store's generation, as the board has it.
#[derive(Clone, Copy)]
pub struct Generation(pub *const u64);
// SAFETY: the board is a shared map that never moves; `Bodies` joins its thread before the map is released.
unsafe impl Send for Generation {}
unsafe impl Sync for Generation {}

impl Generation {
    pub fn now(self) -> u64 {
        // SAFETY: page-aligned; other processes write it as one aligned store, so it is read anew as one load.
        unsafe { self.0.read_volatile() }
    }
}

struct Body {
    id: u64,
    fd: i32,
    sums: Arc<Sums>,
    size_bytes: usize,
    generation: u64,
    /// How far it was sent; for those who must not wait for `turn`.
    at: AtomicUsize,
    /// Held for the time of a turn; false once it was taken back or has ended.
    turn: Mutex<bool>,
}

/// What the thread and its process share.
struct Shared {
    poll: OwnedFd,
    stop: OwnedFd,
    bell: OwnedFd,
    stopped: AtomicBool,
    generation: Generation,
    going: Mutex<HashMap<u64, Arc<Body>>>,
    ended: Mutex<Vec<(i32, u64, bool)>>,
}

struct Owned {
    body: Arc<Body>,
    owner: Py<PyAny>,
    head_bytes: usize,
}

/// The bodies being sent by one process.
pub struct Bodies {
    shared: Arc<Shared>,
    extents: Py<PyDict>,
    owned: Mutex<HashMap<i32, Owned>>,
    next_id: AtomicUsize,
    thread: OnceLock<Option<JoinHandle<()>>>,
}

impl Bodies {
    /// `extents`: those that are open, by number; each has its `sums`.
    pub fn new(extents: Py<PyDict>, generation: Generation) -> io::Result<Self> {
        // SAFETY: fresh descriptors, owned from here on.
        let (poll, stop, bell) = unsafe {
            (
                owned(libc::epoll_create1(libc::EPOLL_CLOEXEC))?,
                owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?,
                owned(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK))?,
            )
        };
        watch(&poll, stop.as_raw_fd(), libc::EPOLLIN, STOP)?;
        let shared = Shared {
            poll,
            stop,
            bell,
            stopped: AtomicBool::new(false),
            generation,
            going: Mutex::default(),
            ended: Mutex::default(),
        };
        Ok(Self {
            shared: Arc::new(shared),
            extents,
            owned: Mutex::default(),
            next_id: AtomicUsize::new(1),
            thread: OnceLock::new(),
        })
    }

    /// Readable when `ended` has something to tell.
    pub fn fileno(&self) -> i32 {
        self.shared.bell.as_raw_fd()
    }

    /// What the body of `entry` may be begun with now, if its first segment is intact.
    pub fn ready(&self, py: Python<'_>, entry: &LargeEntry) -> PyResult<Option<Ready>> {
        let Some(extent) = self.extents.bind(py).get_item(entry.number)? else { return Ok(None) };
        let sums = extent.getattr(intern!(py, "sums"))?;
        let Ok(sums) = sums.cast::<ExtentSums>() else { return Ok(None) };
        let sums = sums.get().sums.clone();
        let (turn, first) = (entry.size_bytes.min(TURN_BYTES), entry.size_bytes.min(SEGMENT_BYTES));
        if sums.is_fresh(0, turn) {
            return Ok(Some(Ready { sums, fresh_bytes: turn }));
        }
        let intact = py.detach(|| sums.intact(0, first)) == first;
        Ok(intact.then_some(Ready { sums, fresh_bytes: 0 }))
    }

    /// Send the body of `entry` on `fd`, behind its head of `head_bytes`.
    ///
    /// What was checked lately is in memory, and its first turn needs no other thread.
    pub fn begin(
        &self,
        py: Python<'_>,
        fd: i32,
        entry: &LargeEntry,
        ready: Ready,
        owner: Py<PyAny>,
        head_bytes: usize,
    ) -> Begun {
        let (size_bytes, sums) = (entry.size_bytes, ready.sums);
        let mut at = 0;
        if ready.fresh_bytes > 0 {
            match py.detach(|| hand_over(&sums, fd, 0, ready.fresh_bytes, size_bytes)) {
                Turn::Whole => return Begun::Whole,
                Turn::Waits(taken) => at = taken,
                Turn::Declined => return Begun::Declined(0),
            }
        }
        if self.thread.get_or_init(|| spawn(&self.shared)).is_none() {
            return Begun::Declined(at);
        }
        let id = self.next_id.fetch_add(1, Ordering::Relaxed) as u64;
        let generation = entry.generation;
        let at_now = AtomicUsize::new(at);
        let body = Arc::new(Body { id, fd, sums, size_bytes, generation, at: at_now, turn: Mutex::new(true) });
        let before = locked(&self.owned).insert(fd, Owned { body: body.clone(), owner, head_bytes });
        drop(before); // not while the table is locked
        locked(&self.shared.going).insert(id, body);
        if watch(&self.shared.poll, fd, libc::EPOLLOUT, id).is_err() {
            self.take_back(py, fd);
            return Begun::Declined(at);
        }
        Begun::Goes
    }

    /// The owners of bodies that ended since it was asked last, and whether each is whole.
    pub fn ended(&self, py: Python<'_>) -> Vec<(Py<PyAny>, bool)> {
        let mut count = 0_u64;
        // SAFETY: an eventfd is read as eight bytes; that it is empty does no harm.
        unsafe { libc::read(self.fileno(), (&raw mut count).cast(), 8) };
        let ended = std::mem::take(&mut *locked(&self.shared.ended));
        let mut told = Vec::with_capacity(ended.len());
        for (fd, id, whole) in ended {
            let mut owned = locked(&self.owned);
            if owned.get(&fd).is_none_or(|each| each.body.id != id) {
                continue; // it was taken back meanwhile
            }
            let found = if whole { owned.remove(&fd).map(|each| each.owner) } else { None };
            let owner = found.or_else(|| owned.get(&fd).map(|each| each.owner.clone_ref(py)));
            drop(owned);
            told.extend(owner.map(|owner| (owner, whole)));
        }
        told
    }

    /// Bytes of head and body that have left so far.
    pub fn taken_bytes(&self, fd: i32) -> Option<usize> {
        locked(&self.owned).get(&fd).map(|each| each.head_bytes + each.body.at.load(Ordering::Acquire))
    }

    /// The same, and have nothing to do with the socket any more. Waits for the end of a turn.
    pub fn take_back(&self, py: Python<'_>, fd: i32) -> Option<usize> {
        let each = locked(&self.owned).remove(&fd)?;
        locked(&self.shared.going).remove(&each.body.id);
        unwatch(&self.shared.poll, fd);
        let body = &each.body;
        py.detach(|| *locked(&body.turn) = false);
        locked(&self.shared.ended).retain(|(_, id, _)| *id != body.id);
        Some(each.head_bytes + body.at.load(Ordering::Acquire))
    }
}

impl Drop for Bodies {
    fn drop(&mut self) {
        self.shared.stopped.store(true, Ordering::Release);
        ring(&self.shared.stop);
        if let Some(Some(thread)) = self.thread.take() {
            let _ = thread.join(); // it needs no lock of ours: no deadlock
        }
    }
}

fn spawn(shared: &Arc<Shared>) -> Option<JoinHandle<()>> {
    let shared = shared.clone();
    std::thread::Builder::new().name("large-bodies".into()).spawn(move || shared.run()).ok()
}

impl Shared {
    /// The thread.
    fn run(&self) {
        // SAFETY: signals are for the threads that know what to do with them.
        unsafe {
            let mut all = std::mem::zeroed();
            libc::sigfillset(&raw mut all);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const all, std::ptr::null_mut());
        }
        let mut looked = Instant::now();
        let mut news: Option<Instant> = None;
        let mut events = [libc::epoll_event { events: 0, u64: 0 }; EVENTS];
        while !self.stopped.load(Ordering::Acquire) {
            let (most, wait) = (EVENTS as i32, if news.is_some() { NEWS_S } else { LOOK_S });
            // SAFETY: the kernel writes at most as many events as there is room for.
            let count =
                unsafe { libc::epoll_wait(self.poll.as_raw_fd(), events.as_mut_ptr(), most, wait.as_millis() as i32) };
            for event in &events[..usize::try_from(count).unwrap_or(0)] {
                let id = event.u64;
                let body = locked(&self.going).get(&id).cloned();
                if let Some(body) = body {
                    self.turn(&body);
                }
            }
            if looked.elapsed() >= LOOK_S {
                looked = Instant::now();
                self.look();
            }
            news = if locked(&self.ended).is_empty() { None } else { news.or_else(|| Some(Instant::now())) };
            if news.is_some_and(|since| since.elapsed() >= NEWS_S) {
                ring(&self.bell);
                news = None;
            }
        }
    }

    fn turn(&self, body: &Body) {
        let mut goes = locked(&body.turn);
        if !*goes {
            return;
        }
        let at = body.at.load(Ordering::Acquire);
        let turn = if self.generation.now() == body.generation {
            lend(&body.sums, body.fd, at, body.size_bytes)
        } else {
            Turn::Declined
        };
        let whole = match turn {
            Turn::Waits(now) => {
                body.at.store(now, Ordering::Release);
                return;
            }
            Turn::Whole => {
                body.at.store(body.size_bytes, Ordering::Release);
                true
            }
            Turn::Declined => false,
        };
        *goes = false;
        unwatch(&self.poll, body.fd);
        drop(goes);
        locked(&self.going).remove(&body.id);
        locked(&self.ended).push((body.fd, body.id, whole));
        if !whole {
            ring(&self.bell);
        }
    }

    /// Give back bodies of another generation, also those whose clients take nothing.
    fn look(&self) {
        let now = self.generation.now();
        let old: Vec<_> = locked(&self.going).values().filter(|body| body.generation != now).cloned().collect();
        for body in old {
            self.turn(&body);
        }
    }
}

fn owned(fd: i32) -> io::Result<OwnedFd> {
    // SAFETY: a descriptor that was just made and that nobody else has.
    if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(unsafe { OwnedFd::from_raw_fd(fd) }) }
}

fn watch(poll: &OwnedFd, fd: i32, what: i32, id: u64) -> io::Result<()> {
    let mut event = libc::epoll_event { events: what as u32, u64: id };
    // SAFETY: the event outlives the call.
    match unsafe { libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_ADD, fd, &raw mut event) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

fn unwatch(poll: &OwnedFd, fd: i32) {
    // SAFETY: no event is read with DEL. A descriptor that is not watched any more does no harm.
    unsafe { libc::epoll_ctl(poll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, std::ptr::null_mut()) };
}

fn ring(bell: &OwnedFd) {
    let one = 1_u64;
    // SAFETY: an eventfd is written as eight bytes; one that is full rings already.
    unsafe { libc::write(bell.as_raw_fd(), (&raw const one).cast(), 8) };
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
