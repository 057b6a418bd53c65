//! The daemon's command line and environment variables.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use ice_launcher::JobLimits;
use ice_net::allow::Allow;
use ice_sandbox::guarantees::Guarantee;
use log::LevelFilter;

use crate::background::Account;
use crate::cli;
use crate::cli::table::{Completes, HELP, Opt, Program, SHOW_VERSION, option};
use crate::logging;

/// The scheduler's port when none is given.
const SCHEDULER_PORT: u16 = 8765;

/// The daemon, for help, manual and shells.
pub const PROGRAM: Program = Program {
    name: "iceccd",
    title: "ICECREAM daemon",
    about: "Sends this machine's compile jobs to other machines, and runs theirs.",
    usage: &["iceccd [OPTION]..."],
    above: "",
    options: TABLE,
    below: "\
Environment variables:
  ICECC_SCHEDULER, USE_SCHEDULER  HOST[:PORT] of the scheduler, where -s gives none
",
    operands: Completes::Nothing,
};

const TABLE: &[Opt] = &[
    option("daemonize", "detach from the terminal; returns when the daemon is ready").short('d'),
    option("scheduler-host", "use this scheduler instead of looking for one by broadcast")
        .short('s')
        .takes("HOST[:PORT]", Completes::Nothing),
    option("netname", "use only schedulers of this netname (default ICECREAM)")
        .short('n')
        .takes("NAME", Completes::Nothing),
    option("name", "name of this host in scheduler and monitors").short('N').takes("NAME", Completes::Nothing),
    option("max-processes", "jobs at the same time (default: the number of processors)")
        .short('m')
        .takes("N", Completes::Nothing),
    option("no-remote", "take no jobs of other hosts"),
    option("nice", "niceness added to jobs (default 5)").takes("N", Completes::Nothing),
    option("env-basedir", "folder of the environments (default /var/tmp/icecc-envs)")
        .short('b')
        .takes("DIR", Completes::Directory),
    option("cache-limit", "size of the environments on disk\n(default: a tenth of what is free there, from 1024 to 8192)")
        .takes("MB", Completes::Nothing)
        .manual(
            "Size of the environments on disk. Without it they may take a tenth of what is free there, but at least 1024 and at \
             most 8192 MB.",
        ),
    option("user-uid", "user to become when started as root (default icecc)")
        .short('u')
        .takes("USER", Completes::Nothing),
    option("job-uid-base", "first user id of jobs, each of which has its own (needs root;\ndefault: unused ones)")
        .takes("UID", Completes::Nothing)
        .manual(
            "First of as many user ids as there are jobs, and one more: each job has an id of its own (needs root). None may be an \
             account's. Without it they are taken from those that /etc/subuid lends to the daemon's account, else unused ones from \
             61184 to 65519.",
        ),
    option("job-time", "end jobs of other hosts after so long (default 3600)")
        .takes("SECONDS", Completes::Nothing)
        .manual(
            "End jobs of other hosts that take longer; their submitters build them themselves. From 1 to 7000; without it \
             3600.",
        ),
    option("check", "print what jobs of others are promised on this host, and end"),
    option("require", "take no jobs of others unless these promises hold")
        .takes("FLAG,...", Completes::List(&FLAGS))
        .manual("Take no jobs of others unless these promises hold. The flags are those that `--check` prints."),
    option("refuse-plain-names", "take no environments whose names are not made of their content")
        .manual(
            "Take no environments whose names are not made of their content. Clients of 1.4 bring such ones where a \
             user renamed an archive; their jobs then run elsewhere. Those of this version bring none.",
        ),
    option("allow", "hear hosts of these networks alone\n(10.0.0.0/8,fd00::/8); the scheduler must be in one")
        .takes("NET,...", Completes::Nothing)
        .manual(
            "Take TCP connections of hosts of these networks alone, as 10.0.0.0/8,fd00::/8. This host needs no entry; the \
             scheduler must be in one, or no jobs come. Without it whoever reaches the port may send jobs.",
        ),
    option("interface", "accept connections only on this network device and on lo,\nand look for a scheduler there")
        .short('i')
        .takes("DEVICE", Completes::Nothing),
    option("port", "TCP port (default 10245)").short('p').takes("PORT", Completes::Nothing),
    option("log-file", "log there instead of to standard error").short('l').takes("FILE", Completes::File),
    option("", "log more: -v warnings, -vv info, -vvv debug, -vvvv every message").short('v'),
    HELP.short('h'),
    SHOW_VERSION,
];

/// The longest `--job-time` in seconds: submitters wait for two hours, including what is not the compiler's time.
const JOB_TIME_MAX: u64 = 7000;

/// The words of `--require`.
const FLAGS: [&str; Guarantee::ALL.len()] = {
    let mut words = [""; Guarantee::ALL.len()];
    let mut at = 0;
    while at < words.len() {
        words[at] = Guarantee::ALL[at].name();
        at += 1;
    }
    words
};

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
    /// `--refuse-plain-names`
    pub refuse_plain_names: bool,
    /// `-i`
    pub interface: Option<String>,
    /// `-p`
    pub port: u16,
    /// From `-v`.
    pub level: LevelFilter,
    /// `--job-time`
    pub job_time: Duration,
    /// `--job-uid-base`
    pub job_uid_base: Option<u32>,
    /// `--allow`
    pub allow: Allow,
    /// `--check`
    pub check: bool,
    /// `--require`
    pub require: Vec<Guarantee>,
}

/// Why there is nothing to run.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// `--help`
    Help,
    /// `--version`
    Version,
    /// A command line that is none, and why.
    Usage(String),
}

fn usage(reason: impl Into<String>) -> Stop {
    Stop::Usage(reason.into())
}

impl Options {
    /// Reads arguments (without the program's name) and variables.
    pub fn parse(
        args: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Stop> {
        let parsed = cli::parse(TABLE, args).map_err(|e| usage(format!("iceccd: {e}")))?;
        let mut o = Self::default();
        let mut given_host = None;
        let mut verbose = 0;
        let mut user = None;
        for option in parsed.options {
            let value = option.value;
            let text = value.to_string_lossy().into_owned();
            match option.name.as_str() {
                "help" => return Err(Stop::Help),
                "version" => return Err(Stop::Version),
                "daemonize" => o.detach = true,
                "no-remote" => o.no_remote = true,
                "refuse-plain-names" => o.refuse_plain_names = true,
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
                "job-time" => {
                    let seconds = u64::try_from(cli::number(&value)).ok().filter(|s| (1..=JOB_TIME_MAX).contains(s));
                    let seconds =
                        seconds.ok_or_else(|| usage(format!("Error: --job-time takes 1 to {JOB_TIME_MAX} seconds")))?;
                    o.job_time = Duration::from_secs(seconds);
                }
                "job-uid-base" => {
                    let id = u32::try_from(cli::number(&value));
                    o.job_uid_base = Some(id.map_err(|_| usage("Error: --job-uid-base requires a user id"))?);
                }
                other => return Err(usage(format!("iceccd: --{other} means nothing"))),
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
            refuse_plain_names: false,
            interface: None,
            port: 10245,
            level: LevelFilter::Error,
            job_uid_base: None,
            job_time: JobLimits::default().wall,
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

fn host_port(text: &str) -> Result<(String, u16), Stop> {
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

fn guarantees(text: &str) -> Result<Vec<Guarantee>, Stop> {
    text.split(',')
        .filter(|w| !w.is_empty())
        .map(|word| {
            Guarantee::from_name(word).ok_or_else(|| {
                let all: Vec<&str> = Guarantee::ALL.iter().map(|g| g.name()).collect();
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

    fn parse(args: &[&str]) -> Result<Options, Stop> {
        Options::parse(args.iter().map(OsString::from), |_| None)
    }

    fn reason(args: &[&str]) -> String {
        match parse(args) {
            Err(Stop::Usage(reason)) => reason,
            other => panic!("{args:?}: {other:?}"),
        }
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
        assert!(!o.refuse_plain_names && parse(&["--refuse-plain-names"]).unwrap().refuse_plain_names);
        assert_eq!(parse(&[]).unwrap().cache_limit, None);
        assert_eq!(parse(&["-m", "-1"]).unwrap().slots, None);
        assert_eq!(parse(&["-m", "junk"]).unwrap().slots, Some(0));
        assert_eq!(parse(&["-b", ""]).unwrap().base, PathBuf::from("/var/tmp/icecc-envs"));
    }

    #[test]
    fn d1_reasons_of_usage_errors() {
        assert_eq!(parse(&["--help", "--no-such"]).unwrap_err(), usage("iceccd: unrecognized option '--no-such'"));
        assert_eq!(parse(&["-dh"]).unwrap_err(), Stop::Help);
        assert_eq!(parse(&["--version"]).unwrap_err(), Stop::Version);
        assert_eq!(reason(&["--nice", ""]), "Error: --nice requires argument");
        assert_eq!(reason(&["-m", ""]), "Error: -m requires argument");
        assert_eq!(reason(&["-s", ""]), "Error: -s requires hostname argument");
        assert_eq!(reason(&["-s", "h:0"]), "Error: -s requires valid port if hostname includes colon");
        assert_eq!(reason(&["-u", "root"]), "Error: -u <username> must not be root");
        assert_eq!(reason(&["-u", "nobody-of-that-name"]), "Error: -u requires a valid username");
        assert_eq!(reason(&["-p", "0"]), "Error: Invalid port specified");
        assert!(reason(&["--no-such"]).contains("unrecognized option"));
        assert!(reason(&["--require", "root,sky"]).contains("sky"));
        for wrong in ["0", "7001", "-1", "x"] {
            assert_eq!(reason(&["--job-time", wrong]), "Error: --job-time takes 1 to 7000 seconds", "{wrong}");
        }
        assert_eq!(parse(&["--job-time", "90"]).unwrap().job_time.as_secs(), 90);
        assert_eq!(parse(&[]).unwrap().job_time.as_secs(), 3600);
        assert_eq!(reason(&["--job-uid-base", "-5"]), "Error: --job-uid-base requires a user id");
        assert_eq!(reason(&["--allow", ""]), "Error: --allow requires argument");
        assert!(reason(&["--allow", "10.0.0.0/8,all"]).starts_with("Error: --allow: \"all\" is no network"));
    }

    #[test]
    fn every_row_means_something_and_nothing_else_does() {
        let value = |option: &Opt| match option.completes {
            Completes::List(words) => words.join(","),
            _ if option.long == "allow" => "10.0.0.0/8".into(),
            _ if option.long == "user-uid" => "nobody".into(),
            _ => "7".into(),
        };
        cli::tests::check_rows(TABLE, value, |line| {
            match parse(&line.iter().map(String::as_str).collect::<Vec<_>>()) {
                Err(Stop::Usage(reason)) => Err(reason),
                _ => Ok(()),
            }
        });
        cli::tests::check_arms(TABLE, include_str!("options.rs"));
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
