//! All peers of a hub: by number, and counted by address.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ice_core::ids::PeerId;
use parking_lot::{Condvar, Mutex};
use thiserror::Error;

use super::HubConfig;
use super::peer::Peer;
use crate::stream::Stream;

#[derive(Debug, Default)]
pub(super) struct Roll {
    inner: Mutex<Inner>,
    left: Condvar,
}

#[derive(Debug, Default)]
struct Inner {
    last: u64,
    peers: HashMap<PeerId, Arc<Peer>>,
    /// Only accepted TCP peers count: a host's own clients and those we dialled are not held against anybody.
    by_address: HashMap<String, usize>,
}

/// Why a connection was not taken.
#[derive(Clone, Copy, Debug, Error)]
pub(super) enum Refusal {
    #[error("{0} connections are open, no more are taken")]
    Full(usize),
    #[error("{0} connections from that address are open, no more are taken")]
    FullForAddress(usize),
}

impl Roll {
    /// Enters a connection that was accepted.
    pub(super) fn accepted(&self, stream: Arc<Stream>, config: &HubConfig) -> Result<Arc<Peer>, Refusal> {
        let address = stream.peer_address();
        let mut inner = self.inner.lock();
        if inner.peers.len() >= config.peers_max {
            return Err(Refusal::Full(inner.peers.len()));
        }
        if !address.is_empty() {
            let count = inner.by_address.entry(address.clone()).or_default();
            if *count >= config.peers_per_address_max {
                return Err(Refusal::FullForAddress(*count));
            }
            *count += 1;
        }
        Ok(inner.enter(address, Some(stream), config))
    }

    /// Enters a peer that is going to be dialled.
    pub(super) fn dialled(&self, config: &HubConfig) -> Arc<Peer> {
        self.inner.lock().enter(String::new(), None, config)
    }

    /// Strikes a peer whose thread has ended.
    pub(super) fn strike(&self, peer: &Peer) {
        let mut inner = self.inner.lock();
        if inner.peers.remove(&peer.id).is_some() && !peer.address.is_empty() {
            if let Some(count) = inner.by_address.get_mut(&peer.address) {
                *count -= 1;
                if *count == 0 {
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
    fn enter(&mut self, address: String, stream: Option<Arc<Stream>>, config: &HubConfig) -> Arc<Peer> {
        self.last += 1;
        let id = PeerId(self.last);
        let peer = Arc::new(Peer::new(id, address, stream, config));
        self.peers.insert(id, Arc::clone(&peer));
        peer
    }
}
