//! The listener: few connections at a time, each with its time, one answer each.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use ice_net::allow::Allow;

use super::answer::Answer;
use super::request::{REQUEST_MAX, Refusal, Request};
use super::site::Site;

/// Maximum number of connections at a time: the page has one or two open, a scraper one.
const CONNECTIONS_MAX: usize = 8;
/// How long a request may take to arrive, and as long again its answer to be read.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a peer that has its answer may take to close. What it still sends is thrown away.
const FAREWELL: Duration = Duration::from_millis(250);
/// Until the next attempt when no connection can be accepted, as without descriptors.
const PAUSE: Duration = Duration::from_millis(100);
const STACK: usize = 256 << 10;

/// Starts the thread that accepts.
pub fn start(listener: TcpListener, allow: Allow, site: Site) -> std::io::Result<()> {
    let site = Arc::new(site);
    let accept = move || {
        // One token is held by each connection.
        let seats = Arc::new(());
        loop {
            match listener.accept() {
                Ok((_, peer)) if !allow.admits(peer.ip()) => {}
                Ok((stream, _)) if Arc::strong_count(&seats) > CONNECTIONS_MAX => refuse(stream),
                Ok((stream, _)) => take(stream, Arc::clone(&site), Arc::clone(&seats)),
                Err(_) => thread::sleep(PAUSE),
            }
        }
    };
    thread::Builder::new().name("web".into()).stack_size(STACK).spawn(accept).map(drop)
}

/// Too many are there: says so without waiting for anything.
fn refuse(mut stream: TcpStream) {
    let _ = stream.set_nonblocking(true);
    // What is not read makes the system cut the answer off.
    let _ = stream.read(&mut [0; REQUEST_MAX]);
    let _ = stream.write(&Answer::from(Refusal::Busy).bytes(false));
    let _ = stream.shutdown(Shutdown::Write);
}

fn take(mut stream: TcpStream, site: Arc<Site>, seat: Arc<()>) {
    let serve = move || {
        let _seat = seat;
        let (answer, head_only) = match receive(&mut stream) {
            Ok(Some(request)) => (site.answer(&request).unwrap_or_else(Answer::from), request.head_only),
            Ok(None) => return,
            Err(refusal) => (refusal.into(), false),
        };
        send(&mut stream, &answer.bytes(head_only));
    };
    if let Err(error) = thread::Builder::new().name("web request".into()).stack_size(STACK).spawn(serve) {
        log::debug!("no thread for a request: {error}");
    }
}

/// Time until then; `None` if it has passed.
fn left(end: Instant) -> Option<Duration> {
    end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
}

/// Reads a request; `None` if the peer left without one.
fn receive(stream: &mut TcpStream) -> Result<Option<Request>, Refusal> {
    let end = Instant::now() + PATIENCE;
    let mut bytes = Vec::with_capacity(1024);
    let mut piece = [0; 2048];
    loop {
        let patience = left(end).ok_or(Refusal::Late)?;
        let _ = stream.set_read_timeout(Some(patience));
        match stream.read(&mut piece) {
            Ok(0) if bytes.is_empty() => return Ok(None),
            Ok(0) => return Err(Refusal::Nonsense),
            Ok(count) => bytes.extend(piece.iter().take(count)),
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Refusal::Late);
            }
            Err(_) => return Ok(None),
        }
        if let Some(request) = Request::read(&bytes)? {
            return Ok(Some(request));
        }
    }
}

/// Sends the answer as far as the peer takes it in time, and takes leave.
fn send(stream: &mut TcpStream, mut bytes: &[u8]) {
    let end = Instant::now() + PATIENCE;
    while !bytes.is_empty() {
        let Some(patience) = left(end) else { return };
        let _ = stream.set_write_timeout(Some(patience));
        match stream.write(bytes) {
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
    let _ = stream.shutdown(Shutdown::Write);
    // Closed before all that came was read, the answer would be cut off.
    let end = Instant::now() + FAREWELL;
    while let Some(patience) = left(end) {
        let _ = stream.set_read_timeout(Some(patience));
        if !stream.read(&mut [0; 2048]).is_ok_and(|count| count > 0) {
            return;
        }
    }
}
