//! The recorded exchanges of `testdata/wire`, as tests want them.

use ice_core::version::Version;
use ice_net::wire::Reading;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// One folder of `testdata/wire`.
#[derive(Debug)]
pub struct Vector {
    pub name: String,
    /// What is known of it.
    json: Value,
    folder: PathBuf,
}

/// One side of a connection that agreed on a version.
#[derive(Debug)]
pub struct Stream {
    pub vector: String,
    pub side: &'static str,
    pub version: Version,
    pub reading: Reading,
    /// From the first byte of the connection on.
    pub bytes: Vec<u8>,
}

/// All of them, by name.
pub fn vectors() -> Vec<Vector> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wire");
    let mut folders: Vec<PathBuf> = fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders.into_iter().filter(|folder| folder.join("vector.json").exists()).map(Vector::read).collect()
}

impl Vector {
    fn read(folder: PathBuf) -> Self {
        let json: Value = serde_json::from_slice(&fs::read(folder.join("vector.json")).unwrap()).unwrap();
        Self { name: json["name"].as_str().unwrap().to_owned(), folder, json }
    }

    /// Both sides, if they agreed on a version.
    pub fn streams(&self) -> Vec<Stream> {
        let Some(version) = self.json["handshake"]["protocol"].as_u64() else { return Vec::new() };
        let monitor = self.messages("a").iter().any(|m| m["name"] == "MON_LOGIN");
        let stream = |side: &'static str| Stream {
            vector: self.name.clone(),
            side,
            version: Version::new(u32::try_from(version).unwrap()),
            reading: if monitor && side == "b" { Reading::Monitor } else { Reading::Peer },
            bytes: self.file(&format!("{side}.bin")),
        };
        ["a", "b"].map(stream).into()
    }

    /// The messages of one side, in the order of its bytes.
    pub fn messages(&self, side: &str) -> Vec<&Value> {
        let all = self.json["messages"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|m| m["dir"] == side).collect()
    }

    /// The datagrams with what they mean.
    pub fn datagrams(&self) -> Vec<(Vec<u8>, &Value)> {
        let all = self.json["datagrams"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().map(|d| (self.file(d["file"].as_str().unwrap()), &d["decoded"])).collect()
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.folder.join(name)).unwrap()
    }
}
