//! The counterpart of the reader: appends one frame to a buffer.

use ice_core::env::EnvRef;
use ice_core::limits::FRAME_MAX;
use ice_core::text::Text;

use super::EncodeError;

/// Keeps the first error, so that the encoders of messages read like the tables of `net/PROTOCOL.md`;
/// [`Writer::finish`] then removes the frame.
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

    /// Writes a big-endian number.
    pub(super) fn u32(&mut self, n: u32) {
        self.bytes(&n.to_be_bytes());
    }

    /// Writes a signed big-endian number.
    pub(super) fn i32(&mut self, n: i32) {
        self.bytes(&n.to_be_bytes());
    }

    /// Writes bytes unchanged.
    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        // Checked before copying: a body that is too long must not grow the buffer first.
        if self.body_len() + bytes.len() > FRAME_MAX {
            self.fail(EncodeError::TooLong { number: self.number });
        } else if self.error.is_none() {
            self.out.extend_from_slice(bytes);
        }
    }

    /// Writes a length or count. One that does not fit into a u32 is too long for a frame anyway.
    pub(super) fn len(&mut self, n: usize) {
        match u32::try_from(n) {
            Ok(n) => self.u32(n),
            Err(_) => self.fail(EncodeError::TooLong { number: self.number }),
        }
    }

    /// Writes a string.
    pub(super) fn text(&mut self, text: &Text) {
        if text.as_bytes().contains(&0) {
            return self.fail(EncodeError::Nul { number: self.number, text: text.clone() });
        }
        self.len(text.len() + 1);
        self.bytes(text.as_bytes());
        self.bytes(&[0]);
    }

    /// Writes a list of strings.
    pub(super) fn texts<'t>(&mut self, texts: impl ExactSizeIterator<Item = &'t Text>) {
        self.len(texts.len());
        texts.for_each(|text| self.text(text));
    }

    /// Writes a list of pairs of platform and name.
    pub(super) fn environments(&mut self, environments: &[EnvRef]) {
        self.len(environments.len());
        for environment in environments {
            self.text(&environment.platform);
            self.text(&environment.name);
        }
    }

    /// Notes an error, unless there is one already.
    pub(super) fn fail(&mut self, error: EncodeError) {
        self.error.get_or_insert(error);
    }

    /// Writes the frame's length, or removes the frame if there was an error.
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

    /// The size of the body so far.
    fn body_len(&self) -> usize {
        self.out.len() - self.start - 4
    }
}
