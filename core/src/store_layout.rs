//! The layout of a daemon's store: paths and names below its base directory.
//!
//! ```text
//! BASE/target=P/NAME/        an installed environment, as 1.4 has them
//! BASE/target=P/unpacking N/ one that is being unpacked
//! BASE/target=P/removing N/  one that is being removed
//! BASE/native/               archives of this host's compilers
//! BASE/.ours/known/P/NAME    the record of an environment: size, last use, digest
//! BASE/.ours/files/trees/TOKEN/G/base, delta-N
//!                            generation G of a submitter's tree (files mode), in layers
//! BASE/.ours/files/trees/TOKEN/arriving
//!                            contents that are not in a layer yet
//! BASE/.ours/files/UID/      what is kept for a user of this host
//! ```
//!
//! An environment's name has no space, so the others cannot be taken for one.

use crate::env::{EnvId, EnvName};
use crate::files::tree::Layer;
use crate::files::{Digest, Token};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// Prefix of [`platform_name`].
const PLATFORM: &str = "target=";
/// Prefix of [`unpacking_name`].
const UNPACKING: &str = "unpacking ";
/// Prefix of [`removing_name`].
const REMOVING: &str = "removing ";

/// The name of the directory of all environments for the platform of `env`.
pub fn platform_name(env: &EnvId) -> String {
    format!("{PLATFORM}{}", env.platform)
}

/// The platform of a directory named by [`platform_name`].
pub fn platform_of(name: &OsStr) -> Option<EnvName> {
    EnvName::new(name.as_bytes().strip_prefix(PLATFORM.as_bytes())?).ok()
}

/// The directory of an installed environment.
pub fn installed(base: &Path, env: &EnvId) -> PathBuf {
    base.join(platform_name(env)).join(env.name.as_str())
}

/// The directory name of an environment that is being unpacked, beside the installed ones.
pub fn unpacking_name(ticket: u64) -> String {
    format!("{UNPACKING}{ticket}")
}

/// The directory name of an environment that is being removed, beside the installed ones.
pub fn removing_name(number: u64) -> String {
    format!("{REMOVING}{number}")
}

/// Whether a name is of [`unpacking_name`]'s form.
pub fn is_unpacking(name: &str) -> bool {
    name.starts_with(UNPACKING)
}

/// Whether a name is that of an incomplete environment.
pub fn is_partial(name: &str) -> bool {
    is_unpacking(name) || name.starts_with(REMOVING)
}

/// The directory of archives of this host's compilers.
pub fn native(base: &Path) -> PathBuf {
    base.join("native")
}

/// The directory of the records.
pub fn records(base: &Path) -> PathBuf {
    base.join(".ours/known")
}

/// The path at which a record is written before it is renamed.
pub fn new_record(base: &Path) -> PathBuf {
    base.join(".ours/record.new")
}

/// The path of the record of an environment.
pub fn record(base: &Path, env: &EnvId) -> PathBuf {
    records(base).join(env.platform.as_str()).join(env.name.as_str())
}

/// The directory of all trees of submitters.
pub fn trees(base: &Path) -> PathBuf {
    base.join(".ours/files/trees")
}

/// The directory to which those of an earlier run go, to be removed.
pub fn old_trees(base: &Path) -> PathBuf {
    base.join(".ours/files/old trees")
}

/// The directory of a submitter's tree.
pub fn tree(base: &Path, token: &Token) -> PathBuf {
    trees(base).join(token.to_string())
}

/// The directory of contents that are not in a layer of the tree yet.
pub fn tree_arriving(base: &Path, token: &Token) -> PathBuf {
    tree(base, token).join("arriving")
}

/// The directory of a generation of a tree.
pub fn tree_generation(base: &Path, token: &Token, generation: u32) -> PathBuf {
    tree(base, token).join(generation.to_string())
}

/// The directory name of a layer in that of its generation.
pub fn layer_name(layer: Layer) -> String {
    if layer == 0 { "base".to_owned() } else { format!("delta-{layer}") }
}

/// The directory of what is kept for users.
pub fn users(base: &Path) -> PathBuf {
    base.join(".ours/files")
}

/// The directory of what is kept for a user.
pub fn user(base: &Path, uid: u32) -> PathBuf {
    users(base).join(uid.to_string())
}

/// The path of a user's token.
pub fn user_token(base: &Path, uid: u32) -> PathBuf {
    user(base, uid).join("token")
}

/// The path of what came of a user's jobs.
pub fn user_statistics(base: &Path, uid: u32) -> PathBuf {
    user(base, uid).join("statistics.json")
}

/// The directory of a user's records.
pub fn user_records(base: &Path, uid: u32) -> PathBuf {
    user(base, uid).join("records")
}

/// The path of a user's record.
pub fn user_record(base: &Path, uid: u32, key: &Digest) -> PathBuf {
    user_records(base, uid).join(key.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_by_name() {
        let env = EnvId::new(b"x86_64", b"gcc-12").unwrap();
        assert_eq!(installed(Path::new("/b"), &env), Path::new("/b/target=x86_64/gcc-12"));
        assert_eq!(native(Path::new("/b")), Path::new("/b/native"));
        assert_eq!(record(Path::new("/b"), &env), Path::new("/b/.ours/known/x86_64/gcc-12"));
        assert_eq!(user_token(Path::new("/b"), 7), Path::new("/b/.ours/files/7/token"));
        let record = user_record(Path::new("/b"), 7, &Digest([0xab; 32]));
        assert_eq!(record, Path::new("/b/.ours/files/7/records").join("ab".repeat(32)));
        assert_eq!(new_record(Path::new("/b")), Path::new("/b/.ours/record.new"));
        let token = Token([0xab; 32]);
        let generation = tree_generation(Path::new("/b"), &token, 3);
        assert_eq!(generation, Path::new("/b/.ours/files/trees").join("ab".repeat(32)).join("3"));
        assert_eq!([0, 12].map(layer_name), ["base", "delta-12"]);
        assert_eq!(platform_of(OsStr::new(&platform_name(&env))), Some(env.platform));
        assert_eq!(platform_of(OsStr::new("native")), None);
        for (name, is_arriving, is_incomplete) in
            [(unpacking_name(3), true, true), (removing_name(3), false, true), ("gcc-12".to_string(), false, false)]
        {
            assert_eq!((is_unpacking(&name), is_partial(&name)), (is_arriving, is_incomplete), "{name}");
            assert_eq!(EnvName::new(name.as_bytes()).is_err(), is_incomplete, "{name}");
        }
    }
}
