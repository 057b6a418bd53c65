//! Times and bounds, each asked at the bound and one beyond; and which words of a server's compiler are taken. The numbers are
//! written out: they are what users see.

use super::*;

/// How long the present wait lasts, and what it ends in.
fn waits(scenario: &mut Scenario) -> (Duration, Option<Reason>) {
    let begun = scenario.now;
    let outputs = scenario.pass_time();
    (scenario.now.since(begun), local(&outputs))
}

#[test]
fn an_environment_of_the_daemon_is_waited_for_four_minutes() {
    let native = Request { environments: Environments::Native(GetNativeEnv::default()), ..request() };
    let mut scenario = Scenario::new(native);
    assert_eq!(waits(&mut scenario), (secs(240), Some(Reason::NoNativeArchive)));
}

#[test]
fn a_server_is_waited_for_four_minutes_or_an_hour_by_a_nice_job() {
    for (niceness, limit) in [(0, 240), (1, 3600), (19, 3600), (20, 240)] {
        let get_cs = GetCs { niceness, ..request().get_cs };
        let mut scenario = Scenario::new(Request { get_cs, ..request() });
        assert_eq!(waits(&mut scenario), (secs(limit), Some(Reason::NoServer)), "{niceness}");
    }
}

#[test]
fn a_connection_is_waited_for_25_seconds() {
    let named = |port: u32| {
        let mut scenario = Scenario::new(request());
        let server = UseCs { port, host: "10.0.0.3".into(), ..UseCs::default() };
        let outputs = scenario.say(Input::Daemon(Message::UseCs(server)));
        (scenario, outputs)
    };
    let (mut scenario, outputs) = named(65_535);
    assert!(matches!(outputs.last(), Some(Output::Dial { port: 65_535, .. })));
    assert_eq!(waits(&mut scenario), (secs(25), Some(Reason::Unreachable)));
    assert_eq!(local(&named(65_536).1), Some(Reason::Unreachable), "no port");
}

#[test]
fn each_message_of_a_file_may_take_40_seconds() {
    let compile = CompileFile { split_dwarf: 1, ..request().compile };
    let mut scenario = Scenario::until_result(Request { compile, ..request() });
    scenario.result(CompileResult { has_dwo: 1, ..CompileResult::default() });
    scenario.now = scenario.now + secs(39);
    assert!(matches!(&scenario.say(Input::Received)[..], [Output::Receive(File::Dwo)]));
    assert_eq!(waits(&mut scenario), (secs(40), Some(Reason::ObjectCut)));
    let mut scenario = Scenario::until_result(request());
    scenario.result(CompileResult::default());
    assert_eq!(waits(&mut scenario), (secs(40), Some(Reason::ObjectCut)));
}

/// A probe every two seconds, or every ten from 1.4: the first after the limit ends it.
#[test]
fn a_result_is_waited_for_two_hours() {
    for (version, end) in [(44, 7201), (43, 7200)] {
        let mut scenario = Scenario::new(request());
        scenario.use_server_of(1, version);
        scenario.say(Input::SourceEnd { said: Vec::new() });
        let mut outputs = Vec::new();
        while outputs.is_empty() {
            scenario.pass_time();
            outputs = scenario.say(Input::Probed { alive: true });
        }
        assert_eq!(local(&outputs), Some(Reason::NoResult));
        assert_eq!(scenario.now.since(Instant::ZERO), secs(end));
    }
}

#[test]
fn a_check_of_an_environment_is_waited_for_a_minute() {
    let mut scenario = Scenario::new(request());
    scenario.use_server_of(0, 44);
    scenario.say(Input::EnvironmentSent);
    let mut outputs = Vec::new();
    while local(&outputs).is_none() {
        outputs = scenario.pass_time();
        outputs.extend(scenario.say(Input::Probed { alive: true }));
    }
    assert_eq!(local(&outputs), Some(Reason::EnvironmentUnverified));
    assert_eq!(scenario.now.since(Instant::ZERO), secs(61));
}

/// Servers below 34 know no compiler's name and below 42 no Objective-C: words say it.
#[test]
fn what_an_old_server_cannot_be_told_is_told_in_words() {
    let sent = |family, language: u32, version| {
        let compile = CompileFile { language, ..request().compile };
        let mut scenario = Scenario::new(Request { family, compile, ..request() });
        let outputs = scenario.use_server_of(1, version);
        let [Output::SendSource(job)] = &outputs[..] else { panic!("{outputs:?}") };
        let words: Vec<String> = job.arguments.iter().map(|(_, text)| text.to_string()).collect();
        words.join(" ")
    };
    assert_eq!(sent(Family::Clang, 0, 43), "");
    assert_eq!(sent(Family::Clang, 0, 21), "clang");
    assert_eq!(sent(Family::Gcc, 0, 21), "");
    assert_eq!(sent(Family::Gcc, 2, 21), "-x objective-c");
    assert_eq!(sent(Family::Gcc, 3, 21), "-x objective-c++");
    assert_eq!(sent(Family::Gcc, 1, 21), "");
    assert_eq!(sent(Family::Gcc, 2, 43), "");
}

/// Why a result is not taken, if it is not.
fn judged(messages: Messages, mode: Mode, status: i32, stderr: &str) -> Option<Reason> {
    let mut scenario = Scenario::until_result(Request { messages, mode, ..request() });
    let outputs = scenario.result(CompileResult { status, stderr: stderr.into(), ..CompileResult::default() });
    local(&outputs)
}

#[test]
fn a_status_is_one_of_256_and_from_a_hundred_on_silence_is_a_crash() {
    let silent = |status| judged(Messages::TakenUnlessExpanded, Mode::Directives, status, "");
    assert_eq!(silent(-1), Some(Reason::NotAResult));
    assert_eq!(silent(0), None);
    assert_eq!(silent(99), Some(Reason::Doubtful));
    assert_eq!(silent(100), Some(Reason::Crash));
    assert_eq!(silent(255), Some(Reason::Crash));
    assert_eq!(silent(256), Some(Reason::NotAResult));
    let loud = |status| judged(Messages::TakenUnlessExpanded, Mode::Directives, status, "x.c:1:1: error: y\n");
    assert_eq!((loud(100), loud(255)), (None, None));
}

#[test]
fn want_of_the_server_counts_where_the_compile_failed() {
    for (status, reason) in [(0, None), (1, Some(Reason::Killed)), (105, Some(Reason::OutOfMemory))] {
        let mut scenario = Scenario::until_result(request());
        let outputs = scenario.result(CompileResult { status, out_of_memory: 1, ..CompileResult::default() });
        assert_eq!(local(&outputs), reason);
    }
}

#[test]
fn what_is_said_on_standard_output_is_a_message_too() {
    let mut scenario = Scenario::until_result(request());
    let outputs = scenario.result(CompileResult { stdout: "x".into(), ..CompileResult::default() });
    assert_eq!(local(&outputs), Some(Reason::Messages));
}

#[test]
fn whose_messages_are_taken() {
    let warning = "x.c:1:1: warning: y\n";
    let error = "x.c:1:1: error: y\n";
    let no_place = "note: could not determine the original source location for x.c:1:1\n";
    let redo = Some(Reason::Messages);
    for (messages, mode, [of_warning, of_error, of_no_place]) in [
        (Messages::Redone, Mode::Directives, [redo, redo, redo]),
        (Messages::Taken, Mode::Directives, [None, None, None]),
        (Messages::Taken, Mode::Full, [None, redo, None]),
        (Messages::TakenUnlessExpanded, Mode::Directives, [None, None, redo]),
        (Messages::TakenUnlessExpanded, Mode::Includes, [None, None, redo]),
        (Messages::TakenUnlessExpanded, Mode::Full, [redo, redo, redo]),
    ] {
        assert_eq!(judged(messages, mode, 0, warning), of_warning, "{messages:?} {mode:?}");
        assert_eq!(judged(messages, mode, 1, error), of_error, "{messages:?} {mode:?}");
        assert_eq!(judged(messages, mode, 0, no_place), of_no_place, "{messages:?} {mode:?}");
    }
}

/// They come of arguments, not of the text: the shell compares them with those of its own run.
#[test]
fn what_clangs_driver_says_of_arguments_is_taken_with_expanded_text() {
    let driver = "clang: warning: argument unused during compilation: '-static-libgcc'\n";
    for (status, stderr, taken) in [
        (0, driver.to_string(), true),
        (0, format!("{driver}{driver}"), true),
        (1, driver.to_string(), false),
        (0, format!("{driver}1 warning generated.\n"), false),
        (0, "clang: error: y\n".to_string(), false),
    ] {
        let reason = judged(Messages::TakenUnlessExpanded, Mode::Full, status, &stderr);
        assert_eq!(reason.is_none(), taken, "{status} {stderr}");
    }
}

/// Others are the driver's, the assembler's, the linker's, or of a file that only this host has.
#[test]
fn an_error_is_believed_where_it_names_a_place_of_the_source() {
    for (stderr, believed) in [
        ("x.c:12: error: y\n", true),
        ("x.c:12:3: error: y\n", true),
        ("x.c:12:3: fatal error: y\n", true),
        ("x.c:1:1: error: y\nx.c: In function 'f':\n", true),
        // Colours stand between.
        ("x.c:1:1: error: y\n\u{1b}[1mx.c:1:1: \u{1b}[31merror: y\n", true),
        ("x.c: error: y\n", false),
        ("x.c:1a: error: y\n", false),
        ("x.c:a1: error: y\n", false),
        ("x.c:: error: y\n", false),
        ("x.c:1:1: error: y\ngcc: error: z\n", false),
        ("gcc: fatal error: y\n", false),
        ("<inline asm>:1:2: error: y\n", false),
        ("x.c:1:1: warning: y\n", false),
        ("error: y\n", false),
        ("x.c:1:1: error: y: No such file or directory\n", false),
        ("x.c:1:1: error: Could not find y\n", false),
        ("x.c:1:1: error: cannot find y\n", false),
        ("x.c:1:1: error: error opening y\n", false),
        ("x.c:1:1: error: could not open y\n", false),
    ] {
        let reason = judged(Messages::TakenUnlessExpanded, Mode::Directives, 1, stderr);
        assert_eq!(reason, (!believed).then_some(Reason::Doubtful), "{stderr}");
    }
    let taken =
        |status| judged(Messages::Taken, Mode::Directives, status, "x.c:1:1: warning: No such file or directory\n");
    assert_eq!((taken(0), taken(1)), (None, Some(Reason::Doubtful)));
    let not_found = judged(Messages::Taken, Mode::Directives, 1, "x.c:1:1: fatal error: 'y.h' file not found\n");
    assert_eq!(not_found, Some(Reason::FileNotFound));
}

#[test]
fn a_server_that_cannot_verify_is_taken_unless_the_user_ruled_it_out() {
    for (version, verified_only, reason) in
        [(30, true, Some(Reason::CannotVerify)), (30, false, None), (31, true, None), (31, false, None)]
    {
        for env_present in [0, 1] {
            let mut scenario = Scenario::new(Request { verified_only, ..request() });
            let outputs = scenario.use_server_of(env_present, version);
            assert_eq!(local(&outputs), reason, "{version} {verified_only}");
        }
    }
    // Below 31 nothing tells whether it is installed: the source follows at once.
    let mut scenario = Scenario::new(request());
    scenario.use_server_of(0, 30);
    assert!(matches!(&scenario.say(Input::EnvironmentSent)[..], [Output::SendSource(_)]));
}

#[test]
fn a_timeout_that_is_called_early_does_nothing_and_a_late_one_counts() {
    let mut scenario = Scenario::new(request());
    scenario.outputs();
    scenario.submission.handle_timeout(scenario.now + secs(239));
    assert!(scenario.outputs().is_empty());
    assert_eq!(scenario.submission.poll_timeout(), Some(scenario.now + secs(240)));
    scenario.submission.handle_timeout(scenario.now + secs(300));
    assert_eq!(local(&scenario.outputs()), Some(Reason::NoServer));
    assert_eq!(scenario.submission.poll_timeout(), None);
}

#[test]
fn without_an_environment_nobody_is_asked() {
    let mut scenario = Scenario::new(Request { environments: Environments::Given(Vec::new()), ..request() });
    let outputs = scenario.outputs();
    assert_eq!((outputs.len(), local(&outputs)), (1, Some(Reason::NoUsableEnvironment)));
}

#[test]
fn the_environment_of_the_servers_platform_is_used() {
    let env = |platform: &str, name: &str| EnvRef { platform: platform.into(), name: name.into() };
    let environments = vec![env("aarch64", "arm"), env("x86_64", "intel"), env("x86_64", "other")];
    for (platform, name) in [("aarch64", "arm"), ("x86_64", "intel"), ("riscv64", "arm")] {
        let mut scenario =
            Scenario::new(Request { environments: Environments::Given(environments.clone()), ..request() });
        let server = UseCs { host: "10.0.0.3".into(), host_platform: platform.into(), ..UseCs::default() };
        scenario.say(Input::Daemon(Message::UseCs(server)));
        assert_eq!(scenario.submission.environment, *name, "{platform}");
    }
}
