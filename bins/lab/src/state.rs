//! The state of a lab that is stored between two calls of `icelab`.

use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::PathBuf;

use super::error::Error;
use super::network::Delayer;
use super::process::Process;
use super::programs::Programs;

/// One host of a lab.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct Host {
    /// `h1`, `h2`…
    pub name: String,
    /// Its address in the lab.
    pub address: Ipv4Addr,
    /// Where its files are.
    pub folder: PathBuf,
    /// Its process 1.
    pub first: Process,
    /// Slots of its daemon.
    pub slots: u32,
    /// Whose programs it has.
    pub programs: Programs,
    /// Whose daemon it runs.
    pub daemon_programs: Programs,
    /// More options for its daemon.
    pub daemon_options: Vec<String>,
}

/// A lab.
#[derive(Debug, Clone, serde::Serialize, serde::Deserialize)]
pub struct State {
    /// Its name.
    pub name: String,
    /// Where its files are.
    pub folder: PathBuf,
    /// Its switch's process 1.
    pub switch: Process,
    /// Whether it lives in a user namespace.
    pub rootless: bool,
    /// Whether daemons look for the scheduler by broadcast.
    pub broadcast: bool,
    /// Who delays its links.
    pub delayer: Delayer,
    /// Whose scheduler it has.
    pub scheduler: Programs,
    /// Its hosts.
    pub hosts: Vec<Host>,
}

impl State {
    /// Makes the directory of a new lab; remains of a killed one are removed.
    pub(super) fn claim(name: &str) -> Result<PathBuf, Error> {
        let folder = folder(name)?;
        if folder.exists() {
            match State::read(name) {
                Ok(_) => return Err(Error::Exists(name.to_string())),
                Err(_) => fs::remove_dir_all(&folder).map_err(Error::file(&folder))?,
            }
        }
        fs::DirBuilder::new().mode(0o755).create(&folder).map_err(Error::file(&folder))?;
        Ok(folder)
    }

    /// The lab of this name, if it is up.
    pub(super) fn read(name: &str) -> Result<State, Error> {
        let folder = folder(name)?;
        let none = || Error::NoLab(name.to_string());
        // Other users can make directories there too; those are not trusted.
        let owner = fs::symlink_metadata(&folder).map_err(|_| none())?;
        if !owner.is_dir() || owner.uid() != nix::unistd::Uid::effective().as_raw() {
            return Err(none());
        }
        let text = fs::read(folder.join("lab.json")).map_err(|_| none())?;
        let state: State = serde_json::from_slice(&text).map_err(|_| none())?;
        if state.switch.alive() { Ok(state) } else { Err(none()) }
    }

    /// Stores it.
    pub(super) fn write(&self) -> Result<(), Error> {
        let path = self.folder.join("lab.json");
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::file(&path)(e.into()))?;
        fs::write(&path, text).map_err(Error::file(path))
    }
}

/// The directory of a lab: in the directory for temporary files, not in the user's runtime directory, which is in
/// memory and too small for environments.
fn folder(name: &str) -> Result<PathBuf, Error> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if name.is_empty() || name.len() > 64 || !name.chars().all(fits) {
        return Err(Error::Option { option: "--name", reason: format!("{name:?} is not a plain word") });
    }
    let uid = nix::unistd::Uid::effective();
    Ok(std::env::temp_dir().join(format!("icelab-{uid}-{name}")))
}
