//! Scripted clients, compile servers and schedulers: the other ends of a daemon or client under test.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::time::Duration;

use ice_core::message::{CompileFile, CompileResult, CsConf, EnvTarget, Login, Message};
use ice_core::version::Version;
use ice_net::compress::{Packer, Unpacker};
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial::unix;
use ice_net::error::ConnError;

use super::{LIMIT, dial, holds_within, within};

/// A client, at its own daemon or at a compile server.
#[derive(Debug)]
pub struct Client {
    /// The connection.
    pub conn: Conn,
}

impl Client {
    /// At a port of this host.
    pub fn tcp(port: u16, offer: u32) -> Self {
        Self { conn: dial(Ipv4Addr::LOCALHOST, port, offer) }
    }

    /// At a daemon's socket.
    pub fn unix(path: &Path, offer: u32) -> Self {
        let conn = unix(path, Version::new(offer), Deadline::after(Step::Connect, LIMIT));
        Self { conn: conn.unwrap_or_else(|e| panic!("{e}")) }
    }

    /// Sends a message.
    #[track_caller]
    pub fn send(&mut self, message: &Message) {
        self.conn.send(message, within(LIMIT)).unwrap();
    }

    /// The next message.
    #[track_caller]
    pub fn next(&mut self) -> Message {
        self.conn.recv(within(LIMIT)).unwrap_or_else(|e| panic!("no message for the client: {e}"))
    }

    /// Brings an environment.
    #[track_caller]
    pub fn transfer(&mut self, environment: &EnvTarget, archive: &[u8]) {
        self.send(&Message::TransferEnv(environment.clone()));
        self.send_file(archive);
    }

    /// Whether the server can use that environment.
    #[track_caller]
    pub fn verify(&mut self, environment: &EnvTarget) -> bool {
        self.send(&Message::VerifyEnv(environment.clone()));
        match self.next() {
            Message::VerifyEnvResult { ok } => ok != 0,
            other => panic!("VERIFY_ENV_RESULT was expected, but it is {other:?}"),
        }
    }

    /// Has a source compiled; see [`Client::result`].
    #[track_caller]
    pub fn compile(&mut self, job: &CompileFile, source: &[u8]) -> (CompileResult, Vec<u8>) {
        self.send(&Message::CompileFile(job.clone()));
        self.send_file(source);
        self.result()
    }

    /// What became of a job: its result, and the object if there is one.
    #[track_caller]
    pub fn result(&mut self) -> (CompileResult, Vec<u8>) {
        let result = match self.next() {
            Message::CompileResult(result) => result,
            other => panic!("COMPILE_RESULT was expected, but it is {other:?}"),
        };
        let object = if result.status == 0 { self.read_file() } else { Vec::new() };
        (result, object)
    }

    /// Waits until the other side closes; what it says before.
    #[track_caller]
    pub fn until_closed(&mut self) -> Vec<Message> {
        let mut said = Vec::new();
        loop {
            match self.conn.recv(within(LIMIT)) {
                Ok(message) => said.push(message),
                Err(ConnError::TimedOut { .. }) => panic!("it was not closed; it said {said:?}"),
                Err(_) => return said,
            }
        }
    }

    /// Sends a file in pieces, and its end.
    #[track_caller]
    pub fn send_file(&mut self, plain: &[u8]) {
        self.offer_file(plain).unwrap();
    }

    /// As [`Client::send_file`], to somebody who may have closed before the end of it.
    pub fn offer_file(&mut self, plain: &[u8]) -> Result<(), ConnError> {
        send_file(&mut self.conn, plain)
    }

    /// Reads a file to its end.
    #[track_caller]
    pub fn read_file(&mut self) -> Vec<u8> {
        read_file(&mut self.conn)
    }
}

/// A compile server that does what it is told instead of compiling.
#[derive(Debug)]
pub struct CompileServer(Listening);

impl CompileServer {
    /// On any free port, announcing this version.
    pub fn open(offer: u32) -> Self {
        Self(Listening::open(0, offer))
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The next client. Probes, which say nothing, are passed over.
    #[track_caller]
    pub fn accept(&self) -> Conn {
        self.0.accept()
    }

    /// Takes one job: says what was asked and the source, and answers with this result, and this object if the status
    /// is 0.
    #[track_caller]
    pub fn serve(&self, result: &CompileResult, object: &[u8]) -> (CompileFile, Vec<u8>) {
        let mut conn = self.accept();
        let job = match conn.recv(within(LIMIT)) {
            Ok(Message::CompileFile(job)) => job,
            other => panic!("COMPILE_FILE was expected, but it is {other:?}"),
        };
        let source = read_file(&mut conn);
        conn.send(&Message::CompileResult(result.clone()), within(LIMIT)).unwrap();
        if result.status == 0 {
            send_file(&mut conn, object).unwrap();
        }
        (job, source)
    }
}

/// A scheduler for one daemon.
#[derive(Debug)]
pub struct SchedulerDouble(Listening);

impl SchedulerDouble {
    /// On any free port, announcing this version.
    pub fn open(offer: u32) -> Self {
        Self::open_at(0, offer)
    }

    /// On this port.
    pub fn open_at(port: u16, offer: u32) -> Self {
        Self(Listening::open(port, offer))
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.0.port
    }

    /// The next daemon: its LOGIN is read, CS_CONF is sent.
    #[track_caller]
    pub fn accept(&self) -> Link {
        let mut conn = self.0.accept();
        let login = match conn.recv(within(LIMIT)) {
            Ok(Message::Login(login)) => login,
            other => panic!("LOGIN was expected, but it is {other:?}"),
        };
        let mut link = Link { conn, login };
        link.configure();
        link
    }

    /// Whether somebody comes in time.
    pub fn is_visited_within(&self, limit: Duration) -> bool {
        self.0.next_within(limit).is_some()
    }
}

/// A daemon under test that has logged in, as its scheduler has it.
#[derive(Debug)]
pub struct Link {
    /// The connection.
    pub conn: Conn,
    /// Its first LOGIN.
    pub login: Login,
}

impl Link {
    /// Says something to the daemon.
    #[track_caller]
    pub fn send(&mut self, message: &Message) {
        self.conn.send(message, within(LIMIT)).unwrap();
    }

    /// The next message but for reports of its load. A LOGIN is answered.
    #[track_caller]
    pub fn next(&mut self) -> Message {
        loop {
            match self.conn.recv(within(LIMIT)) {
                Ok(Message::Stats(_)) => {}
                Ok(Message::Login(_)) => self.configure(),
                Ok(message) => return message,
                Err(e) => panic!("no message for the scheduler: {e}"),
            }
        }
    }

    /// All that the daemon has told until now, as [`Link::next`] gives it.
    #[track_caller]
    pub fn told(&mut self) -> Vec<Message> {
        self.send(&Message::GetInternals);
        let mut told = Vec::new();
        loop {
            match self.next() {
                Message::StatusText { .. } => return told,
                message => told.push(message),
            }
        }
    }

    fn configure(&mut self) {
        if self.conn.version().has_cs_conf() {
            let conf = CsConf { max_pong: 3, max_ping: 36, extra: "".into() };
            self.send(&Message::CsConf(conf));
        }
    }
}

#[derive(Debug)]
struct Listening {
    port: u16,
    offer: u32,
    listener: TcpListener,
}

impl Listening {
    fn open(port: u16, offer: u32) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap();
        listener.set_nonblocking(true).unwrap();
        Self { port: listener.local_addr().unwrap().port(), offer, listener }
    }

    #[track_caller]
    fn accept(&self) -> Conn {
        self.next_within(LIMIT).unwrap_or_else(|| panic!("nobody came to port {} within {LIMIT:?}", self.port))
    }

    fn next_within(&self, limit: Duration) -> Option<Conn> {
        let mut found = None;
        holds_within(limit, || {
            if let Ok((stream, _)) = self.listener.accept() {
                stream.set_nonblocking(false).unwrap();
                let deadline = Deadline::after(Step::Offer, Duration::from_secs(5));
                found = Conn::establish(stream, Version::new(self.offer), deadline).ok();
            }
            found.is_some()
        });
        found
    }
}

fn send_file(conn: &mut Conn, plain: &[u8]) -> Result<(), ConnError> {
    let mut packer = Packer::new(1);
    for piece in plain.chunks(100_000) {
        let chunk = packer.pack(piece, conn.version()).unwrap();
        conn.send(&Message::FileChunk(chunk), within(LIMIT))?;
    }
    conn.send(&Message::End, within(LIMIT))
}

#[track_caller]
fn read_file(conn: &mut Conn) -> Vec<u8> {
    let (mut unpacker, mut plain) = (Unpacker::new(), Vec::new());
    loop {
        match conn.recv(within(LIMIT)) {
            Ok(Message::FileChunk(chunk)) => unpacker.unpack(&chunk, &mut plain).unwrap(),
            Ok(Message::End) => return plain,
            other => panic!("a piece of a file was expected, but it is {other:?}"),
        }
    }
}
