//! Where the scheduler is, as monitors of 1.4 find it: by name, else by broadcast.

use std::time::Duration;

use ice_core::version::Version;
use ice_net::allow::Allow;
use ice_net::dial::{Target, host_port_text};
use ice_net::discover::{self, DEFAULT_NETNAME, DEFAULT_PORT, Query, Reach, WhyIgnored};

/// How long answers to a broadcast are collected.
const COLLECT: Duration = Duration::from_secs(3);

/// Where to look.
#[derive(Clone, Debug)]
pub struct Finder {
    /// Empty: by broadcast.
    host: String,
    port: u16,
    netname: String,
}

impl Finder {
    /// A host's name, or an empty one for a broadcast in this network.
    pub fn new(host: String, port: u16, netname: String) -> Self {
        let netname = if netname.is_empty() { DEFAULT_NETNAME.to_owned() } else { netname };
        Self { host, port, netname }
    }

    /// What is looked for, for people.
    pub fn target(&self) -> String {
        match self.host.as_str() {
            "" => format!("a scheduler of network {} by broadcast", self.netname),
            host => host_port_text(host, self.port),
        }
    }

    /// Finds it, within 3 s.
    ///
    /// # Errors
    /// What to do, if nothing answers.
    pub fn find(&self) -> Result<Target, String> {
        if !self.host.is_empty() {
            return Ok(Target::Tcp { host: self.host.clone(), port: self.port });
        }
        let query = Query {
            netname: self.netname.as_str().into(),
            port: self.port,
            version: Version::TO_SCHEDULER,
            reach: Reach::new(None, Allow::default()),
        };
        let found = discover::find(&query, COLLECT).map_err(|e| format!("cannot ask for a scheduler: {e}"))?;
        if let Some(best) = found.best {
            return Ok(Target::Tcp { host: best.from.ip().to_string(), port: best.from.port() });
        }
        let others = found.ignored.iter().filter_map(|ignored| match &ignored.why {
            WhyIgnored::Netname(name) => Some(name.to_string()),
            _ => None,
        });
        Err(self.nothing(&others.collect::<Vec<_>>()))
    }

    fn nothing(&self, others: &[String]) -> String {
        let port = if self.port == DEFAULT_PORT { String::new() } else { format!(" at port {}", self.port) };
        let nothing = format!("no scheduler of network {} answers{port}", self.netname);
        match others {
            [] => format!("{nothing}; -s HOST names one that broadcasts do not reach"),
            others => format!("{nothing}, but one of {}; -n NAME chooses a network", others.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_found_says_what_to_do() {
        let finder = |host: &str, port| Finder::new(host.to_owned(), port, String::new());
        assert_eq!(finder("h", 9).find(), Ok(Target::Tcp { host: "h".to_owned(), port: 9 }));
        let nothing = "no scheduler of network ICECREAM answers";
        assert_eq!(
            finder("", DEFAULT_PORT).nothing(&[]),
            format!("{nothing}; -s HOST names one that broadcasts do not reach")
        );
        assert_eq!(
            finder("", 9).nothing(&["A".to_owned(), "B".to_owned()]),
            format!("{nothing} at port 9, but one of A, B; -n NAME chooses a network")
        );
        assert_eq!(finder("h", 9).target(), "h:9");
    }
}
