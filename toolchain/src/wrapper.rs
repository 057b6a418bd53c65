//! Wrappers around a compiler: the options that they add to a command line.
//!
//! Compile servers run the compiler, not the wrapper. So the wrapper's options must become part of the job, or the job
//! stays local. Options found are used only if the compiler with them does the same as the wrapper, by the output of
//! `-###`.

use crate::driver::{Driver, Kind, split_quoted};
use crate::find;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::Read;
use std::iter;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// Why a wrapper's options cannot be determined.
#[derive(Debug, Error)]
pub enum WrapperError {
    /// The wrapper or its compiler does not report how it would compile, or does something that options cannot express.
    #[error("{} does not tell its options", .0.display())]
    OptionsUnknown(PathBuf),
    /// The compiler behind the wrapper cannot be found.
    #[error("cannot find the compiler behind {}", .0.display())]
    NoCompiler(PathBuf),
    /// The wrapper runs another kind of compiler than its name suggests.
    #[error("behind {} is {}", .path.display(), .is.name())]
    OtherKind {
        /// The wrapper.
        path: PathBuf,
        /// The kind of compiler that it runs.
        is: Kind,
    },
}

/// The options that a wrapper adds to the user's arguments. The order decides which of two contradicting options wins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WrapperOptions {
    /// Options before the user's arguments.
    pub before: Vec<OsString>,
    /// Options after the user's arguments.
    pub after: Vec<OsString>,
}

impl WrapperOptions {
    /// Whether the wrapper adds nothing.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// The whole argument list around the user's `args`.
    fn around<'a>(&'a self, args: &[&'a OsStr]) -> Vec<&'a OsStr> {
        let before = self.before.iter().map(OsString::as_os_str);
        before.chain(args.iter().copied()).chain(self.after.iter().map(OsString::as_os_str)).collect()
    }
}

/// Marks the user's arguments in the output of `-###`: a macro defined as their first one.
const MARKER: &str = "ICECC_WORDS_OF_THE_USER";
/// The arguments used where the user's are not known.
const PLAIN: [&str; 6] = ["-c", "-x", "c", "/dev/null", "-o", "/dev/null"];
/// Scripts of this many bytes or more are not analysed.
const SCRIPT_MAX: u64 = 1 << 16;

/// Whether a compiler is a script. An unreadable file counts as none; the compile itself will report it.
pub fn is_script(compiler: &Path) -> bool {
    start_of(compiler, 2).is_some_and(|start| start == b"#!")
}

/// Whether a compiler is a script whose added options cannot vary: a shell script of one line that only runs a program,
/// which is no script itself, with no expansion but the user's arguments and the script's name. The program may still
/// treat some arguments specially. `path` is the value of PATH.
pub fn is_constant_script(compiler: &Path, path: &OsStr) -> bool {
    let Some(text) = script(compiler).filter(|text| is_shell_script(text)) else { return false };
    let mut lines = lines(&text);
    let (Some(line), None) = (lines.next(), lines.next()) else { return false };
    let mut pieces = line.split(|b| *b == b'$');
    pieces.next();
    let is_plain = pieces.all(|piece| matches!(piece.first(), Some(b'@' | b'*' | b'0')))
        && !line.iter().any(|b| matches!(b, b'|' | b';' | b'&' | b'`'));
    let is_program = |args: Vec<OsString>| {
        let found = args.first().and_then(|arg| find::compiler(arg, path, Path::new("/proc/self/exe")).ok());
        found.is_some_and(|file| file.exists() && !is_script(&file))
    };
    is_plain && command(line).is_some_and(is_program)
}

/// Whether the `#!` line names a shell without options.
fn is_shell_script(text: &[u8]) -> bool {
    let first = text.split(|b| *b == b'\n').next().and_then(|line| line.strip_prefix(b"#!")).unwrap_or_default();
    let args = first.split(u8::is_ascii_whitespace).filter(|arg| !arg.is_empty());
    let names: Vec<&[u8]> = args.filter_map(|arg| arg.rsplit(|b| *b == b'/').next()).collect();
    matches!(names.as_slice(), [b"sh" | b"bash" | b"dash"] | [b"env", b"sh" | b"bash" | b"dash"])
}

/// Whether a program runs another program that is the compiler. `None`: it does not report that. `path` is the value of
/// PATH.
pub fn is_wrapper(compiler: &Path, path: &OsStr) -> Option<bool> {
    let dry_run = Driver::new(compiler).dry_run(&PLAIN.map(OsStr::new))?;
    let real = dry_run.compiler(path)?;
    Some(!find::is_ccache(compiler, path) && !is_same_file(&real, compiler))
}

/// Determines the options that a wrapper adds to those of its compiler, such as `-m32` in `exec gcc -m32 "$@"`.
///
/// Runs the wrapper and the compiler three to five times in all. `path` is the value of PATH, `kind` the expected kind
/// of compiler. With `args`, the user's arguments, the result is verified for them; with `None`, it is what the wrapper
/// adds if the user gives no options.
pub fn wrapper_options(
    compiler: &Path,
    path: &OsStr,
    kind: Kind,
    args: Option<&[Vec<u8>]>,
) -> Result<WrapperOptions, WrapperError> {
    let wrapper = Driver::new(compiler);
    let mark = format!("-D{MARKER}");
    let plain = || PLAIN.map(OsStr::new).to_vec();
    let args = args.map_or_else(plain, |args| args.iter().map(|arg| OsStr::from_bytes(arg)).collect());
    let asked: Vec<&OsStr> = iter::once(OsStr::new(&mark)).chain(args).collect();
    let unknown = || WrapperError::OptionsUnknown(compiler.to_path_buf());
    let dry_run = wrapper.dry_run(&asked).ok_or_else(|| WrapperError::NoCompiler(compiler.to_path_buf()))?;
    if dry_run.kind != kind {
        return Err(WrapperError::OtherKind { path: compiler.to_path_buf(), is: dry_run.kind });
    }
    let real = dry_run.compiler(path).ok_or_else(|| WrapperError::NoCompiler(compiler.to_path_buf()))?;
    let real = Driver::new(&real);
    let from_script = from_script(compiler);
    let mut candidates = match kind {
        Kind::Gcc => {
            let plain = real.dry_run(&asked).ok_or_else(|| WrapperError::OptionsUnknown(real.path().to_path_buf()))?;
            from_difference(plain.args, dry_run.args.clone()).ok_or_else(unknown)?
        }
        Kind::Clang => vec![WrapperOptions::default()],
    };
    candidates.extend(from_script);
    let is_verified =
        |options: &WrapperOptions| real.dry_run(&options.around(&asked)).is_some_and(|a| a.agrees(&dry_run));
    candidates.into_iter().find(is_verified).ok_or_else(unknown)
}

/// Whether a wrapper given `args`, the user's arguments, compiles as its compiler does with `options` around them. Runs
/// two programs.
pub fn is_proven(compiler: &Path, path: &OsStr, options: &WrapperOptions, args: &[Vec<u8>]) -> bool {
    let args: Vec<&OsStr> = args.iter().map(|arg| OsStr::from_bytes(arg)).collect();
    let Some(dry_run) = Driver::new(compiler).dry_run(&args) else { return false };
    let Some(real) = dry_run.compiler(path) else { return false };
    if is_same_file(&real, compiler) {
        return options.is_empty();
    }
    Driver::new(&real).dry_run(&options.around(&args)).is_some_and(|real| real.agrees(&dry_run))
}

/// Candidates for a gcc wrapper's options: what its dry run has beyond the compiler's own, `plain`. `None` if the
/// marker is missing from either.
fn from_difference(plain: Vec<OsString>, all: Vec<OsString>) -> Option<Vec<WrapperOptions>> {
    let ((mut front, middle), (all, mark)) = (without_marker(plain)?, without_marker(all)?);
    let mut back = front.split_off(middle.min(front.len()));
    let mut added = WrapperOptions::default();
    for (at, option) in all.into_iter().enumerate() {
        let (known, added) = if at < mark { (&mut front, &mut added.before) } else { (&mut back, &mut added.after) };
        match known.iter().position(|known| *known == option) {
            Some(at) => drop(known.swap_remove(at)),
            None => added.push(option),
        }
    }
    // Options that the driver derives itself, as -march from -m32, also appear after the user's arguments, but must not
    // override the user's.
    let mut given = added.clone();
    given
        .after
        .retain(|option| !option.as_bytes().starts_with(b"-march=") && !option.as_bytes().starts_with(b"-mtune="));
    Some(vec![given, added])
}

/// The arguments without the marker, and the marker's position. gcc prints `-DX` as two arguments.
fn without_marker(mut args: Vec<OsString>) -> Option<(Vec<OsString>, usize)> {
    let is_marker = |arg: &OsString| arg.as_bytes().strip_prefix(b"-D").unwrap_or(arg.as_bytes()) == MARKER.as_bytes();
    let mut at = args.iter().position(is_marker)?;
    if args.remove(at) == *MARKER {
        at = at.checked_sub(1)?;
        args.remove(at);
    }
    Some((args, at))
}

/// Candidates for a script's options, one for each line like `exec clang --target=X "$@"`; the caller verifies them.
/// This is needed because clang's dry run omits options of the driver, and gcc's those for the assembler.
fn from_script(compiler: &Path) -> Vec<WrapperOptions> {
    let is_literal = |arg: &OsString| !arg.as_bytes().iter().any(|b| matches!(b, b'$' | b'`'));
    let options_of = |args: Vec<OsString>| {
        let at = args.iter().position(|arg| arg == "$@")?;
        let (before, after) = (args.get(1..at)?.to_vec(), args.get(at + 1..)?.to_vec());
        before.iter().chain(&after).all(is_literal).then_some(WrapperOptions { before, after })
    };
    let text = script(compiler).unwrap_or_default();
    commands(&text).filter_map(options_of).filter(|options| !options.is_empty()).collect()
}

/// The arguments of each line of a script that passes on the user's arguments.
fn commands(text: &[u8]) -> impl Iterator<Item = Vec<OsString>> {
    lines(text).filter_map(command)
}

/// The lines of a script that are neither empty nor comments.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let lines = text.split(|b| *b == b'\n').map(<[u8]>::trim_ascii);
    lines.filter(|line| !line.is_empty() && !line.starts_with(b"#"))
}

/// The command of a line with its arguments, if the user's are among them.
fn command(line: &[u8]) -> Option<Vec<OsString>> {
    let args: Vec<_> = split_quoted(line).into_iter().skip_while(|arg| arg == "exec").collect();
    args.iter().any(|arg| arg == "$@" || arg == "$*").then_some(args)
}

/// A script's text; `None` if the file is no script or too long.
fn script(compiler: &Path) -> Option<Vec<u8>> {
    let text = start_of(compiler, SCRIPT_MAX)?;
    (text.starts_with(b"#!") && (text.len() as u64) < SCRIPT_MAX).then_some(text)
}

/// The first `max` bytes of a file.
fn start_of(file: &Path, max: u64) -> Option<Vec<u8>> {
    let mut start = Vec::new();
    File::open(file).and_then(|f| f.take(max).read_to_end(&mut start)).ok()?;
    Some(start)
}

/// Whether two paths lead to the same inode.
fn is_same_file(a: &Path, b: &Path) -> bool {
    matches!((fs::metadata(a), fs::metadata(b)), (Ok(a), Ok(b)) if (a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    const PATH: &str = "/usr/bin";

    fn compiler(name: &str) -> Option<PathBuf> {
        let found = find::program(OsStr::new(name), OsStr::new(PATH));
        if found.is_none() {
            eprintln!("skipped: no {PATH}/{name}");
        }
        found
    }

    fn script(dir: &tempfile::TempDir, name: &str, text: &str) -> PathBuf {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn e6_a_scripts_own_options_are_determined() {
        let (path, dir) = (OsStr::new(PATH), tempfile::tempdir().unwrap());
        let Some(gcc) = compiler("gcc") else { return };
        let options_of = |name, text: &str| wrapper_options(&script(&dir, name, text), path, Kind::Gcc, None);
        let run = gcc.display();
        assert!(options_of("plain", &format!("exec {run} \"$@\"")).unwrap().is_empty());
        let added = options_of("adds", &format!("exec {run} -fwrapv -DA='b c' \"$@\"")).unwrap();
        assert_eq!(
            (added.before.as_slice(), added.after.len()),
            (&["-fwrapv", "-D", "A=b c"].map(OsString::from)[..], 0)
        );
        let added = options_of("wins", &format!("exec {run} -m32 \"$@\" -O2")).unwrap();
        assert_eq!((added.before.as_slice(), added.after.as_slice()), (&["-m32".into()][..], &["-O2".into()][..]));
        let added = options_of("assembles", &format!("exec {run} -Wa,--noexecstack \"$@\"")).unwrap();
        assert_eq!((added.before.as_slice(), added.after.len()), (&["-Wa,--noexecstack".into()][..], 0));
        let hidden = options_of("hides", &format!("x=-Wa,--noexecstack; exec {run} $x \"$@\""));
        assert!(matches!(hidden, Err(WrapperError::OptionsUnknown(_))), "{hidden:?}");
        assert!(wrapper_options(&gcc, path, Kind::Gcc, None).unwrap().is_empty());
        assert!(matches!(options_of("other", "exit 0"), Err(WrapperError::NoCompiler(_))));
    }

    #[test]
    fn e6_a_programs_own_options_are_determined() {
        let (path, dir) = (OsStr::new(PATH), tempfile::tempdir().unwrap());
        let Some(gcc) = compiler("gcc") else { return };
        let source = dir.path().join("wrap.c");
        // Like Buildroot's wrapper: it adds an option only if the user gave none of that kind.
        let text = r#"#include <string.h>
#include <unistd.h>
int main(int n, char **args) {
    char *all[n + 2]; int m = 0, is_set = 0;
    for (int i = 1; i < n; i++) is_set |= !strncmp(args[i], "-march", 6);
    all[m++] = "/usr/bin/gcc";
    if (!is_set) all[m++] = "-m32";
    for (int i = 1; i < n; i++) all[m++] = args[i];
    all[m] = 0;
    return execv(all[0], all);
}
"#;
        fs::write(&source, text).unwrap();
        let wrapper = dir.path().join("my-gcc");
        let built = Command::new(&gcc).arg(&source).arg("-o").arg(&wrapper).status().unwrap();
        assert!(built.success() && !is_script(&wrapper));
        assert_eq!(is_wrapper(&wrapper, path), Some(true));
        assert_eq!(is_wrapper(&gcc, path), Some(false));
        let options = wrapper_options(&wrapper, path, Kind::Gcc, None).unwrap();
        assert_eq!((options.before.as_slice(), options.after.len()), (&["-m32".into()][..], 0));
        let args = |line: &str| line.split(' ').map(|arg| arg.as_bytes().to_vec()).collect::<Vec<_>>();
        assert!(is_proven(&wrapper, path, &options, &args("-O2 -c a.c -o a.o")));
        assert!(!is_proven(&wrapper, path, &WrapperOptions::default(), &args("-O2 -c a.c -o a.o")));
        // Other arguments change what it adds, and are reported with them.
        let own = args("-march=x86-64 -c a.c -o a.o");
        assert!(!is_proven(&wrapper, path, &options, &own));
        assert!(wrapper_options(&wrapper, path, Kind::Gcc, Some(&own)).unwrap().is_empty());
        let same = script(&dir, "same", "exec /usr/bin/gcc -DA -O2 \"$@\"");
        let same = wrapper_options(&same, path, Kind::Gcc, Some(&args("-O1 -DA -O2 -c a.c -o a.o"))).unwrap();
        assert_eq!((same.before.as_slice(), same.after.len()), (&["-D", "A", "-O2"].map(OsString::from)[..], 0));
    }

    #[test]
    fn a_script_that_asks_its_environment_is_not_constant() {
        let dir = tempfile::tempdir().unwrap();
        let path = OsStr::new("/usr/bin:/bin");
        let inner = script(&dir, "inner", "exec cat $EXTRA \"$@\"");
        let inner = format!("exec {} \"$@\"", inner.display());
        for (name, text, is_constant) in [
            ("at", "exec cat -m32 \"$@\"", true),
            ("star", "# $0\ncat $*", true),
            ("variable", "exec cat $EXTRA \"$@\"", false),
            ("braces", "exec cat ${EXTRA} \"$@\"", false),
            ("first", "test \"$1\" = -cc1 || exec cat \"$@\"", false),
            ("command", "exec cat $(cat flags) \"$@\"", false),
            ("old", "exec cat `cat flags` \"$@\"", false),
            ("twice", &inner, false),
            ("nothing", "exec /no/such/program \"$@\"", false),
            ("reads", ". /opt/sdk/env\nexec cat \"$@\"", false),
            ("looks", "echo \"$@\" | grep -q x && exec cat -O3 \"$@\"", false),
            ("lines", "# as it is\n\n  exec cat \"$@\"", true),
        ] {
            assert_eq!(is_constant_script(&script(&dir, name, text), path), is_constant, "{text}");
        }
        assert!(!is_constant_script(Path::new("/bin/sh"), path));
        let file = script(&dir, "head", "");
        for (head, is_constant) in [
            ("/bin/bash", true),
            (" /usr/bin/env dash", true),
            ("/bin/bash -l", false),
            ("/usr/bin/python3", false),
            ("/usr/bin/env python3", false),
        ] {
            fs::write(&file, format!("#!{head}\ncat \"$@\"\n")).unwrap();
            assert_eq!(is_constant_script(&file, path), is_constant, "{head}");
        }
    }

    #[test]
    fn clangs_options_are_read_and_proven() {
        let (path, dir) = (OsStr::new(PATH), tempfile::tempdir().unwrap());
        let Some(clang) = compiler("clang") else { return };
        let options_of = |name, text: &str| wrapper_options(&script(&dir, name, text), path, Kind::Clang, None);
        let run = clang.display();
        assert!(options_of("plain", &format!("exec {run} \"$@\"")).unwrap().is_empty());
        let added = options_of("assembles", &format!("exec {run} -fno-integrated-as \"$@\"")).unwrap();
        assert_eq!((added.before.as_slice(), added.after.len()), (&["-fno-integrated-as".into()][..], 0));
        // Like a wrapper of the Android NDK.
        let ndk = format!(
            "if [ \"$1\" != \"-cc1\" ]; then\n  \"`dirname {run}`/clang\" --target=aarch64-linux-android21 \"$@\"\n\
             else\n  \"`dirname {run}`/clang\" \"$@\"\nfi"
        );
        let options = options_of("ndk-clang", &ndk).unwrap();
        assert_eq!(options.before, ["--target=aarch64-linux-android21"]);
        let source = script(&dir, "a.c", "");
        let args = ["-O2".as_ref(), "-c".as_ref(), source.as_os_str(), "-o".as_ref(), "a.o".as_ref()];
        let args = args.map(|arg: &OsStr| arg.as_bytes().to_vec());
        assert!(is_proven(&dir.path().join("ndk-clang"), path, &options, &args));
        let hidden = options_of("hidden", &format!("x=--target=arm-linux-gnueabi; exec {run} $x \"$@\""));
        assert!(matches!(hidden, Err(WrapperError::OptionsUnknown(_))));
        let other = wrapper_options(&script(&dir, "gcc", &format!("exec {run} \"$@\"")), path, Kind::Gcc, None);
        assert!(matches!(other, Err(WrapperError::OtherKind { is: Kind::Clang, .. })));
        assert_eq!(is_wrapper(&clang, path), Some(false));
    }
}
