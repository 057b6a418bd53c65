//! Splits a byte stream into frames incrementally: each is a length, then as many bytes (`net/PROTOCOL.md`, Frames).
//!
//! It does not read itself: the reader fills `Frames::space` and reports the number of bytes to `Frames::filled`.
//! The buffer grows with the bytes received, not with an announced length.

use ice_core::limits::FRAME_MAX;
use thiserror::Error;

/// Minimum size of a body in bytes: its message number.
const BODY_MIN: usize = 4;
/// Bytes of room offered if the length of the next frame is unknown.
const SPACE_MIN: usize = 4 << 10;
/// Maximum number of bytes of room offered beyond those received.
const SPACE_MAX: usize = 64 << 10;
/// An empty buffer larger than this in bytes is freed: there are many peers, and most are idle.
const KEEP_MAX: usize = 128 << 10;

/// An invalid length. The connection must be closed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("frame of {length} bytes, {BODY_MIN} to {FRAME_MAX} are allowed")]
pub struct FrameError {
    /// The announced length of the body.
    pub length: u32,
}

/// Received bytes that are not yet taken as frames.
#[derive(Debug, Default)]
pub struct Frames {
    /// `buffer[start..end]` has been received and not taken; after `end` there is room.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

impl Frames {
    /// Starts without bytes and without allocating.
    pub fn new() -> Self {
        Self::default()
    }

    /// Room for the next bytes of the stream; never empty.
    pub fn space(&mut self) -> &mut [u8] {
        self.make_room();
        self.buffer.get_mut(self.end..).unwrap_or_default()
    }

    /// Reports that `n` bytes of [`Frames::space`] were filled. A larger number than its size counts as its size.
    pub fn filled(&mut self, n: usize) {
        self.end = self.end.saturating_add(n).min(self.buffer.len());
    }

    /// Adds bytes from another buffer.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let space = self.space();
            let (now, later) = bytes.split_at(bytes.len().min(space.len()));
            if let Some(room) = space.get_mut(..now.len()) {
                room.copy_from_slice(now);
            }
            self.filled(now.len());
            bytes = later;
        }
    }

    /// Takes the next complete body, without its length. `None`: more bytes are needed.
    ///
    /// # Errors
    /// If the next length is invalid. The error is permanent.
    pub fn take(&mut self) -> Result<Option<&[u8]>, FrameError> {
        let Some(length) = self.announced()? else { return Ok(None) };
        let body = self.start + 4;
        if self.end - body < length {
            return Ok(None);
        }
        self.start = body + length;
        Ok(self.buffer.get(body..self.start))
    }

    /// Number of bytes received and not taken. If it is not 0 at the end of a stream, that ended within a frame.
    pub fn pending(&self) -> usize {
        self.end - self.start
    }

    /// The size of the buffer in bytes.
    pub fn held(&self) -> usize {
        self.buffer.capacity()
    }

    /// Frees the buffer if it is empty, for a reader that is about to sleep.
    pub fn release(&mut self) {
        if self.pending() == 0 {
            *self = Self::new();
        }
    }

    /// Whether a complete body, or an invalid length, is ready for [`Frames::take`].
    pub fn is_ready(&self) -> bool {
        match self.announced() {
            Ok(Some(length)) => self.pending() >= 4 + length,
            Ok(None) => false,
            Err(_) => true,
        }
    }

    /// The length of the next body, if it has been received.
    fn announced(&self) -> Result<Option<usize>, FrameError> {
        let arrived = self.buffer.get(self.start..self.end).unwrap_or_default();
        let Some(word) = arrived.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_be_bytes(*word);
        if (BODY_MIN..=FRAME_MAX).contains(&(length as usize)) {
            Ok(Some(length as usize))
        } else {
            Err(FrameError { length })
        }
    }

    /// Provides room after `end`.
    fn make_room(&mut self) {
        if self.pending() == 0 {
            (self.start, self.end) = (0, 0);
            if self.buffer.len() > KEEP_MAX {
                self.buffer = Vec::new();
            }
        } else if self.start > 0 && self.buffer.len() - self.end < SPACE_MIN {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.pending());
        }
        let missing = match self.announced() {
            Ok(Some(length)) => (self.start + 4 + length).saturating_sub(self.end),
            _ => 0,
        };
        let wanted = self.end + missing.clamp(SPACE_MIN, SPACE_MAX);
        if self.buffer.len() <= self.end || (missing > 0 && self.buffer.len() < wanted) {
            self.buffer.resize(wanted, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32).to_be_bytes()[..], body].concat()
    }

    #[test]
    fn frames_come_out_whole_however_they_arrive() {
        let bodies: Vec<Vec<u8>> = (0..200usize).map(|i| vec![i as u8; 4 + i * 37 % 9000]).collect();
        let stream: Vec<u8> = bodies.iter().flat_map(|b| frame(b)).collect();
        for step in [1, 3, 4, 1000, 100_000, stream.len()] {
            let (mut frames, mut seen) = (Frames::new(), Vec::new());
            for piece in stream.chunks(step) {
                frames.feed(piece);
                while let Some(body) = frames.take().unwrap() {
                    seen.push(body.to_vec());
                }
            }
            assert_eq!(seen, bodies, "step {step}");
            assert_eq!(frames.pending(), 0);
        }
    }

    #[test]
    fn lengths_out_of_bounds_are_errors_and_stay_so() {
        for length in [0u32, 3, FRAME_MAX as u32 + 1, u32::MAX] {
            let mut frames = Frames::new();
            frames.feed(&length.to_be_bytes());
            assert_eq!(frames.take(), Err(FrameError { length }));
            frames.feed(&[0; 100]);
            assert_eq!(frames.take(), Err(FrameError { length }));
        }
        let mut frames = Frames::new();
        frames.feed(&frame(&vec![7; FRAME_MAX]));
        assert_eq!(frames.take().unwrap().map(<[u8]>::len), Some(FRAME_MAX));
    }

    #[test]
    fn an_announced_length_alone_allocates_little() {
        let mut frames = Frames::new();
        frames.feed(&(FRAME_MAX as u32).to_be_bytes());
        assert!(frames.space().len() <= SPACE_MAX);
        assert!(frames.buffer.capacity() <= 2 * SPACE_MAX);
    }

    #[test]
    fn a_big_buffer_is_given_back_when_empty() {
        let mut frames = Frames::new();
        frames.feed(&frame(&vec![1; FRAME_MAX]));
        assert!(frames.take().unwrap().is_some());
        assert!(frames.held() >= FRAME_MAX);
        frames.space();
        assert!(frames.held() <= KEEP_MAX);
        frames.feed(&[0, 0]);
        frames.release();
        assert_eq!(frames.pending(), 2);
        frames.feed(&[0, 4, 1, 2, 3]);
        assert!(!frames.is_ready());
        frames.feed(&[4]);
        assert!(frames.is_ready());
        assert_eq!(frames.take(), Ok(Some(&[1, 2, 3, 4][..])));
        frames.release();
        assert_eq!(frames.held(), 0);
    }
}
