//! Options of the client's own, and calls without a command.

use super::variables::Variables;
use super::{Role, build_native, help, links};
use crate::cli::words::Words;
use crate::exit::Failure;
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// `--help` and its like, and what is no command at all.
pub(super) fn own_option(
    role: Role,
    words: &[OsString],
    variables: &Variables,
    own_exe: &Path,
) -> Result<Option<i32>, Failure> {
    let (program, usage) = match role {
        Role::Icerun => ("ICERUN", help::ICERUN),
        _ => ("ICECC", help::ICECC),
    };
    let Some((first, rest)) = words.split_first() else {
        eprint!("{usage}");
        return Ok(Some(1));
    };
    if !first.as_bytes().starts_with(b"-") {
        return Ok(None);
    }
    // As in 1.4, only the first argument is an option of ours: the others are the compiler's, or of what it asks for.
    let mut option = Words::new([first.clone()], &[]);
    let is_icecc = role == Role::Icecc;
    if option.flag("--help") {
        print!("{usage}");
        Ok(Some(0))
    } else if option.flag("--version") {
        print!("{}", help::version(program));
        Ok(Some(0))
    } else if is_icecc && option.flag("--build-native") {
        Err(build_native::run(rest, variables, own_exe))
    } else if is_icecc && option.flag("--inspect-env") {
        inspect_env(rest)
    } else if is_icecc && option.flag("--update-links") {
        links::run(rest, &variables.path, own_exe).map(|()| Some(0))
    } else {
        Err(Failure::new(format!("unknown option {}", first.to_string_lossy())).hint("--help lists the options"))
    }
}

/// `--inspect-env FILE [--json]`, in either order.
fn inspect_env(words: &[OsString]) -> Result<Option<i32>, Failure> {
    let mut words = Words::new(words.iter().cloned(), &[]);
    let as_json = words.flag("--json");
    match &words.operands().map_err(|err| Failure::from_error(&err))?[..] {
        [file] => crate::create_env::inspect(Path::new(file), as_json).map(|code| Some(code.into())),
        _ => Err(Failure::new("--inspect-env needs the name of one archive")),
    }
}
