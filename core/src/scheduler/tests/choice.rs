//! Thresholds of the choice between measured hosts: one a little too slow, one just fast enough.

use super::*;

/// A submitter without slots, and hosts that have compiled `f` in so many milliseconds often enough to be measured.
/// They have the environment `e`.
struct Trained {
    s: Scenario,
    submitter: TestHost,
    hosts: Vec<TestHost>,
}

impl Trained {
    fn new(hosts: &[(&str, u32, u32)]) -> Self {
        let mut s = Scenario::new();
        let submitter = s.host("submitter", 0, &[]);
        let actors = hosts.iter().map(|(name, slots, _)| s.host(name, *slots, &["e"])).collect();
        let mut trained = Self { s, submitter, hosts: actors };
        trained.train(hosts, 40);
        trained
    }

    /// The first host is the submitter itself.
    fn at_home(hosts: &[(&str, u32, u32)]) -> Self {
        let mut trained = Self::new(hosts);
        trained.submitter = trained.hosts[0];
        trained
    }

    fn train(&mut self, hosts: &[(&str, u32, u32)], times: u32) {
        for client in 1..=times {
            for ((name, _, ms), actor) in hosts.iter().zip(&self.hosts.clone()) {
                let asks = GetCs { preferred_host: (*name).into(), ..request("e", "f", client) };
                let (job, _) = self.s.ask(self.submitter, asks).unwrap();
                self.s.finish(*actor, job, 0, 0, *ms);
            }
        }
    }

    fn name(&self, address: &str) -> String {
        if address.is_empty() {
            return "home".into();
        }
        let host = self.hosts.iter().find(|h| self.s.address(**h) == address).unwrap();
        self.s.scheduler.ledger.host(host.host).unwrap().said().name.to_string()
    }

    /// The server of a request's first job.
    fn goes(&mut self, request: GetCs) -> String {
        self.s.sent_to(self.submitter.peer);
        self.s.say(self.submitter.peer, Message::GetCs(request));
        let address = self.s.answers(self.submitter).first().unwrap().1.clone();
        self.name(&address)
    }

    /// Assigns a job that does not end.
    fn occupy(&mut self, host: &str) {
        let asks = GetCs { preferred_host: host.into(), ..request("e", "f", 1000) };
        assert_eq!(self.goes(asks), host);
    }
}

#[test]
fn sending_an_environment_is_worth_half_a_second_or_less_for_many_jobs() {
    for (slow_ms, jobs, chosen) in [
        (585, 1, "slow"),
        (615, 1, "fast"),
        (585, 8, "slow"),
        (615, 8, "fast"),
        (530, 9, "slow"),
        (560, 9, "fast"),
        (295, 20, "slow"),
        (305, 20, "fast"),
        (295, 30, "slow"),
    ] {
        let mut t = Trained::new(&[("slow", 64, slow_ms), ("fast", 64, 100)]);
        t.s.say(t.hosts[0].peer, Message::Login(login("", 0, &["e", "other"])));
        assert_eq!(t.goes(GetCs { count: jobs, ..request("other", "f", 1) }), chosen, "{slow_ms} ms, {jobs} jobs");
    }
}

#[test]
fn sending_an_environment_to_one_more_host_is_worth_twice_as_much() {
    for (slow_ms, stays) in [(1080, true), (1120, false)] {
        let mut t = Trained::new(&[("slow", 64, slow_ms), ("fast", 64, 100), ("third", 64, 100)]);
        t.s.say(t.hosts[0].peer, Message::Login(login("", 0, &["e", "other"])));
        // The first job brings it; the second finds the third host, which is as fast, without it.
        t.goes(request("other", "f", 1));
        assert_eq!(t.goes(request("other", "f", 2)) == "slow", stays, "{slow_ms} ms");
    }
}

#[test]
fn a_loaded_host_is_as_much_slower() {
    for (load, chosen) in [(480, "fast"), (520, "slow")] {
        let mut t = Trained::new(&[("slow", 64, 200), ("fast", 64, 100)]);
        t.s.load(t.hosts[1], load);
        assert_eq!(t.goes(request("e", "f", 1)), chosen, "{load}");
    }
    // However loaded a host is, a twentieth of its speed is assumed to be left.
    for (slow_ms, chosen) in [(1950, "slow"), (2050, "fast")] {
        let mut t = Trained::new(&[("slow", 64, slow_ms), ("fast", 64, 100)]);
        t.s.load(t.hosts[1], 999);
        assert_eq!(t.goes(request("e", "f", 1)), chosen, "{slow_ms}");
    }
}

#[test]
fn jobs_on_a_host_slow_it_down_by_thirty_percent_at_most() {
    // Half of the slots are taken: 15 % slower.
    for (slow_ms, chosen) in [(115, "slow"), (120, "fast")] {
        let mut t = Trained::new(&[("slow", 8, slow_ms), ("fast", 8, 100)]);
        (0..4).for_each(|_| t.occupy("fast"));
        assert_eq!(t.goes(request("e", "f", 1)), chosen, "{slow_ms}");
    }
}

#[test]
fn a_job_beside_full_slots_waits_for_one_and_a_half_jobs() {
    for (slow_ms, chosen) in [(240, "slow"), (262, "fast")] {
        let hosts = [("slow", 64, slow_ms), ("fast", 4, 100)];
        let mut t = Trained::new(&hosts);
        t.train(&hosts, 200);
        (0..4).for_each(|_| t.occupy("fast"));
        assert_eq!(t.goes(request("e", "f", 1)), chosen, "{slow_ms}");
    }
}

#[test]
fn the_first_job_stays_with_a_submitter_of_seventy_percent() {
    for (home_ms, first) in [(141, "home"), (145, "other")] {
        let mut t = Trained::at_home(&[("home", 4, home_ms), ("other", 64, 100)]);
        assert_eq!(t.goes(GetCs { client_count: 1, ..request("e", "f", 1) }), first, "{home_ms}");
    }
}

#[test]
fn of_the_first_job_the_loads_count_too() {
    for (home_load, other_load, first) in
        [(290, 0, "home"), (300, 0, "home"), (310, 0, "other"), (645, 500, "home"), (655, 500, "other")]
    {
        let mut t = Trained::at_home(&[("home", 4, 100), ("other", 64, 100)]);
        t.s.load(t.hosts[0], home_load);
        t.s.load(t.hosts[1], other_load);
        // So many clients that it would not be chosen otherwise.
        assert_eq!(t.goes(GetCs { client_count: 9, ..request("e", "f", 1) }), first, "{home_load} {other_load}");
    }
    // A host that is half as fast, whichever was measured first.
    let mut t = Trained::new(&[("other", 64, 100), ("home", 4, 200)]);
    t.submitter = t.hosts[1];
    assert_eq!(t.goes(GetCs { client_count: 1, ..request("e", "f", 1) }), "other");
    // Only an idle host.
    let mut t = Trained::at_home(&[("home", 4, 100), ("other", 64, 100)]);
    t.s.say(t.submitter.peer, Message::JobLocalBegin(JobLocalBegin { id: 1, ..JobLocalBegin::default() }));
    assert_eq!(t.goes(GetCs { client_count: 9, ..request("e", "f", 1) }), "other");
}

/// A submitter's slots are also used to preprocess for its clients.
#[test]
fn a_submitter_is_as_much_slower_as_it_has_clients() {
    for (clients, stays, leaves) in [(2, 108, 113), (3, 98, 103), (4, 78, 83), (5, 9, 11)] {
        for (home_ms, chosen) in [(stays, "home"), (leaves, "other")] {
            let mut t = Trained::at_home(&[("home", 4, home_ms), ("other", 1000, 100)]);
            // Not its first job.
            t.occupy("other");
            let asks = GetCs { client_count: clients, ..request("e", "f", 1) };
            assert_eq!(t.goes(asks), chosen, "{clients} clients, {home_ms} ms");
        }
    }
}

#[test]
fn a_host_that_is_not_measured_is_believed_to_be_a_tenth_faster_than_the_mean() {
    for (load, chosen) in [(165, "fast"), (185, "new")] {
        // Hosts of paces 1 and 2.
        let mut t = Trained::new(&[("slow", 64, 200), ("fast", 64, 100)]);
        let new = t.s.host("new", 64, &["e"]);
        t.hosts.push(new);
        t.s.load(t.hosts[1], load);
        assert_eq!(t.goes(request("e", "f", 1)), chosen, "{load}");
    }
}

#[test]
fn a_submitter_that_is_not_measured_is_taken_for_half_as_fast() {
    for (load, chosen) in [(385, "other"), (405, "home")] {
        let mut t = Trained::new(&[("other", 1000, 100)]);
        t.submitter = t.s.host("home", 4, &[]);
        t.hosts.push(t.submitter);
        // Not its first job, which it would keep; and its clients take no speed from it.
        t.occupy("other");
        t.s.load(t.hosts[0], load);
        assert_eq!(t.goes(GetCs { client_count: 2, ..request("e", "f", 1) }), chosen, "{load}");
    }
}

#[test]
fn the_last_slot_of_a_host_needs_no_wait() {
    let mut t = Trained::new(&[("slow", 64, 130), ("fast", 1, 100)]);
    assert_eq!(t.goes(request("e", "f", 1)), "fast");
}

/// Behind full slots the job would be done a little sooner by the estimate, but the jobs there may be heavier than
/// expected.
#[test]
fn a_heavy_job_goes_where_a_slot_is_free() {
    let mut t = Trained::new(&[("slow", 8, 170), ("fast", 8, 100)]);
    let heavy = |host: &str| GetCs { preferred_host: host.into(), ..request("e", "heavy", 1) };
    let job = t.s.ask(t.submitter, heavy("slow")).unwrap().0;
    t.s.finish(t.hosts[0], job, 0, 0, 17_000);
    (0..8).for_each(|_| t.occupy("fast"));
    assert_eq!(t.goes(request("e", "f", 1)), "slow");
    assert_eq!(t.goes(heavy("")), "slow");
}

/// The indexes order hosts for jobs of mean weight: for other jobs the first free host is examined too.
#[test]
fn a_light_job_does_not_wait_behind_full_slots() {
    let mut t = Trained::new(&[("slow", 8, 250), ("fast", 8, 100)]);
    let light = |host: &str| GetCs { preferred_host: host.into(), ..request("e", "light", 1) };
    let job = t.s.ask(t.submitter, light("slow")).unwrap().0;
    t.s.finish(t.hosts[0], job, 0, 0, 1);
    (0..8).for_each(|_| t.occupy("fast"));
    assert_eq!(t.goes(light("")), "slow");
    assert_eq!(t.goes(request("e", "f", 1)), "fast");
}

#[test]
fn a_host_has_jobs_beside_its_slots_if_one_is_free_within_a_second() {
    for (slots, ms, beside) in [(1, 1000, true), (1, 1001, false), (4, 4000, true), (4, 4001, false)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let h = s.host("h", slots, &["e"]);
        let (job, _) = s.ask(a, request("e", "f", 1)).unwrap();
        s.finish(h, job, 0, 0, ms);
        for client in 0..slots {
            s.ask(a, request("e", "f", client)).unwrap();
        }
        assert_eq!(s.ask(a, request("e", "f", 9)).is_some(), beside, "{slots} slots, {ms} ms");
    }
}

/// For example a link that is known to use the whole machine.
#[test]
fn a_local_job_that_takes_all_leaves_no_slot() {
    for (full, goes) in [(0, true), (1, false)] {
        let mut s = Scenario::new();
        let a = s.host("a", 0, &[]);
        let h = s.host("h", 4, &["e"]);
        s.say(h.peer, Message::JobLocalBegin(JobLocalBegin { id: 1, full, ..JobLocalBegin::default() }));
        assert_eq!(s.ask(a, request("e", "f", 1)).is_some(), goes);
    }
}

/// Names of 255 bytes are valid; longer ones match no host, however they begin.
#[test]
fn names_of_a_request_have_255_bytes() {
    let long = |bytes: usize| Text::from("n".repeat(bytes));
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let name = "n".repeat(255);
    let mut host = login(&name, 8, &[&name, "e"]);
    host.environments[1].platform = long(255);
    host.environments.push(EnvRef { platform: "x86_64".into(), name: "e".into() });
    let h = s.log_in("10.0.0.9", 43, host);
    s.load(h, 0);
    let mut present = |change: fn(&mut GetCs, Text), bytes: usize| {
        let mut asks = request("e", "f", 1);
        change(&mut asks, long(bytes));
        s.sent_to(a.peer);
        s.say(a.peer, Message::GetCs(asks));
        match s.sent_to(a.peer).as_slice() {
            [Message::UseCs(answer)] => Some(answer.env_present == 1),
            [Message::NoCs { .. }] => None,
            other => panic!("{other:?}"),
        }
    };
    type Change = fn(&mut GetCs, Text);
    let changes: [(Change, Option<bool>); 3] = [
        (|r, text| r.preferred_host = text, None),
        (|r, text| r.target = text, Some(false)),
        (|r, text| r.environments[0].name = text, None),
    ];
    for (change, longer) in changes {
        assert_eq!((present(change, 255), present(change, 256)), (Some(true), longer));
    }
    // So is a platform of that length.
    let mut s = Scenario::new();
    let a = s.host("a", 0, &[]);
    let h = s.log_in("10.0.0.9", 43, Login { platform: long(255), ..login("h", 8, &["e"]) });
    s.load(h, 0);
    let mut asks = request("e", "f", 1);
    asks.environments[0].platform = long(255);
    assert_eq!(s.ask(a, asks).unwrap().1, "10.0.0.9");
}
