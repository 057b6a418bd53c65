//! D50 and D51: a compile server whose client or compiler does not do its part.

use std::time::Duration;

use ice_core::ids::JobId;
use ice_core::message::{ArgSide, CompileFile, EnvTarget, Message};
use ice_net::compress::Packer;

use crate::fake::{Client, LIMIT, Link, Process, SchedulerDouble, children, holds_within, until};
use crate::place::{Place, accepts_jobs, at};
use crate::planted;

/// Reads the first line, or all with `-all`, writes that line as its object, and ends with the status of `-exit=`.
const COMPILER: &str = r#"#!/usr/bin/sh
read first
for last; do
    case $last in
        -all) while read -r line; do :; done ;;
        -shut) exec 0<&- ;;
        -exit=*) code=${last#-exit=} ;;
    esac
done
echo "$first" >"$last"
echo "that is enough" >&2
exit ${code:-0}
"#;

/// A daemon with a compiler that is none.
struct Bench {
    place: Place,
    daemon: Process,
    link: Link,
}

impl Bench {
    /// `None`, and a reason printed, where that cannot be.
    fn start(slots: &str) -> Option<Self> {
        let place = Place::new();
        let scheduler = SchedulerDouble::open(43);
        let daemon = place.start_with(&[&at(&scheduler)[..], &["-m".to_owned(), slots.to_owned()]].concat());
        let link = scheduler.accept();
        accepts_jobs(&daemon).then_some(Self { place, daemon, link })
    }

    fn client(&self) -> Client {
        Client::tcp(self.place.port, 44)
    }

    fn environment(&self) -> EnvTarget {
        EnvTarget { name: "script".into(), target: self.link.login.platform.clone() }
    }

    /// Brings the environment.
    fn install(&self) {
        let archive = planted::archive(&["sh", "as"], &[("usr/bin/gcc", COMPILER)]).unwrap();
        let mut client = self.client();
        client.transfer(&self.environment(), &archive);
        client.send(&Message::End);
        client.until_closed();
    }

    fn job(&self, number: u32, arguments: &[&str]) -> CompileFile {
        CompileFile {
            job: JobId(number),
            arguments: arguments.iter().map(|a| (ArgSide::Remote, (*a).into())).collect(),
            environment: "script".into(),
            target: self.environment().target,
            compiler: "gcc".into(),
            ..CompileFile::default()
        }
    }

    /// The scheduler is told that a job begins.
    #[track_caller]
    fn begins(&mut self, job: u32) {
        let told = self.link.next();
        assert!(matches!(&told, Message::JobBegin(begin) if begin.job == JobId(job)), "{told:?}");
    }

    /// The scheduler is told that a job has ended so; how much source it had.
    #[track_caller]
    fn ends(&mut self, job: u32, exit_code: i32) -> u32 {
        match self.link.next() {
            Message::JobDone(done) if (done.job, done.exit_code, done.flags) == (job, exit_code, 0) => {
                done.stats.in_uncompressed
            }
            other => panic!("JOB_DONE of {job} with {exit_code} was expected, but it is {other:?}"),
        }
    }
}

#[test]
#[ignore = "a minute: scripts/prove.sh dropin.4-GDEO"]
fn d50_a_client_that_falls_silent() {
    let Some(mut bench) = Bench::start("1") else { return };
    bench.install();
    let launcher = bench.daemon.children();
    let boxes = || launcher.iter().flat_map(|pid| children(*pid)).collect::<Vec<_>>();
    let without = boxes();
    let mut silent = bench.client();
    silent.send(&Message::CompileFile(bench.job(1, &["-all"])));
    let piece = Packer::new(1).pack(b"first\n", silent.conn.version()).unwrap();
    silent.send(&Message::FileChunk(piece));
    bench.begins(1);
    until("a compiler", || boxes() != without);
    // It waits for the only slot.
    let mut next = bench.client();
    next.send(&Message::CompileFile(bench.job(2, &[])));
    next.send_file(b"second\n");
    assert_eq!(bench.link.told(), []);
    let late = || bench.daemon.log().contains("timeout while reading preprocessed file");
    assert!(holds_within(Duration::from_secs(60) + LIMIT, late), "no end of waiting");
    bench.ends(1, 107);
    bench.begins(2);
    bench.ends(2, 0);
    assert_eq!(silent.until_closed(), [], "no result");
    assert_eq!(next.result().1, b"second\n");
    bench.daemon.until_log("Remote compilation aborted with exit code 143");
    until("the end of both compilers", || boxes() == without);
}

#[test]
fn d51_a_compiler_that_does_not_read_on() {
    let Some(mut bench) = Bench::start("2") else { return };
    bench.install();
    // More than pipe and sockets take in, and not to be compressed.
    let mut state = 1u64;
    let noise = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state as u8
    });
    let source: Vec<u8> = b"the first line\n".iter().copied().chain(noise.take(16 << 20)).collect();
    for (job, (arguments, status)) in
        (1..).zip([(&[] as &[&str], 0), (&["-exit=3"], 3), (&["-shut"], 0), (&["-shut", "-exit=1"], 1)])
    {
        let mut client = bench.client();
        client.send(&Message::CompileFile(bench.job(job, arguments)));
        bench.begins(job);
        client.send_file(&source);
        let (result, object) = client.result();
        assert_eq!((result.status, result.stderr.lossy().as_ref()), (status, "that is enough\n"), "{arguments:?}");
        assert_eq!(object, if status == 0 { b"the first line\n".as_slice() } else { b"" });
        assert_eq!(bench.ends(job, status) as usize, source.len(), "all was taken");
    }
}
