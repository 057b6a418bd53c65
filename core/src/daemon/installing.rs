//! How environments and native archives come and are verified.

use super::checks::{Turn, Waiting};
use super::envs::{Answer, Offer};
use super::native::Effect;
use super::peer::Peer;
use super::{Archive, Arrived, CloseReason, Daemon, NativeKey, Note, Output, VerifyFailure};
use crate::env::EnvId;
use crate::ids::PeerId;
use crate::message::{EnvTarget, Message};
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;

impl Daemon {
    /// TRANSFER_ENV: a client sends an environment. It is discarded if it is already here or arriving.
    pub(super) fn transfer_env(&mut self, now: Instant, peer: PeerId, target: &EnvTarget) {
        let Some(env) = self.env_of(&target.target, &target.name) else {
            return self.close(peer, CloseReason::BadEnvironment);
        };
        if self.config.no_remote {
            return self.refuse(peer, "no environments accepted", CloseReason::BadEnvironment);
        }
        self.release(peer);
        let unix = self.unix(now);
        let Some(entry) = self.peers.get_mut(peer) else { return };
        entry.pin(&env);
        match self.envs.offer(peer, &env, entry.address(), unix, self.config.cache_limit) {
            Offer::Known => self.outputs.push_back(Output::Discard(peer)),
            Offer::TooMany => self.refuse(peer, "too many environments arrive", CloseReason::BadEnvironment),
            Offer::Arrives(room) => {
                entry.receive(env.clone());
                self.outputs.push_back(Output::Receive(peer, env, room));
            }
        }
    }

    /// An archive is unpacked: decides whether and as what it is installed.
    pub(super) fn env_unpacked(&mut self, now: Instant, peer: PeerId, arrived: &Arrived) {
        let Some(arrival) = self.envs.arrival(peer) else { return };
        let (env, address) = (arrival.env().clone(), arrival.address().clone());
        if self.peers.get(peer).is_none() {
            return;
        }
        let place = self.envs.place(&env, arrived);
        let refused = if self.config.refuse_plain_names && !arrived.proven {
            Some("its name is not made of its content, and --refuse-plain-names is set")
        } else if place.is_taken {
            None
        } else {
            self.make_room(now, &address, arrived.size).err()
        };
        if let Some(why) = refused {
            self.outputs.push_back(Output::Drop(peer));
            return self.arrival_over(now, peer, Err(why.into()));
        }
        if !env.name.is_content_name() {
            self.bound.bind(self.unix(now), &address, &env, &place.content);
        }
        if place.id != env {
            self.envs.contest(&env);
            self.note(Note::OtherContent(env.clone(), address));
            self.outputs.push_back(Output::Forget(env));
        }
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.pin(&place.id);
        }
        if place.is_taken {
            self.outputs.push_back(Output::Drop(peer));
            self.arrival_over(now, peer, Ok(()));
        } else {
            self.envs.install(peer, &place, arrived.size);
            self.outputs.push_back(Output::Install(peer, place.id));
        }
    }

    /// An environment was installed, or could not be.
    pub(super) fn env_received(&mut self, now: Instant, peer: PeerId, outcome: Result<(), Text>) {
        match self.envs.arrival(peer).and_then(|arrival| arrival.installs().cloned()) {
            Some(env) if outcome.is_ok() => self.env_installed(now, &env),
            Some(env) => self.envs.not_installed(&env),
            None => {}
        }
        self.arrival_over(now, peer, outcome);
    }

    /// Nothing more comes of what a connection brought.
    fn arrival_over(&mut self, now: Instant, peer: PeerId, outcome: Result<(), Text>) {
        let Some(arrival) = self.envs.arrival_ends(peer) else { return };
        let why = outcome.as_ref().err().map(|reason| format!(": {reason}")).unwrap_or_default();
        for env in [arrival.installs(), Some(arrival.env())].into_iter().flatten() {
            if self.envs.is_lost(env) {
                self.env_gone(env, &why);
            }
        }
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.received(now);
            if let Err(reason) = &outcome {
                entry.refused(arrival.env(), reason);
            }
        }
        if let Err(reason) = outcome {
            self.note(Note::NotInstalled(arrival.env().clone(), reason));
        }
        // After every attempt, as in 1.4, whose scheduler considers the host "busy installing" until then.
        self.session.announce_again();
        self.load.force();
        self.measure_if_due(now);
    }

    fn env_installed(&mut self, now: Instant, env: &EnvId) {
        let size = self.envs.installed_now(env, self.unix(now));
        self.note(Note::Installed(env.clone(), size, self.cache_size()));
        if self.envs.is_contested(env) {
            self.outputs.push_back(Output::Forget(env.clone()));
        }
        self.check_next(now);
    }

    /// A job of an address begins in an environment that its client named so.
    pub(super) fn uses(&mut self, now: Instant, address: &Text, named: &EnvId, env: &EnvId) {
        let unix = self.unix(now);
        self.envs.touch(env, address, unix);
        if let Some(content) = self.envs.content(env).filter(|_| !named.name.is_content_name()) {
            self.bound.bind(unix, address, named, content);
        }
    }

    /// The environment that a name means to an address: what it brought or used by that name, else what is here
    /// (decision: content-names). `None`: another one of that name is here.
    pub(super) fn meant(&self, unix: u32, address: &Text, named: &EnvId) -> Option<EnvId> {
        let content = self.bound.content(unix, address, named).filter(|_| !named.name.is_content_name());
        match content {
            Some(content) if !self.envs.is_awaited(named) && self.envs.content(named) != Some(content) => {
                (*content != named.name).then(|| EnvId { platform: named.platform.clone(), name: content.clone() })
            }
            _ => Some(named.clone()),
        }
    }

    /// With `--refuse-plain-names`: what came before that was set goes too.
    pub(super) fn drop_unproven(&mut self) {
        let refused: Vec<EnvId> = self.envs.unproven().filter(|_| self.config.refuse_plain_names).cloned().collect();
        for env in refused {
            self.remove_env(&env, "its name is not made of its content");
        }
    }

    /// Removes the entry of an environment that is not installed, and answers those that wait for its check. They are
    /// not told that it was refused: the archives that they sent themselves were never examined.
    pub(super) fn env_gone(&mut self, env: &EnvId, why: &str) {
        for peer in self.envs.remove(env) {
            self.refuse(peer, &format!("environment {env} is not installed{why}"), CloseReason::NoEnvironment);
        }
    }

    /// VERIFY_ENV: answers at once if the result is known, or after the check.
    pub(super) fn verify_env(&mut self, now: Instant, peer: PeerId, target: &EnvTarget) {
        let Some(address) = self.peers.get(peer).map(|entry| entry.address().clone()) else { return };
        let named = self.env_of(&target.target, &target.name);
        let env = named.and_then(|named| self.meant(self.unix(now), &address, &named));
        let known = env.and_then(|env| Some((self.envs.verify(&env, peer)?, env)));
        let Some((answer, env)) = known else { return self.answer_missing(peer, target) };
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.pin(&env);
        }
        match answer {
            Answer::Works(ok) => self.answer(peer, ok),
            Answer::Later => self.check_next(now),
            // No client does that, and each request would take memory.
            Answer::Repeated => self.unexpected(peer),
        }
    }

    fn answer_missing(&mut self, peer: PeerId, target: &EnvTarget) {
        let refusal = self.peers.get_mut(peer).and_then(Peer::take_refusal);
        let why = match refusal {
            Some((env, reason)) if target.name == env.name.as_str() => format!(": {reason}"),
            _ => String::new(),
        };
        self.explain(peer, &format!("environment {}({}) is not installed{why}", target.name, target.target));
        self.answer(peer, false);
    }

    fn answer(&mut self, peer: PeerId, ok: bool) {
        self.send(peer, Message::VerifyEnvResult { ok: u32::from(ok) });
    }

    /// The connections that wait for a check that has not begun.
    fn waiting_for_checks(&self, now: Instant) -> Vec<Waiting> {
        let peers = self.envs.unchecked().flat_map(|(env, peers)| peers.iter().map(move |peer| (env, *peer)));
        let known = peers.filter_map(|(env, peer)| Some((env, peer, self.peers.get(peer)?.address())));
        known.map(|(env, peer, address)| self.checks.waiting(now, peer, address, env)).collect()
    }

    /// Begins the next check, or stops the one that runs if it has to give way.
    pub(super) fn check_next(&mut self, now: Instant) {
        let waiting = self.waiting_for_checks(now);
        match self.checks.turn(now, waiting) {
            Some(Turn::Begin(env)) => {
                self.envs.begin_check(&env);
                self.outputs.push_back(Output::Verify(env));
            }
            Some(Turn::Stop) => self.outputs.push_back(Output::StopVerify),
            None => {}
        }
    }

    /// The check of an environment has ended: answers all that wait for it.
    pub(super) fn env_verified(&mut self, now: Instant, env: EnvId, outcome: Result<(), VerifyFailure>) {
        self.checks.ended(now, &env);
        self.env_judged(now, env, outcome);
        self.check_next(now);
    }

    fn env_judged(&mut self, now: Instant, env: EnvId, outcome: Result<(), VerifyFailure>) {
        let Some((waiting, outcome)) = self.envs.verified(now, &env, outcome) else { return };
        // VERIFY_ENV_RESULT is a verdict on host and environment, after which the client has the host blacklisted. A
        // text and the end of the connection are only a failure of this attempt.
        let (note, verdict) = match outcome {
            Ok(()) => (Note::Verified(env, Ok(())), Some(true)),
            Err(VerifyFailure::Environment(reason)) => (Note::Verified(env, Err(reason)), Some(false)),
            Err(VerifyFailure::Host(reason) | VerifyFailure::Late(reason)) => (Note::NotVerified(env, reason), None),
            Err(VerifyFailure::Stopped) => return,
        };
        let text = note.to_string();
        self.note(note);
        for peer in waiting {
            match verdict {
                Some(ok) => self.answer(peer, ok),
                None => self.refuse(peer, &text, CloseReason::NoEnvironment),
            }
        }
        if verdict == Some(false) {
            self.sweep_broken();
        }
    }

    /// Checks that connections and environments agree.
    pub(super) fn check_envs(&self) -> Result<(), String> {
        for peer in self.peers.iter() {
            if let Some(env) = peer.runs().and_then(|(_, env)| env).filter(|env| !self.envs.is_on_disk(env)) {
                return Err(format!("a job runs in {env}, which is not installed"));
            }
        }
        for peer in self.peers.which(|peer| peer.receives().is_some()) {
            if self.envs.arrival(peer).is_none() {
                return Err(format!("what connection {peer} sends is not arriving"));
            }
        }
        Ok(())
    }

    /// The files of a requested native environment were examined.
    pub(super) fn native_examined(&mut self, now: Instant, peer: PeerId, outcome: Result<(NativeKey, bool), Text>) {
        // Otherwise it is closed, or the client has gone on without it.
        if self.peers.get(peer).is_some_and(Peer::waits_for_native) {
            let effects = self.natives.examined(now, peer, outcome);
            self.native_effects(now, effects);
        }
    }

    /// A native archive was made, or could not be.
    pub(super) fn native_built(&mut self, now: Instant, key: NativeKey, outcome: Result<Archive, Text>) {
        let effects = self.natives.built(now, key, outcome);
        self.native_effects(now, effects);
    }

    fn native_effects(&mut self, now: Instant, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Note(note) => self.note(note),
                Effect::Build(key) => self.outputs.push_back(Output::BuildNative(key)),
                Effect::Remove(key, path) => self.outputs.push_back(Output::RemoveNative(key, path)),
                Effect::Ready(peer, path) => {
                    if let Some(entry) = self.peers.get_mut(peer) {
                        entry.got_native();
                    }
                    self.send(peer, Message::NativeEnv { path });
                }
                Effect::Refused(peer, reason, close) => self.no_native(peer, reason, close),
                Effect::Grown => self.keep_cache_limit(now),
            }
        }
    }

    /// Tells a client that it gets no archive. Our client gets the reason for its log; 1.4's knows only END.
    fn no_native(&mut self, peer: PeerId, reason: Text, close: CloseReason) {
        if self.peers.get(peer).is_some_and(|p| p.version() > Version::TO_SCHEDULER) {
            self.send(peer, Message::StatusText { text: reason });
        }
        self.send(peer, Message::End);
        self.close(peer, close);
    }
}
