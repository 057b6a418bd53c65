//! D64: clients and schedulers of other versions. Each message has the fields that both sides of its link know, and
//! only those.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use ice_core::ids::{ClientId, JobId};
use ice_core::job::JobStats;
use ice_core::message::{
    ArgSide, CompileFile, EnvTarget, GetCs, GetNativeEnv, JobDone, JobLocalBegin, Message, UseCs, done_flags, features,
};
use ice_core::version::Version;

use crate::fake::{Client, LIMIT, Link, SchedulerDouble, connect_from, env};
use crate::place::{Place, accepts_jobs, at, skip};
use crate::planted;

/// The versions that brought something, from the oldest still spoken on, and some between.
const VERSIONS: [u32; 20] = [21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31, 32, 34, 35, 37, 38, 39, 40, 41, 42];
/// What 1.4 and ours announce, and what forks do.
const NEWER: [u32; 4] = [43, 44, 48, 50];

/// What two peers speak.
fn agreed(ours: Version, theirs: u32) -> Version {
    ours.min(Version::new(theirs))
}

/// A request with a value in every field.
fn request() -> GetCs {
    GetCs {
        environments: vec![env("x86_64", "an-environment")],
        file: "src/dir/x.c".into(),
        language: 1,
        count: 1,
        target: "x86_64".into(),
        arg_flags: 5,
        client: ClientId(0),
        preferred_host: "somebody".into(),
        needs_31: 1,
        minimal_version: 34,
        client_count: 0,
        required_features: features::ENV_ZSTD,
        niceness: 7,
    }
}

/// What is left of a request between peers of that version; the client count is the daemon's own.
fn known_to(version: Version, request: GetCs) -> GetCs {
    let keep = |known: bool, value: u32| if known { value } else { 0 };
    GetCs {
        preferred_host: if version.has_preferred_host() { request.preferred_host } else { "".into() },
        needs_31: keep(version.has_verify_env(), request.needs_31),
        minimal_version: keep(version.has_input_file(), request.minimal_version),
        required_features: keep(version.has_features(), request.required_features),
        niceness: keep(version.has_niceness(), request.niceness),
        ..request
    }
}

/// A client's request arrives at the scheduler; the client's number there.
#[track_caller]
fn asks(client: &mut Client, link: &mut Link) -> ClientId {
    client.send(&Message::GetCs(request()));
    let Message::GetCs(asked) = link.next() else { panic!("GET_CS was expected") };
    let count = u32::from(link.conn.version().has_client_count());
    let both = client.conn.version().min(link.conn.version());
    let wanted = GetCs { client: asked.client, client_count: count, ..known_to(both, request()) };
    assert_eq!(asked, wanted, "client {}, scheduler {}", client.conn.version(), link.conn.version());
    asked.client
}

/// A client's report arrives at the scheduler.
#[track_caller]
fn reports(client: &mut Client, link: &mut Link, job: u32) {
    let stats = JobStats {
        real_ms: 1,
        user_ms: 2,
        sys_ms: 3,
        page_faults: 4,
        in_compressed: 5,
        in_uncompressed: 6,
        out_compressed: 7,
        out_uncompressed: 8,
    };
    let done = JobDone { job, exit_code: 2, stats, flags: done_flags::FROM_SUBMITTER, client_count: 0 };
    client.send(&Message::JobDone(done));
    let client_count = u32::from(link.conn.version().has_client_count());
    assert_eq!(link.next(), Message::JobDone(JobDone { client_count, ..done }));
    client.send(&Message::End);
    assert_eq!(client.until_closed(), []);
}

/// All that a client says to its own daemon about jobs, and what the scheduler hears and answers.
#[track_caller]
fn submits(socket: &Path, offer: u32, link: &mut Link) {
    let client = || {
        let client = Client::unix(socket, offer);
        assert_eq!(client.conn.peer_offer(), Version::TO_CLIENT);
        assert_eq!(client.conn.version(), agreed(Version::TO_CLIENT, offer));
        client
    };
    // Another host compiles.
    let mut remote = client();
    let answer = UseCs {
        job: JobId(7),
        port: 9,
        host: "10.1.2.3".into(),
        host_platform: "x86_64".into(),
        env_present: 1,
        client: asks(&mut remote, link),
        matched_job: JobId(5),
    };
    link.send(&Message::UseCs(answer.clone()));
    let both = link.conn.version().min(remote.conn.version());
    let matched_job = JobId(if both.has_matched_job() { 5 } else { 0 });
    assert_eq!(remote.next(), Message::UseCs(UseCs { matched_job, ..answer.clone() }));
    reports(&mut remote, link, 7);
    // This one does.
    let mut home = client();
    let (job, number) = (JobId(8), asks(&mut home, link));
    link.send(&if link.conn.version().has_no_cs() {
        Message::NoCs { job, client: number }
    } else {
        Message::UseCs(UseCs { job, port: link.login.port, host: "127.0.0.1".into(), client: number, ..answer })
    });
    let told = home.next();
    assert!(matches!(&told, Message::UseCs(here) if here.job == job && here.host == *"127.0.0.1"), "{told:?}");
    home.send(&Message::CompileFile(CompileFile { job, environment: "__client".into(), ..CompileFile::default() }));
    let begun = link.next();
    let client_count = u32::from(link.conn.version().has_client_count());
    assert!(matches!(&begun, Message::JobBegin(b) if b.job == job && b.client_count == client_count), "{begun:?}");
    reports(&mut home, link, 8);
    // Nobody does: the client has gone.
    let mut gone = client();
    let number = asks(&mut gone, link);
    drop(gone);
    let Message::JobDone(done) = link.next() else { panic!("JOB_DONE was expected") };
    // Before 39 the flag is written as a code.
    assert_eq!((done.job, done.flags), (number.0, done_flags::FROM_SUBMITTER | done_flags::UNKNOWN_JOB));
    assert!(
        if link.conn.version().has_client_count() { done.exit_code != 0 } else { done.exit_code == 200 },
        "{done:?}"
    );
    // A job that must be local.
    let mut local = client();
    local.send(&Message::JobLocalBegin(JobLocalBegin { start_time: 1, output_file: "x.o".into(), id: 0, full: 1 }));
    let Message::JobLocalBegin(begun) = link.next() else { panic!("JOB_LOCAL_BEGIN was expected") };
    assert_eq!((begun.output_file, begun.full), ("x.o".into(), 0), "no scheduler knows full jobs");
    assert!(matches!(local.next(), Message::JobLocalBegin(_)));
    drop(local);
    assert_eq!(link.next(), Message::JobLocalDone { id: begun.id });
}

#[test]
fn d64_older_schedulers() {
    let place = Place::new();
    for offer in VERSIONS.into_iter().chain(NEWER) {
        let scheduler = SchedulerDouble::open(offer);
        let daemon = place.start_with(&[&at(&scheduler)[..], &["--no-remote".to_owned()]].concat());
        let mut link = scheduler.accept();
        let version = link.conn.version();
        assert_eq!((link.conn.peer_offer(), version), (Version::TO_SCHEDULER, agreed(Version::TO_SCHEDULER, offer)));
        let login = link.login.clone();
        assert_eq!((login.port, login.slots, login.environments), (0, 2, Vec::new()));
        assert_eq!(login.no_remote, u32::from(version.has_no_remote()));
        assert_eq!(
            login.features,
            if version.has_features() {
                (features::ENV_XZ | features::ENV_ZSTD)
                    | (features::TELLS_NO_HOST | features::EXTENSION)
                    | (features::TAKES_JOB_GIVEN | features::TAKES_HOST_CAN)
            } else {
                0
            }
        );
        submits(&place.socket(), 44, &mut link);
        link.send(&Message::Ping);
        let pings = if version.has_keepalive() { vec![] } else { vec![Message::Ping] };
        assert_eq!(link.told(), pings, "{version}");
        link.send(&Message::GetInternals);
        let Message::StatusText { text } = link.next() else { panic!("STATUS_TEXT was expected") };
        assert!(text.lossy().contains(&format!("Scheduler protocol: {version}")), "{text}");
        assert!(!daemon.log().contains("scheduler closed connection"), "{}", daemon.log());
    }
}

/// Makes no archive, but names one, and notes what it was asked for.
const TOOL: &str = "#!/bin/sh\necho \"$@\" >>../../asked\n: >made.tar\necho creating made.tar\n";

#[test]
fn d64_older_clients_at_their_own_daemon() {
    if !Path::new("/usr/bin/gcc").exists() {
        skip::<()>("no /usr/bin/gcc");
        return;
    }
    let place = Place::new();
    let tool = place.path("icecc-create-env");
    fs::write(&tool, TOOL).unwrap();
    fs::set_permissions(&tool, Permissions::from_mode(0o755)).unwrap();
    let scheduler = SchedulerDouble::open(43);
    let _daemon = place.start_with(&[&at(&scheduler)[..], &["--no-remote".to_owned()]].concat());
    let mut link = scheduler.accept();
    for offer in VERSIONS.into_iter().chain(NEWER) {
        let version = agreed(Version::TO_CLIENT, offer);
        let mut client = Client::unix(&place.socket(), offer);
        let compiler = if version.has_ordered_args() { "/usr/bin/gcc" } else { "gcc" };
        let extra_files = vec!["/etc/passwd".into()];
        client.send(&Message::GetNativeEnv(GetNativeEnv {
            compiler: compiler.into(),
            extra_files,
            compression: "xz".into(),
        }));
        let Message::NativeEnv { path } = client.next() else { panic!("NATIVE_ENV was expected") };
        assert!(Path::new(path.lossy().as_ref()).starts_with(place.base()), "{path}");
        client.send(&Message::End);
        client.until_closed();
        submits(&place.socket(), offer, &mut link);
    }
    let asked = fs::read_to_string(place.base().join("asked")).unwrap();
    let known = "/usr/bin/gcc --addfile /etc/passwd";
    let wanted = ["/usr/bin/gcc", known, &format!("{known} --compression xz")];
    assert_eq!(asked.lines().collect::<Vec<_>>(), wanted, "before 32, before 42, from 42 on");
}

#[test]
fn d64_older_clients_at_a_compile_server() {
    let archive = match planted::archive(&[&planted::C[..], &["objcopy"]].concat(), &[]) {
        Ok(archive) => archive,
        Err(e) => return skip::<()>(&e.to_string()).unwrap_or_default(),
    };
    let place = Place::new();
    let scheduler = SchedulerDouble::open(43);
    let daemon = place.start_with(&at(&scheduler));
    let mut link = scheduler.accept();
    if !accepts_jobs(&daemon) {
        return;
    }
    // Several pieces, though little to compile.
    let lines = (0..5000).map(|n| format!("/* {n:>60} */ int v{n} = {n};\n"));
    let source: String = lines.collect();
    let wanted = local_object(&place, &source);
    let mut compressed = BTreeSet::new();
    for offer in VERSIONS.into_iter().chain(NEWER) {
        let version = agreed(Version::TO_CLIENT, offer);
        let mut client = Client::tcp(place.port, offer);
        assert_eq!((client.conn.peer_offer(), client.conn.version()), (Version::TO_CLIENT, version));
        let environment = EnvTarget { name: format!("v{offer}").into(), target: link.login.platform.clone() };
        client.transfer(&environment, &archive);
        if version.has_verify_env() {
            assert!(client.verify(&environment), "{version}");
        }
        let job = CompileFile {
            language: 0,
            job: JobId(offer),
            arguments: vec![(ArgSide::Remote, "-O2".into()), (ArgSide::Rest, "-c".into())],
            environment: environment.name.clone(),
            target: environment.target.clone(),
            compiler: "gcc".into(),
            input_file: "x.c".into(),
            working_directory: "/src".into(),
            output_file: "x.o".into(),
            split_dwarf: 0,
        };
        let (result, object) = client.compile(&job, source.as_bytes());
        assert_eq!((result.status, result.stderr.lossy().as_ref()), (0, ""), "{version}");
        assert!(object == wanted, "{version}: another object than gcc's own");
        let told = [link.next(), link.next()];
        match &told {
            [Message::JobBegin(begin), Message::JobDone(done)] => {
                assert_eq!((begin.job.0, done.job, done.exit_code, done.flags), (offer, offer, 0, 0));
                assert_eq!(done.stats.in_uncompressed as usize, source.len());
                assert_eq!(done.stats.out_uncompressed as usize, wanted.len());
                compressed.insert((version.has_zstd(), done.stats.in_compressed));
            }
            _ => panic!("{version}: {told:?}"),
        }
        assert_eq!(client.until_closed(), []);
        if version.has_dwo() {
            split(&mut Client::tcp(place.port, offer), &job, source.as_bytes());
            link.next();
            link.next();
        }
        missing(&mut Client::tcp(place.port, offer), &job);
        assert!(matches!(link.next(), Message::JobDone(done) if done.exit_code == 110));
    }
    assert_eq!(compressed.len(), 2, "LZO before 40, zstd from then on: {compressed:?}");
}

/// What gcc makes here of a source.
#[track_caller]
fn local_object(place: &Place, source: &str) -> Vec<u8> {
    let (text, object) = (place.path("x.i"), place.path("x.o"));
    fs::write(&text, source).unwrap();
    let mut gcc = Command::new("gcc");
    gcc.args(["-x", "c", "-O2", "-c", "-fpreprocessed", "-", "-o"]).arg(&object);
    let status = gcc.stdin(fs::File::open(text).unwrap()).status().unwrap();
    assert!(status.success());
    fs::read(object).unwrap()
}

/// With split DWARF, which servers before 41 add to the arguments themselves.
#[track_caller]
fn split(client: &mut Client, job: &CompileFile, source: &[u8]) {
    let mut arguments = job.arguments.clone();
    arguments.push((ArgSide::Rest, "-g".into()));
    if client.conn.version().has_ordered_args() {
        arguments.push((ArgSide::Rest, "-gsplit-dwarf".into()));
    }
    let (result, object) = client.compile(&CompileFile { arguments, split_dwarf: 1, ..job.clone() }, source);
    assert_eq!((result.status, result.has_dwo), (0, 1), "{result:?}");
    for file in [object, client.read_file()] {
        assert!(file.starts_with(b"\x7fELF"), "{}", client.conn.version());
    }
}

/// A job of an environment that is not there: refused, with a reason for those who know such a message.
#[track_caller]
fn missing(client: &mut Client, job: &CompileFile) {
    client.send(&Message::CompileFile(CompileFile { environment: "absent".into(), ..job.clone() }));
    let said = client.until_closed();
    let texts = said.iter().filter(|message| matches!(message, Message::StatusText { .. })).count();
    assert_eq!((said.len(), texts), if client.conn.version().has_status_text() { (1, 1) } else { (0, 0) }, "{said:?}");
}

#[test]
fn d64_offers() {
    let place = Place::new();
    let daemon = place.start_with(&[] as &[&str]);
    if !accepts_jobs(&daemon) {
        return;
    }
    for (offer, confirm) in [
        (20, None),
        (21, Some(21)),
        (43, Some(43)),
        (44, Some(44)),
        (48, Some(44)),
        (50, Some(44)),
        (1000, Some(44)),
        (1 << 20, Some(44)),
        ((1 << 20) + 1, None),
    ] {
        let mut stream = connect_from(Ipv4Addr::LOCALHOST, place.port);
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        assert_eq!(word(&mut stream), Some(44));
        stream.write_all(&u32::to_le_bytes(offer)).unwrap();
        assert_eq!(word(&mut stream), confirm, "offered {offer}");
        // Another number than what was agreed on ends it.
        if let Some(confirm) = confirm {
            stream.write_all(&u32::to_le_bytes(confirm - 1)).unwrap();
            assert_eq!(word(&mut stream), None, "offered {offer}");
        }
    }
}

/// The next four bytes, if the connection does not end before.
fn word(stream: &mut TcpStream) -> Option<u32> {
    let mut word = [0; 4];
    match stream.read_exact(&mut word) {
        Ok(()) => Some(u32::from_le_bytes(word)),
        Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("neither a word nor an end"),
        Err(_) => None,
    }
}
