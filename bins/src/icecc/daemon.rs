//! The connection to the daemon of this host.

use super::owner;
use ice_core::extension;
use ice_core::limits;
use ice_core::message::Message;
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial::{self, DialError};
use std::env;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long a good end waits for the daemon to close: then the scheduler knows that the job is over
/// (decision: end-of-job).
const CLOSE_WAIT: Duration = Duration::from_millis(50);
/// Port of a daemon without unix socket.
const PORT: u16 = 10245;
/// Where daemons listen, in the order of 1.4.
const SOCKETS: [&str; 2] = ["/var/run/icecc/iceccd.socket", "/var/run/iceccd.socket"];

/// Why there is no daemon.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoDaemon {
    /// None of the usual places answers.
    Absent,
    /// The only place that the test allows does not answer.
    TestSocket,
}

/// Connects to the first place that answers as a daemon.
pub(super) fn connect(test_socket: Option<&Path>) -> Result<Conn, NoDaemon> {
    find(test_socket, |path| dial::unix(path, Version::TO_CLIENT, deadline()).map(|conn| (conn, false)))
        .map(|(conn, _)| conn)
}

/// The same as one that knows the extension, if that daemon does: true.
pub(super) fn connect_ext(test_socket: Option<&Path>) -> Result<(Conn, bool), NoDaemon> {
    find(test_socket, |path| {
        if let Ok(conn) = dial::unix(&extension::socket_beside(path), Version::TO_CLIENT, deadline()) {
            return Ok((conn, true));
        }
        dial::unix(path, Version::TO_CLIENT, deadline()).map(|conn| (conn, false))
    })
}

/// Goes to the usual places until one answers; `dial` connects to that of a unix socket.
fn find(
    test_socket: Option<&Path>,
    dial: impl Fn(&Path) -> Result<(Conn, bool), DialError>,
) -> Result<(Conn, bool), NoDaemon> {
    if let Some(path) = test_socket {
        return dial(path).map_err(|err| {
            log::error!("test socket error: {}", crate::exit::chain(&err));
            NoDaemon::TestSocket
        });
    }
    // Only root can let somebody make these.
    for path in SOCKETS {
        match dial(Path::new(path)) {
            Ok(found) => return Ok(found),
            Err(err) => log::debug!("{}", crate::exit::chain(&err)),
        }
    }
    // The folder may be another user's (`sudo` keeps HOME), and the port be taken by anybody while no daemon runs.
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".iceccd.socket"));
    if let Some(path) = home {
        match dial(&path) {
            Ok(found) => match owner::check(&found.0) {
                Ok(()) => return Ok(found),
                Err(err) => log::warn!("{} is passed over: {}", path.display(), crate::exit::chain(&err)),
            },
            Err(err) => log::debug!("{}", crate::exit::chain(&err)),
        }
    }
    by_port().map(|conn| (conn, false))
}

/// Connects to a daemon without a unix socket.
fn by_port() -> Result<Conn, NoDaemon> {
    let conn = dial::tcp("127.0.0.1", PORT, Version::TO_CLIENT, deadline()).map_err(|err| {
        log::warn!("no local daemon found: {}", crate::exit::chain(&err));
        NoDaemon::Absent
    })?;
    owner::check(&conn).map_err(|err| {
        log::warn!("no local daemon found: at port {PORT}, {}", crate::exit::chain(&err));
        NoDaemon::Absent
    })?;
    Ok(conn)
}

/// The places of its socket, for who wants to know why none answers.
pub(super) fn sockets() -> Vec<PathBuf> {
    let home = env::var_os("HOME").map(|home| PathBuf::from(home).join(".iceccd.socket"));
    SOCKETS.iter().map(PathBuf::from).chain(home).collect()
}

/// Tells of the job, says good-bye and waits a moment for the daemon to close.
pub(super) fn finish(mut conn: Conn, note: Option<Message>) {
    let last: Vec<Message> = note.into_iter().chain([Message::End]).collect();
    if conn.send_all(&last, Deadline::after(Step::Send, limits::SEND)).is_err() {
        return;
    }
    let deadline = Deadline::after(Step::End, CLOSE_WAIT);
    while conn.recv(deadline).is_ok() {}
}

fn deadline() -> Deadline {
    Deadline::after(Step::Connect, limits::HANDSHAKE)
}
