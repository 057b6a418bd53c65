//! How busy this host is, from raw numbers of its kernel.

use super::Note;
use crate::limits::JOB_MEMORY_MIN;
use crate::message::Stats as Report;
use crate::time::{Duration, Instant};
use std::fmt::Write;

/// Interval between measurements, unless the scheduler sets another one.
const INTERVAL: Duration = Duration::from_secs(3);
/// Longest interval while the daemon is idle (decision: idle-wake-ups).
const INTERVAL_IDLE: Duration = Duration::from_secs(15);
/// Smallest change of the load that is reported.
const REPORT_STEP: u32 = 100;
/// Load with which a host gets no jobs.
const FULL: u32 = 1000;
/// Free disk that each job may need, in bytes.
const DISK_PER_JOB: u64 = 25 << 20;
/// Memory in MiB below which no remote job starts.
const MEMORY_SHORT: u64 = 64;
/// Maximum number of slots among which memory is divided: with more, large jobs seldom run at the same time. Where
/// nothing else keeps all together within it, it is divided among all slots.
const MEMORY_SHARES: u32 = 4;
/// Number of ticks up to which a difference is not evaluated.
const TICKS_MIN: u64 = 10;

/// Processor ticks since boot, summed over all processors. A plain value from the shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTicks {
    /// In user mode.
    pub user: u64,
    /// In user mode with lowered priority.
    pub nice: u64,
    /// In the kernel.
    pub system: u64,
    /// Idle.
    pub idle: u64,
    /// Idle while waiting for a disk; counts as busy, as in 1.4.
    pub iowait: u64,
}

/// Memory in kB. A plain value from the shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Memory {
    /// MemTotal.
    pub total_kb: u64,
    /// MemAvailable: what can be used without swapping.
    pub available_kb: u64,
    /// Memory available to jobs: less than `available_kb` if a control group above the daemon has a limit
    /// (decision: headroom).
    pub headroom_kb: u64,
}

/// Raw figures of one measurement. A plain value from the shell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Measurement {
    /// From `/proc/stat`.
    pub cpu: CpuTicks,
    /// Load averages of 1, 5 and 15 minutes, times 1000.
    pub load_avg: [u32; 3],
    /// Memory.
    pub memory: Memory,
    /// Free bytes on the file system of the environments.
    pub disk_free: u64,
}

/// What the rest of the daemon is like when a measurement arrives. A plain value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Around {
    /// Number of jobs that may need disk soon.
    pub jobs: u32,
    /// Number of jobs and unpackers that the daemon runs.
    pub children: usize,
    /// Whether there are no clients.
    pub alone: bool,
    /// Whether a scheduler is connected.
    pub connected: bool,
}

/// Load of this host and the schedule of its measurements.
#[derive(Debug)]
pub(super) struct Load {
    cpus: u32,
    /// Whether something limits the memory of all jobs together.
    memory_is_shared: bool,
    interval: Duration,
    /// The current interval; it grows while idle.
    current: Duration,
    due: Instant,
    /// Whether a measurement was requested and has not arrived.
    asked: bool,
    last: Option<(Instant, Measurement)>,
    /// CPU time of compiles since the last measurement, in ms over all processors.
    own_ms: u64,
    /// Load at the last measurement, 0 to 1000.
    load: u32,
    /// Shares of CPU time at the last measurement.
    shares: Shares,
    /// Share of memory in use at the last measurement, per mille.
    fill: u32,
    /// Whether the slots are held by jobs of which the scheduler knows nothing: it can place none here.
    held: bool,
    /// Load last reported in this session.
    reported: Option<u32>,
    why_full: Option<&'static str>,
}

impl Load {
    /// Nothing has been measured; the first measurement is due at once.
    pub fn new(now: Instant, cpus: u32, memory_is_shared: bool) -> Self {
        Self {
            cpus: cpus.max(1),
            memory_is_shared,
            interval: INTERVAL,
            current: INTERVAL,
            due: now,
            asked: false,
            last: None,
            own_ms: 0,
            load: 0,
            shares: Shares { idle: FULL, nice: 0 },
            fill: 0,
            held: false,
            reported: None,
            why_full: None,
        }
    }

    /// CS_CONF: sets the interval in seconds, clamped to 1..=3600; 0 would be a busy loop.
    pub fn set_interval(&mut self, seconds: u32) {
        self.interval = Duration::from_secs(u64::from(seconds.clamp(1, 3600)));
        self.current = self.interval;
    }

    /// A new session: the next load is reported even if it has not changed.
    pub fn report_again(&mut self) {
        self.reported = None;
        self.force();
    }

    /// A client connected: returns to the short interval.
    pub fn wake(&mut self, now: Instant) {
        self.current = self.interval;
        self.due = self.due.min(now + self.interval);
    }

    /// Makes a measurement due at once.
    pub fn force(&mut self) {
        self.due = Instant::ZERO;
    }

    /// When the next measurement is due; `None` while one is on its way.
    pub fn due(&self) -> Option<Instant> {
        (!self.asked).then_some(self.due)
    }

    /// A measurement was requested.
    pub fn asked(&mut self) {
        self.asked = true;
    }

    /// Adds the CPU time of a compile of ours.
    pub fn own_work(&mut self, user_ms: u32, sys_ms: u32) {
        self.own_ms = self.own_ms.saturating_add(u64::from(user_ms) + u64::from(sys_ms));
    }

    /// Adds the CPU time of a client's own compile. It is ignored if it exceeds the elapsed time: the client lies, or
    /// used threads.
    pub fn own_work_of_client(&mut self, real_ms: u32, user_ms: u32, sys_ms: u32) {
        if u64::from(user_ms) + u64::from(sys_ms) <= u64::from(real_ms) {
            self.own_work(user_ms, sys_ms);
        }
    }

    /// The slots are held by jobs of which the scheduler knows nothing, or no more. Returns whether that is new: then it
    /// is told at once.
    pub fn hold(&mut self, held: bool) -> bool {
        let is_new = std::mem::replace(&mut self.held, held) != held;
        if is_new {
            self.force();
        }
        is_new
    }

    /// Whether they are.
    pub fn is_held(&self) -> bool {
        self.held
    }

    /// The load as the scheduler is told.
    fn told(&self) -> u32 {
        if self.held { FULL } else { self.load }
    }

    /// Whether remote jobs may start.
    pub fn takes_jobs(&self) -> bool {
        self.last.is_some() && self.load < FULL
    }

    /// Memory for one job in MiB.
    pub fn memory_limit(&self, slots: u32) -> u32 {
        let shares = if self.memory_is_shared { slots.min(MEMORY_SHARES) } else { slots };
        memory_limit(self.last.map(|(_, m)| m.memory).unwrap_or_default(), shares)
    }

    /// A measurement arrived: computes the load. Returns a note if the host starts or stops taking jobs, and a report
    /// for the scheduler if there is one and the load has changed.
    pub fn measured(&mut self, now: Instant, m: &Measurement, around: Around) -> (Option<Note>, Option<Report>) {
        let full = why_full(m, around.jobs.into());
        self.compute(now, m, around.children, full.is_some());
        let changed = self.has_changed();
        self.plan(now, around.alone && !changed);
        let was_full = std::mem::replace(&mut self.why_full, full);
        let note = (was_full != full).then(|| full.map_or(Note::TakesJobs, Note::TakesNoJobs));
        (note, (changed && around.connected).then(|| self.report(m)))
    }

    fn compute(&mut self, now: Instant, m: &Measurement, children: usize, is_full: bool) {
        let (was, since) = self.last.map_or((CpuTicks::default(), now), |(at, last)| (last.cpu, at));
        let interval_ms = u64::try_from(now.since(since).as_millis()).unwrap_or(u64::MAX);
        self.shares = shares(was, m.cpu);
        let own = own_share(self.own_ms, self.cpus, interval_ms, children, self.shares.nice);
        self.fill = memory_fill(m.memory);
        let busy = FULL - (self.shares.idle + own).min(FULL);
        // 1.4 reports 1000, "no jobs at all", also while other programs use all processors; then jobs wait for as long
        // as the whole cluster is busy. Such a host shall be the last choice, not none.
        self.load = if is_full { FULL } else { busy.max(self.fill).min(FULL - 1) };
        self.own_ms = 0;
        self.last = Some((now, *m));
    }

    /// Whether the load differs so much from the one reported that the scheduler must know.
    fn has_changed(&self) -> bool {
        let load = self.told();
        self.reported.is_none_or(|r| r.abs_diff(load) >= REPORT_STEP || (r >= FULL) != (load >= FULL))
    }

    /// Sets when the next measurement is due: later each time while idle.
    fn plan(&mut self, now: Instant, is_idle: bool) {
        let longer = (self.current * 2).min(INTERVAL_IDLE.max(self.interval));
        self.current = if is_idle { longer } else { self.interval };
        self.due = now + self.current;
        self.asked = false;
    }

    fn report(&mut self, m: &Measurement) -> Report {
        let load = self.told();
        self.reported = Some(load);
        let free_mem = u32::try_from(m.memory.available_kb / 1024).unwrap_or(u32::MAX);
        let [load_avg_1, load_avg_5, load_avg_10] = m.load_avg;
        Report { load, load_avg_1, load_avg_5, load_avg_10, free_mem }
    }

    /// Its lines of the dump.
    pub fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "  cpu: {} idle, {} nice", self.shares.idle, self.shares.nice)?;
        let (load, free) = self.last.map_or((0, 0), |(_, m)| (m.load_avg[0], m.memory.available_kb / 1024));
        writeln!(out, "  load: {}.{:03}, icecream_load: {}", load / 1000, load % 1000, self.load)?;
        writeln!(out, "  memory: {} (free: {free})", self.fill)
    }
}

/// Shares of the CPU time between two measurements, per mille.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Shares {
    idle: u32,
    /// At lowered priority.
    nice: u32,
}

fn shares(was: CpuTicks, is: CpuTicks) -> Shares {
    let diff = |f: fn(&CpuTicks) -> u64| f(&is).saturating_sub(f(&was));
    let (idle, nice) = (diff(|c| c.idle), diff(|c| c.nice));
    let all = diff(|c| c.user) + nice + diff(|c| c.system) + idle + diff(|c| c.iowait);
    if all <= TICKS_MIN {
        return Shares { idle: FULL, nice: 0 };
    }
    let part = |n: u64| u32::try_from(n.saturating_mul(1000) / all).unwrap_or(FULL);
    Shares { idle: part(idle), nice: part(nice) }
}

/// Share of CPU time used by our own compiles, per mille. They are no load: they are what the host is for. If none
/// ended in this interval, a quarter of the niced time is attributed to running ones, as in 1.4.
fn own_share(own_ms: u64, cpus: u32, interval_ms: u64, children: usize, nice: u32) -> u32 {
    if own_ms == 0 {
        return if children > 0 { nice / 4 } else { 0 };
    }
    let room = interval_ms.saturating_mul(u64::from(cpus)).max(1);
    u32::try_from((own_ms.saturating_mul(1000) / room).min(1000)).unwrap_or(FULL)
}

/// Share of memory in use, per mille.
fn memory_fill(memory: Memory) -> u32 {
    if memory.total_kb == 0 {
        return 0;
    }
    let free = memory.available_kb.min(memory.total_kb).saturating_mul(1000) / memory.total_kb;
    FULL - u32::try_from(free).unwrap_or(FULL)
}

/// Why the host takes no jobs, if it takes none.
fn why_full(m: &Measurement, jobs: u64) -> Option<&'static str> {
    if m.disk_free < jobs.saturating_mul(DISK_PER_JOB) {
        Some("disk of the environments is nearly full")
    } else if m.memory.total_kb != 0 && m.memory.headroom_kb / 1024 < MEMORY_SHORT {
        Some("memory is short")
    } else {
        None
    }
}

/// Memory for one of so many jobs in MiB.
fn memory_limit(memory: Memory, shares: u32) -> u32 {
    let share = memory.headroom_kb / 1024 / u64::from(shares.max(1));
    u32::try_from(share.max(JOB_MEMORY_MIN)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(user: u64, nice: u64, system: u64, idle: u64, iowait: u64) -> CpuTicks {
        CpuTicks { user, nice, system, idle, iowait }
    }

    #[test]
    fn shares_of_time() {
        assert_eq!(shares(ticks(0, 0, 0, 0, 0), ticks(10, 20, 10, 50, 10)), Shares { idle: 500, nice: 200 });
        assert_eq!(shares(ticks(5, 0, 0, 5, 0), ticks(6, 0, 0, 5, 0)), Shares { idle: 1000, nice: 0 });
        // Counters that went back, because a processor was removed, count as no time.
        assert_eq!(shares(ticks(900, 0, 0, 900, 0), ticks(1000, 0, 0, 10, 0)).idle, 0);
    }

    #[test]
    fn own_compiles_are_no_load() {
        assert_eq!(own_share(3000, 2, 3000, 1, 0), 500);
        assert_eq!(own_share(0, 2, 3000, 1, 400), 100);
        assert_eq!(own_share(0, 2, 3000, 0, 400), 0);
        assert_eq!(own_share(u64::MAX, 1, 0, 0, 0), 1000);
    }

    #[test]
    fn memory() {
        assert_eq!(memory_fill(Memory { total_kb: 1000, available_kb: 250, headroom_kb: 100 }), 750);
        assert_eq!(memory_fill(Memory::default()), 0);
        assert_eq!(memory_limit(Memory { headroom_kb: 8 << 20, ..Memory::default() }, 2), 4096);
        assert_eq!(memory_limit(Memory::default(), 0), 256);
    }

    #[test]
    fn a_full_disk_stops_jobs() {
        let m = Measurement {
            disk_free: 100 << 20,
            memory: Memory { total_kb: 1 << 20, available_kb: 1 << 20, headroom_kb: 1 << 20 },
            ..Measurement::default()
        };
        assert_eq!(why_full(&m, 4), None);
        assert!(why_full(&m, 5).is_some());
    }
}
