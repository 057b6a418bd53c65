//! A compile server that answers each job with something that is no object: builds go on, and soon without it.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ice_core::message::{CompileResult, Login, Message, Stats};
use ice_core::version::Version;
use ice_lab::Config;
use ice_net::compress::Packer;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial;

use crate::bystander::can_attack;
use crate::cluster::{Cluster, SOON, Whose};
use crate::visitor::in_network_of;

/// Where the server listens: h3 has no daemon.
const PORT: u16 = 11_245;
/// How long it waits before it reports to the scheduler, and looks whether it shall end.
const PAUSE: Duration = Duration::from_millis(200);

/// What the server sends in place of an object.
#[derive(Clone, Copy)]
enum Answer {
    /// A text.
    Text,
    /// As many bytes as the client takes.
    Endless,
}

/// A server that has logged in with 1,000 slots, until it is told to end.
struct Server<'a> {
    cluster: &'a Cluster,
    answer: Answer,
    /// Jobs that it has answered.
    answered: AtomicUsize,
    ends: AtomicBool,
}

fn soon() -> Deadline {
    Deadline::after(Step::Message, SOON)
}

impl<'a> Server<'a> {
    fn new(cluster: &'a Cluster, answer: Answer) -> Self {
        Self { cluster, answer, answered: AtomicUsize::new(0), ends: AtomicBool::new(false) }
    }

    fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Runs on h3 while `work` is done.
    fn during<T>(&self, work: impl FnOnce(&Self) -> T) -> T {
        thread::scope(|scope| {
            scope.spawn(|| in_network_of(self.cluster, "h3", |_| self.run()));
            let end = End(self);
            self.cluster.check(self.cluster.lab.wait_for_hosts(3));
            let done = work(self);
            drop(end);
            done
        })
    }

    fn run(&self) {
        let listener = TcpListener::bind(("0.0.0.0", PORT)).expect("h3's port");
        listener.set_nonblocking(true).expect("not to wait");
        let mut scheduler = log_in();
        thread::scope(|scope| {
            while !self.ends.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        stream.set_nonblocking(false).expect("to wait");
                        scope
                            .spawn(|| Conn::establish(stream, Version::TO_CLIENT, soon()).map(|conn| self.serve(conn)));
                    }
                    Err(_) => {
                        thread::sleep(PAUSE);
                        scheduler.send(&Message::Stats(Stats::default()), soon()).expect("to be heard");
                    }
                }
            }
        });
    }

    /// Takes every environment and every job of one client.
    fn serve(&self, mut conn: Conn) {
        let mut is_job = false;
        while let Ok(message) = conn.recv(soon()) {
            match message {
                Message::VerifyEnv(_) => {
                    let _ = conn.send(&Message::VerifyEnvResult { ok: 1 }, soon());
                }
                Message::CompileFile(_) => is_job = true,
                Message::End if is_job => return self.answer(&mut conn),
                _ => {}
            }
        }
    }

    /// The client may have gone before the end of it.
    fn answer(&self, conn: &mut Conn) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        let mut packer = Packer::new(1);
        let mut piece = |plain: &[u8]| Message::FileChunk(packer.pack(plain, conn.version()).expect("a piece"));
        let (text, zeros) = (piece(b"not an object at all\n"), piece(&[0; 100_000]));
        let _ = conn.send(&Message::CompileResult(CompileResult::default()), soon());
        match self.answer {
            Answer::Text => {
                let _ = conn.send_all(&[text, Message::End], soon());
            }
            Answer::Endless => while conn.send(&zeros, soon()).is_ok() {},
        }
        while conn.recv(soon()).is_ok() {}
    }
}

/// Ends the server, whatever becomes of the test.
struct End<'a>(&'a Server<'a>);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.ends.store(true, Ordering::Relaxed);
    }
}

/// Logs in at h1's scheduler as an idle host with 1,000 slots.
fn log_in() -> Conn {
    let mut conn = dial::tcp("10.77.0.1", 8765, Version::TO_SCHEDULER, soon()).expect("h1's scheduler");
    let login = Login {
        port: u32::from(PORT),
        slots: 1000,
        node_name: "h3".into(),
        platform: "x86_64".into(),
        chroot_possible: 1,
        ..Login::default()
    };
    conn.send_all(&[Message::Login(login), Message::Stats(Stats::default())], soon()).expect("a LOGIN");
    conn
}

/// Two honest hosts, and h3 without a daemon.
fn lab() -> Option<Cluster> {
    if !can_attack() {
        return None;
    }
    let mut config = Config::new("", &Whose::Ours.programs(), &[2, 2, 2]);
    config.bare = true;
    let cluster = Cluster::with(&config)?;
    cluster.check(cluster.lab.start_scheduler("h1", None));
    for host in ["h1", "h2"] {
        cluster.check(cluster.lab.start_daemon(host, None));
    }
    cluster.check(cluster.lab.wait_for_hosts(2));
    Some(cluster)
}

const BUILD: &str = "rm -f *.o program; make -j8 CC=\"icecc gcc\" program && ./program && test $(ls *.o | wc -l) = 20";

#[test]
fn a_build_goes_on_without_a_server_whose_objects_are_none() {
    let Some(cluster) = lab() else { return };
    let units: Vec<String> = (1..20).map(|n| format!("f{n}")).collect();
    for unit in &units {
        cluster.write(&format!("{unit}.c"), &format!("int {unit}(void) {{ return 1; }}\n"));
    }
    let (declared, sum) = (units.join("(void), "), units.join("() + "));
    cluster.write("main.c", &format!("int {declared}(void);\nint main(void) {{ return {sum}() - 19; }}\n"));
    cluster.write("Makefile", &format!("program: main.o {}.o\n\tgcc -o $@ $^\n", units.join(".o ")));
    Server::new(&cluster, Answer::Text).during(|server| {
        // So that it gets jobs, whatever the scheduler thinks of the others.
        let wish = [("ICECC_PREFERRED_HOST", "h3")];
        cluster.ok("h1", &wish, BUILD);
        let first = server.answered();
        assert!((1..20).contains(&first), "{first} of 20 jobs at the false server");
        for _ in 0..2 {
            cluster.ok("h1", &wish, BUILD);
        }
        assert_eq!(server.answered(), first, "it was used again");
    });
    assert!(cluster.count_in_log("h1", "iceccd.log", "10.77.0.3 sent a false result") > 0);
}

#[test]
fn a_server_does_not_fill_the_disk() {
    let Some(cluster) = lab() else { return };
    cluster.write("a.c", "int a;\n");
    Server::new(&cluster, Answer::Endless).during(|server| {
        let wish = [("ICECC_PREFERRED_HOST", "h3"), ("ICECC_DEBUG", "warning")];
        let compile =
            "mkdir small && mount -t tmpfs -o size=4m none small && icecc gcc -c a.c -o small/a.o && nm small/a.o";
        let said = cluster.ok("h1", &wish, compile).error_text();
        assert!(said.contains("which is too much for this disk"), "{said}");
        assert_eq!(server.answered(), 1);
    });
}
