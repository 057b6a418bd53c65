//! The configuration files that clang reads unasked (`/etc/clang/*.cfg` and those beside it): a server does not have them.

use super::remembered;
use ice_core::cmdline::{Family, Reason, outputs, response};
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Files that a job's configuration may consist of; more is one that names itself.
const FILES_MAX: usize = 64;

/// What stands in the configuration files for a job of these words. Where they say more than options nobody but clang itself
/// knows their words.
pub(super) fn words(program: &Path, family: Family, job: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Reason> {
    if family != Family::Clang || job.iter().any(|word| word == b"--no-default-config") {
        return Ok(Vec::new());
    }
    let choice = choice(job);
    let (times, variable) = (folder_times(program), std::env::var_os("CLANG_NO_DEFAULT_CONFIG").unwrap_or_default());
    let question = [OsStr::new("configuration files"), &times, &variable];
    let question: Vec<&OsStr> = question.into_iter().chain(choice.iter().copied()).collect();
    let files = remembered::answer(program, &question, || files(program, &choice)).unwrap_or_default();
    let mut left = FILES_MAX;
    let mut all = Vec::new();
    for file in files {
        all.extend(read(Path::new(OsStr::from_bytes(&file)), &mut left).ok_or(Reason::Wrapper)?);
    }
    Ok(all)
}

/// The words of a job by which clang chooses its files: they make its target and its mode.
fn choice(job: &[Vec<u8>]) -> Vec<&OsStr> {
    const WHOLE: [&[u8]; 8] =
        [b"-m16", b"-m32", b"-m64", b"-mx32", b"-EB", b"-EL", b"-mbig-endian", b"-mlittle-endian"];
    let mut choice = Vec::new();
    let mut words = job.iter().map(Vec::as_slice);
    while let Some(word) = words.next() {
        if word == b"-target" {
            choice.push(word);
            choice.extend(words.next());
        } else if WHOLE.contains(&word) || word.starts_with(b"--target=") || word.starts_with(b"--driver-mode=") {
            choice.push(word);
        }
    }
    choice.into_iter().map(OsStr::from_bytes).collect()
}

/// Files that come or go are seen by their folders' times; what stands in them is read each time.
fn folder_times(program: &Path) -> OsString {
    let real = fs::canonicalize(program).unwrap_or_default();
    let folders = [Some(Path::new("/etc/clang")), real.parent()];
    let times = folders.map(|folder| fs::metadata(folder?).and_then(|meta| meta.modified()).ok());
    format!("{times:?}").into()
}

fn files(program: &Path, choice: &[&OsStr]) -> Option<Vec<Vec<u8>>> {
    let mut run = Command::new(program);
    run.arg("-v").args(choice).env("LC_ALL", "C");
    let out = run.stdin(Stdio::null()).stdout(Stdio::null()).output().ok()?;
    out.status.success().then(|| outputs::configuration_files(&out.stderr))
}

/// The words of a file and of those that it includes, whose names count from the folder of the file that names them.
fn read(file: &Path, left: &mut usize) -> Option<Vec<Vec<u8>>> {
    *left = left.checked_sub(1)?;
    let folder = file.parent()?;
    let mut all = Vec::new();
    for word in split(&fs::read(file).ok()?)? {
        let word = String::from_utf8(word).ok()?.replace("<CFGDIR>", folder.to_str()?);
        match word.strip_prefix('@') {
            Some(included) => all.extend(read(&folder.join(included), left)?),
            None => all.push(word.into_bytes()),
        }
    }
    Some(all)
}

fn split(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#"));
    let text = lines.collect::<Vec<_>>().join(&b'\n');
    if text.ends_with(b"\\") || text.windows(2).any(|pair| pair == b"\\\n") {
        return None;
    }
    // What begins with `$` is for the linker.
    Some(response::words(&text).into_iter().filter(|word| !word.starts_with(b"$")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_file_is_read_with_those_it_includes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        fs::create_dir(folder.path().join("more")).unwrap();
        let words = |text: &str| {
            let file = folder.path().join("a.cfg");
            fs::write(&file, text).unwrap();
            read(&file, &mut { FILES_MAX })
        };
        assert_eq!(words("# hardening\n-fPIE  -DX=1\n  # more\n$-Wl,-z,now\n"), Some(response::words(b"-fPIE -DX=1")));
        assert_eq!(words(""), Some(Vec::new()));
        fs::write(folder.path().join("more/b.cfg"), "# b\n-DB=<CFGDIR>/b @c.cfg\n").unwrap();
        assert_eq!(words("@more/b.cfg\n"), None, "a file that is not there");
        fs::write(folder.path().join("more/c.cfg"), "-DC\n").unwrap();
        let expected = format!("-DA={path}/a -DB={path}/more/b -DC -O2");
        assert_eq!(words("-DA=<CFGDIR>/a @more/b.cfg -O2\n"), Some(response::words(expected.as_bytes())));
        assert_eq!(words("@a.cfg @a.cfg\n"), None, "a file that names itself");
        assert_eq!(words("-O2 \\\n-g\n"), None);
    }

    #[test]
    fn the_jobs_target_chooses_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let clang = folder.path().join("clang");
        let script = "#!/bin/sh\nf=${0%/*}/\"${2-plain} $3\".cfg\nif [ -e \"$f\" ]; then echo \"Configuration file: $f\" >&2; fi\n";
        fs::write(&clang, script).unwrap();
        fs::set_permissions(&clang, fs::Permissions::from_mode(0o755)).unwrap();
        let file = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        let found = |job: &str| {
            let found = words(&clang, Family::Clang, &response::words(job.as_bytes())).unwrap();
            found.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect::<Vec<_>>()
        };
        file("plain .cfg", "-DPLAIN");
        // The clock of files may stand still for as long as this test takes.
        fs::File::open(folder.path()).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(found("-O2 -c a.c"), ["-DPLAIN"]);
        assert!(found("-O2 -m32 -c a.c").is_empty());
        // One that comes later is seen.
        file("-m32 .cfg", "-DNARROW");
        assert_eq!(found("-O2 -m32 -c a.c"), ["-DNARROW"]);
        file("-target arm.cfg", "-DARM");
        assert_eq!(found("-O2 -target arm -c a.c"), ["-DARM"]);
        file("--target=arm .cfg", "-DJOINED");
        assert_eq!(found("--target=arm -c a.c"), ["-DJOINED"]);
        assert_eq!(found("-O2 -c a.c"), ["-DPLAIN"]);
    }
}
