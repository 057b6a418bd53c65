//! The scheduler's command line, parsed as 1.4 does.

use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use crate::background::{Account, AccountError};
use crate::cli::table::{Completes, HELP, Opt, Program, SHOW_VERSION, option};
use crate::cli::{self, ParseError};
use ice_net::allow::{Allow, NotANetwork};

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
pub enum UsageError {
    /// `--help`.
    #[error("")]
    Help,
    /// `--version`.
    #[error("")]
    Version,
    /// An option of the table that the parser does not handle.
    #[error("--{0} means nothing")]
    Meaningless(String),
    /// An invalid option, with the C library's text.
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// An empty argument of an option with a letter.
    #[error("Error: -{0} requires argument")]
    Empty(char),
    /// The same for an option without a letter.
    #[error("Error: --{0} requires argument")]
    EmptyLong(String),
    /// `--text-admin` without valid networks.
    #[error("Error: --text-admin: {0}")]
    TextAdmin(#[source] NotANetwork),
    /// `--allow` without valid networks.
    #[error("Error: --allow: {0}")]
    Allow(#[from] NotANetwork),
    /// Not a number, or 0.
    #[error("Error: Invalid port specified")]
    Port,
    /// A user that does not exist or is not allowed.
    #[error("{0}")]
    Account(#[from] AccountError),
}

/// Parses the command line, without the program's name.
pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Options, UsageError> {
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
    };
    for given in cli::parse(TABLE, args)?.options {
        let text = given.value.to_string_lossy().into_owned();
        let filled = |letter| if text.is_empty() { Err(UsageError::Empty(letter)) } else { Ok(text.clone()) };
        match given.name.as_str() {
            "netname" => options.netname = filled('n')?,
            "interface" => options.device = Some(filled('i')?),
            "port" => {
                filled('p')?;
                options.port = match cli::atoi(&given.value) {
                    0 => return Err(UsageError::Port),
                    // Truncated as in C: 70000 is 4464.
                    port => port as u16,
                };
            }
            "log-file" => {
                filled('l')?;
                let path = PathBuf::from(&given.value);
                options.log_file = Some(std::path::absolute(&path).unwrap_or(path));
            }
            "daemonize" => options.detach = true,
            "user-uid" => options.account = Some(Account::named(&text)?),
            "v" => options.verbose += 1,
            "persistent-client-connection" => options.persistent = true,
            "allow" | "text-interface" | "text-admin" if text.is_empty() => {
                return Err(UsageError::EmptyLong(given.name));
            }
            "allow" => options.allow = text.parse()?,
            "text-admin" => options.text_admin = TextAdmin(Some(text.parse().map_err(UsageError::TextAdmin)?)),
            "text-interface" => options.text_interface = Some(text),
            "help" => return Err(UsageError::Help),
            "version" => return Err(UsageError::Version),
            other => return Err(UsageError::Meaningless(other.to_owned())),
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(args: &[&str]) -> Result<Options, UsageError> {
        parse(args.iter().map(OsString::from))
    }

    #[test]
    fn s1_short_long_and_prefix_mean_the_same() {
        let forms: [&[&str]; 4] = [
            &["-n", "X", "-p", "9", "-vvv", "-r"],
            &["-nX", "-p9", "-v", "-v", "-v", "-r"],
            &["--netname=X", "--port=9", "-vv", "-v", "--persistent-client-connection"],
            &["ignored", "--netn", "X", "--por", "9x", "-vvv", "--pers"],
        ];
        let wanted = read(forms[0]).unwrap();
        assert_eq!((wanted.netname.as_str(), wanted.port, wanted.verbose, wanted.persistent), ("X", 9, 3, true));
        for form in forms {
            assert_eq!(read(form).unwrap(), wanted, "{form:?}");
        }
    }

    #[test]
    fn s1_ports_are_read_as_c_reads_them() {
        for (text, port) in [("70000", Some(4464)), ("-1", Some(65535)), ("12abc", Some(12)), ("0", None), ("x", None)]
        {
            assert_eq!(read(&["-p", text]).map(|o| o.port).ok(), port, "{text}");
        }
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
    fn s1_usage_errors_have_1_4s_reasons() {
        for (args, reason) in [
            (["-n", ""], "Error: -n requires argument"),
            (["-l", ""], "Error: -l requires argument"),
            (["-i", ""], "Error: -i requires argument"),
            (["-p", ""], "Error: -p requires argument"),
            (["-p", "0"], "Error: Invalid port specified"),
            (["-u", ""], "Error: -u requires a valid username"),
            (["-u", "nobody at all"], "Error: -u requires a valid username"),
            (["-u", "root"], "Error: -u <username> must not be root"),
        ] {
            assert_eq!(read(&args).unwrap_err().to_string(), reason);
        }
        assert_eq!(read(&["--text-interface="]).unwrap_err().to_string(), "Error: --text-interface requires argument");
        let reason = read(&["--allow", "10.0.0.0/40"]).unwrap_err().to_string();
        assert!(reason.starts_with("Error: --allow: \"10.0.0.0/40\" is no network"), "{reason}");
        let reason = read(&["--text-admin", "all"]).unwrap_err().to_string();
        assert!(reason.starts_with("Error: --text-admin: \"all\" is no network"), "{reason}");
        assert_eq!(read(&["-h"]), Err(UsageError::Help));
        assert_eq!(read(&["--version"]), Err(UsageError::Version));
        assert!(matches!(read(&["-a", "fastest"]), Err(UsageError::Parse(_))), "only the next upstream knows -a");
    }
    #[test]
    fn every_row_means_something_and_nothing_else_does() {
        let value = |option: &Opt| match option.long {
            "allow" | "text-admin" => "10.0.0.0/8".into(),
            "user-uid" => "nobody".into(),
            _ => "7".into(),
        };
        cli::tests::check_rows(TABLE, value, |line| match parse(line.iter().map(OsString::from)) {
            Ok(_) | Err(UsageError::Help | UsageError::Version) => Ok(()),
            Err(other) => Err(other.to_string()),
        });
        cli::tests::check_arms(TABLE, include_str!("options.rs"));
    }
}
