//! Finding the scheduler, on a thread of its own where that takes time.

use std::fmt;
use std::io;
use std::thread;
use std::time::Duration;

use super::options::Options;
use crossbeam::channel::Sender;
use ice_core::text::Text;
use ice_core::version::Version;
use ice_net::dial::Target;
use ice_net::discover::{self, Found, Query, Reach, WhyIgnored};
use log::{debug, error, info, warn};

/// How long answers to a broadcast are collected.
const COLLECT: Duration = Duration::from_secs(3);
/// How long the survey for the log takes.
const SURVEY: Duration = Duration::from_millis(200);
/// Stack of such a thread.
const STACK: usize = 64 << 10;

/// Where to look.
#[derive(Clone, Debug)]
pub struct Finder {
    /// Empty: by broadcast.
    host: String,
    port: u16,
    netname: Text,
    reach: Reach,
}

impl Finder {
    /// From the options.
    pub fn new(options: &Options) -> Self {
        let (host, port) = options.scheduler.clone();
        let reach = Reach::new(options.interface.clone(), options.allow.clone());
        let netname = if options.netname.is_empty() { discover::DEFAULT_NETNAME } else { &options.netname };
        Self { host, port, netname: netname.into(), reach }
    }

    /// Finds a scheduler: at once if it has a name, else `found` gets it, or `None`, within 3 s.
    pub fn find(&self, found: Sender<Option<Target>>) -> io::Result<Option<Target>> {
        if !self.host.is_empty() {
            info!("scheduler is on {} (net {})", ice_net::dial::host_port_text(&self.host, self.port), self.netname);
            return Ok(Some(Target::Tcp { host: self.host.clone(), port: self.port }));
        }
        let finder = self.clone();
        thread::Builder::new().name("find".into()).stack_size(STACK).spawn(move || {
            // Without a loop there is nobody to tell.
            let _ = found.send(finder.ask());
        })?;
        Ok(None)
    }

    /// Logs who is around, for people who read the log.
    pub fn survey(&self) -> io::Result<()> {
        let finder = self.clone();
        thread::Builder::new().name("survey".into()).stack_size(STACK).spawn(move || {
            let answers = discover::survey(&finder.query(), SURVEY).map(|f| f.answers).unwrap_or_default();
            debug!("Netnames:");
            for a in answers {
                debug!("{} (version {}, {})", a.netname, a.version, a.from);
            }
        })?;
        Ok(())
    }

    fn query(&self) -> Query {
        Query {
            netname: self.netname.clone(),
            port: self.port,
            version: Version::TO_SCHEDULER,
            reach: self.reach.clone(),
        }
    }

    fn ask(&self) -> Option<Target> {
        let found = match discover::find(&self.query(), COLLECT) {
            Ok(found) => found,
            Err(e) => {
                error!("cannot ask for a scheduler: {e}");
                return None;
            }
        };
        log_answers(&found);
        let Some(best) = found.best else {
            warn!("scheduler not yet found/selected.");
            return None;
        };
        info!("scheduler is on {} (net {})", best.from, best.netname);
        Some(Target::Tcp { host: best.from.ip().to_string(), port: best.from.port() })
    }
}

/// Where it looks, as the rest of "waiting for".
impl fmt::Display for Finder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (netname, port) = (&self.netname, self.port);
        if self.host.is_empty() {
            return write!(f, "a scheduler of netname {netname} that answers broadcasts to UDP port {port}");
        }
        write!(f, "the scheduler at {}", ice_net::dial::host_port_text(&self.host, port))
    }
}

fn log_answers(found: &Found) {
    for answer in &found.answers {
        debug!("scheduler at {} answered (version {}, net {})", answer.from, answer.version, answer.netname);
    }
    for ignored in &found.ignored {
        let from = ignored.from;
        match &ignored.why {
            WhyIgnored::Netname(name) => {
                info!("Ignoring scheduler at {from} because of a different netname ({name})");
            }
            WhyIgnored::BogusVersion(version) => {
                error!("Ignoring bogus version {version} from scheduler found at {from}");
            }
            WhyIgnored::Unreadable { length, .. } => error!("Ignoring answer of {length} bytes from {from}"),
        }
    }
}
