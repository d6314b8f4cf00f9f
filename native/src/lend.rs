//! One turn of a body that lies in an extent: check what the socket takes, and lend it to the kernel.
//!
//! Who calls: [`crate::large`], from the event loop for a first turn and from its thread for the others.

use std::io;

use crate::extent::Sums;
use crate::groups::SEGMENT_BYTES;

/// Sent on one connection before others get a turn: measured (docs/decisions/0026). `limits.turn_bytes`, of half as
/// much, is for the general way, which checks and sends on the event loop.
pub const TURN_BYTES: usize = 16 * SEGMENT_BYTES;
const SO_MEMINFO: i32 = 55; // <asm-generic/socket.h>
/// Struct of `<linux/sock_diag.h>`: received, its limit, sent, its limit, forward, queued, …
const MEMINFO_WORDS: usize = 9;
const SEND_LIMIT: usize = 3;
const QUEUED: usize = 5;

/// How a turn of a body ended, after it was sent to `at`.
pub enum Turn {
    Whole,
    Waits(usize),
    Declined,
}

/// Check what the socket has room for and hand it over; of `size` bytes from `at` on.
pub fn lend(sums: &Sums, fd: i32, at: usize, size: usize) -> Turn {
    let first = (at / SEGMENT_BYTES) as u32;
    let base = at - at % SEGMENT_BYTES;
    let most = size.min(base + TURN_BYTES);
    let end = if sums.is_fresh(first, most) {
        most
    } else {
        // Of what has to be read to be checked only as much as the socket takes, in whole segments
        let room = room_bytes(fd);
        if room == 0 {
            return Turn::Waits(at);
        }
        let reach = at.saturating_add(room).next_multiple_of(SEGMENT_BYTES).min(most);
        base + sums.intact(first, reach)
    };
    if end <= at {
        return Turn::Declined;
    }
    hand_over(sums, fd, at, end, size)
}

/// Lend bytes [at, end) of what was checked to the kernel.
pub fn hand_over(sums: &Sums, fd: i32, at: usize, end: usize, size: usize) -> Turn {
    let mut offset = at as libc::off_t;
    // SAFETY: both descriptors are open: `sums` owns its own, and whoever closes the socket takes it back before.
    let sent = unsafe { libc::sendfile(fd, sums.fd(), &raw mut offset, end - at) };
    if sent < 0 {
        return match io::Error::last_os_error().kind() {
            io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Turn::Waits(at),
            _ => Turn::Declined, // broken, or a file system that lends no pages: met again by who may say so
        };
    }
    match at + sent as usize {
        whole if whole == size => Turn::Whole,
        same if same == at => Turn::Declined,
        now => Turn::Waits(now),
    }
}

/// About how many bytes the kernel takes now; 0 while it would not say that the socket is writable (net/wire.py).
fn room_bytes(fd: i32) -> usize {
    let mut words = [0_u32; MEMINFO_WORDS];
    let mut length = size_of_val(&words) as libc::socklen_t;
    // SAFETY: the kernel writes at most `length` bytes.
    let failed =
        unsafe { libc::getsockopt(fd, libc::SOL_SOCKET, SO_MEMINFO, words.as_mut_ptr().cast(), &raw mut length) };
    if failed != 0 || (length as usize) < 4 * (QUEUED + 1) {
        return TURN_BYTES;
    }
    let (limit, queued) = (words[SEND_LIMIT], words[QUEUED]);
    let free = limit.saturating_sub(queued);
    if free >= queued >> 1 { free as usize } else { 0 }
}
