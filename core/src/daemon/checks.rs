//! Which environment is checked next.
//!
//! One check runs at a time, and it takes as long as the programs that somebody sent: up to 10 s for each. So time counts by
//! address. Who has taken the least goes first. Who has taken more than a turn gives way to those who have not, and its check
//! begins again when they are done: nobody is refused, as this host may be slow.

use crate::env::EnvId;
use crate::ids::PeerId;
use crate::text::Text;
use crate::time::{Duration, Instant};
use std::collections::BTreeMap;

/// Time that an address may take before others go first. On an idle host a check takes a few tenths of a second.
const TURN: Duration = Duration::from_secs(2);
/// Time in which one part of the time taken is forgotten: a turn is new after 40 s.
const FORGOTTEN: u32 = 20;
/// Most that is remembered of an address: a slow host must not be last for a day.
const TAKEN_MAX: Duration = Duration::from_secs(60);
/// Most addresses that are remembered. Each has had a check.
const ADDRESSES_MAX: usize = 1024;

/// A connection that waits for the check of an environment. A plain value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Waiting {
    /// Time that its address took lately; filled in by [`Checks::waiting`].
    taken: Duration,
    /// The connection: who came first goes first among equals.
    peer: PeerId,
    address: Text,
    env: EnvId,
}

/// What is to be done now: a plain value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The check of this environment begins.
    Begin(EnvId),
    /// The check that runs ends early.
    Stop,
}

/// The check that runs, and who took how much time.
#[derive(Debug, Default)]
pub(super) struct Checks {
    running: Option<Running>,
    taken: BTreeMap<Text, Taken>,
}

#[derive(Debug)]
struct Running {
    env: EnvId,
    address: Text,
    begun: Instant,
    /// When its address has taken a whole turn.
    turn_over: Instant,
    /// When it gives way to one of those that waited last, if it does.
    gives_way: Option<Instant>,
    stopped: bool,
}

/// Time that checks of an address took, as of some moment.
#[derive(Debug)]
struct Taken {
    time: Duration,
    at: Instant,
}

impl Taken {
    fn left(&self, now: Instant) -> Duration {
        self.time.saturating_sub(now.since(self.at) / FORGOTTEN)
    }
}

impl Checks {
    /// A connection of this address waits for the check of an environment.
    pub fn waiting(&self, now: Instant, peer: PeerId, address: &Text, env: &EnvId) -> Waiting {
        Waiting { taken: self.taken(now, address), peer, address: address.clone(), env: env.clone() }
    }

    /// What is to be done for those that wait.
    pub fn turn(&mut self, now: Instant, waiting: Vec<Waiting>) -> Option<Turn> {
        if let Some(running) = &mut self.running {
            let goes_first = |w: &Waiting| w.taken < TURN && w.address != running.address;
            let gives_way = !running.stopped && waiting.iter().any(goes_first);
            running.stopped |= gives_way && running.turn_over <= now;
            running.gives_way = (gives_way && !running.stopped).then_some(running.turn_over);
            return (gives_way && running.stopped).then_some(Turn::Stop);
        }
        let Waiting { taken, address, env, .. } = waiting.into_iter().min_by_key(|w| (w.taken, w.peer))?;
        let turn_over = now + TURN.saturating_sub(taken);
        self.running =
            Some(Running { env: env.clone(), address, begun: now, turn_over, gives_way: None, stopped: false });
        Some(Turn::Begin(env))
    }

    /// When [`Self::turn`] must be asked again: the running check has to give way then.
    pub fn due(&self) -> Option<Instant> {
        self.running.as_ref()?.gives_way
    }

    /// The check of this environment has ended.
    pub fn ended(&mut self, now: Instant, env: &EnvId) {
        let Some(running) = self.running.take_if(|running| running.env == *env) else { return };
        let time = self.taken(now, &running.address) + now.since(running.begun);
        self.taken.retain(|_, taken| !taken.left(now).is_zero());
        if self.taken.len() < ADDRESSES_MAX {
            self.taken.insert(running.address, Taken { time: time.min(TAKEN_MAX), at: now });
        }
    }

    fn taken(&self, now: Instant, address: &Text) -> Duration {
        self.taken.get(address).map_or(Duration::ZERO, |taken| taken.left(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks, a clock, and who waits: connection, address and environment, whose names are numbers.
    struct Scenario {
        checks: Checks,
        now: Instant,
        waiting: Vec<(u64, &'static str)>,
    }

    fn env(peer: u64) -> EnvId {
        EnvId::new(b"x86_64", format!("e{peer}").as_bytes()).unwrap()
    }

    impl Scenario {
        fn new(waiting: &[(u64, &'static str)]) -> Self {
            Self { checks: Checks::default(), now: Instant::from_micros(1 << 40), waiting: waiting.to_vec() }
        }

        fn list(&self) -> Vec<Waiting> {
            let waiting = |(peer, address): &(u64, &str)| {
                self.checks.waiting(self.now, PeerId(*peer), &Text::from(*address), &env(*peer))
            };
            self.waiting.iter().map(waiting).collect()
        }

        /// In how many seconds the running check gives way.
        fn due(&self) -> Option<u64> {
            self.checks.due().map(|at| at.since(self.now).as_secs())
        }

        /// What is to be done; a check that begins is waited for no more.
        fn turn(&mut self) -> Option<Turn> {
            let turn = self.checks.turn(self.now, self.list());
            if let Some(Turn::Begin(begun)) = &turn {
                self.waiting.retain(|(peer, _)| env(*peer) != *begun);
            }
            turn
        }

        fn pass(&mut self, seconds: u64) {
            self.now = self.now + Duration::from_secs(seconds);
        }

        /// Begins the next check and ends it after a while; whose it is.
        fn check(&mut self, seconds: u64) -> Option<EnvId> {
            let Some(Turn::Begin(env)) = self.turn() else { return None };
            self.pass(seconds);
            self.checks.ended(self.now, &env);
            Some(env)
        }
    }

    #[test]
    fn addresses_take_turns() {
        let mut s = Scenario::new(&[(1, "a"), (2, "a"), (3, "a"), (4, "b"), (5, "c")]);
        let order: Vec<_> = std::iter::from_fn(|| s.check(1)).collect();
        assert_eq!(order, [1, 4, 5, 2, 3].map(env));
    }

    #[test]
    fn a_long_check_gives_way_to_who_took_little() {
        let mut s = Scenario::new(&[(1, "slow")]);
        assert_eq!(s.turn(), Some(Turn::Begin(env(1))));
        assert_eq!(s.turn(), None, "nobody waits");
        s.waiting = vec![(2, "slow")];
        s.pass(3);
        assert_eq!((s.turn(), s.due()), (None, None), "one of its own does not go first");
        s.waiting.push((3, "other"));
        assert_eq!((s.turn(), s.due()), (Some(Turn::Stop), None));
        assert_eq!((s.turn(), s.due()), (None, None), "it is told once");
        s.checks.ended(s.now, &env(1));
        s.waiting.push((1, "slow"));
        assert_eq!([s.check(1), s.check(9), s.check(9)], [3, 1, 2].map(|n| Some(env(n))), "nobody is refused");
    }

    #[test]
    fn who_took_much_gives_way_at_once_and_who_is_new_after_a_turn() {
        let mut s = Scenario::new(&[(1, "slow")]);
        s.check(30);
        s.waiting = vec![(2, "slow")];
        s.turn();
        s.waiting = vec![(3, "new")];
        assert_eq!(s.turn(), Some(Turn::Stop));
        s.checks.ended(s.now, &env(2));
        assert_eq!(s.turn(), Some(Turn::Begin(env(3))));
        s.waiting = vec![(2, "slow"), (4, "newer")];
        assert_eq!((s.turn(), s.due()), (None, Some(2)));
        s.waiting = vec![(2, "slow")];
        s.pass(5);
        assert_eq!((s.turn(), s.due()), (None, None), "who took much waits for the end of any check");
    }

    #[test]
    fn hosts_on_which_each_check_takes_long_do_not_stop_each_other() {
        let mut s = Scenario::new(&[(1, "a")]);
        s.check(20);
        s.waiting = vec![(2, "b")];
        s.check(20);
        s.waiting = vec![(3, "a"), (4, "b")];
        assert!(matches!(s.turn(), Some(Turn::Begin(_))));
        s.pass(10);
        assert_eq!((s.turn(), s.due()), (None, None));
    }

    #[test]
    fn what_an_address_took_is_forgotten() {
        let mut s = Scenario::new(&[(1, "slow")]);
        s.check(3600);
        s.pass(TAKEN_MAX.as_secs() * u64::from(FORGOTTEN));
        s.waiting = vec![(2, "slow")];
        s.turn();
        s.waiting = vec![(3, "other")];
        assert_eq!((s.turn(), s.due()), (None, Some(2)), "as new");
        s.checks.ended(s.now, &env(2));
        assert!(s.checks.taken.len() <= 1, "{:?}", s.checks.taken);
    }
}
