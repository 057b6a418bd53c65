//! `icecc --explain`: what would become of a command, without compiling.

use super::call::Call;
use super::doctor::{self, NextHost};
use super::role::Role;
use super::variables::{Use, Variables};
use super::{daemon, environment, submit};
use crate::exit::{Failure, print};
use ice_core::client::Environments;
use ice_core::cmdline::{Mode, RemoteJob, Side};
use ice_core::platform;
use ice_core::reason::{Fault, Reason, Why};
use ice_core::version::Version;
use serde::Serialize;
use std::ffi::OsString;
use std::fmt::{self, Write};
use std::path::{Path, PathBuf};

/// What is told of a command. Texts that are no UTF-8 are shown with replacements.
#[derive(Serialize)]
struct Explanation {
    /// The name that it is called by.
    compiler: String,
    /// The program that this means; none if there is none.
    program: Option<PathBuf>,
    /// What stands in the way of finding it.
    problem: Option<String>,
    language: Option<String>,
    verdict: &'static str,
    reason: Option<&'static str>,
    sentence: Option<&'static str>,
    remedy: Option<&'static str>,
    fault: Option<&'static str>,
    /// The argument, variable or file that decided.
    option: Option<String>,
    input: Option<String>,
    output: Option<String>,
    /// How much the preprocessor does here.
    preprocessed: Option<&'static str>,
    local_args: Vec<String>,
    remote_args: Vec<String>,
    rest_args: Vec<String>,
    split_dwarf: bool,
    /// Files that travel with the environment.
    extra_files: Vec<String>,
    environment: Option<Environment>,
    /// Hosts to which it would go now, the most probable one first; none if nobody can tell.
    hosts: Option<Vec<NextHost>>,
    /// Whether it would be tried by files, or why not.
    files: Option<&'static str>,
    /// The daemon's protocol; none if no daemon answers.
    daemon: Option<u32>,
}

/// The environment of a job that can go.
#[derive(Serialize)]
struct Environment {
    /// `native` or `ICECC_VERSION`.
    source: &'static str,
    /// `PLATFORM:NAME` of each archive that the user named.
    archives: Vec<String>,
    /// Why none can be given.
    problem: Option<String>,
}

/// Explains the command; the exit status.
pub(super) fn run(
    mut words: Vec<OsString>,
    as_json: bool,
    variables: &Variables,
    own_exe: &Path,
) -> Result<u8, Failure> {
    let name = words.remove(0);
    let call = Call::read(Role::Icecc, name, words, variables, own_exe).map_err(|err| Failure::from_error(&err))?;
    let told = explain(&call, variables, own_exe);
    if as_json {
        let text = serde_json::to_string_pretty(&told).map_err(|err| Failure::from_error(&err))?;
        return print(&format!("{text}\n"));
    }
    print(&told.to_string())
}

fn explain(call: &Call, variables: &Variables, own_exe: &Path) -> Explanation {
    let found = call.program(variables, own_exe);
    let problem = found.as_ref().err().map(ToString::to_string);
    let program = found.ok();
    let task = call.task(program.clone().unwrap_or_else(|| PathBuf::from(&call.name)), 0);
    let daemon =
        if variables.usage == Use::NoDaemon { None } else { daemon::connect(variables.test_socket.as_deref()).ok() };
    let daemon = daemon.map(|conn| conn.version());
    // Whether a daemon answers is told beside it: the verdict is about the command.
    let judged = submit::job(&task, call.driver, &call.expanded, variables, true);
    let (job, why) = match judged {
        Ok(job) => (Some(job), None),
        Err(why) => (None, Some(why)),
    };
    let environment = job.as_ref().map(|job| {
        let platform = environment::own_platform();
        let version = daemon.unwrap_or(Version::TO_CLIENT);
        let planned = environment::plan(&task, job.family, &job.extra_files, variables, &platform, version);
        let archives = match &planned {
            Ok((Environments::Given(refs), _)) => {
                refs.iter().map(|env| format!("{}:{}", env.platform, env.name)).collect()
            }
            _ => Vec::new(),
        };
        Environment {
            source: if variables.version.is_some() { "ICECC_VERSION" } else { "native" },
            archives,
            problem: planned.err().map(|err| err.to_string()),
        }
    });
    let words = |sides: &[Side]| job.as_ref().map(|job| arguments(job, sides)).unwrap_or_default();
    let reason = why.as_ref().map(|why| why.reason);
    Explanation {
        compiler: lossy(Path::new(&call.name).file_name().unwrap_or(&call.name).as_encoded_bytes()),
        program,
        problem,
        language: job.as_ref().map(|job| job.language.to_string()),
        verdict: if job.is_some() { "remote" } else { "local" },
        reason: reason.map(Reason::word),
        sentence: reason.map(Reason::sentence),
        remedy: reason.map(Reason::remedy),
        fault: reason.map(|reason| word_of_fault(reason.fault())),
        option: why.as_ref().filter(|why| !why.detail.is_empty()).map(|Why { detail, .. }| detail.to_string()),
        input: job.as_ref().map(|job| lossy(&job.input)),
        output: job.as_ref().map(|job| lossy(&job.output)).or_else(|| named(&task.output)),
        preprocessed: job.as_ref().map(|job| word_of_mode(job.mode)),
        local_args: words(&[Side::Local, Side::Cpp]),
        remote_args: words(&[Side::Remote]),
        rest_args: words(&[Side::Rest]),
        split_dwarf: job.as_ref().is_some_and(|job| job.split_dwarf),
        extra_files: job.iter().flat_map(|job| &job.extra_files).map(|file| lossy(file)).collect(),
        environment,
        hosts: job.as_ref().filter(|_| daemon.is_some()).and_then(|_| probable_hosts(variables)),
        files: job.as_ref().map(|_| by_files(variables)),
        daemon: daemon.map(Version::number),
    }
}

/// Where a job that can go would go now. Its environment may still lead it elsewhere: who has it already is quicker.
fn probable_hosts(variables: &Variables) -> Option<Vec<NextHost>> {
    let mut hosts = doctor::next_hosts(variables)?;
    let platform = environment::own_platform();
    // Where archives for other platforms are named, those hosts count too.
    let fits = |host: &NextHost| platform::runs(host.platform.as_bytes(), platform.as_bytes());
    hosts.retain(|host| variables.version.is_some() || fits(host));
    let preferred = variables.preferred_host.to_string_lossy();
    if !preferred.is_empty() {
        hosts.retain(|host| host.host == preferred || host.address == preferred);
    }
    Some(hosts)
}

/// What `ICECC_FILES` means for a job that can go.
fn by_files(variables: &Variables) -> &'static str {
    if !variables.files.is_on() {
        "no: ICECC_FILES is off"
    } else if variables.version.is_some() {
        "no: ICECC_VERSION is set"
    } else if variables.usage == Use::NoDaemon
        || !daemon::connect_ext(variables.test_socket.as_deref()).is_ok_and(|(_, knows_files)| knows_files)
    {
        "no: the daemon of this host does not know them"
    } else if variables.files.is_shadow() {
        "tried where a server takes them, and compared with what is made here"
    } else {
        "tried where a server takes them"
    }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn named(output: &[u8]) -> Option<String> {
    if output.is_empty() { None } else { Some(lossy(output)) }
}

fn arguments(job: &RemoteJob, sides: &[Side]) -> Vec<String> {
    job.words.iter().filter(|word| sides.contains(&word.side)).map(|word| lossy(&word.text)).collect()
}

const fn word_of_fault(fault: Fault) -> &'static str {
    match fault {
        Fault::Nobody => "nobody",
        Fault::CommandLine => "command line",
        Fault::SetUp => "set-up",
        Fault::Cluster => "cluster",
        Fault::Host => "host",
    }
}

const fn word_of_mode(mode: Mode) -> &'static str {
    match mode {
        Mode::Directives | Mode::Includes => "includes here, macros there",
        Mode::Full => "here",
        Mode::Verbatim => "not at all",
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |name: &str, value: &str| {
            if value.is_empty() { Ok(()) } else { writeln!(f, "{:<13} {value}", format!("{name}:")) }
        };
        line("verdict", self.verdict)?;
        if let (Some(reason), Some(sentence), Some(remedy)) = (self.reason, self.sentence, self.remedy) {
            let option = self.option.as_ref().map(|option| format!(" ({option})")).unwrap_or_default();
            line("reason", &format!("{reason}: {sentence}{option}"))?;
            line("what to do", remedy)?;
        }
        let program = self.program.as_ref().map(|path| path.display().to_string());
        line("compiler", &program.or_else(|| self.problem.clone()).unwrap_or_default())?;
        line("language", self.language.as_deref().unwrap_or_default())?;
        line("input", self.input.as_deref().unwrap_or_default())?;
        line("output", self.output.as_deref().unwrap_or_default())?;
        line("preprocessed", self.preprocessed.unwrap_or_default())?;
        line("used here", &self.local_args.join(" "))?;
        line("used there", &self.remote_args.join(" "))?;
        line("used by both", &self.rest_args.join(" "))?;
        line("extra files", &self.extra_files.join(" "))?;
        if let Some(environment) = &self.environment {
            let mut text = match environment.archives.as_slice() {
                [] if environment.source == "native" => "made by the daemon of this compiler".to_owned(),
                archives => format!("{}: {}", environment.source, archives.join(" ")),
            };
            if let Some(problem) = &environment.problem {
                write!(text, " {problem}: {}", Reason::NoEnvironment.remedy())?;
            }
            line("environment", &text)?;
        }
        let hosts = self.hosts.iter().map(|hosts| match hosts.as_slice() {
            [] => "no other host could take it now: it would wait, or be compiled here".to_owned(),
            [first, others @ ..] => {
                let first = format!("{} ({}), where it would be done first", first.host, first.address);
                let others: Vec<&str> = others.iter().map(|host| host.host.as_str()).collect();
                if others.is_empty() { first } else { format!("{first}; then {}", others.join(", ")) }
            }
        });
        hosts.into_iter().try_for_each(|hosts| line("probably on", &hosts))?;
        line("by files", self.files.unwrap_or_default())?;
        match self.daemon {
            Some(protocol) => line("daemon", &format!("answers, protocol {protocol}")),
            None => line("daemon", &format!("{}: {}", Reason::NoDaemon, Reason::NoDaemon.remedy())),
        }
    }
}
