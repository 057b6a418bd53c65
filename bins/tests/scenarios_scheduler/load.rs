//! S64 to S67: many hosts, many jobs. How fast it is, is measured by `cargo bench --bench scheduler_load`; here nothing
//! may be lost.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use ice_core::message::{GetCs, Message};

use crate::fake::{Answer, Daemon, Door, LIMIT, Options, Scheduler, Setup, ask, env, until, within};
use crate::{OURS, ours};

/// Hosts that share one door, and are told apart by their addresses.
fn hosts(scheduler: &Scheduler, count: u8, slots: u32) -> Vec<Daemon> {
    let door = Arc::new(Door::open());
    let setup = |n: u8| Setup { door: Some(Arc::clone(&door)), ..Setup::new(&format!("h{n}")).slots(slots).env("E") };
    let hosts = (1..=count).map(|n| scheduler.host(setup(n).from(n))).collect();
    until("all hosts probed", || door.visits() >= usize::from(count));
    hosts
}

fn server_of<'a>(hosts: &'a mut [Daemon], answer: &Answer) -> &'a mut Daemon {
    let last = answer.server().host.lossy().rsplit('.').next().and_then(|n| n.parse::<usize>().ok()).unwrap();
    &mut hosts[last - 1]
}

fn quiet() -> Scheduler {
    Scheduler::start_with(OURS, &Options { quiet: true, ..Options::default() })
}

#[test]
fn s64_many_hosts_at_once() {
    let scheduler = ours();
    let began = Instant::now();
    let all: Vec<Daemon> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4u8)
            .map(|n| {
                scope.spawn({
                    let s = &scheduler;
                    move || some_hosts(s, n)
                })
            })
            .collect();
        threads.into_iter().flat_map(|t| t.join().unwrap()).collect()
    });
    println!("{} hosts logged in within {:?}", all.len(), began.elapsed());
    assert!(scheduler.text().greeting.contains(" 200 hosts,"));
}

fn some_hosts(scheduler: &Scheduler, n: u8) -> Vec<Daemon> {
    let door = Arc::new(Door::open());
    (0..50)
        .map(|m| {
            let setup = Setup::new(&format!("h{n}-{m}")).from(n + 2);
            scheduler.host(Setup { door: Some(Arc::clone(&door)), ..setup })
        })
        .collect()
}

#[test]
fn s65_a_long_queue() {
    let scheduler = quiet();
    let mut hosts = hosts(&scheduler, 10, 4);
    hosts.iter_mut().for_each(|h| h.stats(1000));
    hosts.iter_mut().for_each(|h| drop(h.fence()));
    let mut submitter = scheduler.host(Setup::new("s").slots(0));
    for n in 0..20_000 {
        submitter.request(ask(&format!("f{n}.c"), "E"));
    }
    submitter.fence();
    hosts.iter_mut().for_each(|h| h.stats(0));
    let mut running: VecDeque<Answer> = (0..60).map(|_| submitter.answer()).collect();
    let mut longest = std::time::Duration::ZERO;
    for _ in 0..500 {
        let ended = running.pop_front().unwrap();
        let asked = Instant::now();
        server_of(&mut hosts, &ended).done(ended.job(), 100, 10_000);
        running.push_back(submitter.answer());
        longest = longest.max(asked.elapsed());
    }
    println!("JOB_DONE to the next USE_CS with 20,000 queued: {longest:?} at most");
    let greeting = scheduler.text().greeting;
    assert!(greeting.contains(" 19500 jobs in queue (20000 total)"), "{greeting}");
}

#[test]
fn s66_a_submitter_that_stops_reading() {
    let scheduler = quiet();
    let door = Arc::new(Door::open());
    let shared = |setup: Setup| Setup { door: Some(Arc::clone(&door)), ..setup };
    // More slots than the flood has jobs; on a platform of their own, so that nobody else is meant. Its name is in each
    // answer: long, so that the jobs that one submitter may have fill an outbox.
    let platform = "p".repeat(200);
    let large = |n: u8| {
        shared(Setup::new(&format!("large{n}")).slots(10_000).env("F").from(20 + n))
            .with(|l| l.platform = platform.as_str().into())
    };
    let mut large: Vec<Daemon> = (0..16).map(|n| scheduler.host(large(n))).collect();
    let mut small = scheduler.host(shared(Setup::new("small").slots(4).env("E").from(8)));
    let mut other = scheduler.host(shared(Setup::new("other").slots(0)));
    let mut stuck = scheduler.host(Setup { unread_max: Some(4096), ..shared(Setup::new("stuck").slots(0)) });
    let request = GetCs { environments: vec![env(&platform, "F")], ..ask("stuck.c", "F") };
    let mut longest = std::time::Duration::ZERO;
    // Until more waits for it than is kept for one peer.
    let dropped = (0..400).any(|_| {
        let many = vec![Message::GetCs(request.clone()); 500];
        let gone = stuck.conn().send_all(&many, within(LIMIT)).is_err();
        // So that they are not taken for frozen, however busy this machine is.
        large.iter_mut().for_each(|h| h.stats(0));
        let asked = Instant::now();
        let answer = other.place(GetCs { preferred_host: "small".into(), ..ask("other.c", "E") });
        longest = longest.max(asked.elapsed());
        assert!(answer.is_on(&small));
        small.done(answer.job(), 100, 10_000);
        gone
    });
    println!("another submitter waited {longest:?} at most");
    assert!(dropped, "the one that does not read is kept");
    until("its jobs gone", || !scheduler.text().command("listjobs").contains("sub:stuck"));
}

#[test]
fn s67_nothing_is_left_behind() {
    let scheduler = quiet();
    let mut hosts = hosts(&scheduler, 100, 2);
    let mut submitter = scheduler.host(Setup::new("s").slots(0));
    let (memory, open) = (scheduler.resident_kib(), scheduler.descriptors());
    let mut running: VecDeque<Answer> = VecDeque::new();
    let (mut asked, mut ended) = (0, 0);
    while ended < 10_000 {
        while asked < 10_000 && running.len() < 150 {
            asked += 1;
            running.push_back(submitter.place(ask(&format!("f{}.c", asked % 300), "E")));
        }
        let answer = running.pop_front().unwrap();
        let host = server_of(&mut hosts, &answer);
        host.begin(answer.job());
        host.done(answer.job(), 100, 10_000);
        ended += 1;
    }
    hosts.iter_mut().for_each(|h| drop(h.fence()));
    let mut text = scheduler.text();
    assert!(text.greeting.contains(" 0 jobs in queue (10000 total)"), "{}", text.greeting);
    assert_eq!(text.command("listjobs"), "200 done\n");
    drop(text);
    until("no descriptor more than before", || scheduler.descriptors() <= open);
    println!("memory {memory} KiB before, {} KiB after", scheduler.resident_kib());
    assert!(scheduler.resident_kib() < memory + 8 * 1024);
}
