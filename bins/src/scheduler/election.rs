//! Announcing this scheduler to others, and checking announcements of those that claim precedence.
//!
//! An announcement is one datagram, which anyone can forge. So it only counts if a scheduler at that address also
//! answers a query and has precedence by its answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam::channel::Sender;
use ice_core::version::Version;
use ice_net::allow::Allow;
use ice_net::discover::{self, Answer, Identity, Query, Reach};

/// Timeout of the query. Hosts shall move within the second in which the other scheduler appeared.
const ANSWER: Duration = Duration::from_millis(300);
/// Age that `ICECC_FAKE_STARTTIME` adds to this scheduler.
pub const FAKE_AGE: Duration = Duration::from_secs(1000);
const STACK: usize = 128 << 10;

/// Settings from environment variables, for tests.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Address to which broadcasts are sent.
    pub reach: Reach,
    /// Age that is added to this scheduler's.
    pub earlier: Duration,
}

impl Hooks {
    /// Reads the variables. A scheduler that listens on one interface, or to some networks, sends its broadcasts there.
    pub fn from_environment(device: Option<String>, allow: Allow) -> Self {
        let reach = Reach::new(device, allow);
        let fake = std::env::var_os("ICECC_FAKE_STARTTIME").is_some();
        Self { reach, earlier: if fake { FAKE_AGE } else { Duration::ZERO } }
    }
}

/// This scheduler's identity towards others.
pub fn identity(netname: &str, earlier: Duration) -> Identity {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Identity {
        version: Version::TO_SCHEDULER,
        start_time: now.saturating_sub(earlier).as_secs(),
        netname: netname.into(),
    }
}

/// A scheduler with precedence that has answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Winner {
    /// Where it answers.
    pub at: SocketAddr,
    /// Its version.
    pub version: u32,
}

/// Queries the announcer at `from`; if it answers and has precedence, it is sent to `winners`. `held` is dropped when
/// that is known.
pub fn check_claim(own: Identity, from: SocketAddr, port: u16, reach: Reach, winners: Sender<Winner>, held: Arc<()>) {
    let work = move || {
        let _held = held;
        let query = Query { netname: own.netname.clone(), port, version: own.version, reach };
        let Ok(found) = discover::survey(&query, ANSWER) else { return };
        let winner = found.answers.iter().find(|answer| wins(answer, from, &own));
        match winner {
            Some(answer) => {
                let _ = winners.send(Winner { at: answer.from, version: answer.version });
            }
            None => log::warn!("announcement of a better scheduler ignored, it does not answer from={from}"),
        }
    };
    if thread::Builder::new().name("election".into()).stack_size(STACK).spawn(work).is_err() {
        log::warn!("cannot check an announcement, it is ignored from={from}");
    }
}

fn wins(answer: &Answer, from: SocketAddr, own: &Identity) -> bool {
    let other = Identity {
        version: Version::new(answer.version),
        start_time: answer.start_time,
        netname: answer.netname.clone(),
    };
    answer.from.ip() == from.ip() && discover::defeats(&other, own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn s8_only_the_announcer_itself_counts_and_only_if_it_is_better() {
        let own = Identity { version: Version::new(43), start_time: 100, netname: "N".into() };
        let from = SocketAddr::from(([10, 0, 0, 1], 40_000));
        let answer = |host: u8, version, start_time| Answer {
            from: SocketAddr::from(([10, 0, 0, host], 8765)),
            version,
            start_time,
            netname: "N".into(),
        };
        assert!(wins(&answer(1, 43, 99), from, &own));
        assert!(wins(&answer(1, 44, 200), from, &own));
        assert!(!wins(&answer(1, 43, 100), from, &own));
        assert!(!wins(&answer(2, 44, 1), from, &own));
    }
}
