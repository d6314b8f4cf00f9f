//! TLS between a socket and the plain bytes of a connection: rustls with *ring*'s ciphers.
//!
//! What it is: a listener's certificate, and one session per connection that offers `recv` and `sendmsg` as
//! a non-blocking socket does. It knows no HTTP and no loop.
//! Who calls: `net.wire` through the ports in `net.tls`; why not Python's `ssl`: docs/decisions/0013.
//!
//! Invariants
//!  1. Nothing unsealed is sent, nothing unauthenticated is returned.
//!  2. Between calls everything sealed and not sent lies in `held`, at most [`HELD_BYTES`] of it: what it
//!     counts has not left.
//!  3. A session takes what is to be sent only while nothing is held, so one batch is all a client that does
//!     not read can make it keep.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use pyo3::exceptions::{PyBlockingIOError, PyConnectionAbortedError, PyRuntimeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rustls::crypto::ring;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::{TLS12, TLS13};
use rustls::{Error, ProtocolVersion, ServerConfig, ServerConnection};

use crate::buffer::Borrowed;

/// Plain bytes taken by one call: some 150 us of sealing and sending.
const WRITE_BYTES: usize = 1024 * 1024;
/// Plain bytes sealed before they are sent: larger gained nothing, and it is what a slow client holds back.
const BATCH_BYTES: usize = 64 * 1024;
/// A client that has the server answer (key updates, alerts) and does not read is cut off here.
const HELD_BYTES: usize = 2 * BATCH_BYTES;
/// The most one `recv` asks the kernel for.
const READ_BYTES: usize = 256 * 1024;
/// From here on other threads may have the GIL meanwhile.
const DETACH_BYTES: usize = 64 * 1024;

/// Records of one TLS 1.2 session: its keys cannot be renewed, and AES-GCM's are good for 2^24 (TLS 1.3 renews
/// them by itself). rustls would end the session cleanly there, in the middle of a body; we break it off before.
const TLS12_RECORDS: u64 = 1 << 23;
/// The content of a full record (RFC 8446 §5.1).
const RECORD_BYTES: usize = 16 * 1024;

/// The certificate, key, versions and ticket keys of a listener.
#[pyclass(frozen, module = "content.bao._native")]
pub struct TlsServer {
    config: Arc<ServerConfig>,
    tls12_records: u64,
}

#[pymethods]
impl TlsServer {
    /// `chain_pem`: certificates, the server's own first; `key_pem`: its key. Raises ValueError that says
    /// what is wrong with which of them.
    #[new]
    #[pyo3(signature = (chain_pem, key_pem, tls12_records = TLS12_RECORDS))]
    fn new(chain_pem: &[u8], key_pem: &[u8], tls12_records: u64) -> PyResult<Self> {
        let config = fenced(|| config(chain_pem, key_pem))?.map_err(PyValueError::new_err)?;
        Ok(Self { config: Arc::new(config), tls12_records })
    }

    /// A session on the non-blocking socket `fd`, its handshake not begun.
    fn session(&self, fd: i32) -> PyResult<TlsSession> {
        let mut connection = ServerConnection::new(Arc::clone(&self.config)).map_err(broken)?;
        connection.set_buffer_limit(None); // what is handed over is a batch at most, and is then sealed whole
        Ok(TlsSession {
            connection,
            socket: Socket(fd),
            held: Vec::new(),
            records_left: self.tls12_records,
            ready: false,
            ended: false,
        })
    }
}

fn config(chain_pem: &[u8], key_pem: &[u8]) -> Result<ServerConfig, String> {
    let chain = CertificateDer::pem_slice_iter(chain_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| format!("the certificate file is not PEM: {error}"))?;
    if chain.is_empty() {
        return Err("the certificate file holds no certificate in PEM".into());
    }
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13, &TLS12])
        .map_err(|error| error.to_string())?
        .with_no_client_auth()
        .with_single_cert(chain, key(key_pem)?)
        .map_err(|error| match error {
            Error::InconsistentKeys(_) => "the key does not belong to the first certificate".into(),
            Error::General(_) => {
                "the key is none of RSA (2048 to 8192 bits), ECDSA P-256 or P-384, Ed25519".to_string()
            }
            other => format!("the certificate cannot be used: {other}"),
        })?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    // Tickets sealed with keys of this process that change every six hours; nothing is kept per client.
    config.ticketer = ring::Ticketer::new().map_err(|error| error.to_string())?;
    Ok(config)
}

/// The first private key in `pem`; no part of it is ever in the message of an error.
fn key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    let holds = |words: &[u8]| pem.windows(words.len()).any(|window| window == words);
    if holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED") {
        return Err("the key is protected by a pass phrase".into());
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|error| match error {
        pem::Error::NoItemsFound => "the key file holds no private key in PEM".into(),
        _ => "the key file is not PEM".into(),
    })
}

/// One connection's TLS state.
#[pyclass(module = "content.bao._native")]
pub struct TlsSession {
    connection: ServerConnection,
    socket: Socket,
    /// Sealed, not sent.
    held: Vec<u8>,
    /// Of a TLS 1.2 session.
    records_left: u64,
    /// The handshake is done.
    #[pyo3(get)]
    ready: bool,
    /// The other side closed, with or without close_notify.
    #[pyo3(get)]
    ended: bool,
}

#[pymethods]
impl TlsSession {
    /// Sealed bytes that wait for the kernel.
    #[getter]
    fn held_bytes(&self) -> usize {
        self.held.len()
    }

    /// What one read of at most `size` bytes completed, opened; b"" at the end.
    ///
    /// BlockingIOError while there is nothing, also when messages without content came; but b"" with `ready`
    /// fresh and `ended` false when the handshake completes. OSError when the connection is broken or the
    /// other side breaks the protocol: then an alert has been sent.
    fn recv<'py>(&mut self, py: Python<'py>, size: usize) -> PyResult<Bound<'py, PyBytes>> {
        let received = self.socket.receive(size.clamp(1, READ_BYTES))?;
        self.ended |= received.is_empty();
        let was_ready = self.ready;
        let opened = run(py, received.len(), || self.open(&received))?;
        let sent = fenced(|| self.transmit())?; // handshake messages and alerts
        let data = opened.map_err(broken)?;
        sent?;
        if data.is_empty() && self.ready == was_ready && !self.ended {
            return Err(PyBlockingIOError::new_err("no content has arrived"));
        }
        Ok(PyBytes::new(py, &data))
    }

    /// Seal at most 1 MiB of `parts` and send; returns how much of them was taken, `held_bytes` included.
    ///
    /// BlockingIOError while sealed bytes of an earlier call wait; OSError when the connection is broken.
    fn sendmsg(&mut self, py: Python<'_>, parts: &Bound<'_, PyAny>) -> PyResult<usize> {
        if !self.ready {
            return Err(io::Error::from(ErrorKind::NotConnected).into());
        }
        if !self.flush()? {
            return Err(PyBlockingIOError::new_err("sealed bytes wait for the kernel"));
        }
        let views = parts.try_iter()?.map(|part| Borrowed::of(&part?)).collect::<PyResult<Vec<_>>>()?;
        let mut slices: Vec<_> = views.iter().map(|view| IoSlice::new(view.bytes())).collect();
        let most = slices.iter().map(|slice| slice.len()).sum::<usize>().min(WRITE_BYTES);
        Ok(run(py, most, || self.seal(&mut slices, most))??)
    }

    /// Send what is held; whether nothing is left. OSError when the connection is broken.
    fn flush(&mut self) -> PyResult<bool> {
        while !self.held.is_empty() {
            match self.socket.write(&self.held) {
                Ok(sent) => drop(self.held.drain(..sent)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.held = Vec::new(); // an idle connection keeps no room
        Ok(true)
    }

    /// Say that no more will be sent (close_notify); does not wait for the other side.
    fn finish(&mut self) -> PyResult<()> {
        fenced(|| {
            self.connection.send_close_notify();
            self.transmit()
        })??;
        Ok(())
    }

    /// The socket is about to be closed: never touch its descriptor again, it may soon be another's.
    fn close(&mut self) {
        self.socket = Socket(-1);
    }
}

impl TlsSession {
    /// Feed what arrived; returns the content that it completed.
    fn open(&mut self, mut received: &[u8]) -> Result<Vec<u8>, Error> {
        let mut data = Vec::new();
        while !received.is_empty() && !self.ended {
            self.connection.read_tls(&mut received).map_err(|error| Error::General(error.to_string()))?;
            let state = self.connection.process_new_packets()?;
            let start = data.len();
            data.resize(start + state.plaintext_bytes_to_read(), 0);
            self.connection
                .reader()
                .read_exact(&mut data[start..])
                .map_err(|error| Error::General(error.to_string()))?;
            self.ended = state.peer_has_closed();
        }
        self.ready = !self.connection.is_handshaking();
        Ok(data)
    }

    /// Seal and send the first `most` bytes of `slices`, batch by batch, until one is not sent whole.
    fn seal(&mut self, mut slices: &mut [IoSlice<'_>], most: usize) -> io::Result<usize> {
        let mut taken = 0;
        while taken < most {
            let batch = first(slices, BATCH_BYTES.min(most - taken));
            self.spend_records(batch.iter().map(|part| part.len()).sum())?;
            let sealed = self.connection.writer().write_vectored(&batch)?;
            match self.transmit() {
                Err(error) if taken == 0 => return Err(error),
                Ok(true) => {}
                _ => return Ok(taken + sealed), // full, or broken: the next call meets that again
            }
            IoSlice::advance_slices(&mut slices, sealed);
            taken += sealed;
        }
        Ok(taken)
    }

    /// Count the records that `bytes` make, of a session whose keys are good for so many.
    fn spend_records(&mut self, bytes: usize) -> io::Result<()> {
        if self.connection.protocol_version() == Some(ProtocolVersion::TLSv1_2) {
            let records = bytes.div_ceil(RECORD_BYTES) as u64;
            self.records_left = self.records_left.checked_sub(records).ok_or(ErrorKind::ConnectionAborted)?;
        }
        Ok(())
    }

    /// Send what rustls has sealed, behind what is held; hold the rest. Whether nothing is held.
    fn transmit(&mut self) -> io::Result<bool> {
        let mut failure = None;
        while self.held.is_empty() && self.connection.wants_write() {
            match self.connection.write_tls(&mut self.socket) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    failure = (error.kind() != ErrorKind::WouldBlock).then_some(error);
                    break;
                }
                Ok(_) => {}
            }
        }
        while self.connection.wants_write() {
            self.connection.write_tls(&mut self.held)?;
        }
        if self.held.len() > HELD_BYTES {
            failure = Some(ErrorKind::ConnectionAborted.into());
        }
        failure.map_or(Ok(self.held.is_empty()), Err)
    }
}

/// The first `most` bytes of `slices`, which hold at least as many.
fn first<'a>(slices: &'a [IoSlice<'_>], most: usize) -> Vec<IoSlice<'a>> {
    let mut batch = Vec::with_capacity(slices.len());
    let mut left = most;
    for slice in slices {
        if left == 0 {
            break;
        }
        let part = &slice[..slice.len().min(left)];
        left -= part.len();
        batch.push(IoSlice::new(part));
    }
    batch
}

/// A descriptor that Python owns.
struct Socket(i32);

impl Socket {
    fn receive(&self, size: usize) -> io::Result<Vec<u8>> {
        let mut room = Vec::<u8>::with_capacity(size);
        // SAFETY: the kernel writes at most `size` bytes, and `count` of them are then initialised.
        unsafe {
            let count = libc::recv(self.0, room.as_mut_ptr().cast(), size, libc::MSG_DONTWAIT);
            room.set_len(usize::try_from(count).map_err(|_| io::Error::last_os_error())?);
        }
        Ok(room)
    }
}

impl Write for Socket {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(data)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        // SAFETY: an IoSlice has the layout of an iovec; the parts outlive the call, which only reads them.
        let count = unsafe {
            let mut message: libc::msghdr = std::mem::zeroed();
            message.msg_iov = parts.as_ptr().cast_mut().cast();
            message.msg_iovlen = parts.len() as _;
            libc::sendmsg(self.0, &message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL)
        };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn broken(error: Error) -> PyErr {
    PyConnectionAbortedError::new_err(format!("TLS: {error}"))
}

/// `fenced`, without the GIL when `bytes` make it long.
fn run<T: Send>(py: Python<'_>, bytes: usize, work: impl FnOnce() -> T + Send) -> PyResult<T> {
    if bytes > DETACH_BYTES { py.detach(|| fenced(work)) } else { fenced(work) }
}

/// Run `work`; a panic becomes RuntimeError.
fn fenced<T>(work: impl FnOnce() -> T) -> PyResult<T> {
    catch_unwind(AssertUnwindSafe(work))
        .map_err(|_| PyRuntimeError::new_err("the native TLS broke one of its own promises"))
}
