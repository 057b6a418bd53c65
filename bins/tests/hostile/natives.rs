//! A program that a local user names as compiler: the daemon runs it, as its own user, to find its parts.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use crate::bystander::{compile, lab};
use crate::cluster::Whose;
use crate::planted;

#[test]
fn what_a_user_names_as_compiler_has_no_network_and_limits() {
    let Some(cluster) = lab(&[1, 2]) else { return };
    let folder = cluster.folder().join("spying");
    fs::create_dir(&folder).expect("a folder");
    // The daemon's user writes there.
    for open in [cluster.folder(), &folder] {
        fs::set_permissions(open, Permissions::from_mode(0o777)).expect("a folder for all");
    }
    planted::make_spy(&folder.join("gcc")).expect("a spy");
    let there = [("ICECC_PREFERRED_HOST", "h2"), ("ICECC_DEBUG", "info")];
    let output = cluster.ok("h1", &there, "icecc spying/gcc -O2 -c a.c -o a.o");
    let said = fs::read_to_string(folder.join("gcc-said")).unwrap_or_default();
    println!("{said}{}", output.error_text());
    let numbers: BTreeMap<&str, i64> =
        said.lines().filter_map(|line| line.split_once(' ')).filter_map(|(k, v)| Some((k, v.parse().ok()?))).collect();
    for (what, expected) in [("scheduler", 0), ("daemon", 0), ("memfd", -1), ("file", -1), ("mark", 1000)] {
        assert_eq!(numbers.get(what), Some(&expected), "{what}: {said}");
    }
    assert!(numbers["memory"] < 4096, "{said}");
    assert!(numbers["processes"] < 1024, "{said}");
    compile(&cluster, &[]);
}

/// Where the system gives no empty network, `--check` says so.
#[test]
fn it_is_said_where_such_a_program_has_no_empty_network() {
    let daemon = Whose::Ours.programs().daemon().expect("our daemon");
    let folder = tempfile::tempdir().expect("a folder");
    fs::set_permissions(folder.path(), Permissions::from_mode(0o777)).expect("a folder for all");
    let copy = folder.path().join("iceccd");
    fs::copy(daemon, &copy).expect("a copy that all may run");
    let check = |limits: &str| {
        let script = format!(
            "{limits}exec unshare -U --map-user=1000 --map-group=1000 '{0}/iceccd' --check -b '{0}/envs'",
            folder.path().display()
        );
        let mut command = Command::new("setpriv");
        if nix::unistd::Uid::effective().is_root() {
            command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
        }
        command.args(["unshare", "-Ur", "sh", "-ec", &script]);
        let output = command.output().expect("setpriv");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let said = check("");
    if !said.contains("compilers of users apart: yes\n") {
        assert!(!said.contains("compilers of users apart: no"), "{said}");
        eprintln!("skipped: users may not make namespaces here");
        return;
    }
    let said = check("echo 0 >/proc/sys/user/max_net_namespaces; ");
    assert!(said.contains("only a call filter keeps it from the network\n"), "{said}");
    let said = check("echo 0 >/proc/sys/user/max_mnt_namespaces; ");
    assert!(said.contains("it reaches files and processes of the daemon's user, only a call filter"), "{said}");
}
