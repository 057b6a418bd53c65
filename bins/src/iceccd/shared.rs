//! What the threads of a daemon share, and what a client's own thread tells the loop.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ice_core::daemon::{Arrived, JobReport, NativeKey};
use ice_core::env::EnvId;
use ice_core::store_layout;
use ice_core::text::Text;
use ice_launcher::Launcher;
use ice_net::hub::PeerConn;

use super::disk::Disk;
use super::native::Builder;
use super::orders::Orders;
use super::spool::Files;

/// What a client's thread tells the loop, in order with what the client says.
#[derive(Debug)]
pub enum Told {
    /// All of a waiting job's source is here.
    Complete,
    /// A granted job has ended.
    JobEnded(JobReport),
    /// System calls that a job made in vain, and how often.
    UnknownCalls(Vec<(Text, u64)>),
    /// An archive was unpacked, and waits for a decision.
    Unpacked(Arrived),
    /// The end of a reception.
    Received(Result<(), Text>),
    /// What a request for a native environment found: the key, and whether there is an archive of it as new as its files.
    Examined(Result<(NativeKey, bool), Text>),
}

/// A connection in the hands of its thread.
pub type Client = PeerConn<Told>;

/// What all threads share.
#[derive(Debug)]
pub struct Shared {
    /// The privileged half.
    pub launcher: Launcher,
    /// The way to what is on the disk.
    pub disk: Disk,
    /// What makes native archives.
    pub builder: Builder,
    /// Letter boxes.
    pub orders: Orders,
    /// What stands in files of jobs that wait.
    pub spooled: Arc<Files>,
    /// `-b`.
    pub base: PathBuf,
    /// zstd level of what is sent (`ICECC_COMPRESSION`).
    pub level: i32,
    /// `--job-time`.
    pub job_time: Duration,
}

impl Shared {
    /// A directory of our own for nameless files.
    pub fn scratch(&self) -> PathBuf {
        self.base.join(".ours")
    }

    /// Where an environment lies.
    pub fn env_path(&self, env: &EnvId) -> PathBuf {
        store_layout::installed(&self.base, env)
    }
}
