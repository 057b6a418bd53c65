//! Tests of a single peer: what is queued, written and counted, who waits, and how it ends.

use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use super::*;
use crate::wake::Wakeup;
use crate::wake::tests::is_woken;

const HOUR: Duration = Duration::from_secs(3600);
/// More bytes than a socket has room for.
const MUCH: usize = 3 << 20;

/// A peer of a Unix socket with an account, and the socket's other end.
struct Bench {
    peer: Arc<Peer>,
    theirs: Stream,
    total: Sum,
    address: Sum,
    outboxes: Outboxes,
    wakeup: Wakeup,
}

impl Bench {
    fn new(config: &HubConfig) -> Self {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let (total, address) = (Sum::default(), Sum::default());
        let account = Account::new(&total, &address);
        let stream = Arc::new(Stream::from(ours));
        let peer = Arc::new(Peer::new(PeerId(7), String::new(), Some(stream), Some(account), config));
        let (outboxes, wakeup) = Outboxes::new().unwrap();
        Self { peer, theirs: theirs.into(), total, address, outboxes, wakeup }
    }

    fn post(&self, bytes: &[u8]) {
        self.peer.post(&fill(bytes), &self.outboxes);
    }

    fn close(&self, reason: &str) {
        self.peer.close(reason.into(), Instant::now() + HOUR, &self.outboxes);
    }

    /// Whether the outbox thread was woken since the last call.
    fn was_woken(&self) -> bool {
        let woken = is_woken(&self.wakeup);
        self.wakeup.clear();
        woken
    }

    /// What the other end has received, and whether our end was closed.
    fn received(&self) -> (Vec<u8>, bool) {
        let (mut received, mut bytes) = (Vec::new(), [0; 4096]);
        loop {
            match self.theirs.read_now(&mut bytes).unwrap() {
                Some(0) => return (received, true),
                Some(n) => received.extend_from_slice(&bytes[..n]),
                None => return (received, false),
            }
        }
    }

    /// Whether our end no longer accepts anything from the other one.
    fn is_deaf(&self) -> bool {
        self.peer.lock().stream().unwrap().read_now(&mut [0]).unwrap() == Some(0)
    }

    fn held(&self) -> usize {
        let held = self.peer.held(&self.address).unwrap();
        assert_eq!((self.total.load(Ordering::Relaxed), self.address.load(Ordering::Relaxed)), (held, held));
        held
    }

    fn waiting(&self) -> usize {
        self.peer.lock().waiting()
    }

    fn reason(&self) -> Option<String> {
        self.peer.lock().closing.as_ref().map(|closing| closing.reason.to_string())
    }

    /// Runs `what` on a new thread, and returns when that waits for a change of the peer.
    fn until_it_waits<T: Send + 'static>(&self, what: impl FnOnce(&Peer) -> T + Send + 'static) -> JoinHandle<T> {
        let peer = Arc::clone(&self.peer);
        let thread = thread::spawn(move || what(&peer));
        while self.peer.changed.notify_all() == 0 {
            assert!(!thread.is_finished(), "it does not wait");
            thread::yield_now();
        }
        // The call has woken it. Most likely it waits again by now, and must be woken by the test.
        thread::sleep(Duration::from_millis(5));
        thread
    }
}

fn fill(bytes: &[u8]) -> impl Fn(&mut Vec<u8>, Version) -> Result<(), ConnError> + '_ {
    |out, _| {
        out.extend_from_slice(bytes);
        Ok(())
    }
}

/// Appends something and then fails.
fn failing(out: &mut Vec<u8>, _: Version) -> Result<(), ConnError> {
    out.extend_from_slice(b"half a mess");
    Err(ConnError::Cut)
}

fn many() -> Vec<u8> {
    (0..MUCH).map(|i| (i % 251) as u8).collect()
}

#[test]
fn what_is_posted_is_written_at_once_as_far_as_there_is_room() {
    let bench = Bench::new(&HubConfig::default());
    bench.post(b"hello");
    assert_eq!((bench.received(), bench.waiting()), ((b"hello".to_vec(), false), 0));
    assert!(!bench.peer.lock().watched && !bench.was_woken());

    let much = many();
    bench.post(&much);
    assert!(bench.peer.lock().watched && bench.was_woken());
    let waiting = bench.waiting();
    assert!(0 < waiting && waiting < MUCH, "{waiting}");
    // A peer that is watched already is left to the outbox thread.
    let mut received = bench.received().0;
    bench.post(b"the end");
    assert!(!bench.was_woken());
    assert_eq!((bench.received(), bench.waiting()), ((Vec::new(), false), waiting + 7));
    while bench.waiting() > 0 {
        let before = bench.waiting();
        bench.peer.lock().write_now().unwrap();
        let came = bench.received().0;
        assert!(!came.is_empty());
        assert_eq!(bench.waiting(), before - came.len());
        received.extend(came);
    }
    assert_eq!(received, [&much[..], b"the end"].concat());
    assert_eq!(bench.reason(), None);
}

#[test]
fn an_outbox_has_a_bound() {
    let bench = Bench::new(&HubConfig { outbox_max: 100, ..HubConfig::default() });
    bench.peer.lock().watched = true;
    bench.post(&[1; 60]);
    bench.post(&[2; 40]);
    assert_eq!((bench.waiting(), bench.reason()), (100, None));
    bench.post(&[3; 1]);
    assert!(matches!(
        bench.peer.lock().closing,
        Some(Closing { reason: CloseReason::OutboxFull { waiting: 101 }, .. })
    ));
    assert_eq!((bench.waiting(), bench.received()), (0, (Vec::new(), true)));
}

/// A peer that is always behind costs about its unread bytes, not all bytes ever sent.
#[test]
fn what_was_written_is_not_kept() {
    let bench = Bench::new(&HubConfig::default());
    bench.post(&many());
    let mut sent = 0;
    while sent < 20 * MUCH {
        let came = bench.received().0;
        assert!(!came.is_empty());
        bench.peer.lock().write_now().unwrap();
        bench.post(&came);
        sent += came.len();
        assert!(bench.held() <= 4 * MUCH, "{}", bench.held());
    }
    assert_eq!(bench.reason(), None);
}

#[test]
fn a_large_outbox_is_freed_when_it_is_empty() {
    for (bytes, keeps) in [(1000, true), (100_000, false)] {
        let bench = Bench::new(&HubConfig::default());
        bench.post(&vec![1; bytes]);
        assert_eq!((bench.waiting(), bench.held() >= bytes), (0, keeps), "{bytes}");
        assert_eq!(bench.held() == 0, !keeps, "{bytes}");
    }
    // Memory held_by_thread by idle peers must not use up the common limit.
    let config = HubConfig::default();
    assert!(config.connections.all * OUTBOX_KEEP < config.held_max);
}

#[test]
fn a_message_that_cannot_be_encoded_or_sent_leaves_nothing() {
    let never = Deadline::never(Step::Send);
    let bench = Bench::new(&HubConfig::default());
    // A failed message leaves nothing between the others.
    assert!(matches!(bench.peer.post_and_wait(&failing, &|| (), &never), Err(ConnError::Cut)));
    assert_eq!(bench.waiting(), 0);
    bench.peer.post_and_wait(&fill(b"one"), &|| panic!("there is room"), &never).unwrap();
    assert_eq!(bench.received(), (b"one".to_vec(), false));
    bench.peer.post(&failing, &bench.outboxes);
    assert_eq!(bench.reason(), Some(ConnError::Cut.to_string()));
    assert_eq!(bench.received(), (Vec::new(), true));

    // A peer that is being closed.
    let bench = Bench::new(&HubConfig::default());
    bench.peer.lock().watched = true;
    bench.post(b"last words");
    bench.close("enough");
    bench.post(b"late words");
    assert!(matches!(bench.peer.post_and_wait(&fill(b"later ones"), &|| (), &never), Err(ConnError::Closed)));
    bench.peer.lock().write_now().unwrap();
    assert_eq!((bench.received(), bench.reason()), ((b"last words".to_vec(), false), Some("enough".into())));

    // A peer that is still being dialled.
    let peer = Arc::new(Peer::new(PeerId(8), String::new(), None, None, &HubConfig::default()));
    assert!(matches!(peer.post_and_wait(&fill(b"early words"), &|| (), &never), Err(ConnError::Closed)));
    assert!(peer.lock().stream().is_none());
    let (ours, theirs) = UnixStream::pair().unwrap();
    assert!(peer.connected(Arc::new(ours.into())));
    assert!(peer.lock().stream().is_some());
    peer.post_and_wait(&fill(b"words"), &|| (), &never).unwrap();
    let mut received = [0; 20];
    assert_eq!(Stream::from(theirs).read_now(&mut received).unwrap(), Some(5));
    assert!(received.starts_with(b"words"));
    // A peer that was closed meanwhile.
    let peer = Arc::new(Peer::new(PeerId(9), String::new(), None, None, &HubConfig::default()));
    peer.cut(CloseReason::Asked("not needed".into()));
    assert!(!peer.connected(Arc::new(UnixStream::pair().unwrap().0.into())));
}

/// Posts much data on a thread, and returns when it waits for room.
fn poster(bench: &Bench) -> JoinHandle<Result<(), ConnError>> {
    let (sender, receiver) = channel();
    let peer = Arc::clone(&bench.peer);
    let thread = thread::spawn(move || {
        let queued = || sender.send(()).unwrap_or(());
        peer.post_and_wait(&fill(&many()), &queued, &Deadline::never(Step::Send))
    });
    receiver.recv().expect("it waits for room");
    thread
}

#[test]
fn who_waits_for_room_waits_until_all_is_written() {
    let bench = Bench::new(&HubConfig::default());
    let read_all = |thread: JoinHandle<_>| {
        let mut received = Vec::new();
        while received.len() < MUCH {
            received.extend(bench.received().0);
            thread::yield_now();
        }
        assert!(received == many());
        thread.join().unwrap()
    };
    read_all(poster(&bench)).unwrap();
    assert_eq!(bench.waiting(), 0);
    // A peer that is being closed still writes what is queued,
    let thread = poster(&bench);
    bench.close("enough");
    read_all(thread).unwrap();
    // but one that was cut does not.
    let bench = Bench::new(&HubConfig::default());
    let thread = poster(&bench);
    bench.peer.cut(CloseReason::Asked("thrown out".into()));
    assert!(matches!(thread.join().unwrap(), Err(ConnError::Closed)));
    // The wait ends at the time limit.
    let bench = Bench::new(&HubConfig::default());
    let over = Deadline::after(Step::Send, Duration::ZERO);
    let error = bench.peer.post_and_wait(&fill(&many()), &|| (), &over);
    assert!(matches!(error, Err(ConnError::TimedOut { step: Step::Send, .. })));
    assert!(bench.waiting() > 0);
}

#[test]
fn a_peer_stalls_when_nothing_was_written_for_so_long() {
    let config = HubConfig { send_stall: Duration::from_secs(30), ..HubConfig::default() };
    let bench = Bench::new(&config);
    let long_ago = Instant::now() - HOUR;
    let age = || {
        let mut state = bench.peer.lock();
        std::mem::replace(&mut state.progress, long_ago)
    };
    bench.peer.lock().watched = true;
    age();
    assert!(bench.peer.lock().stalled(long_ago + HOUR, &config).is_none(), "nothing waits");
    bench.post(b"one");
    assert!(age() > long_ago, "the first byte begins to wait");
    bench.post(b"two");
    assert_eq!(age(), long_ago, "the second one waits behind it");
    let after = |time: Duration| bench.peer.lock().stalled(long_ago + time, &config);
    assert!(after(Duration::from_secs(30) - Duration::from_nanos(1)).is_none());
    match after(Duration::from_secs(30)) {
        Some(CloseReason::Peer(ConnError::TimedOut { step: Step::Send, limit })) => {
            assert_eq!(limit, config.send_stall)
        }
        other => panic!("{other:?}"),
    }
    bench.peer.lock().write_now().unwrap();
    assert!(age() > long_ago, "something was written");
    assert!(after(HOUR).is_none());
}

#[test]
fn credits_are_taken_and_given_back() {
    let bench = Bench::new(&HubConfig { credits: 2, ..HubConfig::default() });
    assert!(bench.peer.take_credit(100) && bench.peer.take_credit(20));
    assert_eq!(bench.held(), 120);
    let third = bench.until_it_waits(|peer| peer.take_credit(3));
    assert_eq!(bench.held(), 120);
    bench.peer.give_credit(100);
    assert!(third.join().unwrap());
    assert_eq!((bench.held(), bench.peer.lock().credits), (23, 0));
    let fourth = bench.until_it_waits(|peer| peer.take_credit(4));
    bench.close("enough");
    assert!(!fourth.join().unwrap());
    // An available credit is of no use to a peer that is being closed.
    bench.peer.give_credit(20);
    bench.peer.give_credit(3);
    assert!(!bench.peer.take_credit(5));
    assert_eq!(bench.peer.lock().credits, 1);
}

#[test]
fn what_is_held_is_the_sum_of_all_that_waits() {
    let config = HubConfig { held_max: 10_000, held_per_address_max: 2000, ..HubConfig::default() };
    let bench = Bench::new(&config);
    let excess = || bench.peer.excess(&config).map(|(excess, sum)| (excess, Arc::ptr_eq(&sum, &bench.address)));
    bench.peer.set_held(1000);
    bench.peer.take_credit(500);
    bench.peer.lock().watched = true;
    bench.post(&[1; 400]);
    assert_eq!((bench.held(), excess()), (1900, None));
    bench.peer.set_held(1100);
    assert_eq!((bench.held(), excess()), (2000, None));
    bench.peer.set_held(1101);
    assert_eq!((bench.held(), excess()), (2001, Some((Excess::Address, true))));
    assert_eq!(bench.peer.held(&Sum::default()), None, "it counts for its own address alone");
    bench.peer.give_credit(500);
    assert_eq!((bench.held(), excess()), (1501, None));
    // A peer that was cut counts for nothing, although its thread may not have noticed yet.
    bench.peer.cut(CloseReason::Asked("thrown out".into()));
    assert_eq!(bench.held(), 0);
    bench.peer.set_held(1000);
    assert_eq!(bench.held(), 0);

    let bench = Bench::new(&config);
    bench.peer.set_held(1000);
    bench.peer.take_credit(500);
    bench.peer.lock().watched = true;
    bench.post(&[1; 400]);
    assert!(matches!(bench.peer.ended(), (None, true)));
    assert_eq!((bench.held(), bench.waiting()), (500, 0), "what the loop has not dealt with");
    bench.peer.give_credit(500);
    assert_eq!(bench.held(), 0);
    assert!(bench.peer.lock().stream().is_none());
    // A dialled peer counts for no address.
    let own = Peer::new(PeerId(8), String::new(), None, None, &config);
    own.set_held(1 << 30);
    assert!(own.excess(&config).is_none() && own.held(&bench.address).is_none());
}

/// Each step of closing: first what is queued, then the peer may read it, then the connection is gone.
#[test]
fn steps_of_closing() {
    // (bytes wait, in a handler, awaits the peer, time has passed) → (done, end sent, closed)
    for (waits, in_handler, awaits_peer, over, expected) in [
        (true, false, true, false, (false, false, false)),
        (true, true, false, false, (false, false, false)),
        (true, false, true, true, (true, false, true)),
        (false, false, true, false, (false, true, false)),
        (false, false, true, true, (true, false, true)),
        (false, true, true, false, (true, false, true)),
        (false, false, false, false, (true, false, true)),
        (false, true, false, true, (true, false, true)),
    ] {
        let case = format!("{waits} {in_handler} {awaits_peer} {over}");
        let bench = Bench::new(&HubConfig::default());
        bench.peer.lock().watched = true;
        if waits {
            bench.post(b"last words");
        }
        let until = Instant::now() + HOUR;
        let now = if over { until } else { until - Duration::from_nanos(1) };
        let closing =
            Closing { reason: CloseReason::Asked("enough".into()), until, awaits_peer, end_sent: false, cut: false };
        let mut state = bench.peer.lock();
        (state.in_handler, state.closing) = (in_handler, Some(closing));
        let done = state.finish_writing(now);
        let end_sent = state.closing.as_ref().unwrap().end_sent;
        drop(state);
        assert_eq!((done, end_sent, bench.is_deaf()), expected, "{case}");
        assert_eq!(bench.received().1, done || end_sent, "{case}");
        if end_sent {
            // The end is sent once, and then the peer has its time.
            let mut state = bench.peer.lock();
            assert!(!state.finish_writing(now), "{case}");
            assert!(state.finish_writing(until), "{case}");
        }
    }
    // Nothing is to be done for a peer that is not closing, or has gone.
    let bench = Bench::new(&HubConfig::default());
    assert!(bench.peer.lock().finish_writing(Instant::now()));
    assert!(!bench.is_deaf());
    bench.close("enough");
    bench.peer.ended();
    assert!(bench.peer.lock().finish_writing(Instant::now()));
}

#[test]
fn closing_is_left_to_the_outbox_thread() {
    let bench = Bench::new(&HubConfig::default());
    assert!(!bench.peer.is_closing());
    bench.close("enough");
    assert!(bench.peer.is_closing() && bench.peer.lock().watched && bench.was_woken());
    assert_eq!((bench.received(), bench.is_deaf()), ((Vec::new(), true), false));
    // The first reason counts, and nothing else happens.
    bench.close("more than enough");
    assert!(!bench.was_woken());
    bench.peer.cut(CloseReason::Asked("thrown out".into()));
    assert!(bench.is_deaf());
    assert_eq!(bench.reason(), Some("enough".into()));
    let (reason, watched) = bench.peer.ended();
    assert_eq!((reason.unwrap().to_string(), watched), ("enough".into(), true));

    // The outbox thread may sleep for longer than the close has time.
    let bench = Bench::new(&HubConfig::default());
    bench.post(&many());
    assert!(bench.was_woken());
    bench.close("enough");
    assert!(bench.was_woken());
    assert!(!bench.received().1 && !bench.is_deaf());

    let hasty = |bench: &Bench| bench.peer.close_hastily("enough".into(), Instant::now() + HOUR, &bench.outboxes);
    let bench = Bench::new(&HubConfig::default());
    hasty(&bench);
    assert!(bench.received().1 && bench.is_deaf());
    assert!(!bench.peer.lock().watched && !bench.was_woken());
    let bench = Bench::new(&HubConfig::default());
    bench.peer.lock().watched = true;
    bench.post(b"last words");
    hasty(&bench);
    assert!(!bench.is_deaf() && bench.was_woken());
    bench.peer.lock().write_now().unwrap();
    assert_eq!(bench.received(), (b"last words".to_vec(), false));
    assert!(bench.peer.lock().finish_writing(Instant::now()) && bench.is_deaf());
}

#[test]
fn the_own_thread_waits_for_the_peer_itself() {
    let close = |bench: &Bench| bench.peer.close_and_wait("enough".into(), Instant::now() + HOUR, &bench.outboxes);
    let bench = Bench::new(&HubConfig::default());
    close(&bench);
    assert!(bench.received().1 && !bench.is_deaf() && !bench.was_woken());
    assert_eq!(bench.reason(), Some("enough".into()));
    // What is left to write is the outbox thread's.
    let bench = Bench::new(&HubConfig::default());
    bench.post(&many());
    assert!(bench.was_woken());
    close(&bench);
    assert!(!bench.received().1 && bench.was_woken());
}

#[test]
fn who_waits_is_woken() {
    let in_an_hour = Instant::now() + HOUR;
    // Waiting for the outbox to be empty.
    let bench = Bench::new(&HubConfig::default());
    bench.peer.lock().watched = true;
    bench.post(b"words");
    let flush = bench.until_it_waits(move |peer| peer.wait_for_flush(in_an_hour));
    bench.peer.lock().write_now().unwrap();
    bench.peer.notify();
    flush.join().unwrap();
    // There is nothing to wait for, or nobody who would do it, or no time.
    bench.peer.wait_for_flush(in_an_hour);
    bench.post(b"words");
    bench.peer.wait_for_flush(Instant::now());
    bench.peer.lock().watched = false;
    bench.peer.wait_for_flush(in_an_hour);

    // Waiting for the loop to close it.
    bench.peer.wait_for_close(Instant::now());
    let close = bench.until_it_waits(move |peer| peer.wait_for_close(in_an_hour));
    bench.close("enough");
    close.join().unwrap();
    bench.peer.wait_for_close(in_an_hour);
    let bench = Bench::new(&HubConfig::default());
    let cut = bench.until_it_waits(move |peer| peer.wait_for_close(in_an_hour));
    bench.peer.cut(CloseReason::Asked("thrown out".into()));
    cut.join().unwrap();
}
