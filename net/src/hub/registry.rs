//! All peers of a hub by number, with counts per address.

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

/// The peers of a hub.
#[derive(Debug, Default)]
pub(super) struct Registry {
    /// The peers.
    inner: Mutex<Inner>,
    /// Notified when the last peer has left.
    left: Condvar,
    /// Held while peers are cut.
    enforcement: Mutex<()>,
}

/// What the lock protects.
#[derive(Debug, Default)]
struct Inner {
    /// The number given last.
    last: u64,
    /// All peers.
    peers: HashMap<PeerId, Arc<Peer>>,
    /// Accepted TCP peers by address. Local clients and dialled peers are not counted.
    by_address: HashMap<String, AddressPeers>,
    /// Number of those peers. It is separate, so that other hosts cannot use up the connections of local clients.
    remote: usize,
    /// Bytes held for all accepted peers, and for the local ones.
    held: Sum,
    held_locally: Sum,
}

/// The accepted peers of one address.
#[derive(Debug, Default)]
struct AddressPeers {
    /// Number of peers.
    count: usize,
    held: Sum,
}

/// Why a connection was refused.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum Refusal {
    /// The maximum number of connections is reached.
    #[error("{0} connections are open, no more are taken")]
    Full(usize),
    /// The maximum number of connections from the address is reached.
    #[error("{0} connections from that address are open, no more are taken")]
    FullForAddress(usize),
    /// The address is in none of the networks that may connect.
    #[error("no network of --allow has that address")]
    Denied,
}

impl Registry {
    /// Adds an accepted connection, unless a limit or the list of networks refuses it.
    pub(super) fn add_accepted(&self, stream: Arc<Stream>, config: &HubConfig) -> Result<Arc<Peer>, Refusal> {
        if !stream.is_admitted(&config.allow) {
            return Err(Refusal::Denied);
        }
        let address = stream.peer_address();
        let mut inner = self.inner.lock();
        let open = if address.is_empty() { inner.peers.len() - inner.remote } else { inner.remote };
        if open >= config.connections.all {
            return Err(Refusal::Full(open));
        }
        let held = if address.is_empty() {
            Arc::clone(&inner.held_locally)
        } else {
            let peers = inner.by_address.entry(address.clone()).or_default();
            if peers.count >= config.connections.of_address {
                return Err(Refusal::FullForAddress(peers.count));
            }
            peers.count += 1;
            let held = Arc::clone(&peers.held);
            inner.remote += 1;
            held
        };
        let account = Account::new(&inner.held, &held);
        Ok(inner.insert(address, Some(stream), Some(account), config))
    }

    /// Adds a peer that is to be dialled.
    pub(super) fn add_dialled(&self, config: &HubConfig) -> Arc<Peer> {
        self.inner.lock().insert(String::new(), None, None, config)
    }

    /// Removes a peer whose thread has ended.
    pub(super) fn remove(&self, peer: &Peer) {
        let mut inner = self.inner.lock();
        if inner.peers.remove(&peer.id).is_some() && !peer.address.is_empty() {
            inner.remote -= 1;
            if let Some(peers) = inner.by_address.get_mut(&peer.address) {
                peers.count -= 1;
                if peers.count == 0 {
                    inner.by_address.remove(&peer.address);
                }
            }
        }
        if inner.peers.is_empty() {
            self.left.notify_all();
        }
    }

    /// The peer with this number.
    pub(super) fn find(&self, id: PeerId) -> Option<Arc<Peer>> {
        self.inner.lock().peers.get(&id).cloned()
    }

    /// All peers.
    pub(super) fn all(&self) -> Vec<Arc<Peer>> {
        self.inner.lock().peers.values().cloned().collect()
    }

    /// The peer for which most bytes are held, and how many. It is chosen among those of `address` or, with `None`, of
    /// the address for which most is held: many small peers of one host must not cost another its connection.
    pub(super) fn heaviest(&self, address: Option<&Sum>) -> Option<(Arc<Peer>, usize)> {
        let address = address.map_or_else(|| self.heaviest_address(), Arc::clone);
        let held = self.all().into_iter().filter_map(|peer| peer.held(&address).map(|held| (peer, held)));
        held.filter(|(_, held)| *held > 0).max_by_key(|(_, held)| *held)
    }

    /// The lock to hold while peers are cut because too much is held.
    pub(super) fn enforcement(&self) -> MutexGuard<'_, ()> {
        self.enforcement.lock()
    }

    /// The sum of the address for which most is held.
    fn heaviest_address(&self) -> Sum {
        let inner = self.inner.lock();
        let held = inner.by_address.values().map(|peers| &peers.held).chain([&inner.held_locally]);
        held.max_by_key(|held| held.load(Ordering::Relaxed)).map_or_else(Sum::default, Arc::clone)
    }

    /// The number of peers.
    pub(super) fn len(&self) -> usize {
        self.inner.lock().peers.len()
    }

    /// Waits until no peer is left, or `until`. `meanwhile` is called repeatedly.
    pub(super) fn wait_until_empty(&self, until: Instant, meanwhile: impl Fn()) {
        const MEANWHILE_INTERVAL: Duration = Duration::from_millis(20);
        loop {
            meanwhile();
            let mut inner = self.inner.lock();
            if inner.peers.is_empty() || Instant::now() >= until {
                return;
            }
            let _ = self.left.wait_until(&mut inner, until.min(Instant::now() + MEANWHILE_INTERVAL));
        }
    }
}

impl Inner {
    /// Adds a peer with the next number.
    fn insert(
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
