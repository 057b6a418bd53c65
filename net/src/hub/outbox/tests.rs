//! Tests of what the outbox thread does with each peer, and how long it sleeps.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::Duration;

use ice_core::ids::PeerId;

use super::*;
use crate::hub::CloseReason;
use crate::hub::peer::Closing;
use crate::wake::tests::is_woken;

const HOUR: Duration = Duration::from_secs(3600);
const MOMENT: Duration = Duration::from_millis(30);

/// A watched peer, and the other end of its socket.
fn peer(config: &HubConfig) -> (Arc<Peer>, UnixStream) {
    let (ours, theirs) = UnixStream::pair().unwrap();
    let peer = Peer::new(PeerId(1), String::new(), Some(Arc::new(ours.into())), None, config);
    peer.lock().watched = true;
    (Arc::new(peer), theirs)
}

fn post(peer: &Arc<Peer>, bytes: &[u8]) {
    let (outboxes, _wakeup) = Outboxes::new().unwrap();
    let fill = |out: &mut Vec<u8>, _| {
        out.extend_from_slice(bytes);
        Ok(())
    };
    peer.post(&fill, &outboxes);
}

/// Closes the peer within `time`.
fn close(peer: &Arc<Peer>, time: Duration) -> Instant {
    let (outboxes, _wakeup) = Outboxes::new().unwrap();
    let until = Instant::now() + time;
    peer.close("enough".into(), until, &outboxes);
    until
}

fn reason(peer: &Peer) -> Option<String> {
    peer.lock().closing.as_ref().map(|Closing { reason, .. }: &Closing| reason.to_string())
}

#[test]
fn peers_are_kept_as_long_as_there_is_something_to_do() {
    let config = HubConfig { send_stall: Duration::from_secs(30), ..HubConfig::default() };
    let now = Instant::now();
    // Everything is written.
    let (there, mut theirs) = peer(&config);
    post(&there, b"words");
    assert!(!service(&there, now, &config));
    assert!(!there.lock().watched);
    let mut received = [0; 5];
    theirs.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"words");
    // There is not enough room, first for a short time, then for too long.
    let (there, _theirs) = peer(&config);
    post(&there, &vec![1; 3 << 20]);
    assert!(service(&there, now, &config));
    assert!(there.lock().watched);
    let progress = there.lock().progress;
    assert!(service(&there, progress + Duration::from_secs(29), &config));
    assert_eq!(reason(&there), None);
    assert!(!service(&there, progress + Duration::from_secs(30), &config));
    assert_eq!(reason(&there), Some("room to send did not come within 30 s".into()));
    assert!(!there.lock().watched);
    // It is being closed and watched until its time has passed.
    let (there, theirs) = peer(&config);
    let until = close(&there, HOUR);
    assert!(service(&there, now, &config));
    assert!(there.lock().watched);
    assert!(!service(&there, until, &config));
    assert!(!there.lock().watched);
    drop(theirs);
    // It has closed.
    let (there, theirs) = peer(&config);
    post(&there, b"words");
    drop(theirs);
    assert!(!service(&there, now, &config));
    assert_eq!(reason(&there), Some("connection closed".into()));
    // Its thread has ended.
    let (there, _theirs) = peer(&config);
    there.ended();
    assert!(!service(&there, now, &config));
}

#[test]
fn an_empty_outbox_wakes_who_waits_for_it() {
    let config = HubConfig::default();
    let (there, _theirs) = peer(&config);
    post(&there, b"words");
    let waits = thread::spawn({
        let there = Arc::clone(&there);
        move || there.wait_for_flush(Instant::now() + HOUR)
    });
    while !waits.is_finished() {
        service(&there, Instant::now(), &config);
        thread::yield_now();
    }
    waits.join().unwrap();
}

#[test]
fn sleep_ends_when_there_is_something_to_do_and_not_before() {
    let config = HubConfig { send_stall: MOMENT, ..HubConfig::default() };
    let (waker, wakeup) = crate::wake::pair().unwrap();
    // One is closed after a moment, before another; neither has unwritten data.
    let ((soon, _soon), (late, _late)) = (peer(&config), peer(&config));
    let until = close(&soon, MOMENT);
    close(&late, HOUR);
    sleep(&[Arc::clone(&late), soon], &wakeup, &config);
    assert!(Instant::now() >= until);
    // One does not read, and is closed for it although it has more time to close.
    let (full, _full) = peer(&config);
    post(&full, &vec![1; 3 << 20]);
    assert!(service(&full, Instant::now(), &config));
    close(&full, HOUR);
    let stalled = full.lock().progress + config.send_stall;
    sleep(&[Arc::clone(&late), Arc::clone(&full)], &wakeup, &config);
    assert!(Instant::now() >= stalled);
    // It is closed after a moment, before the stall limit.
    let patient = HubConfig { send_stall: HOUR, ..HubConfig::default() };
    let until = Instant::now() + MOMENT;
    full.lock().closing.as_mut().unwrap().until = until;
    sleep(&[Arc::clone(&full)], &wakeup, &patient);
    assert!(Instant::now() >= until);
    // It reads again.
    let (reads, mut theirs) = peer(&patient);
    post(&reads, &vec![1; 3 << 20]);
    assert!(service(&reads, Instant::now(), &patient));
    let written = (3 << 20) - reads.lock().waiting();
    theirs.read_exact(&mut vec![0; written]).unwrap();
    sleep(&[Arc::clone(&late), reads], &wakeup, &patient);
    // It is woken although nothing is to be done for a long time or for ever.
    waker.wake();
    sleep(&[late], &wakeup, &patient);
    assert!(is_woken(&wakeup));
    sleep(&[], &wakeup, &patient);
}

#[test]
fn the_thread_writes_for_who_is_handed_over_until_it_is_stopped() {
    let config = HubConfig { send_stall: HOUR, ..HubConfig::default() };
    let (outboxes, wakeup) = Outboxes::new().unwrap();
    let outboxes = Arc::new(outboxes);
    let run = thread::spawn({
        let (outboxes, config) = (Arc::clone(&outboxes), config.clone());
        move || outboxes.run(&wakeup, &config)
    });
    for _ in 0..3 {
        let (there, mut theirs) = peer(&config);
        post(&there, &vec![7; 3 << 20]);
        outboxes.watch(Arc::clone(&there));
        let mut received = vec![0; 3 << 20];
        theirs.read_exact(&mut received).unwrap();
        assert!(received.iter().all(|byte| *byte == 7));
    }
    // One that is closed while the thread sleeps for it.
    let (there, mut theirs) = peer(&config);
    post(&there, &vec![7; 3 << 20]);
    outboxes.watch(Arc::clone(&there));
    there.close("enough".into(), Instant::now() + MOMENT, &outboxes);
    theirs.read_to_end(&mut Vec::new()).unwrap();
    outboxes.stop();
    run.join().unwrap();
}

#[test]
fn the_thread_is_woken_for_the_first_of_those_handed_over() {
    let (outboxes, wakeup) = Outboxes::new().unwrap();
    let config = HubConfig::default();
    let (one, two) = (peer(&config).0, peer(&config).0);
    outboxes.watch(Arc::clone(&one));
    assert!(is_woken(&wakeup));
    wakeup.clear();
    outboxes.watch(Arc::clone(&two));
    assert!(!is_woken(&wakeup), "it was not there yet for the first one");
    assert_eq!((Arc::strong_count(&one), Arc::strong_count(&two)), (2, 2));
    outboxes.wake();
    assert!(is_woken(&wakeup));
    wakeup.clear();
    outboxes.stop();
    assert!(is_woken(&wakeup));
    one.cut(CloseReason::Asked("over".into()));
}
