//! What services say while they start: what they wait for, and who has a port that they need.

use std::io;
use std::time::{Duration, Instant};

use ice_net::listen::ListenError;

use crate::exit::Failure;
use crate::logging::Log;

/// How long a service may be silent about what it waits for.
pub const PATIENCE: Duration = Duration::from_secs(3);

/// A wait at the start of a service. If it takes long it is told once, to whoever started the service in the
/// foreground; a detached one is waited for by its starter, who hears the outcome.
#[derive(Debug)]
pub struct Waiting<'a> {
    begun: Instant,
    /// Where to say it, as long as it has not been said.
    log: Option<&'a Log>,
}

impl<'a> Waiting<'a> {
    /// Begins now.
    pub fn begin(log: &'a Log, is_detached: bool) -> Self {
        Self { begun: Instant::now(), log: Some(log).filter(|_| !is_detached) }
    }

    /// It still waits, for this.
    pub fn goes_on(&mut self, what: impl FnOnce() -> String) {
        if self.begun.elapsed() >= PATIENCE {
            if let Some(log) = self.log.take() {
                log.tell(&format!("waiting for {}", what()));
            }
        }
    }
}

/// The failure of a service that cannot open a port or socket: if it is taken, by whom can be found out.
pub fn not_opened(error: &ListenError) -> Failure {
    let failure = Failure::from_error(error);
    match error {
        ListenError::Bind { address, source } if source.kind() == io::ErrorKind::AddrInUse => {
            let port = address.port();
            failure.hint(format!("ss -lntup 'sport = :{port}' tells root who has port {port}"))
        }
        ListenError::InUse(path) => {
            let path = path.display().to_string();
            failure.hint(format!("ss -lxp src {path} tells root who has it"))
        }
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::logging::{self, Prefix, Target};
    use log::LevelFilter;

    #[test]
    fn a_long_wait_is_told_once_and_a_taken_port_with_who_to_ask() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let log = logging::start(Target::File(path.clone()), LevelFilter::Error, Prefix::Service).unwrap();
        let said = || std::fs::read_to_string(&path).unwrap();
        let mut waiting = Waiting::begin(&log, false);
        waiting.goes_on(|| unreachable!("too early"));
        let long_ago = Instant::now().checked_sub(PATIENCE).unwrap();
        for (is_detached, lines) in [(true, 0), (false, 1)] {
            let mut waiting = Waiting { begun: long_ago, ..Waiting::begin(&log, is_detached) };
            waiting.goes_on(|| "it".into());
            waiting.goes_on(|| "it".into());
            assert_eq!(said().matches("waiting for it\n").count(), lines);
        }

        let taken = std::net::TcpListener::bind(("::", 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = ice_net::listen::Listener::tcp(port).unwrap_err();
        let failure = not_opened(&error);
        assert_eq!(failure.code, 1);
        assert!(
            failure.to_string().ends_with(&format!("(ss -lntup 'sport = :{port}' tells root who has port {port})"))
        );
        assert!(not_opened(&ListenError::NoAddress("x".into())).hint.is_none());
    }
}
