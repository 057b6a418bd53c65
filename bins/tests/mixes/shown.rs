//! What a scheduler of 1.4 shows of our daemons.

use ice_lab::Config;

use crate::cluster::{Cluster, Whose};

#[test]
fn d24_a_scheduler_of_1_4_shows_our_daemons() {
    let mut config = Config::new("", &Whose::Ours.programs(), &[1, 3]);
    config.scheduler = Some(Whose::Peer14.programs());
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    let ask = |command: &str| cluster.check(cluster.lab.console(command));
    let listing = ask("listcs");
    for (host, address, slots) in [("h1", "10.77.0.1", 1), ("h2", "10.77.0.2", 3)] {
        let start = format!(" {host} ({address}:10245) [x86_64] ");
        let line = listing.lines().find(|line| line.starts_with(&start)).unwrap_or_else(|| panic!("{host}: {listing}"));
        assert!(line.contains(&format!(" jobs=0/{slots} ")), "{line}");
        let load = line.split(" load=").nth(1).and_then(|rest| rest.split(' ').next()?.parse::<u32>().ok());
        assert!(load.is_some_and(|load| load <= 1000), "{line}");
    }
    let internals = ask("internals h2");
    for line in ["Node Name: h2\n", "  Architecture: x86_64\n", "  Current kids: 0 (max: 3)\n"] {
        assert!(internals.contains(line), "no {line:?} in: {internals}");
    }
    assert!(!internals.contains("Node Name: h1"), "{internals}");
}
