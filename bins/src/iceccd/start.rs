//! From a command line to a running daemon, in the order in which 1.4's starts; differences are explained where they
//! stand.

use std::ffi::OsString;
use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam::channel::bounded;
use ice_core::daemon::{Config, Daemon, EnvOnDisk, NativeOnDisk, feature_names};
use ice_core::env::{EnvId, EnvName};
use ice_core::limits::{CACHE_KEPT, DISK_KEPT, default_cache_limit, default_files_limit, slots_within};
use ice_core::message::features;
use ice_core::store_layout;
use ice_core::text::Text;
use ice_launcher::{Contents, JobLimits, Launcher, LauncherConfig};
use ice_net::hub::{ConnectionBounds, Hub, HubConfig};
use ice_sandbox::guarantees::{Guarantee, Guarantees};
use ice_sandbox::memory::headroom;
use ice_toolchain::archive::{UnpackLimits, unpack};
use ice_toolchain::digest::{self, NameCheck};
use ice_toolchain::file_tree::Trees;
use ice_toolchain::find::is_executable_file;
use ice_toolchain::kept::Kept;
use ice_toolchain::native_store::NativeStore;
use ice_toolchain::store::Store;
use log::{error, info, warn};
use nix::fcntl::{Flock, FlockArg, OFlag};
use nix::unistd::{Gid, Uid};

use super::disk::{Disk, Owned};
use super::doors;
use super::files;
use super::greeting::Greeting;
use super::job_ids;
use super::link::Finder;
use super::native::{Builder, Tool};
use super::noted::Noted;
use super::options::Options;
use super::orders::Orders;
use super::promised;
use super::server::Server;
use super::shared::Shared;
use crate::background::{self, Dropped, LOG_DIR, PidFile, RUN_DIR, Start};
use crate::cli::table::VERSION;
use crate::create_env::apart;
use crate::exit::Failure;
use crate::logging::{self, Log, Prefix, Target};
use crate::readiness::Waiting;
use crate::signals::{self, Signal};

/// How long a daemon that is stopping may keep the folder of the environments from its successor: jobs of its own may end.
const LOCK_WAIT: Duration = Duration::from_secs(15);
/// What a peer may leave unread: a list of environments is the longest message to a client or scheduler.
const OUTBOX: usize = 4 << 20;
/// What the records of a user may take of the disk: those of some thousand units.
const RECORDS_MAX: u64 = 64 << 20;
/// Stack of client threads: they unpack and run dialogues on it.
const STACK: usize = 128 << 10;

/// Runs the daemon; returns its exit code.
pub fn run(options: Options) -> Result<u8, Failure> {
    let root = Uid::effective().is_root();
    close_inherited();
    // Before the launcher is forked, which needs some for each job too.
    let descriptors = background::raise_descriptors();
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    let start = Start::here(options.detach && !options.check)?;
    let base = std::path::absolute(&options.base).unwrap_or_else(|_| options.base.clone());
    if options.check {
        return check(&options, root, &base, descriptors);
    }
    if root {
        own_folder(Path::new(RUN_DIR), &options);
    }
    let log = open_log(&options, root)?;
    info!("ICECREAM daemon {VERSION} starting up (nice level {}) ", options.nice);
    std::env::set_current_dir("/").map_err(|e| Failure::new(format!("cannot change to /: {e}")).code(100))?;
    let tool = Tool::open(create_env());
    let slots = options.slots.unwrap_or_else(processors);
    let connections = connections(slots, descriptors);
    make_base(&base, &options, root)?;
    let natives = apart::possible(account(&options, root));
    // From here to the first thread the launcher has to be forked, while the privilege is still there.
    let launcher = start_launcher(&options, root, &base, slots, connections)?;
    let pid_file = PidFile::write().ok();
    drop_root(&options, root)?;
    let accepts = promised::accepts_jobs(launcher.guarantees(), &options.require);
    let no_remote = options.no_remote || accepts.is_err();
    promised::warn_of_missing(launcher.guarantees(), &accepts, root && !no_remote);
    promised::warn_of_natives(&natives);
    let lock = lock(&base, &mut Waiting::begin(&log, options.detach))?;
    let (store, natives, kept) = open_stores(&base)?;
    let config = config(&options, slots, no_remote, accepts.is_ok(), &base, &store, &natives);
    let (config, trees) = with_files(within_memory(config, launcher.guarantees()), &options, &base, &launcher);
    log_config(&config);
    let doors = doors::open(&options, root, no_remote, &log)?;
    let greeting = Greeting::new(&options, &config, &doors, launcher.guarantees(), &accepts);
    let allow = options.allow.clone();
    let hub_config = HubConfig { allow, connections, outbox_max: OUTBOX, stack: STACK, ..HubConfig::default() };
    let (hub, events) = Hub::new(hub_config).map_err(no_threads)?;
    let (remover, done) = (launcher.clone(), bounded(8));
    let owned = Owned { store, natives, kept, remove: move |env: &EnvId| remover.remove(env), base: base.clone() };
    let disk = Disk::start(owned, done.0.clone()).map_err(no_threads)?;
    let shared = Arc::new(Shared {
        launcher,
        disk,
        builder: Builder::new(store_layout::native(&base), tool),
        noted: Noted::new(&base, headroom().unwrap_or(u64::MAX) >> 20),
        orders: Orders::default(),
        extension: doors.extension.as_ref().map(|(_, path)| path.clone()),
        trees,
        spooled: Arc::default(),
        base,
        level: compression_level(),
        job_time: options.job_time,
    });
    let signals = signals::start(&[Signal::Term, Signal::Hup])
        .map_err(|e| Failure::new(format!("cannot take signals: {e}")).code(100))?;
    doors::listen(&hub, doors, &shared)?;
    let finder = finder(&options);
    log.tell(&greeting.to_string());
    start.ready().map_err(|e| Failure::new(format!("cannot detach: {e}")).code(100))?;
    let (begun, daemon) = (Instant::now(), Daemon::new(ice_core::time::Instant::ZERO, config));
    let ended = Server::new(daemon, hub, events, shared, finder, begun, done)?.run(&signals, &log, options.detach);
    if let Some(pid_file) = pid_file {
        pid_file.remove();
    }
    drop(lock);
    ended
}

/// Looks around once, for people who read the log.
fn finder(options: &Options) -> Finder {
    let finder = Finder::new(options);
    if let Err(e) = finder.survey() {
        warn!("cannot survey the netnames: {e}");
    }
    finder
}

fn compression_level() -> i32 {
    let wanted = std::env::var("ICECC_COMPRESSION").ok().and_then(|l| l.parse().ok());
    wanted.unwrap_or(ice_net::compress::LEVEL_DEFAULT)
}

fn no_threads(error: io::Error) -> Failure {
    Failure::new(format!("cannot start threads: {error}"))
}

fn drop_root(options: &Options, root: bool) -> Result<(), Failure> {
    let dropped = background::drop_root(&options.account).map_err(|e| Failure::from_error(&e).code(112))?;
    if root && dropped == Dropped::NotMapped {
        info!("uid {} does not exist here, staying what we are", options.account.uid);
    }
    Ok(())
}

/// What the log says of a daemon that starts, in 1.4's words where they are 1.4's.
fn log_config(config: &Config) {
    info!("environments may take {} MiB", config.cache_limit >> 20);
    info!("{} CPU(s) online on this server", config.cpus);
    info!("allowing up to {} active jobs", config.slots);
    info!("supported features: {}", feature_names(config.features));
}

/// How many connections this host bears.
fn connections(slots: u32, descriptors: u64) -> ConnectionBounds {
    ConnectionBounds::bearable(slots, descriptors, ice_sandbox::tasks::limit().unwrap_or(u64::MAX))
}

/// Whatever the starter left open would stay so in us, in the launcher and in the makers of environments.
fn close_inherited() {
    ice_sandbox::apply::close_others(
        &uncached_err_fd().and_then(|fd| i32::try_from(fd).ok()).into_iter().collect::<Vec<_>>(),
    );
}

/// ccache's descriptor for messages that are not to be kept with a result.
fn uncached_err_fd() -> Option<u32> {
    std::env::var("UNCACHED_ERR_FD").ok().and_then(|fd| fd.parse().ok())
}

fn check(options: &Options, root: bool, base: &Path, descriptors: u64) -> Result<u8, Failure> {
    make_base(base, options, root)?;
    let slots = options.slots.unwrap_or_else(processors);
    let natives = apart::possible(account(options, root));
    let launcher = start_launcher(options, root, base, slots, connections(slots, descriptors))?;
    let is_accepted = promised::print(launcher.guarantees(), &options.require);
    promised::print_files(&files::possible(&launcher, files_limit(options, base)));
    promised::print_natives(&natives);
    Ok(u8::from(!is_accepted && !options.require.is_empty()))
}

/// User and group that the network half changes to.
fn account(options: &Options, root: bool) -> Option<(u32, u32)> {
    root.then_some((options.account.uid, options.account.gid))
}

fn start_launcher(
    options: &Options,
    root: bool,
    base: &Path,
    slots: u32,
    connections: ConnectionBounds,
) -> Result<Launcher, Failure> {
    let slots = u16::try_from(slots.max(1)).unwrap_or(u16::MAX - 1);
    let config = LauncherConfig {
        base: base.to_path_buf(),
        slots,
        owner: account(options, root),
        job_uid_base: job_uid_base(options, root, slots)?,
        own_tasks: connections.tasks(),
        nice: options.nice,
        limits: JobLimits { memory: u64::MAX, wall: options.job_time, ..JobLimits::default() },
        unpack: unpack_archive,
        detached: options.detach,
    };
    Launcher::start(config).map_err(|e| Failure::from_error(&e))
}

/// The first of the user ids of jobs: as the options say, else the first of enough unused ones.
fn job_uid_base(options: &Options, root: bool, slots: u16) -> Result<Option<u32>, Failure> {
    let (wanted, daemon) = (u32::from(slots) + 1, options.account.uid);
    match options.job_uid_base {
        Some(base) => {
            job_ids::check(base, wanted, daemon).map_err(|e| Failure::from_error(&e))?;
            Ok(Some(base))
        }
        None => Ok(if root { job_ids::find(daemon, wanted) } else { None }),
    }
}

/// What environments leave free of the disk that `folder` is on: of a small one an eighth.
fn disk_kept(folder: &Path) -> u64 {
    let size = nix::sys::statvfs::statvfs(folder).map(|disk| disk.blocks().saturating_mul(disk.fragment_size()));
    size.map_or(DISK_KEPT, |size| DISK_KEPT.min(size / 8))
}

/// What is free of the disk that `folder` is on; nothing if that cannot be told.
fn disk_free(folder: &Path) -> u64 {
    let free =
        nix::sys::statvfs::statvfs(folder).map(|disk| disk.blocks_available().saturating_mul(disk.fragment_size()));
    free.unwrap_or(0)
}

/// What the records of each user may take: less on a small disk.
fn records_limit(base: &Path) -> u64 {
    RECORDS_MAX.min(disk_free(base) / 100)
}

/// What files of submitters may take of the disk.
fn files_limit(options: &Options, base: &Path) -> u64 {
    options.files_limit.unwrap_or_else(|| default_files_limit(disk_free(base)))
}

/// Runs in a process of its own.
fn unpack_archive(input: File, name: &EnvName, into: &Path, bytes_max: u64) -> Result<Contents, String> {
    let md5_name = digest::is_md5_name(name);
    let limits = UnpackLimits { expanded: bytes_max, disk_kept: disk_kept(into), md5_name, ..UnpackLimits::default() };
    let unpacked = unpack(input, into, &limits).map_err(|e| crate::exit::chain(&e))?;
    let proven = match digest::check_name(name, &unpacked.digest, unpacked.md5_name.as_ref()) {
        NameCheck::Forged => return Err("content does not match its name".to_owned()),
        NameCheck::Same => true,
        NameCheck::Other => false,
    };
    Ok(Contents { digest: unpacked.digest, bytes: unpacked.disk, files: unpacked.files, proven })
}

/// The log: `-l`, as root and detached a file of its own, else standard error or ccache's descriptor.
fn open_log(options: &Options, root: bool) -> Result<Log, Failure> {
    let file = match &options.log_file {
        Some(file) => Some(file.clone()),
        None if root && options.detach => {
            own_folder(Path::new(LOG_DIR), options);
            Some(Path::new(LOG_DIR).join("iceccd.log"))
        }
        None => None,
    };
    let Some(file) = file else {
        let target = uncached_err_fd().map_or(Target::Stderr, Target::Descriptor);
        let log = logging::start(target, options.level, Prefix::Service);
        return log.or_else(|_| to_stderr(options));
    };
    logging::start_service(&options.account, &file, options.level)
        .map_err(|e| Failure::from_error(&e).hint("-l names another file"))
}

fn to_stderr(options: &Options) -> Result<Log, Failure> {
    logging::start(Target::Stderr, options.level, Prefix::Service).map_err(|e| Failure::from_error(&e))
}

/// A folder of the daemon's user, 0755, where nobody but root makes any. Failures show when it is used.
fn own_folder(path: &Path, options: &Options) {
    let _ = DirBuilder::new().recursive(true).mode(0o755).create(path);
    let (uid, gid) = (Uid::from_raw(options.account.uid), Gid::from_raw(options.account.gid));
    let _ = nix::unistd::chown(path, Some(uid), Some(gid));
}

/// The folder of the environments must belong to the daemon's user (1.4 fails here too, with less words).
///
/// Anybody may write where it lies by default. So what is given away and changed is the folder that was opened, whatever its name
/// means a moment later; a new one is opened only if its name leads to it without a link.
fn make_base(base: &Path, options: &Options, root: bool) -> Result<(), Failure> {
    let cannot = |what: &str, e: io::Error| Failure::new(format!("cannot {what} {}: {e}", base.display()));
    let wanted = options.account.uid;
    let mut above = DirBuilder::new();
    above.recursive(true).mode(0o755).create(base.parent().unwrap_or(base)).map_err(|e| cannot("make", e))?;
    let is_new = match DirBuilder::new().mode(0o755).create(base) {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(cannot("make", e)),
        made => made.is_ok(),
    };
    let flags = if is_new { OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW } else { OFlag::O_DIRECTORY };
    let folder = OpenOptions::new().read(true).custom_flags(flags.bits()).open(base).map_err(|e| cannot("open", e))?;
    let owner = || folder.metadata().map(|m| m.uid()).map_err(|e| cannot("read", e));
    if root && is_new && owner()? == Uid::effective().as_raw() {
        // Root of a user namespace that lacks the account stays what it is.
        let _ = fchown(&folder, Some(wanted), Some(options.account.gid));
    }
    let owner = owner()?;
    if owner != wanted && owner != Uid::effective().as_raw() || root && owner == 0 && is_mapped(wanted) {
        let hint = format!("give it to uid {wanted}, or name another folder by -b");
        return Err(Failure::new(format!("{} belongs to uid {owner}", base.display())).hint(hint));
    }
    folder.set_permissions(Permissions::from_mode(0o775)).map_err(|e| cannot("set the mode of", e))
}

/// Whether a user exists in this user namespace: asked of the kernel with a file that has no name.
fn is_mapped(uid: u32) -> bool {
    ice_sandbox::channel::memory().is_ok_and(|file| fchown(&file, Some(uid), None).is_ok())
}

/// One daemon per folder: a second one would take environments away under the first one's jobs.
fn lock(base: &Path, waiting: &mut Waiting<'_>) -> Result<Flock<File>, Failure> {
    let cannot = |e: io::Error| Failure::new(format!("cannot use {}: {e}", base.display()));
    let folder = base.join(".ours");
    DirBuilder::new().recursive(true).mode(0o755).create(&folder).map_err(cannot)?;
    let path = folder.join("lock");
    let until = Instant::now() + LOCK_WAIT;
    let mut file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(cannot)?;
    loop {
        file = match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
            Ok(lock) => return Ok(lock),
            Err((_, e)) if e != nix::errno::Errno::EWOULDBLOCK => return Err(cannot(e.into())),
            Err(_) if Instant::now() > until => {
                let what = format!("another daemon uses {}", base.display());
                return Err(Failure::new(what).hint("stop it, or name another folder by -b"));
            }
            Err((file, _)) => file,
        };
        waiting.goes_on(|| format!("the end of another daemon that uses {}", base.display()));
        thread::sleep(Duration::from_millis(100));
    }
}

fn open_stores(base: &Path) -> Result<(Store, NativeStore, Kept), Failure> {
    let (store, cleaned) = Store::open(base).map_err(|e| Failure::from_error(&e))?;
    if !cleaned.leftovers.is_empty() {
        info!("removed {} folders that were no environments of ours", cleaned.leftovers.len());
    }
    for (path, reason) in &cleaned.stuck {
        error!("cannot remove {}: {reason}", path.display());
    }
    let dir = store_layout::native(base);
    let natives =
        NativeStore::open(dir.clone()).map_err(|e| Failure::new(format!("cannot read {}: {e}", dir.display())))?;
    let kept = Kept::open(base, records_limit(base)).map_err(|e| Failure::from_error(&e))?;
    Ok((store, natives, kept))
}

fn config(
    options: &Options,
    slots: u32,
    no_remote: bool,
    chroot_possible: bool,
    base: &Path,
    store: &Store,
    natives: &NativeStore,
) -> Config {
    let tests = std::env::var_os("ICECC_TESTS").is_some();
    let kept = std::env::var("ICECC_TEST_CACHE_KEPT").ok();
    let (host_name, platform) = machine();
    let node_name = options.node_name.clone().unwrap_or(host_name);
    // A daemon of that name plays an old one in tests.
    let unpacks = if tests && node_name == *"remoteice2" { 0 } else { features::ENV_XZ | features::ENV_ZSTD };
    let extension = features::EXTENSION | features::TAKES_JOB_GIVEN | features::TAKES_HOST_CAN;
    let features = unpacks | features::TELLS_NO_HOST | extension;
    let environments: Vec<EnvOnDisk> = store
        .entries()
        .map(|(id, r)| EnvOnDisk {
            id: id.clone(),
            size: r.bytes,
            last_use: u32::try_from(r.last_use).unwrap_or(0),
            content: r.content(&id.name),
        })
        .collect();
    let natives: Vec<NativeOnDisk> = natives.on_disk().collect();
    let cached = environments.iter().map(|e| e.size).chain(natives.iter().map(|n| n.archive.size));
    let cached = cached.fold(0, u64::saturating_add);
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Config {
        port: if no_remote { 0 } else { options.port.into() },
        slots,
        no_remote,
        refuse_plain_names: options.refuse_plain_names,
        takes_files: false,
        chroot_possible,
        node_name: text(node_name),
        platform: text(platform),
        features,
        cache_limit: options.cache_limit.unwrap_or_else(|| default_cache_limit(disk_free(base).saturating_add(cached))),
        cache_kept: kept.and_then(|seconds| seconds.parse().ok()).unwrap_or(CACHE_KEPT),
        cpus: processors(),
        memory_is_shared: true,
        unix_start: u32::try_from(since_1970.as_secs()).unwrap_or(u32::MAX),
        test_reconnect: tests,
        seed: u64::from(std::process::id()) << 32 ^ u64::from(since_1970.subsec_nanos()),
        environments,
        natives,
    }
}

/// The configuration of a host that runs jobs on files of submitters, if it can, and where those are kept.
fn with_files(config: Config, options: &Options, base: &Path, launcher: &Launcher) -> (Config, Option<Arc<Trees>>) {
    let limit = files_limit(options, base);
    let trees = if config.no_remote { None } else { files::open(launcher, base, limit, disk_kept(base)) };
    let features = config.features | if trees.is_some() { features::TAKES_FILES } else { 0 };
    (Config { takes_files: trees.is_some(), features, ..config }, trees)
}

/// The configuration of a host on which no control group limits all jobs together: the limits of as many jobs as it
/// has slots must fit into its memory.
fn within_memory(config: Config, guarantees: &Guarantees) -> Config {
    if config.no_remote || guarantees.has(Guarantee::Memory) {
        return config;
    }
    let slots = config.slots.min(slots_within(headroom().unwrap_or(u64::MAX)));
    if slots < config.slots {
        warn!("memory is enough for {slots} of {} jobs at a time", config.slots);
    }
    Config { slots, memory_is_shared: false, ..config }
}

fn text(name: OsString) -> Text {
    use std::os::unix::ffi::OsStringExt;
    name.into_vec().into()
}

/// Host name and platform, blanks removed.
fn machine() -> (OsString, OsString) {
    let Ok(uname) = nix::sys::utsname::uname() else {
        return ("localhost".into(), std::env::consts::ARCH.into());
    };
    let platform = uname.machine().to_string_lossy().replace(' ', "");
    (uname.nodename().to_os_string(), platform.into())
}

fn processors() -> u32 {
    thread::available_parallelism().map_or(1, |n| u32::try_from(n.get()).unwrap_or(u32::MAX))
}

/// `icecc-create-env` of this installation: beside us, or where packages put it.
fn create_env() -> PathBuf {
    const NAME: &str = "icecc-create-env";
    let own = std::env::current_exe().unwrap_or_default();
    let folder = own.parent().unwrap_or(Path::new("/"));
    let places = [folder.join(NAME), folder.join("../bin").join(NAME), folder.join("../../bin").join(NAME)];
    places.into_iter().find(|p| is_executable_file(p)).unwrap_or_else(|| Path::new("/usr/bin").join(NAME))
}
