//! The grammar of ICECC_VERSION: `[platform:]file[=target]`, separated by commas.
//!
//! Each malformed or missing entry is reported; the job may use the others. Archives are not opened to look inside.

use ice_core::env::{EnvName, NameError};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Accepted file name suffixes, longest first. The part before the suffix is the environment's name.
pub const SUFFIXES: [&str; 6] = [".tar.bz2", ".tar.zst", ".tar.gz", ".tar.xz", ".tar", ".tgz"];
/// Minimum size of an archive in bytes; 1.4 refuses smaller files.
const SIZE_MIN: u64 = 500;

/// One usable archive of ICECC_VERSION.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The platform (`uname -m`) of compile servers that can run it.
    pub platform: EnvName,
    /// Absolute path of the archive.
    pub file: PathBuf,
    /// Whether the entry has a `=target`, which equals this compiler's prefix.
    pub has_target: bool,
}

/// Why an entry of ICECC_VERSION cannot be used.
#[derive(Debug, Error)]
pub enum SpecError {
    /// The value is empty or has only commas.
    #[error("$ICECC_VERSION is empty: give it an archive or unset it")]
    Empty,
    /// `platform:` or `=target` without a file.
    #[error("$ICECC_VERSION: no file in {:?}", .entry)]
    NoFile {
        /// The entry as given.
        entry: OsString,
    },
    /// `file=` without a target.
    #[error("$ICECC_VERSION: nothing behind the = in {:?}", .entry)]
    NoTarget {
        /// The entry as given.
        entry: OsString,
    },
    /// The platform is not a valid name.
    #[error("$ICECC_VERSION: {:?} has no usable platform", .entry)]
    Platform {
        /// The entry as given.
        entry: OsString,
        /// What is wrong with it.
        #[source]
        source: NameError,
    },
    /// A second archive for the same platform; the first one is used. The beginning of the text is 1.4's.
    #[error("there are two environments for platform {platform} in $ICECC_VERSION - ignoring {}", .file.display())]
    SecondForPlatform {
        /// The platform.
        platform: EnvName,
        /// The archive that is ignored.
        file: PathBuf,
    },
    /// The file does not exist. The text is 1.4's.
    #[error("$ICECC_VERSION has to point to an existing file to be installed {}", .given.display())]
    Missing {
        /// The file as given.
        given: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The file exists but cannot be opened for reading.
    #[error("$ICECC_VERSION: cannot read {}", .file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The path is not a regular file.
    #[error("$ICECC_VERSION has to point to an existing file to be installed {}: not a regular file", .file.display())]
    NotAFile {
        /// The path.
        file: PathBuf,
    },
    /// The file has fewer than 500 bytes, which no archive has.
    #[error("$ICECC_VERSION: {} has only {size} bytes, that is no environment", .file.display())]
    TooSmall {
        /// The file.
        file: PathBuf,
        /// Its size in bytes.
        size: u64,
    },
    /// The file's name has no suffix of an archive.
    #[error("$ICECC_VERSION: {} has to end in .tar, .tgz, .tar.gz, .tar.bz2, .tar.xz or .tar.zst", .file.display())]
    Suffix {
        /// The file.
        file: PathBuf,
    },
    /// No entry has the target of this compiler.
    #[error("$ICECC_VERSION has no environment for the target {:?}, only for {:?}", .wanted, .given)]
    NoTargetFits {
        /// The compiler's prefix; empty for a native compiler.
        wanted: OsString,
        /// The targets of all entries; empty for an entry without one.
        given: Vec<OsString>,
    },
}

/// The meaning of ICECC_VERSION for one compiler.
#[derive(Debug, Default)]
pub struct Spec {
    /// The usable archives in the order given, at most one per platform. If empty, the job is compiled locally.
    pub usable: Vec<Entry>,
    /// The problems with all other entries, in the order given.
    pub problems: Vec<SpecError>,
}

/// Parses `value` of ICECC_VERSION for a compiler with `prefix` (from [`ice_core::cmdline::compiler_names::prefix`]).
///
/// Entries without a platform get `own_platform`; relative paths are relative to `cwd`. A `:` with a `/` before it and
/// a `=` with a `/` after it belong to the file's name. Symbolic links are followed.
pub fn parse(value: &OsStr, own_platform: &EnvName, prefix: &OsStr, cwd: &Path) -> Spec {
    let mut spec = Spec::default();
    let mut pieces = Vec::new();
    for entry in value.as_bytes().split(|b| *b == b',').filter(|e| !e.is_empty()) {
        match Piece::parse(OsStr::from_bytes(entry)) {
            Ok(piece) => pieces.push(piece),
            Err(problem) => spec.problems.push(problem),
        }
    }
    if pieces.is_empty() {
        if spec.problems.is_empty() {
            spec.problems.push(SpecError::Empty);
        }
        return spec;
    }
    // If any entry names a target, entries without one are for the native compiler only.
    if pieces.iter().any(|p| p.target.is_some()) {
        let given = pieces.iter().map(|p| p.target.clone().unwrap_or_default()).collect();
        pieces.retain(|p| p.target.as_deref().unwrap_or_default() == prefix);
        if pieces.is_empty() {
            spec.problems.push(SpecError::NoTargetFits { wanted: prefix.to_os_string(), given });
        }
    }
    for piece in pieces {
        match check(piece, own_platform, cwd, &spec.usable) {
            Ok(entry) => spec.usable.push(entry),
            Err(problem) => spec.problems.push(problem),
        }
    }
    spec
}

/// One entry, split into its parts.
struct Piece {
    platform: Option<EnvName>,
    file: PathBuf,
    target: Option<OsString>,
}

impl Piece {
    /// Splits an entry without looking at the file.
    fn parse(entry: &OsStr) -> Result<Self, SpecError> {
        let named = || entry.to_os_string();
        let mut rest = entry.as_bytes();
        let mut target = None;
        if let Some(at) = rest.iter().rposition(|b| *b == b'=').filter(|at| !rest[at + 1..].contains(&b'/')) {
            // `x=.tar.gz` is a file name: a target never ends like an archive.
            if !ends_as_archive(&rest[at + 1..]) {
                if rest.len() == at + 1 {
                    return Err(SpecError::NoTarget { entry: named() });
                }
                target = Some(OsStr::from_bytes(&rest[at + 1..]).to_os_string());
                rest = &rest[..at];
            }
        }
        let mut platform = None;
        if let Some(at) = rest.iter().position(|b| *b == b':').filter(|at| !rest[..*at].contains(&b'/')) {
            let word = &rest[..at];
            platform = Some(EnvName::new(word).map_err(|source| SpecError::Platform { entry: named(), source })?);
            rest = &rest[at + 1..];
        }
        if rest.is_empty() {
            return Err(SpecError::NoFile { entry: named() });
        }
        Ok(Self { platform, file: PathBuf::from(OsStr::from_bytes(rest)), target })
    }
}

/// Whether a name ends with one of [`SUFFIXES`].
fn ends_as_archive(name: &[u8]) -> bool {
    SUFFIXES.iter().any(|suffix| name.ends_with(suffix.as_bytes()))
}

/// The name of an archive: the file's without the archive suffix. `None` if it has no such suffix.
pub fn name_of(file: &Path) -> Option<&OsStr> {
    let base = file.file_name()?.as_bytes();
    SUFFIXES.iter().find_map(|suffix| base.strip_suffix(suffix.as_bytes())).map(OsStr::from_bytes)
}

/// Checks the file of an entry. `before` are the entries accepted so far.
fn check(piece: Piece, own: &EnvName, cwd: &Path, before: &[Entry]) -> Result<Entry, SpecError> {
    let has_target = piece.target.is_some();
    let platform = piece.platform.unwrap_or_else(|| own.clone());
    let file = cwd.join(&piece.file);
    if before.iter().any(|e| e.platform == platform) {
        return Err(SpecError::SecondForPlatform { platform, file });
    }
    let meta = fs::metadata(&file).map_err(|source| SpecError::Missing { given: piece.file, source })?;
    if !meta.is_file() {
        return Err(SpecError::NotAFile { file });
    }
    if let Err(source) = fs::File::open(&file) {
        return Err(SpecError::Unreadable { file, source });
    }
    if meta.len() < SIZE_MIN {
        return Err(SpecError::TooSmall { file, size: meta.len() });
    }
    if name_of(&file).is_none() {
        return Err(SpecError::Suffix { file });
    }
    Ok(Entry { platform, file, has_target })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "native.tar.gz",
            "arm.tar.gz",
            "a.tar.xz",
            "we:ird.tar.gz",
            "x=y.tar.gz",
            "native.zip",
            ".hid.tar",
            "b lank.tar",
        ] {
            fs::write(dir.path().join(name), [0; 600]).unwrap();
        }
        fs::create_dir(dir.path().join("other")).unwrap();
        fs::write(dir.path().join("other/native.tar.gz"), [1; 600]).unwrap();
        fs::write(dir.path().join("small.tar.gz"), [0; 400]).unwrap();
        std::os::unix::fs::symlink("native.tar.gz", dir.path().join("link.tar.gz")).unwrap();
        dir
    }

    fn read(dir: &Path, value: &str, prefix: &str) -> (Vec<String>, Vec<String>) {
        let own = EnvName::new(b"x86_64").unwrap();
        let spec = parse(OsStr::new(value), &own, OsStr::new(prefix), dir);
        let used = spec
            .usable
            .iter()
            .map(|e| format!("{}:{}", e.platform, name_of(&e.file).unwrap().to_string_lossy()))
            .collect();
        (used, spec.problems.iter().map(|p| p.to_string().replace(&*dir.to_string_lossy(), "D")).collect())
    }

    #[test]
    fn every_good_form_is_used() {
        let dir = place();
        for (value, used) in [
            ("native.tar.gz", "x86_64:native"),
            ("other/../native.tar.gz", "x86_64:native"),
            ("x86_64:native.tar.gz", "x86_64:native"),
            (",native.tar.gz,,", "x86_64:native"),
            ("aarch64:native.tar.gz", "aarch64:native"),
            ("link.tar.gz", "x86_64:link"),
            ("./we:ird.tar.gz", "x86_64:we:ird"),
            ("x=y.tar.gz", "x86_64:x=y"),
            (".hid.tar", "x86_64:.hid"),
            ("b lank.tar", "x86_64:b lank"),
        ] {
            assert_eq!(read(dir.path(), value, ""), (vec![used.to_string()], vec![]), "{value}");
        }
        let (used, _) = read(dir.path(), "native.tar.gz,ia64:arm.tar.gz", "");
        assert_eq!(used, ["x86_64:native", "ia64:arm"]);
    }

    #[test]
    fn every_bad_piece_is_named() {
        let dir = place();
        for (value, problem) in [
            ("", "$ICECC_VERSION is empty: give it an archive or unset it"),
            (",,", "$ICECC_VERSION is empty: give it an archive or unset it"),
            ("none.tar.gz", "$ICECC_VERSION has to point to an existing file to be installed none.tar.gz"),
            ("x86_64:", "$ICECC_VERSION: no file in \"x86_64:\""),
            (":native.tar.gz", "$ICECC_VERSION: \":native.tar.gz\" has no usable platform"),
            ("native.tar.gz=", "$ICECC_VERSION: nothing behind the = in \"native.tar.gz=\""),
            ("other", "$ICECC_VERSION has to point to an existing file to be installed D/other: not a regular file"),
            ("small.tar.gz", "$ICECC_VERSION: D/small.tar.gz has only 400 bytes, that is no environment"),
            (
                "native.zip",
                "$ICECC_VERSION: D/native.zip has to end in .tar, .tgz, .tar.gz, .tar.bz2, .tar.xz or .tar.zst",
            ),
        ] {
            assert_eq!(read(dir.path(), value, ""), (vec![], vec![problem.to_string()]), "{value}");
        }
    }

    #[test]
    fn e47_targets_choose_by_the_compilers_prefix() {
        let dir = place();
        let value = "native.tar.gz,arm.tar.gz=arm-linux-gnueabihf";
        assert_eq!(read(dir.path(), value, "").0, ["x86_64:native"]);
        assert_eq!(read(dir.path(), value, "arm-linux-gnueabihf").0, ["x86_64:arm"]);
        let (used, problems) = read(dir.path(), value, "aarch64-linux-gnu");
        assert!(used.is_empty());
        assert!(problems[0].contains("no environment for the target \"aarch64-linux-gnu\""), "{problems:?}");
        assert_eq!(read(dir.path(), "native.tar.gz", "arm-linux-gnueabihf").0, ["x86_64:native"]);
    }

    #[test]
    fn one_archive_per_platform() {
        let dir = place();
        let (used, problems) = read(dir.path(), "native.tar.gz,a.tar.xz", "");
        assert_eq!(used, ["x86_64:native"]);
        assert!(problems[0].starts_with("there are two environments for platform x86_64"), "{problems:?}");
        let (used, problems) = read(dir.path(), "native.tar.gz,i686:other/native.tar.gz", "");
        assert_eq!((used, problems), (vec!["x86_64:native".into(), "i686:native".into()], vec![]));
    }
}
