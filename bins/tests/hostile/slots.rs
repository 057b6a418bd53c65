//! Slots that somebody holds: by jobs that are brought straight to a compile server, and by requests that are never used.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use ice_core::env::EnvRef;
use ice_core::ids::ClientId;
use ice_core::message::{GetCs, Login, Message};
use ice_core::version::Version;
use ice_net::compress::Packer;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};

use crate::bystander::{compile, job, lab};
use crate::cluster::{COMPILE, Cluster, completed};
use crate::visitor::{connect, in_network_of};

/// How often a stranger sends a little, to keep its slot.
const TRICKLE: Duration = Duration::from_secs(1);

/// A job that never ends as long as it gets a little source now and then.
fn hold(address: &str, number: u32, environment: &str, over: &AtomicBool) {
    let mut conn = connect(address);
    let job = job(number, environment);
    let deadline = || Deadline::after(Step::Message, COMPILE);
    conn.send(&Message::CompileFile(job), deadline()).expect("COMPILE_FILE");
    let mut packer = Packer::new(1);
    let mut send = |conn: &mut Conn| {
        let piece = packer.pack(b"int x;\n", conn.version()).expect("a piece");
        conn.send(&Message::FileChunk(piece), deadline()).is_ok()
    };
    let begun = Instant::now();
    while !over.load(Ordering::Relaxed) && begun.elapsed() < COMPILE && send(&mut conn) {
        thread::sleep(TRICKLE);
    }
}

/// The environment that a host has.
fn environment_of(cluster: &Cluster, host: &str) -> String {
    let listing = cluster.check(cluster.lab.console("listcs --json environments"));
    let named = format!("\"name\":\"{host}\"");
    let line = listing.lines().find(|line| line.contains(&named)).expect("its line");
    let name = line.rsplit("\"name\":\"").next().and_then(|rest| rest.split('"').next());
    name.expect("its environment").to_owned()
}

/// The time of a compile while jobs that the scheduler did not give hold all slots of h2, beside that of a quiet one.
fn beside_jobs_of_nobody(slots: &[u32]) {
    let Some(cluster) = lab(slots) else { return };
    compile(&cluster, &[]);
    let quiet = compile(&cluster, &[]);
    let environment = environment_of(&cluster, "h2");
    let environment = environment.as_str();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for number in [900_001, 900_002] {
            let (cluster, over) = (&cluster, &over);
            scope.spawn(move || in_network_of(cluster, "h3", |address| hold(&address, number, environment, over)));
        }
        let listed = |words: &str| {
            let hosts = cluster.check(cluster.lab.console("listcs"));
            hosts.lines().any(|line| line.starts_with(" h2 ") && line.contains(words))
        };
        cluster.until("the scheduler is told that all slots are held", COMPILE, || listed("load=1000"));
        let begun = Instant::now();
        cluster.ok("h1", &[], "icecc gcc -O2 -c a.c -o a.o");
        let loud = begun.elapsed();
        over.store(true, Ordering::Relaxed);
        println!("a compile: {} ms, beside jobs that hold all slots: {} ms", quiet.as_millis(), loud.as_millis());
        cluster.until("the scheduler is told that it is over", COMPILE, || !listed("load=1000"));
    });
    // It waited for none of the slots: those that held them were not ended for it.
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "its slot is needed by a job of the scheduler's"), 0);
    assert_eq!(completed(&cluster, "h2"), 2, "it was not there");
    compile(&cluster, &[]);
}

#[test]
fn jobs_go_elsewhere_while_jobs_of_nobody_hold_all_slots() {
    beside_jobs_of_nobody(&[1, 2, 1]);
}

#[test]
fn jobs_stay_at_home_while_jobs_of_nobody_hold_all_slots_there_are() {
    beside_jobs_of_nobody(&[1, 2, 0]);
}

/// Logs in several times at the scheduler on h1, without slots, and asks for many servers each time. The connections are
/// returned, open.
fn ask_for_all(environment: &str) -> Vec<Conn> {
    let deadline = || Deadline::after(Step::Message, COMPILE);
    let logins = (0..5).map(|n| {
        let mut conn = ice_net::dial::tcp("10.77.0.1", 8765, Version::new(43), deadline()).expect("the scheduler");
        let login = Login {
            port: 20_000 + n,
            node_name: format!("greedy{n}").as_str().into(),
            platform: "x86_64".into(),
            chroot_possible: 1,
            ..Login::default()
        };
        conn.send(&Message::Login(login), deadline()).expect("LOGIN");
        for client in 1..=4 {
            let request = GetCs {
                environments: vec![EnvRef { platform: "x86_64".into(), name: environment.into() }],
                file: "a.c".into(),
                target: "x86_64".into(),
                count: 16,
                client: ClientId(client),
                ..GetCs::default()
            };
            conn.send(&Message::GetCs(request), deadline()).expect("GET_CS");
        }
        conn
    });
    logins.collect()
}

#[test]
fn servers_that_are_asked_for_and_not_used_go_to_others() {
    let Some(cluster) = lab(&[1, 2, 1]) else { return };
    compile(&cluster, &[]);
    let quiet = compile(&cluster, &[]);
    let environment = environment_of(&cluster, "h2");
    let asking = in_network_of(&cluster, "h3", |_| ask_for_all(&environment));
    cluster.until("slots that are held", COMPILE, || {
        cluster.check(cluster.lab.console("listjobs")).lines().any(|line| line.contains(" WAIT "))
    });
    let loud: Vec<u128> = (0..3).map(|_| compile(&cluster, &[]).as_millis()).collect();
    println!("a compile: {} ms, beside requests for all slots: {loud:?} ms", quiet.as_millis());
    assert_eq!(completed(&cluster, "h2"), 5, "jobs went elsewhere");
    cluster.wait_for_log("h1", "scheduler.log", "jobs given to a host do not begin, others get their slots");
    drop(asking);
}
