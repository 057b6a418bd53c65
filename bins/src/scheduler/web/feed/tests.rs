//! The loop's end of the feed, with a scheduler's machine behind it.

use super::*;
use ice_core::scheduler::{Config, Scheduler};

/// A machine with a tap that holds so much.
struct Rig {
    machine: Scheduler,
    tap: Tap,
    told: Receiver<Told>,
    others: Vec<Output>,
}

impl Rig {
    fn new(room: usize) -> Self {
        let (tell, told) = bounded(room);
        let machine = Scheduler::new(Config::default(), ice_core::time::Instant::ZERO);
        let tap = Tap { told: tell, next: 0, monitor: None, listing: None, lossy: false };
        Self { machine, tap, told, others: Vec::new() }
    }

    fn input(&mut self, input: Input) {
        self.machine.handle(ice_core::time::Instant::ZERO, input);
        while let Some(output) = self.machine.poll_output() {
            self.others.extend(self.tap.pass(output));
        }
    }

    fn want(&mut self, want: Want) {
        self.tap.inputs(want).into_iter().for_each(|input| self.input(input));
    }

    fn host(&mut self, peer: u64, name: &str) {
        let peer = PeerId(peer);
        let version = Version::new(43);
        self.input(Input::Opened { peer, address: "10.0.0.1".into(), offer: version, version });
        let login = ice_core::message::Login { node_name: name.into(), slots: 2, port: 10245, ..Default::default() };
        self.input(Input::Message { peer, kind: 'L', message: Message::Login(login) });
    }

    fn told(&self) -> Vec<String> {
        self.told.try_iter().map(|told| format!("{told:?}")).collect()
    }
}

#[test]
fn it_hears_what_monitors_hear_and_leaves_others_their_messages() {
    let mut rig = Rig::new(100);
    rig.want(Want::Tick);
    rig.want(Want::Tick);
    rig.host(1, "one");
    let told = rig.told();
    assert_eq!(told[0], "Begin");
    assert!(told[1].contains("MonStats") && told[1].contains("Name:one"), "{told:?}");
    assert_eq!(told.len(), 2, "logged in once: {told:?}");
    assert!(rig.others.iter().any(|output| matches!(output, Output::Send { peer: PeerId(1), .. })), "{:?}", rig.others);
}

#[test]
fn lists_come_once_for_all_who_want_them_and_end() {
    let mut rig = Rig::new(100);
    rig.host(1, "one");
    rig.want(Want::Rows);
    let told = rig.told();
    assert!(told.iter().any(|told| told.starts_with("Rows") && told.contains("one")), "{told:?}");
    assert!(told.iter().any(|told| told.contains("jobs_total")), "{told:?}");
    assert_eq!(told.iter().filter(|told| *told == "Listed").count(), 1);
    assert_eq!(told.last().map(String::as_str), Some("Listed"));
    rig.want(Want::Rows);
    assert_eq!(rig.told().len(), told.len(), "again");
}

#[test]
fn what_nobody_takes_is_dropped_and_the_feed_begins_anew() {
    let mut rig = Rig::new(3);
    rig.want(Want::Tick);
    (1..=5).for_each(|peer| rig.host(peer, &format!("h{peer}")));
    rig.want(Want::Tick);
    assert_eq!(rig.told().len(), 3, "no room yet");
    rig.want(Want::Tick);
    let told = rig.told();
    assert_eq!(told[0], "Begin");
    assert_eq!(told.len(), 3, "what is there, as far as there is room: {told:?}");
}

#[test]
fn a_feed_that_the_scheduler_ends_begins_anew() {
    let mut rig = Rig::new(100);
    rig.want(Want::Tick);
    rig.input(Input::ElectionLost { address: "10.0.0.9".into(), port: 8765, version: Version::new(44) });
    rig.told();
    rig.want(Want::Tick);
    assert_eq!(rig.told(), ["Begin"]);
}
