//! Job reports correct the scheduler's view of a host, and a host whose jobs fail in a row gets fewer.

use super::*;

/// Exit code: the environment is missing and the host has removed its remains.
const NO_ENVIRONMENT: i32 = 110;

/// Requests a job; returns it, its server's address, and whether USE_CS says that the server has the environment.
fn ask_for(s: &mut Scenario, submitter: TestHost, request: GetCs) -> (u32, String, bool) {
    s.sent_to(submitter.peer);
    s.say(submitter.peer, Message::GetCs(request));
    match s.sent_to(submitter.peer).as_slice() {
        [Message::UseCs(u)] => (u.job.0, u.host.lossy().into_owned(), u.env_present != 0),
        other => panic!("{other:?}"),
    }
}

/// Runs `count` jobs on a host, one after the other, each with this exit code.
fn jobs_end(s: &mut Scenario, submitter: TestHost, server: TestHost, exit_codes: &[i32]) {
    for code in exit_codes {
        let prefer = GetCs { preferred_host: s.address(server).as_str().into(), ..request("e", "f", 1) };
        let (job, address) = s.ask(submitter, prefer).unwrap();
        assert_eq!(address, s.address(server));
        s.begin(server, job);
        s.finish(server, job, 0, *code, 100);
    }
}

fn is_avoided(s: &Scenario) -> bool {
    s.noted("jobs on a host fail in a row")
}

#[test]
fn a_job_that_finds_no_environment_corrects_what_is_believed() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 8, &["other", "e"]);
    let (job, _, has) = ask_for(&mut s, a, request("e", "f", 1));
    assert!(has);
    s.finish(h, job, 0, NO_ENVIRONMENT, 0);
    let (second, _, has) = ask_for(&mut s, a, request("e", "f", 2));
    assert!(!has, "no second job is told so");
    let (_, _, has) = ask_for(&mut s, a, request("other", "f", 3));
    assert!(has, "of the others nothing was said");
    s.say(h.peer, Message::Login(login("h", 0, &["other", "e"])));
    s.finish(h, second, 0, 0, 100);
    assert!(ask_for(&mut s, a, request("e", "f", 4)).2, "the host's own word");
}

#[test]
fn another_environment_that_goes_does_not_end_an_installation() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 8, &["old"]);
    let (_, _, has) = ask_for(&mut s, a, request("new", "f", 1));
    assert!(!has);
    s.say(h.peer, Message::Login(login("h", 0, &[])));
    assert_eq!(s.ask(a, request("new", "f", 2)), None, "it is still on its way");
    s.say(h.peer, Message::Login(login("h", 0, &["new"])));
    assert_eq!(s.answers(a), [(2, s.address(h))]);
}

#[test]
fn a_client_uses_its_first_environment_for_a_platform() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    s.host("h", 8, &["second"]);
    let mut both = request("first", "f", 1);
    both.environments.push(EnvRef { platform: "x86_64".into(), name: "second".into() });
    assert!(!ask_for(&mut s, a, both).2, "it would not use the one that is there");
}

#[test]
fn a_host_whose_jobs_fail_in_a_row_rests_then_gets_one_at_a_time_until_one_succeeds() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let bad = s.host("bad", 4, &["e"]);
    let good = s.host("good", 4, &["e"]);
    jobs_end(&mut s, a, bad, &[100, 105]);
    assert!(!is_avoided(&s));
    // One more failure, beside a job that had begun before.
    let prefer = |client| GetCs { preferred_host: "bad".into(), ..request("e", "f", client) };
    let (beside, _) = s.ask(a, prefer(1)).unwrap();
    jobs_end(&mut s, a, bad, &[151]);
    s.finish(bad, beside, 0, 100, 0);
    assert!(is_avoided(&s));
    for pause in [1, 2, 4, 8, 16, 32, 60, 60] {
        // During its pause all jobs go to the other host.
        for client in 1..=4 {
            let (job, address) = s.ask(a, request("e", "f", client)).unwrap();
            assert_eq!(address, s.address(good));
            s.finish(good, job, 0, 0, 100);
        }
        s.wait(pause - 1);
        let early: Vec<String> = (1..=3).map(|client| s.ask(a, request("e", "f", client)).unwrap().1).collect();
        assert_eq!(early, vec![s.address(good); 3], "still, after {} s", pause - 1);
        s.wait(1);
        // Then it gets one job on trial.
        let (trial, address) = s.ask(a, request("e", "f", 8)).unwrap();
        assert_eq!(address, s.address(bad), "after {pause} s");
        assert_eq!(s.ask(a, prefer(9)), None, "one at a time");
        s.begin(bad, trial);
        s.finish(bad, trial, 0, 100, 0);
        // The job that waited for it fails too, as do all that are left: they had begun before the pause.
        let (waited, address) = s.answers(a).pop().unwrap();
        assert_eq!(address, s.address(bad));
        s.finish(bad, waited, 0, 100, 0);
        let open: Vec<JobId> = s.scheduler.ledger.jobs().keys().copied().collect();
        for job in open {
            s.finish(good, job.0, 0, 0, 100);
        }
    }
    s.wait(60);
    jobs_end(&mut s, a, bad, &[0]);
    let served: Vec<String> = (1..=4).filter_map(|client| s.ask(a, prefer(client))).map(|(_, host)| host).collect();
    assert_eq!(served, vec![s.address(bad); 4], "all its slots");
}

#[test]
fn what_says_nothing_of_the_host_does_not_count() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 4, &["e"]);
    // Errors of the source, a lost or cancelled client, an unexpected message, a bad name.
    jobs_end(&mut s, a, h, &[1, 1, 1, 4, 70, 107, 116, 118, 119, 120, 144]);
    // The submitter gives up, for an unknown reason.
    for client in 1..=5 {
        let (job, _) = s.ask(a, request("e", "f", client)).unwrap();
        s.finish(a, job, 1, 118, 0);
    }
    assert!(!is_avoided(&s));
    // A success between failures.
    jobs_end(&mut s, a, h, &[100, 100, 0, 100, 100]);
    assert!(!is_avoided(&s));
    // Nor are the compiler's errors a success.
    jobs_end(&mut s, a, h, &[1, 100]);
    assert!(is_avoided(&s));
}

#[test]
fn a_host_that_fails_serves_all_where_it_is_the_only_one() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.host("h", 4, &["e"]);
    jobs_end(&mut s, a, h, &[100, 100, 100]);
    assert!(is_avoided(&s));
    let first = s.ask(a, request("e", "f", 1)).unwrap();
    assert_eq!(first.1, s.address(h), "in the midst of its pause");
    for client in 2..=5 {
        assert_eq!(s.ask(a, request("e", "f", client)), None, "one at a time");
    }
    let mut job = first.0;
    for _ in 2..=5 {
        s.finish(h, job, 0, 100, 0);
        let next = s.answers(a);
        assert_eq!(next.len(), 1, "the next one at once");
        job = next[0].0;
    }
    s.finish(h, job, 0, 0, 100);
    assert!(s.ask(a, request("e", "f", 6)).is_some() && s.ask(a, request("e", "f", 7)).is_some());
}

#[test]
fn a_resting_host_takes_over_when_the_others_are_gone() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let bad = s.host("bad", 4, &["e"]);
    let good = s.host("good", 1, &["e"]);
    jobs_end(&mut s, a, bad, &[100, 100, 100]);
    let (first, second) = (s.ask(a, request("e", "f", 1)).unwrap(), s.ask(a, request("e", "f", 2)).unwrap());
    assert_eq!([first.1, second.1], [s.address(good), s.address(good)]);
    assert_eq!(s.ask(a, request("e", "f", 3)), None, "waits for the good one");
    s.input(Input::Closed { peer: good.peer });
    assert_eq!(s.answers(a).pop().unwrap().1, s.address(bad));
}

#[test]
fn where_all_rest_all_serve() {
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let first = s.host("first", 4, &["e"]);
    let second = s.host("second", 1, &["e"]);
    jobs_end(&mut s, a, first, &[100, 100, 100]);
    jobs_end(&mut s, a, second, &[100, 100]);
    let (last, address) = s.ask(a, request("e", "f", 1)).unwrap();
    assert_eq!(address, s.address(second));
    assert!(s.ask(a, request("e", "f", 2)).is_some(), "beside its slot");
    for client in 3..=5 {
        assert_eq!(s.ask(a, request("e", "f", client)), None, "waits for it");
    }
    s.finish(second, last, 0, 100, 0);
    assert_eq!(s.answers(a), [(8, s.address(first))], "none is better any more");
}
