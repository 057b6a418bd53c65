//! The scheduler's command line.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use super::web::{NoPlace, Place};
use crate::background::Account;
use crate::cli::table::{Completes, HELP, Opt, Program, SHOW_VERSION, option};
use crate::cli::{self, BadValue, Given, ParseError, networks};
use ice_net::allow::Allow;

/// The program's table, for help, manual and shells.
pub const PROGRAM: Program = Program {
    name: "icecc-scheduler",
    title: "ICECREAM scheduler",
    about: "Chooses a machine for each compile job of the network.",
    usage: &["icecc-scheduler [OPTION]..."],
    above: "",
    options: TABLE,
    below: "",
    operands: Completes::Nothing,
};

const TABLE: &[Opt] = &[
    option("daemonize", "detach; returns when the ports are open").short('d'),
    option("netname", "the network to serve (default ICECREAM)").short('n').takes("NAME", Completes::Nothing),
    option("interface", "listen on this network device only")
        .short('i')
        .takes("DEVICE", Completes::Nothing)
        .manual("Listen on this network device only, and announce the scheduler there."),
    option("allow", "hear hosts of these networks alone\n(10.0.0.0/8,fd00::/8), and this host")
        .takes("NET,...", Completes::Nothing)
        .manual(
            "Take TCP connections of hosts of these networks alone, as 10.0.0.0/8,fd00::/8. This host needs no entry.",
        ),
    option("text-interface", "text port on this address or network device alone\n(lo: for this host only)")
        .takes("ADDRESS", Completes::Nothing)
        .manual(
            "Text port on this address or network device alone: lo for this host only. Whoever reaches it may remove hosts.",
        ),
    option("text-admin", "take commands that change something from these networks\n(10.0.0.5,fd00::/8), not from this host alone")
        .takes("NET,...", Completes::Nothing)
        .manual(
            "Take commands of the text port that change something (removecs, blockcs, unblockcs) from hosts of these networks too. \
             Without it only this host may give them, by a loopback address.",
        ),
    option("web", "page and metrics at ADDR (default 127.0.0.1:8767)").takes("[=ADDR[:PORT]]", Completes::Nothing).manual(
        "Show the cluster as a page for browsers, with `/api/status` and `/api/jobs` (JSON), `/metrics` (Prometheus) and \
         `/healthz`, on this address; without one for this host alone, at http://127.0.0.1:8767/. Whoever reaches it sees \
         names of hosts and files, and can change nothing. It is off by default.",
    ),
    option("port", "TCP and UDP port (default 8765); the text port is the next")
        .short('p')
        .takes("PORT", Completes::Nothing),
    option("user-uid", "run as this user when started by root (default icecc)")
        .short('u')
        .takes("USER", Completes::Nothing),
    option("persistent-client-connection", "keep hosts and monitors when a better scheduler appears").short('r'),
    option("log-file", "log to this file instead of standard error").short('l').takes("FILE", Completes::File),
    option("", "log more: warnings, -vv info, -vvv debug").short('v'),
    HELP.short('h'),
    SHOW_VERSION,
];

/// The options given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The network served.
    pub netname: String,
    /// The only interface to listen on.
    pub device: Option<String>,
    /// TCP and UDP port.
    pub port: u16,
    /// The log file, as absolute path.
    pub log_file: Option<PathBuf>,
    /// Whether to detach from the terminal.
    pub detach: bool,
    /// The account to run as; `None` for the default.
    pub account: Option<Account>,
    /// Number of `-v`.
    pub verbose: usize,
    /// Whether connections are kept when another scheduler has precedence.
    pub persistent: bool,
    /// Networks that may connect.
    pub allow: Allow,
    /// Address or interface of the text port, if it has its own.
    pub text_interface: Option<String>,
    /// Who may give commands that change something.
    pub text_admin: TextAdmin,
    /// Where the page is, if it is wanted.
    pub web: Option<Place>,
}

/// Who may change something by the text port: this host, and the networks of `--text-admin`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TextAdmin(Option<Allow>);

impl TextAdmin {
    /// Whether a text peer of this address may.
    pub fn admits(&self, address: &str) -> bool {
        let address = address.parse().map(|address: IpAddr| address.to_canonical());
        address.is_ok_and(|address| match &self.0 {
            None => address.is_loopback(),
            Some(networks) => networks.admits(address),
        })
    }
}

/// Why the program does not run.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Stop {
    /// `--help`.
    #[error("")]
    Help,
    /// `--version`.
    #[error("")]
    Version,
    /// An option of the table that the parser does not handle.
    #[error("--{0} means nothing")]
    Meaningless(String),
    /// A wrong command line.
    #[error(transparent)]
    Wrong(#[from] ParseError),
}

impl From<BadValue> for Stop {
    fn from(bad: BadValue) -> Self {
        Self::Wrong(bad.into())
    }
}

/// Parses the command line, without the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, Stop> {
    let mut options = Options {
        netname: ice_net::discover::DEFAULT_NETNAME.into(),
        device: None,
        port: ice_net::discover::DEFAULT_PORT,
        log_file: None,
        detach: false,
        account: None,
        verbose: 0,
        persistent: false,
        allow: Allow::default(),
        text_interface: None,
        text_admin: TextAdmin::default(),
        web: None,
    };
    for given in cli::options(TABLE, args)? {
        match given.name.as_str() {
            "netname" => options.netname = given.text()?,
            "interface" => options.device = Some(given.text()?),
            // The text port is the next one.
            "port" => options.port = given.number(1..=u16::MAX - 1)?,
            "log-file" => options.log_file = Some(given.path()?),
            "daemonize" => options.detach = true,
            "user-uid" => options.account = Some(Account::named(&given.text()?).map_err(|e| given.bad(e))?),
            "v" => options.verbose += 1,
            "persistent-client-connection" => options.persistent = true,
            "allow" => options.allow = networks(&given)?,
            "text-admin" => options.text_admin = TextAdmin(Some(networks(&given)?)),
            "text-interface" => options.text_interface = Some(given.text()?),
            "web" => options.web = Some(place(&given)?),
            "help" => return Err(Stop::Help),
            "version" => return Err(Stop::Version),
            other => return Err(Stop::Meaningless(other.to_owned())),
        }
    }
    Ok(options)
}

/// The value as a place to listen.
fn place(given: &Given) -> Result<Place, BadValue> {
    let place = given.value.to_str().unwrap_or("?").parse();
    place.map_err(|wanted: NoPlace| given.bad(wanted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, Stop> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn s1_short_long_and_prefix_mean_the_same() {
        let forms: [&[&str]; 4] = [
            &["-n", "X", "-p", "9", "-vvv", "-r"],
            &["-nX", "-p9", "-v", "-v", "-v", "-r"],
            &["--netname=X", "--port=9", "-vv", "-v", "--persistent-client-connection"],
            &["--netn", "X", "--por", "9", "-vvv", "--pers"],
        ];
        let wanted = read(forms[0]).unwrap();
        assert_eq!((wanted.netname.as_str(), wanted.port, wanted.verbose, wanted.persistent), ("X", 9, 3, true));
        for form in forms {
            assert_eq!(read(form).unwrap(), wanted, "{form:?}");
        }
    }

    #[test]
    fn the_page_is_off_or_here_or_there() {
        let web = |args: &[&str]| read(args).unwrap().web.map(|place| place.address().to_string());
        assert_eq!(web(&[]), None);
        assert_eq!(web(&["--web", "-v"]), Some("127.0.0.1:8767".into()));
        assert_eq!(web(&["--web=0.0.0.0:80"]), Some("0.0.0.0:80".into()));
        assert_eq!(read(&["--web", "0.0.0.0"]).unwrap_err().to_string(), "unknown word \"0.0.0.0\"");
    }

    #[test]
    fn this_host_and_named_networks_may_change_something() {
        let named = read(&["--text-admin", "10.0.0.5,fd00::/8"]).unwrap().text_admin;
        for (address, alone, with_named) in [
            ("127.0.0.1", true, true),
            ("::1", true, true),
            ("::ffff:127.0.0.1", true, true),
            ("10.0.0.5", false, true),
            ("10.0.0.6", false, false),
            ("fd00::7", false, true),
            ("nonsense", false, false),
        ] {
            assert_eq!(read(&[]).unwrap().text_admin.admits(address), alone, "{address}");
            assert_eq!(named.admits(address), with_named, "{address}");
        }
    }

    #[test]
    fn s1_wrong_options_are_named_with_their_values() {
        for (args, reason) in [
            (&["-n", ""] as &[&str], "-n wants text that is not empty, not \"\""),
            (&["--text-interface="], "--text-interface wants text that is not empty, not \"\""),
            (&["-l", ""], "-l wants the name of a file or directory, not \"\""),
            (&["-p", "0"], "-p wants a whole number from 1 to 65534, not \"0\""),
            (&["--port=-1"], "--port wants a whole number from 1 to 65534, not \"-1\""),
            (&["-p12abc"], "-p wants a whole number from 1 to 65534, not \"12abc\""),
            (&["-u", "nobody at all"], "-u wants the name of a user of this system, not \"nobody at all\""),
            (&["-u", "root"], "-u wants a user who is neither root nor in root's group, not \"root\""),
            (&["--allow", "10.0.0.0/40"], "--allow wants networks (10.0.0.0/8,fd00::/8), not \"10.0.0.0/40\""),
            (&["--text-admin", "all"], "--text-admin wants networks (10.0.0.0/8,fd00::/8), not \"all\""),
            (
                &["--web=eth0"],
                "--web wants an address with or without a port (0.0.0.0, 10.0.0.1:8767, [::1]:8767), not \"eth0\"",
            ),
            (&["-v", "more"], "unknown word \"more\""),
            (&["-a", "fastest"], "unknown option -a"),
        ] {
            assert_eq!(read(args).unwrap_err().to_string(), reason);
        }
        assert_eq!(read(&["-h", "word"]), Err(Stop::Help));
        assert_eq!(read(&["--version"]), Err(Stop::Version));
    }

    #[test]
    fn every_row_means_something_and_nothing_else_does() {
        let value = |option: &Opt| match option.long {
            "allow" | "text-admin" => "10.0.0.0/8".into(),
            "user-uid" => "nobody".into(),
            _ => "7".into(),
        };
        cli::tests::check_rows(TABLE, value, |line| match parse(line.iter().map(OsString::from)) {
            Ok(_) | Err(Stop::Help | Stop::Version) => Ok(()),
            Err(other) => Err(other.to_string()),
        });
        cli::tests::check_arms(TABLE, include_str!("options.rs"));
    }
}
