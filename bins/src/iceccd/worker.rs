//! What a client's own thread does: most messages go to the loop, whole dialogues with bulk data are led here.

use std::sync::Arc;

use ice_core::daemon::Origin;
use ice_core::message::{GetNativeEnv, Message};
use ice_net::hub::{PeerHandler, Verdict};

use super::shared::{Client, Shared, Told};
use super::{files, job, keep, native, transfer};
use crate::exit::chain;

/// Environment name of a job that the client runs itself.
const OWN_CLIENT: &str = "__client";

/// Sees a client's messages first.
#[derive(Debug)]
pub struct Worker {
    shared: Arc<Shared>,
}

impl Worker {
    /// For one client.
    pub fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

impl PeerHandler<Told> for Worker {
    fn message(&mut self, message: Message, client: &mut Client) -> Verdict {
        match message {
            Message::CompileFile(file) if file.environment != *OWN_CLIENT => job::serve(&self.shared, file, client),
            Message::FilesJob(job) => files::serve(&self.shared, *job, client),
            Message::TransferEnv(target) => transfer::serve(&self.shared, target, client),
            Message::GetNativeEnv(request) if self.shared.origin(client.info()) != Origin::OtherHost => {
                examine(&self.shared, request, client)
            }
            Message::KeepGet(_) | Message::KeepPut(_) => kept(&self.shared, message, client),
            Message::JobNote { text } if self.shared.origin(client.info()) == Origin::Extension => {
                // Of a user who cannot be told nothing is kept.
                if let Some(uid) = self.shared.user(client.info()) {
                    self.shared.noted.add(uid, &text, &self.shared.disk);
                }
                Verdict::Handled
            }
            // Whatever the daemon has for a client is no longer wanted.
            Message::End => Verdict::Last(Message::End),
            other => Verdict::Forward(other),
        }
    }
}

/// Looks at the files of a native environment before the loop hears that it is wanted: so nobody waits for another thread.
/// Only clients of this host may have files looked at; others are forwarded, and closed for it.
fn examine(shared: &Shared, request: GetNativeEnv, client: &mut Client) -> Verdict {
    let found = native::key(&request, client.version()).map(|key| {
        let is_there = shared.disk.find(&key).is_some_and(|packed| packed.is_current());
        (key, is_there)
    });
    if let Err(e) = client.forward(Message::GetNativeEnv(request)) {
        return Verdict::Close(e.to_string());
    }
    client.note(Told::Examined(found.map_err(|e| chain(&e).into())));
    Verdict::Handled
}

/// Serves who has something kept; from others the loop does not expect it.
fn kept(shared: &Shared, message: Message, client: &mut Client) -> Verdict {
    match (message, shared.user(client.info())) {
        (Message::KeepGet(wanted), Some(uid)) => keep::get(shared, uid, &wanted, client),
        (Message::KeepPut(wanted), Some(uid)) => keep::put(shared, uid, &wanted, client),
        (message, _) => Verdict::Forward(message),
    }
}
