//! The line with which a healthy daemon starts: who it is, and what can be expected of it.

use std::fmt;
use std::path::PathBuf;

use ice_core::daemon::Config;
use ice_net::discover::DEFAULT_NETNAME;
use ice_net::listen::Listener;
use ice_sandbox::guarantees::{Guarantee, Guarantees};

use super::doors::Doors;
use super::link::Finder;
use super::options::Options;
use crate::cli::table::VERSION;

/// What the line says.
pub struct Greeting {
    host: String,
    netname: String,
    finder: Finder,
    slots: u32,
    /// The port for jobs of others, or why there is none.
    port: Result<u16, String>,
    heard: String,
    socket: PathBuf,
    held: Vec<Guarantee>,
    lacking: Vec<Guarantee>,
}

impl Greeting {
    /// Of a daemon that is about to be ready.
    pub fn new(
        options: &Options,
        config: &Config,
        doors: &Doors,
        guarantees: &Guarantees,
        accepts: &Result<(), String>,
    ) -> Self {
        let port = match accepts {
            _ if options.no_remote => Err("as it was told".to_owned()),
            Err(reason) => Err(reason.clone()),
            Ok(()) => Ok(doors.tcp.first().map_or(0, Listener::port)),
        };
        let (held, lacking) = Guarantee::ALL.into_iter().partition(|guarantee| guarantees.has(*guarantee));
        Self {
            host: config.node_name.to_string(),
            netname: if options.netname.is_empty() { DEFAULT_NETNAME.into() } else { options.netname.clone() },
            finder: Finder::new(options),
            slots: config.slots,
            port,
            heard: options.allow.to_string(),
            socket: doors.path.clone(),
            held,
            lacking,
        }
    }
}

fn names(guarantees: &[Guarantee]) -> String {
    if guarantees.is_empty() {
        return "nothing".to_owned();
    }
    guarantees.iter().map(|guarantee| guarantee.name()).collect::<Vec<_>>().join(",")
}

impl fmt::Display for Greeting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, netname, finder, slots, heard, .. } = self;
        write!(f, "iceccd {VERSION} ready: host {host}, netname {netname}, looks for {finder}; clients come to ")?;
        write!(f, "{}; ", self.socket.display())?;
        match &self.port {
            Err(reason) => write!(f, "takes no jobs of other hosts ({reason})"),
            Ok(port) => {
                write!(f, "takes jobs of {heard} on TCP port {port}, {slots} at a time, ")?;
                write!(f, "and promises them {}", names(&self.held))?;
                if self.lacking.is_empty() {
                    return Ok(());
                }
                write!(f, ", not {} (--check tells why)", names(&self.lacking))
            }
        }
    }
}
