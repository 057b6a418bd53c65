//! What is to be done so that a job sees what its facts say.

use super::{Content, Layer, MAX_DELTAS, MAX_PATHS, Place, Tree, Version, content, version};
use crate::files::fact::{Fact, FileFact, child, parent};
use crate::files::facts::Facts;
use std::collections::{BTreeMap, BTreeSet};

/// What shall stand at each path; `None`: something.
type Wanted<'a> = BTreeMap<&'a [u8], Option<&'a Fact>>;

/// The outcome of [`Tree::plan`].
#[derive(Debug)]
pub enum Planned {
    /// Do this.
    Plan(Plan),
    /// A directory's names were told, but not what stands at these paths in it.
    Unknown(Vec<Vec<u8>>),
    /// Something else was said of this path before: a job that runs cannot see it.
    Changed(Vec<u8>),
    /// It takes a new generation.
    Full,
}

/// What is to be done for a job.
#[derive(Debug)]
pub struct Plan {
    /// The job sees the base and so many deltas.
    pub layers: Layer,
    /// In this order. No path of a layer is made twice, and none is replaced.
    pub steps: Vec<Step>,
    /// Files of which the contents are neither in the tree nor have arrived, with their paths. The steps can't be done
    /// before.
    pub lacking: Vec<(Vec<u8>, Content)>,
    /// For [`Tree::commit`].
    pub(super) versions: BTreeMap<Vec<u8>, Vec<Version>>,
    pub(super) listed: Vec<Vec<u8>>,
}

/// Something to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// In this layer.
    pub layer: Layer,
    /// At this path.
    pub path: Vec<u8>,
    /// This.
    pub make: Make,
}

/// What is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Make {
    /// A directory.
    Dir {
        /// What the user may do.
        perm: u8,
    },
    /// A symbolic link.
    Link {
        /// What it says.
        target: Vec<u8>,
    },
    /// A file.
    File {
        /// As this says.
        file: FileFact,
        /// Where its bytes come from.
        from: Source,
    },
    /// Hides what stands there in lower layers.
    Whiteout,
}

/// Where the bytes of a file come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The user cannot read it, so that nobody has to.
    Nothing,
    /// They have arrived.
    Arrived,
    /// A copy of another file.
    Copy(Place),
    /// It is that file, by another name.
    Same(Place),
}

impl Plan {
    /// How much more the tree speaks of afterwards.
    pub fn entries(&self) -> usize {
        self.versions.len()
    }
}

impl Tree {
    /// Plans what is to be done for a job with these facts, a whole set. `at`: the job runs and sees so many deltas; then the
    /// facts may be a part of a set of which the rest was planned. `arrived` are contents that have come.
    pub fn plan(&self, facts: &Facts, at: Option<Layer>, arrived: &BTreeSet<Content>) -> Planned {
        let (wanted, unknown) = self.wanted(facts);
        if !unknown.is_empty() {
            return Planned::Unknown(unknown);
        }
        let mut views = at.map_or(all_views(self.deltas), |deltas| 1 << deltas);
        for (path, fact) in &wanted {
            views &= self.agreeing(path, *fact);
            if views == 0 && at.is_some() {
                return Planned::Changed(path.to_vec());
            }
        }
        if self.len() + wanted.len() > MAX_PATHS {
            return Planned::Full;
        }
        // The newest: what others add is of most use there.
        let layers = match views.checked_ilog2() {
            Some(newest) => newest,
            None if self.deltas == MAX_DELTAS => return Planned::Full,
            None => self.deltas + 1,
        };
        let listed = facts.iter().filter(|(_, fact)| matches!(fact, Fact::Names(_)));
        let mut making = Making::new(self, arrived, layers);
        making.plan.listed = listed.filter_map(|(key, _)| parent(key)).map(<[u8]>::to_vec).collect();
        wanted
            .iter()
            .filter_map(|(path, fact)| Some((*path, (*fact)?)))
            .for_each(|(path, fact)| making.want(path, fact));
        Planned::Plan(making.plan)
    }

    /// What must be so: the facts, and what follows from names that are told; `None`: something stands there. And the paths of
    /// which more must be told.
    fn wanted<'a>(&'a self, facts: &'a Facts) -> (Wanted<'a>, Vec<Vec<u8>>) {
        let (names, others): (Vec<_>, Vec<_>) = facts.iter().partition(|(_, fact)| matches!(fact, Fact::Names(_)));
        let mut wanted: Wanted<'_> = others.into_iter().map(|(path, fact)| (path, Some(fact))).collect();
        let mut unknown = Vec::new();
        for (key, fact) in names {
            let (Fact::Names(names), Some(dir)) = (fact, parent(key)) else { continue };
            for child in self.children(dir) {
                let is_told = child.rsplit(|c| *c == b'/').next().is_some_and(|name| is_among(names, name));
                wanted.entry(child).or_insert((!is_told).then_some(&Fact::Absent));
            }
            for name in names {
                let child = child(dir, name);
                let stands = self.stands(&child, self.deltas).is_some_and(|fact| *fact != Fact::Absent);
                if !stands && facts.get(&child).is_none() {
                    unknown.push(child);
                }
            }
        }
        (wanted, unknown)
    }

    /// The views in which a path is so, as bits.
    fn agreeing(&self, path: &[u8], fact: Option<&Fact>) -> u32 {
        if path == b"/" {
            return all_views(self.deltas);
        }
        let Some(versions) = self.paths.get(path) else {
            let free = fact.is_some_and(|fact| *fact == Fact::Absent || !self.is_listed(path));
            return if free { all_views(self.deltas) } else { 0 };
        };
        let agrees = |view: &Layer| {
            let stands = version(versions, *view).map_or(&Fact::Absent, |version| &version.fact);
            fact.map_or(*stands != Fact::Absent, |fact| same(fact, stands))
        };
        (0..=self.deltas).filter(agrees).map(|view| 1 << view).sum()
    }
}

/// Whether two facts are the same for who looks. What cannot be read has no contents.
fn same(a: &Fact, b: &Fact) -> bool {
    match (a, b) {
        (Fact::File(a), Fact::File(b)) if a.perm & Fact::READABLE == 0 => {
            FileFact { digest: b.digest, ..a.clone() } == *b
        }
        (a, b) => a == b,
    }
}

/// The bits of all views.
fn all_views(deltas: Layer) -> u32 {
    u32::MAX >> (u32::BITS - 1 - deltas)
}

fn is_among(names: &[Vec<u8>], name: &[u8]) -> bool {
    names.binary_search_by(|n| n.as_slice().cmp(name)).is_ok()
}

/// A plan that is being made.
struct Making<'a> {
    tree: &'a Tree,
    arrived: &'a BTreeSet<Content>,
    /// What is seen before: a view of the tree.
    before: Layer,
    /// Files of this plan by digest, and by group.
    contents: BTreeMap<Content, Place>,
    links: BTreeMap<u64, Vec<(FileFact, Place)>>,
    /// Directories that are in the new delta.
    dirs: BTreeSet<Vec<u8>>,
    plan: Plan,
}

impl<'a> Making<'a> {
    fn new(tree: &'a Tree, arrived: &'a BTreeSet<Content>, layers: Layer) -> Self {
        let plan =
            Plan { layers, steps: Vec::new(), lacking: Vec::new(), versions: BTreeMap::new(), listed: Vec::new() };
        let (contents, links, dirs) = (BTreeMap::new(), BTreeMap::new(), BTreeSet::new());
        Self { tree, arrived, before: layers.min(tree.deltas), contents, links, dirs, plan }
    }

    /// This shall stand at a path. Paths come in order.
    fn want(&mut self, path: &[u8], fact: &Fact) {
        let tree = self.tree;
        match tree.stands(path, self.before) {
            Some(stands) if path == b"/" || same(fact, stands) => {}
            Some(stands) => self.change(path, fact, stands),
            None => self.grow(path, fact),
        }
    }

    /// What nobody spoke of is added to its directory.
    fn grow(&mut self, path: &[u8], fact: &Fact) {
        let (root, gone) = parent(path).map_or((0, None), |dir| self.life_of(dir));
        self.add(root, path, fact);
        // Where the directory is no more, in views above this one, this is not either.
        let gone = gone.map(|layer| Version { layer, fact: Fact::Absent });
        self.plan.versions.entry(path.to_vec()).or_default().extend(gone);
    }

    /// The layer in which a directory grows, and the one, if any, from which on it is gone.
    fn life_of(&self, dir: &[u8]) -> (Layer, Option<Layer>) {
        let gone = |versions: &[Version]| {
            let later = versions.iter().find(|v| v.layer > self.before && !matches!(v.fact, Fact::Dir { .. }));
            later.map(|version| version.layer)
        };
        let in_tree = self.tree.paths.get(dir).map(Vec::as_slice);
        let stood = in_tree.is_some_and(|versions| {
            version(versions, self.before).is_some_and(|version| matches!(version.fact, Fact::Dir { .. }))
        });
        match (self.plan.versions.get(dir), in_tree) {
            // It stands already, at most with other permissions.
            (_, Some(versions)) if stood => (self.tree.root(dir, self.before), gone(versions)),
            (Some(versions), _) => (versions.first().map_or(0, |version| version.layer), gone(versions)),
            (None, _) => (0, None),
        }
    }

    /// What was spoken of is different from now on, in a new delta.
    fn change(&mut self, path: &[u8], fact: &Fact, before: &Fact) {
        let delta = self.plan.layers;
        if matches!(before, Fact::Dir { .. }) && !matches!(fact, Fact::Dir { .. }) {
            let tree = self.tree;
            tree.below(path).for_each(|path| self.say(delta, path, &Fact::Absent));
        }
        if let Some(dir) = parent(path) {
            self.hold(dir);
        }
        if *fact == Fact::Absent {
            self.step(delta, path, Make::Whiteout);
        }
        self.add(delta, path, fact);
    }

    /// The new delta holds this directory, so that something can be put into it.
    fn hold(&mut self, dir: &[u8]) {
        if !self.dirs.insert(dir.to_vec()) {
            return;
        }
        if let Some(above) = parent(dir) {
            self.hold(above);
        }
        if let Some(Fact::Dir { perm }) = self.tree.stands(dir, self.before) {
            let perm = *perm;
            self.step(self.plan.layers, dir, Make::Dir { perm });
        }
    }

    /// Something is put into a layer.
    fn add(&mut self, layer: Layer, path: &[u8], fact: &Fact) {
        match fact {
            Fact::Absent | Fact::Names(_) => {}
            Fact::Dir { perm } => {
                if layer > self.tree.deltas {
                    self.dirs.insert(path.to_vec());
                }
                self.step(layer, path, Make::Dir { perm: *perm });
            }
            Fact::Link { target } => self.step(layer, path, Make::Link { target: target.clone() }),
            Fact::File(file) => {
                let from = self.source(layer, path, file);
                self.step(layer, path, Make::File { file: file.clone(), from });
            }
        }
        self.say(layer, path, fact);
    }

    fn source(&mut self, layer: Layer, path: &[u8], file: &FileFact) -> Source {
        let place = Place { layer, path: path.to_vec() };
        if file.group != 0 {
            let known = [self.tree.links.get(&file.group), self.links.get(&file.group)];
            if let Some((_, at)) = known.into_iter().flatten().flatten().find(|(other, _)| other == file) {
                return Source::Same(at.clone());
            }
            self.links.entry(file.group).or_default().push((file.clone(), place.clone()));
        }
        if file.perm & Fact::READABLE == 0 {
            return Source::Nothing;
        }
        if let Some(at) = self.tree.contents.get(&content(file)).or_else(|| self.contents.get(&content(file))) {
            return Source::Copy(at.clone());
        }
        if !self.arrived.contains(&content(file)) {
            self.plan.lacking.push((path.to_vec(), content(file)));
        }
        self.contents.insert(content(file), place);
        Source::Arrived
    }

    fn step(&mut self, layer: Layer, path: &[u8], make: Make) {
        self.plan.steps.push(Step { layer, path: path.to_vec(), make });
    }

    fn say(&mut self, layer: Layer, path: &[u8], fact: &Fact) {
        self.plan.versions.entry(path.to_vec()).or_default().push(Version { layer, fact: fact.clone() });
    }
}
