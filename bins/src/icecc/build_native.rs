//! `icecc --build-native`: becomes `icecc-create-env`.

use super::variables::Variables;
use crate::exit::Failure;
use ice_core::cmdline::compiler_names;
use ice_toolchain::find;
use std::ffi::{OsStr, OsString};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The tool that makes environments.
const TOOL: &str = "icecc-create-env";

/// Runs the tool in place of this process; returns only on failure.
pub(super) fn run(words: &[OsString], variables: &Variables, own_exe: &Path) -> Failure {
    let (compiler, files) = match plan(words, variables, own_exe) {
        Ok(plan) => plan,
        Err(failure) => return failure,
    };
    let tool = tool(own_exe);
    let mut command = Command::new(&tool);
    command.arg(compiler);
    for file in files {
        command.arg("--addfile").arg(file);
    }
    if !variables.env_compression.is_empty() {
        command.arg("--compression").arg(&variables.env_compression);
    }
    let err = command.exec();
    Failure::new(format!("cannot run {}: {err}", tool.display())).hint("it is installed beside icecc")
}

fn plan<'a>(
    words: &'a [OsString],
    variables: &Variables,
    own_exe: &Path,
) -> Result<(OsString, &'a [OsString]), Failure> {
    let Some((first, rest)) = words.split_first() else { return Ok(("gcc".into(), words)) };
    if first == "gcc" || first == "clang" {
        return Ok((first.clone(), rest));
    }
    // The old calling form: extra files only.
    let meta = std::fs::metadata(first);
    if meta.is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 == 0) {
        return Ok(("gcc".into(), words));
    }
    let found = find::compiler(&c_driver(first), &variables.path, own_exe);
    found.map(|found| (found.into_os_string(), rest)).map_err(|err| Failure::from_error(&err))
}

fn c_driver(compiler: &OsStr) -> OsString {
    let path = Path::new(compiler);
    let Some(base) = path.file_name() else { return compiler.to_os_string() };
    let partner = compiler_names::c_partner(base);
    // A driver without its partner beside it (`c++` alone in a folder) is still the compiler that was meant.
    let mapped = path.with_file_name(&partner);
    if compiler.as_encoded_bytes().contains(&b'/') && !mapped.exists() {
        compiler.to_os_string()
    } else {
        mapped.into()
    }
}

/// Beside our own program, in `../libexec/icecc` of it, else where packages put it.
pub(super) fn tool(own_exe: &Path) -> PathBuf {
    let own_folder = own_exe.parent().unwrap_or(Path::new("/usr/bin"));
    [own_folder.join(TOOL), own_folder.join("../libexec/icecc").join(TOOL)]
        .into_iter()
        .find(|tool| tool.is_file())
        .unwrap_or_else(|| Path::new("/usr/bin").join(TOOL))
}
