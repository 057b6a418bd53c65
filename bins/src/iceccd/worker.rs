//! What a client's own thread does: most messages go to the loop, whole dialogues with bulk data are led here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ice_core::daemon::{Archive, JobReport, NativeKey};
use ice_core::env::EnvId;
use ice_core::message::Message;
use ice_core::store_layout;
use ice_core::text::Text;
use ice_launcher::Launcher;
use ice_net::hub::{PeerConn, PeerHandler, PeerInfo, Verdict};
use ice_toolchain::store::Store;
use parking_lot::Mutex;

use super::native::Natives;
use super::orders::Orders;
use super::spool::Files;
use super::{job, transfer};

/// Environment name of a job that the client runs itself.
const OWN_CLIENT: &str = "__client";

/// What a client's thread tells the loop, in order with what the client says.
#[derive(Debug)]
pub enum Told {
    /// A granted job has ended.
    JobEnded(JobReport),
    /// The end of a reception.
    Received(EnvId, Result<u64, Text>),
    /// What a request for a native environment found.
    Examined(Result<(NativeKey, Option<Archive>), Text>),
}

/// A connection in the hands of its thread.
pub type Client = PeerConn<Told>;

/// What all threads share.
#[derive(Debug)]
pub struct Shared {
    /// The privileged half.
    pub launcher: Launcher,
    /// The environments on disk.
    pub store: Mutex<Store>,
    /// Native archives on disk.
    pub natives: Natives,
    /// Letter boxes.
    pub orders: Orders,
    /// What stands in files of jobs that wait.
    pub spooled: Arc<Files>,
    /// `-b`.
    pub base: PathBuf,
    /// zstd level of what is sent (`ICECC_COMPRESSION`).
    pub level: i32,
}

impl Shared {
    /// A folder of our own for nameless files.
    pub fn scratch(&self) -> PathBuf {
        self.base.join(".ours")
    }

    /// Where an environment lies.
    pub fn env_path(&self, env: &EnvId) -> PathBuf {
        store_layout::installed(&self.base, env)
    }
}

/// Sees a client's messages first.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
}

impl Worker {
    /// For one client.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl PeerHandler<Told> for Worker {
    fn message(&mut self, message: Message, client: &mut Client) -> Verdict {
        match message {
            Message::CompileFile(file) if file.environment != *OWN_CLIENT => job::serve(&self.shared, file, client),
            Message::TransferEnv(target) => transfer::serve(&self.shared, target, client),
            Message::GetNativeEnv(_) if !of_this_host(client.info()) => {
                // It has programs of this host run by name, and tells which files there are.
                Verdict::Close("native environments are for clients of this host".to_owned())
            }
            Message::GetNativeEnv(request) => {
                let found = self.shared.natives.examine(&request, client.version());
                if let Err(error) = client.forward(Message::GetNativeEnv(request)) {
                    return Verdict::Close(error.to_string());
                }
                client.note(Told::Examined(found));
                Verdict::Handled
            }
            other => Verdict::Forward(other),
        }
    }
}

/// Whether a peer runs on this host: it came by the unix socket, or from one of our own addresses, as 1.4's client does where
/// there is no socket.
pub fn of_this_host(info: &PeerInfo) -> bool {
    info.local || info.address == info.own_address
}

/// Whether a file is there and may be run by somebody.
pub fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    std::fs::metadata(path).is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}
