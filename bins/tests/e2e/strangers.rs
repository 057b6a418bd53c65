//! Those who have no business here: other users of a machine, other networks.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use ice_lab::Config;
use nix::unistd::Uid;

use crate::cluster::{Cluster, SOON, Whose, skip};

const COMPILE: &str = "rm -f a.o; icecc gcc -c a.c -o a.o && nm a.o";

/// While no daemon runs its port is free for all. Anything that shakes hands will do to take its place.
#[test]
fn another_users_process_is_no_daemon() {
    if !Uid::effective().is_root() {
        return skip("another user can be played by root alone").unwrap_or_default();
    }
    let Some(cluster) = Cluster::up(Whose::Ours, &[2]) else {
        return;
    };
    cluster.write("a.c", "int x;\n");
    let impostor = cluster.folder().join("impostor");
    // Where the programs were built, others may not read.
    fs::copy(env!("CARGO_BIN_EXE_icecc-scheduler"), &impostor).expect("a copy");
    fs::set_permissions(cluster.folder(), fs::Permissions::from_mode(0o755)).expect("a folder for all");
    cluster.stop_daemon("h1");
    let start = "exec setpriv --reuid 4000 --regid 4000 --clear-groups ./impostor -p 10245 -n IMPOSTOR";
    let _running = cluster.start("h1", &[], start);
    cluster.until("a look at the impostor", SOON, || {
        let output = cluster.ok("h1", &[("ICECC_DEBUG", "warning")], COMPILE);
        assert!(output.text().contains(" x"), "{output:?}");
        output.error_text().contains("the process that answers belongs to uid 4000, an ordinary user")
    });
}

#[test]
fn only_hosts_of_allowed_networks_send_jobs() {
    let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2, 2]);
    config.hosts[1].daemon_options = ["--allow", "10.77.0.1,192.0.2.0/24"].map(String::from).to_vec();
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    cluster.write("a.c", "int x;\n");
    let on_h2 = [("ICECC_PREFERRED_HOST", "h2")];
    cluster.ok("h3", &on_h2, COMPILE);
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0"), 0);
    cluster.wait_for_log("h2", "iceccd.log", "refused 10.77.0.3: no network of --allow has that address");
    cluster.ok("h1", &on_h2, COMPILE);
    assert_eq!(cluster.count_in_log("h2", "iceccd.log", "completed with exit code 0"), 1);
}
