//! What happens to environments: those of clients, and the archives of this host's compilers.

use super::native::Effect;
use super::peer::State;
use super::{Archive, CloseReason, Daemon, NativeKey, Output};
use crate::ids::PeerId;
use crate::message::Message;
use crate::text::Text;
use crate::time::Instant;
use crate::version::Version;

impl Daemon {
    /// The files of a requested native environment were examined.
    pub(super) fn native_examined(
        &mut self,
        now: Instant,
        peer: PeerId,
        outcome: Result<(NativeKey, Option<Archive>), Text>,
    ) {
        // Otherwise it is closed, or the client has gone on without it.
        if self.peers.get(&peer).is_some_and(|p| p.state == State::WaitCreateEnv) {
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
                    self.set_state(peer, State::GotNative);
                    self.send(peer, Message::NativeEnv { path });
                }
                Effect::Refused(peer, reason, close) => self.no_native(peer, reason, close),
                Effect::Grown => self.keep_cache_limit(now, None),
            }
        }
    }

    /// Tells a client that it gets no archive. Our client gets the reason for its log; 1.4's knows only END.
    fn no_native(&mut self, peer: PeerId, reason: Text, close: CloseReason) {
        if self.peers.get(&peer).is_some_and(|p| p.version > Version::TO_SCHEDULER) {
            self.send(peer, Message::StatusText { text: reason });
        }
        self.send(peer, Message::End);
        self.close(peer, close);
    }
}
