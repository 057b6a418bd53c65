//! The tree of one submitter, and a job's use of it.

use super::generation::{Generation, arrived};
use super::inbox::{Arriving, Inbox};
use super::room::{Ledger, Room};
use super::{TreeError, Trees};
use ice_core::files::tree::{Content, Layer, Plan, Planned, Tree};
use ice_core::files::{Digest, Fact, Facts, Token};
use ice_core::server::by_files::paths_of_one_need;
use parking_lot::Mutex;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// How long a job waits for contents that another one of its submitter brings.
const OTHERS: Duration = Duration::from_secs(5);

/// What is kept of a submitter.
#[derive(Debug)]
pub(super) struct Submitter {
    token: Token,
    share: Arc<AtomicU64>,
    inbox: Arc<Inbox>,
    newest: Mutex<Option<Arc<Generation>>>,
}

impl Submitter {
    /// Of whom nothing is known; what arrives lies in this directory.
    pub fn new(token: Token, arriving: PathBuf, ledger: &Arc<Ledger>) -> Self {
        let share = Arc::new(AtomicU64::new(0));
        let inbox = Arc::new(Inbox::new(arriving, Room::new(ledger, &share)));
        Self { token, share, inbox, newest: Mutex::default() }
    }
}

/// What comes of [`TreeUse::place`] and [`TreeUse::grow`].
#[derive(Debug)]
pub enum Placing {
    /// The job sees what its facts say.
    Placed,
    /// What stands at these paths must be told too.
    Unknown(Vec<Vec<u8>>),
    /// The contents of the files at these paths have to be brought first.
    Lacking(Vec<Vec<u8>>, Arriving),
    /// A job that runs cannot see this path as it is now.
    Changed(Vec<u8>),
}

/// A job's use of its submitter's tree: what it sees stays as it is for so long.
#[derive(Debug)]
pub struct TreeUse {
    trees: Arc<Trees>,
    submitter: Arc<Submitter>,
    placed: Option<(Arc<Generation>, Layer)>,
}

impl TreeUse {
    pub(super) fn new(trees: Arc<Trees>, submitter: Arc<Submitter>) -> Self {
        Self { trees, submitter, placed: None }
    }

    /// The set of facts of this digest, if this submitter sent it lately.
    pub fn set(&self, digest: &Digest) -> Option<Facts> {
        self.trees.sets.lock().get(self.submitter.token, digest)
    }

    /// Keeps a set for [`TreeUse::set`].
    pub fn keep_set(&self, digest: Digest, encoded: Vec<u8>) {
        self.trees.sets.lock().keep(self.submitter.token, digest, encoded);
    }

    /// The number of the generation that was placed, and the deltas that the job sees, the newest first.
    pub fn layers(&self) -> (u32, Vec<u32>) {
        self.placed
            .as_ref()
            .map_or((0, Vec::new()), |(generation, layers)| (generation.number, (1..=*layers).rev().collect()))
    }

    /// Has the tree hold what these facts say, a whole set.
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn place(&mut self, facts: &Facts) -> Result<Placing, TreeError> {
        self.placed = None;
        self.have(facts, None)
    }

    /// Has the tree hold more, for a job that runs since [`TreeUse::place`].
    ///
    /// # Errors
    /// If there is no room for it.
    pub fn grow(&mut self, more: &Facts) -> Result<Placing, TreeError> {
        let running = self.placed.clone();
        self.have(more, running)
    }

    fn have(&mut self, facts: &Facts, running: Option<(Arc<Generation>, Layer)>) -> Result<Placing, TreeError> {
        let until = Instant::now() + OTHERS;
        let mut is_patient = true;
        loop {
            match self.try_once(facts, running.as_ref(), is_patient)? {
                Tried::Done(placing) => return Ok(placing),
                Tried::Coming(contents) => is_patient = self.submitter.inbox.wait(&contents, until),
            }
        }
    }

    /// Plans, and does what was planned if all contents are there.
    fn try_once(
        &mut self,
        facts: &Facts,
        running: Option<&(Arc<Generation>, Layer)>,
        is_patient: bool,
    ) -> Result<Tried, TreeError> {
        let submitter = Arc::clone(&self.submitter);
        let mut newest = submitter.newest.lock();
        let mut renewals = 0;
        loop {
            let (generation, at) = match running {
                Some((generation, layers)) => (Arc::clone(generation), Some(*layers)),
                None => (self.newest(&mut newest)?, None),
            };
            let planned = generation.tree.lock().plan(facts, at, &submitter.inbox.arrived());
            let tried = match planned {
                Planned::Unknown(paths) => return Ok(Tried::Done(Placing::Unknown(paths))),
                Planned::Changed(path) => return Ok(Tried::Done(Placing::Changed(path))),
                Planned::Full => Err(TreeError::TooMany),
                Planned::Plan(plan) if plan.lacking.is_empty() => {
                    let layers = plan.layers;
                    self.carry_out(&mut newest, &generation, plan).map(|()| {
                        self.placed = Some((Arc::clone(&generation), layers));
                        Tried::Done(Placing::Placed)
                    })
                }
                Planned::Plan(plan) => self.lacking(plan, is_patient),
            };
            match tried {
                Err(TreeError::TooMany | TreeError::Share)
                    if running.is_none() && renewals < 2 && self.has_share(facts) =>
                {
                    // At first with what is there, then with nothing.
                    self.renew(&mut newest, &generation, renewals > 0)?;
                    renewals += 1;
                }
                other => return other,
            }
        }
    }

    /// The newest generation.
    fn newest(&self, newest: &mut Option<Arc<Generation>>) -> Result<Arc<Generation>, TreeError> {
        match newest {
            Some(newest) => Ok(Arc::clone(newest)),
            none => Ok(Arc::clone(none.insert(Arc::new(self.generation(Tree::default())?)))),
        }
    }

    fn generation(&self, tree: Tree) -> Result<Generation, TreeError> {
        let room = Room::new(&self.trees.ledger, &self.submitter.share);
        Generation::new(&self.trees.base, &self.submitter.token, self.trees.next_generation(), tree, room)
    }

    /// What has to be brought, and room for it; or else what others are bringing.
    fn lacking(&self, plan: Plan, is_patient: bool) -> Result<Tried, TreeError> {
        let inbox = &self.submitter.inbox;
        let is_coming = |(_, content): &(Vec<u8>, Content)| is_patient && inbox.is_coming(content);
        let (coming, mut missing): (Vec<_>, Vec<_>) = plan.lacking.into_iter().partition(is_coming);
        if missing.is_empty() {
            return Ok(Tried::Coming(coming.into_iter().map(|(_, content)| content).collect()));
        }
        // As many as are asked for at a time.
        let fitting = paths_of_one_need(missing.iter().map(|(path, _)| path));
        missing.truncate(fitting);
        let bytes = missing.iter().map(|(_, (_, size))| *size).fold(0, u64::saturating_add);
        self.trees.take(bytes, |bytes| inbox.room().take(bytes))?;
        let (paths, contents) = missing.into_iter().unzip();
        Ok(Tried::Done(Placing::Lacking(paths, inbox.announce(contents))))
    }

    /// Whether a tree that held nothing else could hold these.
    fn has_share(&self, facts: &Facts) -> bool {
        let size = |fact: &Fact| Generation::ENTRY.saturating_mul(2).saturating_add(size(fact));
        let bytes = facts.iter().map(|(_, fact)| size(fact)).fold(0, u64::saturating_add);
        bytes <= self.trees.ledger.share()
    }

    /// Begins a new generation, with what the last one holds if there is room for that.
    fn renew(&self, newest: &mut Option<Arc<Generation>>, old: &Generation, empty: bool) -> Result<(), TreeError> {
        *newest = None;
        if !empty {
            let (tree, steps) = old.tree.lock().squashed();
            let next = self.generation(tree)?;
            let taken = self.trees.take(Generation::cost(&steps), |bytes| next.take_room(bytes));
            if taken.is_ok() && next.carry_out(&steps, self.submitter.inbox.dir(), old).is_ok() {
                *newest = Some(Arc::new(next));
            }
        }
        Ok(())
    }

    fn carry_out(
        &self,
        newest: &mut Option<Arc<Generation>>,
        generation: &Arc<Generation>,
        plan: Plan,
    ) -> Result<(), TreeError> {
        let inbox = &self.submitter.inbox;
        let entries = u64::try_from(plan.entries()).unwrap_or(u64::MAX);
        let cost = Generation::cost(&plan.steps).saturating_add(entries.saturating_mul(Generation::ENTRY));
        self.trees.take(cost, |bytes| generation.take_room(bytes))?;
        if let Err(error) = generation.carry_out(&plan.steps, inbox.dir(), generation) {
            newest.take_if(|newest| Arc::ptr_eq(newest, generation));
            return Err(error);
        }
        let mut tree = generation.tree.lock();
        tree.commit(plan);
        let mut all = inbox.arrived();
        let (put, left) = std::mem::take(&mut *all).into_iter().partition(|content| tree.has(content));
        *all = left;
        for (digest, size) in put {
            // What came twice lies there yet.
            if fs::remove_file(arrived(inbox.dir(), &digest)).is_ok() {
                inbox.room().give_back(size);
            } else {
                generation.take_over(size, inbox.room());
            }
        }
        Ok(())
    }
}

/// What comes of a plan.
enum Tried {
    Done(Placing),
    /// Nothing but these contents is lacking, which other jobs are bringing.
    Coming(Vec<Content>),
}

/// Bytes of a file that have to come.
fn size(fact: &Fact) -> u64 {
    match fact {
        Fact::File(file) if file.perm & Fact::READABLE != 0 => file.size,
        _ => 0,
    }
}
