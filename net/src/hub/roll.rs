//! All peers of a hub: by number, and counted by address.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use ice_core::ids::PeerId;
use parking_lot::{Condvar, Mutex, MutexGuard};
use thiserror::Error;

use super::HubConfig;
use super::budget::{Account, Sum};
use super::peer::Peer;
use crate::stream::Stream;

#[derive(Debug, Default)]
pub(super) struct Roll {
    inner: Mutex<Inner>,
    left: Condvar,
    relief: Mutex<()>,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    peers: HashMap<PeerId, Arc<Peer>>,
    /// Only accepted TCP peers count: a host's own clients and those we dialled are not held against anybody.
    by_address: HashMap<String, Guests>,
    /// How many those are: strangers must not keep the host's own clients out.
    guests: usize,
    /// What is held for all accepted peers, and for the local ones.
    held: Sum,
    held_locally: Sum,
}

/// The accepted peers of one address.
#[derive(Debug, Default)]
struct Guests {
    count: usize,
    held: Sum,
}

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum Refusal {
    #[error("{0} connections are open, no more are taken")]
    Full(usize),
    #[error("{0} connections from that address are open, no more are taken")]
    FullForAddress(usize),
    #[error("no network of --allow has that address")]
    Stranger,
}

impl Roll {
    /// Enters a connection that was accepted.
    pub(super) fn accepted(&self, stream: Arc<Stream>, config: &HubConfig) -> Result<Arc<Peer>, Refusal> {
        if !stream.is_admitted(&config.allow) {
            return Err(Refusal::Stranger);
        }
        let address = stream.peer_address();
        let mut inner = self.inner.lock();
        let open = if address.is_empty() { inner.peers.len() - inner.guests } else { inner.guests };
        if open >= config.peers_max {
            return Err(Refusal::Full(open));
        }
        let held = if address.is_empty() {
            Arc::clone(&inner.held_locally)
        } else {
            let guests = inner.by_address.entry(address.clone()).or_default();
            if guests.count >= config.peers_per_address_max {
                return Err(Refusal::FullForAddress(guests.count));
            }
            guests.count += 1;
            let held = Arc::clone(&guests.held);
            inner.guests += 1;
            held
        };
        let account = Account::new(&inner.held, &held);
        Ok(inner.enter(address, Some(stream), Some(account), config))
    }

    /// Enters a peer that is going to be dialled.
    pub(super) fn dialled(&self, config: &HubConfig) -> Arc<Peer> {
        self.inner.lock().enter(String::new(), None, None, config)
    }

    /// Strikes a peer whose thread has ended.
    pub(super) fn strike(&self, peer: &Peer) {
        let mut inner = self.inner.lock();
        if inner.peers.remove(&peer.id).is_some() && !peer.address.is_empty() {
            inner.guests -= 1;
            if let Some(guests) = inner.by_address.get_mut(&peer.address) {
                guests.count -= 1;
                if guests.count == 0 {
                    inner.by_address.remove(&peer.address);
                }
            }
        }
        if inner.peers.is_empty() {
            self.left.notify_all();
        }
    }

    pub(super) fn find(&self, id: PeerId) -> Option<Arc<Peer>> {
        self.inner.lock().peers.get(&id).cloned()
    }

    pub(super) fn all(&self) -> Vec<Arc<Peer>> {
        self.inner.lock().peers.values().cloned().collect()
    }

    /// The peer for which most is held, of those that count for `address`, or for the address for which most is held: many small
    /// peers of one host must not cost another its connection.
    pub(super) fn heaviest(&self, address: Option<&Sum>) -> Option<(Arc<Peer>, usize)> {
        let address = address.map_or_else(|| self.heaviest_address(), Arc::clone);
        let held = self.all().into_iter().filter_map(|peer| peer.held(&address).map(|held| (peer, held)));
        held.filter(|(_, held)| *held > 0).max_by_key(|(_, held)| *held)
    }

    /// The right to cut peers because too much is held.
    pub(super) fn relief(&self) -> MutexGuard<'_, ()> {
        self.relief.lock()
    }

    /// What is held for the address for which most is held.
    fn heaviest_address(&self) -> Sum {
        let inner = self.inner.lock();
        let held = inner.by_address.values().map(|guests| &guests.held).chain([&inner.held_locally]);
        held.max_by_key(|held| held.load(Ordering::Relaxed)).map_or_else(Sum::default, Arc::clone)
    }

    pub(super) fn len(&self) -> usize {
        self.inner.lock().peers.len()
    }

    /// Waits until nobody is left, or `until`; `meanwhile` is done now and then.
    pub(super) fn wait_until_empty(&self, until: Instant, meanwhile: impl Fn()) {
        const NOW_AND_THEN: Duration = Duration::from_millis(20);
        loop {
            meanwhile();
            let mut inner = self.inner.lock();
            if inner.peers.is_empty() || Instant::now() >= until {
                return;
            }
            let _ = self.left.wait_until(&mut inner, until.min(Instant::now() + NOW_AND_THEN));
        }
    }
}

impl Inner {
    fn enter(
        &mut self,
        address: String,
        stream: Option<Arc<Stream>>,
        account: Option<Account>,
        config: &HubConfig,
    ) -> Arc<Peer> {
        self.last += 1;
        let id = PeerId(self.last);
        let peer = Arc::new(Peer::new(id, address, stream, account, config));
        self.peers.insert(id, Arc::clone(&peer));
        peer
    }
}

#[cfg(test)]
mod tests;
