//! Archives that arrive: who brings them, and how much of the disk each may take.

use crate::env::EnvId;
use crate::ids::PeerId;
use crate::text::Text;
use std::collections::BTreeMap;

/// Maximum number that arrive at a time: each takes an unpacker.
const ARRIVING_MAX: usize = 16;
/// With a smaller cache than this, arrivals are bounded as with this one: a single compiler may be larger than the
/// cache.
const CACHE_MIN: u64 = 1 << 30;
/// No compiler is smaller by much: what has no room for this is not begun.
const ROOM_MIN: u64 = 64 << 20;

/// All that arrive, by the connections that bring them. Together they take less than twice the cache limit.
#[derive(Debug, Default)]
pub(super) struct Arrivals(BTreeMap<PeerId, Arrival>);

/// One of them, until its sender's thread has reported, even if the sender is gone.
#[derive(Debug)]
pub(super) struct Arrival {
    env: EnvId,
    address: Text,
    /// Bytes that it may take of the disk.
    room: u64,
    /// Where it is being installed.
    installs: Option<EnvId>,
}

impl Arrival {
    /// What it was brought as.
    pub fn env(&self) -> &EnvId {
        &self.env
    }

    /// Who brings it.
    pub fn address(&self) -> &Text {
        &self.address
    }

    /// What it is being installed as.
    pub fn installs(&self) -> Option<&EnvId> {
        self.installs.as_ref()
    }
}

impl Arrivals {
    /// One begins to arrive, at a daemon with this cache limit. Returns the bytes that it may take; `None`: too many
    /// arrive.
    ///
    /// Each gets half of what is left, of all and of its address's three quarters: whoever brings much, others can
    /// bring something.
    pub fn begin(&mut self, peer: PeerId, env: &EnvId, address: &Text, cache_limit: u64) -> Option<u64> {
        let all = cache_limit.max(CACHE_MIN).saturating_mul(2);
        let taken = |which: &dyn Fn(&Arrival) -> bool| -> u64 {
            self.0.values().filter(|arrival| which(arrival)).map(|arrival| arrival.room).sum()
        };
        let left = all.saturating_sub(taken(&|_| true));
        let left_to_address = (all / 4 * 3).saturating_sub(taken(&|arrival| arrival.address == *address));
        let room = left.min(left_to_address) / 2;
        if self.0.len() >= ARRIVING_MAX || room < ROOM_MIN {
            return None;
        }
        self.0.insert(peer, Arrival { env: env.clone(), address: address.clone(), room, installs: None });
        Some(room)
    }

    /// The one that a connection brings.
    pub fn of(&self, peer: PeerId) -> Option<&Arrival> {
        self.0.get(&peer)
    }

    /// Whether an address brings this.
    pub fn are_from(&self, address: &Text, env: &EnvId) -> bool {
        self.0.values().any(|arrival| arrival.address == *address && arrival.env == *env)
    }

    /// Whether somebody brings this.
    pub fn include(&self, env: &EnvId) -> bool {
        self.0.values().any(|arrival| arrival.env == *env || arrival.installs() == Some(env))
    }

    /// One is unpacked and is being installed as this.
    pub fn installs(&mut self, peer: PeerId, env: &EnvId) {
        if let Some(arrival) = self.0.get_mut(&peer) {
            arrival.installs = Some(env.clone());
        }
    }

    /// One is over.
    pub fn end(&mut self, peer: PeerId) -> Option<Arrival> {
        self.0.remove(&peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_take_less_than_twice_the_cache_and_others_have_room_beside_one_who_takes_all_he_can() {
        const GIB: u64 = 1 << 30;
        for limit in [0, GIB, 8 * GIB] {
            let mut arrivals = Arrivals::default();
            let env = EnvId::new(b"x86_64", b"e").unwrap();
            let (mut peers, mut sum) = (0, 0);
            let mut bring = |arrivals: &mut Arrivals, address: &str| {
                peers += 1;
                let room = arrivals.begin(PeerId(peers), &env, &address.into(), limit);
                sum += room.unwrap_or(0);
                room
            };
            let limit = limit.max(GIB);
            let first = std::iter::from_fn(|| bring(&mut arrivals, "10.0.0.1")).collect::<Vec<_>>();
            assert_eq!(first[0], limit / 4 * 3, "a large one alone");
            assert!(first.len() >= 4 && first.len() < ARRIVING_MAX);
            assert!(bring(&mut arrivals, "10.0.0.2").is_some_and(|room| room >= limit / 4));
            (3..40).for_each(|n| _ = bring(&mut arrivals, &format!("10.0.0.{n}")));
            assert!(sum < 2 * limit && arrivals.0.len() <= ARRIVING_MAX);
        }
    }

    #[test]
    fn what_is_over_leaves_its_room() {
        let mut arrivals = Arrivals::default();
        let (a, env) = (Text::from("10.0.0.1"), EnvId::new(b"x86_64", b"e").unwrap());
        let room = arrivals.begin(PeerId(1), &env, &a, 0);
        assert!(arrivals.include(&env) && arrivals.are_from(&a, &env) && !arrivals.are_from(&"b".into(), &env));
        let other = EnvId::new(b"x86_64", b"other").unwrap();
        arrivals.installs(PeerId(1), &other);
        assert!(arrivals.include(&other));
        assert_eq!(arrivals.end(PeerId(1)).unwrap().env(), &env);
        assert!(!arrivals.include(&env) && arrivals.end(PeerId(1)).is_none());
        assert_eq!(arrivals.begin(PeerId(2), &env, &a, 0), room);
    }
}
