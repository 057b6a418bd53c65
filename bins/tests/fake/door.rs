//! The port a fake host takes jobs on, as far as the scheduler's probe looks at it.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::LIMIT;

/// Accepts, offers a version, and waits until the other side goes.
#[derive(Debug)]
pub struct Door {
    port: u16,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct State {
    visits: AtomicUsize,
    closing: AtomicBool,
}

impl Door {
    /// Opens on any free port of all loopback addresses.
    pub fn open() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if shared.closing.load(Ordering::SeqCst) {
                    return;
                }
                if let Ok(stream) = stream {
                    greet(stream);
                    shared.visits.fetch_add(1, Ordering::SeqCst);
                }
            }
        });
        Self { port, state, thread: Some(thread) }
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Probes that came and went.
    pub fn visits(&self) -> usize {
        self.state.visits.load(Ordering::SeqCst)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.state.closing.store(true, Ordering::SeqCst);
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Says what a daemon says first; a probe says nothing and leaves.
fn greet(mut stream: TcpStream) {
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = stream.write_all(&43u32.to_le_bytes());
    let mut buffer = [0; 64];
    while stream.read(&mut buffer).is_ok_and(|n| n > 0) {}
}

/// A port nobody listens on: connections are refused.
pub fn unused_port() -> u16 {
    TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap().local_addr().unwrap().port()
}

/// A port that answers nothing: its queue is full, so the system drops what asks for more. It lives as long as what is
/// returned; [`SilentPort::open`] makes it answer.
pub fn silent_port() -> SilentPort {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&std::net::SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let listener = TcpListener::from(socket);
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    while let Ok(filler) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        fillers.push(filler);
        assert!(fillers.len() < 16, "the queue of a port does not fill");
    }
    SilentPort { port: address.port(), listener, fillers }
}

/// See [`silent_port`].
#[derive(Debug)]
pub struct SilentPort {
    /// Its number.
    pub port: u16,
    listener: TcpListener,
    fillers: Vec<TcpStream>,
}

impl SilentPort {
    /// Answers from now on; returns when `count` probes came and went.
    pub fn open(self, count: usize) {
        for _ in 0..self.fillers.len() {
            let _ = self.listener.accept();
        }
        drop(self.fillers);
        let listener = self.listener;
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            for n in 1.. {
                if let Ok((stream, _)) = listener.accept() {
                    greet(stream);
                }
                if n == count {
                    let _ = tell.send(());
                }
            }
        });
        told.recv_timeout(LIMIT * 2).expect("no probe of a port that answers again");
    }
}
