//! Recorded traffic as JSON, one object per line, for people and scripts. `testdata/wire/README.md` describes the
//! format.
//!
//! It is stricter than a peer: whatever it prints can be written again byte by byte; everything else is an error.

mod json;
mod stream;

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use ice_core::message::Message;
use ice_core::version::Version;
use ice_net::compress::Unpacker;
use ice_net::wire::Reading;

use crate::cli::table::{Completes, HELP, Opt, Program, SHOW_VERSION, option};
use crate::cli::words::Words;
use crate::exit::{self, Failure};
use crate::interrupt;
use stream::{Handshake, Records, Side, StreamError};

/// The program's table, for help, manual and shells.
pub const PROGRAM: Program = Program {
    name: "icedump",
    title: "icedump",
    about: "Shows recorded icecream traffic as JSON, one message a line.",
    usage: &["icedump [--reencode DIR] A.bin B.bin", "icedump --udp FILE...", "icedump --protocol N --dir a|b FILE|-"],
    above: "A.bin and B.bin hold all bytes that the connecting and the accepting side of an icecream connection wrote.",
    options: TABLE,
    below: "Exit code: 0 if everything was understood, 1 if not, 2 if the command line is wrong.",
    operands: Completes::File,
};

const TABLE: &[Opt] = &[
    option("reencode", "write DIR/a.bin and DIR/b.bin anew from what was read")
        .takes("DIR", Completes::Directory)
        .manual("Write *DIR*/a.bin and *DIR*/b.bin anew from what was read."),
    option("udp", "each FILE is a datagram").manual("Each *FILE* is a datagram."),
    option("protocol", "one direction of a connection that speaks N, no handshake")
        .takes("N", Completes::Nothing)
        .manual("One direction of a connection that speaks *N*, without a handshake."),
    option("dir", "with --protocol: who wrote it, a connected, b accepted").takes("a|b", Completes::Word(&["a", "b"])),
    HELP.short('h'),
    SHOW_VERSION,
];

/// File name that means standard input.
const STDIN: &str = "-";

/// What to do.
enum Task {
    Help,
    Version,
    Connection { a: PathBuf, b: PathBuf, reencode: Option<PathBuf> },
    Datagrams(Vec<PathBuf>),
    Direction { input: PathBuf, version: Version, side: Side },
}

/// Runs the program.
pub fn main() -> ExitCode {
    let task = command_line(std::env::args_os().skip(1));
    exit::finish("icedump", task.and_then(run))
}

fn command_line(args: impl IntoIterator<Item = OsString>) -> Result<Task, Failure> {
    let mut words = Words::new(args, TABLE);
    let mut value = |option| words.value(option).map_err(Failure::wrong);
    let reencode = value("--reencode")?.map(PathBuf::from);
    let (protocol, dir) = (value("--protocol")?, value("--dir")?);
    if words.flag(["-h", "--help"]) {
        return Ok(Task::Help);
    }
    if words.flag(["--version"]) {
        return Ok(Task::Version);
    }
    let udp = words.flag(["--udp"]);
    let operands = words.operands().map_err(Failure::wrong)?;
    let files: Vec<PathBuf> = operands.into_iter().map(PathBuf::from).collect();
    match (udp, protocol, dir, reencode) {
        (true, None, None, None) => Ok(Task::Datagrams(files)),
        (false, Some(protocol), Some(dir), None) => {
            let [input] = exactly(files)?;
            Ok(Task::Direction { input, version: read_protocol(&protocol)?, side: read_side(&dir)? })
        }
        (false, None, None, reencode) => {
            let [a, b] = exactly(files)?;
            Ok(Task::Connection { a, b, reencode })
        }
        (_, protocol, dir, _) if protocol.is_some() != dir.is_some() => {
            Err(Failure::wrong("--protocol and --dir go together"))
        }
        _ => Err(Failure::wrong("--reencode, --udp and --protocol do not go together")),
    }
}

fn run(task: Task) -> Result<u8, Failure> {
    let out = &mut BufWriter::new(io::stdout().lock());
    let understood = match task {
        Task::Help => return exit::print(&PROGRAM.help()),
        Task::Version => return exit::print(&PROGRAM.version()),
        Task::Connection { a, b, reencode: None } => connection(&read(&a)?, &read(&b)?, out),
        Task::Connection { a, b, reencode: Some(dir) } => reencode(&read(&a)?, &read(&b)?, &dir).map(|()| true),
        Task::Datagrams(files) => {
            files.iter().try_for_each(|file| line(out, &json::datagram(&read(file)?))).map(|()| true)
        }
        Task::Direction { input, version, side } => {
            // Only monitors receive messages with the numbers of GET_CS and JOB_DONE from the accepting side.
            let reading = if side == Side::B { Reading::Monitor } else { Reading::Peer };
            let records = Records::new(open(&input)?, side, version, reading);
            if input.as_os_str() == STDIN {
                // The output may be followed live: each line is written at once and whole.
                interrupt::on(|| std::process::exit(interrupt::STATUS.into()));
                direction(Ok(records), side, version, &mut io::stdout()).map(|end| end.understood)
            } else {
                direction(Ok(records), side, version, out).map(|end| end.understood)
            }
        }
    };
    let understood = understood?;
    out.flush().map_err(unwritten)?;
    Ok(u8::from(!understood))
}

/// The messages of one direction.
struct DirectionEnd {
    understood: bool,
    monitor_login: bool,
}

fn connection(a: &[u8], b: &[u8], out: &mut impl Write) -> Result<bool, Failure> {
    let handshake = Handshake::read(a, b);
    line(out, &json::handshake(&handshake))?;
    let version = handshake.protocol.unwrap_or(Version::LOWEST);
    let of_a =
        direction(stream::behind_handshake(a, Side::A, handshake.protocol, Reading::Peer), Side::A, version, out)?;
    let reading = if of_a.monitor_login { Reading::Monitor } else { Reading::Peer };
    let of_b = direction(stream::behind_handshake(b, Side::B, handshake.protocol, reading), Side::B, version, out)?;
    Ok(of_a.understood && of_b.understood)
}

/// Prints the messages up to the end or the first error.
fn direction<R: Read>(
    records: Result<Records<R>, StreamError>,
    side: Side,
    version: Version,
    out: &mut impl Write,
) -> Result<DirectionEnd, Failure> {
    let mut end = DirectionEnd { understood: true, monitor_login: false };
    let mut unpacker = Unpacker::new();
    let result = records.and_then(|mut records| {
        records.try_for_each(|record| {
            let record = record?;
            end.monitor_login |= record.message == Message::MonLogin;
            let broken = |what: String| StreamError::Broken { offset: record.offset, what };
            let text = json::record(&record, version, &mut unpacker).map_err(|e| broken(e.to_string()))?;
            writeln!(out, "{text}").map_err(StreamError::Io)
        })
    });
    match result {
        Ok(()) => {}
        Err(StreamError::Broken { offset, what }) => {
            end.understood = false;
            line(out, &json::error(side, offset, &what))?;
        }
        Err(error @ StreamError::Io(_)) => return Err(Failure::from_error(&error)),
    }
    Ok(end)
}

fn reencode(a: &[u8], b: &[u8], dir: &Path) -> Result<(), Failure> {
    let handshake = Handshake::read(a, b);
    let version = handshake.protocol.unwrap_or(Version::LOWEST);
    let mut reading = Reading::Peer;
    for (side, bytes, name) in [(Side::A, a, "a.bin"), (Side::B, b, "b.bin")] {
        let mut anew: Vec<u8> = handshake.words(side).collect();
        let failed = |what: &dyn std::error::Error| Failure::new(format!("side {side}: {what}"));
        let records = stream::behind_handshake(bytes, side, handshake.protocol, reading).map_err(|e| failed(&e))?;
        for record in records {
            let record = record.map_err(|e| failed(&e))?;
            if record.message == Message::MonLogin {
                reading = Reading::Monitor;
            }
            record.encode(version, &mut anew).map_err(|e| failed(&e))?;
        }
        let path = dir.join(name);
        fs::write(&path, anew).map_err(|e| Failure::new(format!("cannot write {}: {e}", path.display())))?;
    }
    Ok(())
}

fn read_protocol(text: &OsString) -> Result<Version, Failure> {
    let number = text.to_str().and_then(|n| n.parse().ok()).map(Version::new);
    let known = number.filter(|v| stream::is_known(*v));
    known.ok_or_else(|| Failure::wrong(format!("--protocol wants a protocol that is known, not {text:?}")))
}

fn read_side(text: &OsString) -> Result<Side, Failure> {
    match text.to_str() {
        Some("a") => Ok(Side::A),
        Some("b") => Ok(Side::B),
        _ => Err(Failure::wrong(format!("--dir wants a or b, not {text:?}"))),
    }
}

fn exactly<const N: usize>(files: Vec<PathBuf>) -> Result<[PathBuf; N], Failure> {
    <[PathBuf; N]>::try_from(files)
        .map_err(|files| Failure::wrong(format!("{N} files are needed, not {}", files.len())))
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    fs::read(path).map_err(|e| unreadable(path, &e))
}

fn open(path: &Path) -> Result<Box<dyn Read>, Failure> {
    if path.as_os_str() == STDIN {
        return Ok(Box::new(io::stdin().lock()));
    }
    Ok(Box::new(fs::File::open(path).map_err(|e| unreadable(path, &e))?))
}

fn line(out: &mut impl Write, text: &str) -> Result<(), Failure> {
    writeln!(out, "{text}").map_err(unwritten)
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(format!("cannot read {}: {error}", path.display()))
}

fn unwritten(error: io::Error) -> Failure {
    Failure::new(format!("cannot write to standard output: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_taken() {
        let value = |option: &Opt| match option.completes {
            Completes::Word(words) => words[0].into(),
            _ => "43".into(),
        };
        crate::cli::tests::check_rows(TABLE, value, |line| match command_line(line.iter().map(OsString::from)) {
            // Some options require others, or files.
            Err(failure) if failure.what.contains("unknown option") => Err(failure.what),
            _ => Ok(()),
        });
        assert!(command_line(["--other".into()]).is_err_and(|failure| failure.what.contains("unknown option")));
    }
}
