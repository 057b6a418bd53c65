//! The lab that all tests of this program share, and the threads that run commands on its first host.

use std::fs::File;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};
use ice_lab::{Config, Host};
use nix::sched::{CloneFlags, setns, unshare};
use parking_lot::Mutex;

use crate::cluster::{Cluster, Whose, skip};
use crate::compare::{Outcome, Trial};

/// How many commands run at a time.
const WORKERS: usize = 2;
/// Every compiler that tables use, compiled with once before the first row: the first job of each makes its
/// environment.
const WARM: &str = "echo 'int x;' >w.c; for c in gcc g++ clang clang++; do
    command -v $c >/dev/null || continue
    for i in $(seq 20); do
        rm -f log; ICECC_DEBUG=debug ICECC_LOGFILE=$PWD/log ICECC_PREFERRED_HOST=h2 icecc $c -c w.c -o w.o
        grep -q 'Have to use host 10.77.0.2' log && continue 2
        # Whoever links or updates a compiler makes its environment fail for a moment.
        sleep 1
    done
    echo \"no job of $c goes to h2\"; exit 1
done; rm -f w.c w.o log";

/// How long that may take on a busy machine.
const WARM_TIME: Duration = Duration::from_secs(600);

/// The lab as long as any test holds it; the last one that lets it go takes it down.
static SHARED: Mutex<Weak<Workers>> = Mutex::new(Weak::new());

/// A request: what to try, and where to send what came of it.
struct Request {
    number: usize,
    trial: Trial,
    answer: Sender<(usize, Outcome)>,
}

/// Threads on host h1, with the cluster below them.
pub struct Workers {
    requests: Option<Sender<Request>>,
    keeper: Option<JoinHandle<()>>,
}

impl Workers {
    /// The shared ones, or `None` with a printed reason where labs are impossible.
    pub fn shared() -> Option<Arc<Workers>> {
        let mut shared = SHARED.lock();
        if let Some(workers) = shared.upgrade() {
            return Some(workers);
        }
        if !nix::unistd::geteuid().is_root() {
            return skip("not root: a thread cannot enter a lab's host");
        }
        let (requests, queue) = unbounded();
        let (ready, is_ready) = bounded(1);
        // A lab of a test ends with the thread that made it.
        let keeper = std::thread::spawn(move || keep(&queue, &ready));
        let is_up = is_ready.recv();
        let workers = Arc::new(Workers { requests: Some(requests), keeper: Some(keeper) });
        match is_up {
            Ok(true) => {
                *shared = Arc::downgrade(&workers);
                Some(workers)
            }
            Ok(false) => skip("no lab"),
            Err(_) => panic!("the lab could not be set up"),
        }
    }

    /// Tries all, several at a time; what comes of each is handed over as it comes, with its number.
    pub fn try_all(&self, trials: impl IntoIterator<Item = Trial>, mut each: impl FnMut(usize, Outcome)) {
        let (answer, answers) = unbounded();
        let requests = self.requests.as_ref().expect("only drop takes it");
        for (number, trial) in trials.into_iter().enumerate() {
            requests.send(Request { number, trial, answer: answer.clone() }).expect("the workers");
        }
        drop(answer);
        for (number, outcome) in answers {
            each(number, outcome);
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(keeper) = self.keeper.take() {
            let _ = keeper.join();
        }
    }
}

/// Has the lab up until nobody asks any more.
fn keep(queue: &Receiver<Request>, ready: &Sender<bool>) {
    let mut config = Config::new("", &Whose::Ours.programs(), &[4, 4]);
    // Another host's jobs are not run by the submitter, and its own only where that is asked for.
    config.hosts[0].daemon_options = vec!["--no-remote".to_string()];
    let Some(cluster) = Cluster::with(&config) else {
        let _ = ready.send(false);
        return;
    };
    let warm = cluster.sh_within(WARM_TIME, "h1", &[], WARM);
    assert!(warm.status.success(), "{}{}", warm.text(), warm.error_text());
    let host = cluster.check(cluster.lab.host("h1"));
    let folder = cluster.folder();
    let _ = ready.send(true);
    std::thread::scope(|scope| {
        for number in 0..WORKERS {
            scope.spawn(move || work(host, &folder.join(number.to_string()), queue));
        }
    });
}

/// Runs what is asked for on the host.
fn work(host: &Host, folder: &Path, queue: &Receiver<Request>) {
    enter(host);
    let path = host.programs.client().expect("icecc").parent().expect("a directory").display().to_string();
    let path = format!("{path}:{}", std::env::var("PATH").unwrap_or_default());
    for request in queue {
        let outcome = request.trial.run(folder, &path);
        // A test that failed meanwhile asks no more.
        let _ = request.answer.send((request.number, outcome));
    }
}

/// Moves this thread to the host: what it starts runs there. It can start no thread any more.
fn enter(host: &Host) {
    let open = |name: &str| File::open(format!("/proc/{}/ns/{name}", host.first.pid)).expect("a namespace");
    let all = ["mnt", "uts", "ipc", "net", "pid"].map(open);
    unshare(CloneFlags::CLONE_FS).expect("a working directory of its own");
    for namespace in all {
        setns(namespace, CloneFlags::empty()).expect("to enter the host");
    }
}
