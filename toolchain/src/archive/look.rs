//! An archive looked through without unpacking it: what it is for, and what it holds.
//!
//! For a client that looks once and remembers: it reads the whole archive. It decides nothing.

use super::codec::Plain;
use super::member::{Kind, Member, Members};
use super::unpack::{UnpackError, UnpackLimits};
use crate::info::EnvInfo;
use crate::plan::INFO_NAME;
use crate::program::Machine;
use std::collections::BTreeSet;
use std::io::{self, Read};

/// Longest text that an environment may say of itself.
const INFO_MAX: u64 = 1 << 16;

/// More targets than any archive has compilers.
const TARGETS_MAX: usize = 64;

/// What an archive shows of itself. All but the digest is empty in one that cannot be read to its end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// 64 hex digits of the BLAKE3 of the file, as it is: another file of the same name is another environment.
    pub digest: String,
    /// What it says in words; 1.4's archives say nothing.
    pub info: Option<EnvInfo>,
    /// The hosts that run its programs, by the ELF header of one.
    pub platform: Option<String>,
    /// The triples that its gcc makes code for, by folders like `usr/lib/gcc/arm-linux-gnueabihf/12`.
    pub targets: BTreeSet<String>,
}

/// Looks through the archive that `input` gives. It fails only if that cannot be read.
pub fn look(input: impl Read) -> io::Result<Look> {
    let mut input = Hashing { input, hasher: blake3::Hasher::new() };
    let found = through(&mut input).unwrap_or_default();
    // What follows the archive's end, or its first error, is part of the file.
    io::copy(&mut input, &mut io::sink())?;
    Ok(Look { digest: input.hasher.finalize().to_hex().to_string(), ..found })
}

/// Whether the archive that `input` gives holds a file or link `name`, an absolute path in the environment.
pub fn holds(input: impl Read, name: &[u8]) -> Result<bool, UnpackError> {
    let mut members = Members::new(Plain::new(input, &UnpackLimits::default())?);
    let wanted = parts(name);
    while let Some(member) = members.next()? {
        if member.kind != Kind::Folder && parts(&member.name) == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

fn through(input: impl Read) -> Result<Look, UnpackError> {
    let mut members = Members::new(Plain::new(input, &UnpackLimits::default())?);
    let mut look = Look::default();
    while let Some(member) = members.next()? {
        let parts = parts(&member.name);
        if look.targets.len() < TARGETS_MAX {
            look.targets.extend(target_of(&parts));
        }
        if member.kind != Kind::File {
            continue;
        }
        if parts.join(&b'/') == INFO_NAME && member.size <= INFO_MAX {
            let text = start_of(&mut members, &member, INFO_MAX)?;
            look.info = std::str::from_utf8(&text).ok().and_then(EnvInfo::parse);
        } else if look.platform.is_none() && matches!(parts[..], [b"usr", b"bin", _]) {
            let header = start_of(&mut members, &member, 20)?;
            look.platform = Machine::of_header(&header).and_then(Machine::platform).map(str::to_string);
        }
    }
    Ok(look)
}

fn start_of(members: &mut Members<'_>, member: &Member, max: u64) -> Result<Vec<u8>, UnpackError> {
    let mut bytes = vec![0; usize::try_from(member.size.min(max)).unwrap_or(0)];
    let mut done = 0;
    while done < bytes.len() {
        done += members.read(&mut bytes[done..])?;
    }
    Ok(bytes)
}

/// A name without `./`, leading and doubled `/`.
fn parts(name: &[u8]) -> Vec<&[u8]> {
    name.split(|b| *b == b'/').filter(|part| !part.is_empty() && *part != b".").collect()
}

/// The triple of `…/gcc/TRIPLE/VERSION/FILE`; `gcc-cross` in Debian.
fn target_of(parts: &[&[u8]]) -> Option<String> {
    let is_folder = |w: &[&[u8]]| {
        matches!(w[0], b"gcc" | b"gcc-cross") && w[1].contains(&b'-') && w[2].first().is_some_and(u8::is_ascii_digit)
    };
    let found = parts.windows(4).find(|w| is_folder(w))?;
    std::str::from_utf8(found[1]).ok().map(str::to_string)
}

struct Hashing<R> {
    input: R,
    hasher: blake3::Hasher,
}

impl<R: Read> Read for Hashing<R> {
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
    fn a_targets_folder_is_known_by_its_place() {
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
    fn what_is_no_archive_has_a_digest_only() {
        let junk = vec![b'x'; 600];
        let look = look(&junk[..]).unwrap();
        assert_eq!(look, Look { digest: blake3::hash(&junk).to_hex().to_string(), ..Look::default() });
    }
}
