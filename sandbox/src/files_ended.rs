//! What came of a job of files mode, and its form in sealed memory beside the report.

use crate::error::Error;
use std::os::fd::OwnedFd;

/// Most outputs of a job: each is a descriptor beside its report.
pub const OUTPUTS_MAX: usize = 64;
/// Most bytes of all lists together.
pub(crate) const LISTS_MAX: usize = 64 << 20;

/// An output.
#[derive(Debug)]
pub struct Written {
    /// The name by which it was declared.
    pub path: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
    /// The regular file, open for reading.
    pub file: OwnedFd,
}

/// What came of a job of files mode.
#[derive(Debug, Default)]
pub struct FilesEnded {
    /// Paths of facts that it looked up.
    pub used: Vec<Vec<u8>>,
    /// Declared outputs that it wrote.
    pub outputs: Vec<Written>,
    /// Declared outputs that it removed and did not write again, by the names by which they were declared.
    pub deleted: Vec<Vec<u8>>,
    /// Something that it wrote or changed and may not.
    pub stray: Option<Vec<u8>>,
    /// Why it was ended before its time, if it was.
    pub refused: Option<String>,
}

impl FilesEnded {
    /// The lists, each text with its length before it; descriptors go beside them.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let refused: Vec<Vec<u8>> = self.refused.iter().map(|text| text.clone().into_bytes()).collect();
        let stray: Vec<Vec<u8>> = self.stray.iter().cloned().collect();
        let paths: Vec<Vec<u8>> = self.outputs.iter().map(|output| output.path.clone()).collect();
        for list in [&self.used, &paths, &self.deleted, &stray, &refused] {
            push(&mut out, list.len());
            for text in list {
                push(&mut out, text.len());
                out.extend_from_slice(text);
            }
        }
        self.outputs.iter().for_each(|output| out.extend_from_slice(&output.mode.to_le_bytes()));
        out
    }

    /// Reads the lists. `files` are the outputs.
    pub(crate) fn from_bytes(mut bytes: &[u8], files: Vec<OwnedFd>) -> Result<Self, Error> {
        let mut list = || {
            let count = number(&mut bytes)?;
            (0..count).map(|_| text(&mut bytes)).collect::<Result<Vec<Vec<u8>>, Error>>()
        };
        let (used, paths, deleted, stray, refused) = (list()?, list()?, list()?, list()?, list()?);
        if paths.len() != files.len() {
            return Err(Error::Malformed("number of outputs"));
        }
        let mut outputs = Vec::with_capacity(files.len());
        for (path, file) in paths.into_iter().zip(files) {
            outputs.push(Written { path, mode: number(&mut bytes)?, file });
        }
        let refused = refused.into_iter().next().map(|text| String::from_utf8_lossy(&text).into_owned());
        Ok(Self { used, outputs, deleted, stray: stray.into_iter().next(), refused })
    }
}

fn push(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u32::try_from(len).unwrap_or(u32::MAX).to_le_bytes());
}

fn number(bytes: &mut &[u8]) -> Result<u32, Error> {
    let (number, rest) = bytes.split_first_chunk().ok_or(Error::Malformed("short lists"))?;
    *bytes = rest;
    Ok(u32::from_le_bytes(*number))
}

fn text(bytes: &mut &[u8]) -> Result<Vec<u8>, Error> {
    let len = usize::try_from(number(bytes)?).unwrap_or(usize::MAX);
    let (text, rest) = bytes.split_at_checked(len).ok_or(Error::Malformed("short lists"))?;
    *bytes = rest;
    Ok(text.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_come_back_and_cut_ones_are_refused() -> std::io::Result<()> {
        let file = || tempfile::tempfile().map(OwnedFd::from);
        let ended = FilesEnded {
            used: vec![b"/a".to_vec(), b"/a/".to_vec()],
            outputs: vec![Written { path: b"/o".to_vec(), mode: 0o644, file: file()? }],
            deleted: vec![b"/d".to_vec()],
            stray: Some(b"/s".to_vec()),
            refused: Some("why".to_owned()),
        };
        let bytes = ended.to_bytes();
        let back = FilesEnded::from_bytes(&bytes, vec![file()?]).map_err(std::io::Error::other)?;
        assert_eq!((back.used, back.deleted, back.stray), (ended.used, ended.deleted, ended.stray));
        assert_eq!((back.refused, back.outputs[0].mode), (ended.refused, 0o644));
        assert_eq!(back.outputs[0].path, b"/o");
        assert!(FilesEnded::from_bytes(&bytes, Vec::new()).is_err());
        for cut in 0..bytes.len() {
            assert!(FilesEnded::from_bytes(&bytes[..cut], vec![file()?]).is_err(), "{cut}");
        }
        Ok(())
    }
}
