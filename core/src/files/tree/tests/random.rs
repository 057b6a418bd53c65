//! Random trees of a submitter, changed at random: what jobs see is what their facts say, from first to last.

use super::overlay::{Disk, Node};
use super::*;

/// Numbers from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The submitter's file system.
#[derive(Clone, Default)]
struct Home(BTreeMap<Vec<u8>, Fact>);

impl Home {
    fn path(dice: &mut Dice) -> Vec<u8> {
        let depth = 1 + dice.roll(4);
        (0..depth).flat_map(|_| [b'/', b"abc."[usize::try_from(dice.roll(4)).unwrap()], b'x']).collect()
    }

    fn remove(&mut self, path: &[u8]) {
        self.0.retain(|other, _| other != path && !other.starts_with(&[path, b"/"].concat()));
    }

    /// Something changes.
    fn change(&mut self, dice: &mut Dice, serial: &mut u64) {
        let path = Self::path(dice);
        *serial += 1;
        let linked = self.0.values().find(|fact| matches!(fact, Fact::File(file) if file.group != 0)).cloned();
        let fact = match (dice.roll(8), linked) {
            (0 | 1, _) => return self.remove(&path),
            (2, _) => DIR,
            (3, _) => Fact::Dir { perm: 1 },
            (4, _) => link(&serial.to_string()),
            (5, Some(linked)) => linked,
            (6, _) => file(u8::try_from(dice.roll(6)).unwrap(), 1000 + *serial),
            _ => file(u8::try_from(dice.roll(6)).unwrap(), 0),
        };
        let slashes = path.iter().enumerate().filter(|(at, c)| **c == b'/' && *at > 0).map(|(at, _)| at);
        for end in slashes {
            if !matches!(self.0.get(&path[..end]), Some(Fact::Dir { .. })) {
                self.remove(&path[..end]);
                self.0.insert(path[..end].to_vec(), DIR);
            }
        }
        self.remove(&path);
        self.0.insert(path, fact);
    }

    fn stands(&self, path: &[u8]) -> Fact {
        if path == b"/" { DIR } else { self.0.get(path).cloned().unwrap_or(Fact::Absent) }
    }

    /// The facts of a path, and of those above it.
    fn tell(&self, path: &[u8], facts: &mut Facts) {
        let ends = path.iter().enumerate().filter(|(at, c)| **c == b'/' && *at > 0).map(|(at, _)| at);
        facts.insert(b"/".to_vec(), DIR);
        for end in ends.chain([path.len()]) {
            let fact = self.stands(&path[..end]);
            let is_dir = matches!(fact, Fact::Dir { .. });
            facts.insert(path[..end].to_vec(), fact);
            if !is_dir {
                break;
            }
        }
    }

    fn list(&self, dir: &[u8], facts: &mut Facts) {
        self.tell(dir, facts);
        if matches!(self.stands(dir), Fact::Dir { .. }) && facts.get(dir).is_some() {
            let prefix = if dir == b"/" { dir.to_vec() } else { [dir, b"/"].concat() };
            let names = self.0.keys().filter_map(|path| path.strip_prefix(prefix.as_slice()));
            let names = names.filter(|name| !name.contains(&b'/')).map(<[u8]>::to_vec).collect();
            facts.insert(names_key(dir), Fact::Names(names));
        }
    }

    /// What a job may know.
    fn facts(&self, dice: &mut Dice) -> Facts {
        let mut facts = Facts::new();
        for _ in 0..=dice.roll(12) {
            self.tell(&Self::path(dice), &mut facts);
        }
        if dice.roll(4) == 0 {
            let dir = if dice.roll(3) == 0 { b"/".to_vec() } else { Self::path(dice) };
            self.list(&dir, &mut facts);
        }
        facts
    }
}

/// A job that runs.
struct Job {
    home: Home,
    facts: Facts,
    layers: Layer,
    /// What it has seen of each path.
    seen: BTreeMap<Vec<u8>, (Option<Node>, Vec<Layer>)>,
}

impl Job {
    fn new(home: Home, facts: Facts, layers: Layer, disk: &Disk) -> Self {
        let mut job = Self { home, facts, layers, seen: BTreeMap::new() };
        job.look(disk);
        job
    }

    fn look(&mut self, disk: &Disk) {
        for (path, fact) in self.facts.iter().filter(|(_, fact)| !matches!(fact, Fact::Names(_))) {
            let now = disk.view(path, self.layers);
            let seen = self.seen.entry(path.to_vec()).or_insert_with(|| now.clone());
            assert_eq!(*seen, now, "{} changed below a job: {fact:?}", String::from_utf8_lossy(path));
        }
        disk.check(&self.facts, self.layers);
    }
}

/// Plans with what more has to be told.
fn planned(tree: &Tree, home: &Home, facts: &mut Facts, at: Option<Layer>) -> Option<Plan> {
    loop {
        match tree.plan(facts, at, &every_content()) {
            Planned::Plan(plan) => return Some(plan),
            Planned::Unknown(paths) => paths.iter().for_each(|path| home.tell(path, facts)),
            Planned::Changed(_) if at.is_some() => return None,
            Planned::Full => return None,
            other => panic!("{other:?}"),
        }
    }
}

fn life(seed: u64) {
    let mut dice = Dice(seed);
    let (mut home, mut serial) = (Home::default(), 0);
    let (mut kept, mut jobs) = (Kept::default(), Vec::<Job>::new());
    for _ in 0..60 {
        (0..dice.roll(6)).for_each(|_| home.change(&mut dice, &mut serial));
        let mut facts = home.facts(&mut dice);
        let plan = planned(&kept.tree, &home, &mut facts, None).unwrap_or_else(|| {
            let (tree, steps) = kept.tree.squashed();
            kept = Kept { disk: kept.disk.squashed(&steps), tree };
            jobs.clear();
            planned(&kept.tree, &home, &mut facts, None).expect("room for a delta")
        });
        let layers = plan.layers;
        kept.disk.carry_out(&plan.steps);
        kept.tree.commit(plan);
        jobs.push(Job::new(home.clone(), facts, layers, &kept.disk));
        // One that runs asks for more.
        let chosen = usize::try_from(dice.roll(jobs.len() as u64)).unwrap();
        let job = &mut jobs[chosen];
        let mut more = job.home.facts(&mut dice);
        if let Some(plan) = planned(&kept.tree, &job.home, &mut more, Some(job.layers)) {
            assert_eq!(plan.layers, job.layers);
            kept.disk.carry_out(&plan.steps);
            kept.tree.commit(plan);
            more.iter().for_each(|(path, fact)| drop(job.facts.insert(path.to_vec(), fact.clone())));
        }
        jobs.iter_mut().for_each(|job| job.look(&kept.disk));
        if jobs.len() > 8 {
            jobs.remove(0);
        }
    }
}

#[test]
fn jobs_see_what_their_facts_say() {
    for seed in 0..60 {
        println!("seed {seed}");
        life(seed);
    }
}
