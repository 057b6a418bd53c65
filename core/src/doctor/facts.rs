//! What the shell gathers. What it could not find out is absent, not guessed.

/// `ICECC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Jobs may go elsewhere.
    Cluster,
    /// `no`
    LocalSlots,
    /// `disable`
    NoDaemon,
}

/// All facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Whether jobs may go elsewhere at all.
    pub usage: Usage,
    /// Variables whose values mean nothing.
    pub problems: Vec<String>,
    /// A host that `ICECC_PREFERRED_HOST` names.
    pub preferred: Option<String>,
    /// The compilers that are installed, by name.
    pub compilers: Vec<Compiler>,
    /// Where links named as compilers were installed.
    pub links: Option<String>,
    /// What is known of ccache.
    pub ccache: Ccache,
    /// What is known of the daemon.
    pub daemon: DaemonFacts,
    /// Where jobs and environments are written.
    pub disks: Vec<Disk>,
    /// Bytes of memory that are available, and slots.
    pub memory: Option<(u64, u32)>,
    /// Seconds by which new files in the working directory are ahead of the clock.
    pub clock_ahead: Option<i64>,
    /// What is known of the scheduler; none without a daemon.
    pub scheduler: Option<SchedulerFacts>,
    /// The hosts that it lists, or why they are not known.
    pub hosts: Option<Result<Vec<HostFacts>, String>>,
    /// Whether this host stands in the scheduler's list of blocked ones.
    pub is_blocked: bool,
    /// `uname -m`.
    pub platform: String,
    /// Ports that were tried.
    pub ports: Vec<Port>,
    /// Environments that were asked for.
    pub environments: Vec<Environment>,
    /// What jobs of others are promised here; none if that could not be found out.
    pub promises: Option<Vec<Promise>>,
    /// Compiles that were sent to each host.
    pub trials: Vec<Trial>,
}

/// A compiler's name and where PATH has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compiler {
    /// As users call it.
    pub name: String,
    /// In the order of PATH.
    pub places: Vec<Place>,
    /// What is said of a call that led back to icecc.
    pub leads_back: Option<String>,
}

/// A file of a compiler's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Its path.
    pub path: String,
    /// What it is.
    pub kind: PlaceKind,
}

/// What a file of a compiler's name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlaceKind {
    /// A link to icecc.
    Icecc,
    /// A link to ccache.
    Ccache,
    /// A compiler or a script.
    Compiler,
}

/// What is known of ccache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ccache {
    /// Whether it is installed.
    pub is_there: bool,
    /// `CCACHE_PREFIX`.
    pub prefix: Option<String>,
    /// Whether PATH has that.
    pub prefix_is_there: bool,
    /// Whether that is icecc.
    pub prefix_is_icecc: bool,
}

/// A socket that does not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketTrouble {
    /// Its path.
    pub path: String,
    /// Why.
    pub why: WhyNoSocket,
}

/// Why a socket does not answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WhyNoSocket {
    /// Nobody listens any more.
    Stale,
    /// This user may not.
    Forbidden,
    /// It is not there.
    Absent,
    /// Who answers is no daemon that this user trusts.
    NotADaemon,
}

/// What is known of the daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DaemonFacts {
    /// None answers, and why at each place.
    None(Vec<SocketTrouble>),
    /// It answers.
    Answers {
        /// The protocol spoken with it.
        protocol: u32,
        /// The protocol of this client.
        newest: u32,
        /// Its command line, if that can be seen.
        options: Option<DaemonOptions>,
    },
}

/// What a daemon was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonOptions {
    /// `-n`
    pub netname: String,
    /// `-s`, if a host was given.
    pub scheduler: Option<String>,
    /// `--no-remote`
    pub no_remote: bool,
    /// `-m`
    pub slots: Option<u32>,
}

/// A place on a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Disk {
    /// What is written there.
    pub what: &'static str,
    /// Where.
    pub path: String,
    /// Bytes that are free.
    pub free: u64,
    /// Whether this user, if it is who writes there, may.
    pub is_writable: bool,
}

/// What is known of the scheduler.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchedulerFacts {
    /// The netname that is looked for.
    pub netname: String,
    /// Host and port that were named, and why it cannot be reached, if it cannot.
    pub named: Option<(String, Option<String>)>,
    /// Who answered a broadcast.
    pub answers: Vec<Answer>,
}

/// A scheduler that answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its address.
    pub at: String,
    /// Its netname.
    pub netname: String,
    /// Its protocol.
    pub version: u32,
}

/// A host of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// Its name.
    pub name: String,
    /// Its address.
    pub address: String,
    /// Its port; 0: it takes no jobs.
    pub port: u32,
    /// Its platform.
    pub platform: String,
    /// The protocol that it offered; a scheduler of 1.4 does not tell.
    pub version: Option<u32>,
    /// Its slots.
    pub slots: u32,
    /// Whether it takes no jobs of others.
    pub no_remote: bool,
    /// What our scheduler says of it.
    pub state: Option<String>,
    /// Whether it is this one.
    pub is_own: bool,
}

/// A port that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// The host whose it is.
    pub host: String,
    /// Address and port.
    pub at: String,
    /// Why it cannot be reached.
    pub error: Option<String>,
}

/// An environment that the daemon was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    /// The compiler.
    pub compiler: String,
    /// Its name, or why there is none.
    pub made: Result<String, String>,
}

/// A guarantee for jobs of others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promise {
    /// Its word.
    pub word: String,
    /// Why it does not hold, if it does not.
    pub missing: Option<String>,
}

/// A compile that was sent to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    /// The host's name.
    pub host: String,
    /// What became of it.
    pub outcome: Outcome,
    /// How long it took.
    pub milliseconds: u64,
}

/// What became of a compile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was compiled there.
    There,
    /// Another host did it.
    Elsewhere(String),
    /// It was compiled here, and why.
    Here(String),
    /// It had not ended after so many seconds.
    Late(u64),
    /// It failed, and with which words.
    Failed(String),
}
