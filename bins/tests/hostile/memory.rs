//! Jobs that take more memory than their host has: the daemon and its other jobs live on.
//!
//! The host is a container: a control group with a limit. Its daemon runs as an ordinary user, or as root without a way
//! to control groups of its own, or as root with them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ice_lab::{Process, process};

use crate::bystander::{compile, lab};
use crate::cluster::{COMPILE, Cluster, SOON, Whose, completed, skip};
use crate::planted;

/// What the container has.
const CONTAINER_MIB: u64 = 768;
/// What a job wants.
const WANTED_MIB: u64 = 3 * CONTAINER_MIB;

/// A control group with a limit of memory; it goes with the test.
struct Container {
    group: PathBuf,
    is_v1: bool,
}

impl Container {
    /// `None` with a printed reason where none can be made.
    fn make() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("mounts");
        let mount = |kind: &str, option: &str| {
            let mut lines = mounts.lines().filter_map(|line| line.split_once(" - "));
            let found = lines.find(|(_, fs)| fs.starts_with(kind) && fs.split(&[' ', ','][..]).any(|w| w == option));
            found.and_then(|(left, _)| left.split(' ').nth(4)).map(PathBuf::from)
        };
        let name = format!("hostile-test-{}", std::process::id());
        let (top, is_v1) = match (mount("cgroup ", "memory"), mount("cgroup2 ", "rw")) {
            (Some(top), _) => (top, true),
            (None, Some(top)) => (top, false),
            (None, None) => return skip("no control groups are mounted"),
        };
        let container = Self { group: top.join(name), is_v1 };
        let limit = container.file("memory.limit_in_bytes", "memory.max");
        let made = fs::create_dir(&container.group).and_then(|()| fs::write(limit, (CONTAINER_MIB << 20).to_string()));
        made.map_err(|e| skip::<()>(&format!("no control group that limits memory: {e}"))).ok()?;
        // A limit of memory alone would move it to the disk.
        let _ = fs::write(container.file("memory.swappiness", "memory.swap.max"), "0");
        Some(container)
    }

    fn file(&self, v1: &str, v2: &str) -> PathBuf {
        self.group.join(if self.is_v1 { v1 } else { v2 })
    }

    /// Starts a program in it, which goes on by itself.
    fn start(&self, cluster: &Cluster, host: &str, words: &[&str]) {
        let mut enter = cluster.lab.enter(cluster.check(cluster.lab.host(host)));
        enter.args(["setsid", "--fork"]).args(words);
        let mut command = Command::new("sh");
        command.args(["-ec", r#"echo 0 >"$0"; exec "$@""#]).arg(self.file("tasks", "cgroup.procs"));
        command.arg(enter.get_program()).args(enter.get_args());
        command.envs(enter.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        assert!(command.status().expect("sh").success(), "{words:?} does not start in {}", self.group.display());
    }

    /// How often the kernel has ended a process for want of its memory.
    fn kills(&self) -> u64 {
        let text = fs::read_to_string(self.file("memory.oom_control", "memory.events")).unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).unwrap_or(0)
    }
}

impl Drop for Container {
    /// Groups that the daemon has made below may outlive it by a moment.
    fn drop(&mut self) {
        let gone = process::until("an empty control group", SOON, || remove(&self.group));
        assert!(gone.is_ok() || std::thread::panicking(), "{} stays", self.group.display());
    }
}

/// Removes a group with all below it; whether it is gone.
fn remove(group: &Path) -> bool {
    for entry in fs::read_dir(group).into_iter().flatten().flatten().filter(|entry| entry.path().is_dir()) {
        remove(&entry.path());
    }
    fs::remove_dir(group).is_ok() || !group.exists()
}

/// Who runs the daemon in the container.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Who {
    User,
    /// Root that may not write to control groups, as in many containers.
    RootWithoutGroups,
    Root,
}

/// A lab whose h2 has its daemon in a container.
struct Host {
    /// Dropped first: its processes are in the container.
    cluster: Cluster,
    archive: String,
    /// The daemon and its launcher.
    daemon: Vec<Process>,
    container: Container,
}

impl Host {
    fn up(who: Who) -> Option<Self> {
        let cluster = lab(&[1, 2])?;
        let container = Container::make()?;
        let archive = cluster.folder().join("hog.tar.zst");
        fs::write(&archive, planted::hog(cluster.folder()).expect("a hostile environment")).expect("its archive");
        cluster.stop_daemon("h2");
        let own = Whose::Ours.programs().daemon().expect("our daemon");
        let own = own.to_str().expect("its path");
        let options = "-vvv -l /var/log/icecc/iceccd.log -b /var/cache/icecc -m 2 -s 10.77.0.1";
        let script = match who {
            Who::Root => format!("exec '{own}' {options}"),
            Who::RootWithoutGroups => format!(
                "mount --make-rprivate /
                for group in $(grep -E ' - cgroup2? ' /proc/self/mountinfo | cut -d' ' -f5); do
                    mount -o remount,bind,ro $group
                done
                exec '{own}' {options}"
            ),
            // Where it was built, others may not read.
            Who::User => format!(
                "cp '{own}' /var/cache/iceccd && chown -R nobody /var/cache/icecc /var/log/icecc \
                 && exec setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=/var/cache/icecc \
                 /var/cache/iceccd {options}"
            ),
        };
        container.start(&cluster, "h2", &["unshare", "-m", "sh", "-ec", &script]);
        cluster.check(cluster.lab.wait_for_hosts(2));
        let daemon = cluster.called("h2", "iceccd");
        let host = Self { cluster, archive: archive.display().to_string(), daemon, container };
        host.bystander();
        Some(host)
    }

    fn bystander(&self) {
        println!("a bystander: {:?}", compile(&self.cluster, &[("ICECC_VERSION", &self.archive)]));
    }

    /// The variables and the command of a job on h2 that takes memory of a kind.
    fn job(&self, kind: &str, mib: u64) -> ([(&str, &str); 3], String) {
        let variables = [("ICECC_VERSION", &*self.archive), ("ICECC_PREFERRED_HOST", "h2"), ("ICECC_DEBUG", "info")];
        (variables, format!("icecc gcc -O2 -frandom-seed={kind}-{mib} -c a.c -o {kind}.o"))
    }

    /// A job that wants more than there is, which its client then builds itself; how often the kernel had to step in.
    fn attack(&self, kind: &str) -> u64 {
        let (kills, jobs) = (self.container.kills(), completed(&self.cluster, "h2"));
        let (variables, command) = self.job(kind, WANTED_MIB);
        let output = self.cluster.ok("h1", &variables, &command);
        assert!(!self.cluster.read(&format!("{kind}.o")).is_empty());
        assert!(self.daemon.iter().all(Process::alive), "{kind}: the daemon has ended: {}", output.error_text());
        assert_eq!(completed(&self.cluster, "h2"), jobs, "{kind}: the job got what it wanted");
        self.bystander();
        let kills = self.container.kills() - kills;
        println!("{kind}: {kills} processes ended by the kernel in the container");
        kills
    }

    /// The limits of all jobs are together below that of the container.
    fn jobs_leave_a_reserve(&self, who: Who) {
        if who == Who::Root {
            let below = fs::read_dir(&self.container.group).expect("groups").flatten().map(|entry| entry.path());
            let name = if self.container.is_v1 { "memory.limit_in_bytes" } else { "memory.max" };
            let jobs = below.into_iter().find(|dir| dir.to_string_lossy().contains("icecream-rs-jobs")).expect("one");
            let limit: u64 = fs::read_to_string(jobs.join(name)).unwrap_or_default().trim().parse().expect("a limit");
            assert!(limit < (CONTAINER_MIB - CONTAINER_MIB / 20) << 20, "{limit}");
        } else {
            let log = self.cluster.lab.log("h2", "iceccd.log").unwrap_or_default();
            let limits: Vec<u64> = log
                .lines()
                .filter_map(|l| l.split_once("memory limit set to "))
                .filter_map(|(_, l)| l.split(' ').next()?.parse().ok())
                .collect();
            assert!(
                !limits.is_empty() && limits.iter().all(|mib| 2 * mib < CONTAINER_MIB - CONTAINER_MIB / 20),
                "{limits:?}"
            );
        }
    }

    /// All processes of a job go before the daemon and its launcher.
    fn jobs_go_first(&self) {
        let mark = |p: &Process| fs::read_to_string(format!("/proc/{}/oom_score_adj", p.pid)).unwrap_or_default();
        let (variables, command) = self.job("anonymous", 1);
        let _job = self.cluster.start("h1", &variables, &command);
        self.cluster.until("a job", COMPILE, || !self.cluster.called("h2", "gcc").is_empty());
        let mut of_job = self.cluster.called("h2", "gcc");
        of_job.extend(self.cluster.called("h2", "iceccd").into_iter().filter(|p| !self.daemon.contains(p)));
        assert!(of_job.len() >= 2, "a job and the first process of its sandbox");
        assert!(of_job.iter().all(|p| mark(p).trim() == "1000"), "{:?}", of_job.iter().map(mark).collect::<Vec<_>>());
        assert!(self.daemon.iter().all(|p| mark(p).trim().parse::<i32>().is_ok_and(|mark| mark <= 500)));
    }
}

/// What every daemon in a container survives.
fn a_container_of(who: Who) {
    let Some(host) = Host::up(who) else { return };
    host.jobs_leave_a_reserve(who);
    // Within the limit of a job nothing needs to be ended.
    for kind in ["memfd", "shm", "file", "anonymous"] {
        let kills = host.attack(kind);
        assert!(kills == 0 || who == Who::Root, "{kind} is not bounded");
    }
    host.attack("process");
    host.jobs_go_first();
}

#[test]
fn a_users_daemon_survives_jobs_larger_than_its_container() {
    a_container_of(Who::User);
}

#[test]
fn roots_daemon_without_groups_survives_jobs_larger_than_its_container() {
    a_container_of(Who::RootWithoutGroups);
}

#[test]
fn roots_daemon_survives_jobs_larger_than_its_container() {
    a_container_of(Who::Root);
}
