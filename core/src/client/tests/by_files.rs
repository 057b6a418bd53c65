//! The way by files: when it is gone, what may be asked on it, and what ends it.

use super::*;
use crate::message::{FilesNeed, FilesResult, HostCan, abilities, need};

fn by_files() -> Request {
    Request { can_by_files: true, ..request() }
}

fn host_can(job: u32, abilities: u32) -> Input {
    Input::Daemon(Message::HostCan(HostCan { job: JobId(job), abilities, ..HostCan::default() }))
}

fn need(kind: u32) -> Input {
    Input::Server(Message::FilesNeed(FilesNeed { kind, paths: vec!["/a.h".into()] }))
}

fn refusal() -> Input {
    Input::Server(Message::StatusText { text: "no room for files".into() })
}

/// A server of ours is connected that takes files.
fn connected(request: Request) -> (Scenario, Vec<Output>) {
    let mut scenario = Scenario::new(request);
    scenario.outputs();
    assert!(scenario.say(host_can(7, abilities::FILES)).is_empty());
    let outputs = scenario.use_server_of(1, 44);
    (scenario, outputs)
}

/// It has the facts.
fn running() -> Scenario {
    let (mut scenario, outputs) = connected(by_files());
    assert_eq!(outputs, [Output::BeginFiles]);
    assert!(scenario.say(Input::FilesSent).is_empty());
    scenario
}

fn result(status: i32, stderr: &str) -> Input {
    Input::Server(Message::FilesResult(FilesResult { status, stderr: stderr.into(), ..FilesResult::default() }))
}

#[test]
fn the_users_command_runs_there_and_its_outputs_come_back() {
    for (status, stderr) in
        [(0, ""), (0, "a.c:1:1: warning: x\n"), (1, "a.c:1:1: error: x\n"), (4, "gcc: fatal error: x")]
    {
        let mut scenario = running();
        for kind in [need::ALL, need::FACTS, need::CONTENTS] {
            assert!(matches!(&scenario.say(need(kind))[..], [Output::AnswerFiles(need)] if need.kind == kind));
            assert!(scenario.say(Input::FilesSent).is_empty());
        }
        assert_eq!(scenario.say(result(status, stderr)), [Output::ReceiveOutputs]);
        assert!(scenario.say(Input::FilePiece { plain: 100_000 }).is_empty());
        let outputs = scenario.say(Input::Received);
        let [Output::Server(Message::End), Output::End(end)] = &outputs[..] else { panic!("{outputs:?}") };
        assert!(matches!(&**end, End::ByFiles { result } if result.status == status), "{end:?}");
        assert!(scenario.say(need(need::FACTS)).is_empty(), "it is over");
    }
}

#[test]
fn it_is_gone_only_where_all_sides_can() {
    let sends_source = |outputs: &[Output]| matches!(outputs, [Output::SendSource(_)]);
    assert!(sends_source(&connected(request()).1), "the shell cannot");
    for (job, bits) in [(7, 0), (7, !abilities::FILES), (8, abilities::FILES)] {
        let mut scenario = Scenario::new(by_files());
        scenario.outputs();
        scenario.say(host_can(job, bits));
        assert!(sends_source(&scenario.use_server_of(1, 44)), "{job} {bits:#x}");
    }
    assert!(sends_source(&Scenario::new(by_files()).use_server_of(1, 44)), "nothing was said of the host");
    let other = GetCs { target: "aarch64".into(), ..request().get_cs };
    assert!(sends_source(&connected(Request { get_cs: other, ..by_files() }).1), "another platform");
}

#[test]
fn a_job_that_is_none_for_it_goes_as_text_on_the_same_connection() {
    let (mut scenario, _) = connected(by_files());
    assert!(matches!(&scenario.say(Input::NotByFiles)[..], [Output::SendSource(_)]));
    assert_eq!(scenario.say(Input::SourceEnd { said: Vec::new() }), [Output::Server(Message::End)]);
    assert_eq!(scenario.result(CompileResult::default()), [Output::Receive(File::Object)]);

    // With all that belongs to it.
    let mut scenario = Scenario::new(by_files());
    scenario.outputs();
    scenario.say(host_can(7, abilities::FILES));
    assert_eq!(scenario.use_server_of(0, 44), [Output::BeginFiles]);
    assert!(matches!(&scenario.say(Input::NotByFiles)[..], [Output::SendEnvironment { .. }]));
}

#[test]
fn a_server_that_refuses_it_costs_a_question_and_the_job_goes_as_text() {
    let refused: [fn(&mut Scenario); 3] = [
        |_| {},
        |scenario| drop(scenario.say(Input::FilesSent)),
        |scenario| {
            scenario.say(Input::FilesSent);
            scenario.say(need(need::CONTENTS));
        },
    ];
    for before in refused {
        let (mut scenario, _) = connected(by_files());
        before(&mut scenario);
        let outputs = scenario.say(refusal());
        assert!(matches!(&outputs[..], [Output::Leave(_), Output::Daemon(Message::GetCs(_))]), "{outputs:?}");
        scenario.say(host_can(7, abilities::FILES));
        assert!(matches!(&scenario.use_server_of(1, 44)[..], [Output::SendSource(_)]), "once only");
    }
}

#[test]
fn what_is_no_answer_ends_it() {
    let ends = |input: Input| local(&running().say(input));
    assert_eq!(ends(Input::Server(Message::CompileResult(CompileResult::default()))), Some(Reason::NotAResult));
    assert_eq!(ends(Input::Server(Message::End)), Some(Reason::NotAResult));
    assert_eq!(ends(Input::ServerClosed), Some(Reason::NoResult));
    assert_eq!(ends(need(3)), Some(Reason::FilesQuestions));
    assert_eq!(ends(Input::Failed(Reason::FilesRefused.with("/etc/shadow"))), Some(Reason::FilesRefused));

    let (mut early, _) = connected(by_files());
    assert_eq!(local(&early.say(need(need::FACTS))), Some(Reason::NotAResult), "the facts are still on their way");
    let mut receiving = running();
    receiving.say(result(0, ""));
    assert_eq!(local(&receiving.say(need(need::FACTS))), Some(Reason::NotAnObject));
}

#[test]
fn a_server_asks_so_often_and_no_more() {
    let mut scenario = running();
    for _ in 0..200 {
        assert!(matches!(&scenario.say(need(need::FACTS))[..], [Output::AnswerFiles(_)]));
        scenario.say(Input::FilesSent);
    }
    assert_eq!(local(&scenario.say(need(need::FACTS))), Some(Reason::FilesQuestions));
}

#[test]
fn what_befell_the_compiler_there_is_not_the_last_word() {
    let ends = |status, out_of_memory, stderr: &str| {
        let result = FilesResult { status, out_of_memory, stderr: stderr.into(), ..FilesResult::default() };
        local(&running().say(Input::Server(Message::FilesResult(result))))
    };
    for status in [-1, 256, 512] {
        assert_eq!(ends(status, 0, "x"), Some(Reason::NotAResult));
    }
    assert_eq!(ends(1, 1, "x"), Some(Reason::Killed));
    assert_eq!(ends(105, 1, "cc1plus: out of memory"), Some(Reason::OutOfMemory));
    assert_eq!(ends(1, 0, "g++: fatal error: Killed signal terminated program cc1plus"), Some(Reason::Killed));
    assert_eq!(ends(1, 0, "as: a.o: No space left on device"), Some(Reason::OutOfDisk));
    assert_eq!(ends(139, 0, ""), Some(Reason::Crash));
    assert_eq!(ends(100, 0, ""), Some(Reason::Crash));
    assert_eq!(ends(100, 0, "x"), None);
    assert_eq!(ends(0, 1, ""), None);
}

/// The server is watched as one that has the text.
#[test]
fn every_wait_of_it_ends() {
    let mut silent = running();
    for missed in 1..=2 {
        assert_eq!(silent.pass_time(), [Output::Probe { patience: Duration::from_secs(3) }]);
        silent.now = silent.now + Duration::from_secs(3);
        let outputs = silent.say(Input::Probed { alive: false });
        assert_eq!(local(&outputs), (missed == 2).then_some(Reason::NoResult));
    }
    let mut receiving = running();
    receiving.say(result(0, ""));
    assert_eq!(local(&receiving.pass_time()), Some(Reason::ObjectCut));
    let mut endless = running();
    endless.say(result(0, ""));
    assert_eq!(local(&endless.say(Input::FilePiece { plain: 5 << 30 })), Some(Reason::ObjectCut));

    let (mut stuck, _) = connected(by_files());
    stuck.say(Input::Blocked);
    assert_eq!(local(&stuck.pass_time()), Some(Reason::HeaderNotSent));
    let mut answering = running();
    answering.say(need(need::CONTENTS));
    answering.say(Input::Blocked);
    assert_eq!(local(&answering.pass_time()), Some(Reason::SourceNotSent));
}

#[test]
fn servers_are_not_asked_for_without_end() {
    let mut scenario = Scenario::new(by_files());
    scenario.outputs();
    for _ in 0..2 {
        assert!(matches!(&scenario.use_server_of(1, 44)[..], [Output::SendSource(_)]));
        let missing = "no environment: was it removed?";
        let outputs = scenario.say(Input::Server(Message::StatusText { text: missing.into() }));
        assert!(matches!(&outputs[..], [Output::Leave(_), Output::Daemon(Message::GetCs(_))]), "{outputs:?}");
    }
    scenario.say(host_can(7, abilities::FILES));
    assert_eq!(scenario.use_server_of(1, 44), [Output::BeginFiles]);
    assert_eq!(local(&scenario.say(refusal())), Some(Reason::ServerSays));
}
