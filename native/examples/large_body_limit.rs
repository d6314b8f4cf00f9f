//! The least a server does to send a large body, checking each byte or not: what it costs at best (docs/performance.md).
//!
//!     large_body_limit FILE [unchecked]
//!
//! Prints its port and answers every request that ends in an empty line with FILE, kept alive: one thread, epoll, a
//! fixed head, `sendfile`. Every byte is hashed once with XXH3 before it leaves, 2 MiB ahead, over a map of the file;
//! `unchecked` leaves that out. No parsing, no look-up, no metering, no limits: not a server for anybody, but a bound for one.

use std::fs::File;
use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use twox_hash::XxHash3_64;

const SEGMENT: usize = 256 * 1024;
const TURN: usize = 2 * 1024 * 1024;

struct Body {
    fd: RawFd,
    data: &'static [u8],
    sums: Vec<u64>,
    head: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    asked: Vec<u8>,
    at: Option<usize>,
    proven: usize,
    watched: bool,
}

fn main() {
    let mut words = std::env::args().skip(1);
    let path = words.next().expect("a file");
    let checked = words.next().is_none();
    let file = File::open(path).expect("it opens");
    let size = file.metadata().expect("it has a size").len() as usize;
    // SAFETY: the file is nobody else's and outlives the process's use of it.
    let data: &'static [u8] = unsafe {
        let map = libc::mmap(std::ptr::null_mut(), size, libc::PROT_READ, libc::MAP_SHARED, file.as_raw_fd(), 0);
        assert_ne!(map, libc::MAP_FAILED);
        std::slice::from_raw_parts(map.cast(), size)
    };
    let sums = if checked { data.chunks(SEGMENT).map(XxHash3_64::oneshot).collect() } else { Vec::new() };
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n").into_bytes();
    serve(&Body { fd: file.as_raw_fd(), data, sums, head });
}

fn serve(body: &Body) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("nonblocking");
    println!("{}", listener.local_addr().expect("bound").port());
    // SAFETY: plain system calls on descriptors that live as long as this function.
    let poll = unsafe { libc::epoll_create1(0) };
    watch(poll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN);
    let mut open: Vec<Option<Connection>> = Vec::new();
    let mut events = [libc::epoll_event { events: 0, u64: 0 }; 128];
    loop {
        // SAFETY: as above; the kernel writes at most as many events as there is room for.
        let count = unsafe { libc::epoll_wait(poll, events.as_mut_ptr(), events.len() as i32, -1) };
        for event in &events[..count.max(0) as usize] {
            let fd = event.u64 as RawFd;
            if fd == listener.as_raw_fd() {
                while let Ok((stream, _)) = listener.accept() {
                    stream.set_nonblocking(true).expect("nonblocking");
                    stream.set_nodelay(true).expect("nodelay");
                    let fd = stream.as_raw_fd();
                    watch(poll, libc::EPOLL_CTL_ADD, fd, libc::EPOLLIN);
                    open.resize_with(open.len().max(fd as usize + 1), || None);
                    open[fd as usize] =
                        Some(Connection { stream, asked: Vec::new(), at: None, proven: 0, watched: false });
                }
            } else if !turn(poll, open[fd as usize].as_mut().expect("open"), body) {
                open[fd as usize] = None;
            }
        }
    }
}

fn watch(poll: RawFd, action: i32, fd: RawFd, what: i32) {
    let mut event = libc::epoll_event { events: what as u32, u64: fd as u64 };
    // SAFETY: the event outlives the call.
    assert_eq!(unsafe { libc::epoll_ctl(poll, action, fd, &raw mut event) }, 0);
}

/// One turn of a connection; false when it has ended.
fn turn(poll: RawFd, connection: &mut Connection, body: &Body) -> bool {
    if connection.at.is_none() {
        let mut room = [0; 4096];
        match connection.stream.read(&mut room) {
            Ok(0) => return false,
            Ok(count) => connection.asked.extend_from_slice(&room[..count]),
            Err(error) => return error.kind() == std::io::ErrorKind::WouldBlock,
        }
        if !connection.asked.ends_with(b"\r\n\r\n") {
            return true;
        }
        connection.asked.clear();
        connection.at = Some(0);
        connection.proven = 0;
        let fd = connection.stream.as_raw_fd();
        // SAFETY: the head outlives the call. An idle socket has room for it.
        let sent = unsafe { libc::send(fd, body.head.as_ptr().cast(), body.head.len(), libc::MSG_MORE) };
        if sent != body.head.len() as isize {
            return false;
        }
    }
    let stop = connection.at.expect("set above") + TURN;
    loop {
        let at = connection.at.expect("set above");
        if at == body.data.len() {
            connection.at = None;
            if connection.watched {
                watch(poll, libc::EPOLL_CTL_MOD, connection.stream.as_raw_fd(), libc::EPOLLIN);
                connection.watched = false;
            }
            return true;
        }
        let Some(sent) = step(connection.stream.as_raw_fd(), body, at, &mut connection.proven) else { return false };
        connection.at = Some(at + sent);
        if sent == 0 || at + sent >= stop {
            if !connection.watched {
                watch(poll, libc::EPOLL_CTL_MOD, connection.stream.as_raw_fd(), libc::EPOLLOUT);
                connection.watched = true;
            }
            return true;
        }
    }
}

/// Send some of the body from `at`, hashed as far as `proven`; Some(0): the socket is full, None: it broke.
fn step(fd: RawFd, body: &Body, at: usize, proven: &mut usize) -> Option<usize> {
    let mut reach = (at + TURN).min(body.data.len());
    if !body.sums.is_empty() {
        if *proven <= at {
            let end = (at + TURN).min(body.data.len());
            let first = at / SEGMENT;
            for (number, part) in body.data[first * SEGMENT..end].chunks(SEGMENT).enumerate() {
                assert_eq!(XxHash3_64::oneshot(part), body.sums[first + number]);
            }
            *proven = end;
        }
        reach = reach.min(*proven);
    }
    let mut offset = at as libc::off_t;
    // SAFETY: both descriptors are open; the offset outlives the call.
    let sent = unsafe { libc::sendfile(fd, body.fd, &raw mut offset, reach - at) };
    if sent >= 0 {
        return Some(sent as usize);
    }
    (std::io::Error::last_os_error().kind() == std::io::ErrorKind::WouldBlock).then_some(0)
}
