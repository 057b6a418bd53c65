//! Jobs of files mode: they need no environment, and wait for a slot when their files are there.

use super::*;
use crate::daemon::Work;
use crate::message::FilesJob;

fn files_job(job: u32) -> FilesJob {
    FilesJob { job: JobId(job), target: "x86_64".into(), input_file: "/s/a.c".into(), ..FilesJob::default() }
}

fn brought(s: &mut Scenario, job: FilesJob) -> PeerId {
    let peer = s.stranger(OTHER_ADDRESS);
    s.say(peer, Message::FilesJob(Box::new(job)));
    peer
}

#[test]
fn it_gets_a_slot_when_its_files_are_there_and_is_reported() {
    let mut s = Scenario::new(config(1));
    s.log_in();
    let (first, second) = (brought(&mut s, files_job(7)), brought(&mut s, files_job(8)));
    assert_eq!(s.grants(), []);
    s.handle(Input::Complete { peer: second });
    s.handle(Input::Complete { peer: first });
    let granted = s.grants();
    assert_eq!(granted.iter().map(|grant| (grant.peer, &grant.work)).collect::<Vec<_>>(), [(second, &Work::Files)]);
    assert!(s.notes.iter().any(|note| note.contains("/s/a.c")), "{:?}", s.notes);
    let begun = |s: &mut Scenario| {
        let sent = s.sent_to_scheduler();
        sent.iter().any(|m| matches!(m, Message::JobBegin(begin) if begin.job == JobId(8)))
    };
    assert!(begun(&mut s));
    s.handle(Input::JobEnded { peer: second, report: JobReport::default() });
    let done = s.sent_to_scheduler();
    assert!(
        done.iter().any(|m| matches!(m, Message::JobDone(done) if done.job == 8 && done.exit_code == 0)),
        "{done:?}"
    );
    assert_eq!(s.grants().first().map(|grant| grant.peer), Some(first));
    s.hang_up(first);
    assert!(s.sent_to_scheduler().iter().any(|m| matches!(m, Message::JobDone(done) if done.job == 7)));
}

#[test]
fn what_cannot_be_run_here_is_refused_in_a_line() {
    let of = |change: fn(&mut FilesJob)| {
        let mut job = files_job(1);
        change(&mut job);
        job
    };
    for (takes_files, no_remote, job, why) in [
        (false, false, files_job(1), "no jobs on files of submitters here"),
        (true, true, files_job(1), "no remote jobs accepted"),
        (true, false, of(|job| job.target = "arm".into()), "files of another platform"),
        (true, false, of(|job| job.input_file = "x".repeat(4097).into()), "path too long"),
    ] {
        let mut s = Scenario::new(Config { takes_files, no_remote, ..config(1) });
        let peer = brought(&mut s, job);
        assert_eq!(s.sent_to(peer), [Message::StatusText { text: why.into() }]);
        assert_eq!(s.closed.get(&peer), Some(&CloseReason::BadJob));
    }
}
