//! A recording monitor.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use ice_core::message::{Message, MonStats};
use ice_net::conn::Conn;
use ice_net::error::ConnError;
use ice_net::wire::Reading;

use super::scheduler::Scheduler;
use super::{LIMIT, dial, within};

/// A monitor that keeps all it is told.
#[derive(Debug)]
pub struct Monitor {
    conn: Conn,
    /// What it was told, in order.
    pub told: Vec<Message>,
}

impl Monitor {
    /// Connects and logs in.
    pub fn login(scheduler: &Scheduler, offer: u32) -> Self {
        let mut conn = dial(Ipv4Addr::LOCALHOST, scheduler.port, offer);
        conn.read_as(Reading::Monitor);
        conn.send(&Message::MonLogin, within(LIMIT)).unwrap();
        // Nothing answers it while there are no hosts; what others do next shall come after it.
        std::thread::sleep(Duration::from_millis(100));
        Self { conn, told: Vec::new() }
    }

    /// The connection.
    pub fn conn(&mut self) -> &mut Conn {
        &mut self.conn
    }

    /// Reads until a message is the one wanted; all are kept.
    #[track_caller]
    pub fn until<T>(&mut self, what: &str, wanted: impl Fn(&Message) -> Option<T>) -> T {
        let deadline = within(LIMIT);
        loop {
            match self.conn.recv(deadline) {
                Ok(message) => {
                    let found = wanted(&message);
                    self.told.push(message);
                    if let Some(found) = found {
                        return found;
                    }
                }
                Err(e) => panic!("monitor: {what} did not come: {e}; it was told {:#?}", self.told),
            }
        }
    }

    /// Waits for a MON_STATS with this line, as `Name:h1`.
    #[track_caller]
    pub fn until_line(&mut self, line: &str) -> MonStats {
        self.until(line, |m| match m {
            Message::MonStats(stats) if stats.text.lossy().lines().any(|l| l == line) => Some(stats.clone()),
            _ => None,
        })
    }

    /// The next message.
    #[track_caller]
    pub fn next(&mut self) -> Message {
        self.until("a message", |m| Some(m.clone()))
    }

    /// Whether the scheduler closes in time; what it says before is kept.
    pub fn is_closed_within(&mut self, limit: Duration) -> bool {
        let end = Instant::now() + limit;
        loop {
            match self.conn.recv(within(end.saturating_duration_since(Instant::now()))) {
                Ok(message) => self.told.push(message),
                Err(ConnError::TimedOut { .. }) => return false,
                Err(_) => return true,
            }
        }
    }
}

/// The lines of a MON_STATS.
pub fn fields(stats: &MonStats) -> BTreeMap<String, String> {
    let text = stats.text.lossy();
    let pair = |line: &str| line.split_once(':').map(|(key, value)| (key.to_owned(), value.to_owned()));
    text.lines().filter_map(pair).collect()
}
