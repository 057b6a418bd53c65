//! Report on an archive: what it is for, what it contains, what it lacks.
//!
//! The archive is unpacked, by the same safe code that a compile server uses, into a scratch directory that the caller
//! provides and removes.

use crate::archive::{UnpackError, UnpackLimits, Unpacked, unpack};
use crate::closure::{ClosureError, Root, closure};
use crate::info::EnvInfo;
use crate::plan::INFO_NAME;
use crate::program::{Program, ProgramError};
use std::ffi::OsStr;
use std::fs;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// The report on an archive.
#[derive(Clone, Debug)]
pub struct Inspection {
    /// Sizes, content digest and 1.4's name.
    pub unpacked: Unpacked,
    /// The environment's description; archives of 1.4 have none.
    pub info: Option<EnvInfo>,
    /// The platform of hosts that can run it, by the ELF header of its compiler.
    pub platform: Option<&'static str>,
    /// Names of its programs, sorted.
    pub programs: Vec<String>,
    /// Everything that is wrong with it, each as a sentence.
    pub missing: Vec<String>,
}

/// Reports on the archive that `input` provides. `scratch` must be an empty directory. Fails if the archive cannot be
/// unpacked.
pub fn inspect(input: impl Read, scratch: &Path) -> Result<Inspection, UnpackError> {
    let limits = UnpackLimits { md5_name: true, ..UnpackLimits::default() };
    let unpacked = unpack(input, scratch, &limits)?;
    let root = Root::new(scratch);
    let at = |name: &str| root.resolve(&Path::new("/").join(name)).map(|path| root.host(&path)).filter(|p| p.is_file());
    let info_name = String::from_utf8_lossy(INFO_NAME);
    let info = at(&info_name).and_then(|p| fs::read_to_string(p).ok()).and_then(|text| EnvInfo::parse(&text));
    let mut missing = Vec::new();
    if at("bin/true").is_none() {
        missing.push("bin/true is missing: servers of icecream 1.4 refuse the environment".to_string());
    }
    let has_gcc = ["usr/bin/gcc", "usr/bin/gcc.bin"].iter().any(|name| at(name).is_some());
    // In an archive for clang alone, gcc is a small program that calls clang.
    let is_for_gcc = has_gcc && (at("usr/bin/clang").is_none() || at("usr/bin/gcc.bin").is_some());
    for (piece, what) in [("usr/bin/cc1", "C"), ("usr/bin/cc1plus", "C++")] {
        let flat = at(piece).is_some();
        if is_for_gcc && !flat && !has_file(scratch, piece.trim_start_matches("usr/bin/")) {
            missing.push(format!("{piece} is missing: {what} jobs fail"));
        }
    }
    let mut programs = Vec::new();
    let mut platform = None;
    let mut names: Vec<_> = ["bin", "usr/bin"]
        .iter()
        .filter_map(|dir| Some((dir, fs::read_dir(scratch.join(dir)).ok()?)))
        .flat_map(|(dir, entries)| entries.filter_map(Result::ok).map(move |e| Path::new(dir).join(e.file_name())))
        .collect();
    names.sort();
    for name in names {
        let Some(file) = at(&name.to_string_lossy()) else {
            missing.push(format!("{} leads to nothing", name.display()));
            continue;
        };
        match Program::read(&file) {
            Ok(Some(program)) => {
                if name.starts_with("usr/bin")
                    && matches!(name.file_name().map(OsStr::as_bytes), Some(b"gcc" | b"clang"))
                {
                    platform = program.machine.platform();
                }
            }
            Ok(None) => {}
            Err(e @ ProgramError::Damaged { .. }) => missing.push(e.to_string()),
            Err(_) => {}
        }
        let path = [b"/", name.as_os_str().as_bytes()].concat();
        match closure(&root, &path, None) {
            Ok(_) | Err(ClosureError::NoProgram(_)) => {}
            Err(e) => missing.push(e.to_string()),
        }
        programs.push(name.to_string_lossy().into_owned());
    }
    if let (Some(info), Some(platform)) = (&info, platform) {
        if info.platform != platform {
            missing.push(format!("it says it is for {}, but its compiler is for {platform}", info.platform));
        }
    }
    Ok(Inspection { unpacked, info, platform, programs, missing })
}

/// Whether any directory below has a file of this name.
fn has_file(dir: &Path, base: &str) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.filter_map(Result::ok).any(|e| {
        let is_dir = e.file_type().is_ok_and(|t| t.is_dir());
        if is_dir { has_file(&e.path(), base) } else { e.file_name() == base }
    })
}
