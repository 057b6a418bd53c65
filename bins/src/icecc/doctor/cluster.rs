//! The daemon, the scheduler that it uses, and the hosts that this knows.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::io::{self, Read, Write};
use std::net::{IpAddr, TcpStream, ToSocketAddrs};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use ice_core::doctor::{
    Answer, DaemonFacts, DaemonOptions, HostFacts, Port, SchedulerFacts, SocketTrouble, WhyNoSocket, listing,
};
use ice_core::version::Version;
use ice_net::allow::Allow;
use ice_net::conn::Conn;
use ice_net::deadline::{Deadline, Step};
use ice_net::dial;
use ice_net::discover::{self, DEFAULT_NETNAME, DEFAULT_PORT, Query, Reach};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{getsockopt, sockopt};
use serde::{Deserialize, Serialize};

use crate::cli;
use crate::exit::chain;
use crate::icecc::daemon as own_daemon;
use crate::icecc::variables::Variables;
use crate::iceccd;

/// How long answers to a broadcast are collected: all netnames are to be seen.
const SURVEY: Duration = Duration::from_millis(800);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long the text port may take with its answers.
const ANSWER: Duration = Duration::from_secs(10);
/// What tells of hosts.
const LISTS: [&str; 2] = ["listcs --json\n", "listblocks\n"];
/// As much of them is read.
const LIST_MAX: usize = 8 << 20;
/// Hosts that are tried at a time.
const AT_ONCE: usize = 32;

/// A daemon that answers.
pub(super) struct OwnDaemon {
    pub(super) conn: Conn,
    /// Its user, if that can be seen.
    pub(super) uid: Option<u32>,
    /// Its options, if they can be seen.
    pub(super) options: Option<Options>,
}

/// What a daemon was told.
#[derive(Default)]
pub(super) struct Options {
    netname: Option<String>,
    scheduler: Option<String>,
    pub(super) base: Option<PathBuf>,
    no_remote: bool,
    pub(super) slots: Option<u32>,
}

/// The daemon, or why each place has none.
pub(super) fn daemon(variables: &Variables) -> Result<OwnDaemon, Vec<SocketTrouble>> {
    let Ok(conn) = own_daemon::connect(variables.test_socket.as_deref()) else {
        let places = match &variables.test_socket {
            Some(socket) => vec![socket.clone()],
            None => own_daemon::sockets(),
        };
        return Err(places.iter().map(|place| trouble(place)).collect());
    };
    let peer = conn.is_unix().then(|| getsockopt(&conn, sockopt::PeerCredentials).ok()).flatten();
    let options = peer.and_then(|peer| command_line(peer.pid()));
    Ok(OwnDaemon { conn, uid: peer.map(|peer| peer.uid()), options })
}

fn trouble(place: &Path) -> SocketTrouble {
    let why = match UnixStream::connect(place).map_err(|error| error.kind()) {
        Ok(_) => WhyNoSocket::NotADaemon,
        Err(io::ErrorKind::PermissionDenied) => WhyNoSocket::Forbidden,
        Err(io::ErrorKind::NotFound) => WhyNoSocket::Absent,
        Err(_) => WhyNoSocket::Stale,
    };
    SocketTrouble { path: place.display().to_string(), why }
}

/// The options on a process's command line.
fn command_line(pid: i32) -> Option<Options> {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let words = line.split(|byte| *byte == 0).skip(1).map(|word| OsString::from_vec(word.to_vec()));
    let mut words: Vec<OsString> = words.collect();
    words.pop();
    let mut options = Options::default();
    for given in cli::parse(iceccd::PROGRAM.options, words).ok()?.options {
        let text = given.value.to_string_lossy().into_owned();
        match given.name.as_str() {
            "netname" => options.netname = Some(text),
            "scheduler-host" => options.scheduler = Some(text),
            "env-basedir" => options.base = Some(given.value.into()),
            "no-remote" => options.no_remote = true,
            "max-processes" => options.slots = text.parse().ok(),
            _ => {}
        }
    }
    Some(options)
}

pub(super) fn daemon_facts(daemon: Result<OwnDaemon, Vec<SocketTrouble>>) -> DaemonFacts {
    match daemon {
        Err(places) => DaemonFacts::None(places),
        Ok(daemon) => DaemonFacts::Answers {
            protocol: daemon.conn.version().number(),
            newest: Version::TO_CLIENT.number(),
            options: daemon.options.map(|options| DaemonOptions {
                netname: options.netname.unwrap_or_else(|| DEFAULT_NETNAME.into()),
                scheduler: options.scheduler,
                no_remote: options.no_remote,
                slots: options.slots,
            }),
        },
    }
}

/// What a text port answered.
pub(super) type Lists = io::Result<String>;

/// The scheduler that the daemon was told, or who answers a broadcast, and what its text port answers.
pub(super) fn scheduler(daemon: &OwnDaemon) -> (SchedulerFacts, Option<Lists>) {
    let (netname, host, port) = told(daemon);
    if !host.is_empty() {
        let at = dial::host_port_text(&host, port);
        // First, as one of 1.4 lets a second connection in a row wait for half a minute.
        let lists = ask(&at, &LISTS);
        let dialled = || dial::tcp(&host, port, Version::TO_SCHEDULER, deadline()).err().map(|error| chain(&error));
        let error = if lists.is_ok() { None } else { dialled() };
        let lists = error.is_none().then_some(lists);
        return (SchedulerFacts { netname, named: Some((at, error)), answers: Vec::new() }, lists);
    }
    let found = survey(&netname, port);
    let answers = found.answers.iter().map(|answer| Answer {
        at: answer.from.to_string(),
        netname: answer.netname.to_string(),
        version: answer.version,
    });
    let lists = found.best.as_ref().map(|best| ask(&best.from.to_string(), &LISTS));
    (SchedulerFacts { netname, named: None, answers: answers.collect() }, lists)
}

/// The netname, and host (empty: not told) and port of the scheduler that the daemon was told.
fn told(daemon: &OwnDaemon) -> (String, String, u16) {
    let options = daemon.options.as_ref();
    let netname = options.and_then(|options| options.netname.clone()).unwrap_or_else(|| DEFAULT_NETNAME.into());
    let scheduler = options.and_then(|options| options.scheduler.as_deref()).unwrap_or_default();
    let (host, port) = dial::split_host_port(scheduler);
    (netname, host.to_owned(), port.and_then(|port| port.parse().ok()).unwrap_or(DEFAULT_PORT))
}

/// Who answers a broadcast.
fn survey(netname: &str, port: u16) -> discover::Found {
    let reach = Reach::new(None, Allow::default());
    let query = Query { netname: netname.into(), port, version: Version::TO_SCHEDULER, reach };
    discover::survey(&query, SURVEY).unwrap_or_default()
}

/// A host that would get a job now.
#[derive(Deserialize, Serialize)]
pub(in crate::icecc) struct NextHost {
    /// Its name.
    pub(in crate::icecc) host: String,
    /// Its address.
    pub(in crate::icecc) address: String,
    /// Its platform.
    pub(in crate::icecc) platform: String,
    jobs: u32,
    slots: u32,
}

/// The hosts that would get a job of this daemon's users now, the first one first; none if the scheduler cannot tell, as those of 1.4
/// cannot.
pub(super) fn next_hosts(daemon: &OwnDaemon) -> Option<Vec<NextHost>> {
    let (netname, host, port) = told(daemon);
    let at =
        if host.is_empty() { survey(&netname, port).best?.from.to_string() } else { dial::host_port_text(&host, port) };
    let text = ask(&at, &["next --json\n"]).ok()?;
    let mut hosts: Vec<NextHost> = serde_json::from_str(listing::answers(&text).first()?).ok()?;
    let own = own_addresses();
    hosts.retain(|host| !is_own(&own, &host.address));
    Some(hosts)
}

fn deadline() -> Deadline {
    Deadline::after(Step::Connect, CONNECT)
}

/// What the scheduler's text port lists, and whether it has blocked this host.
pub(super) fn hosts(lists: Option<Lists>) -> (Option<Result<Vec<HostFacts>, String>>, bool) {
    let text = match lists {
        Some(Ok(text)) => text,
        Some(Err(error)) => return (Some(Err(error.to_string())), false),
        None => return (None, false),
    };
    let answers = listing::answers(&text);
    let [list, blocked, ..] = answers[..] else { return (Some(Err("it answers something else".into())), false) };
    let mut hosts = if list.starts_with('[') { of_json(list) } else { listing::hosts(list) };
    let own = own_addresses();
    let name = nix::sys::utsname::uname().map(|u| u.nodename().to_string_lossy().into_owned()).unwrap_or_default();
    hosts.iter_mut().for_each(|host| host.is_own = is_own(&own, &host.address));
    let is_blocked = blocked.lines().map(str::trim).any(|host| host == name || is_own(&own, host));
    (Some(Ok(hosts)), is_blocked)
}

fn is_own(own: &BTreeSet<IpAddr>, address: &str) -> bool {
    let address = address.parse().map(|address: IpAddr| address.to_canonical());
    address.is_ok_and(|address| own.contains(&address) || address.is_loopback())
}

/// What the text port answers to these commands.
fn ask(scheduler: &str, commands: &[&str]) -> io::Result<String> {
    let (host, port) = dial::split_host_port(scheduler);
    let port = port.and_then(|port| port.parse::<u16>().ok()).unwrap_or(DEFAULT_PORT);
    let mut connected = Err(io::Error::other("no address"));
    for address in (host, port.wrapping_add(1)).to_socket_addrs()? {
        connected = TcpStream::connect_timeout(&address, CONNECT);
        if connected.is_ok() {
            break;
        }
    }
    let mut stream = connected?;
    stream.set_read_timeout(Some(ANSWER))?;
    stream.set_write_timeout(Some(ANSWER))?;
    // One after the other: 1.4 loses what comes with the line before.
    let mut bytes = Vec::new();
    read_to(&mut stream, b"to quit.\n", &mut bytes)?;
    for command in commands {
        stream.write_all(command.as_bytes())?;
        read_to(&mut stream, b"200 done\n", &mut bytes)?;
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Reads until what was read ends so.
fn read_to(stream: &mut TcpStream, end: &[u8], bytes: &mut Vec<u8>) -> io::Result<()> {
    let mut piece = [0; 16 << 10];
    let until = Instant::now() + ANSWER;
    loop {
        let count = stream.read(&mut piece)?;
        bytes.extend_from_slice(&piece[..count]);
        if bytes.ends_with(end) {
            return Ok(());
        }
        if count == 0 || bytes.len() > LIST_MAX || Instant::now() > until {
            return Err(io::Error::other("it answers something else"));
        }
    }
}

/// A row of `listcs --json`.
#[derive(Deserialize)]
struct Row {
    name: String,
    address: String,
    port: u32,
    platform: String,
    version: u32,
    slots: u32,
    no_remote: bool,
    state: String,
}

fn of_json(list: &str) -> Vec<HostFacts> {
    let rows: Vec<Row> = serde_json::from_str(list).unwrap_or_default();
    let host = |row: Row| HostFacts {
        name: row.name,
        address: row.address,
        port: row.port,
        platform: row.platform,
        version: Some(row.version),
        slots: row.slots,
        no_remote: row.no_remote,
        state: Some(row.state),
        is_own: false,
    };
    rows.into_iter().map(host).collect()
}

fn own_addresses() -> BTreeSet<IpAddr> {
    let all = getifaddrs().into_iter().flatten().filter_map(|entry| entry.address);
    let ip = |address: nix::sys::socket::SockaddrStorage| {
        let four = address.as_sockaddr_in().map(|address| IpAddr::V4(address.ip()));
        four.or_else(|| address.as_sockaddr_in6().map(|address| IpAddr::V6(address.ip())))
    };
    all.filter_map(ip).collect()
}

/// The other hosts that may take jobs.
pub(super) fn others(hosts: &Option<Result<Vec<HostFacts>, String>>) -> Vec<HostFacts> {
    let all = hosts.iter().flatten().flatten();
    all.filter(|host| !host.is_own && !host.no_remote && host.port != 0).cloned().collect()
}

/// Whether each of them can be reached from here.
pub(super) fn ports(others: &[HostFacts]) -> Vec<Port> {
    let try_one = |host: &HostFacts| {
        let port = u16::try_from(host.port).unwrap_or_default();
        let error = dial::tcp(&host.address, port, Version::TO_CLIENT, deadline()).err().map(|error| chain(&error));
        Port { host: host.name.clone(), at: dial::host_port_text(&host.address, port), error }
    };
    let mut ports = Vec::new();
    for some in others.chunks(AT_ONCE) {
        std::thread::scope(|scope| {
            let threads: Vec<_> = some.iter().map(|host| scope.spawn(move || try_one(host))).collect();
            ports.extend(threads.into_iter().filter_map(|thread| thread.join().ok()));
        });
    }
    ports
}
