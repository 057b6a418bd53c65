//! The recorded exchanges of `testdata/wire`, for tests.

use ice_core::version::Version;
use ice_net::wire::Reading;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};

/// One directory of `testdata/wire`.
#[derive(Debug)]
pub struct Vector {
    pub name: String,
    /// Its description.
    json: Value,
    dir: PathBuf,
}

/// One side of a connection that agreed on a version.
#[derive(Debug)]
pub struct Stream {
    pub vector: String,
    pub side: &'static str,
    pub version: Version,
    pub reading: Reading,
    /// All bytes of the connection.
    pub bytes: Vec<u8>,
}

/// All exchanges, by name.
pub fn vectors() -> Vec<Vector> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/wire");
    let mut dirs: Vec<PathBuf> = fs::read_dir(top).unwrap().map(|entry| entry.unwrap().path()).collect();
    dirs.sort();
    dirs.into_iter().filter(|dir| dir.join("vector.json").exists()).map(Vector::read).collect()
}

impl Vector {
    fn read(dir: PathBuf) -> Self {
        let json: Value = serde_json::from_slice(&fs::read(dir.join("vector.json")).unwrap()).unwrap();
        Self { name: json["name"].as_str().unwrap().to_owned(), dir, json }
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

    /// The datagrams with their meaning.
    pub fn datagrams(&self) -> Vec<(Vec<u8>, &Value)> {
        let all = self.json["datagrams"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().map(|d| (self.file(d["file"].as_str().unwrap()), &d["decoded"])).collect()
    }

    fn file(&self, name: &str) -> Vec<u8> {
        fs::read(self.dir.join(name)).unwrap()
    }
}
