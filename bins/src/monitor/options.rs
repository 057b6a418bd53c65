//! Options of icetop.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;
use std::time::Duration;

use crate::cli::table::{Completes, HELP, Opt, Program, SHOW_VERSION, option};
use crate::cli::words::Words;
use crate::cli::{BadValue, ParseError};
use crate::exit::Failure;
use ice_net::discover::{DEFAULT_NETNAME, DEFAULT_PORT};

/// The program.
pub const PROGRAM: Program = Program {
    name: "icetop",
    title: "icetop",
    about: "Shows what a cluster does: hosts with their slots, who compiles what where, what waits.",
    usage: &["icetop [-s HOST[:PORT] | -n NAME] [OPTION...]"],
    above: "",
    options: TABLE,
    below: "\
Keys: ? explains the screen, q ends it.
Works with schedulers of icecream 1.4 too. Variables:
  ICECC_SCHEDULER, USE_SCHEDULER  HOST[:PORT] of the scheduler, where -s gives none
  NO_COLOR                        no colours, if it is not empty
Exit status: 0, 1 no scheduler or no terminal, 2 wrong options.",
    operands: Completes::Nothing,
};

/// Its options.
const TABLE: &[Opt] = &[
    option("scheduler", "use this scheduler instead of looking for one by broadcast")
        .short('s')
        .takes("HOST[:PORT]", Completes::Nothing),
    option("netname", "look for the scheduler of this network (default: ICECREAM)")
        .short('n')
        .takes("NAME", Completes::Nothing),
    option("port", "port of the scheduler, where -s gives none (default: 8765)")
        .short('p')
        .takes("PORT", Completes::Nothing),
    option("once", "print the state as text and end").manual(
        "Listen for a moment, print the state as text and end: for scripts, and where there is no terminal. A scheduler \
         of 1.4 does not tell what was running before: see --for.",
    ),
    option("json", "print the state as JSON and end"),
    option("for", "with --once or --json: listen so long (default: 1)").takes("SECONDS", Completes::Nothing).manual(
        "With --once or --json: listen so long before printing. The default is 1. A scheduler of 1.4 tells only what \
         begins while it is listened to.",
    ),
    option("record", "write what the scheduler says to this file").takes("FILE", Completes::File).manual(
        "Write what the scheduler says to this file, a line of JSON for each event with its time in seconds: for \
         reports of faults and for demonstrations.",
    ),
    option("replay", "show a recording instead of a running cluster").takes("FILE", Completes::File),
    option("speed", "with --replay: so many times as fast (default: 1)").takes("N", Completes::Nothing),
    HELP.short('h'),
    SHOW_VERSION,
];

/// Longest time to listen.
const LISTEN_MAX: f64 = 86_400.0;
/// Slowest and fastest replay.
const SPEED: (f64, f64) = (0.01, 1000.0);

/// Where the feed comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A running scheduler.
    Scheduler {
        /// Its host; empty: by broadcast.
        host: String,
        /// Its port.
        port: u16,
        /// Its network.
        netname: String,
    },
    /// A recording.
    Recording {
        /// Its file.
        file: PathBuf,
        /// How many times as fast as it was.
        speed: f64,
    },
}

/// How the state is shown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Show {
    /// On a screen, live.
    Screen,
    /// As text or JSON, once, after listening so long.
    Once {
        /// Whether as JSON.
        json: bool,
        /// How long to listen.
        listen: Duration,
    },
}

/// What to do.
#[derive(Clone, Debug, PartialEq)]
pub enum Task {
    /// `--help`.
    Help,
    /// `--version`.
    Version,
    /// Shows the cluster.
    Watch {
        /// Where the feed comes from.
        source: Source,
        /// How it is shown.
        show: Show,
        /// The file to which it is written.
        record: Option<PathBuf>,
    },
}

/// Reads the command line without the program's name.
pub fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Task, Failure> {
    let mut words = Words::new(arguments, TABLE);
    let mut value = |name| words.value(name).map_err(Failure::wrong);
    let listen = value("--for")?;
    let (record, replay, speed) = (value("--record")?, value("--replay")?, value("--speed")?);
    let mut either = |short, long| words.either(short, long).map_err(Failure::wrong);
    let (scheduler, netname, port) =
        (either("-s", "--scheduler")?, either("-n", "--netname")?, either("-p", "--port")?);
    if words.flag(["-h", "--help"]) {
        return Ok(Task::Help);
    }
    if words.flag(["--version"]) {
        return Ok(Task::Version);
    }
    let (once, json) = (words.flag(["--once"]), words.flag(["--json"]));
    let operands = words.operands().map_err(Failure::wrong)?;
    if let Some(word) = operands.into_iter().next() {
        return Err(Failure::wrong(ParseError::Operand(word)));
    }
    let show = show(once || json, json, listen.as_deref())?;
    let source = match replay {
        Some(file) => {
            let other =
                [("--scheduler", &scheduler), ("--netname", &netname), ("--port", &port), ("--record", &record)];
            if let Some((name, _)) = other.iter().find(|(_, given)| given.is_some()) {
                return Err(Failure::wrong(format!("{name} and --replay do not go together")));
            }
            let speed = speed.map_or(Ok(1.0), |text| number("--speed", &text, SPEED))?;
            Source::Recording { file: file.into(), speed }
        }
        None if speed.is_some() => return Err(Failure::wrong("--speed is for --replay alone")),
        None => live(scheduler, netname, port, variable)?,
    };
    Ok(Task::Watch { source, show, record: record.map(PathBuf::from) })
}

fn show(once: bool, json: bool, listen: Option<&OsStr>) -> Result<Show, Failure> {
    match listen {
        None if !once => Ok(Show::Screen),
        Some(_) if !once => Err(Failure::wrong("--for is for --once and --json alone")),
        _ => {
            let seconds = listen.map_or(Ok(1.0), |text| number("--for", text, (0.0, LISTEN_MAX)))?;
            Ok(Show::Once { json, listen: Duration::from_secs_f64(seconds) })
        }
    }
}

/// `-s` wins; where it names no host the variables are asked.
fn live(
    scheduler: Option<OsString>,
    netname: Option<OsString>,
    port: Option<OsString>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<Source, Failure> {
    let port = port.map_or(Ok(DEFAULT_PORT), |text| port_number("--port", &text))?;
    let given = scheduler.map(|text| ("--scheduler", text)).into_iter();
    let variables = ["ICECC_SCHEDULER", "USE_SCHEDULER"].into_iter().filter_map(|name| Some((name, variable(name)?)));
    let mut found = (String::new(), port);
    for (name, text) in given.chain(variables) {
        let text = text.into_string().map_err(|text| bad(name, "HOST[:PORT]", &text))?;
        let (host, port_text) = ice_net::dial::split_host_port(&text);
        let port = port_text.map_or(Ok(found.1), |text| port_number(name, OsStr::new(text)))?;
        found = (host.to_owned(), port);
        if !host.is_empty() {
            break;
        }
    }
    let netname = netname.map_or(DEFAULT_NETNAME.into(), |name| name.to_string_lossy().into_owned());
    Ok(Source::Scheduler { host: found.0, port: found.1, netname })
}

fn port_number(name: &str, text: &OsStr) -> Result<u16, Failure> {
    let port = text.to_str().and_then(|text| text.parse().ok()).filter(|port| *port != 0);
    port.ok_or_else(|| bad(name, "a port from 1 to 65535", text))
}

fn number(name: &str, text: &OsStr, (least, most): (f64, f64)) -> Result<f64, Failure> {
    let number = text.to_str().and_then(|text| text.parse().ok()).filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| bad(name, &format!("a number from {least} to {most}"), text))
}

fn bad(option: &str, wanted: &str, value: &OsStr) -> Failure {
    Failure::wrong(BadValue { option: option.to_owned(), wanted: wanted.to_owned(), value: value.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Task, Failure> {
        parse(line.split_whitespace().map(OsString::from), |_| None)
    }

    fn source(line: &str, variables: &[(&str, &str)]) -> (String, u16) {
        let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into());
        match parse(line.split_whitespace().map(OsString::from), variable) {
            Ok(Task::Watch { source: Source::Scheduler { host, port, .. }, .. }) => (host, port),
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn every_row_is_taken() {
        let value = |option: &Opt| if option.long == "netname" { "N".to_owned() } else { "43".to_owned() };
        crate::cli::tests::check_rows(TABLE, value, |line| match parse(line.iter().map(OsString::from), |_| None) {
            // Some options require others.
            Err(failure) if failure.what.contains("unknown option") => Err(failure.what),
            _ => Ok(()),
        });
    }

    #[test]
    fn the_scheduler_is_the_options_then_a_variables() {
        let both = [("ICECC_SCHEDULER", "a:9"), ("USE_SCHEDULER", "b")];
        for (line, variables, host, port) in [
            ("", &[][..], "", 8765),
            ("-s h", &both, "h", 8765),
            ("--scheduler h:10", &both, "h", 10),
            ("-s h -p 11", &[], "h", 11),
            ("-s [::1]:12", &[], "::1", 12),
            ("", &both, "a", 9),
            ("-p 13", &both[1..], "b", 13),
            ("-s :14", &[], "", 14),
        ] {
            assert_eq!(source(line, variables), (host.to_owned(), port), "{line}");
        }
    }

    #[test]
    fn what_is_shown_follows_from_the_options() {
        let once = |json, seconds| Show::Once { json, listen: Duration::from_secs_f64(seconds) };
        for (line, wanted) in [("", Show::Screen), ("--once", once(false, 1.0)), ("--json --for 2.5", once(true, 2.5))]
        {
            assert!(matches!(parsed(line), Ok(Task::Watch { show, .. }) if show == wanted), "{line}");
        }
        let replay = Source::Recording { file: "f".into(), speed: 10.0 };
        assert!(matches!(parsed("--replay f --speed 10"), Ok(Task::Watch { source, .. }) if source == replay));
        assert_eq!((parsed("--once -h"), parsed("--version")), (Ok(Task::Help), Ok(Task::Version)));
    }

    #[test]
    fn mistakes_are_one_line_with_status_2() {
        for (line, wanted) in [
            ("-s h:x", "--scheduler wants a port from 1 to 65535, not \"x\""),
            ("--port 0", "--port wants a port from 1 to 65535, not \"0\""),
            ("--once --for soon", "--for wants a number from 0 to 86400, not \"soon\""),
            ("--for 3", "--for is for --once and --json alone"),
            ("--speed 2", "--speed is for --replay alone"),
            ("--replay f --speed 0", "--speed wants a number from 0.01 to 1000, not \"0\""),
            ("--replay f -s h", "--scheduler and --replay do not go together"),
            ("--replay f --record g", "--record and --replay do not go together"),
            ("word", "unknown word \"word\""),
            ("--onec", "unknown option --onec (did you mean --once?)"),
            ("-s", "-s wants a value, HOST[:PORT]"),
        ] {
            let failure = parsed(line).expect_err(line);
            assert_eq!((failure.to_string().as_str(), failure.code), (wanted, 2));
        }
    }
}
