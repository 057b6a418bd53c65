//! The page, its data and the metrics of `--web`: a listener of its own, which can change nothing.
//!
//! ```text
//!  the scheduler's loop ── Tap: what a monitor hears, rows ──► "web feed" ── ClusterView ──► Known ◄── connections
//!                       ◄── Want ─────────────────────────────            (a lock)       (at most 8, "web" accepts)
//! ```
//!
//! The loop never waits for it: what it tells goes into a bounded queue, and if that is full the feed begins anew.

mod answer;
mod changes;
mod feed;
mod jobs;
mod known;
mod metrics;
mod place;
mod request;
mod server;
mod site;
mod status;

use std::io;
use std::net::TcpListener;
use std::time::Instant;

use crossbeam::channel::Receiver;
use ice_net::allow::Allow;
use ice_net::listen::ListenError;

pub use feed::{Tap, Want};
pub use place::{NoPlace, Place};

/// The socket, bound while the process may still be root.
#[derive(Debug)]
pub struct Door(TcpListener);

impl Door {
    /// Binds to a place.
    pub fn open(place: Place) -> Result<Self, ListenError> {
        let address = place.address();
        TcpListener::bind(address).map(Self).map_err(|source| ListenError::Bind { address, source })
    }
}

/// What is told of the scheduler besides its feed.
#[derive(Debug)]
pub struct Identity {
    /// Its version.
    pub version: &'static str,
    /// The network that it serves.
    pub netname: String,
    /// When it began.
    pub began: Instant,
}

/// Starts the threads. Returns the loop's end of the feed, and what is wanted of the loop.
pub fn start(door: Door, allow: Allow, identity: Identity) -> io::Result<(Tap, Receiver<Want>)> {
    let (feed, tap, wants) = feed::start(identity.began)?;
    let address = door.0.local_addr()?;
    log::info!("page and metrics at http://{address}/");
    let site = site::Site::new(identity, feed, address.ip().is_loopback());
    server::start(door.0, allow, site)?;
    Ok((tap, wants))
}
