//! The environment on its way to a server that lacks it.

use super::state::State;
use super::wait::{self, Patience};
use super::{Output, Packing, Submission};
use crate::message::{EnvTarget, Message};
use crate::reason::Reason;
use crate::time::Instant;
use crate::version::Version;

impl Submission {
    pub(super) fn send_environment(&mut self, packing: Packing) {
        self.sent_as = Some(packing);
        self.env_words = None;
        self.patience = Patience::new(wait::ENVIRONMENT);
        self.outputs.push_back(Output::SendEnvironment {
            platform: self.server.host_platform.clone(),
            target: self.env_target(),
            packing,
        });
        self.enter_unbounded(State::SendingEnv);
    }

    /// Whether gzip may help: servers of 1.4 can be built without zstd, ours cannot.
    fn may_send_gzip(&self) -> bool {
        self.request.zstd_by_default && self.offer <= Version::TO_SCHEDULER && self.sent_as == Some(Packing::AsItIs)
    }

    pub(super) fn environment_sent(&mut self, now: Instant) {
        self.patience = Patience::new(wait::SOURCE);
        if !self.version.has_verify_env() {
            return self.send_source();
        }
        self.outputs.push_back(Output::Server(Message::VerifyEnv(self.env_target())));
        self.watch(State::AwaitVerify, now, wait::VERIFY);
    }

    pub(super) fn verified(&mut self, answer: Message) {
        match answer {
            // Why it is not installed (decision: verify-answers). The answer follows, or the connection's end: then the
            // host has no opinion of the environment, it only cannot tell now.
            Message::StatusText { text } => self.env_words = Some(text),
            Message::VerifyEnvResult { ok: 0 } if self.may_send_gzip() => self.send_environment(Packing::Gzip),
            Message::VerifyEnvResult { ok: 0 } => {
                // The next job would bring all of it again for the same answer: the scheduler shall choose another host.
                self.outputs.push_back(Output::report(&self.server.host, self.env_target()));
                self.server_fails(Some(Reason::EnvironmentRefused));
            }
            Message::VerifyEnvResult { .. } => self.send_source(),
            _ => self.give_up(Reason::EnvironmentUnverified),
        }
    }

    pub(super) fn env_target(&self) -> EnvTarget {
        EnvTarget { name: self.environment.clone(), target: self.request.compile.target.clone() }
    }
}
