//! Dialogues of one compile with a clock of our own.

mod bounds;
mod by_files;
mod moving;

use super::*;
use crate::cmdline::{Family, Messages, Mode};
use crate::message::{BlacklistHostEnv, Chunk, GetNativeEnv};

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

struct Scenario {
    submission: Submission,
    now: Instant,
}

fn request() -> Request {
    Request {
        environments: Environments::Given(vec![EnvRef { platform: "x86_64".into(), name: "env".into() }]),
        get_cs: GetCs { target: "x86_64".into(), count: 1, ..GetCs::default() },
        compile: CompileFile { target: "x86_64".into(), compiler: "gcc".into(), ..CompileFile::default() },
        family: Family::Gcc,
        mode: Mode::Directives,
        messages: Messages::Redone,
        failure_is_doubtful: false,
        told_in_full: Vec::new(),
        verified_only: false,
        zstd_by_default: false,
        loopback_is_remote: false,
        wants_other_host: false,
        is_nested: false,
        can_by_files: false,
    }
}

/// The slot that it waits for may be that of the command that waits for it.
#[test]
fn a_nested_compile_waits_less_for_a_server() {
    for (is_nested, limit) in [(false, 240), (true, 30)] {
        let mut test = Scenario::new(Request { is_nested, ..request() });
        test.outputs();
        let outputs = test.pass_time();
        assert!(matches!(outputs.as_slice(), [Output::End(end)] if **end == End::Local(Reason::NoServer.into())));
        assert_eq!(test.now.since(Instant::ZERO), Duration::from_secs(limit));
    }
}

impl Scenario {
    fn new(request: Request) -> Self {
        let now = Instant::ZERO;
        Self { submission: Submission::new(now, request), now }
    }

    fn say(&mut self, input: Input) -> Vec<Output> {
        self.submission.handle(self.now, input);
        self.outputs()
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.submission.poll_output()).collect()
    }

    fn pass_time(&mut self) -> Vec<Output> {
        self.now = self.submission.poll_timeout().unwrap();
        self.submission.handle_timeout(self.now);
        self.outputs()
    }

    fn use_server(&mut self, env_present: u32) -> Vec<Output> {
        self.use_server_of(env_present, 43)
    }

    fn use_server_of(&mut self, env_present: u32, version: u32) -> Vec<Output> {
        let server = UseCs {
            job: JobId(7),
            port: 10245,
            host: "10.0.0.3".into(),
            host_platform: "x86_64".into(),
            env_present,
            ..UseCs::default()
        };
        self.outputs();
        self.say(Input::Daemon(Message::UseCs(server)));
        self.say(Input::Connected { version: Version::new(version), offer: Version::new(version) })
    }

    fn until_result(request: Request) -> Self {
        let mut scenario = Self::new(request);
        assert!(matches!(scenario.use_server(1).as_slice(), [Output::SendSource(_)]));
        assert_eq!(scenario.say(Input::SourceEnd { said: Vec::new() }), [Output::Server(Message::End)]);
        scenario
    }

    fn result(&mut self, result: CompileResult) -> Vec<Output> {
        self.say(Input::Server(Message::CompileResult(result)))
    }
}

fn local(outputs: &[Output]) -> Option<Reason> {
    told(outputs).map(|why| why.reason)
}

/// Why the job is compiled here, without the host.
fn told(outputs: &[Output]) -> Option<Why> {
    match outputs.last() {
        Some(Output::End(end)) => match end.as_ref() {
            End::Local(why) => Some(Why { host: Text::new(), ..why.clone() }),
            _ => None,
        },
        _ => None,
    }
}

#[test]
fn a_remote_compile_that_works() {
    let with_dwo = || CompileResult { has_dwo: 1, ..CompileResult::default() };
    let mut unasked = Scenario::until_result(request());
    assert_eq!(local(&unasked.result(with_dwo())), Some(Reason::NotAResult));
    let compile = CompileFile { split_dwarf: 1, ..request().compile };
    let mut scenario = Scenario::until_result(Request { compile, ..request() });
    assert_eq!(scenario.result(with_dwo()), [Output::Receive(File::Object)]);
    assert_eq!(scenario.say(Input::Received), [Output::Receive(File::Dwo)]);
    let outputs = scenario.say(Input::Received);
    assert!(matches!(&outputs[..], [Output::End(end)] if matches!(**end, End::Remote { .. })), "{outputs:?}");
    assert!(scenario.say(Input::DaemonClosed).is_empty());
}

#[test]
fn a_status_that_no_program_has_is_no_result() {
    for status in [-1, 256, 512] {
        let result = CompileResult { status, stderr: "x.c:1:1: error: no\n".into(), ..CompileResult::default() };
        let request = Request { messages: Messages::TakenUnlessExpanded, ..request() };
        assert_eq!(local(&Scenario::until_result(request).result(result)), Some(Reason::NotAResult), "{status}");
    }
}

#[test]
fn the_native_environment_is_asked_for_first() {
    let ask = GetNativeEnv { compiler: "/usr/bin/gcc".into(), ..GetNativeEnv::default() };
    let native = Request { environments: Environments::Native(ask.clone()), ..request() };
    let mut scenario = Scenario::new(native.clone());
    assert_eq!(scenario.outputs(), [Output::Daemon(Message::GetNativeEnv(ask))]);
    let path = Text::from("/n/abc.tar.gz");
    assert_eq!(scenario.say(Input::Daemon(Message::NativeEnv { path: path.clone() })), [Output::Inspect(path)]);
    let outputs = scenario.say(Input::Archive(Some("abc".into())));
    assert!(matches!(&outputs[..], [Output::Daemon(Message::GetCs(ask))] if ask.environments[0].name == "abc"));
    let mut refused = Scenario::new(native.clone());
    assert_eq!(local(&refused.say(Input::Daemon(Message::End))), Some(Reason::NoNativeArchive));
    let mut failed = Scenario::new(native.clone());
    let reason = Message::StatusText { text: "cannot read /opt/gcc".into() };
    assert_eq!(told(&failed.say(Input::Daemon(reason))), Some(Reason::NativeFailed.with("cannot read /opt/gcc")));
    let mut silent = Scenario::new(native);
    assert_eq!(local(&silent.pass_time()), Some(Reason::NoNativeArchive));
}

#[test]
fn the_submitter_may_be_chosen() {
    let mut scenario = Scenario::new(request());
    scenario.outputs();
    let here = UseCs { job: JobId(9), port: 10245, host: "127.0.0.1".into(), ..UseCs::default() };
    let outputs = scenario.say(Input::Daemon(Message::UseCs(here.clone())));
    assert!(
        matches!(&outputs[..], [Output::Daemon(Message::CompileFile(job)), Output::CompileHere] if job.environment == "__client")
    );
    let outputs = scenario.say(Input::Compiled { status: 1, stats: JobStats::default() });
    assert!(
        matches!(&outputs[..], [Output::Daemon(Message::JobDone(done)), Output::End(_)] if done.job == 9 && done.flags == 1)
    );

    let mut test = Scenario::new(Request { loopback_is_remote: true, ..request() });
    test.outputs();
    assert!(matches!(&test.say(Input::Daemon(Message::UseCs(here)))[..], [Output::Dial { port: 10245, .. }]));
}

/// Chosen by the scheduler, this host is one of the network; told so for want of others, it is not.
#[test]
fn who_wants_another_host_is_told_when_there_is_none() {
    let answer = |wants_other_host, platform: &str, env_present| {
        let mut scenario = Scenario::new(Request { wants_other_host, ..request() });
        scenario.outputs();
        let server = UseCs { host: LOCALHOST.into(), host_platform: platform.into(), env_present, ..UseCs::default() };
        let outputs = scenario.say(Input::Daemon(Message::UseCs(server)));
        (local(&outputs), outputs.contains(&Output::CompileHere))
    };
    assert_eq!(answer(true, "x86_64", 1), (Some(Reason::NoScheduler), false));
    assert_eq!(answer(true, "", 0), (Some(Reason::NoHost), false));
    for (wants_other_host, platform, env_present) in [(true, "", 1), (false, "x86_64", 1), (false, "", 0)] {
        assert_eq!(answer(wants_other_host, platform, env_present), (None, true), "{wants_other_host} {platform}");
    }
}

/// With the environment for the scheduler, without one for our daemon.
#[test]
fn a_server_with_a_false_result_is_reported() {
    let mut scenario = Scenario::until_result(request());
    scenario.result(CompileResult::default());
    let outputs = scenario.say(Input::Failed(Reason::FalseResult.with("text")));
    let [Output::Daemon(Message::BlacklistHostEnv(first)), Output::Daemon(Message::BlacklistHostEnv(all)), _] =
        &outputs[..]
    else {
        panic!("{outputs:?}")
    };
    let fields = |report: &BlacklistHostEnv| [&report.environment, &report.target, &report.host].map(Text::to_string);
    assert_eq!(
        (fields(first), fields(all)),
        (["env", "x86_64", "10.0.0.3"].map(String::from), ["", "", "10.0.0.3"].map(String::from))
    );
    assert_eq!(local(&outputs).and_then(Reason::error), Some(108));
}

#[test]
fn a_missing_environment_is_sent_and_verified() {
    let mut scenario = Scenario::new(request());
    assert!(matches!(&scenario.use_server(0)[..], [Output::SendEnvironment { target, .. }] if target.name == "env"));
    assert!(matches!(&scenario.say(Input::EnvironmentSent)[..], [Output::Server(Message::VerifyEnv(_))]));
    let outputs = scenario.say(Input::Server(Message::VerifyEnvResult { ok: 0 }));
    assert!(matches!(&outputs[..], [Output::Daemon(Message::BlacklistHostEnv(_)), Output::End(_)]));
    assert_eq!(local(&outputs).and_then(Reason::error), Some(24));

    let mut broken = Scenario::new(request());
    broken.use_server(0);
    broken.say(Input::EnvironmentSent);
    let status = Message::StatusText { text: "no such environment".into() };
    assert!(broken.say(Input::Server(status.clone())).is_empty());
    let outputs = broken.say(Input::Server(Message::VerifyEnvResult { ok: 0 }));
    assert!(matches!(&outputs[..], [Output::Daemon(Message::BlacklistHostEnv(_)), Output::End(_)]));
    assert_eq!(told(&outputs), Some(Reason::EnvironmentMissing.with("no such environment")));

    // It cannot tell now, and closes: that says nothing of host and environment.
    let mut at_a_loss = Scenario::new(request());
    at_a_loss.use_server(0);
    at_a_loss.say(Input::EnvironmentSent);
    at_a_loss.say(Input::Server(status));
    let outputs = at_a_loss.say(Input::ServerClosed);
    assert!(matches!(&outputs[..], [Output::End(_)]), "{outputs:?}");
    assert_eq!(local(&outputs).and_then(Reason::error), Some(25));
}

#[test]
fn e24_a_server_that_cannot_read_zstd_gets_gzip() {
    let sent = |outputs: &[Output]| match outputs {
        [Output::SendEnvironment { packing, .. }] => Some(*packing),
        _ => None,
    };
    let by_default = Request { zstd_by_default: true, ..request() };
    let mut old = Scenario::new(by_default.clone());
    assert_eq!(sent(&old.use_server_of(0, 41)), Some(Packing::Gzip), "by its version");

    // By its verdict: 1.4 can be built without zstd.
    let mut without = Scenario::new(by_default.clone());
    assert_eq!(sent(&without.use_server(0)), Some(Packing::AsItIs));
    without.say(Input::EnvironmentSent);
    let status = Message::StatusText { text: "not installed".into() };
    assert!(without.say(Input::Server(status)).is_empty());
    let refused = Message::VerifyEnvResult { ok: 0 };
    assert_eq!(sent(&without.say(Input::Server(refused.clone()))), Some(Packing::Gzip));
    assert!(matches!(&without.say(Input::EnvironmentSent)[..], [Output::Server(Message::VerifyEnv(_))]));
    assert_eq!(local(&without.say(Input::Server(refused.clone()))), Some(Reason::EnvironmentRefused), "once only");

    let mut ours = Scenario::new(by_default);
    assert_eq!(sent(&ours.use_server_of(0, 44)), Some(Packing::AsItIs));
    ours.say(Input::EnvironmentSent);
    assert_eq!(local(&ours.say(Input::Server(refused))), Some(Reason::EnvironmentRefused), "ours reads zstd");

    let mut users = Scenario::new(request());
    assert_eq!(sent(&users.use_server_of(0, 41)), Some(Packing::AsItIs), "the user's own archive has no other form");
}

#[test]
fn every_wait_ends_in_a_local_compile() {
    let mut scenario = Scenario::new(request());
    scenario.outputs();
    assert_eq!(local(&scenario.pass_time()), Some(Reason::NoServer));
    let mut scenario = Scenario::new(request());
    scenario.use_server(0);
    scenario.say(Input::EnvironmentSent);
    assert_eq!(local(&scenario.pass_time()), Some(Reason::EnvironmentUnverified));
    let mut scenario = Scenario::until_result(request());
    scenario.result(CompileResult::default());
    assert_eq!(local(&scenario.pass_time()), Some(Reason::ObjectCut));
}

/// A healthy daemon of 1.4 may be busy with another peer for 30 s, so it gets one probe with time for that.
#[test]
fn a_silent_server_of_1_4_is_asked_once_and_given_up_after_50_seconds() {
    let mut scenario = Scenario::until_result(request());
    let mut last_word = scenario.now;
    for _ in 0..3 {
        assert_eq!(scenario.pass_time(), [Output::Probe { patience: Duration::from_secs(40) }]);
        assert_eq!(scenario.now.since(last_word), Duration::from_secs(10));
        scenario.now = scenario.now + Duration::from_secs(39);
        assert!(scenario.say(Input::Probed { alive: true }).is_empty(), "it is only busy");
        last_word = scenario.now;
    }
    assert_eq!(scenario.pass_time().len(), 1);
    scenario.now = scenario.now + Duration::from_secs(40);
    assert_eq!(local(&scenario.say(Input::Probed { alive: false })), Some(Reason::NoResult));
    assert_eq!(scenario.now.since(last_word), Duration::from_secs(50));

    // A refused connection needs no second look.
    let mut refused = Scenario::until_result(request());
    refused.pass_time();
    assert_eq!(local(&refused.say(Input::Probed { alive: false })), Some(Reason::NoResult));
    assert_eq!(refused.now.since(Instant::ZERO), Duration::from_secs(10));
}

#[test]
fn a_silent_server_of_ours_is_asked_twice_and_given_up_after_13_seconds() {
    let mut scenario = Scenario::new(request());
    scenario.use_server_of(1, 44);
    scenario.say(Input::SourceEnd { said: Vec::new() });
    for missed in 1..=2 {
        assert_eq!(scenario.pass_time(), [Output::Probe { patience: Duration::from_secs(3) }]);
        scenario.now = scenario.now + Duration::from_secs(3);
        let outputs = scenario.say(Input::Probed { alive: false });
        assert_eq!(local(&outputs), (missed == 2).then_some(Reason::NoResult));
    }
    assert_eq!(scenario.now.since(Instant::ZERO), Duration::from_secs(13));
}

/// The same while it checks an environment: a frozen one costs seconds, one that only takes its time is waited for.
#[test]
fn a_server_that_checks_an_environment_is_probed_too() {
    let verifying = |version: u32| {
        let mut scenario = Scenario::new(request());
        scenario.use_server_of(0, version);
        assert!(matches!(&scenario.say(Input::EnvironmentSent)[..], [Output::Server(Message::VerifyEnv(_))]));
        scenario
    };
    let begun = Instant::ZERO;
    let mut frozen = verifying(44);
    for missed in 1..=2 {
        assert_eq!(frozen.pass_time(), [Output::Probe { patience: Duration::from_secs(3) }]);
        frozen.now = frozen.now + Duration::from_secs(3);
        let outputs = frozen.say(Input::Probed { alive: false });
        assert_eq!(local(&outputs), (missed == 2).then_some(Reason::EnvironmentUnverified));
    }
    assert!(frozen.now.since(begun) <= Duration::from_secs(13));

    let mut slow = verifying(44);
    while slow.now.since(begun) < Duration::from_secs(50) {
        assert_eq!(slow.pass_time().len(), 1);
        assert!(slow.say(Input::Probed { alive: true }).is_empty());
    }
    // A probe still on its way when the answer comes means nothing any more.
    slow.pass_time();
    let outputs = slow.say(Input::Server(Message::VerifyEnvResult { ok: 1 }));
    assert!(matches!(&outputs[..], [Output::SendSource(_)]));
    assert!(slow.say(Input::Probed { alive: false }).is_empty());

    let mut never = verifying(44);
    let mut outputs = Vec::new();
    while outputs.is_empty() {
        outputs = never.pass_time();
        if matches!(&outputs[..], [Output::Probe { .. }]) {
            outputs = never.say(Input::Probed { alive: true });
        }
    }
    assert_eq!(local(&outputs), Some(Reason::EnvironmentUnverified));
    assert!(never.now.since(begun) < Duration::from_secs(70));

    // 1.4 answers nobody while it checks.
    let mut old = verifying(43);
    assert_eq!(local(&old.pass_time()), Some(Reason::EnvironmentUnverified));
    assert_eq!(old.now.since(begun), Duration::from_secs(60));
}

#[test]
fn a_server_that_lives_but_never_answers_is_given_up_in_the_end() {
    let mut scenario = Scenario::until_result(request());
    let begun = scenario.now;
    while scenario.now.since(begun) < Duration::from_secs(3600) {
        assert_eq!(scenario.pass_time().len(), 1);
        assert!(scenario.say(Input::Probed { alive: true }).is_empty(), "given up within the server's own limit");
    }
    let mut outputs = Vec::new();
    while outputs.is_empty() && scenario.now.since(begun) < Duration::from_secs(3 * 3600) {
        scenario.pass_time();
        outputs.extend(scenario.say(Input::Probed { alive: true }));
    }
    assert_eq!(local(&outputs), Some(Reason::NoResult));
}

#[test]
fn a_remote_failure_is_not_the_last_word() {
    let messages = Messages::TakenUnlessExpanded;
    let clang = Request { family: Family::Clang, mode: Mode::Includes, messages, ..request() };
    let fail = |status: i32, stderr: &str| CompileResult { status, stderr: stderr.into(), ..CompileResult::default() };
    let judge = |request: &Request, result: CompileResult| {
        local(&Scenario::until_result(request.clone()).result(result)).and_then(Reason::error)
    };
    assert_eq!(judge(&request(), fail(0, "a.c:1:2: warning: x")), Some(102));
    assert_eq!(judge(&request(), fail(1, "")), Some(106));
    assert_eq!(judge(&clang, fail(105, "")), Some(105));
    for (status, stderr, reason) in [
        (105, "cc1plus: out of memory allocating 65536 bytes", Reason::OutOfMemory),
        (105, "a.s: No space left on device", Reason::OutOfDisk),
        (1, "g++: fatal error: Killed signal terminated program cc1plus", Reason::Killed),
        (137, "", Reason::Killed),
        (139, "", Reason::Crash),
    ] {
        let result = CompileResult { out_of_memory: 1, ..fail(status, stderr) };
        assert_eq!(local(&Scenario::until_result(clang.clone()).result(result)), Some(reason));
    }
    assert_eq!(judge(&clang, fail(1, "a.c:1:1: fatal error: 'x.h' file not found")), Some(104));
    assert_eq!(judge(&clang, fail(1, "a.c:1:1: error: x\n1 error generated.\n")), None);
    assert_eq!(judge(&clang, fail(1, "clang: error: unable to execute command\n")), Some(106));
    let incbin = "<inline asm>:1:10: error: Could not find incbin file 'x'";
    assert_eq!(judge(&clang, fail(1, incbin)), Some(106));
    let pch = Request { failure_is_doubtful: true, ..clang.clone() };
    assert_eq!(judge(&pch, fail(1, "a.c:1:1: error: x\n")), Some(106));
    assert_eq!(judge(&clang, fail(0, "a.c:1:1: warning: x\n")), None);
    assert_eq!(judge(&Request { mode: Mode::Full, ..clang.clone() }, fail(0, "a.c:1:1: warning: x\n")), Some(102));
    let remark = "a.c:5:5: remark: x\na.c:5:5: note: could not determine the original source location for a.c:5:65\n";
    assert_eq!(judge(&clang, fail(0, remark)), Some(102));
    // `ICECC_CARET_WORKAROUND=0`: warnings are taken as they come, errors only where they cannot be of the expansion.
    let taken = Request { messages: Messages::Taken, ..request() };
    for (mode, of_error) in [(Mode::Directives, None), (Mode::Full, Some(102))] {
        let taken = Request { mode, ..taken.clone() };
        assert_eq!(judge(&taken, fail(0, "a.c:1:1: warning: x\n")), None);
        assert_eq!(judge(&taken, fail(1, "a.c:1:1: error: x\n")), of_error);
    }
}

/// The scheduler believed in an environment that was removed meanwhile: no reason to compile here.
#[test]
fn a_server_that_lost_the_environment_is_left_for_another() {
    let ours = "environment env(x86_64) is not installed, removed?";
    let of_1_4 = "/var/cache/icecc/target=x86_64/env/usr/bin/as is not executable, installed environment removed?";
    let status = |text: &str| Input::Server(Message::StatusText { text: text.into() });
    for (sending, version, words) in [(true, 44, ours), (false, 44, ours), (true, 43, of_1_4), (false, 43, of_1_4)] {
        let mut scenario = Scenario::new(request());
        assert!(matches!(&scenario.use_server_of(1, version)[..], [Output::SendSource(_)]));
        if !sending {
            scenario.say(Input::SourceEnd { said: Vec::new() });
            scenario.pass_time();
        }
        for _ in 0..2 {
            let begun = scenario.now;
            let mut outputs = scenario.say(status(words));
            if version == 43 {
                // It tells the scheduler a moment after its client.
                outputs.extend(scenario.pass_time());
                assert_eq!(scenario.now.since(begun), Duration::from_secs(2));
            }
            assert!(
                matches!(&outputs[..], [Output::Leave(_), Output::Daemon(Message::GetCs(ask))] if ask.environments[0].name == "env"),
                "{outputs:?}"
            );
            for late in [Input::Probed { alive: false }, Input::NotTaken] {
                assert!(scenario.say(late).is_empty(), "of the server that was left");
            }
            assert!(matches!(&scenario.use_server_of(1, version)[..], [Output::SendSource(_)]));
        }
        assert_eq!(told(&scenario.say(status(ours))), Some(Reason::ServerSays.with(ours)), "not for ever");
    }

    // It sends the environment if it is told to.
    let mut scenario = Scenario::until_result(request());
    scenario.say(status(ours));
    scenario.pass_time();
    assert!(matches!(&scenario.use_server(0)[..], [Output::SendEnvironment { .. }]));
    scenario.say(Input::EnvironmentSent);
    scenario.say(Input::Server(Message::VerifyEnvResult { ok: 1 }));
    assert_eq!(told(&scenario.say(status(ours))), Some(Reason::ServerSays.with(ours)), "it was just verified there");

    let mut scenario = Scenario::until_result(request());
    assert_eq!(told(&scenario.say(status("chroot failed"))), Some(Reason::ServerSays.with("chroot failed")));
}

#[test]
fn a_failed_preprocessor_and_a_talking_server_end_it() {
    let mut scenario = Scenario::new(request());
    scenario.use_server(1);
    assert_eq!(local(&scenario.say(Input::PreprocessorFailed)), Some(Reason::Preprocessing));
    let mut scenario = Scenario::until_result(request());
    let status = Message::StatusText { text: "chroot failed".into() };
    assert_eq!(local(&scenario.say(Input::Server(status))).and_then(Reason::error), Some(23));
    let mut scenario = Scenario::until_result(request());
    assert_eq!(local(&scenario.say(Input::Server(Message::FileChunk(Chunk::default())))), Some(Reason::NotAResult));
    assert!(scenario.say(Input::ServerClosed).is_empty());
}
