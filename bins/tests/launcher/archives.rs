//! Archives unpacked, installed and removed.

use super::jobs::compile;
use super::{LONG, Try};
use ice_core::env::{EnvId, EnvName};
use ice_launcher::{Contents, LaunchError, Launcher, UnpackRequest, Unpacking};
use ice_sandbox::channel;
use ice_toolchain::archive::{self, UnpackLimits};
use std::collections::BTreeSet;
use std::error::Error;
use std::fs::{self, File};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

/// A toy archive: first `toy !`, then a line per file, "path text"; or a real one, by `toolchain`.
pub fn unpack_any(mut input: File, _: &EnvName, into: &Path, bytes_max: u64) -> Result<Contents, String> {
    let mut magic = [0; 4];
    if input.read_at(&mut magic, 0).is_ok_and(|_| &magic != b"toy ") {
        let limits = UnpackLimits { expanded: bytes_max, ..UnpackLimits::default() };
        let done = archive::unpack(input, into, &limits).map_err(|e| e.to_string())?;
        return Ok(Contents { digest: done.digest, bytes: done.bytes, files: done.files, proven: false });
    }
    let mut text = String::new();
    input.read_to_string(&mut text).map_err(|e| e.to_string())?;
    for (path, content) in text.lines().filter_map(|l| l.split_once(' ')) {
        let path = into.join(path);
        path.parent().map_or(Ok(()), fs::create_dir_all).map_err(|e| e.to_string())?;
        fs::write(&path, content).map_err(|e| e.to_string())?;
    }
    if text.contains("host") && File::open("/etc/hostname").is_ok() {
        return Err("the host is in sight".to_owned());
    }
    if text.contains("host") && Vec::<u8>::new().try_reserve_exact(2 << 30).is_ok() {
        return Err("memory without bound".to_owned());
    }
    let files = u32::try_from(text.lines().count()).map_err(|e| e.to_string())?;
    Ok(Contents { digest: [7; 32], bytes: text.len() as u64, files, proven: false })
}

pub fn unpack(launcher: &Launcher, _: &EnvId, base: &Path) -> Try {
    let env = EnvId::new(b"x86_64", b"toy")?;
    let send = |text: &str| -> Result<_, Box<dyn Error>> {
        let input = channel::sealed(text.as_bytes())?;
        let request = UnpackRequest { env: env.clone(), input, bytes_max: 1 << 20, wall: LONG };
        match launcher.unpack(request)?.wait(LONG) {
            Ok(result) => Ok(result),
            Err(_) => Err("no end of unpacking".into()),
        }
    };
    let unpacked = send("toy !\nusr/bin/as host\nx y\n")??;
    if unpacked.contents != (Contents { digest: [7; 32], bytes: 26, files: 3, proven: false }) {
        return Err(format!("{:?}", unpacked.contents).into());
    }
    launcher.install(unpacked, &env)?;
    let place = base.join("target=x86_64/toy");
    let mode = |name: &str| fs::metadata(place.join(name)).map(|m| m.mode() & 0o7777);
    if (mode("tmp")?, mode("")?) != (0o1775, 0o755) || fs::metadata(&place)?.uid() != fs::metadata(base)?.uid() {
        return Err("wrong modes or owner".into());
    }
    // One whose `tmp` is a file is refused, and removed.
    if send("toy !\ntmp file\n")?.is_ok() {
        return Err("installed what it should not".into());
    }
    // What an earlier removal has left is no obstacle.
    launcher.install(send("toy !\nx z\n")??, &env)?;
    if place.join("usr").exists() || fs::read(place.join("x"))? != b"z" {
        return Err("an orphan is in the way".into());
    }
    // Archives that do not end have a bound, which is none for what frees the disk.
    let unfinished = unfinished(launcher)?;
    launcher.remove(&env)?;
    drop(unfinished);
    let start = Instant::now();
    let left = || {
        fs::read_dir(base.join("target=x86_64")).map(|d| d.flatten().map(|e| e.file_name()).collect::<BTreeSet<_>>())
    };
    while left()? != BTreeSet::from(["bomb".into(), "planted".into()]) {
        if start.elapsed() > LONG {
            return Err(format!("left behind: {:?}", left()?).into());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// As many archives without an end as are unpacked at a time; one more is refused.
fn unfinished(launcher: &Launcher) -> Result<Vec<(Unpacking, OwnedFd)>, Box<dyn Error>> {
    let mut all = Vec::new();
    for n in 0..33 {
        let env = EnvId::new(b"x86_64", format!("unfinished-{n}").as_bytes())?;
        let (input, end) = nix::unistd::pipe()?;
        let unpacking = launcher.unpack(UnpackRequest { env, input, bytes_max: 1 << 20, wall: LONG })?;
        all.push((unpacking, end));
    }
    let (last, _end) = all.pop().ok_or("none")?;
    match last.wait(LONG) {
        Ok(Err(LaunchError::Refused(_))) => Ok(all),
        other => Err(format!("no bound: {other:?}").into()),
    }
}

/// An archive as 1.4's own program makes it.
pub fn real_archive(launcher: &Launcher, _: &EnvId, base: &Path) -> Try {
    let folder = base.parent().ok_or("no parent")?.join("archive");
    let found = fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path()).next();
    let Some(file) = found else {
        println!("skipped: launcher: archive of 1.4: no icecc-create-env that works here");
        return Ok(());
    };
    let name = file.file_stem().ok_or("no name")?;
    let env = EnvId::new(b"x86_64", name.as_encoded_bytes())?;
    let start = Instant::now();
    let request = UnpackRequest { env: env.clone(), input: File::open(&file)?.into(), bytes_max: 1 << 30, wall: LONG };
    let unpacked = launcher.unpack(request)?.wait(LONG).map_err(|_| "no end of unpacking")??;
    println!("archive of 1.4: {:?} in {:?}", unpacked.contents, start.elapsed());
    launcher.install(unpacked, &env)?;
    let start = Instant::now();
    launcher.verify(&env, &AtomicBool::new(false)).map_err(|trouble| format!("{trouble:?}"))?;
    println!("archive of 1.4: verified in {:?}", start.elapsed());
    compile(launcher, &env, base)?;
    Ok(launcher.remove(&env)?)
}
