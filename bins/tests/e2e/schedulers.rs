//! Two schedulers on one network.

use std::time::Duration;

use ice_lab::Config;
use nix::sys::signal::Signal;

use crate::cluster::{Cluster, SOON, Whose};

/// How long daemons may take to find another scheduler: they look again after a while that is partly chance.
const FOUND: Duration = Duration::from_secs(100);

#[test]
fn g50_daemons_come_back_when_the_older_scheduler_stops() {
    let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2, 2]);
    config.broadcast = true;
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    let logins = |scheduler: &str| {
        ["h1", "h2", "h3"]
            .map(|host| cluster.count_in_log(scheduler, "scheduler.log", &format!("login {host} protocol version: ")))
    };
    assert_eq!(logins("h1"), [1, 1, 1]);
    let program = Whose::Ours.programs().scheduler().expect("our scheduler");
    let older = format!("ICECC_FAKE_STARTTIME=1 exec {} -vvv -l /var/log/icecc/scheduler.log", program.display());
    cluster.start_and_leave("h2", &older);
    cluster.until("all daemons at the older scheduler", FOUND, || logins("h2") == [1, 1, 1]);
    cluster.wait_for_log("h1", "scheduler.log", "has announced itself as a preferred scheduler");
    cluster.check(cluster.lab.stop("h2", "icecc-scheduler", Signal::SIGTERM));
    cluster.until("all daemons at the first scheduler again", FOUND, || logins("h1") == [2, 2, 2]);
    cluster.check(cluster.lab.wait_for_hosts(3));
    cluster.until("their lines in the listing", SOON, || {
        let listing = cluster.lab.console("listcs").unwrap_or_default();
        ["h1", "h2", "h3"].iter().all(|host| listing.contains(&format!(" {host} (10.77.0.")))
    });
}
