//! The queue of pending jobs, fair between submitters: lower level (niceness) first, round robin between the submitters
//! of a level, first in first out within one submitter.
//!
//! A *bucket* holds the jobs of one submitter with one level and one requirement. All jobs of a bucket are alike, so
//! only its first is ever examined. A *group* is one submitter at one level: its turn decides the order. The queue does
//! not know hosts or time.

use super::requirement::{Requester, RequirementId};
use crate::ids::{HostId, JobId};
use std::collections::{BTreeMap, BTreeSet};

/// Key of the jobs that are alike: a plain value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Bucket {
    /// Their submitter.
    pub submitter: HostId,
    /// Their level, 0 (most urgent) to 20.
    pub level: u8,
    /// Their requirement.
    pub requirement: RequirementId,
}

impl Bucket {
    /// What choosing a host for its jobs depends on.
    pub fn requester(self) -> Requester {
        Requester { requirement: self.requirement, submitter: self.submitter }
    }
}

/// Position of a bucket's first job in the queue, a plain value; the least is next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    level: u8,
    turn: u64,
    /// The first job of the bucket.
    pub job: JobId,
    /// The bucket.
    pub bucket: Bucket,
}

#[derive(Clone, Copy, Debug)]
struct Group {
    turn: u64,
    jobs: usize,
}

/// The queue. Every change takes logarithmic time.
#[derive(Debug, Default)]
pub(super) struct Queue {
    buckets: BTreeMap<Bucket, BTreeSet<JobId>>,
    groups: BTreeMap<(HostId, u8), Group>,
    /// The places of all buckets, by requirement.
    places: BTreeMap<RequirementId, BTreeSet<Place>>,
    /// The first place of each requirement.
    firsts: BTreeSet<Place>,
    /// Submitters whose jobs have no places: they get no servers for now.
    held: BTreeSet<HostId>,
    next_turn: u64,
    len: usize,
}

impl Queue {
    /// Number of jobs.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Appends a job to its bucket. A new group goes behind all groups of its level.
    pub fn push(&mut self, bucket: Bucket, job: JobId) {
        self.unlink(bucket);
        if !self.buckets.entry(bucket).or_default().insert(job) {
            self.link(bucket);
            return;
        }
        self.len += 1;
        let turn = self.next_turn;
        let group = self.groups.entry((bucket.submitter, bucket.level)).or_insert(Group { turn, jobs: 0 });
        group.jobs += 1;
        if group.turn == turn {
            self.next_turn += 1;
        }
        self.link(bucket);
    }

    /// Removes a job. Returns whether it was there.
    pub fn remove(&mut self, bucket: Bucket, job: JobId) -> bool {
        // Most jobs that end have left the queue long ago, whose order then stays.
        if !self.contains(bucket, job) {
            return false;
        }
        self.unlink(bucket);
        if let Some(jobs) = self.buckets.get_mut(&bucket) {
            jobs.remove(&job);
            if jobs.is_empty() {
                self.buckets.remove(&bucket);
            }
        }
        self.len -= 1;
        let key = (bucket.submitter, bucket.level);
        if let Some(group) = self.groups.get_mut(&key) {
            group.jobs -= 1;
            if group.jobs == 0 {
                self.groups.remove(&key);
            }
        }
        self.link(bucket);
        true
    }

    /// Holds the jobs of a submitter back, or lets them go on.
    pub fn hold(&mut self, submitter: HostId, held: bool) {
        if self.held.contains(&submitter) == held {
            return;
        }
        let buckets: Vec<Bucket> = self.of_submitter(submitter).collect();
        for bucket in &buckets {
            self.unlink(*bucket);
        }
        if held {
            self.held.insert(submitter);
        } else {
            self.held.remove(&submitter);
        }
        for bucket in buckets {
            self.link(bucket);
        }
    }

    /// Whether the jobs of a submitter are held back.
    pub fn is_held(&self, submitter: HostId) -> bool {
        self.held.contains(&submitter)
    }

    /// The submitters whose jobs wait and are not held back; one may come several times.
    pub fn submitters(&self) -> impl Iterator<Item = HostId> {
        self.groups.keys().map(|(submitter, _)| *submitter).filter(|submitter| !self.held.contains(submitter))
    }

    /// Removes all jobs of a submitter and returns them by bucket.
    pub fn remove_submitter(&mut self, submitter: HostId) -> Vec<BTreeSet<JobId>> {
        let buckets: Vec<Bucket> = self.of_submitter(submitter).collect();
        for bucket in &buckets {
            self.unlink(*bucket);
        }
        let mut removed = Vec::new();
        for bucket in buckets {
            let jobs = self.buckets.remove(&bucket).unwrap_or_default();
            self.len -= jobs.len();
            self.groups.remove(&(submitter, bucket.level));
            removed.push(jobs);
        }
        self.held.remove(&submitter);
        removed
    }

    /// Moves a group behind all others of its level, because one of its jobs was assigned.
    pub fn rotate(&mut self, submitter: HostId, level: u8) {
        if !self.groups.contains_key(&(submitter, level)) {
            return;
        }
        let buckets: Vec<Bucket> = self.of_submitter(submitter).filter(|bucket| bucket.level == level).collect();
        for bucket in &buckets {
            self.unlink(*bucket);
        }
        if let Some(group) = self.groups.get_mut(&(submitter, level)) {
            group.turn = self.next_turn;
            self.next_turn += 1;
        }
        for bucket in buckets {
            self.link(bucket);
        }
    }

    /// The first place of each requirement, in order.
    pub fn firsts(&self) -> impl Iterator<Item = Place> {
        self.firsts.iter().copied()
    }

    /// All places of a requirement, in order.
    pub fn places(&self, requirement: RequirementId) -> impl Iterator<Item = Place> {
        self.places.get(&requirement).into_iter().flatten().copied()
    }

    /// The places of a submitter's buckets, unordered.
    pub fn own_places(&self, submitter: HostId) -> impl Iterator<Item = Place> {
        self.of_submitter(submitter).filter_map(|bucket| self.place(bucket))
    }

    /// All buckets.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        self.buckets.keys().copied()
    }

    /// Number of buckets.
    pub fn buckets_len(&self) -> usize {
        self.buckets.len()
    }

    /// The jobs of a bucket.
    pub fn jobs(&self, bucket: Bucket) -> impl Iterator<Item = JobId> {
        self.buckets.get(&bucket).into_iter().flatten().copied()
    }

    /// Number of jobs in a bucket.
    pub fn jobs_in(&self, bucket: Bucket) -> usize {
        self.buckets.get(&bucket).map_or(0, BTreeSet::len)
    }

    /// Whether a job is in a bucket.
    pub fn contains(&self, bucket: Bucket, job: JobId) -> bool {
        self.buckets.get(&bucket).is_some_and(|jobs| jobs.contains(&job))
    }

    fn of_submitter(&self, submitter: HostId) -> impl Iterator<Item = Bucket> {
        let from = Bucket { submitter, level: 0, requirement: RequirementId::MIN };
        let to = Bucket { submitter, level: u8::MAX, requirement: RequirementId::MAX };
        self.buckets.range(from..=to).map(|(bucket, _)| *bucket)
    }

    fn place(&self, bucket: Bucket) -> Option<Place> {
        if self.held.contains(&bucket.submitter) {
            return None;
        }
        let job = *self.buckets.get(&bucket)?.first()?;
        let turn = self.groups.get(&(bucket.submitter, bucket.level))?.turn;
        Some(Place { level: bucket.level, turn, job, bucket })
    }

    fn unlink(&mut self, bucket: Bucket) {
        let Some(place) = self.place(bucket) else { return };
        let Some(places) = self.places.get_mut(&bucket.requirement) else { return };
        let was_first = places.first() == Some(&place);
        places.remove(&place);
        if was_first {
            self.firsts.remove(&place);
            if let Some(first) = places.first() {
                self.firsts.insert(*first);
            }
        }
        if places.is_empty() {
            self.places.remove(&bucket.requirement);
        }
    }

    fn link(&mut self, bucket: Bucket) {
        let Some(place) = self.place(bucket) else { return };
        let places = self.places.entry(bucket.requirement).or_default();
        let old = places.first().copied();
        places.insert(place);
        if old.is_none_or(|old| place < old) {
            if let Some(old) = old {
                self.firsts.remove(&old);
            }
            self.firsts.insert(place);
        }
    }

    /// Checks that all indexes of the queue agree. The error describes the first difference.
    pub fn check(&self) -> Result<(), String> {
        let jobs: usize = self.buckets.values().map(BTreeSet::len).sum();
        let in_groups: usize = self.groups.values().map(|g| g.jobs).sum();
        let places: usize = self.places.values().map(BTreeSet::len).sum();
        if jobs != self.len || in_groups != self.len {
            return Err(format!("queue: {} jobs, {jobs} in buckets, {in_groups} in groups", self.len));
        }
        let free = || self.buckets.keys().filter(|bucket| !self.held.contains(&bucket.submitter));
        if places != free().count() || self.firsts.len() != self.places.len() {
            return Err(format!(
                "queue: {} buckets, {places} places, {} firsts",
                self.buckets.len(),
                self.firsts.len()
            ));
        }
        for bucket in free() {
            let known = self
                .place(*bucket)
                .is_some_and(|p| self.places.get(&bucket.requirement).is_some_and(|all| all.contains(&p)));
            if !known {
                return Err(format!("queue: {bucket:?} has no place"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(submitter: u32, level: u8) -> Bucket {
        Bucket { submitter: HostId(submitter), level, requirement: RequirementId::MIN }
    }

    fn drain(queue: &mut Queue) -> Vec<u32> {
        let mut order = Vec::new();
        loop {
            let first = queue.firsts().next();
            let Some(place) = first else { return order };
            queue.remove(place.bucket, place.job);
            queue.rotate(place.bucket.submitter, place.bucket.level);
            queue.check().unwrap();
            order.push(place.job.0);
        }
    }

    #[test]
    fn submitters_of_a_level_take_turns_and_levels_come_in_order() {
        let mut queue = Queue::default();
        for job in 1..=4 {
            queue.push(bucket(1, 0), JobId(job));
        }
        queue.push(bucket(1, 5), JobId(5));
        queue.push(bucket(2, 3), JobId(6));
        for job in 7..=10 {
            queue.push(bucket(2, 0), JobId(job));
        }
        assert_eq!(drain(&mut queue), [1, 7, 2, 8, 3, 9, 4, 10, 6, 5]);
        assert_eq!(queue.len(), 0);
    }

    #[test]
    fn a_job_is_there_once_and_goes_once() {
        let mut queue = Queue::default();
        for job in [2, 1, 2] {
            queue.push(bucket(1, 0), JobId(job));
            queue.check().unwrap();
        }
        queue.push(bucket(2, 0), JobId(3));
        assert_eq!((queue.len(), queue.buckets_len(), queue.jobs_in(bucket(1, 0))), (3, 2, 2));
        assert_eq!((queue.jobs_in(bucket(1, 1)), queue.jobs_in(bucket(2, 0))), (0, 1));
        let there: Vec<JobId> = queue.jobs(bucket(1, 0)).collect();
        assert_eq!(there, [JobId(1), JobId(2)]);
        assert!(queue.remove(bucket(1, 0), JobId(2)) && !queue.remove(bucket(1, 0), JobId(2)));
        assert!(!queue.remove(bucket(2, 0), JobId(2)) && !queue.remove(bucket(3, 0), JobId(2)));
        queue.check().unwrap();
        assert_eq!(drain(&mut queue), [1, 3]);
    }

    #[test]
    fn who_leaves_takes_all_its_jobs_and_nobody_elses() {
        let mut queue = Queue::default();
        for (submitter, level, job) in [(1, 0, 1), (2, 0, 2), (2, 255, 3), (2, 0, 4), (3, 0, 5)] {
            queue.push(bucket(submitter, level), JobId(job));
        }
        let removed = queue.remove_submitter(HostId(2));
        let jobs: Vec<u32> = removed.into_iter().flatten().map(|job| job.0).collect();
        assert_eq!(jobs, [2, 4, 3]);
        queue.check().unwrap();
        assert_eq!(drain(&mut queue), [1, 5]);
    }

    #[test]
    fn the_check_finds_what_does_not_agree() {
        let breakages: [fn(&mut Queue); 7] = [
            |q| q.len += 1,
            |q| q.groups.get_mut(&(HostId(1), 0)).unwrap().jobs += 1,
            |q| _ = q.buckets.get_mut(&bucket(1, 0)).unwrap().insert(JobId(9)),
            |q| _ = q.firsts.pop_first(),
            |q| _ = q.places.get_mut(&RequirementId::MIN).unwrap().pop_last(),
            |q| q.places.clear(),
            |q| q.groups.get_mut(&(HostId(1), 0)).unwrap().turn += 7,
        ];
        for (n, breakage) in breakages.iter().enumerate() {
            let mut queue = Queue::default();
            for (submitter, job) in [(1, 1), (1, 2), (2, 3)] {
                queue.push(bucket(submitter, 0), JobId(job));
            }
            queue.check().unwrap();
            breakage(&mut queue);
            assert!(queue.check().is_err(), "{n}");
        }
    }
}
