//! Who gets a slot, and the orderly stop.

use super::given::Standing;
use super::job::Own;
use super::served::{Served, Task};
use super::{CloseReason, Daemon, Grant, Note, Output, Work};
use crate::env::EnvId;
use crate::ids::{JobId, PeerId};
use crate::message::{JobLocalBegin, Message};
use crate::time::{Duration, Instant};

/// How long running jobs may continue after SIGTERM (decision: orderly-stop).
const TERM_GRACE: Duration = Duration::from_secs(10);

/// How long a job that the scheduler gave, and whose source is complete, waits for a slot that other jobs hold.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long all slots may be held by jobs that the scheduler did not give until it is told: usually it announces a job
/// before that comes.
const HELD: Duration = Duration::from_millis(250);

/// What is done for a job that waits too long: a plain value.
#[derive(Clone, Copy, Debug)]
enum Relief {
    /// The job of this connection ends: its slot is needed.
    End(PeerId),
    /// The waiting job of this connection goes back to its client.
    Return(PeerId),
}

impl Daemon {
    /// Number of slots; with `-m 0` local jobs still run, one at a time.
    pub(super) fn slots(&self) -> u32 {
        self.config.slots.max(1)
    }

    /// Number of slots in use.
    pub(super) fn slots_used(&self) -> u32 {
        self.peers.slots_used(self.slots())
    }

    /// Grants free slots: to local jobs first, then to clients' own compiles, then to remote jobs.
    pub(super) fn grant(&mut self, now: Instant) {
        if self.terminate_at.is_some() {
            return;
        }
        self.refuse_without_environment(now);
        loop {
            let used = self.slots_used();
            let used_for_own = used.saturating_sub(self.peers.uploads());
            if let Some(peer) = self.peers.next_own().filter(|_| used_for_own < self.slots()) {
                self.start_own(now, peer);
            } else if let Some(peer) = (used < self.slots()).then(|| self.next_remote()).flatten() {
                self.start_remote(now, peer);
            } else {
                break;
            }
        }
    }

    /// Refuses jobs whose environment is missing or broken at once: waiting for a slot would not help, and their
    /// clients can request another server.
    fn refuse_without_environment(&mut self, now: Instant) {
        let mut hopeless = self.follow_names(now);
        hopeless.extend(self.peers.hopeless(|env| self.envs.is_undecided(env) || self.envs.is_installed(env)));
        for (peer, job, env) in hopeless {
            let text = format!("environment {env} is not installed, removed?");
            self.note(Note::NoEnvironment(env, job.0));
            self.refuse(peer, &text, CloseReason::NoEnvironment);
        }
    }

    /// What the names of waiting jobs' environments mean may have changed. Returns those that mean nothing here any
    /// more.
    fn follow_names(&mut self, now: Instant) -> Vec<(PeerId, JobId, EnvId)> {
        let unix = self.unix(now);
        let changed = self.peers.waiting().filter_map(|(peer, entry, served)| {
            let named = served.named().filter(|named| !named.name.is_content_name())?;
            let meant = self.meant(unix, entry.address(), named);
            (meant.as_ref() != served.env()).then(|| (peer, served.job().job, named.clone(), meant))
        });
        let mut lost = Vec::new();
        for (peer, job, named, meant) in changed.collect::<Vec<_>>() {
            match (meant, self.peers.get_mut(peer)) {
                (Some(env), Some(entry)) => {
                    entry.pin(&env);
                    entry.served_mut().into_iter().for_each(|served| served.set_env(env.clone()));
                }
                _ => lost.push((peer, job, named)),
            }
        }
        lost
    }

    /// The next remote job whose environment is ready, or whose files are; none while the host is too busy.
    fn next_remote(&self) -> Option<PeerId> {
        // First, as it is asked after each event and the search looks at all connections.
        if !self.load.takes_jobs() {
            return None;
        }
        let is_unknown = |served: &Served| matches!(self.standing(served), Standing::Unknown(_));
        let is_ready = |served: &Served| match served.env() {
            Some(env) => !self.envs.is_undecided(env),
            None => served.complete().is_some(),
        };
        self.peers.next_remote(is_ready, is_unknown)
    }

    fn start_own(&mut self, now: Instant, peer: PeerId) {
        let started = self.unix(now);
        let announced = self.session.current();
        match self.peers.get_mut(peer).and_then(|entry| entry.start_own(started, announced)) {
            Some(Own::Compile { jobs, platform, no_host }) => {
                for job in jobs {
                    self.send_own_use_cs(peer, job, platform.clone(), no_host);
                }
            }
            Some(Own::Local(begin)) => {
                self.send_to_scheduler(begin);
                self.note(Note::LocalBegins);
                let begin = JobLocalBegin { start_time: started, ..JobLocalBegin::default() };
                self.send(peer, Message::JobLocalBegin(begin));
            }
            None => {}
        }
    }

    fn start_remote(&mut self, now: Instant, peer: PeerId) {
        let Some(slot) = self.peers.free_slot() else { return };
        let Some(entry) = self.peers.get_mut(peer) else { return };
        let (address, named) = (entry.address().clone(), entry.served().and_then(|served| served.named().cloned()));
        let Some((job, env, task)) = entry.start(now, slot) else { return };
        if let (Some(named), Some(env)) = (&named, &env) {
            self.uses(now, &address, named, env);
        }
        let memory_mib = self.load.memory_limit(self.config.slots);
        self.note(Note::RemoteCompile(task.input_file().clone()));
        self.note(Note::MemoryLimit(memory_mib));
        self.job_begin(now, job);
        let work = match (task, env) {
            (Task::Text(file), Some(env)) => Work::Text { env, file },
            _ => Work::Files,
        };
        self.outputs.push_back(Output::Grant(Grant { peer, slot, work, memory_mib }));
    }

    fn standing(&self, served: &Served) -> Standing {
        self.given.standing(served.job(), served.came())
    }

    /// Since when all slots are held by jobs that the scheduler did not give, as far as it tells.
    fn held_from(&self) -> Option<Instant> {
        // First, as it is asked after each event and what follows looks at all connections.
        if !self.given.is_told() {
            return None;
        }
        let running = self.peers.served().filter(|(.., served)| !served.waits());
        let others = running.filter(|(.., served)| matches!(self.standing(served), Standing::Unknown(_)));
        let came: Vec<Instant> = others.map(|(.., served)| served.came()).collect();
        let last = came.iter().max().filter(|_| came.len() >= self.slots() as usize)?;
        Some(*last + HELD)
    }

    /// When the scheduler is to be told that all slots are held.
    pub(super) fn held_due(&self) -> Option<Instant> {
        self.held_from().filter(|_| !self.load.is_held())
    }

    /// Has the scheduler told when it can place nothing here, as others hold all slots, and when that is over.
    pub(super) fn tell_held(&mut self, now: Instant) {
        let held = self.held_from().is_some_and(|from| from <= now);
        if self.load.hold(held) {
            let why = "all slots are held by jobs that the scheduler did not give to this host";
            self.note(if held { Note::TakesNoJobs(why) } else { Note::TakesJobs });
            self.measure_if_due(now);
        }
    }

    /// When something must be done for a job of the scheduler's that waits as others hold the slots.
    pub(super) fn relief_due(&self) -> Option<Instant> {
        self.relief().map(|(at, _)| at)
    }

    /// Does what is due for the jobs of the scheduler's that wait as others hold the slots.
    pub(super) fn relieve(&mut self, now: Instant) {
        match self.relief() {
            Some((at, Relief::End(peer))) if at <= now => {
                let text = "ended: the scheduler did not give this job to this host, and others wait for its slot";
                self.refuse(peer, text, CloseReason::NotGiven);
            }
            Some((at, Relief::Return(peer))) if at <= now => {
                let text = "returned: all slots are held by jobs that the scheduler did not give to this host";
                self.refuse(peer, text, CloseReason::SlotsHeld);
            }
            _ => {}
        }
    }

    /// The next thing to be done for such a job, and when. A job that the scheduler could still announce, or that came
    /// from elsewhere, is not ended.
    fn relief(&self) -> Option<(Instant, Relief)> {
        // First, as it is asked twice after each event and what follows looks at all connections.
        if self.given.is_empty() {
            return None;
        }
        let given = self.peers.waiting().filter(|(.., served)| self.standing(served) == Standing::Given);
        let ready = given.filter(|(.., served)| !served.env().is_some_and(|env| self.envs.is_undecided(env)));
        let complete = ready.filter_map(|(peer, _, served)| Some((served.complete()? + PATIENCE, peer)));
        let (at, waiting) = complete.min()?;
        if self.slots_used() < self.slots() || !self.load.takes_jobs() {
            return None;
        }
        let running = self.peers.served().filter(|(.., served)| !served.waits());
        let standings = running.map(|(peer, _, served)| (self.standing(served), served.came(), peer));
        let others: Vec<_> = standings.filter(|(standing, ..)| *standing != Standing::Given).collect();
        let unknown = others.iter().filter_map(|(standing, came, peer)| match standing {
            Standing::Unknown(until) => Some((*came, *until, *peer)),
            _ => None,
        });
        match unknown.min() {
            Some((_, until, peer)) => Some((at.max(until), Relief::End(peer))),
            None => (!others.is_empty()).then_some((at, Relief::Return(waiting))),
        }
    }

    /// SIGTERM: accepts nothing new; running jobs may end within [`TERM_GRACE`] (decision: orderly-stop).
    pub(super) fn terminate(&mut self, now: Instant) {
        if self.terminate_at.is_some() {
            self.terminate_at = Some(now);
            return;
        }
        self.terminate_at = Some(now + TERM_GRACE);
        self.outputs.push_back(Output::StopListening);
        for peer in self.peers.which(|p| !p.may_finish()) {
            self.close(peer, CloseReason::Stopping);
        }
    }

    /// While stopping: exits when nothing runs any more, or kills what runs when the grace period is over.
    pub(super) fn exit_if_done(&mut self, now: Instant) {
        let Some(at) = self.terminate_at else { return };
        if self.exited {
            return;
        }
        if at <= now {
            for peer in self.peers.which(|_| true) {
                self.outputs.push_back(Output::Kill(peer));
                self.close(peer, CloseReason::Stopping);
            }
        }
        if self.connections() == 0 {
            if self.session.current().is_some() {
                self.outputs.push_back(Output::CloseScheduler);
            }
            self.exited = true;
            self.outputs.push_back(Output::Exit);
        }
    }
}
