//! What a files job's serving half does, by tables of what happens, and with clients that lie or are slow.

use super::ending::Output as Plain;
use super::*;
use crate::daemon::JobReport;
use crate::job::JobStats;
use crate::server::{Exit, code};

fn at(seconds: u64) -> Instant {
    Instant::ZERO + Duration::from_secs(seconds)
}

const WHOLE: Input<'static> = Input::Stream { is_whole: true };
const PLACED: Input<'static> = Input::Tree(Placing::Placed);
const TEXTS_END: [Input<'static>; 2] = [Input::TextEnd(Stream::Stdout), Input::TextEnd(Stream::Stderr)];

fn chunk() -> Input<'static> {
    Input::Chunk { compressed: 10, plain: 100 }
}

fn ended(status: i32) -> Ended {
    let stats = JobStats { real_ms: 9, ..JobStats::default() };
    let (out_of_memory, timed_out, has_object, has_dwo) = (false, false, true, false);
    Ended { exit: Exit::Status(status), out_of_memory, timed_out, has_object, has_dwo, stats, held: 4096 }
}

fn need(kind: u32, paths: &[&str]) -> Output {
    Output::Need(FilesNeed { kind, paths: paths.iter().map(|path| Text::from(*path)).collect() })
}

fn paths(all: &[&str]) -> Vec<Vec<u8>> {
    all.iter().map(|path| path.as_bytes().to_vec()).collect()
}

fn say(text: &str) -> Output {
    Output::Plain(Plain::Say(Message::StatusText { text: text.into() }))
}

fn close(text: &str) -> Output {
    Output::Plain(Plain::Close(text.into()))
}

struct Case {
    job: ByFiles,
    now: Instant,
}

impl Case {
    fn new() -> Self {
        Self { job: ByFiles::new(at(0), Version::TO_CLIENT), now: at(0) }
    }

    fn parked() -> Self {
        let mut case = Self::new().after([chunk(), WHOLE, PLACED]);
        assert_eq!(case.outputs(), [Output::Place, Output::Plain(Plain::Complete)]);
        case
    }

    fn running() -> Self {
        let mut case = Self::parked().after([Input::Granted]);
        assert_eq!(case.outputs(), [Output::Start]);
        case
    }

    fn after<const N: usize>(mut self, inputs: [Input<'_>; N]) -> Self {
        inputs.into_iter().for_each(|input| self.job.handle(self.now, input));
        self
    }

    fn at(mut self, seconds: u64) -> Self {
        self.now = at(seconds);
        self.job.handle_timeout(self.now);
        self
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.job.poll_output()).collect()
    }

    fn does(mut self, outputs: &[Output]) -> Self {
        assert_eq!(self.outputs(), outputs);
        self
    }

    /// It has failed, with a line for the client; a slot is free again if it had one.
    fn has_failed(mut self, text: &str) {
        let mut outputs = self.outputs();
        if self.job.has_slot {
            let free = [outputs.remove(0), outputs.remove(0)];
            let code = code::GENERAL;
            assert!(
                matches!(&free, [Output::Plain(Plain::GiveUp(_)), Output::Plain(Plain::Report(report))] if report.exit_code == code),
                "{free:?}"
            );
        }
        assert_eq!(outputs, [say(text), close(text)]);
        assert!(self.job.is_over() && self.job.poll_timeout().is_none());
    }
}

#[test]
fn a_job_runs_when_all_is_there_and_its_result_is_delivered() {
    let case = Case::new().after([Input::Stream { is_whole: false }]).does(&[need(need::ALL, &[])]);
    let case = case.after([chunk(), WHOLE]).does(&[Output::Place]);
    let case = case.after([Input::Tree(Placing::Unknown(paths(&["/a"])))]).does(&[need(need::FACTS, &["/a"])]);
    let case = case.after([WHOLE]).does(&[Output::Place]);
    let case = case.after([Input::Tree(Placing::Lacking(paths(&["/b", "/c"])))]);
    let case = case.does(&[need(need::CONTENTS, &["/b", "/c"])]);
    assert!(case.job.reads_client() && !case.job.is_over());
    let case = case.after([chunk(), WHOLE, PLACED]).does(&[Output::Place, Output::Plain(Plain::Complete)]);
    assert!(!case.job.reads_client() && case.job.poll_timeout().is_none(), "waits for a slot");
    let case = case.after([Input::Granted]).does(&[Output::Start]);
    let case = case.after([Input::Question(b"/d/")]).does(&[need(need::FACTS, &["/d/"])]);
    let case = case.after([WHOLE]).does(&[Output::Grow]);
    let case = case.after([Input::Tree(Placing::Lacking(paths(&["/d/e"])))]).does(&[need(need::CONTENTS, &["/d/e"])]);
    let case = case.after([chunk(), WHOLE]).does(&[Output::Grow]).after([PLACED]).does(&[Output::Answer]);
    let case = case.after([Input::Text(Stream::Stderr, b"warning"), Input::Ended(Ok(ended(0)))]).does(&[]);
    let stats = JobStats { real_ms: 9, in_compressed: 30, in_uncompressed: 300, ..JobStats::default() };
    let report = JobReport { exit_code: 0, stats, held: 4096, broken: false };
    let result = FilesResult { stderr: "warning".into(), ..FilesResult::default() };
    let case = case.after(TEXTS_END);
    let case = case.does(&[Output::Plain(Plain::Report(report)), Output::Deliver(Box::new(result))]);
    let case = case.after([Input::Delivered(Ok(()))]).does(&[close("job done")]);
    assert!(case.job.is_over());
}

#[test]
fn what_a_running_job_cannot_see_has_it_begin_anew_a_few_times() {
    let changed = || Input::Tree(Placing::Changed(b"/a".to_vec()));
    let mut case = Case::running();
    for _ in 0..3 {
        case = case.after([Input::Text(Stream::Stdout, b"half"), Input::Question(b"/a"), WHOLE, changed()]);
        case = case.does(&[need(need::FACTS, &["/a"]), Output::Grow, Output::Restart, Output::Place]);
        case = case.after([PLACED]).does(&[Output::Start]);
    }
    let mut last =
        case.after([Input::Ended(Ok(ended(1))), Input::TextEnd(Stream::Stdout), Input::TextEnd(Stream::Stderr)]);
    let result = FilesResult { status: 1, ..FilesResult::default() };
    assert_eq!(last.outputs().pop(), Some(Output::Deliver(Box::new(result))), "nothing is left of what it said before");
    let mut case = Case::running();
    for _ in 0..4 {
        case.outputs();
        case = case.after([PLACED, Input::Question(b"/a"), WHOLE]);
        case.outputs();
        case = case.after([changed()]);
    }
    case.has_failed("/a changes too often");
}

#[test]
fn clients_that_are_slow_or_say_something_else() {
    let silent = "the submitter does not say what it was asked for";
    Case::new().at(60).has_failed(silent);
    Case::new().at(59).after([chunk()]).at(118).does(&[]).at(119).has_failed(silent);
    let mut slow = Case::new();
    for n in 1..=19 {
        slow = slow.at(n * 30).after([chunk()]);
    }
    slow.at(599).after([chunk()]).does(&[]).at(600).has_failed(silent);
    let late = "the submitter did not answer in time";
    let asks = Case::running().after([Input::Question(b"/a")]).does(&[need(need::FACTS, &["/a"])]);
    assert!(asks.job.reads_client());
    asks.at(4).does(&[]).at(5).has_failed(late);
    let unasked = "the submitter said something that it was not asked for";
    Case::new().after([Input::Other]).has_failed(unasked);
    for input in [chunk(), WHOLE, Input::Other] {
        Case::parked().after([input.clone()]).has_failed(unasked);
        Case::running().after([input]).has_failed(unasked);
    }
    // A difference to what is not known, twice.
    let unknown = || Input::Stream { is_whole: false };
    Case::new().after([WHOLE]).does(&[Output::Place]).after([unknown()]).has_failed(unasked);
}

#[test]
fn nobody_is_asked_without_end() {
    let too_many = "too many questions to the submitter";
    let mut endless = Case::new().after([WHOLE]);
    for _ in 0..=64 {
        endless.outputs();
        endless = endless.after([Input::Tree(Placing::Unknown(paths(&["/a"]))), WHOLE]);
    }
    endless.has_failed(too_many);
    let mut endless = Case::running();
    for _ in 0..=256 {
        endless.outputs();
        endless = endless.after([Input::Question(b"/a"), WHOLE, PLACED]);
    }
    endless.has_failed(too_many);
}

#[test]
fn every_failure_is_told_and_frees_the_slot() {
    let failures = [Failure::ClientGone, Failure::Launcher("no".to_owned()), Failure::System("no".to_owned())];
    for failure in failures {
        let text = failure.to_string();
        let mut case = Case::parked().after([Input::Failed(failure.clone())]);
        assert_eq!(case.outputs(), [say(&text), close(&text)]);
        let mut case = Case::running().after([Input::Failed(failure)]);
        let outputs = case.outputs();
        assert!(matches!(outputs[1], Output::Plain(Plain::Report(_))), "{outputs:?}");
        assert_eq!(outputs[2..], [say(&text), close(&text)]);
    }
    Case::parked().after([Input::Stop]).has_failed("not to be run");
    let stray = Failure::Files("it wrote /x".to_owned());
    Case::running().after([Input::Ended(Err(stray))]).after(TEXTS_END).has_failed("it wrote /x");
    let case = Case::running().after([Input::Ended(Ok(Ended { timed_out: true, ..ended(0) }))]);
    case.at(4).does(&[]).at(5).has_failed("its time was over");
    let mut unread = Case::running().after([Input::Ended(Ok(ended(0)))]).after(TEXTS_END);
    unread.outputs();
    unread.at(1799).does(&[]).at(1800).does(&[close("cannot send the result: it was not read in time")]);
}

#[test]
fn paths_of_one_need_fit_into_a_frame() {
    let long = vec![vec![b'x'; 4000]; 1000];
    let count = paths_of_one_need(&long);
    // 5 bytes beside each: 130 times 4005 are within 512 KiB, one more is not.
    assert_eq!(count, 130);
    let full = |last| [vec![vec![b'x'; 4091]; 127], vec![vec![b'x'; last]]].concat();
    assert_eq!(paths_of_one_need(&full(4091)), 128, "exactly as much as there is room for");
    assert_eq!(paths_of_one_need(&full(4092)), 127);
    assert_eq!(paths_of_one_need(&vec![vec![b'x'; 3]; 10_000]), 8192);
    assert_eq!(paths_of_one_need(&[]), 0);
    let mut case = Case::new().after([WHOLE, Input::Tree(Placing::Unknown(long))]);
    assert!(matches!(case.outputs().pop(), Some(Output::Need(wanted)) if wanted.paths.len() == count));
}

#[test]
fn a_job_that_begins_anew_has_its_slot_and_as_much_time_as_a_silent_client() {
    let changed = Input::Tree(Placing::Changed(b"/a".to_vec()));
    let anew = || {
        let case = Case::running().at(1000).after([Input::Question(b"/a"), WHOLE, changed.clone()]);
        case.does(&[need(need::FACTS, &["/a"]), Output::Grow, Output::Restart, Output::Place])
    };
    assert_eq!(anew().job.poll_timeout(), Some(at(1060)));
    let case = anew().at(1059).after([Input::Tree(Placing::Unknown(paths(&["/b"]))), chunk()]);
    assert_eq!(case.job.poll_timeout(), Some(at(1060)), "it holds a slot: no more time, whatever comes");
    let stopped = anew().after([Input::Stop]).outputs();
    assert_eq!(stopped[2..], [say("the daemon stops"), close("the daemon stops")]);
    // Questions are counted anew, too.
    let mut case = anew();
    for _ in 0..64 {
        case = case.after([Input::Tree(Placing::Unknown(paths(&["/b"]))), WHOLE]);
        assert_eq!(case.outputs(), [need(need::FACTS, &["/b"]), Output::Place]);
    }
    case.after([PLACED]).does(&[Output::Start]);
}

#[test]
fn what_comes_late_or_out_of_turn_changes_nothing() {
    let stray = || [Input::Granted, Input::Question(b"/a"), Input::Ended(Ok(ended(0)))];
    let case = Case::new().after(stray()).does(&[]);
    case.after([WHOLE, PLACED]).does(&[Output::Place, Output::Plain(Plain::Complete)]);
    let late = [PLACED, Input::Question(b"/a"), Input::Ended(Ok(ended(0)))];
    Case::parked().after(late).does(&[]).after([Input::Granted]).does(&[Output::Start]);
    Case::running().after([Input::Granted, PLACED, Input::Delivered(Ok(()))]).does(&[]);
    let mut delivering = Case::running().after([Input::Ended(Ok(ended(0)))]).after(TEXTS_END);
    delivering.outputs();
    let delivering = delivering.after([Input::Stop, Input::Failed(Failure::ClientGone), Input::Other]).does(&[]);
    let over = delivering.after([Input::Delivered(Err("gone".to_owned()))]).does(&[close("gone")]);
    assert!(over.job.is_over());
    over.after(stray()).after([Input::Stop, Input::Delivered(Ok(()))]).at(9999).does(&[]);
}

#[test]
fn the_compilers_texts_are_waited_for_but_not_without_end() {
    let deliver = |stdout: &str| {
        let result = FilesResult { stdout: stdout.into(), ..FilesResult::default() };
        Some(Output::Deliver(Box::new(result)))
    };
    // They may end before it does.
    let mut case = Case::running().after([Input::Text(Stream::Stdout, b"x")]).after(TEXTS_END).does(&[]);
    case = case.after([Input::Ended(Ok(ended(0)))]);
    assert_eq!(case.outputs().pop(), deliver("x"));
    let case = Case::running().after([Input::Ended(Ok(ended(0))), Input::TextEnd(Stream::Stdout)]);
    assert!(!case.job.reads_client());
    assert_eq!(case.at(4).does(&[]).at(5).outputs().pop(), deliver(""));
    // It ends while it asks, as one of its threads does.
    let mut case = Case::running().after([Input::Question(b"/a"), Input::Ended(Ok(ended(0)))]).after(TEXTS_END);
    assert_eq!(case.outputs().pop(), deliver(""));
}

#[test]
fn only_who_understands_a_reason_is_told_it() {
    let old = Case { job: ByFiles::new(at(0), Version::new(22)), now: at(0) };
    old.after([Input::Stop]).does(&[close("not to be run")]);
}
