//! What the threads of a daemon share, and what a client's own thread tells the loop.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ice_core::daemon::{Arrived, JobReport, NativeKey, Origin};
use ice_core::env::EnvId;
use ice_core::store_layout;
use ice_core::text::Text;
use ice_launcher::{JobLimits, Launcher};
use ice_net::hub::{PeerConn, PeerInfo};
use ice_toolchain::file_tree::Trees;

use super::disk::Disk;
use super::native::Builder;
use super::noted::Noted;
use super::orders::Orders;
use super::spool::Files;

/// A user who is none of this user namespace; and nobody, where all are.
const UNKNOWN_USER: u32 = 65_534;

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
    /// What came of jobs of this host.
    pub noted: Noted,
    /// Letter boxes.
    pub orders: Orders,
    /// The socket for clients that know the extension.
    pub extension: Option<PathBuf>,
    /// The files of submitters, if jobs run on them here.
    pub trees: Option<Arc<Trees>>,
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
    /// Where a client comes from.
    pub fn origin(&self, info: &PeerInfo) -> Origin {
        origin(info, self.extension.as_deref())
    }

    /// For whom a client has something kept: it came by the socket for that.
    pub fn user(&self, info: &PeerInfo) -> Option<u32> {
        let user = info.user.filter(|_| self.origin(info) == Origin::Extension)?;
        let is_told =
            user != UNKNOWN_USER || fs::read_to_string("/proc/self/uid_map").is_ok_and(|map| tells_all_users(&map));
        is_told.then_some(user)
    }

    /// A directory of our own for nameless files.
    pub fn scratch(&self) -> PathBuf {
        self.base.join(".ours")
    }

    /// The limits of a job.
    pub fn limits(&self, memory_mib: u32) -> JobLimits {
        let memory = u64::from(memory_mib) << 20;
        // Where no control group counts, its files are memory that nobody counts.
        let tmp = JobLimits::default().tmp.min(memory);
        JobLimits { memory, wall: self.job_time, tmp, ..JobLimits::default() }
    }

    /// Where an environment lies.
    pub fn env_path(&self, env: &EnvId) -> PathBuf {
        store_layout::installed(&self.base, env)
    }
}

/// One of this host comes by a Unix socket, or from one of our own addresses, as 1.4's does where there is no socket.
fn origin(info: &PeerInfo, extension: Option<&Path>) -> Origin {
    if info.socket.is_some() && info.socket.as_deref() == extension {
        Origin::Extension
    } else if info.local || info.address == info.own_address {
        Origin::ThisHost
    } else {
        Origin::OtherHost
    }
}

/// Whether all users of the system are users of a namespace with this map.
fn tells_all_users(map: &str) -> bool {
    map.split_ascii_whitespace().eq(["0", "0", "4294967295"])
}

#[cfg(test)]
mod tests {
    use ice_core::version::Version;

    use super::*;

    #[test]
    fn clients_are_told_apart_by_their_way() {
        let info = |socket: Option<&str>, address: &str| PeerInfo {
            address: address.into(),
            port: 0,
            own_address: if socket.is_some() { String::new() } else { "10.0.0.1".into() },
            local: socket.is_some(),
            socket: socket.map(PathBuf::from),
            user: socket.map(|_| 7),
            dialled: false,
            offer: Version::TO_CLIENT,
            version: Version::TO_CLIENT,
        };
        let extension = Some(Path::new("/run/s-ext"));
        for (info, way, from) in [
            (info(Some("/run/s-ext"), ""), extension, Origin::Extension),
            (info(Some("/run/s"), ""), extension, Origin::ThisHost),
            (info(Some("/run/s"), ""), None, Origin::ThisHost),
            (info(None, "10.0.0.1"), None, Origin::ThisHost),
            (info(None, "10.0.0.2"), None, Origin::OtherHost),
            (info(None, "10.0.0.2"), extension, Origin::OtherHost),
        ] {
            assert_eq!(origin(&info, way), from, "{info:?}");
        }
    }

    #[test]
    fn a_user_that_cannot_be_told_has_nothing_kept() {
        let all = "         0          0 4294967295\n";
        assert!(tells_all_users(all) && !tells_all_users("         0       1000          1\n") && !tells_all_users(""));
    }
}
