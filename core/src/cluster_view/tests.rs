//! What a feed comes to.

use super::*;
use crate::job::JobStats;

fn at(seconds: u64) -> Instant {
    Instant::from_micros(seconds * 1_000_000)
}

fn host(id: u32, slots: u32) -> Message {
    let text = format!(
        "Name:n{id}\nIP:10.0.0.{id}\nMaxJobs:{slots}\nNoRemote:false\nPlatform:x86_64\nVersion:43\nFeatures:--\n\
         Speed:12.500000\nLoad:40\nFreeMem:2000\nodd\nMaxJobs:many\n"
    );
    Message::MonStats(MonStats { host: HostId(id), text: text.as_str().into() })
}

fn asked(job: u32, by: u32) -> Message {
    let file = format!("dir/{job}.cc").as_str().into();
    Message::MonGetCs(MonGetCs { file, language: 1, job: JobId(job), host: HostId(by), request: None })
}

fn begun(job: u32, on: u32) -> Message {
    Message::MonJobBegin(MonJobBegin { job: JobId(job), start_time: 0, host: HostId(on) })
}

fn done(job: u32, exit_code: i32) -> Message {
    let stats = JobStats { real_ms: 500, in_compressed: 100, out_compressed: 10, ..JobStats::default() };
    Message::MonJobDone(JobDone { job, exit_code, stats, ..JobDone::default() })
}

fn local(job: u32, of: u32) -> Message {
    let begin = MonLocalJobBegin { host: HostId(of), job: JobId(job), start_time: 0, file: "a.out".into() };
    Message::MonLocalJobBegin(begin)
}

fn view(messages: &[Message]) -> ClusterView {
    let mut view = ClusterView::new();
    messages.iter().for_each(|message| view.hear(at(1), message));
    view
}

#[test]
fn a_job_goes_from_the_queue_to_a_seat_to_the_last_ones() {
    let mut view = view(&[host(1, 2), host(2, 4), asked(7, 1), asked(8, 1)]);
    assert_eq!(view.waiting().map(|(id, _)| id.0).collect::<Vec<_>>(), [7, 8]);
    view.hear(at(2), &begun(7, 2));
    view.hear(at(2), &begun(8, 2));
    view.hear(at(3), &local(9, 2));
    let seats = |view: &ClusterView| view.hosts()[&HostId(2)].seats.clone();
    assert_eq!(seats(&view), [Some(JobId(7)), Some(JobId(8)), Some(JobId(9))]);
    let now = Sample { slots: 6, running: 2, local: 1, waiting: 0, finished: 0 };
    assert_eq!(view.sample(), now);
    view.hear(at(5), &done(7, 1));
    assert_eq!(seats(&view), [None, Some(JobId(8)), Some(JobId(9))]);
    view.hear(at(5), &Message::JobLocalDone { id: 9 });
    assert_eq!(seats(&view), [None, Some(JobId(8))]);
    let ended: Vec<_> = view.finished().map(|f| (f.id.0, f.status, f.took().as_secs())).collect();
    assert_eq!(ended, [(7, Some(1), 3), (9, None, 2)]);
    let totals = Totals { asked: 2, done: 1, failed: 1, local: 1, bytes_in: 100, bytes_out: 10, real_ms: 500 };
    assert_eq!(view.totals(), totals);
    let [first, second] = [1, 2].map(|id| view.hosts()[&HostId(id)].clone());
    assert_eq!((first.submitted, second.done, second.failed, second.local, second.busy()), (2, 1, 1, 1, 1));
    assert_eq!((first.slots, first.speed, first.load, first.free_mem), (2, Some(12.5), Some(40), Some(2000)));
    assert_eq!((view.name(HostId(1)), view.name(HostId(9))), ("n1".to_owned(), "host 9".to_owned()));
}

#[test]
fn the_status_says_who_does_what_where_and_since_when() {
    let mut view = view(&[host(1, 2), host(2, 4), asked(7, 1), asked(8, 1), begun(6, 2), local(9, 1)]);
    view.hear(at(2), &begun(7, 2));
    let status = Status::new(&view, at(4));
    assert_eq!((status.hosts.len(), &status.hosts[1].name, status.hosts[1].busy), (2, &"n2".into(), 2));
    let said = |job: &JobStatus| {
        (job.id, job.state, job.submitter.clone(), job.host.clone(), job.slot, job.seconds.round() as u32)
    };
    let (first, second) = (|| Some("n1".to_owned()), || Some("n2".to_owned()));
    let expected = [
        (6, "running", None, second(), Some(0), 3),
        (7, "running", first(), second(), Some(1), 2),
        (8, "waiting", first(), None, None, 3),
        (9, "local", first(), first(), Some(0), 3),
    ];
    assert_eq!(status.jobs.iter().map(said).collect::<Vec<_>>(), expected);
    assert_eq!((status.jobs[1].language.as_deref(), status.totals.asked), (Some("C++"), 2));
}

#[test]
fn what_began_before_the_feed_is_borne() {
    let mut view = view(&[begun(5, 1), done(6, 0), Message::JobLocalDone { id: 3 }, Message::Ping, host(1, 1)]);
    assert_eq!(view.jobs()[&JobId(5)].place, Place::On(HostId(1)));
    view.hear(at(2), &done(5, 0));
    assert!(view.jobs().is_empty());
    assert_eq!((view.totals().done, view.totals().local), (2, 1));
}

#[test]
fn jobs_of_a_host_that_has_left_and_jobs_whose_end_is_not_told_do_not_stay() {
    let mut view = view(&[host(1, 2), host(2, 2), asked(1, 1), asked(2, 1), begun(2, 2), local(3, 2)]);
    let offline = MonStats { host: HostId(2), text: "State:Offline\n".into() };
    view.hear(at(2), &Message::MonStats(offline));
    assert_eq!(view.jobs().keys().map(|id| id.0).collect::<Vec<_>>(), [1]);
    assert_eq!(view.hosts().len(), 1);
    view.pass(at(3600));
    assert_eq!(view.jobs().len(), 1);
    view.pass(at(3602));
    assert!(view.jobs().is_empty());
}

#[test]
fn the_history_has_a_sample_a_second_and_ends() {
    let mut view = view(&[host(1, 2)]);
    for n in 0..700 {
        view.hear(at(n), &asked(9, 1));
        view.hear(at(n), &begun(9, 1));
        view.hear(at(n), &done(9, 0));
        view.pass(at(n));
        view.pass(at(n));
    }
    assert_eq!(view.history().samples().len(), SAMPLES);
    assert!(view.history().samples().all(|(_, sample)| sample.finished == 1 && sample.slots == 2));
    assert!((view.history().rate(at(699), Duration::from_secs(60)) - 1.0).abs() < 0.02);
    assert_eq!(HISTORY.as_secs() as usize, SAMPLES);
}

#[test]
fn a_sample_comes_after_most_of_a_second_and_the_rate_is_of_the_period_alone() {
    let mut view = view(&[host(1, 2)]);
    let millis = |n: u64| Instant::from_micros(n * 1000);
    for (n, (time, samples)) in [(1000, 1), (1899, 1), (1900, 2), (3000, 3)].into_iter().enumerate() {
        let job = u32::try_from(n).unwrap();
        [asked(job, 1), begun(job, 1), done(job, 0)].iter().for_each(|message| view.hear(millis(time), message));
        view.pass(millis(time));
        assert_eq!(view.history().samples().len(), samples, "at {time} ms");
    }
    let finished: Vec<_> = view.history().samples().map(|(_, sample)| sample.finished).collect();
    assert_eq!(finished, [1, 2, 1]);
    let rate = |period| view.history().rate(millis(3900), period);
    // What is as old as the period is out; less than a second counts as one.
    assert_eq!([900, 901, 2000, 4000].map(|ms| rate(Duration::from_millis(ms))), [0.0, 1.0, 0.5, 1.0]);
}

/// As the module says of itself.
const SAMPLES: usize = 600;

#[test]
fn whatever_a_scheduler_says_what_is_kept_is_bounded() {
    let mut view = ClusterView::new();
    for n in 0..5000 {
        view.hear(at(1), &host(n, 1));
        view.hear(at(1), &local(1_000_000 + n, n));
        view.hear(at(1), &Message::JobLocalDone { id: 1_000_000 + n });
    }
    for n in 0..70_000 {
        view.hear(Instant::from_micros(n.into()), &asked(n, 1));
        view.hear(Instant::from_micros(n.into()), &begun(n, 1));
    }
    let busiest = view.hosts()[&HostId(1)].seats.len();
    assert_eq!((view.hosts().len(), view.jobs().len(), view.finished().count(), busiest), (4096, 65_536, 1000, 1024));
    assert!(view.jobs().contains_key(&JobId(69_999)) && !view.jobs().contains_key(&JobId(0)));
}
