//! Environments that clients bring: unpacked while they arrive, installed whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use ice_core::daemon::Arrived;
use ice_core::env::{EnvId, EnvName};
use ice_core::message::{Chunk, EnvTarget, Message};
use ice_launcher::{Contents, LaunchError, UnpackRequest, Unpacked, Unpacking};
use ice_net::compress::Unpacker;
use ice_net::deadline::{Deadline, Step};
use ice_net::hub::Verdict;
use log::{info, warn};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::orders::{Mailbox, Order};
use super::shared::{Client, Shared, Told};

/// How long the client may take for each piece.
const CHUNK: Duration = Duration::from_secs(60);
/// How long the unpacker may take for all.
const UNPACK: Duration = Duration::from_secs(600);
/// Compressed bytes of one archive.
const ARCHIVE_MAX: u64 = 512 << 20;
/// Unpacked bytes of one archive, if there is room for them.
const UNPACKED_MAX: u64 = 4 << 30;
/// How often a wait looks whether the connection is being closed.
const LOOK: Duration = Duration::from_millis(500);

/// Leads the dialogue up to the archive's END.
pub fn serve(shared: &Arc<Shared>, target: EnvTarget, client: &mut Client) -> Verdict {
    let mailbox = match shared.orders.register(client.peer()) {
        Ok(mailbox) => mailbox,
        Err(e) => return Verdict::Close(format!("cannot wait for the word to install: {e}")),
    };
    if let Err(e) = client.forward(Message::TransferEnv(target)) {
        return Verdict::Close(e.to_string());
    }
    match mailbox.wait() {
        Some(Order::Receive(env, room)) => {
            let end =
                receive(shared, env, room, client).and_then(|unpacked| decided(shared, unpacked, &mailbox, client));
            match &end {
                Ok(Decided::Dropped) => {}
                Ok(Decided::Installed) => client.note(Told::Received(Ok(()))),
                Err(trouble) => client.note(Told::Received(Err(trouble.text().into()))),
            }
            match end {
                Err(Trouble::Client(reason)) => Verdict::Close(reason),
                Ok(_) | Err(Trouble::Archive(_)) => Verdict::Handled,
            }
        }
        Some(Order::Discard) => match discard(client) {
            Ok(()) => Verdict::Handled,
            Err(reason) => Verdict::Close(reason),
        },
        Some(Order::Run(_) | Order::Kill | Order::Install(_)) | None => {
            Verdict::Close("not to be installed".to_owned())
        }
    }
}

/// What became of an unpacked archive.
enum Decided {
    Installed,
    /// The loop has no use for it, and needs no report.
    Dropped,
}

/// Why nothing was installed.
enum Trouble {
    /// The archive is no good. The connection goes on; the client learns it by its VERIFY_ENV.
    Archive(String),
    /// The client is gone or broke the rules.
    Client(String),
}

impl Trouble {
    fn text(&self) -> &str {
        match self {
            Self::Archive(text) | Self::Client(text) => text,
        }
    }
}

impl From<LaunchError> for Trouble {
    fn from(error: LaunchError) -> Self {
        Self::Archive(crate::exit::chain(&error))
    }
}

/// Receives and unpacks the archive.
fn receive(shared: &Shared, env: EnvId, room: u64, client: &mut Client) -> Result<Unpacked, Trouble> {
    info!("receiving environment {env} from {}", client.info().address);
    let system = |e: io::Error| Trouble::Archive(format!("cannot make a pipe: {e}"));
    let (input, pipe) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|e| system(e.into()))?;
    fcntl(&pipe, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(|e| system(e.into()))?;
    let request = UnpackRequest { env, input, bytes_max: room.min(UNPACKED_MAX), wall: UNPACK };
    let unpacking = match shared.launcher.unpack(request) {
        Ok(unpacking) => Some(unpacking),
        // The archive has to be read to its end all the same.
        Err(error) => {
            warn!("{}", crate::exit::chain(&error));
            None
        }
    };
    pass_on(client, pipe)?;
    let unpacking = unpacking.ok_or_else(|| Trouble::Archive("the unpacker did not start".to_owned()))?;
    wait(unpacking, client)
}

/// Asks the loop what to do with it, and does that.
fn decided(shared: &Shared, unpacked: Unpacked, mailbox: &Mailbox, client: &mut Client) -> Result<Decided, Trouble> {
    let Contents { digest, bytes, proven, .. } = unpacked.contents;
    client.note(Told::Unpacked(Arrived { size: bytes, digest: EnvName::of_content(&digest), proven }));
    match mailbox.wait() {
        Some(Order::Install(env)) => install(shared, &env, unpacked).map(|()| Decided::Installed),
        Some(Order::Discard) => Ok(Decided::Dropped),
        _ => Err(Trouble::Client("connection closed".to_owned())),
    }
}

/// Writes the client's chunks to the unpacker. An unpacker that ends early is no reason to stop reading.
fn pass_on(client: &mut Client, pipe: OwnedFd) -> Result<(), Trouble> {
    let mut pipe = Some(File::from(pipe));
    let mut unpacker = Unpacker::new();
    let mut plain = Vec::new();
    let mut total = 0u64;
    let deadline = Deadline::after(Step::Chunk, UNPACK);
    while let Some(chunk) = next_chunk(client).map_err(Trouble::Client)? {
        plain.clear();
        // A piece a minute would hold the slot for ever.
        if deadline.is_over() {
            return Err(Trouble::Client("archive not sent in time".to_owned()));
        }
        total = total.saturating_add(chunk.data.len() as u64);
        if total > ARCHIVE_MAX {
            return Err(Trouble::Client(format!("archive of more than {ARCHIVE_MAX} bytes")));
        }
        unpacker.unpack(&chunk, &mut plain).map_err(|e| Trouble::Client(e.to_string()))?;
        if let Some(file) = &mut pipe {
            if write(file, &plain, client)?.is_none() {
                pipe = None;
            }
        }
    }
    Ok(())
}

/// Writes all of it; `None` if the other end is gone.
fn write(pipe: &mut File, mut bytes: &[u8], client: &Client) -> Result<Option<()>, Trouble> {
    let deadline = Deadline::after(Step::Send, UNPACK);
    while !bytes.is_empty() {
        match pipe.write(bytes) {
            Ok(n) => bytes = bytes.get(n..).unwrap_or_default(),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                if client.is_closing() {
                    return Err(Trouble::Client("connection closed".to_owned()));
                }
                if deadline.is_over() {
                    return Ok(None);
                }
                let mut fds = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
                let look = PollTimeout::try_from(LOOK).unwrap_or(PollTimeout::MAX);
                // An interrupted or failed poll shows at the next write.
                let _ = nix::poll::poll(&mut fds, look);
            }
            Err(_) => return Ok(None),
        }
    }
    Ok(Some(()))
}

fn wait(mut unpacking: Unpacking, client: &Client) -> Result<Unpacked, Trouble> {
    // The launcher's own clock ends it at UNPACK; the margin is for its answer.
    let deadline = Deadline::after(Step::End, UNPACK + Duration::from_secs(10));
    loop {
        unpacking = match unpacking.wait(LOOK) {
            Ok(unpacked) => return Ok(unpacked?),
            Err(_) if client.is_closing() => return Err(Trouble::Client("connection closed".to_owned())),
            Err(_) if deadline.is_over() => return Err(Trouble::Archive("not unpacked in time".to_owned())),
            Err(unpacking) => unpacking,
        }
    }
}

fn install(shared: &Shared, env: &EnvId, unpacked: Unpacked) -> Result<(), Trouble> {
    // The record first: a record without a folder is forgotten at the next start, a folder without a record is removed.
    let entered = shared.disk.enter(env.clone(), &unpacked.contents);
    entered.map_err(|e| Trouble::Archive(crate::exit::chain(&e)))?;
    if let Err(error) = shared.launcher.install(unpacked, env) {
        shared.disk.forget(env.clone());
        return Err(error.into());
    }
    Ok(())
}

fn discard(client: &mut Client) -> Result<(), String> {
    while next_chunk(client)?.is_some() {}
    Ok(())
}

/// The next chunk, `None` at END.
fn next_chunk(client: &mut Client) -> Result<Option<Chunk>, String> {
    match client.recv(Deadline::after(Step::Chunk, CHUNK)).map_err(|e| e.to_string())? {
        Message::FileChunk(chunk) => Ok(Some(chunk)),
        Message::End => Ok(None),
        _ => Err("protocol error while reading an environment".to_owned()),
    }
}
