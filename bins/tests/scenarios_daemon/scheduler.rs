//! D14 and D15: which scheduler is used when several answer.

use std::time::Duration;

use crate::fake::{Claim, SchedulerDouble, answering, free_ports};
use crate::place::Place;

/// Version, start time and netname of one that answers.
type Who<'a> = (u8, u64, &'a str);

/// Starts a daemon that asks, in this order, two schedulers: it must log in to the one that is `wanted`. Its log.
///
/// It waits a tenth of a second for a second answer, and on a busy machine that one may come later: then it is asked
/// anew. Of two answers that it has seen, it must choose the right one.
#[track_caller]
fn chooses(args: &[&str], both: [Who<'_>; 2], wanted: Who<'_>) -> String {
    let chosen = both.iter().position(|who| *who == wanted).unwrap();
    for _ in 0..3 {
        let place = Place::new();
        let claims =
            both.map(|(version, start, netname)| Claim { port: free_ports(), version, start, netname: netname.into() });
        let schedulers = claims.each_ref().map(|claim| SchedulerDouble::open_at(claim.port, 43));
        let _answering = answering(&claims);
        let [first, last] = claims.map(|claim| claim.port);
        let mut command = place.daemon();
        command.args(["-s", &format!(":{first}")]).args(args);
        command.env("ICECC_TESTS", "1").env("ICECC_TEST_SCHEDULER_PORTS", format!("{first}:{last}"));
        let daemon = place.start(command);
        daemon.until_log("scheduler is on 127.0.0.1:");
        let log = daemon.log();
        let is_heard = |port: u16| {
            let from = format!("127.0.0.1:{port}");
            [format!("scheduler at {from} answered"), format!("found at {from}")].iter().any(|line| log.contains(line))
        };
        if ![first, last].into_iter().all(is_heard) {
            continue;
        }
        let right = format!("scheduler is on 127.0.0.1:{} (net ", [first, last][chosen]);
        assert!(log.contains(&right), "{wanted:?} was not chosen of {both:?}: {log}");
        let _link = schedulers[chosen].accept();
        let other = &schedulers[1 - chosen];
        assert!(!other.is_visited_within(Duration::from_millis(100)), "it logs in to both");
        daemon.until_log("Connected to scheduler (I am known as 127.0.0.1)");
        return daemon.log();
    }
    panic!("it never saw two answers");
}

#[test]
fn d14_the_best_of_two_schedulers() {
    let wanted = (43, 10, "NETA");
    for (other, reason) in [
        ((42, 1, "NETA"), ""),
        ((43, 20, "NETA"), ""),
        ((43, 1, "NETB"), " because of a different netname (NETB)"),
        ((0, 1, "NETA"), "Ignoring bogus version 0 from scheduler found at 127.0.0.1:"),
        ((200, 1, "NETA"), "Ignoring bogus version 200 from scheduler found at 127.0.0.1:"),
    ] {
        for both in [[other, wanted], [wanted, other]] {
            let log = chooses(&["-n", "NETA"], both, wanted);
            assert!(log.contains(reason), "{reason}: {log}");
            assert_eq!(log.contains("Ignoring"), !reason.is_empty(), "{log}");
        }
    }
}

#[test]
fn d15_case_of_a_netname() {
    for (args, called) in [(&["-n", "NeTa"] as &[&str], "nEtA"), (&[], "icecream")] {
        let wanted = (43, 10, called);
        let log = chooses(args, [(43, 1, "other"), wanted], wanted);
        assert!(log.contains(&format!("(net {called})")), "{log}");
    }
}
