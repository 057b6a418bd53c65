//! `icecc --update-links`: a folder has a link to icecc for each compiler that is here (`spec/operations.md` Improve 8).
//!
//! It knows the names that 1.4 links, and changes nothing but links to icecc: another file of that name is somebody's own.

use crate::exit::Failure;
use ice_toolchain::find;
use std::ffi::{OsStr, OsString};
use std::fmt::Display;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

/// The compilers.
const NAMES: [&str; 6] = ["cc", "c++", "gcc", "g++", "clang", "clang++"];

/// Where links are in the prefix of an installation: Debian's folder and upstream's.
const FOLDERS: [&str; 2] = ["lib/icecc/bin", "libexec/icecc/bin"];

/// What is done about one name.
#[derive(Debug, PartialEq, Eq)]
enum Change {
    /// The compiler came, or the link leads to an icecc that is gone.
    Make(PathBuf),
    /// The compiler is gone.
    Remove,
}

/// `--update-links [--dry-run] [FOLDER...]`: without a folder, those of the installation that `own_exe` belongs to.
pub(super) fn run(words: &[OsString], path: &OsStr, own_exe: &Path) -> Result<(), Failure> {
    let (options, folders): (Vec<_>, Vec<_>) = words.iter().partition(|word| word.as_bytes().starts_with(b"-"));
    if let Some(unknown) = options.iter().find(|option| **option != "--dry-run") {
        return Err(Failure::new(format!("unknown option {}", unknown.to_string_lossy())));
    }
    let mut folders: Vec<PathBuf> = folders.into_iter().map(PathBuf::from).collect();
    if folders.is_empty() {
        folders = installed(own_exe);
    }
    if folders.is_empty() {
        return Err(Failure::new(format!("{} has no folder of links beside it", own_exe.display())).hint("name one"));
    }
    folders.iter().try_for_each(|folder| update(folder, path, own_exe, !options.is_empty()))
}

/// The folders of links of an installation. Its `bin` is one if it has any.
fn installed(own_exe: &Path) -> Vec<PathBuf> {
    let Some(bin) = own_exe.parent() else { return Vec::new() };
    let prefix = bin.parent().unwrap_or(bin);
    let mut folders: Vec<PathBuf> = FOLDERS.iter().map(|f| prefix.join(f)).filter(|folder| folder.is_dir()).collect();
    if NAMES.iter().any(|name| is_own_link(&bin.join(name), own_exe)) {
        folders.push(bin.to_path_buf());
    }
    folders
}

fn update(folder: &Path, path: &OsStr, own_exe: &Path, dry_run: bool) -> Result<(), Failure> {
    let cannot =
        |what: &str, file: &Path, err: &dyn Display| Failure::new(format!("cannot {what} {}: {err}", file.display()));
    if !dry_run {
        fs::create_dir_all(folder).map_err(|err| cannot("make", folder, &err))?;
    }
    let would = if dry_run { "would be " } else { "" };
    for name in NAMES {
        let link = folder.join(name);
        let Some(change) = change(&link, name, path, own_exe) else { continue };
        if !dry_run && link.is_symlink() {
            fs::remove_file(&link).map_err(|err| cannot("remove", &link, &err))?;
        }
        match change {
            Change::Remove => println!("{would}removed {}: no {name} in PATH", link.display()),
            Change::Make(target) => {
                if !dry_run {
                    symlink(&target, &link).map_err(|err| cannot("make", &link, &err))?;
                }
                println!("{would}made {} -> {}", link.display(), target.display());
            }
        }
    }
    Ok(())
}

fn change(link: &Path, name: &str, path: &OsStr, own_exe: &Path) -> Option<Change> {
    let is_there = link.symlink_metadata().is_ok();
    if is_there && !is_own_link(link, own_exe) {
        return None;
    }
    match find::compiler(OsStr::new(name), path, own_exe) {
        Err(_) => is_there.then_some(Change::Remove),
        Ok(_) if link.exists() => None,
        Ok(_) => Some(Change::Make(target(link.parent()?, own_exe))),
    }
}

fn is_own_link(link: &Path, own_exe: &Path) -> bool {
    link.is_symlink() && find::is_ourselves(link, own_exe)
}

/// Relative within one installation, which may be moved or seen below another root.
fn target(folder: &Path, own_exe: &Path) -> PathBuf {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let prefix = own_exe.parent().and_then(Path::parent).filter(|prefix| prefix.parent().is_some());
    let inside =
        prefix.and_then(|prefix| Some((folder.strip_prefix(prefix).ok()?, own_exe.strip_prefix(prefix).ok()?)));
    match inside {
        Some((inside, program)) => inside.iter().map(|_| "..").collect::<PathBuf>().join(program),
        None => own_exe.to_path_buf(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn program(file: &Path) {
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "#!/bin/sh\n").unwrap();
        fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    #[test]
    fn links_follow_the_compilers() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path().canonicalize().unwrap();
        let (icecc, links) = (root.join("usr/bin/icecc"), root.join("usr/lib/icecc/bin"));
        program(&icecc);
        program(&root.join("gcc/gcc"));
        fs::create_dir_all(&links).unwrap();
        // Gone compiler, gone icecc, a user's own link, and a link that is none of the names.
        symlink("../../../bin/icecc", links.join("clang")).unwrap();
        symlink("/nonexistent/icecc", links.join("gcc")).unwrap();
        symlink("/usr/bin/true", links.join("cc")).unwrap();
        symlink("../../../bin/icecc", links.join("arm-gcc")).unwrap();
        let path = OsString::from(format!("{}:{}", links.display(), root.join("gcc").display()));
        let seen = || {
            let shown = |entry: fs::DirEntry| {
                let target = fs::read_link(entry.path()).unwrap();
                format!("{} {}", entry.file_name().to_string_lossy(), target.display())
            };
            let mut seen: Vec<_> = fs::read_dir(&links).unwrap().flatten().map(shown).collect();
            seen.sort();
            seen
        };
        let before = seen();
        run(&["--dry-run".into()], &path, &icecc).unwrap();
        assert_eq!(seen(), before);
        let after = ["arm-gcc ../../../bin/icecc", "cc /usr/bin/true", "gcc ../../../bin/icecc"];
        for _ in 0..2 {
            run(&[], &path, &icecc).unwrap();
            assert_eq!(seen(), after);
        }
    }

    #[test]
    fn a_link_outside_the_installation_is_absolute() {
        assert_eq!(target(Path::new("/opt/x/bin"), Path::new("/opt/x/bin/icecc")), Path::new("../bin/icecc"));
        assert_eq!(target(Path::new("/home/u/links"), Path::new("/usr/bin/icecc")), Path::new("/usr/bin/icecc"));
    }

    #[test]
    fn an_unknown_option_and_no_folder_are_errors() {
        let nowhere = Path::new("/nonexistent/bin/icecc");
        assert!(run(&["--dry".into()], OsStr::new(""), nowhere).unwrap_err().what.contains("--dry"));
        assert_eq!(run(&[], OsStr::new(""), nowhere).unwrap_err().hint.as_deref(), Some("name one"));
    }
}
