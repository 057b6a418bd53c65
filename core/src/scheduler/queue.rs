//! Waiting jobs, fair between submitters: lower niceness first, round robin between the submitters of a level, first in first
//! out within one.
//!
//! A *lane* is what one submitter waits for at one level with one need; all jobs of a lane are alike, so that only its first is
//! ever looked at. A *group* is a submitter at a level: its turn decides the order. It does not know hosts or time.

use super::need::NeedId;
use crate::ids::{HostId, JobId};
use std::collections::{BTreeMap, BTreeSet};

/// One submitter's alike jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub submitter: HostId,
    pub level: u8,
    pub need: NeedId,
}

/// Where the first job of a lane stands in the queue; the least is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    level: u8,
    turn: u64,
    pub job: JobId,
    pub lane: Lane,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    turn: u64,
    jobs: usize,
}

/// The queue. Every change costs a logarithm of its size.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lanes: BTreeMap<Lane, BTreeSet<JobId>>,
    groups: BTreeMap<(HostId, u8), Group>,
    /// The places of all lanes, by need.
    places: BTreeMap<NeedId, BTreeSet<Place>>,
    /// The first place of each need.
    firsts: BTreeSet<Place>,
    next_turn: u64,
    len: usize,
}

impl Queue {
    /// Number of jobs.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Puts a job at the end of its lane; a new group goes behind all groups of its level.
    pub fn push(&mut self, lane: Lane, job: JobId) {
        self.unlink(lane);
        if !self.lanes.entry(lane).or_default().insert(job) {
            self.link(lane);
            return;
        }
        self.len += 1;
        let turn = self.next_turn;
        let group = self.groups.entry((lane.submitter, lane.level)).or_insert(Group { turn, jobs: 0 });
        group.jobs += 1;
        if group.turn == turn {
            self.next_turn += 1;
        }
        self.link(lane);
    }

    /// Takes a job out; false if it was not there.
    pub fn remove(&mut self, lane: Lane, job: JobId) -> bool {
        self.unlink(lane);
        let Some(jobs) = self.lanes.get_mut(&lane) else { return false };
        let was_there = jobs.remove(&job);
        if jobs.is_empty() {
            self.lanes.remove(&lane);
        }
        if was_there {
            self.len -= 1;
            let key = (lane.submitter, lane.level);
            if let Some(group) = self.groups.get_mut(&key) {
                group.jobs -= 1;
                if group.jobs == 0 {
                    self.groups.remove(&key);
                }
            }
        }
        self.link(lane);
        was_there
    }

    /// Takes all jobs of a submitter out, by need.
    pub fn remove_submitter(&mut self, submitter: HostId) -> Vec<(NeedId, BTreeSet<JobId>)> {
        let lanes: Vec<Lane> = self.of_submitter(submitter).collect();
        for lane in &lanes {
            self.unlink(*lane);
        }
        let mut removed = Vec::new();
        for lane in lanes {
            let jobs = self.lanes.remove(&lane).unwrap_or_default();
            self.len -= jobs.len();
            self.groups.remove(&(submitter, lane.level));
            removed.push((lane.need, jobs));
        }
        removed
    }

    /// A job of this group was handed out: the group goes behind all others of its level.
    pub fn rotate(&mut self, submitter: HostId, level: u8) {
        if !self.groups.contains_key(&(submitter, level)) {
            return;
        }
        let lanes: Vec<Lane> = self.of_submitter(submitter).filter(|lane| lane.level == level).collect();
        for lane in &lanes {
            self.unlink(*lane);
        }
        if let Some(group) = self.groups.get_mut(&(submitter, level)) {
            group.turn = self.next_turn;
            self.next_turn += 1;
        }
        for lane in lanes {
            self.link(lane);
        }
    }

    /// The first place of each need, in order.
    pub fn firsts(&self) -> impl Iterator<Item = Place> {
        self.firsts.iter().copied()
    }

    /// All places of a need, in order.
    pub fn places(&self, need: NeedId) -> impl Iterator<Item = Place> {
        self.places.get(&need).into_iter().flatten().copied()
    }

    /// The places of a submitter's lanes, in no order.
    pub fn own_places(&self, submitter: HostId) -> impl Iterator<Item = Place> {
        self.of_submitter(submitter).filter_map(|lane| self.place(lane))
    }

    /// All lanes.
    pub fn lanes(&self) -> impl Iterator<Item = Lane> {
        self.lanes.keys().copied()
    }

    /// Number of lanes.
    pub fn lanes_len(&self) -> usize {
        self.lanes.len()
    }

    /// The jobs of a lane.
    pub fn jobs(&self, lane: Lane) -> impl Iterator<Item = JobId> {
        self.lanes.get(&lane).into_iter().flatten().copied()
    }

    /// Number of jobs in a lane.
    pub fn jobs_in(&self, lane: Lane) -> usize {
        self.lanes.get(&lane).map_or(0, BTreeSet::len)
    }

    /// Whether a job is in a lane.
    pub fn contains(&self, lane: Lane, job: JobId) -> bool {
        self.lanes.get(&lane).is_some_and(|jobs| jobs.contains(&job))
    }

    fn of_submitter(&self, submitter: HostId) -> impl Iterator<Item = Lane> {
        let from = Lane { submitter, level: 0, need: NeedId::MIN };
        let to = Lane { submitter, level: u8::MAX, need: NeedId::MAX };
        self.lanes.range(from..=to).map(|(lane, _)| *lane)
    }

    fn place(&self, lane: Lane) -> Option<Place> {
        let job = *self.lanes.get(&lane)?.first()?;
        let turn = self.groups.get(&(lane.submitter, lane.level))?.turn;
        Some(Place { level: lane.level, turn, job, lane })
    }

    fn unlink(&mut self, lane: Lane) {
        let Some(place) = self.place(lane) else { return };
        let Some(places) = self.places.get_mut(&lane.need) else { return };
        let was_first = places.first() == Some(&place);
        places.remove(&place);
        if was_first {
            self.firsts.remove(&place);
            if let Some(first) = places.first() {
                self.firsts.insert(*first);
            }
        }
        if places.is_empty() {
            self.places.remove(&lane.need);
        }
    }

    fn link(&mut self, lane: Lane) {
        let Some(place) = self.place(lane) else { return };
        let places = self.places.entry(lane.need).or_default();
        let old = places.first().copied();
        places.insert(place);
        if old.is_none_or(|old| place < old) {
            if let Some(old) = old {
                self.firsts.remove(&old);
            }
            self.firsts.insert(place);
        }
    }

    /// Whether all views of the queue agree.
    pub fn check(&self) -> Result<(), String> {
        let jobs: usize = self.lanes.values().map(BTreeSet::len).sum();
        let in_groups: usize = self.groups.values().map(|g| g.jobs).sum();
        let places: usize = self.places.values().map(BTreeSet::len).sum();
        if jobs != self.len || in_groups != self.len {
            return Err(format!("queue: {} jobs, {jobs} in lanes, {in_groups} in groups", self.len));
        }
        if places != self.lanes.len() || self.firsts.len() != self.places.len() {
            return Err(format!("queue: {} lanes, {places} places, {} firsts", self.lanes.len(), self.firsts.len()));
        }
        for lane in self.lanes.keys() {
            let known =
                self.place(*lane).is_some_and(|p| self.places.get(&lane.need).is_some_and(|all| all.contains(&p)));
            if !known {
                return Err(format!("queue: {lane:?} has no place"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(submitter: u32, level: u8) -> Lane {
        Lane { submitter: HostId(submitter), level, need: NeedId::MIN }
    }

    fn drain(queue: &mut Queue) -> Vec<u32> {
        let mut order = Vec::new();
        loop {
            let first = queue.firsts().next();
            let Some(place) = first else { return order };
            queue.remove(place.lane, place.job);
            queue.rotate(place.lane.submitter, place.lane.level);
            queue.check().unwrap();
            order.push(place.job.0);
        }
    }

    #[test]
    fn submitters_of_a_level_take_turns_and_levels_come_in_order() {
        let mut queue = Queue::default();
        for job in 1..=4 {
            queue.push(lane(1, 0), JobId(job));
        }
        queue.push(lane(1, 5), JobId(5));
        queue.push(lane(2, 3), JobId(6));
        for job in 7..=10 {
            queue.push(lane(2, 0), JobId(job));
        }
        assert_eq!(drain(&mut queue), [1, 7, 2, 8, 3, 9, 4, 10, 6, 5]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_job_is_there_once_and_goes_once() {
        let mut queue = Queue::default();
        for job in [2, 1, 2] {
            queue.push(lane(1, 0), JobId(job));
            queue.check().unwrap();
        }
        queue.push(lane(2, 0), JobId(3));
        assert_eq!((queue.len(), queue.lanes_len(), queue.jobs_in(lane(1, 0))), (3, 2, 2));
        assert_eq!((queue.jobs_in(lane(1, 1)), queue.jobs_in(lane(2, 0))), (0, 1));
        let there: Vec<JobId> = queue.jobs(lane(1, 0)).collect();
        assert_eq!(there, [JobId(1), JobId(2)]);
        assert!(queue.remove(lane(1, 0), JobId(2)) && !queue.remove(lane(1, 0), JobId(2)));
        assert!(!queue.remove(lane(2, 0), JobId(2)) && !queue.remove(lane(3, 0), JobId(2)));
        queue.check().unwrap();
        assert_eq!(drain(&mut queue), [1, 3]);
    }

    #[test]
    fn who_leaves_takes_all_its_jobs_and_nobody_elses() {
        let mut queue = Queue::default();
        for (submitter, level, job) in [(1, 0, 1), (2, 0, 2), (2, 255, 3), (2, 0, 4), (3, 0, 5)] {
            queue.push(lane(submitter, level), JobId(job));
        }
        let removed = queue.remove_submitter(HostId(2));
        let jobs: Vec<u32> = removed.into_iter().flat_map(|(_, jobs)| jobs).map(|job| job.0).collect();
        assert_eq!(jobs, [2, 4, 3]);
        queue.check().unwrap();
        assert_eq!(drain(&mut queue), [1, 5]);
    }

    #[test]
    fn the_check_finds_what_does_not_agree() {
        let breakages: [fn(&mut Queue); 7] = [
            |q| q.len += 1,
            |q| q.groups.get_mut(&(HostId(1), 0)).unwrap().jobs += 1,
            |q| _ = q.lanes.get_mut(&lane(1, 0)).unwrap().insert(JobId(9)),
            |q| _ = q.firsts.pop_first(),
            |q| _ = q.places.get_mut(&NeedId::MIN).unwrap().pop_last(),
            |q| q.places.clear(),
            |q| q.groups.get_mut(&(HostId(1), 0)).unwrap().turn += 7,
        ];
        for (n, breakage) in breakages.iter().enumerate() {
            let mut queue = Queue::default();
            for (submitter, job) in [(1, 1), (1, 2), (2, 3)] {
                queue.push(lane(submitter, 0), JobId(job));
            }
            queue.check().unwrap();
            breakage(&mut queue);
            assert!(queue.check().is_err(), "{n}");
        }
    }
}
