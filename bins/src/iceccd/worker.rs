//! What a client's own thread does: most messages go to the loop, whole dialogues with bulk data are led here.

use std::sync::Arc;

use ice_core::message::Message;
use ice_net::hub::{PeerHandler, PeerInfo, Verdict};

use super::shared::{Client, Shared, Told};
use super::{job, native, transfer};

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
            Message::TransferEnv(target) => transfer::serve(&self.shared, target, client),
            Message::GetNativeEnv(_) if !of_this_host(client.info()) => {
                // It has programs of this host run by name, and tells which files there are.
                Verdict::Close("native environments are for clients of this host".to_owned())
            }
            Message::GetNativeEnv(request) => {
                let found = native::examine(&self.shared.natives, &request, client.version());
                if let Err(error) = client.forward(Message::GetNativeEnv(request)) {
                    return Verdict::Close(error.to_string());
                }
                client.note(Told::Examined(found));
                Verdict::Handled
            }
            other => Verdict::Forward(other),
        }
    }
}

/// Whether a peer runs on this host: it came by the unix socket, or from one of our own addresses, as 1.4's client does where
/// there is no socket.
pub fn of_this_host(info: &PeerInfo) -> bool {
    info.local || info.address == info.own_address
}
