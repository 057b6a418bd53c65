//! The mirror image of the reader: appends one frame to a buffer.

use ice_core::env::EnvRef;
use ice_core::limits::FRAME_MAX;
use ice_core::text::Text;

use super::EncodeError;

/// Remembers the first thing that could not be written, so that the writers of messages read like the tables of
/// `net/PROTOCOL.md`; [`Writer::finish`] then takes everything back.
pub(super) struct Writer<'a> {
    out: &'a mut Vec<u8>,
    start: usize,
    number: u32,
    error: Option<EncodeError>,
}

impl<'a> Writer<'a> {
    /// Starts a frame at the end of `out`.
    pub(super) fn begin(out: &'a mut Vec<u8>, number: u32) -> Self {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        let mut w = Self { out, start, number, error: None };
        w.u32(number);
        w
    }

    pub(super) fn u32(&mut self, n: u32) {
        self.bytes(&n.to_be_bytes());
    }

    pub(super) fn i32(&mut self, n: i32) {
        self.bytes(&n.to_be_bytes());
    }

    /// Bytes as they are.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        // Looked at before it is copied: what is too long for a frame must not grow the buffer first.
        if self.body_len() + bytes.len() > FRAME_MAX {
            self.fail(EncodeError::TooLong { number: self.number });
        } else if self.error.is_none() {
            self.out.extend_from_slice(bytes);
        }
    }

    /// A length or count. What is too large for a word is too long for a frame anyway.
    pub(super) fn len(&mut self, n: usize) {
        match u32::try_from(n) {
            Ok(n) => self.u32(n),
            Err(_) => self.fail(EncodeError::TooLong { number: self.number }),
        }
    }

    pub(super) fn text(&mut self, text: &Text) {
        if text.as_bytes().contains(&0) {
            return self.fail(EncodeError::Nul { number: self.number, text: text.clone() });
        }
        self.len(text.len() + 1);
        self.bytes(text.as_bytes());
        self.bytes(&[0]);
    }

    pub(super) fn texts<'t>(&mut self, texts: impl ExactSizeIterator<Item = &'t Text>) {
        self.len(texts.len());
        texts.for_each(|text| self.text(text));
    }

    pub(super) fn environments(&mut self, environments: &[EnvRef]) {
        self.len(environments.len());
        for environment in environments {
            self.text(&environment.platform);
            self.text(&environment.name);
        }
    }

    /// Marks the frame as one that cannot be written.
    pub(super) fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    /// Writes the length word; takes the frame back if something could not be written.
    pub(super) fn finish(self) -> Result<(), EncodeError> {
        let length = u32::try_from(self.body_len()).map_err(|_| EncodeError::TooLong { number: self.number });
        let result = match self.error {
            Some(error) => Err(error),
            None => length,
        };
        match (result, self.out.get_mut(self.start..self.start + 4)) {
            (Ok(length), Some(word)) => word.copy_from_slice(&length.to_be_bytes()),
            (Err(error), _) => {
                self.out.truncate(self.start);
                return Err(error);
            }
            (Ok(_), None) => debug_assert!(false, "begin() made room for the length word"),
        }
        Ok(())
    }

    fn body_len(&self) -> usize {
        self.out.len() - self.start - 4
    }
}
