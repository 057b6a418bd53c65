//! The client: one compile from a command line to an exit code.
//!
//! It finds out who it is (`icecc`, `icerun` or a compiler's name), what shall be run, and whether that can be compiled elsewhere;
//! then [`remote`] tries, and [`local`] does what is left. Decisions about command lines and failures are `ice_core`'s.

mod archive;
mod arrivals;
mod budget;
mod build_native;
mod ccache;
mod compiler;
mod compiler_variables;
mod configuration;
mod daemon;
mod dates;
mod dependencies;
mod elf;
mod environment;
pub mod files;
mod help;
mod here;
mod links;
mod local;
mod locks;
mod log;
mod output;
mod own_name;
mod owner;
mod pragmas;
mod preprocess;
mod probe;
mod remembered;
mod remote;
pub mod response;
mod signals;
mod spool;
mod tools;
mod unit;
mod usage;
mod variables;

use crate::cli::words::Words;
use crate::exit::Failure;
use ::log::{debug, error, info, warn};
use ice_core::client::{Here, Request};
use ice_core::cmdline::{self, Driver, Family, Invocation, Mode, Reason, RemoteJob, Settings, Verdict, Writing, paths};
use ice_core::job::Language;
use ice_core::message::{CompileFile, GetCs};
use ice_core::text::Text;
use ice_net::conn::Conn;
use ice_toolchain::{find, installed};
use std::env;
use std::ffi::{OsStr, OsString};
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use variables::{Fallback, Use, Variables};

/// Level of nesting, from client to client.
const SAFEGUARD: &str = "_ICECC_SAFEGUARD";
/// The program that the outer client runs, for the message about too much nesting.
const RUN_BY_US: &str = "_ICECC_RUNS";

/// Exit codes of our own, as 1.4 has them.
mod exit_code {
    pub(super) const RESPONSE_FILE: i32 = 1;
    pub(super) const FALLBACK_REFUSED: i32 = 1;
    pub(super) const RECURSION: i32 = 111;
    pub(super) const NOT_FOUND: i32 = 115;
    pub(super) const TEST_SOCKET: i32 = 119;
}

/// Something to run, as it will be run here.
#[derive(Debug)]
struct Task {
    /// As the user called it.
    name: OsString,
    /// What that is.
    program: PathBuf,
    /// The user's words, untouched.
    words: Vec<OsString>,
    /// Current folder; empty if it has no name.
    folder: PathBuf,
    /// Level of nesting that we were started at.
    level: u32,
    /// What is run is a compiler: it may call icecc no more.
    is_compiler: bool,
    /// We are icerun, which only runs things here.
    is_by_icerun: bool,
    /// The output named on the command line.
    output: Vec<u8>,
    /// A link with parallel LTO uses all CPUs.
    wants_whole_machine: bool,
}

impl Task {
    /// What a child finds in its environment: the level it is started at, and who it is.
    fn marks(&self) -> [(&'static str, OsString); 2] {
        let level = format!("0{}", self.level + if self.is_compiler { 2 } else { 1 });
        [(SAFEGUARD, level.into()), (RUN_BY_US, self.program.clone().into_os_string())]
    }

    /// What monitors are shown of a local job: the absolute output.
    fn display_output(&self) -> Vec<u8> {
        if self.output.is_empty() {
            return Vec::new();
        }
        paths::absolute(self.folder.as_os_str().as_bytes(), &self.output)
    }
}

/// Who we were called as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// `icecc COMPILER …`
    Icecc,
    /// `icerun COMMAND …`
    Icerun,
    /// By a compiler's name.
    Masquerade,
    /// By any name, through a link to icerun.
    IcerunLink,
}

/// Runs the program; the command line is the process's own.
pub fn main() -> ExitCode {
    let status = match run(env::args_os().collect()) {
        Ok(status) => status,
        Err(failure) => {
            eprintln!("icecc: {failure}");
            i32::from(failure.code)
        }
    };
    ExitCode::from(u8::try_from(status & 0xff).unwrap_or(1))
}

fn run(argv: Vec<OsString>) -> Result<i32, Failure> {
    let mut argv = argv.into_iter();
    let called = argv.next().unwrap_or_default();
    let mut words: Vec<OsString> = argv.collect();
    signals::survive_file_limit();
    let own_exe = env::current_exe().unwrap_or_else(|_| PathBuf::from(&called));
    let role = role(&called);
    let unusable_log = log::start();
    let variables = Variables::read();
    if matches!(role, Role::Icecc | Role::Icerun) {
        if let Some(status) = own_option(role, &words, &variables, &own_exe)? {
            return Ok(status);
        }
    }
    for problem in unusable_log.into_iter().chain(variables.problems.iter().cloned()) {
        if remembered::is_news_now(&problem) {
            error!("{problem}");
        }
    }
    let level = level();
    if level >= 2 {
        let outer = env::var_os(RUN_BY_US).unwrap_or_else(|| "what icecc runs".into());
        let outer = Path::new(&outer).display();
        error!("icecream seems to have invoked itself recursively! {outer}, run by icecc, runs icecc again");
        return Ok(exit_code::RECURSION);
    }
    if level == 1 {
        info!("recursive invocation from icerun");
    }
    let name = match role {
        Role::Icecc | Role::Icerun => words.remove(0),
        Role::Masquerade | Role::IcerunLink => Path::new(&called).file_name().unwrap_or(&called).to_os_string(),
    };
    // One that was removed, or that cannot be reached from our root, has no name; the compiler may do without.
    let folder = env::current_dir().unwrap_or_default();
    let driver = match role {
        Role::Icecc | Role::Masquerade => driver(&name, &variables.path, &own_exe),
        Role::Icerun | Role::IcerunLink => None,
    };
    let plain: Vec<Vec<u8>> = words.iter().map(|word| word.as_bytes().to_vec()).collect();
    // What `@types` means to another command is its own affair.
    let expanded = match driver.map_or_else(|| Ok(plain.clone()), |_| response::expand(&plain, &folder)) {
        Ok(expanded) => expanded,
        Err(err) => {
            error!("{}", crate::exit::chain(&err));
            return Ok(exit_code::RESPONSE_FILE);
        }
    };
    let program = match find_program(&name, driver, &expanded, &folder, &variables, &own_exe) {
        Ok(program) => program,
        Err(err) => {
            error!("{err}");
            error!("could not find {} in PATH.", name.to_string_lossy());
            return Ok(exit_code::NOT_FOUND);
        }
    };
    if role == Role::Masquerade && driver.is_some() {
        ccache::instead(&name, &program, &words, &variables, &own_exe);
    }
    // Early, so that the daemon knows how many wait while we look at arguments.
    let daemon = match variables.usage {
        Use::NoDaemon => None,
        _ => match daemon::connect(variables.test_socket.as_deref()) {
            Ok(conn) => Some(conn),
            Err(daemon::NoDaemon::Absent) => None,
            Err(daemon::NoDaemon::TestSocket) => return Ok(exit_code::TEST_SOCKET),
        },
    };
    let task = Task {
        wants_whole_machine: driver.is_some_and(|driver| is_parallel_link(driver, &expanded)),
        output: output_of(&expanded),
        name,
        program,
        words,
        folder,
        level,
        is_compiler: driver.is_some(),
        is_by_icerun: matches!(role, Role::Icerun | Role::IcerunLink),
    };
    Ok(compile(&task, driver, &expanded, &variables, daemon))
}

fn compile(task: &Task, driver: Option<Driver>, words: &[Vec<u8>], variables: &Variables, daemon: Option<Conn>) -> i32 {
    // Without a daemon it only matters if the user wants to know what could not go elsewhere.
    let is_judged = daemon.is_some() || variables.fallback != Fallback::Silent;
    let job = match driver {
        Some(driver) if is_judged && variables.usage == Use::Cluster => judge(task, driver, words, variables),
        _ => None,
    };
    let Some(job) = job else {
        let here = if driver.is_some() || task.is_by_icerun { Here::Meant } else { Here::Unknown };
        return here::run(task, variables, &here, || daemon);
    };
    let Some(mut daemon) = daemon else { return here::run(task, variables, &Here::NoDaemon, || None) };
    let mut mode = job.mode;
    if mode.leaves_macros() && remembered::is_expanded_here(input_path(&job)) {
        mode = Mode::Full;
    }
    loop {
        let (request, mut archives) = match request(task, &job, mode, variables, &daemon) {
            Ok(request) => request,
            Err(err) => return here::run(task, variables, &Here::NoEnvironment(err.to_string()), || Some(daemon)),
        };
        let test_socket = variables.test_socket.as_deref();
        match remote::run(task, &job, mode, request, &mut archives, &mut daemon, test_socket) {
            remote::Outcome::Done(status) => {
                daemon::finish(daemon);
                return status;
            }
            remote::Outcome::ExpandHere => {
                remembered::note_expansion(input_path(&job));
                mode = Mode::Full;
                drop(daemon);
                daemon = match daemon::connect(variables.test_socket.as_deref()) {
                    Ok(daemon) => daemon,
                    Err(_) => return here::run(task, variables, &Here::NoDaemon, || None),
                };
            }
            remote::Outcome::Local(trouble, host) => {
                drop(daemon);
                let connect = || daemon::connect(variables.test_socket.as_deref()).ok();
                return here::run(task, variables, &Here::Trouble { trouble, host }, connect);
            }
        }
    }
}

fn input_path(job: &RemoteJob) -> &Path {
    Path::new(OsStr::from_bytes(&job.input))
}

/// The job, if the command line can be compiled elsewhere; otherwise the log says why not.
fn judge(task: &Task, driver: Driver, words: &[Vec<u8>], variables: &Variables) -> Option<RemoteJob> {
    let driver = Driver { family: family(task, driver), ..driver };
    let is_heeded = |name: &str| debug!("{name} is set, building locally");
    if !task.folder.is_absolute() {
        log_reason(Reason::NoDirectory, b"");
        return None;
    }
    if let Some(name) = compiler_variables::only_heeded_here(driver.family, false) {
        is_heeded(name);
        return None;
    }
    let mut settings = variables.settings();
    settings.color = settings.color && compiler::takes_color(&task.program, driver.family);
    let classify = |words: &[Vec<u8>], own: &Range<usize>| {
        let invocation = Invocation { driver, words, folder: task.folder.as_os_str().as_bytes() };
        let files = files::HostFiles::default().of_compiler(&task.program);
        match cmdline::classify_wrapped(&invocation, own, &settings, &files) {
            Verdict::Remote(job) => Some(job),
            Verdict::Local(reason, word) => {
                log_reason(reason, &word);
                None
            }
        }
    };
    // The user's own words first: most of what stays here is known by them, and to ask a wrapper takes several runs.
    let mut job = classify(words, &(0..words.len()))?;
    let unwrapped = match compiler::unwrapped(&task.program, driver.family, &variables.path, words) {
        Ok(unwrapped) => unwrapped,
        Err(reason) => {
            log_reason(reason, task.program.as_os_str().as_bytes());
            return None;
        }
    };
    if let Some(compiler::Unwrapped { words, own }) = &unwrapped {
        job = classify(words, own)?;
    }
    let words = unwrapped.as_ref().map_or(words, |unwrapped| &unwrapped.words);
    let configured = configuration::words(&task.program, driver.family, words)
        .and_then(|words| configure(&mut job, driver, words, &settings, task));
    if let Err(reason) = configured.and_then(|()| compiler::resolve(&task.program, &mut job)) {
        log_reason(reason, b"");
        return None;
    }
    if let Some(dir) = files::name_in_pwd(&task.folder) {
        job.set_compilation_dir(dir.as_bytes());
    }
    if let Some(name) = compiler_variables::only_heeded_here(driver.family, job.object_writing() == Writing::Anew) {
        is_heeded(name);
        return None;
    }
    // What is in an environment of the user's is the user's word.
    let other = variables.version.is_none().then(|| tools::other_than_packed(&task.program, &job)).flatten();
    if let Some(other) = other {
        log_reason(Reason::OtherProgram, other.as_os_str().as_bytes());
        return None;
    }
    if let Err(reason) = output::check(&job) {
        log_reason(reason, &job.output);
        return None;
    }
    if variables.repeat_rate {
        debug!("ICECC_REPEAT_RATE is not supported: results of other hosts are not compared");
    }
    Some(*job)
}

/// Gives the job the words of the compiler's configuration files; they are judged as if they made a job of their own.
fn configure(
    job: &mut RemoteJob,
    driver: Driver,
    mut words: Vec<Vec<u8>>,
    settings: &Settings,
    task: &Task,
) -> Result<(), Reason> {
    if words.is_empty() {
        return Ok(());
    }
    words.extend([b"-c".to_vec(), b"configured.c".to_vec()]);
    let invocation = Invocation { driver, words: &words, folder: task.folder.as_os_str().as_bytes() };
    match cmdline::classify(&invocation, settings, &files::HostFiles::default().of_compiler(&task.program)) {
        Verdict::Remote(configured) => job.configure(*configured),
        Verdict::Local(reason, _) => Err(reason),
    }
}

fn log_reason(reason: Reason, word: &[u8]) {
    let word = String::from_utf8_lossy(word);
    match reason {
        // As 1.4 words it.
        Reason::FileMissing => warn!("file for argument {word} missing, building locally"),
        _ if word.is_empty() => debug!("{reason}"),
        _ => debug!("{reason} ({word})"),
    }
}

/// clang under another name is known by the file that its links lead to, or by asking it.
fn family(task: &Task, driver: Driver) -> Family {
    let real = std::fs::canonicalize(&task.program).unwrap_or_default();
    let named = |path: &Path| path.file_name().and_then(|name| Driver::from_name(name.as_bytes()));
    let is_named_clang = |path| named(path).is_some_and(|driver| driver.family == Family::Clang);
    if is_named_clang(&real) || is_named_clang(&task.program) {
        return Family::Clang;
    }
    compiler::family(&task.program).unwrap_or(driver.family)
}

fn request(
    task: &Task,
    job: &RemoteJob,
    mode: Mode,
    variables: &Variables,
    daemon: &Conn,
) -> Result<(Request, environment::Archives), environment::NoEnvironment> {
    let uname = rustix::system::uname();
    let platform = uname.machine().to_string_lossy().into_owned();
    let (environments, archives) =
        environment::plan(task, job.family, &job.extra_files, variables, &platform, daemon.version())?;
    let folder = task.folder.as_os_str().as_bytes();
    let required_features = variables.required_features();
    let minimal_version = match (required_features, job.split_dwarf, variables.verified_only) {
        (0, false, false) => 21,
        (0, false, true) => 31,
        (0, true, _) => 35,
        _ => 42,
    };
    // Negative values travel wrapped, as in 1.4 (decision: bytes-not-text).
    let niceness = rustix::process::getpriority_process(None).unwrap_or(0);
    let get_cs = GetCs {
        environments: Vec::new(),
        file: job.display_name(folder),
        language: job.language.number(),
        count: 1,
        target: platform.as_str().into(),
        arg_flags: job.arg_flags(),
        preferred_host: Text::from(variables.preferred_host.as_bytes()),
        needs_31: u32::from(minimal_version >= 31),
        minimal_version,
        required_features,
        niceness: u32::from_ne_bytes(niceness.to_ne_bytes()),
        ..GetCs::default()
    };
    let compile = CompileFile {
        language: job.language.number(),
        arguments: job.remote_words(mode),
        target: platform.as_str().into(),
        compiler: job.wire_compiler().into(),
        input_file: Text::from(job.input.as_slice()),
        working_directory: Text::from(folder),
        output_file: Text::from(job.output.as_slice()),
        split_dwarf: u32::from(job.split_dwarf),
        ..CompileFile::default()
    };
    let request = Request {
        environments,
        get_cs,
        compile,
        family: job.family,
        mode,
        messages: job.messages,
        failure_is_doubtful: job.words.iter().any(|word| word.hidden),
        told_in_full: job.extra_files.clone(),
        verified_only: variables.verified_only,
        zstd_by_default: archives.is_zstd_by_default(),
        loopback_is_remote: variables.test_remote_build,
        wants_other_host: variables.fallback != Fallback::Silent,
        is_nested: task.level > 0,
    };
    Ok((request, archives))
}

/// `--help` and its like, and what is no command at all.
fn own_option(role: Role, words: &[OsString], variables: &Variables, own_exe: &Path) -> Result<Option<i32>, Failure> {
    let (program, usage) = match role {
        Role::Icerun => ("ICERUN", help::ICERUN),
        _ => ("ICECC", help::ICECC),
    };
    let Some((first, rest)) = words.split_first() else {
        eprint!("{usage}");
        return Ok(Some(1));
    };
    if !first.as_bytes().starts_with(b"-") {
        return Ok(None);
    }
    // As in 1.4, only the first argument is an option of ours: the others are the compiler's, or of what it asks for.
    let mut option = Words::new([first.clone()], &[]);
    let is_icecc = role == Role::Icecc;
    if option.flag("--help") {
        print!("{usage}");
        Ok(Some(0))
    } else if option.flag("--version") {
        print!("{}", help::version(program));
        Ok(Some(0))
    } else if is_icecc && option.flag("--build-native") {
        Err(build_native::run(rest, variables, own_exe))
    } else if is_icecc && option.flag("--inspect-env") {
        inspect_env(rest)
    } else if is_icecc && option.flag("--update-links") {
        links::run(rest, &variables.path, own_exe).map(|()| Some(0))
    } else {
        Err(Failure::new(format!("unknown option {}", first.to_string_lossy())).hint("--help lists the options"))
    }
}

/// `--inspect-env FILE [--json]`, in either order.
fn inspect_env(words: &[OsString]) -> Result<Option<i32>, Failure> {
    let mut words = Words::new(words.iter().cloned(), &[]);
    let as_json = words.flag("--json");
    match &words.operands().map_err(|err| Failure::from_error(&err))?[..] {
        [file] => crate::create_env::inspect(Path::new(file), as_json).map(|code| Some(code.into())),
        _ => Err(Failure::new("--inspect-env needs the name of one archive")),
    }
}

fn role(called: &OsStr) -> Role {
    match Path::new(called).file_name().map(OsStr::as_bytes) {
        Some(b"icecc") => return Role::Icecc,
        Some(b"icerun") => return Role::Icerun,
        _ => {}
    }
    let link = std::fs::read_link(called).unwrap_or_default();
    if link.file_name().is_some_and(|name| name == "icerun") { Role::IcerunLink } else { Role::Masquerade }
}

fn level() -> u32 {
    let Some(value) = env::var_os(SAFEGUARD) else { return 0 };
    value.to_str().and_then(|value| value.trim().parse().ok()).filter(|level| *level > 0).unwrap_or(1)
}

/// Which compiler a name means: by itself or, as `mycc`, by the file that it leads to.
fn driver(name: &OsStr, path: &OsStr, own_exe: &Path) -> Option<Driver> {
    let by_link = || {
        let file = find::compiler(name, path, own_exe).ok()?.canonicalize().ok()?;
        let name = file.file_name().filter(|name| installed::is_compiler_name(name))?;
        Driver::from_name(name.as_bytes())
    };
    Driver::from_name(name.as_bytes()).or_else(by_link)
}

fn find_program(
    name: &OsStr,
    driver: Option<Driver>,
    words: &[Vec<u8>],
    folder: &Path,
    variables: &Variables,
    own_exe: &Path,
) -> Result<PathBuf, find::FindError> {
    // `icerun icecc …` is meant: the inner client knows that it is nested.
    let base = Path::new(name).file_name().unwrap_or(name);
    if driver.is_none() && (base == "icecc" || base == "icerun") {
        let plain = if name.as_bytes().contains(&b'/') { Some(PathBuf::from(name)) } else { None };
        let found = plain.or_else(|| find::program(name, &variables.path));
        return found.ok_or_else(|| find::FindError::NotFound(name.to_os_string()));
    }
    let configured = driver.and_then(|driver| {
        let invocation = Invocation { driver, words, folder: folder.as_os_str().as_bytes() };
        match cmdline::language(&invocation) {
            Language::C => variables.cc.as_ref(),
            Language::Cxx => variables.cxx.as_ref(),
            Language::ObjC | Language::ObjCxx => None,
        }
    });
    let find = if ccache::is_caller() { find::compiler_for_wrapper } else { find::compiler };
    find(configured.map_or(name, OsString::as_os_str), &variables.path, own_exe)
}

/// The last `-o`.
fn output_of(words: &[Vec<u8>]) -> Vec<u8> {
    let separate = words.windows(2).rev().find(|pair| pair.first().is_some_and(|word| word == b"-o"));
    separate.and_then(|pair| pair.get(1)).cloned().unwrap_or_default()
}

/// A link whose LTO uses all CPUs.
fn is_parallel_link(driver: Driver, words: &[Vec<u8>]) -> bool {
    let no_link = words.iter().any(|word| matches!(word.as_slice(), b"-c" | b"-S" | b"-E" | b"-r" | b"-fsyntax-only"));
    let lto = words.iter().rev().find(|word| word.starts_with(b"-flto")).map(Vec::as_slice);
    match lto {
        None => false,
        Some(b"-flto" | b"-flto=1") if driver.family == Family::Gcc => false,
        Some(_) => !no_link,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        line.split(' ').map(|word| word.as_bytes().to_vec()).collect()
    }

    #[test]
    fn roles_by_name() {
        assert_eq!(role(OsStr::new("/usr/bin/icecc")), Role::Icecc);
        assert_eq!(role(OsStr::new("icerun")), Role::Icerun);
        assert_eq!(role(OsStr::new("g++")), Role::Masquerade);
        let folder = tempfile::tempdir().unwrap();
        let link = folder.path().join("ld");
        std::os::unix::fs::symlink("/usr/bin/icerun", &link).unwrap();
        assert_eq!(role(link.as_os_str()), Role::IcerunLink);
    }

    #[test]
    fn parallel_links_want_the_whole_machine() {
        let gcc = Driver { family: Family::Gcc, language: Language::C };
        let clang = Driver { family: Family::Clang, ..gcc };
        assert!(is_parallel_link(gcc, &words("-flto=auto a.o -o a")));
        assert!(!is_parallel_link(gcc, &words("-flto a.o -o a")));
        assert!(!is_parallel_link(gcc, &words("-flto=auto -c a.c")));
        assert!(is_parallel_link(clang, &words("-flto a.o")));
        assert_eq!(output_of(&words("a.o -o x -o y")), b"y");
    }
}
