//! The feed of a running scheduler: a thread that finds it, logs in as monitor and reads, again and again.

use std::io;
use std::thread;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded};
use ice_core::message::Message;
use ice_core::time::Instant;
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::wire::Reading;

use super::finder::Finder;
use super::{Clock, Event};
use crate::exit;

/// How long connecting and logging in may take. A scheduler of 1.4 may be deaf for 36 s.
const LOGIN: Duration = Duration::from_secs(45);
/// Pause between two tries.
const PAUSE: Duration = Duration::from_secs(2);
/// Events that wait for the screen. Then the socket has to hold them, and at last the scheduler.
const EVENTS_MAX: usize = 1024;
/// Stack of the thread.
const STACK: usize = 256 << 10;

/// Events with their times.
pub type Feed = Receiver<(Instant, Event)>;

/// Starts the thread, which ends with the receiver.
///
/// # Errors
/// If it cannot be started.
pub fn start(finder: Finder, clock: Clock) -> io::Result<Feed> {
    let (events, feed) = bounded(EVENTS_MAX);
    let reader = Reader { finder, clock, events };
    thread::Builder::new().name("feed".into()).stack_size(STACK).spawn(move || {
        // Without a receiver there is nobody to tell.
        let _ = reader.run();
    })?;
    Ok(feed)
}

/// There is no receiver any more.
struct NobodyListens;

struct Reader {
    finder: Finder,
    clock: Clock,
    events: Sender<(Instant, Event)>,
}

impl Reader {
    fn run(&self) -> Result<(), NobodyListens> {
        loop {
            self.tell(Event::Looking { target: self.finder.target() })?;
            let why = match self.connect() {
                Ok((conn, scheduler)) => self.read(conn, &scheduler)?,
                Err(why) => why,
            };
            self.tell(Event::Lost { why })?;
            thread::sleep(PAUSE);
        }
    }

    fn connect(&self) -> Result<(Conn, String), String> {
        let target = self.finder.find()?;
        let deadline = Deadline::after(Step::Connect, LOGIN);
        let mut conn = target.dial(Version::TO_SCHEDULER, deadline).map_err(|e| exit::chain(&e))?;
        conn.read_as(Reading::Monitor);
        conn.send(&Message::MonLogin, deadline.for_step(Step::Send)).map_err(|e| exit::chain(&e))?;
        Ok((conn, target.to_string()))
    }

    /// Reads to the end; why it ended.
    fn read(&self, mut conn: Conn, scheduler: &str) -> Result<String, NobodyListens> {
        self.tell(Event::Connected { scheduler: scheduler.to_owned(), protocol: conn.version().number() })?;
        loop {
            // An idle cluster is silent.
            match conn.recv(Deadline::never(Step::Message)) {
                Ok(message) => self.tell(Event::Said(message))?,
                Err(error) => return Ok(format!("{scheduler}: {}", exit::chain(&error))),
            }
        }
    }

    fn tell(&self, event: Event) -> Result<(), NobodyListens> {
        self.events.send((self.clock.now(), event)).map_err(|_| NobodyListens)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ice_core::ids::HostId;
    use ice_core::message::MonStats;
    use ice_net::stream::Stream;
    use std::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(30);

    fn within() -> Deadline {
        Deadline::after(Step::Message, LIMIT)
    }

    /// A scheduler that lets a monitor in and says one thing.
    fn let_in(listener: &TcpListener, host: u32) -> Conn {
        let (stream, _) = listener.accept().unwrap();
        let mut conn = Conn::establish(Stream::from(stream), Version::TO_SCHEDULER, within()).unwrap();
        assert_eq!(conn.recv(within()).unwrap(), Message::MonLogin);
        let stats = MonStats { host: HostId(host), text: "Name:n\n".into() };
        conn.send(&Message::MonStats(stats), within()).unwrap();
        conn
    }

    #[test]
    fn a_scheduler_that_has_gone_is_found_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let feed = start(Finder::new("127.0.0.1".to_owned(), port, String::new()), Clock::start(1.0)).unwrap();
        let next = || feed.recv_timeout(LIMIT).unwrap().1;
        for host in [1, 2] {
            let conn = let_in(&listener, host);
            assert!(matches!(next(), Event::Looking { target } if target == format!("127.0.0.1:{port}")));
            assert!(matches!(next(), Event::Connected { protocol: 43, .. }));
            assert!(matches!(next(), Event::Said(Message::MonStats(stats)) if stats.host == HostId(host)));
            drop(conn);
            assert!(matches!(next(), Event::Lost { why } if why.ends_with(": connection closed")));
        }
    }
}
