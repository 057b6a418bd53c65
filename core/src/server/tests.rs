//! What a job's serving half does, by tables of what happens.

use super::*;
use crate::daemon::JobReport;
use crate::job::JobStats;
use crate::message::{CompileResult, Message};
use crate::time::{Duration, Instant};
use crate::version::Version;

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

fn chunk() -> Input<'static> {
    Input::Chunk { compressed: 10, plain: 100, has_room: true }
}

const TOOK_ALL: Input<'static> = Input::CompilerTook { is_left: false };
const TOOK_SOME: Input<'static> = Input::CompilerTook { is_left: true };
const OUT_END: Input<'static> = Input::TextEnd(Stream::Stdout);
const ERR_END: Input<'static> = Input::TextEnd(Stream::Stderr);

fn exit(exit: Exit) -> Ended {
    let stats = JobStats { real_ms: 9, out_uncompressed: 7, ..JobStats::default() };
    let has_object = exit == Exit::Status(0);
    Ended { exit, out_of_memory: false, timed_out: false, has_object, has_dwo: false, stats, held: 4096 }
}

fn ended(status: i32) -> Input<'static> {
    Input::CompilerEnded(Ok(exit(Exit::Status(status))))
}

struct Case {
    serving: Serving,
    now: Instant,
}

impl Case {
    fn parked() -> Self {
        Self { serving: Serving::new(Version::TO_CLIENT), now: at(0) }
    }

    /// Runs, and its compiler has got nothing yet.
    fn running() -> Self {
        Self::parked().after([Input::Granted])
    }

    /// All of the source is there and taken; the compiler works.
    fn compiling() -> Self {
        let mut case = Self::running().after([chunk(), TOOK_ALL, Input::End]);
        assert_eq!(case.outputs(), [Output::CloseInput]);
        case
    }

    fn after<const N: usize>(mut self, inputs: [Input<'_>; N]) -> Self {
        for input in inputs {
            self.serving.handle(self.now, input);
        }
        self
    }

    /// At a moment, which the machine has been told of.
    fn at(mut self, seconds: u64) -> Self {
        self.now = at(seconds);
        self.serving.handle_timeout(self.now);
        self
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.serving.poll_output()).collect()
    }

    /// Nothing is to be done, and the next moment is this.
    fn waits_until(mut self, seconds: Option<u64>) -> Self {
        assert_eq!(self.outputs(), []);
        assert_eq!(self.serving.poll_timeout(), seconds.map(at));
        self
    }

    /// The daemon is told that nothing but a slot is missing.
    fn told_complete(mut self) -> Self {
        assert_eq!(self.outputs(), [Output::Complete]);
        self
    }

    fn reads(self, reads: bool) -> Self {
        assert_eq!(self.serving.reads_client(), reads);
        self
    }

    /// It has ended without a result: this is what was done.
    fn failed(mut self, failure: &Failure, code: i32, chunks: u32) -> Self {
        let stats = JobStats { in_compressed: 10 * chunks, in_uncompressed: 100 * chunks, ..JobStats::default() };
        let report = JobReport { exit_code: code, stats, ..JobReport::default() };
        let expected = [Output::GiveUp(failure.clone()), Output::Report(report), Output::Close(failure.to_string())];
        assert_eq!(self.outputs(), expected);
        assert!(self.serving.is_over() && !self.serving.reads_client());
        self.waits_until(None)
    }

    fn closed(mut self, reason: &str) -> Self {
        assert_eq!(self.outputs(), [Output::Close(reason.to_owned())]);
        assert!(self.serving.is_over());
        self
    }
}

fn lost() -> Failure {
    Failure::ClientLost("reset".to_owned())
}

#[test]
fn a_job_that_waits_for_its_slot_is_read_while_there_is_room() {
    let full = Input::Chunk { compressed: 1, plain: 1, has_room: false };
    let case = Case::parked().reads(true).after([chunk()]).waits_until(None).reads(true).after([full]).reads(false);
    let case = case.at(100_000).waits_until(None).after([Input::Granted]).reads(false).waits_until(None);
    case.after([TOOK_ALL]).reads(true).waits_until(Some(100_060));
}

#[test]
fn a_job_that_never_had_a_slot_reports_nothing() {
    Case::parked().after([Input::Stop]).closed("not to be run");
    Case::parked().after([Input::Failed(Failure::ClientGone)]).closed("unexpected EOF while reading preprocessed file");
    Case::parked().after([Input::Failed(lost())]).closed("client lost: reset");
    Case::parked().after([Input::Other]).closed("protocol error while reading preprocessed file");
    Case::parked().after([Input::End]).told_complete().after([Input::End]).closed("client cancelled");
    Case::parked()
        .after([Input::Failed(Failure::Damaged("full".to_owned()))])
        .closed("damaged preprocessed file: full");
    Case::parked().after([Input::Stop]).closed("not to be run").after([Input::Granted, Input::Stop]).waits_until(None);
}

#[test]
fn a_client_is_read_only_when_nothing_waits_for_the_compiler() {
    let case = Case::running().reads(true).after([chunk()]).reads(false).after([TOOK_SOME]).reads(false);
    case.after([TOOK_ALL]).reads(true).after([chunk(), Input::CompilerEnded(Err(lost()))]).reads(true);
}

#[test]
fn d46_the_compilers_input_ends_when_it_has_all() {
    let closes = [Output::CloseInput];
    let mut early = Case::parked().after([chunk(), Input::End]).told_complete().waits_until(None);
    early = early.after([Input::Granted]).waits_until(None).after([TOOK_SOME]).waits_until(None).after([TOOK_ALL]);
    assert_eq!(early.outputs(), closes);
    let mut late = Case::running().after([chunk(), TOOK_ALL]).waits_until(Some(60)).after([Input::End]);
    assert_eq!(late.outputs(), closes);
    let mut empty = Case::parked().after([Input::End]).told_complete().waits_until(None).after([Input::Granted]);
    assert_eq!(empty.outputs(), closes);
    // Once, whatever else happens.
    early.after([TOOK_ALL, OUT_END, Input::Text(Stream::Stderr, b"x")]).waits_until(None);
}

#[test]
fn a_silent_client_is_given_up_after_a_minute_in_which_it_is_read() {
    let late = |case: Case, chunks| case.failed(&Failure::Late, code::IO, chunks);
    late(Case::running().at(59).waits_until(Some(60)).at(60), 0);
    late(Case::running().at(10).after([chunk(), TOOK_ALL]).at(69).waits_until(Some(70)).at(70), 1);
    // The compiler may take its time, and the client gets all of its own after that.
    let slow = Case::running().after([chunk()]).at(500).waits_until(None).after([TOOK_ALL]).at(559);
    late(slow.waits_until(Some(560)).at(560), 1);
    // What the compiler takes of nothing is no word of the client.
    late(Case::running().at(30).after([TOOK_ALL]).waits_until(Some(60)).at(60), 0);
    // Nothing more is expected after END.
    Case::compiling().at(100_000).waits_until(None);
}

#[test]
fn d45_the_rest_of_the_source_may_take_five_minutes_after_the_compilers_end() {
    let mut case = Case::running().after([chunk()]).at(100).after([ended(1)]).waits_until(Some(160)).reads(true);
    for second in [150, 200, 250, 300, 350, 399] {
        case = case.at(second).after([chunk()]);
    }
    case.waits_until(Some(400)).at(400).failed(&Failure::Late, code::IO, 7);
    Case::running().after([ended(1), OUT_END, ERR_END]).at(59).waits_until(Some(60)).at(60).failed(
        &Failure::Late,
        code::IO,
        0,
    );
    // What came before its end waits no more, and the client's minute begins.
    Case::running().at(5).after([TOOK_ALL, ended(1)]).waits_until(Some(60));
}

#[test]
fn texts_that_do_not_end_are_waited_for_5_seconds() {
    let said = |text| Input::Text(Stream::Stderr, text);
    let case = Case::compiling().after([said(b"a"), OUT_END]).at(10).after([ended(1), said(b"b")]);
    let mut case = case.waits_until(Some(15)).at(14).waits_until(Some(15)).at(15);
    let Some(Output::Deliver(result)) = case.outputs().pop() else { panic!() };
    assert_eq!((result.status, result.stderr), (1, "ab".into()));
    // Also if it is the source that is late.
    let mut case = Case::running().after([ended(1)]).at(20).waits_until(Some(60)).after([Input::End]).at(20);
    assert!(matches!(case.outputs()[..], [Output::Report(_), Output::Deliver(_)]));
}

#[test]
fn d47_a_result_is_reported_before_it_is_delivered() {
    let said =
        [Input::Text(Stream::Stdout, b"out"), Input::Text(Stream::Stderr, b"er"), Input::Text(Stream::Stderr, b"r")];
    let mut case =
        Case::compiling().after(said).at(7).after([OUT_END, ended(0)]).waits_until(Some(12)).after([ERR_END]);
    let stats = JobStats { in_compressed: 10, in_uncompressed: 100, ..exit(Exit::Status(0)).stats };
    let result = CompileResult { stdout: "out".into(), stderr: "err".into(), ..CompileResult::default() };
    let report = JobReport { exit_code: 0, stats, held: 4096, broken: false };
    assert_eq!(case.outputs(), [Output::Report(report), Output::Deliver(Box::new(result))]);
    let case = case.reads(false).waits_until(Some(7 + 1800));
    // What the client and the daemon say now changes nothing.
    let case = case.after([Input::Stop, Input::Other, Input::Failed(Failure::ClientGone)]).waits_until(Some(1807));
    case.after([Input::Delivered(Ok(()))]).closed("job done");
}

#[test]
fn a_result_is_not_sent_for_ever() {
    let delivering = || {
        let mut case = Case::compiling().after([OUT_END, ERR_END, ended(0)]);
        assert!(matches!(case.outputs()[..], [Output::Report(_), Output::Deliver(_)]));
        case
    };
    let case = delivering().at(1799).waits_until(Some(1800)).at(1800);
    let case = case.closed("cannot send the result: it was not read in time");
    case.after([Input::Delivered(Err("too late".to_owned()))]).waits_until(None);
    delivering().after([Input::Delivered(Err("reset".to_owned()))]).closed("reset");
}

#[test]
fn an_end_without_a_result_is_reported_with_its_numbers() {
    for (end, reason) in [
        (Ended { has_object: false, ..exit(Exit::Status(0)) }, "no object was written"),
        (Ended { timed_out: true, ..exit(Exit::Signal(9)) }, "its time was over"),
    ] {
        let mut case = Case::compiling().after([OUT_END, ERR_END, Input::CompilerEnded(Ok(end))]);
        let stats = JobStats { in_compressed: 10, in_uncompressed: 100, ..end.stats };
        let report = JobReport { exit_code: code::GENERAL, stats, held: 4096, broken: false };
        let failure = Failure::NoResult { exit: end.exit, reason };
        let expected = [Output::GiveUp(failure), Output::Report(report), Output::Close(reason.to_owned())];
        assert_eq!(case.outputs(), expected);
    }
    assert_eq!([Exit::Status(3), Exit::Signal(9)].map(Exit::status), [3, 137]);
}

#[test]
fn a_running_job_ends_with_its_client_and_its_daemon() {
    Case::running().after([Input::Stop]).failed(&Failure::Stopped, code::IO, 0);
    Case::running().after([chunk(), Input::Stop]).failed(&Failure::Stopped, code::IO, 1);
    Case::compiling().after([ended(0), Input::Stop]).failed(&Failure::Stopped, code::IO, 1);
    Case::running().after([Input::Other]).failed(&Failure::Protocol, code::IO, 0);
    for again in [chunk(), Input::End, Input::Other] {
        Case::compiling().after([again]).failed(&Failure::Cancelled, code::CANCELLED, 1);
    }
    Case::compiling().after([ended(0), Input::End]).failed(&Failure::Cancelled, code::CANCELLED, 1);
    for (failure, code) in [
        (Failure::ClientGone, code::IO),
        (lost(), code::IO),
        (Failure::Damaged("x".to_owned()), code::IO),
        (Failure::System("x".to_owned()), code::GENERAL),
    ] {
        Case::running().after([Input::Failed(failure.clone())]).failed(&failure, code, 0);
    }
}

#[test]
fn what_did_not_start_is_told_where_the_host_is_to_be_avoided() {
    let text = "no assembler".to_owned();
    for (failure, code, broken, told) in [
        (Failure::Environment(text.clone()), code::MISSING, true, true),
        (Failure::Command(text.clone()), code::GENERAL, false, true),
        (Failure::Launcher(text.clone()), code::GENERAL, false, false),
    ] {
        for (version, told) in [(Version::TO_CLIENT, told), (Version::new(22), false)] {
            // At once, or when the client has said all and the compiler turns out not to have run.
            for late in [false, true] {
                let mut case = Case { serving: Serving::new(version), now: at(0) }.after([Input::Granted]);
                if late {
                    case = case.after([Input::CompilerEnded(Err(failure.clone())), OUT_END, ERR_END]);
                    case = case.waits_until(Some(60)).after([Input::End]);
                } else {
                    case = case.after([Input::Failed(failure.clone())]);
                }
                let report = JobReport { exit_code: code, broken, ..JobReport::default() };
                let mut expected = vec![Output::GiveUp(failure.clone()), Output::Report(report)];
                expected.extend(told.then(|| Output::Say(Message::StatusText { text: "no assembler".into() })));
                expected.push(Output::Close(text.clone()));
                assert_eq!(case.outputs(), expected, "{version:?} {late}");
            }
        }
    }
}

#[test]
fn what_comes_out_of_turn_changes_nothing() {
    Case::parked().after([TOOK_ALL, OUT_END, ended(0), Input::Delivered(Ok(()))]).reads(true).waits_until(None);
    Case::running().at(5).after([Input::Granted, Input::Delivered(Ok(()))]).waits_until(Some(60));
    Case::compiling().after([ended(1)]).at(1).after([ended(0), TOOK_ALL]).waits_until(Some(5));
}

#[test]
fn it_is_over_when_a_result_or_an_abort_has_left() {
    let mut case = Case::compiling();
    assert!(!case.serving.is_over());
    case = case.after([OUT_END, ERR_END]);
    assert!(!case.serving.is_over());
    case = case.after([ended(0)]);
    case.outputs();
    assert!(!case.serving.is_over(), "the result is on its way");
    assert!(case.after([Input::Delivered(Ok(()))]).serving.is_over());
    assert!(Case::running().after([Input::Stop]).serving.is_over());
    assert!(!Case::running().serving.is_over() && !Case::parked().serving.is_over());
}
