//! How long what moves may take, and what it means that it does not: archives and source on their way to a server, files of it.

use super::*;

fn words(text: &str) -> Input {
    Input::Server(Message::StatusText { text: text.into() })
}

/// The environment is on its way.
fn sending_environment() -> Scenario {
    let mut scenario = Scenario::new(request());
    assert!(matches!(&scenario.use_server_of(0, 44)[..], [Output::SendEnvironment { .. }]));
    scenario
}

/// So is the source; its header is taken.
fn sending_source() -> Scenario {
    let mut scenario = Scenario::new(request());
    assert!(matches!(&scenario.use_server_of(1, 44)[..], [Output::SendSource(_)]));
    assert!(scenario.say(Input::Taken).is_empty());
    scenario
}

/// The server does not take a write for so long, and then takes it.
fn wait_for(scenario: &mut Scenario, time: Duration) {
    assert!(scenario.say(Input::Blocked).is_empty());
    scenario.now = scenario.now + time;
    scenario.submission.handle_timeout(scenario.now);
    assert!(scenario.outputs().is_empty());
    assert!(scenario.say(Input::Taken).is_empty());
}

#[test]
fn one_write_may_take_half_a_minute_and_all_of_them_more() {
    for (mut scenario, whole, reason) in
        [(sending_environment(), 600, Reason::EnvironmentNotSent), (sending_source(), 120, Reason::SourceNotSent)]
    {
        assert_eq!(scenario.submission.poll_timeout(), None, "the user's preprocessor takes its time");
        for _ in 0..(whole - 15) / 29 {
            wait_for(&mut scenario, secs(29));
            scenario.now = scenario.now + secs(1000);
        }
        let left = whole - (whole - 15) / 29 * 29;
        let begun = scenario.now;
        scenario.say(Input::Blocked);
        scenario.now = scenario.now + secs(1);
        scenario.say(Input::Blocked); // the same wait
        assert_eq!(local(&scenario.pass_time()), Some(reason));
        assert_eq!(scenario.now.since(begun), secs(left.min(30)));
        assert_eq!(scenario.submission.poll_timeout(), None);
    }
}

#[test]
fn what_is_left_of_the_time_for_all_writes_bounds_the_last() {
    let mut scenario = sending_source();
    for _ in 0..4 {
        wait_for(&mut scenario, secs(29));
    }
    let begun = scenario.now;
    scenario.say(Input::Blocked);
    assert_eq!(local(&scenario.pass_time()), Some(Reason::SourceNotSent));
    assert_eq!(scenario.now.since(begun), secs(4));
}

#[test]
fn a_source_has_its_whole_time_whatever_its_environment_took() {
    let mut scenario = sending_environment();
    for _ in 0..20 {
        wait_for(&mut scenario, secs(29));
    }
    scenario.say(Input::EnvironmentSent);
    scenario.say(Input::Server(Message::VerifyEnvResult { ok: 1 }));
    for _ in 0..4 {
        wait_for(&mut scenario, secs(29));
    }
    // Another server has its own.
    let mut scenario = sending_source();
    for _ in 0..4 {
        wait_for(&mut scenario, secs(29));
    }
    scenario.say(Input::Blocked);
    let outputs = scenario.say(words("environment env(x86_64) is not installed, removed?"));
    assert!(matches!(&outputs[..], [Output::Leave(_), Output::Daemon(Message::GetCs(_))]));
    for late in [words("more"), Input::NotTaken, Input::ServerClosed] {
        assert!(scenario.say(late).is_empty(), "it was left");
    }
    scenario.now = scenario.now + secs(100);
    scenario.submission.handle_timeout(scenario.now);
    assert!(scenario.outputs().is_empty());
    assert!(matches!(&scenario.use_server_of(1, 44)[..], [Output::SendSource(_)]));
    for _ in 0..4 {
        wait_for(&mut scenario, secs(29));
    }
}

#[test]
fn what_was_being_sent_says_what_is_wrong() {
    let verifying = || {
        let mut scenario = sending_environment();
        scenario.say(Input::EnvironmentSent);
        scenario
    };
    let header = || {
        let mut scenario = Scenario::new(request());
        scenario.use_server_of(1, 44);
        scenario
    };
    let ended = || {
        let mut scenario = sending_source();
        scenario.say(Input::SourceEnd { said: Vec::new() });
        scenario
    };
    for (mut scenario, reason) in [
        (sending_environment(), Reason::EnvironmentNotSent),
        (verifying(), Reason::NoUsableEnvironment),
        (header(), Reason::HeaderNotSent),
        (sending_source(), Reason::SourceNotSent),
        (ended(), Reason::SourceNotSent),
    ] {
        assert_eq!(local(&scenario.say(Input::NotTaken)), Some(reason));
        assert!(scenario.say(Input::NotTaken).is_empty());
    }
    // Whom nothing is sent to cannot refuse it.
    assert!(Scenario::new(request()).say(Input::NotTaken).iter().all(|o| !matches!(o, Output::End(_))));
}

#[test]
fn a_server_that_refuses_an_environment_says_why() {
    for input in [Input::NotTaken, Input::ServerClosed] {
        assert_eq!(local(&sending_environment().say(input.clone())), Some(Reason::EnvironmentNotSent));
        let mut scenario = sending_environment();
        assert!(scenario.say(words("no room")).is_empty());
        assert_eq!(told(&scenario.say(input)), Some(Reason::EnvironmentMissing.with("no room")));
    }
    assert_eq!(local(&sending_environment().say(Input::Server(Message::Ping))), Some(Reason::EnvironmentUnverified));
    // Of the source they say nothing.
    let mut scenario = sending_environment();
    for input in [words("no room"), Input::EnvironmentSent, Input::Server(Message::VerifyEnvResult { ok: 1 })] {
        assert!(local(&scenario.say(input)).is_none());
    }
    assert_eq!(local(&scenario.say(Input::ServerClosed)), Some(Reason::SourceNotSent));
}

#[test]
fn a_failed_preprocessor_is_told_to_a_server_that_comes_soon() {
    let failed = |scenario: &mut Scenario| {
        assert!(scenario.say(Input::PreprocessorFailed).is_empty());
        let begun = scenario.now;
        scenario.now = scenario.now + Duration::from_millis(100);
        assert!(scenario.say(Input::PreprocessorFailed).is_empty());
        begun
    };
    let mut waiting = Scenario::new(request());
    waiting.outputs();
    let begun = failed(&mut waiting);
    assert_eq!(local(&waiting.pass_time()), Some(Reason::Preprocessing));
    assert_eq!(waiting.now.since(begun), Duration::from_millis(300));

    let mut told = Scenario::new(request());
    told.outputs();
    failed(&mut told);
    assert!(matches!(&told.use_server_of(1, 44)[..], [Output::SendSource(_)]));
    assert_eq!(told.submission.poll_timeout(), None);
    assert_eq!(local(&told.say(Input::PreprocessorFailed)), Some(Reason::Preprocessing));

    // An environment that is on its way is of use to others: it arrives first.
    let mut sending = sending_environment();
    failed(&mut sending);
    assert_eq!(sending.submission.poll_timeout(), None);
    sending.now = sending.now + secs(100);
    sending.say(Input::EnvironmentSent);
    sending.submission.handle_timeout(sending.now);
    assert_eq!(local(&sending.outputs()), Some(Reason::Preprocessing));

    // The source for another server is made anew.
    let mut left = sending_source();
    left.say(words("environment env(x86_64) is not installed, removed?"));
    assert!(left.submission.poll_timeout().is_some_and(|at| at.since(left.now) == secs(240)));
}

#[test]
fn text_that_only_this_host_can_expand_begins_again() {
    let ended = Scenario::until_result(request());
    let mut verifying = sending_environment();
    verifying.say(Input::EnvironmentSent);
    for mut scenario in [Scenario::new(request()), verifying, sending_source(), ended] {
        scenario.outputs();
        assert_eq!(scenario.say(Input::ExpandHere), [Output::End(Box::new(End::ExpandHere))]);
        assert_eq!(scenario.submission.poll_timeout(), None);
        assert!(scenario.say(Input::ExpandHere).is_empty());
    }
    // An environment that is on its way is of use to others: it arrives first.
    let mut scenario = sending_environment();
    assert!(scenario.say(Input::ExpandHere).is_empty());
    assert_eq!(scenario.say(Input::EnvironmentSent), [Output::End(Box::new(End::ExpandHere))]);
    // What is compiled here anyway is expanded here.
    let mut scenario = Scenario::new(request());
    scenario.outputs();
    let here = UseCs { host: LOCALHOST.into(), ..UseCs::default() };
    assert!(matches!(&scenario.say(Input::Daemon(Message::UseCs(here)))[..], [Output::Daemon(_), Output::CompileHere]));
    assert!(scenario.say(Input::ExpandHere).is_empty());
    let ended = scenario.say(Input::Compiled { status: 1, stats: JobStats::default() });
    assert!(matches!(&ended[..], [Output::Daemon(Message::JobDone(_)), Output::End(_)]), "{ended:?}");
}

#[test]
fn a_file_comes_piece_by_piece() {
    let receiving = || {
        let mut scenario = Scenario::until_result(request());
        assert_eq!(scenario.result(CompileResult::default()), [Output::Receive(File::Object)]);
        scenario
    };
    let piece = |plain| Input::FilePiece { plain };
    // Each has its time, all together half an hour.
    let mut scenario = receiving();
    for _ in 0..46 {
        scenario.now = scenario.now + secs(39);
        assert!(scenario.say(piece(1)).is_empty());
        assert_eq!(scenario.submission.poll_timeout(), Some(scenario.now + secs(40)));
    }
    scenario.now = scenario.now + secs(5);
    assert!(scenario.say(piece(1)).is_empty(), "1799 s");
    scenario.now = scenario.now + secs(1);
    assert_eq!(local(&scenario.say(piece(1))), Some(Reason::ObjectCut));
    // And a size that no compiler reaches.
    let mut scenario = receiving();
    assert!(scenario.say(piece(4 << 30)).is_empty());
    assert_eq!(local(&scenario.say(piece(1))), Some(Reason::ObjectCut));
    for (input, reason) in [
        (Input::Server(Message::Ping), Reason::NotAnObject),
        (words("why"), Reason::ServerSays),
        (Input::ServerClosed, Reason::ObjectCut),
        (Input::Failed(Reason::ObjectUnwritten.into()), Reason::ObjectUnwritten),
    ] {
        assert_eq!(local(&receiving().say(input)), Some(reason));
    }
}

#[test]
fn the_second_file_has_its_own_bounds() {
    let compile = CompileFile { split_dwarf: 1, ..request().compile };
    let mut scenario = Scenario::until_result(Request { compile, ..request() });
    scenario.result(CompileResult { has_dwo: 1, ..CompileResult::default() });
    scenario.say(Input::FilePiece { plain: 4 << 30 });
    scenario.now = scenario.now + secs(39);
    assert_eq!(scenario.say(Input::Received), [Output::Receive(File::Dwo)]);
    assert!(scenario.say(Input::FilePiece { plain: 4 << 30 }).is_empty());
}

#[test]
fn what_the_preprocessor_said_is_printed_once() {
    let warning = "a.c:1:2: warning: x [-W#warnings]\n";
    let counted = format!("{warning}1 warning generated.\n");
    for (family, mode, said, stderr, printed) in [
        (Family::Gcc, Mode::Directives, "w\n", "", Some("w\n")),
        (Family::Gcc, Mode::Full, "w\n", "", Some("w\n")),
        (Family::Clang, Mode::Includes, "", "", Some("")),
        (Family::Clang, Mode::Includes, counted.as_str(), counted.as_str(), Some("")),
        (Family::Clang, Mode::Includes, warning, "2 warnings generated.\n", None),
        (Family::Clang, Mode::Full, "w\n", "", Some("w\n")),
        (Family::Clang, Mode::Full, "clang: warning: w\n", "clang: warning: w\n", Some("")),
        (Family::Clang, Mode::Full, "clang: warning: w\n", "clang: warning: other\n", None),
    ] {
        let messages = Messages::TakenUnlessExpanded;
        let mut scenario = Scenario::new(Request { family, mode, messages, ..request() });
        scenario.use_server_of(1, 44);
        scenario.say(Input::SourceEnd { said: said.into() });
        let result = CompileResult { stderr: stderr.into(), ..CompileResult::default() };
        scenario.result(result.clone());
        let outputs = scenario.say(Input::Received);
        match printed {
            Some(said) => {
                let end = End::Remote { result, said: said.into() };
                assert_eq!(outputs, [Output::End(Box::new(end))], "{family:?} {mode:?} {said:?}");
            }
            None => assert_eq!(local(&outputs), Some(Reason::Messages), "{family:?} {mode:?} {said:?}"),
        }
    }
}
