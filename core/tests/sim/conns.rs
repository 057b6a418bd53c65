//! Connections between clients and daemons: messages travel late and in order; ends may be told to one side only.

use crate::clients::Event;
use crate::hosts;
use crate::network::Lane;
use crate::servers::Thread;
use crate::world::{self, What, World};
use ice_core::daemon::{Input, Origin};
use ice_core::env::EnvId;
use ice_core::ids::PeerId;
use ice_core::message::Message;
use ice_core::time::{Duration, Instant};
use ice_core::version::Version;
use std::collections::VecDeque;

/// After so long the system finds that the other end of a silent connection is gone (`net/PROTOCOL.md`, Transports).
const KEEPALIVE: Duration = Duration::from_secs(36);

/// A client's connection to a daemon.
pub struct Conn {
    pub host: usize,
    pub build: usize,
    /// To a compile server; else to the own daemon.
    pub remote: bool,
    /// What the daemon's thread for it does.
    pub thread: Thread,
    /// What has arrived and is not read.
    pub inbox: VecDeque<Message>,
    /// The client has closed it.
    pub is_hung_up: bool,
    /// Nothing passes any more.
    is_dead: bool,
    /// When its client learns of it, and of its end not before.
    known_at: Instant,
    up: Lane,
    down: Lane,
    /// The environment that its job runs in.
    pub running: Option<EnvId>,
    /// Its job was granted a slot and has not been reported.
    pub owes_report: bool,
    /// When the timer of its job is set for.
    pub timer: Option<Instant>,
}

impl World {
    /// A new connection to a daemon that is alive.
    pub fn open(&mut self, host: usize, build: usize, remote: bool) -> PeerId {
        let peer = self.peer();
        let conn = Conn {
            host,
            build,
            remote,
            thread: Thread::Loop,
            inbox: VecDeque::new(),
            is_hung_up: false,
            is_dead: false,
            known_at: self.now,
            up: Lane::default(),
            down: Lane::default(),
            running: None,
            owes_report: false,
            timer: None,
        };
        self.conns.insert(peer, conn);
        let address = if remote { hosts::address(self.builds[build].submitter) } else { "local".into() };
        let origin = if remote { Origin::OtherHost } else { Origin::ThisHost };
        self.tell(host, Input::Opened { peer, version: Version::TO_CLIENT, address, origin });
        peer
    }

    /// A client's connection reaches a compile server, or what is left of it.
    pub fn arrive(&mut self, server: usize, build: usize, attempt: u32) {
        let current = &self.builds[build];
        if current.attempt != attempt || current.submission.is_none() {
            return;
        }
        let host = &self.hosts[server];
        if !host.serves {
            let at = self.later();
            return self.schedule_build(build, at, Event::Dialled(None));
        }
        if host.frozen || host.dark_until > self.now {
            // The kernel takes the connection or nothing does, nobody answers: the client's patience ends it.
            let at = self.now + Duration::from_millis(500);
            return self.schedule(at, world::Event::Arrive { server, build, attempt });
        }
        let peer = self.open(server, build, true);
        let at = self.later();
        if let Some(conn) = self.conns.get_mut(&peer) {
            conn.known_at = at;
        }
        self.schedule_build(build, at, Event::Dialled(Some(peer)));
    }

    /// Says something to a daemon.
    pub fn say(&mut self, peer: PeerId, message: Message) {
        let Some(conn) = self.conns.get_mut(&peer) else { return };
        let host = conn.host;
        if !conn.remote {
            return self.tell(host, Input::Message { peer, message });
        }
        if let Some(at) = self.arrival(peer, true) {
            self.schedule_on(host, at, What::Said { peer, message });
        }
    }

    /// Says something to a client.
    pub fn answer(&mut self, peer: PeerId, message: Message) {
        let Some(build) = self.conns.get(&peer).map(|c| c.build) else { return };
        if let Some(at) = self.arrival(peer, false) {
            self.schedule_build(build, at, Event::Hears(peer, message));
        }
    }

    /// When what is sent now is there, if ever.
    fn arrival(&mut self, peer: PeerId, up: bool) -> Option<Instant> {
        let conn = self.conns.get_mut(&peer).filter(|c| !c.is_dead)?;
        if !conn.remote {
            return Some(self.now);
        }
        let from = self.now.max(self.hosts[conn.host].dark_until);
        let lane = if up { &mut conn.up } else { &mut conn.down };
        Some(self.network.arrival(&mut self.rng, from, lane))
    }

    /// The client closes it; the daemon notices after what is on its way already.
    pub fn hang_up(&mut self, peer: PeerId) {
        let Some(host) = self.conns.get(&peer).map(|c| c.host) else { return };
        if let Some(at) = self.arrival(peer, true) {
            self.schedule_on(host, at, What::HungUp(peer));
        }
    }

    /// The daemon closes it, or has noticed its end; the client learns it after what was said before.
    pub fn peer_closed(&mut self, host: usize, peer: PeerId) {
        let told = self.arrival(peer, false);
        let Some(conn) = self.conns.remove(&peer) else { return };
        self.checkers.stops(host, peer.0);
        // What has not come, or nobody asked for in the end, is not installed.
        if let Thread::Transfer { order: Some(Some(_)), .. } = conn.thread {
            self.tell(host, Input::Received { peer, outcome: Err("truncated".into()) });
        }
        self.tell(host, Input::Closed { peer });
        if let Some(at) = told {
            self.schedule_build(conn.build, at.max(conn.known_at), Event::Gone(peer));
        }
    }

    /// A machine died: whoever was connected to it notices, and its own clients' servers do; at once, or late, as nobody is left
    /// to say so.
    pub fn connections_die(&mut self, host: usize) {
        self.daemon_connections_die(host);
        let orphaned: Vec<PeerId> =
            self.conns.iter().filter(|(_, c)| self.builds[c.build].submitter == host).map(|(p, _)| *p).collect();
        for peer in orphaned {
            self.tell_server(peer);
        }
    }

    /// The same for its daemon alone.
    pub fn daemon_connections_die(&mut self, host: usize) {
        let dead: Vec<PeerId> = self.conns.iter().filter(|(_, c)| c.host == host).map(|(peer, _)| *peer).collect();
        for peer in dead {
            self.tell_client(peer);
            self.conns.remove(&peer);
        }
    }

    /// Its connections to clients of other hosts break. One end may have to find out by itself.
    pub fn break_connections(&mut self, host: usize) {
        let broken: Vec<PeerId> =
            self.conns.iter().filter(|(_, c)| c.host == host && c.remote).map(|(peer, _)| *peer).collect();
        for peer in broken {
            self.tell_client(peer);
            self.tell_server(peer);
        }
    }

    /// How long the end of a broken connection takes to learn it.
    fn notice(&mut self) -> Instant {
        let at = self.later();
        if self.rng.per_mille(500) { at } else { at + KEEPALIVE }
    }

    fn tell_client(&mut self, peer: PeerId) {
        let Some(conn) = self.conns.get_mut(&peer) else { return };
        conn.is_dead = true;
        let (build, remote, known_at) = (conn.build, conn.remote, conn.known_at);
        let at = if remote { self.notice() } else { self.now };
        self.schedule_build(build, at.max(known_at), Event::Gone(peer));
    }

    fn tell_server(&mut self, peer: PeerId) {
        let Some(conn) = self.conns.get_mut(&peer) else { return };
        conn.is_dead = true;
        let host = conn.host;
        let at = self.notice();
        self.schedule_on(host, at, What::HungUp(peer));
    }
}
