//! Which archives a job can be compiled with, as files on this host.

use super::task::Task;
use super::variables::Variables;
use super::{answerer, archive, daemon, own_name, remembered};
use ice_core::client::Environments;
use ice_core::cmdline::compiler_names;
use ice_core::cmdline::{Family, paths};
use ice_core::env::{EnvName, EnvRef};
use ice_core::limits;
use ice_core::message::{GetNativeEnv, Message};
use ice_core::platform;
use ice_core::reason::Reason;
use ice_core::text::Text;
use ice_core::version::Version;
use ice_net::deadline::{Deadline, Step};
use ice_toolchain::archive::Summary;
use ice_toolchain::{cross, spec};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the daemon may take for another form of an archive: its own limit for making one, and a queue before it.
const GZIP: Duration = Duration::from_secs(150);

/// Archives by the platform they run on.
#[derive(Debug, Default)]
pub(super) struct Archives {
    files: Vec<(Text, PathBuf)>,
    /// What the user would ask the daemon for; none where the user gave the archives.
    native: Option<GetNativeEnv>,
    /// The daemon was asked for zstd instead: a server that cannot read it gets what `native` says.
    is_zstd_by_default: bool,
}

impl Archives {
    /// Takes the archive that the daemon named as the only one. `None`: it cannot be read, or has no archive's name.
    pub(super) fn take_native(&mut self, path: &Text) -> Option<Text> {
        let path = Path::new(OsStr::from_bytes(path.as_bytes()));
        let name = spec::name_of(path)?;
        if let Err(err) = File::open(path) {
            // In a chroot or a container the daemon's files are not seen, and its compiler may be another one. Servers that have
            // the environment need no archive.
            if self.native.as_ref().and_then(own_name::of).as_deref() != Some(name) {
                log::warn!("cannot read environment {}: {err}", path.display());
                return None;
            }
            log::info!("environment {} cannot be read here, but it is this compiler's: {err}", path.display());
        }
        self.files = vec![(Text::new(), path.to_path_buf())];
        Some(Text::from(name.as_bytes()))
    }

    /// Whether the archive is zstd because nothing else was wanted.
    pub(super) fn is_zstd_by_default(&self) -> bool {
        self.is_zstd_by_default
    }

    /// Opens the archive for a platform.
    pub(super) fn open(&self, platform: &Text) -> Result<File, Reason> {
        let found = self.files.iter().find(|(p, _)| p == platform).or_else(|| self.files.first());
        let (_, path) = found.ok_or(Reason::ArchiveUnreadable)?;
        open(path)
    }

    /// Opens the same environment as gzip, which the daemon makes now if it has none. On a connection of its own: ours
    /// stands for the job.
    pub(super) fn open_gzip(&self, test_socket: Option<&Path>) -> Result<File, Reason> {
        let ask = self.native.as_ref().filter(|_| self.is_zstd_by_default);
        let (Some(ask), Some((_, known))) = (ask, self.files.first()) else { return Err(Reason::ArchiveUnreadable) };
        let mut daemon = daemon::connect(test_socket).map_err(|_| Reason::ArchiveUnreadable)?;
        let asked = daemon.send(&Message::GetNativeEnv(ask.clone()), Deadline::after(Step::Send, limits::SEND));
        let answer = asked.and_then(|()| daemon.recv(Deadline::after(Step::NativeEnv, GZIP)));
        let path = match answer {
            Ok(Message::NativeEnv { path }) => PathBuf::from(OsStr::from_bytes(path.as_bytes())),
            Ok(_) | Err(_) => return Err(Reason::ArchiveUnreadable),
        };
        daemon::finish(daemon, None);
        // Another name: the compiler was changed in between.
        if spec::name_of(&path).is_none() || spec::name_of(&path) != spec::name_of(known) {
            return Err(Reason::ArchiveUnreadable);
        }
        open(&path)
    }
}

fn open(path: &Path) -> Result<File, Reason> {
    File::open(path).map_err(|err| {
        log::warn!("cannot read environment {}: {err}", path.display());
        Reason::ArchiveUnreadable
    })
}

/// Why a job cannot have an environment.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoEnvironment {
    /// A file that must be packed is missing.
    #[error("file in ICECC_EXTRAFILES not found: {}", .0.display())]
    ExtraFile(PathBuf),
    /// ICECC_VERSION is set, but holds nothing that can be used for this compiler.
    #[error("nothing usable in ICECC_VERSION")]
    Version,
    /// The archives of ICECC_VERSION are for other compilers; each was named before.
    #[error("no environment of ICECC_VERSION fits the compiler")]
    Fitting,
    /// A file of the job is not in the user's own archive, and cannot be added to it: a server would not find it.
    #[error("{} is not in the environment of ICECC_VERSION", .0.display())]
    NotInVersion(PathBuf),
    /// Daemons before 32 do not pack extra files.
    #[error("the daemon is too old to pack extra files")]
    OldDaemon,
}

/// The platform of this host, as `uname -m` prints it.
pub(super) fn own_platform() -> String {
    rustix::system::uname().machine().to_string_lossy().into_owned()
}

/// What to ask for, and what is known of archives already.
pub(super) fn plan(
    task: &Task,
    family: Family,
    job_files: &[Vec<u8>],
    variables: &Variables,
    platform: &str,
    daemon: Version,
) -> Result<(Environments, Archives), NoEnvironment> {
    match &variables.version {
        Some(value) => given(task, job_files, value, variables, platform),
        None => native(task, family, job_files, variables, daemon),
    }
}

fn given(
    task: &Task,
    job_files: &[Vec<u8>],
    value: &OsStr,
    variables: &Variables,
    platform: &str,
) -> Result<(Environments, Archives), NoEnvironment> {
    let own = EnvName::new(platform.as_bytes()).map_err(|_| NoEnvironment::Version)?;
    let prefix = compiler_names::prefix(Path::new(&task.name).file_name().unwrap_or_default(), platform);
    let spec = spec::parse(value, &own, &prefix, &task.folder);
    for problem in &spec.problems {
        log::error!("{}", crate::exit::chain(problem));
    }
    if spec.usable.is_empty() {
        return Err(NoEnvironment::Version);
    }
    let (mut refs, mut files) = (Vec::new(), Vec::new());
    for entry in spec.usable {
        let Some(look) = archive::look(&entry.file) else { continue };
        if !fits(&entry, &look, task, &prefix, platform) {
            continue;
        }
        report_platform(&entry, &look);
        // Whatever the file is called (decision: content-names).
        refs.push(EnvRef { platform: entry.platform.as_str().into(), name: look.name.as_str().into() });
        files.push((Text::from(entry.platform.as_str()), entry.file));
    }
    if files.is_empty() {
        return Err(NoEnvironment::Fitting);
    }
    let is_lacking = |name: &[u8]| files.iter().find(|(_, file)| !archive::holds(file, name)).map(|(_, file)| file);
    if let Some(file) = job_files.iter().find(|name| is_lacking(name).is_some()) {
        return Err(NoEnvironment::NotInVersion(OsStr::from_bytes(file).into()));
    }
    for extra in &variables.extra_files {
        let name = paths::absolute(task.folder.as_os_str().as_bytes(), extra.as_os_str().as_bytes());
        if let Some(file) = is_lacking(&name) {
            remembered::warn_once(
                file,
                &format!(
                    "{} of ICECC_EXTRAFILES is not in {}: ICECC_VERSION is used as it is",
                    extra.display(),
                    file.display()
                ),
            );
        }
    }
    Ok((Environments::Given(refs), Archives { files, ..Archives::default() }))
}

/// Whether an archive is for the compiler that would run here: with another one the object would be another too, and
/// nobody would be told.
fn fits(entry: &spec::Entry, look: &Summary, task: &Task, prefix: &OsStr, platform: &str) -> bool {
    // One that does not answer cannot be compared.
    let Some(own) = answerer::about(&task.program) else { return true };
    let (file, program) = (entry.file.display(), task.program.display());
    // Said once, not for each of a build's host programs.
    let refuse = |why: &str| {
        let text = format!("environment {file} is not for {program}: {why}");
        if remembered::is_news(&entry.file, &text) {
            log::error!("{text}")
        } else {
            log::warn!("{text}")
        }
        false
    };
    if let Some(info) = &look.info {
        return info.mismatch(&own).is_none_or(|why| refuse(&why.to_string()));
    }
    // clang makes code for every target.
    if own.compiler != "gcc" || look.targets.iter().any(|target| cross::is_same_target(target, &own.target)) {
        return true;
    }
    if let Some(other) = look.targets.first() {
        return refuse(&format!("the environment makes code for {other}, the compiler for {}", own.target));
    }
    // 1.4's archives say nothing, and those made by hand may show nothing: they are the user's word.
    let is_named_so = if prefix.is_empty() { is_for(&own.target, platform) } else { is_triple(prefix, &own.target) };
    if !entry.has_target && !is_named_so {
        let target = &own.target;
        remembered::warn_once(
            &entry.file,
            &format!("{program} makes code for {target}: environment {file} must be for that target too"),
        );
    }
    true
}

/// Whether a compiler of this triple is one for the hosts of a platform: `x86_64-alpine-linux-musl` is one for x86_64.
fn is_for(triple: &str, platform: &str) -> bool {
    compiler_names::is_native_triple(triple.as_bytes(), platform)
        || triple.strip_prefix(platform).is_some_and(|rest| rest.starts_with('-') && rest.contains("linux"))
}

fn is_triple(prefix: &OsStr, target: &str) -> bool {
    prefix.to_str().is_some_and(|prefix| cross::is_same_target(prefix, target))
}

/// Says if the hosts that an archive would go to cannot run it. They find out themselves and refuse it, so that nothing
/// but the user's time is lost.
fn report_platform(entry: &spec::Entry, look: &Summary) {
    let Some(is) = look.platform.as_deref().or(look.info.as_ref().map(|info| info.platform.as_str())) else { return };
    let wanted = entry.platform.as_str();
    // The ELF header knows no kinds of ARM.
    let is_arm = |platform: &str| platform.starts_with("arm");
    if platform::runs(wanted.as_bytes(), is.as_bytes()) || (is_arm(is) && is_arm(wanted)) {
        return;
    }
    let text = format!("environment {} is for hosts of {is}, not of {wanted}", entry.file.display());
    if remembered::is_news(&entry.file, &text) {
        log::error!("{text}: give it as {is}:FILE in ICECC_VERSION");
    }
}

fn native(
    task: &Task,
    family: Family,
    job_files: &[Vec<u8>],
    variables: &Variables,
    daemon: Version,
) -> Result<(Environments, Archives), NoEnvironment> {
    let folder = task.folder.as_os_str().as_bytes();
    let mut extra_files: Vec<Text> = Vec::new();
    for file in &variables.extra_files {
        let path = task.folder.join(file);
        if File::open(&path).is_err() {
            return Err(NoEnvironment::ExtraFile(path));
        }
        extra_files.push(paths::absolute(folder, file.as_os_str().as_bytes()).into());
    }
    extra_files.extend(job_files.iter().map(|file| Text::from(file.as_slice())));
    if !extra_files.is_empty() && !daemon.has_native_env_files() {
        return Err(NoEnvironment::OldDaemon);
    }
    let compiler = if daemon.has_ordered_args() {
        paths::absolute(folder, task.program.as_os_str().as_bytes()).into()
    } else if family == Family::Clang {
        Text::from("clang")
    } else {
        Text::from("gcc")
    };
    let mut ask = GetNativeEnv { compiler, extra_files, compression: Text::from(variables.env_compression.as_bytes()) };
    // Made in a tenth of gzip's time, and smaller. Only a daemon of ours is known to have it.
    let is_zstd_by_default = ask.compression.is_empty() && daemon.has_full_jobs();
    let archives = Archives { native: Some(ask.clone()), is_zstd_by_default, ..Archives::default() };
    if is_zstd_by_default {
        ask.compression = "zstd".into();
    }
    Ok((Environments::Native(ask), archives))
}
