//! One job from GET_CS to JOB_DONE: asked for, queued, handed out, begun, ended.
//!
//! ```text
//! GET_CS ─► Pending ─► Waiting (USE_CS or NO_CS is out) ─► Compiling ─► gone
//!              └─ cancelled ──────┴──── JOB_DONE, a host left ───┘
//! ```
//! Invariant: after each input no job is pending that some host could take. So a new job is only compared with the hosts, and
//! a host that became free only with the queue; nothing walks over hosts × jobs.

use super::cluster::{Host, Installing};
use super::monitor::{asked, environment_list, last_three, lost};
use super::need::{Asker, Need, NeedId};
use super::policy::{self, Ask, Choice, Why};
use super::queue::{Lane, Place};
use super::speed::adjusted_size;
use super::{CloseReason, Level, Note, Scheduler, Timer};
use crate::ids::{ClientId, HostId, JobId};
use crate::job::Language;
use crate::limits::{JOBS_PER_REQUEST_MAX, LOCAL_JOBS_MAX, QUEUED_MAX};
use crate::message::{
    GetCs, JobBegin, JobDone, JobLocalBegin, Message, MonJobBegin, MonLocalJobBegin, UseCs, done_flags,
};
use crate::text::Text;
use crate::time::{Duration, Instant};
use std::collections::BTreeSet;

/// A job.
#[derive(Clone, Debug)]
pub(super) struct Job {
    pub submitter: HostId,
    pub need: NeedId,
    pub client: ClientId,
    pub file: Text,
    pub arg_flags: u32,
    /// Its place in the queue's order: the niceness, less one for each minute it waited.
    pub level: u8,
    /// Jobs after it that came with the same request; only the first of a request knows.
    pub siblings: u8,
    pub state: State,
    /// When it becomes more urgent.
    pub age_at: Option<Instant>,
}

/// Where a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Pending,
    Waiting { server: HostId, since: Instant },
    Compiling { server: HostId, start_time: u32 },
}

impl Job {
    pub fn lane(&self) -> Lane {
        Lane { submitter: self.submitter, level: self.level, need: self.need }
    }

    pub fn server(&self) -> Option<HostId> {
        match self.state {
            State::Pending => None,
            State::Waiting { server, .. } | State::Compiling { server, .. } => Some(server),
        }
    }

    fn asker(&self) -> Asker {
        Asker { need: self.need, submitter: self.submitter }
    }
}

/// One step of ageing.
const AGEING: Duration = Duration::from_secs(60);
/// Lowest urgency.
const NICENESS_MAX: i32 = 20;
/// So many lanes that cannot use a free host are passed over before it is left alone.
const LANES_MAX: usize = 64;
/// Jobs a submitter's history remembers.
const HISTORY_MAX: usize = 200;

impl Scheduler {
    /// GET_CS.
    pub(super) fn requested(&mut self, submitter: HostId, request: &GetCs) {
        let Some(host) = self.cluster.host_mut(submitter) else { return };
        let name = host.name.clone();
        if host.version.has_client_count() {
            host.client_count = request.client_count;
        }
        if request.count > JOBS_PER_REQUEST_MAX {
            let why = format!("{} jobs at once, at most {JOBS_PER_REQUEST_MAX}", request.count);
            self.note(Level::Warning, || Note::RequestRefused { name, why });
            return;
        }
        let need = self.cluster.need(Need::of(request));
        let level = (request.niceness as i32).clamp(0, NICENESS_MAX) as u8;
        let mut jobs = Vec::new();
        for n in 0..request.count {
            let job = JobId(self.next_number());
            let siblings = if n == 0 { (request.count - 1) as u8 } else { 0 };
            self.insert_job(
                job,
                Job {
                    submitter,
                    need,
                    client: request.client,
                    file: request.file.clone(),
                    arg_flags: request.arg_flags,
                    level,
                    siblings,
                    state: State::Pending,
                    age_at: None,
                },
            );
            self.note(Level::Info, || Note::NewJob {
                job,
                submitter: name.clone(),
                versions: environment_list(&request.environments),
                file: request.file.clone(),
                language: language_name(request.language),
                niceness: level,
            });
            self.tell_monitors_by_version(|version| Message::MonGetCs(asked(request, job, submitter, version)));
            jobs.push(job);
        }
        for job in jobs {
            self.try_new(job);
        }
    }

    fn insert_job(&mut self, id: JobId, job: Job) {
        if let Some(known) = self.cluster.needs.known_mut(job.need) {
            known.jobs += 1;
            known.waiting += 1;
        }
        if let Some(host) = self.cluster.host_mut(job.submitter) {
            host.asked.insert(id);
        }
        self.jobs.insert(id, job);
    }

    /// A pending job that is not in the queue yet: placed at once if possible, refused if nobody ever could, else queued.
    fn try_new(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let lane = job.lane();
        // Jobs like this one wait already: nobody can take it.
        let alike_wait = self.queue.jobs_in(lane) > 0;
        if !alike_wait && self.place_or_refuse(id, None) {
            return;
        }
        if self.queue.len() >= QUEUED_MAX {
            self.send_home(id);
            return;
        }
        if !alike_wait {
            self.note(Level::Debug, || Note::Delaying);
        }
        self.enqueue(id);
    }

    fn enqueue(&mut self, id: JobId) {
        let age_at = self.now + AGEING;
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if job.level > 0 {
            job.age_at = Some(age_at);
            self.timers.insert((age_at, Timer::Age(id)));
        }
        let lane = job.lane();
        self.queue.push(lane, id);
    }

    /// A job has waited another minute.
    pub(super) fn age(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let lane = job.lane();
        self.dequeue(id);
        if let Some(job) = self.jobs.get_mut(&id) {
            job.level = lane.level.saturating_sub(1);
        }
        self.enqueue(id);
    }

    fn dequeue(&mut self, id: JobId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        if let Some(at) = job.age_at.take() {
            self.timers.remove(&(at, Timer::Age(id)));
        }
        let lane = job.lane();
        self.queue.remove(lane, id);
    }

    /// Places a job, or sends it home if nobody could ever do it; false if it must wait.
    fn place_or_refuse(&mut self, id: JobId, hint: Option<HostId>) -> bool {
        let Some(job) = self.jobs.get(&id) else { return true };
        let asker = job.asker();
        let first = self.cluster.host(asker.submitter).is_some_and(|h| h.asked.len() == 1);
        let ask = Ask { asker, weight: self.files.weight(&job.file), first };
        if let Some(choice) = policy::choose(&self.cluster, &ask, hint) {
            self.place(id, choice);
            return true;
        }
        if self.could_ever(asker) {
            return false;
        }
        self.send_home(id);
        true
    }

    fn could_ever(&self, asker: Asker) -> bool {
        self.cluster.ever(asker, 0) || self.cluster.ever(asker, 1) || self.cluster.ever_itself(asker)
    }

    fn send_home(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(&id) else { return };
        let host = job.submitter;
        self.note(Level::Info, || Note::AssigningSubmitter);
        self.place(id, Choice { host, why: Why::NobodyElse });
    }

    /// Gives a pending job to a host and tells its submitter (`spec/scheduler.md` 4.4).
    fn place(&mut self, id: JobId, choice: Choice) {
        self.dequeue(id);
        let Some(job) = self.jobs.get(&id) else { return };
        let (asker, level, client, siblings) = (job.asker(), job.level, job.client, job.siblings);
        self.queue.rotate(asker.submitter, level);
        let Some(submitter) = self.cluster.host(asker.submitter) else { return };
        let Some(server) = self.cluster.host(choice.host) else { return };
        let home = choice.host == asker.submitter;
        let present = if home { None } else { self.cluster.present(asker, server) };
        let chosen = present.or_else(|| self.cluster.environment(asker, server));
        let known = self.cluster.needs.known(asker.need);
        let env = chosen.and_then(|i| known?.need.environments.get(i));
        let key = chosen.and_then(|i| known?.keys.get(i).copied());
        let install = key.filter(|_| !home && present.is_none());
        let platform = match env {
            Some(env) if !home => env.platform.clone(),
            _ => server.platform.clone(),
        };
        let (port, address, server_name) = (server.port, server.address.clone(), server.name.clone());
        let literal = known.is_some_and(|k| k.need.environments.iter().any(|e| e.platform == server.platform));
        let server_platform = server.platform.clone();
        let matched = matched_job(submitter, server);
        let peer = submitter.peer;
        let message = if home && submitter.version.has_no_cs() {
            Message::NoCs { job: id, client }
        } else {
            Message::UseCs(UseCs {
                job: id,
                port,
                host: address,
                host_platform: platform,
                env_present: u32::from(install.is_none()),
                client,
                matched_job: matched,
            })
        };
        self.send(peer, message);
        self.note(Level::Debug, || Note::Put {
            job: id,
            server: server_name,
            install: install.is_some(),
            why: choice.why.word(),
        });
        self.counts.placed += 1;
        let since = self.now;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.state = State::Waiting { server: choice.host, since };
        }
        if let Some(known) = self.cluster.needs.known_mut(asker.need) {
            known.waiting -= 1;
            known.installing += usize::from(install.is_some());
        }
        if let Some(host) = self.cluster.host_mut(choice.host) {
            host.jobs.push(id);
            if let Some(key) = install {
                host.installing.insert(key, Installing { since, job: id, need: asker.need });
            }
        }
        self.cluster.rerank(choice.host);
        self.verify_life(choice.host, home);
        if siblings > 0 && literal {
            self.cut_siblings(id, siblings, &server_platform);
        }
    }

    /// All jobs of a request shall run the same compiler: once the first has a server, the others are bound to its platform.
    fn cut_siblings(&mut self, first: JobId, siblings: u8, platform: &Text) {
        let Some(job) = self.jobs.get(&first) else { return };
        let Some(known) = self.cluster.needs.known(job.need) else { return };
        let mut need = Need::clone(&known.need);
        let Some(env) = need.environments.iter().find(|e| e.platform == *platform).cloned() else { return };
        if need.environments.len() == 1 {
            return;
        }
        need.environments = vec![env];
        let new = self.cluster.need(need);
        for n in 1..=u32::from(siblings) {
            let id = JobId(first.0.wrapping_add(n));
            let Some(job) = self.jobs.get_mut(&id).filter(|j| j.state == State::Pending) else { continue };
            let lane = job.lane();
            job.need = new;
            let new_lane = job.lane();
            if self.queue.remove(lane, id) {
                self.queue.push(new_lane, id);
            }
            if let Some(known) = self.cluster.needs.known_mut(lane.need) {
                known.jobs -= 1;
                known.waiting -= 1;
            }
            if let Some(known) = self.cluster.needs.known_mut(new) {
                known.jobs += 1;
                known.waiting += 1;
            }
        }
    }

    /// Offers every host that became free to the queue, until it is full or nobody waiting can use it.
    pub(super) fn hand_out(&mut self) {
        if self.shrunk {
            self.shrunk = false;
            self.refuse_hopeless();
        }
        while let Some(id) = self.freed.pop_first() {
            let mut tried = BTreeSet::new();
            while self.queue.len() > 0 && tried.len() < LANES_MAX {
                let Some(host) = self.cluster.host(id) else { break };
                if host.rank().is_none() && !host.own_free() && !host.has_room() {
                    break;
                }
                let Some(place) = self.next_for(host, &tried) else { break };
                if !self.place_or_refuse(place.job, Some(id)) {
                    tried.insert(place.lane);
                }
            }
        }
    }

    /// The job that is next among those this host could take.
    fn next_for(&self, host: &Host, tried: &BTreeSet<Lane>) -> Option<Place> {
        let fresh = |place: &Place| !tried.contains(&place.lane);
        let own = |place: &Place| {
            let asker = Asker { need: place.lane.need, submitter: host.id };
            let last_resort = host.own_free() && self.cluster.own_environment(asker).is_some();
            last_resort || policy::usable_now(&self.cluster, asker, host)
        };
        let mut best = self.queue.own_places(host.id).filter(fresh).filter(own).min();
        if host.rank().is_none() {
            return best;
        }
        for first in self.queue.firsts() {
            if best.is_some_and(|best| best < first) {
                break;
            }
            let takes = |place: &Place| {
                let asker = Asker { need: place.lane.need, submitter: place.lane.submitter };
                host.id != asker.submitter && self.wants(asker, host) && policy::can_start(&self.cluster, asker, host)
            };
            let found = self.queue.places(first.lane.need).take(LANES_MAX).filter(fresh).find(takes);
            best = [best, found].into_iter().flatten().min();
        }
        best
    }

    /// Whether a preferred host, if there is one, is this one.
    fn wants(&self, asker: Asker, host: &Host) -> bool {
        let preferred = self.cluster.needs.known(asker.need).map(|k| &k.need.preferred);
        preferred.is_some_and(|p| p.is_empty() || *p == host.name || *p == host.address)
    }

    /// Hosts became fewer: jobs that nobody can do any more go to their submitters.
    fn refuse_hopeless(&mut self) {
        let hopeless = |lane: &Lane| !self.could_ever(Asker { need: lane.need, submitter: lane.submitter });
        let lanes: Vec<Lane> = self.queue.lanes().filter(hopeless).collect();
        for lane in lanes {
            let jobs: Vec<JobId> = self.queue.jobs(lane).collect();
            for job in jobs {
                self.place_or_refuse(job, None);
            }
        }
    }

    /// JOB_BEGIN.
    pub(super) fn begun(&mut self, sender: HostId, begin: JobBegin) {
        let Some(host) = self.cluster.host_mut(sender) else { return };
        let address = host.address.clone();
        let Some(job) = self.jobs.get_mut(&begin.job).filter(|job| job.server().is_some()) else {
            self.note(Level::Debug, || Note::BeginUnknown { job: begin.job });
            return;
        };
        if job.server() != Some(sender) {
            self.note(Level::Debug, || Note::BeginElsewhere { address });
            return;
        }
        if host.version.has_client_count() {
            host.client_count = begin.client_count;
        }
        if matches!(job.state, State::Waiting { .. }) {
            host.running += 1;
        }
        job.state = State::Compiling { server: sender, start_time: begin.start_time };
        let (server, platform) = (host.name.clone(), host.platform.clone());
        let (submitter, need) = (job.submitter, job.need);
        let submitter = self.cluster.host(submitter).map(|h| h.name.clone()).unwrap_or_default();
        let target = self.cluster.needs.known(need).map(|k| k.need.target.clone()).unwrap_or_default();
        self.tell_monitors(&Message::MonJobBegin(MonJobBegin {
            job: begin.job,
            start_time: begin.start_time,
            host: sender,
        }));
        self.note(Level::Debug, || Note::Begin { job: begin.job, submitter, target, server, platform });
    }

    /// JOB_DONE (`spec/scheduler.md` 4.5).
    pub(super) fn done(&mut self, sender: HostId, mut done: JobDone) {
        let Some(host) = self.cluster.host_mut(sender) else { return };
        let old = !host.version.has_client_count();
        let name = host.name.clone();
        let names_client = done.flags & done_flags::UNKNOWN_JOB != 0 || (old && done.exit_code == 200);
        let by_submitter = done.flags & done_flags::FROM_SUBMITTER != 0;
        done.flags &= !done_flags::UNKNOWN_JOB;
        if names_client && by_submitter && done.job != 0 {
            self.cancelled(sender, done);
            return;
        }
        let id = JobId(done.job);
        if names_client {
            self.note(Level::Debug, || Note::DoneUnknown { job: id.0 });
            return;
        }
        let Some(job) = self.jobs.get(&id) else {
            self.note(Level::Debug, || Note::DoneUnknown { job: id.0 });
            return;
        };
        let Some(server) = job.server() else {
            self.note(Level::Debug, || Note::DonePending { job: id });
            return;
        };
        let (expected, submitter) = (if by_submitter { job.submitter } else { server }, job.submitter);
        if expected != sender {
            let known = self.cluster.host(expected).map(|h| h.name.clone()).unwrap_or_default();
            self.note(Level::Info, || match by_submitter {
                false => Note::WrongServer { job: id, server: known, sender: name },
                true => Note::WrongSubmitter { job: id, submitter: known, sender: name },
            });
            self.host_left(sender, Some(CloseReason::NotItsJob));
            return;
        }
        if !old {
            if let Some(host) = self.cluster.host_mut(sender) {
                host.client_count = done.client_count;
            }
        }
        let server_name = self.cluster.host(server).map(|h| h.name.clone()).unwrap_or_default();
        self.note(Level::Debug, || Note::End { done, server: server_name });
        self.learn(id, server, submitter, &done);
        self.drop_job(id);
        self.counts.ended(done.exit_code);
        self.tell_monitors(&Message::MonJobDone(done));
    }

    /// A cancel that names the client: every job of that client that has not begun ends.
    fn cancelled(&mut self, submitter: HostId, done: JobDone) {
        let client = ClientId(done.job);
        let Some(host) = self.cluster.host_mut(submitter) else { return };
        if host.version.has_client_count() {
            host.client_count = done.client_count;
        }
        let Some(host) = self.cluster.host(submitter) else { return };
        let meant = |id: &JobId| {
            let not_begun = |job: &Job| job.client == client && !matches!(job.state, State::Compiling { .. });
            self.jobs.get(id).is_some_and(not_begun)
        };
        let jobs: Vec<JobId> = host.asked.iter().copied().filter(meant).collect();
        if jobs.is_empty() {
            self.note(Level::Debug, || Note::DoneUnknown { job: done.job });
        }
        for id in jobs {
            self.note(Level::Debug, || Note::StopWaiting { job: id });
            self.drop_job(id);
            self.counts.cancelled += 1;
            self.tell_monitors(&Message::MonJobDone(JobDone { job: id.0, ..done }));
        }
    }

    fn learn(&mut self, id: JobId, server: HostId, submitter: HostId, done: &JobDone) {
        let Some(job) = self.jobs.get(&id) else { return };
        let stats = &done.stats;
        let (file, arg_flags) = (job.file.clone(), job.arg_flags);
        let Some(host) = self.cluster.host_mut(server) else { return };
        let counted = host.shown.learn(id, done.exit_code, stats, arg_flags);
        let mut pace = host.pace;
        if done.exit_code == 0 {
            let wall_ms = stats.real_ms.max(stats.user_ms.saturating_add(stats.sys_ms));
            self.files.learn(&file, adjusted_size(stats.out_uncompressed, arg_flags), wall_ms, &mut pace);
            self.cluster.set_pace(server, pace);
            self.cluster.mean_weight = self.files.mean();
        }
        if let Some(host) = self.cluster.host_mut(submitter).filter(|_| counted) {
            host.history.push_back(id);
            if host.history.len() > HISTORY_MAX {
                host.history.pop_front();
            }
        }
    }

    /// Forgets a job wherever it is. Its server may take another.
    pub(super) fn drop_job(&mut self, id: JobId) {
        self.dequeue(id);
        let Some(job) = self.jobs.remove(&id) else { return };
        if let Some(known) = self.cluster.needs.known_mut(job.need) {
            known.jobs -= 1;
            known.waiting -= usize::from(job.state == State::Pending);
        }
        if let Some(host) = self.cluster.host_mut(job.submitter) {
            host.asked.remove(&id);
        }
        let Some(server) = job.server() else { return };
        if let Some(host) = self.cluster.host_mut(server) {
            host.jobs.retain(|other| *other != id);
            host.running -= u32::from(matches!(job.state, State::Compiling { .. }));
        }
        self.end_installs(server, |install| install.job == id);
        self.freed(server);
    }

    /// Environments are no longer on their way to a host.
    pub(super) fn end_installs(&mut self, server: HostId, ended: impl Fn(&Installing) -> bool) {
        let Some(host) = self.cluster.host_mut(server) else { return };
        let mut needs = Vec::new();
        host.installing.retain(|_, install| {
            if ended(install) {
                needs.push(install.need);
            }
            !ended(install)
        });
        for need in needs {
            if let Some(known) = self.cluster.needs.known_mut(need) {
                known.installing = known.installing.saturating_sub(1);
            }
        }
    }

    /// A host may be able to take a job it could not take before.
    pub(super) fn freed(&mut self, host: HostId) {
        self.cluster.rerank(host);
        self.freed.insert(host);
    }

    /// Ends a job because a host left, or because nothing was heard of it for too long.
    pub(super) fn lose_job(&mut self, id: JobId, note: Note) {
        self.tell_monitors(&Message::MonJobDone(lost(id)));
        self.note(note.level(), || note);
        self.counts.lost += 1;
        self.drop_job(id);
    }

    /// JOB_LOCAL_BEGIN.
    pub(super) fn local_begun(&mut self, host: HostId, begin: &JobLocalBegin) {
        let known = self.cluster.host(host).map_or(0, |h| h.local.len());
        if known >= LOCAL_JOBS_MAX {
            return;
        }
        let job = JobId(self.next_number());
        if let Some(host) = self.cluster.host_mut(host) {
            host.local.insert(begin.id, super::cluster::LocalJob { job, full: begin.full != 0 });
        }
        self.cluster.rerank(host);
        let file = last_three(&begin.output_file);
        self.note(Level::Debug, || Note::LocalBegin { file: begin.output_file.clone(), id: begin.id });
        let begin = MonLocalJobBegin { host, job, start_time: begin.start_time, file };
        self.tell_monitors(&Message::MonLocalJobBegin(begin));
    }

    /// JOB_LOCAL_DONE.
    pub(super) fn local_done(&mut self, host: HostId, id: u32) {
        self.note(Level::Debug, || Note::LocalDone { id });
        let local = self.cluster.host_mut(host).and_then(|h| h.local.remove(&id));
        self.freed(host);
        self.tell_monitors(&Message::JobLocalDone { id: local.map_or(0, |l| l.job.0) });
    }
}

/// An earlier job of this submitter on this server: 1.4 looks among the oldest 17 of both.
fn matched_job(submitter: &Host, server: &Host) -> JobId {
    let mut ours = submitter.history.iter().take(17).copied();
    ours.find(|job| server.shown.oldest().any(|other| other == *job)).unwrap_or(JobId(0))
}

/// A language as `NEW` lines name it.
fn language_name(number: u32) -> &'static str {
    match Language::from_number(number) {
        Some(Language::C) => "C",
        Some(Language::Cxx) => "C++",
        Some(Language::ObjC) => "ObjC",
        Some(Language::ObjCxx) => "ObjC++",
        None if number == 4 => "<custom>",
        None => "???",
    }
}
