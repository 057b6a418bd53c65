//! Where everything of a daemon's store lies below its base directory, and what it is called there.
//!
//! ```text
//! BASE/target=P/NAME/        an installed environment, as 1.4 has them
//! BASE/target=P/unpacking N/ one that arrives
//! BASE/target=P/removing N/  one that is being removed
//! BASE/native/               archives made here
//! BASE/.ours/known/P/NAME    what is known of an environment: size, last use, digest
//! ```
//!
//! No environment has a name with a space in it.

use ice_core::env::{EnvId, EnvName};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

const PLATFORM: &str = "target=";
const UNPACKING: &str = "unpacking ";
const REMOVING: &str = "removing ";

/// The name of the directory with all environments of the platform of `env`.
pub fn platform_name(env: &EnvId) -> String {
    format!("{PLATFORM}{}", env.platform)
}

/// The platform of a directory that [`platform_name`] named.
pub fn platform_of(name: &OsStr) -> Option<EnvName> {
    EnvName::new(name.as_bytes().strip_prefix(PLATFORM.as_bytes())?).ok()
}

/// Where an environment lies once it is installed.
pub fn installed(base: &Path, env: &EnvId) -> PathBuf {
    base.join(platform_name(env)).join(env.name.as_str())
}

/// The name of an environment that arrives, beside those that are installed.
pub fn unpacking_name(ticket: u64) -> String {
    format!("{UNPACKING}{ticket}")
}

/// The name of an environment that is being removed, beside those that are installed.
pub fn removing_name(number: u64) -> String {
    format!("{REMOVING}{number}")
}

/// Whether a name is one of [`unpacking_name`]'s.
pub fn is_unpacking(name: &str) -> bool {
    name.starts_with(UNPACKING)
}

/// Whether a name is that of an environment that is not whole.
pub fn is_partial(name: &str) -> bool {
    is_unpacking(name) || name.starts_with(REMOVING)
}

/// Where archives of compilers of this machine are made.
pub fn native(base: &Path) -> PathBuf {
    base.join("native")
}

/// Where what is known of environments stands.
pub(super) fn records(base: &Path) -> PathBuf {
    base.join(".ours/known")
}

/// Where a record is written before it takes its place.
pub(super) fn new_record(base: &Path) -> PathBuf {
    base.join(".ours/record.new")
}

/// Where the record of an environment stands.
pub(super) fn record(base: &Path, env: &EnvId) -> PathBuf {
    records(base).join(env.platform.as_str()).join(env.name.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_by_name() {
        let env = EnvId::new(b"x86_64", b"gcc-12").unwrap();
        assert_eq!(installed(Path::new("/b"), &env), Path::new("/b/target=x86_64/gcc-12"));
        assert_eq!(record(Path::new("/b"), &env), Path::new("/b/.ours/known/x86_64/gcc-12"));
        assert_eq!(platform_of(OsStr::new(&platform_name(&env))), Some(env.platform));
        assert_eq!(platform_of(OsStr::new("native")), None);
        for (name, is_on_its_way, is_half) in
            [(unpacking_name(3), true, true), (removing_name(3), false, true), ("gcc-12".to_string(), false, false)]
        {
            assert_eq!((is_unpacking(&name), is_partial(&name)), (is_on_its_way, is_half), "{name}");
            assert_eq!(EnvName::new(name.as_bytes()).is_err(), is_half, "{name}");
        }
    }
}
