//! How environments and native archives come and are verified.

use super::checks::{Turn, Waiting};
use super::envs::{Answer, Offer};
use super::native::Effect;
use super::peer::Peer;
use super::{Archive, CloseReason, Daemon, NativeKey, Note, Output, VerifyFailure};
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
        match self.envs.offer(&env, unix) {
            Offer::Known => self.outputs.push_back(Output::Discard(peer)),
            Offer::TooMany => self.refuse(peer, "too many environments arrive", CloseReason::BadEnvironment),
            Offer::Arrives => {
                entry.receive(env.clone());
                self.outputs.push_back(Output::Receive(peer, env));
            }
        }
    }

    /// An environment was installed, or could not be.
    pub(super) fn env_received(&mut self, now: Instant, peer: PeerId, env: &EnvId, outcome: Result<u64, Text>) {
        if !self.envs.is_arriving(env) {
            return;
        }
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.received(now);
        }
        match outcome {
            Ok(size) => self.env_installed(now, env, size),
            Err(reason) => self.env_refused(peer, env, reason),
        }
        // After every attempt, as in 1.4, whose scheduler considers the host "busy installing" until then.
        self.session.announce_again();
        self.load.force();
        self.measure_if_due(now);
    }

    fn env_installed(&mut self, now: Instant, env: &EnvId, size: u64) {
        self.envs.installed_now(env, size, self.unix(now));
        self.note(Note::Installed(env.clone(), size, self.cache_size()));
        self.keep_cache_limit(now, Some(env));
        self.check_next(now);
    }

    fn env_refused(&mut self, peer: PeerId, env: &EnvId, reason: Text) {
        if let Some(entry) = self.peers.get_mut(peer) {
            entry.refused(env, &reason);
        }
        self.env_gone(env, &format!(": {reason}"));
        self.note(Note::NotInstalled(env.clone(), reason));
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
        let env = self.env_of(&target.target, &target.name);
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
            if let Some(env) = peer.runs().map(|(_, env)| env).filter(|env| !self.envs.is_on_disk(env)) {
                return Err(format!("a job runs in {env}, which is not installed"));
            }
            if let Some(env) = peer.receives().filter(|env| !self.envs.is_arriving(env)) {
                return Err(format!("{env} is received, but not arriving"));
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
                Effect::Grown => self.keep_cache_limit(now, None),
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
