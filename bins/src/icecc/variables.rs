//! The environment variables of the client, read once.

use ice_core::client::Sampling;
use ice_core::cmdline::Settings;
use std::env;
use std::ffi::{OsStr, OsString};
use std::hash::{BuildHasher, RandomState};
use std::io::IsTerminal;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// `ICECC`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    /// The cluster.
    Cluster,
    /// `no`: local, in a slot of the daemon.
    LocalSlots,
    /// `disable`: no contact with the daemon.
    NoDaemon,
}

/// `ICECC_FALLBACK` (decision: fallbacks-shown).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fallback {
    /// Compile locally without a word.
    Silent,
    /// Compile locally and say so.
    Warn,
    /// Fail.
    Never,
}

/// `ICECC_FILES`: whether the user's own command may run elsewhere on the user's own files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum FilesUse {
    /// Jobs go as text.
    #[default]
    Off,
    /// By files, where a server takes that.
    On,
    /// The same, and each is compiled here too and compared.
    Shadow,
}

/// What belongs to `ICECC_FILES`.
#[derive(Debug, Default)]
pub(super) struct FilesMode {
    usage: FilesUse,
    /// `ICECC_FILES_ENV`: variables of the compiler's environment that travel beside the usual ones.
    pub(super) more: Vec<OsString>,
    shadow_log: Option<PathBuf>,
    /// We are connected to a daemon that knows them.
    is_tried: bool,
}

impl FilesMode {
    fn read(problems: &mut Vec<String>) -> Self {
        let words = [("off", FilesUse::Off), ("on", FilesUse::On), ("shadow", FilesUse::Shadow)];
        let usage = word("ICECC_FILES", &words, problems).unwrap_or_default();
        if usage == FilesUse::Off {
            return Self::default();
        }
        let more = env::var_os("ICECC_FILES_ENV").unwrap_or_default();
        let more = more.as_bytes().split(|&b| b == b',').filter(|name| !name.is_empty());
        Self {
            usage,
            more: more.map(|name| OsStr::from_bytes(name).to_os_string()).collect(),
            shadow_log: env::var_os("ICECC_FILES_SHADOW_LOG").filter(|path| !path.is_empty()).map(PathBuf::from),
            is_tried: false,
        }
    }

    /// The user wants jobs to be tried by files.
    pub(super) fn is_on(&self) -> bool {
        self.usage != FilesUse::Off
    }

    /// Jobs are tried by files if the daemon knows them.
    pub(super) fn try_if(&mut self, is_known: bool) {
        self.is_tried = is_known;
    }

    /// Whether jobs are tried by files.
    pub(super) fn is_tried(&self) -> bool {
        self.is_tried
    }

    /// Whether their results are only compared.
    pub(super) fn is_shadow(&self) -> bool {
        self.usage == FilesUse::Shadow
    }

    /// Where it is listed what was compared (`ICECC_FILES_SHADOW_LOG`).
    pub(super) fn shadow_log(&self) -> Option<&Path> {
        self.shadow_log.as_deref().filter(|_| self.is_shadow())
    }
}

/// What the user and the tests configured.
#[derive(Debug)]
pub(super) struct Variables {
    pub(super) usage: Use,
    pub(super) fallback: Fallback,
    pub(super) version: Option<OsString>,
    pub(super) files: FilesMode,
    pub(super) preferred_host: OsString,
    pub(super) verified_only: bool,
    pub(super) extra_files: Vec<PathBuf>,
    pub(super) env_compression: OsString,
    pub(super) test_socket: Option<PathBuf>,
    pub(super) test_remote_build: bool,
    pub(super) path: OsString,
    pub(super) cc: Option<OsString>,
    pub(super) cxx: Option<OsString>,
    /// This job, if it goes elsewhere, is compiled here too (`ICECC_VERIFY`, `ICECC_REPEAT_RATE`).
    pub(super) is_sample: bool,
    /// Values that mean nothing, as the user is told.
    pub(super) problems: Vec<String>,
}

impl Variables {
    pub(super) fn read() -> Self {
        let mut problems = Vec::new();
        let usage = word("ICECC", &[("no", Use::LocalSlots), ("disable", Use::NoDaemon)], &mut problems);
        let fallback = word("ICECC_FALLBACK", &[("warn", Fallback::Warn), ("never", Fallback::Never)], &mut problems);
        // An empty value or element names no file; 1.4 takes it for a missing one.
        let extra_files = env::var_os("ICECC_EXTRAFILES").unwrap_or_default();
        let extra_files = extra_files.as_bytes().split(|&b| b == b':').filter(|file| !file.is_empty());
        Self {
            usage: usage.unwrap_or(Use::Cluster),
            fallback: fallback.unwrap_or(Fallback::Silent),
            version: env::var_os("ICECC_VERSION"),
            files: FilesMode::read(&mut problems),
            preferred_host: env::var_os("ICECC_PREFERRED_HOST").unwrap_or_default(),
            verified_only: env::var_os("ICECC_IGNORE_UNVERIFIED").is_some(),
            extra_files: extra_files.map(|file| Path::new(OsStr::from_bytes(file)).to_path_buf()).collect(),
            env_compression: env::var_os("ICECC_ENV_COMPRESSION").unwrap_or_default(),
            test_socket: env::var_os("ICECC_TEST_SOCKET").map(PathBuf::from),
            test_remote_build: env::var_os("ICECC_TEST_REMOTEBUILD").is_some(),
            path: env::var_os("PATH").unwrap_or_default(),
            cc: env::var_os("ICECC_CC").filter(|v| !v.is_empty()),
            cxx: env::var_os("ICECC_CXX").filter(|v| !v.is_empty()),
            is_sample: sampling(&mut problems).takes(RandomState::new().hash_one(std::process::id())),
            problems,
        }
    }

    /// What the classifier must know.
    pub(super) fn settings(&self) -> Settings {
        let switch = |name: &str| env::var_os(name).map(|v| !matches!(v.as_bytes(), [] | [b'0', ..]));
        Settings {
            remote_cpp: switch("ICECC_REMOTE_CPP"),
            clang_remote_cpp: switch("ICECC_CLANG_REMOTE_CPP"),
            color: color_wanted(),
            caret_redo_off: env::var_os("ICECC_CARET_WORKAROUND").is_some_and(|v| !v.as_bytes().starts_with(b"1")),
            own_messages: super::compiler_variables::word_messages(),
        }
    }

    /// Features that a server must have: only for a compression that the user asked for
    /// (decision: environment-compression).
    pub(super) fn required_features(&self) -> u32 {
        match self.env_compression.as_bytes() {
            b"xz" => ice_core::message::features::ENV_XZ,
            b"zstd" => ice_core::message::features::ENV_ZSTD,
            _ => 0,
        }
    }
}

/// zstd level of what is sent (`ICECC_COMPRESSION`).
pub(super) fn compression_level() -> i32 {
    env::var_os("ICECC_COMPRESSION").and_then(|v| number(&v)).unwrap_or(ice_net::compress::LEVEL_DEFAULT)
}

/// How often jobs are compared. 1.4 takes what is no number for 0; a check that was asked for and is not made is a problem.
fn sampling(problems: &mut Vec<String>) -> Sampling {
    let value = |name| env::var_os(name).filter(|value| !value.is_empty());
    let count = |value: OsString| number(&value).and_then(|n| u32::try_from(n).ok());
    let one_of = value("ICECC_VERIFY").and_then(|value| {
        let text = format!("ICECC_VERIFY={} is no number: ignored", value.to_string_lossy());
        count(value).or_else(|| {
            problems.push(text);
            None
        })
    });
    let of_thousand = value("ICECC_REPEAT_RATE").and_then(count);
    Sampling { one_of: one_of.unwrap_or(0), of_thousand: of_thousand.unwrap_or(0) }
}

/// What a variable says by one of some words, in any case. Another value counts as none, and is a problem.
fn word<T: Copy>(name: &str, words: &[(&str, T)], problems: &mut Vec<String>) -> Option<T> {
    let value = env::var_os(name).filter(|value| !value.is_empty())?;
    let known = words.iter().find(|(word, _)| value.eq_ignore_ascii_case(word));
    if known.is_none() {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        problems.push(format!("{name}={} is none of {}: ignored", value.to_string_lossy(), words.join(", ")));
    }
    known.map(|(_, meaning)| *meaning)
}

fn number(text: &OsStr) -> Option<i32> {
    text.to_str()?.trim().parse().ok()
}

/// The compiler's messages will be shown on a terminal that knows colours.
fn color_wanted() -> bool {
    let capable = env::var_os("TERM").is_some_and(|term| !term.eq_ignore_ascii_case("dumb"));
    let refused = env::var_os("ICECC_COLOR_DIAGNOSTICS").is_some_and(|v| !v.as_bytes().starts_with(b"1"));
    capable && !refused && env::var_os("EMACS").is_none() && std::io::stderr().is_terminal()
}
