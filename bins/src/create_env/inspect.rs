//! `icecc --inspect-env FILE [--json]`: describes an archive, for people and for scripts.

use crate::exit::Failure;
use ice_toolchain::digest::{content_name, hex};
use ice_toolchain::inspect::{Inspection, inspect as look};
use ice_toolchain::spec::name_of;
use ice_toolchain::store::remove_tree;
use serde_json::json;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Describes the archive `file`. Exit code 0, or 1 if a job would lack something. Fails if it cannot be read.
pub fn inspect(file: &Path, as_json: bool) -> Result<u8, Failure> {
    let failed = |what: String| Failure::new(format!("cannot inspect {}: {what}", file.display()));
    let input = File::open(file).map_err(|e| failed(e.to_string()))?;
    let scratch = Scratch::new().map_err(|e| failed(format!("no scratch folder: {e}")))?;
    let found = look(input, &scratch.0).map_err(|e| failed(crate::exit::chain(&e)))?;
    let name = name_of(file).map(|n| n.to_string_lossy().into_owned());
    if as_json {
        println!("{}", as_value(&found, name.as_deref()));
    } else {
        print(&found, name.as_deref());
    }
    Ok(u8::from(!found.missing.is_empty()))
}

/// Origin of a name: ours, 1.4's or a user's.
fn name_kind(found: &Inspection, name: &str) -> &'static str {
    if name == content_name(&found.unpacked.digest) {
        "content (icecream-rs)"
    } else if found.unpacked.md5_name.is_some_and(|md5| name == hex(&md5)) {
        "content (icecream 1.4)"
    } else {
        "given by a user"
    }
}

fn as_value(found: &Inspection, name: Option<&str>) -> serde_json::Value {
    let compilers: Vec<_> = found.info.iter().flat_map(|i| &i.compilers).collect();
    let compilers: Vec<_> =
        compilers.iter().map(|c| json!({ "compiler": c.compiler, "version": c.version, "target": c.target })).collect();
    json!({
        "name": name,
        "digest": hex(&found.unpacked.digest),
        "md5_name": found.unpacked.md5_name.map(|md5| hex(&md5)),
        "compression": found.unpacked.compression.to_string(),
        "platform": found.platform,
        "compilers": compilers,
        "files": found.unpacked.files,
        "bytes": found.unpacked.bytes,
        "tar_bytes": found.unpacked.tar_bytes,
        "programs": found.programs,
        "missing": found.missing,
    })
}

fn print(found: &Inspection, name: Option<&str>) {
    if let Some(name) = name {
        println!("name         {name}: {}", name_kind(found, name));
    }
    println!("digest       {}", hex(&found.unpacked.digest));
    println!("platform     {}", found.platform.unwrap_or("unknown"));
    match &found.info {
        None => println!("compiler     it does not say (made by icecream 1.4 or by hand)"),
        Some(info) => {
            for c in &info.compilers {
                println!("compiler     {} for {}: {}", c.compiler, c.target, c.version);
            }
        }
    }
    println!("compression  {}", found.unpacked.compression);
    println!("size         {} bytes in {} files", found.unpacked.bytes, found.unpacked.files);
    println!("programs     {}", found.programs.join(" "));
    for missing in &found.missing {
        println!("missing      {missing}");
    }
}

/// A temporary directory of this process, removed when it is dropped.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    /// Creates the directory.
    pub(crate) fn new() -> io::Result<Self> {
        for n in 0..1000 {
            let path = std::env::temp_dir().join(format!("icecc-env-{}-{n}", std::process::id()));
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::other("a thousand names are taken"))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A failure to remove it cannot be handled.
        let _ = remove_tree(&self.0);
    }
}
