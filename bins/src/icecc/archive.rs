//! What is known of an archive in ICECC_VERSION: looked through once, and remembered.

use super::remembered;
use ice_toolchain::archive::{self, Summary};
use ice_toolchain::info::EnvInfo;
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// What the archive shows of itself. `None`: it cannot be read, which the log says.
pub(super) fn look(file: &Path) -> Option<Summary> {
    let answer = remembered::answer(file, &[OsStr::new("content")], || {
        let look = File::open(file).and_then(archive::summarize);
        look.map_err(|err| log::error!("cannot read environment {}: {err}", file.display())).ok().map(|l| words(&l))
    });
    let look = parse(&answer?);
    if look.is_none() {
        log::error!("what is remembered of environment {} makes no sense", file.display());
    }
    look
}

/// Whether it has a file of this absolute path.
pub(super) fn holds(file: &Path, name: &[u8]) -> bool {
    let question = [OsStr::new("holds"), OsStr::from_bytes(name)];
    remembered::is_so(file, &question, || archive::holds(File::open(file).ok()?, name).ok())
}

fn words(look: &Summary) -> Vec<Vec<u8>> {
    let info = look.info.as_ref().map(EnvInfo::text).unwrap_or_default();
    let fixed = [look.name.clone(), info, look.platform.clone().unwrap_or_default()];
    fixed.into_iter().chain(look.targets.iter().cloned()).map(String::into_bytes).collect()
}

fn parse(words: &[Vec<u8>]) -> Option<Summary> {
    let mut words = words.iter().map(|word| std::str::from_utf8(word).ok());
    let mut next = || words.next().flatten();
    let (name, info, platform) = (next()?, next()?, next()?);
    Some(Summary {
        name: name.to_owned(),
        info: EnvInfo::parse(info),
        platform: Some(platform.to_owned()).filter(|platform| !platform.is_empty()),
        targets: words.flatten().map(str::to_owned).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_is_read_back() {
        let info = EnvInfo::parse("icecream environment 1\ncompiler gcc\nversion v\ntarget t\nplatform p\n");
        let targets = ["a-b".to_owned(), "c-d".to_owned()].into();
        let full = Summary { name: "0a7".into(), info, platform: Some("aarch64".into()), targets };
        for look in [full, Summary::default()] {
            assert_eq!(parse(&words(&look)), Some(look));
        }
        assert_eq!(parse(&[]), None);
    }
}
