//! What a result begins with (`net/PROTOCOL.md`, FILES_RESULT): which facts were looked at, and what was written.

use super::bytes::{Malformed, Reader, Writer};
use super::encoding::MAX_ENCODED;
use super::fact::is_canonical;
use super::facts::MAX_FACTS;

/// Most files that a job writes or deletes. A compiler writes a few; with all its dumps, hundreds.
const MAX_OUTPUTS: usize = 10_000;

/// The stream behind FILES_RESULT. The contents of the outputs follow in their order, each in a stream.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultBody {
    /// Paths of the facts that were looked at, sorted.
    pub used: Vec<Vec<u8>>,
    /// What was written.
    pub outputs: Vec<Output>,
    /// What was deleted, sorted.
    pub deleted: Vec<Vec<u8>>,
}

/// A file that a job wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// Its canonical path.
    pub path: Vec<u8>,
    /// Its permissions: at most 0o777.
    pub mode: u32,
    /// Its length in bytes.
    pub len: u64,
}

impl ResultBody {
    /// The encoded stream.
    pub fn encode(&self) -> Vec<u8> {
        let mut w = Writer::default();
        w.sorted(&self.used);
        w.count(self.outputs.len());
        for output in &self.outputs {
            w.bytes(&output.path);
            w.number(output.mode.into());
            w.number(output.len);
        }
        w.sorted(&self.deleted);
        w.0
    }

    /// Reads the stream.
    ///
    /// # Errors
    /// If the bytes are not exactly what [`ResultBody::encode`] makes of a result within the bounds.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes, MAX_ENCODED)?;
        let used = r.sorted(MAX_FACTS, |key| is_canonical(key) || is_names_key(key))?;
        let count = r.count(MAX_OUTPUTS)?;
        let outputs = (0..count).map(|_| read_output(&mut r)).collect::<Result<_, _>>()?;
        let deleted = r.sorted(MAX_OUTPUTS, is_canonical)?;
        r.finish()?;
        Ok(Self { used, outputs, deleted })
    }
}

/// Whether a key is that of a directory's names.
fn is_names_key(key: &[u8]) -> bool {
    key.strip_suffix(b"/").is_some_and(is_canonical)
}

/// Reads an output.
fn read_output(r: &mut Reader<'_>) -> Result<Output, Malformed> {
    let output = Output { path: r.bytes()?.to_vec(), mode: r.small()?, len: r.number()? };
    match (is_canonical(&output.path), output.mode) {
        (true, 0..=0o777) => Ok(output),
        (true, _) => Err(Malformed::Number),
        (false, _) => Err(Malformed::Path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body() -> ResultBody {
        let output = |path: &str, mode, len| Output { path: path.into(), mode, len };
        ResultBody {
            used: ["/", "//", "/a", "/a.c", "/a/"].map(|path| path.into()).into(),
            outputs: vec![output("/b/a.o", 0o644, u64::MAX), output("/a", 0, 0)],
            deleted: vec![b"/b/a.d".to_vec()],
        }
    }

    #[test]
    fn results_come_back() {
        for body in [ResultBody::default(), body()] {
            assert_eq!(ResultBody::decode(&body.encode()), Ok(body));
        }
    }

    #[test]
    fn paths_and_modes_are_checked() {
        let decode = |body: &ResultBody| ResultBody::decode(&body.encode()).err();
        let output = |path: &str, mode| {
            decode(&ResultBody { outputs: vec![Output { path: path.into(), mode, len: 0 }], ..body() })
        };
        assert_eq!(output("/a", 0o777), None);
        assert_eq!(output("/a", 0o1000), Some(Malformed::Number));
        assert_eq!(output("a", 0), Some(Malformed::Path));
        assert_eq!(output("/a/../b", 0), Some(Malformed::Path));
        let used = |paths: &[&str]| decode(&ResultBody { used: paths.iter().map(|p| (*p).into()).collect(), ..body() });
        assert_eq!(used(&["/b", "/a"]), Some(Malformed::Order));
        assert_eq!(used(&["a"]), Some(Malformed::Name));
        let deleted = ResultBody { deleted: vec![b"/a/".to_vec()], ..body() };
        assert_eq!(decode(&deleted), Some(Malformed::Name));
        let many = ResultBody { outputs: vec![Output { path: b"/".into(), mode: 0, len: 0 }; 10_001], ..body() };
        assert_eq!(decode(&many), Some(Malformed::TooMany));
        let most = ResultBody { outputs: vec![Output { path: b"/".into(), mode: 0, len: 0 }; 10_000], ..body() };
        assert_eq!(decode(&most), None);
    }

    #[test]
    fn damage_does_no_harm() {
        let bytes = body().encode();
        for at in 0..bytes.len() {
            assert!(ResultBody::decode(&bytes[..at]).is_err(), "{at}");
            for value in 0..=255 {
                let mut damaged = bytes.clone();
                damaged[at] = value;
                if let Ok(body) = ResultBody::decode(&damaged) {
                    assert_eq!(body.encode(), damaged);
                }
            }
        }
    }
}
