//! The daemon's listening sockets.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use ice_core::extension;
use ice_core::version::Version;
use ice_net::hub::{Handlers, Hub};
use ice_net::listen::{ListenError, Listener};
use log::{debug, warn};

use super::options::Options;
use super::shared::{Shared, Told};
use super::worker::Worker;
use crate::background::RUN_DIR;
use crate::exit::{Failure, chain};
use crate::logging::Log;
use crate::readiness::{Waiting, not_opened};

/// How often and how far apart a taken port is tried again.
const BIND_TRIES: u32 = 5;
const BIND_PAUSE: Duration = Duration::from_secs(2);

/// Bound sockets.
#[derive(Debug)]
pub struct Doors {
    /// For local clients.
    pub unix: Listener,
    /// Where that is.
    pub path: PathBuf,
    /// For clients that know the extension, and its path.
    pub extension: Option<(Listener, PathBuf)>,
    /// For everybody; none with `--no-remote`.
    pub tcp: Vec<Listener>,
}

/// Opens the daemon's sockets.
pub fn open(options: &Options, root: bool, no_remote: bool, log: &Log) -> Result<Doors, Failure> {
    let (path, mode) = socket_path(root)?;
    let unix = Listener::unix(&path, mode).map_err(|e| not_opened(&e))?;
    let extension = open_beside(&path, mode);
    let tcp = if no_remote { Vec::new() } else { bind_tcp(options, log)? };
    Ok(Doors { unix, path, extension, tcp })
}

/// Opens the socket for clients that know the extension; all can do without it.
fn open_beside(socket: &Path, mode: u32) -> Option<(Listener, PathBuf)> {
    let path = extension::socket_beside(socket);
    match Listener::unix(&path, mode) {
        Ok(listener) => Some((listener, path)),
        Err(e) => {
            warn!("no files mode for clients of this host: {}", chain(&e));
            None
        }
    }
}

/// A taken port may become free: it is tried again a few times.
fn bind_tcp(options: &Options, log: &Log) -> Result<Vec<Listener>, Failure> {
    let mut waiting = Waiting::begin(log, options.detach);
    for tries in 1.. {
        let bound = match &options.interface {
            None => Listener::tcp(options.port).map(|l| vec![l]),
            Some(device) => Listener::tcp_on(device, options.port),
        };
        match bound {
            Err(failure) if tries < BIND_TRIES && matches!(failure, ListenError::Bind { .. }) => {}
            bound => return bound.map_err(|e| not_opened(&e)),
        }
        debug!("TCP port {} is in use: trying again", options.port);
        waiting.goes_on(|| format!("TCP port {}, which another process has", options.port));
        thread::sleep(BIND_PAUSE);
    }
    Ok(Vec::new())
}

/// Where local clients look for us (`net/PROTOCOL.md`, Transports), and who may connect.
fn socket_path(root: bool) -> Result<(PathBuf, u32), Failure> {
    if let Some(path) = std::env::var_os("ICECC_TEST_SOCKET") {
        return Ok((path.into(), 0o777));
    }
    if root {
        return Ok((Path::new(RUN_DIR).join("iceccd.socket"), 0o777));
    }
    let home = std::env::var_os("HOME").filter(|h| !h.is_empty());
    let home = home.ok_or_else(|| Failure::new("no place for the socket").hint("set HOME"))?;
    Ok((Path::new(&home).join(".iceccd.socket"), 0o755))
}

/// Accepts connections on all of them.
pub fn listen(hub: &Hub<Told>, doors: Doors, shared: &Arc<Shared>) -> Result<(), Failure> {
    let shared = Arc::clone(shared);
    let handlers: Handlers<Told> = Arc::new(move |_, _| Some(Box::new(Worker::new(Arc::clone(&shared)))));
    let extension = doors.extension.map(|(listener, _)| listener);
    for listener in std::iter::once(doors.unix).chain(extension).chain(doors.tcp) {
        hub.listen(listener, Version::TO_CLIENT, Arc::clone(&handlers))
            .map_err(|e| Failure::new(format!("cannot accept connections: {e}")))?;
    }
    Ok(())
}
