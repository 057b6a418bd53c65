//! How the page learns what the scheduler does: as a monitor of it, and as a peer of its text port, both inside of the
//! program.
//!
//! The loop hands over what it would send to such peers ([`Tap::pass`]), and never waits: if nobody takes it fast enough,
//! it is dropped, and the feed begins anew. The thread "web feed" turns it into what is [`Known`].

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam::channel::{Receiver, Sender, bounded, tick};
use crossbeam::select;
use ice_core::ids::PeerId;
use ice_core::message::Message;
use ice_core::scheduler::{Input, Output, Row};
use ice_core::text::Text;
use ice_core::version::Version;
use ice_net::wire::number::letter;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::known::Known;

/// What the loop has told and the thread has not taken: some seconds of the busiest scheduler.
const TOLD_MAX: usize = 65_536;
/// What is taken under one lock.
const BATCH: usize = 256;
/// How old rows may be, and how often the loop is asked for them at most.
const FRESH: Duration = Duration::from_secs(1);
/// How long a request waits for new rows. A loop with much to do sends them later: then it gets the ones before.
const PATIENCE: Duration = Duration::from_millis(300);
/// Numbers of our peers begin here; the hub counts its own from 0.
const OWN: u64 = 1 << 63;
const STACK: usize = 256 << 10;

/// What the loop tells.
#[derive(Debug)]
enum Told {
    /// The feed begins: all that is there follows.
    Begin,
    Message(Message),
    Rows(Vec<Row>),
    /// All rows have come.
    Listed,
}

/// What is wanted of the loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// A second has passed: the feed begins if it does not run.
    Tick,
    /// Rows and counts.
    Rows,
}

/// The loop's end.
#[derive(Debug)]
pub struct Tap {
    told: Sender<Told>,
    next: u64,
    monitor: Option<PeerId>,
    listing: Option<PeerId>,
    /// Something was dropped.
    lossy: bool,
}

impl Tap {
    /// What the scheduler's machine is told for this.
    pub fn inputs(&mut self, want: Want) -> Vec<Input> {
        match want {
            Want::Tick => self.log_in(),
            Want::Rows if self.listing.is_some() => Vec::new(),
            Want::Rows => self.list(),
        }
    }

    /// Takes what is for us; anything else comes back.
    pub fn pass(&mut self, output: Output) -> Option<Output> {
        let told = match output {
            Output::Send { peer, message } if self.is_ours(peer) => Told::Message(message),
            // A greeting, and words around the rows.
            Output::SendText { peer, .. } if self.is_ours(peer) => return None,
            Output::SendRows { peer, rows, .. } if self.is_ours(peer) => Told::Rows(rows),
            Output::Close { peer, .. } if self.is_ours(peer) => return self.closed(peer),
            other => return Some(other),
        };
        self.tell(told);
        None
    }

    fn is_ours(&self, peer: PeerId) -> bool {
        peer.0 >= OWN
    }

    fn closed(&mut self, peer: PeerId) -> Option<Output> {
        if self.monitor == Some(peer) {
            self.monitor = None;
        } else {
            self.listing = None;
            self.tell(Told::Listed);
        }
        None
    }

    /// A feed with a gap is of no use; lists are asked for again anyway.
    fn tell(&mut self, told: Told) {
        self.lossy |= self.told.try_send(told).is_err();
    }

    /// Begins the feed if it does not run, or has a gap.
    fn log_in(&mut self) -> Vec<Input> {
        let mut inputs = Vec::new();
        if self.monitor.is_some() && !self.lossy {
            return inputs;
        }
        inputs.extend(self.monitor.take().map(|peer| Input::Closed { peer }));
        // While there is no room for it, nothing else would get in either.
        if self.told.try_send(Told::Begin).is_ok() {
            self.lossy = false;
            let peer = self.new_peer();
            self.monitor = Some(peer);
            let version = Version::TO_SCHEDULER;
            inputs.push(Input::Opened { peer, address: address(), offer: version, version });
            inputs.push(Input::Message { peer, kind: letter(&Message::MonLogin), message: Message::MonLogin });
        }
        inputs
    }

    fn list(&mut self) -> Vec<Input> {
        let peer = self.new_peer();
        self.listing = Some(peer);
        let line = |text: &str| Input::Line { peer, text: text.into() };
        let opened = Input::TextOpened { peer, address: address(), may_change: false };
        vec![opened, line("listcs --json"), line("stats --json"), line("quit")]
    }

    fn new_peer(&mut self) -> PeerId {
        self.next += 1;
        PeerId(OWN + self.next)
    }
}

/// What logs and bounds of the scheduler call us.
fn address() -> Text {
    "the page".into()
}

/// What the feed fills and requests read.
#[derive(Debug)]
pub struct Feed {
    known: Mutex<Known>,
    listed: Condvar,
    wants: Sender<Want>,
    began: Instant,
}

impl Feed {
    /// What is known, with rows that are about a second old at most, if the loop has the time to send them.
    pub fn known(&self) -> MutexGuard<'_, Known> {
        let mut known = self.known.lock();
        if known.listed_since(FRESH) {
            return known;
        }
        let before = known.lists();
        let _ = self.wants.try_send(Want::Rows);
        let end = Instant::now() + PATIENCE;
        while known.lists() == before {
            if self.listed.wait_until(&mut known, end).timed_out() {
                break;
            }
        }
        known
    }

    /// Time since the scheduler began.
    pub fn now(&self) -> ice_core::time::Instant {
        let micros = self.began.elapsed().as_micros();
        ice_core::time::Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    }

    fn hear(&self, first: Option<Told>, told: &Receiver<Told>) {
        let now = self.now();
        let mut known = self.known.lock();
        for told in first.into_iter().chain(told.try_iter().take(BATCH)) {
            match told {
                Told::Begin => known.begin_anew(),
                Told::Message(message) => known.hear(now, &message),
                Told::Rows(rows) => rows.into_iter().for_each(|row| known.row_came(row)),
                Told::Listed => {
                    known.listed();
                    self.listed.notify_all();
                }
            }
        }
    }

    fn pass_time(&self) {
        let _ = self.wants.try_send(Want::Tick);
        let now = self.now();
        self.known.lock().pass(now);
    }
}

/// Starts the thread. Returns what it fills, the loop's end, and what it wants of the loop.
pub fn start(began: Instant) -> io::Result<(Arc<Feed>, Tap, Receiver<Want>)> {
    let (tell, told) = bounded(TOLD_MAX);
    let (wants, wanted) = bounded(4);
    let feed = Feed { known: Mutex::new(Known::new()), listed: Condvar::new(), wants, began };
    let (feed, ticks) = (Arc::new(feed), tick(Duration::from_secs(1)));
    let own = Arc::clone(&feed);
    let work = move || {
        loop {
            select! {
                recv(told) -> first => match first {
                    Ok(first) => own.hear(Some(first), &told),
                    Err(_) => return,
                },
                recv(ticks) -> _ => own.pass_time(),
            }
        }
    };
    thread::Builder::new().name("web feed".into()).stack_size(STACK).spawn(work)?;
    let tap = Tap { told: tell, next: 0, monitor: None, listing: None, lossy: false };
    Ok((feed, tap, wanted))
}

#[cfg(test)]
mod tests;
