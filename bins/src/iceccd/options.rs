//! The daemon's command line and environment variables.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use ice_launcher::JobLimits;
use ice_net::allow::Allow;
use ice_sandbox::guarantees::Guarantee;
use log::LevelFilter;

use crate::background::Account;
use crate::cli::table::{Completes, HELP, Opt, Program, SHOW_VERSION, option};
use crate::cli::{self, BadValue, Given, ParseError, networks};
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
    option("files-limit", "size of files of submitters on disk, 0: run no jobs on them\n(default: a tenth of what is free there, at most 4096)")
        .takes("MB", Completes::Nothing)
        .manual(
            "Size of files of submitters on disk, on which their jobs run; 0: run no such jobs. Without it they may take a tenth \
             of what is free there, but at most 4096 MB. One submitter may take half of it.",
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

/// The most jobs of `-m`: each has a user id of its own.
const SLOTS_MAX: u32 = 65_534;
/// The most megabytes of `--cache-limit` and `--files-limit`: 16 TiB.
const CACHE_LIMIT_MAX: u64 = 16 << 20;

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
    /// `-m`
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
    /// `--files-limit` in bytes, if it was given.
    pub files_limit: Option<u64>,
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
    /// A wrong command line or variable, and why.
    Wrong(String),
}

impl From<ParseError> for Stop {
    fn from(error: ParseError) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl From<BadValue> for Stop {
    fn from(error: BadValue) -> Self {
        Self::Wrong(error.to_string())
    }
}

impl Options {
    /// Reads arguments (without the program's name) and variables.
    pub fn parse(
        args: impl IntoIterator<Item = OsString>,
        variable: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Self, Stop> {
        let mut o = Self::default();
        let mut given_host = None;
        let mut verbose = 0;
        let mut account = None;
        for given in cli::options(TABLE, args)? {
            match given.name.as_str() {
                "help" => return Err(Stop::Help),
                "version" => return Err(Stop::Version),
                "daemonize" => o.detach = true,
                "no-remote" => o.no_remote = true,
                "refuse-plain-names" => o.refuse_plain_names = true,
                "v" => verbose += 1,
                "check" => o.check = true,
                "require" => o.require = guarantees(&given)?,
                "user-uid" => account = Some(Account::named(&given.text()?).map_err(|e| given.bad(e))?),
                "env-basedir" => o.base = given.path()?,
                "scheduler-host" => given_host = Some(host_port(&given)?),
                "allow" => o.allow = networks(&given)?,
                "netname" => o.netname = given.text()?,
                "max-processes" => o.slots = Some(given.number(0..=SLOTS_MAX)?),
                "log-file" => o.log_file = Some(given.path()?),
                "nice" => o.nice = given.number(0..=19)?,
                "name" => o.node_name = Some(given.text()?.into()),
                "cache-limit" => o.cache_limit = Some(given.number(1..=CACHE_LIMIT_MAX)? << 20),
                "files-limit" => o.files_limit = Some(given.number(0..=CACHE_LIMIT_MAX)? << 20),
                "interface" => o.interface = Some(given.text()?),
                "port" => o.port = given.number(1..=u16::MAX)?,
                "job-time" => o.job_time = Duration::from_secs(given.number(1..=JOB_TIME_MAX)?),
                "job-uid-base" => o.job_uid_base = Some(given.number(1..=u32::MAX - 1)?),
                other => return Err(Stop::Wrong(format!("--{other} means nothing"))),
            }
        }
        o.level = logging::level(verbose);
        o.account_given = account.is_some();
        o.account = account.unwrap_or_else(Account::default_for_service);
        o.scheduler = scheduler(given_host, variable)?;
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
            files_limit: None,
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

/// `-s` wins; without a host in it the variables are asked, whose port then counts.
fn scheduler(
    given: Option<(String, u16)>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<(String, u16), BadValue> {
    if given.as_ref().is_some_and(|(host, _)| !host.is_empty()) {
        return Ok(given.unwrap_or_default());
    }
    for name in ["ICECC_SCHEDULER", "USE_SCHEDULER"] {
        if let Some(value) = variable(name).filter(|value| !value.is_empty()) {
            return host_port(&Given { name: name.to_owned(), written: name.to_owned(), value });
        }
    }
    Ok(given.unwrap_or((String::new(), SCHEDULER_PORT)))
}

fn host_port(given: &Given) -> Result<(String, u16), BadValue> {
    let text = given.value.to_str().filter(|text| !text.is_empty());
    let read = text.and_then(|text| {
        let (host, port) = ice_net::dial::split_host_port(text);
        let port = port.map_or(Some(SCHEDULER_PORT), |port| cli::number(port, &(1..=u16::MAX)))?;
        Some((host.to_owned(), port))
    });
    read.ok_or_else(|| given.bad("HOST, HOST:PORT or :PORT, with a port from 1 to 65535"))
}

fn guarantees(given: &Given) -> Result<Vec<Guarantee>, BadValue> {
    let words = given.value.to_str().unwrap_or_default().split(',');
    let read: Option<Vec<Guarantee>> = words.map(Guarantee::from_name).collect();
    read.ok_or_else(|| given.bad(format!("some of {}", FLAGS.join(","))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(args: &[&str]) -> Result<Options, Stop> {
        Options::parse(args.iter().map(OsString::from), |_| None)
    }

    fn reason(args: &[&str]) -> String {
        match parse(args) {
            Err(Stop::Wrong(reason)) => reason,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    #[test]
    fn d1_every_form_has_the_same_effect() {
        for args in [&["-m", "3", "-n", "x"][..], &["--max-processes=3", "--netname", "x"], &["-m3", "--net=x"]] {
            let o = parse(args).unwrap();
            assert_eq!((o.slots, o.netname.as_str()), (Some(3), "x"), "{args:?}");
        }
        let o = parse(&["-vvv", "--no-remote", "-d", "--nice", "7", "--cache-limit=4096"]).unwrap();
        assert_eq!((o.level, o.no_remote, o.detach, o.nice), (LevelFilter::Debug, true, true, 7));
        assert_eq!(o.cache_limit, Some(4096 << 20));
        assert!(!o.refuse_plain_names && parse(&["--refuse-plain-names"]).unwrap().refuse_plain_names);
        assert_eq!(parse(&[]).unwrap().cache_limit, None);
        assert_eq!(parse(&["-m", "0"]).unwrap().slots, Some(0));
        assert_eq!(parse(&["--job-time", "90"]).unwrap().job_time.as_secs(), 90);
        assert_eq!(parse(&[]).unwrap().job_time.as_secs(), 3600);
    }

    #[test]
    fn d1_wrong_options_are_named_with_their_values() {
        assert_eq!(parse(&["--help", "--no-such"]).unwrap_err(), Stop::Wrong("unknown option --no-such".into()));
        assert_eq!(parse(&["-dh"]).unwrap_err(), Stop::Help);
        assert_eq!(parse(&["--version"]).unwrap_err(), Stop::Version);
        for (args, wanted) in [
            (&["-m", "abc"][..], "-m wants a whole number from 0 to 65534, not \"abc\""),
            (&["-m-1"], "-m wants a whole number from 0 to 65534, not \"-1\""),
            (&["--nice", "20"], "--nice wants a whole number from 0 to 19, not \"20\""),
            (&["--nice="], "--nice wants a whole number from 0 to 19, not \"\""),
            (&["-n", ""], "-n wants text that is not empty, not \"\""),
            (&["-b", ""], "-b wants the name of a file or directory, not \"\""),
            (&["-s", ""], "-s wants HOST, HOST:PORT or :PORT, with a port from 1 to 65535, not \"\""),
            (&["-s", "h:0"], "-s wants HOST, HOST:PORT or :PORT, with a port from 1 to 65535, not \"h:0\""),
            (&["-u", "root"], "-u wants a user who is neither root nor in root's group, not \"root\""),
            (&["-u", "nobody-of-that-name"], "-u wants the name of a user of this system, not \"nobody-of-that-name\""),
            (&["-p", "0"], "-p wants a whole number from 1 to 65535, not \"0\""),
            (&["--job-time", "7001"], "--job-time wants a whole number from 1 to 7000, not \"7001\""),
            (&["--job-uid-base", "-5"], "--job-uid-base wants a whole number from 1 to 4294967294, not \"-5\""),
            (&["--cache-limit", "1 GB"], "--cache-limit wants a whole number from 1 to 16777216, not \"1 GB\""),
            (&["--allow", "10.0.0.0/8,all"], "--allow wants networks (10.0.0.0/8,fd00::/8), not \"10.0.0.0/8,all\""),
            (&["-v", "operand"], "unknown word \"operand\""),
        ] {
            assert_eq!(reason(args), wanted);
        }
        let require = reason(&["--require", "root,sky"]);
        assert!(require.starts_with("--require wants some of ") && require.ends_with("not \"root,sky\""));
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
                Err(Stop::Wrong(reason)) => Err(reason),
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
        let wrong = Options::parse([], |name| (name == "USE_SCHEDULER").then(|| "h:x".into())).unwrap_err();
        assert!(matches!(wrong, Stop::Wrong(reason) if reason.starts_with("USE_SCHEDULER wants HOST")));
    }
}
