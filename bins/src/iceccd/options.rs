//! The daemon's command line and environment variables.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use ice_net::allow::Allow;
use ice_sandbox::probe::Guarantee;
use log::LevelFilter;

use crate::background::Account;
use crate::cli::{self, Opt};
use crate::logging;

/// The scheduler's port when none is given.
const SCHEDULER_PORT: u16 = 8765;

const fn opt(short: Option<char>, long: &'static str, value: Option<&'static str>, help: &'static str) -> Opt {
    Opt { short, long, value, help }
}

const TABLE: &[Opt] = &[
    opt(Some('n'), "netname", Some("NAME"), "Use only schedulers of this netname (default ICECREAM)."),
    opt(Some('m'), "max-processes", Some("N"), "Jobs at the same time (default: processors)."),
    opt(Some('h'), "help", None, "Print this text."),
    opt(Some('d'), "daemonize", None, "Detach from the terminal."),
    opt(Some('l'), "log-file", Some("FILE"), "Log there instead of to standard error."),
    opt(None, "nice", Some("N"), "Niceness added to jobs (default 5)."),
    opt(Some('N'), "name", Some("NAME"), "Name of this host in scheduler and monitors."),
    opt(Some('s'), "scheduler-host", Some("HOST[:PORT]"), "Use this scheduler instead of looking for one."),
    opt(Some('b'), "env-basedir", Some("DIR"), "Folder of the environments (default /var/tmp/icecc-envs)."),
    opt(Some('u'), "user-uid", Some("USER"), "User to become when started as root (default icecc)."),
    opt(
        None,
        "cache-limit",
        Some("MB"),
        "Size of the environments on disk (default: a tenth of what is free there, from 1024 to 8192).",
    ),
    opt(None, "no-remote", None, "Take no jobs of other hosts."),
    opt(Some('i'), "interface", Some("DEVICE"), "Accept connections only on this device and on lo."),
    opt(Some('p'), "port", Some("PORT"), "TCP port (default 10245)."),
    opt(Some('v'), "", None, "Log more: -v warnings, -vv info, -vvv debug, -vvvv every message."),
    opt(None, "job-uid-base", Some("UID"), "First of as many unused user ids as there are jobs (needs root)."),
    opt(
        None,
        "allow",
        Some("NET,..."),
        "Take TCP connections of these networks alone (10.0.0.0/8,fd00::/8); the scheduler must be in one.",
    ),
    opt(None, "check", None, "Print what jobs of others are promised on this host, and end."),
    opt(None, "require", Some("FLAG,..."), "Take no jobs of others unless these promises hold."),
];

/// What the user wants.
#[derive(Debug)]
pub struct Options {
    /// Empty: any but the default one is ignored all the same, as in 1.4.
    pub netname: String,
    /// `-m`, if it is a number from 0 on.
    pub slots: Option<u32>,
    /// `-d`
    pub detach: bool,
    /// `-l`
    pub log_file: Option<PathBuf>,
    /// `--nice`
    pub nice: i32,
    /// `-N`
    pub node_name: Option<OsString>,
    /// Host and port; the host is empty for discovery on that port.
    pub scheduler: (String, u16),
    /// `-b`
    pub base: PathBuf,
    /// Who to become.
    pub account: Account,
    /// Whether `-u` was given.
    pub account_given: bool,
    /// `--cache-limit` in bytes, if it was given.
    pub cache_limit: Option<u64>,
    /// `--no-remote`
    pub no_remote: bool,
    /// `-i`
    pub interface: Option<String>,
    /// `-p`
    pub port: u16,
    /// From `-v`.
    pub level: LevelFilter,
    /// `--job-uid-base`
    pub job_uid_base: Option<u32>,
    /// `--allow`
    pub allow: Allow,
    /// `--check`
    pub check: bool,
    /// `--require`
    pub require: Vec<Guarantee>,
}

/// A command line that is none: the reason, if there is one to tell, then usage.
#[derive(Debug, PartialEq, Eq)]
pub struct Usage(pub Option<String>);

impl Usage {
    /// What goes to standard error.
    pub fn text(&self) -> String {
        let reason = self.0.as_ref().map(|r| format!("{r}\n")).unwrap_or_default();
        format!("{reason}usage: iceccd [options]\n{}", cli::help(TABLE))
    }
}

fn usage(reason: impl Into<String>) -> Usage {
    Usage(Some(reason.into()))
}

impl Options {
    /// Reads arguments (without the program's name) and variables.
    pub fn parse(
        args: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Usage> {
        let parsed = cli::parse(TABLE, args).map_err(|e| usage(format!("iceccd: {e}")))?;
        let mut o = Self::default();
        let mut given_host = None;
        let mut verbose = 0;
        let mut user = None;
        for option in parsed.options {
            let value = option.value;
            let text = value.to_string_lossy().into_owned();
            match option.name.as_str() {
                "help" => return Err(Usage(None)),
                "daemonize" => o.detach = true,
                "no-remote" => o.no_remote = true,
                "v" => verbose += 1,
                "check" => o.check = true,
                "require" => o.require = guarantees(&text)?,
                "user-uid" => user = Some(text),
                // 1.4 ignores it without a word.
                "env-basedir" if value.is_empty() => {}
                "env-basedir" => o.base = value.into(),
                "scheduler-host" if value.is_empty() => return Err(usage("Error: -s requires hostname argument")),
                "scheduler-host" => given_host = Some(host_port(&text)?),
                _ if value.is_empty() => {
                    let written =
                        if option.written.starts_with("--") { long_or_letter(&option.name) } else { option.written };
                    return Err(usage(format!("Error: {written} requires argument")));
                }
                "allow" => o.allow = text.parse().map_err(|e| usage(format!("Error: --allow: {e}")))?,
                "netname" => o.netname = text,
                "max-processes" => o.slots = u32::try_from(cli::atoi(&value)).ok(),
                "log-file" => o.log_file = Some(absolute(value)),
                "nice" => o.nice = cli::atoi(&value),
                "name" => o.node_name = Some(value),
                "cache-limit" => {
                    o.cache_limit = Some(u64::try_from(cli::number(&value)).unwrap_or(0).saturating_mul(1 << 20));
                }
                "interface" => o.interface = Some(text),
                "port" => o.port = port(&value).ok_or_else(|| usage("Error: Invalid port specified"))?,
                "job-uid-base" => o.job_uid_base = u32::try_from(cli::number(&value)).ok().filter(|n| *n > 0),
                _ => {}
            }
        }
        o.level = logging::level(verbose);
        o.account_given = user.is_some();
        o.account = match user {
            Some(name) => Account::named(&name).map_err(|e| usage(e.to_string()))?,
            None => Account::default_for_service(),
        };
        o.scheduler = scheduler(given_host, variable);
        Ok(o)
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            netname: String::new(),
            slots: None,
            detach: false,
            log_file: None,
            nice: 5,
            node_name: None,
            scheduler: (String::new(), SCHEDULER_PORT),
            base: PathBuf::from("/var/tmp/icecc-envs"),
            account: Account { uid: 0, gid: 0 },
            account_given: false,
            cache_limit: None,
            no_remote: false,
            interface: None,
            port: 10245,
            level: LevelFilter::Error,
            job_uid_base: None,
            allow: Allow::default(),
            check: false,
            require: Vec::new(),
        }
    }
}

/// How 1.4 names an option in its complaint: the long form for two of them, the letter for the rest.
fn long_or_letter(name: &str) -> String {
    let short = TABLE.iter().find(|o| o.name() == name).and_then(|o| o.short);
    short.map_or_else(|| format!("--{name}"), |letter| format!("-{letter}"))
}

/// `-s` wins; without a host in it the variables are asked, whose port then counts.
fn scheduler(given: Option<(String, u16)>, variable: impl Fn(&str) -> Option<OsString>) -> (String, u16) {
    match given {
        Some((host, port)) if !host.is_empty() => (host, port),
        other => {
            let text =
                ["ICECC_SCHEDULER", "USE_SCHEDULER"].into_iter().find_map(|v| variable(v).filter(|t| !t.is_empty()));
            let from_variable = text.map(|text| {
                let text = text.to_string_lossy();
                let (host, port) = ice_net::dial::split_host_port(&text);
                let port = port.map_or(0, |p| cli::atoi(OsStr::new(p)));
                (host.to_owned(), u16::try_from(port).ok().filter(|p| *p != 0).unwrap_or(SCHEDULER_PORT))
            });
            from_variable.or(other).unwrap_or((String::new(), SCHEDULER_PORT))
        }
    }
}

fn host_port(text: &str) -> Result<(String, u16), Usage> {
    let (host, port_text) = ice_net::dial::split_host_port(text);
    let number = match port_text {
        None => SCHEDULER_PORT,
        Some(p) => {
            port(OsStr::new(p)).ok_or_else(|| usage("Error: -s requires valid port if hostname includes colon"))?
        }
    };
    Ok((host.to_owned(), number))
}

fn port(text: &OsStr) -> Option<u16> {
    u16::try_from(cli::atoi(text)).ok().filter(|p| *p != 0)
}

fn guarantees(text: &str) -> Result<Vec<Guarantee>, Usage> {
    text.split(',')
        .filter(|w| !w.is_empty())
        .map(|word| {
            Guarantee::from_word(word).ok_or_else(|| {
                let all: Vec<&str> = Guarantee::ALL.iter().map(|g| g.word()).collect();
                usage(format!("Error: --require: {word:?} is none of {}", all.join(", ")))
            })
        })
        .collect()
}

/// The working directory changes, and HUP opens the file again.
fn absolute(path: OsString) -> PathBuf {
    std::path::absolute(&path).unwrap_or_else(|_| path.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, Usage> {
        Options::parse(args.iter().map(OsString::from), |_| None)
    }

    fn reason(args: &[&str]) -> String {
        parse(args).unwrap_err().0.unwrap()
    }

    #[test]
    fn d1_every_form_has_the_same_effect() {
        for args in [&["-m", "3", "-n", "x"][..], &["--max-processes=3", "--netname", "x"], &["-m3", "--net=x"]] {
            let o = parse(args).unwrap();
            assert_eq!((o.slots, o.netname.as_str()), (Some(3), "x"), "{args:?}");
        }
        let o = parse(&["-vvv", "operand", "--no-remote", "-d", "--nice", "7", "--cache-limit=4096"]).unwrap();
        assert_eq!((o.level, o.no_remote, o.detach, o.nice), (LevelFilter::Debug, true, true, 7));
        assert_eq!(o.cache_limit, Some(4096 << 20));
        assert_eq!(parse(&[]).unwrap().cache_limit, None);
        assert_eq!(parse(&["-m", "-1"]).unwrap().slots, None);
        assert_eq!(parse(&["-m", "junk"]).unwrap().slots, Some(0));
        assert_eq!(parse(&["-b", ""]).unwrap().base, PathBuf::from("/var/tmp/icecc-envs"));
    }

    #[test]
    fn d1_reasons_of_usage_errors() {
        assert_eq!(parse(&["--help"]).unwrap_err(), Usage(None));
        assert_eq!(reason(&["--nice", ""]), "Error: --nice requires argument");
        assert_eq!(reason(&["-m", ""]), "Error: -m requires argument");
        assert_eq!(reason(&["-s", ""]), "Error: -s requires hostname argument");
        assert_eq!(reason(&["-s", "h:0"]), "Error: -s requires valid port if hostname includes colon");
        assert_eq!(reason(&["-u", "root"]), "Error: -u <username> must not be root");
        assert_eq!(reason(&["-u", "nobody-of-that-name"]), "Error: -u requires a valid username");
        assert_eq!(reason(&["-p", "0"]), "Error: Invalid port specified");
        assert!(reason(&["--no-such"]).contains("unrecognized option"));
        assert!(reason(&["--require", "root,sky"]).contains("sky"));
        assert_eq!(reason(&["--allow", ""]), "Error: --allow requires argument");
        assert!(reason(&["--allow", "10.0.0.0/8,all"]).starts_with("Error: --allow: \"all\" is no network"));
    }

    #[test]
    fn d16_variables_name_a_scheduler_when_no_host_was_given() {
        let with = |args: &[&str], value: &str| {
            let value = OsString::from(value);
            Options::parse(args.iter().map(OsString::from), |v| (v == "ICECC_SCHEDULER").then(|| value.clone()))
                .unwrap()
                .scheduler
        };
        assert_eq!(with(&[], ":8767"), (String::new(), 8767));
        assert_eq!(with(&["-s", "h"], ":8767"), ("h".to_owned(), 8765));
        assert_eq!(with(&["-s", ":9"], "h2"), ("h2".to_owned(), 8765));
        assert_eq!(parse(&["-s", ":9"]).unwrap().scheduler, (String::new(), 9));
    }
}
