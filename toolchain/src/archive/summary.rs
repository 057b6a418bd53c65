//! A summary of an archive, made without unpacking it: what it is for, and what it contains.
//!
//! It reads the whole archive, so the client does it once and caches the result. Nothing is decided here.

use super::decompress::Decompressed;
use super::error::UnpackError;
use super::limits::UnpackLimits;
use super::tar_reader::{Kind, Member, Members};
use crate::digest::content_name;
use crate::info::EnvInfo;
use crate::plan::INFO_NAME;
use crate::program::Machine;
use std::collections::BTreeSet;
use std::io::{self, Read};

/// Maximum size in bytes of an environment's description.
const INFO_MAX: u64 = 1 << 16;

/// Maximum number of targets; no real archive has as many compilers.
const TARGETS_MAX: usize = 64;

/// The summary of an archive. If the archive cannot be read to its end, all fields but the name are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The name of its content. Of what is no archive for us it is the digest of the file: our servers refuse that
    /// anyway.
    pub name: String,
    /// The environment's description; archives of 1.4 have none.
    pub info: Option<EnvInfo>,
    /// The platform of hosts that can run it, by the ELF header of one of its programs.
    pub platform: Option<String>,
    /// The target triples of its gcc, by directories like `usr/lib/gcc/arm-linux-gnueabihf/12`.
    pub targets: BTreeSet<String>,
}

/// Summarizes the archive that `input` provides. Fails only if `input` cannot be read.
pub fn summarize(input: impl Read) -> io::Result<Summary> {
    let mut input = HashingReader { input, hasher: blake3::Hasher::new() };
    if let Ok(found) = scan(&mut input) {
        return Ok(found);
    }
    io::copy(&mut input, &mut io::sink())?;
    Ok(Summary { name: content_name(input.hasher.finalize().as_bytes()), ..Summary::default() })
}

/// Whether the archive that `input` provides has a file or link `name`, an absolute path in the environment.
pub fn holds(input: impl Read, name: &[u8]) -> Result<bool, UnpackError> {
    let mut members = Members::new(Decompressed::new(input, &UnpackLimits::default())?);
    let wanted = parts(name);
    while let Some(member) = members.next()? {
        if member.kind != Kind::Directory && parts(&member.name) == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads all members. Fails if the archive is malformed.
fn scan(input: impl Read) -> Result<Summary, UnpackError> {
    let mut members = Members::new(Decompressed::new(input, &UnpackLimits::default())?);
    let mut summary = Summary::default();
    while let Some(member) = members.next()? {
        let parts = parts(&member.name);
        if summary.targets.len() < TARGETS_MAX {
            summary.targets.extend(target_of(&parts));
        }
        if member.kind != Kind::File {
            continue;
        }
        if parts.join(&b'/') == INFO_NAME && member.size <= INFO_MAX {
            let text = start_of(&mut members, &member, INFO_MAX)?;
            summary.info = std::str::from_utf8(&text).ok().and_then(EnvInfo::parse);
        } else if summary.platform.is_none() && matches!(parts[..], [b"usr", b"bin", _]) {
            let header = start_of(&mut members, &member, 20)?;
            summary.platform = Machine::of_header(&header).and_then(Machine::platform).map(str::to_string);
        }
    }
    summary.name = content_name(members.plain.hasher.finalize().as_bytes());
    Ok(summary)
}

/// At most `max` bytes from the start of a member's content.
fn start_of(members: &mut Members<'_>, member: &Member, max: u64) -> Result<Vec<u8>, UnpackError> {
    let mut bytes = vec![0; usize::try_from(member.size.min(max)).unwrap_or(0)];
    let mut done = 0;
    while done < bytes.len() {
        done += members.read(&mut bytes[done..])?;
    }
    Ok(bytes)
}

/// The components of a name, without `.` and empty ones.
fn parts(name: &[u8]) -> Vec<&[u8]> {
    name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect()
}

/// The triple in `…/gcc/TRIPLE/VERSION/FILE`, or below `gcc-cross` as on Debian.
fn target_of(parts: &[&[u8]]) -> Option<String> {
    let is_dir = |w: &[&[u8]]| {
        matches!(w[0], b"gcc" | b"gcc-cross") && w[1].contains(&b'-') && w[2].first().is_some_and(u8::is_ascii_digit)
    };
    let found = parts.windows(4).find(|w| is_dir(w))?;
    std::str::from_utf8(found[1]).ok().map(str::to_string)
}

/// Hashes all bytes that are read.
struct HashingReader<R> {
    input: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.input.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_targets_directory_is_known_by_its_place() {
        let target = |name: &str| target_of(&parts(name.as_bytes()));
        for (name, triple) in [
            ("usr/lib/gcc-cross/arm-linux-gnueabihf/12/liblto_plugin.so", "arm-linux-gnueabihf"),
            ("./usr/libexec/arm-poky-linux-gnueabi/gcc/arm-poky-linux-gnueabi/11.4.0/cc1", "arm-poky-linux-gnueabi"),
            ("usr/lib64/gcc/x86_64-suse-linux/13/specs", "x86_64-suse-linux"),
        ] {
            assert_eq!(target(name).as_deref(), Some(triple), "{name}");
        }
        for name in ["usr/bin/gcc", "usr/lib/gcc/x86_64-linux-gnu/12", "usr/lib/gcc/a-b/plugin/x", "usr/lib/gcc/12/a/b"]
        {
            assert_eq!(target(name), None, "{name}");
        }
    }

    #[test]
    fn what_is_no_archive_has_a_name_only() {
        let junk = vec![b'x'; 600];
        let summary = summarize(&junk[..]).unwrap();
        assert_eq!(summary, Summary { name: content_name(blake3::hash(&junk).as_bytes()), ..Summary::default() });
    }
}
