//! An environment's archive on its way to a compile server, piece by piece.

use super::files::read_full;
use ice_core::limits;
use ice_core::message::{EnvTarget, Message};
use ice_core::reason::Reason;
use std::fs::File;
use std::time::Instant;

/// The archive, sent as it is.
pub(super) struct Upload {
    archive: File,
    /// Leaves with the first piece.
    header: Option<EnvTarget>,
    has_ended: bool,
    room: Vec<u8>,
    start: Instant,
}

impl Upload {
    /// Nothing of it is sent.
    pub(super) fn new(archive: File, header: EnvTarget) -> Self {
        log::info!("<Transfer Environment>");
        Self {
            archive,
            header: Some(header),
            has_ended: false,
            room: vec![0; limits::CHUNK_PLAIN],
            start: Instant::now(),
        }
    }

    /// What is to be sent next, by one write; `pack` makes a message of a piece. Empty: that was all.
    pub(super) fn next(&mut self, pack: impl FnOnce(&[u8]) -> Option<Message>) -> Result<Vec<Message>, Reason> {
        if self.has_ended {
            return Ok(Vec::new());
        }
        let n = read_full(&mut self.archive, &mut self.room).map_err(|_| Reason::ArchiveUnreadable)?;
        self.has_ended = n == 0;
        let message = if n == 0 { Some(Message::End) } else { pack(self.room.get(..n).unwrap_or_default()) };
        let header = self.header.take().map(Message::TransferEnv);
        Ok(header.into_iter().chain([message.ok_or(Reason::EnvironmentNotSent)?]).collect())
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        log::info!("</Transfer Environment: {}ms>", self.start.elapsed().as_millis());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};

    #[test]
    fn an_archive_is_its_header_pieces_and_an_end() {
        let pack = |piece: &[u8]| Some(Message::StatusText { text: piece.len().to_string().as_str().into() });
        let piece = |text: &str| Message::StatusText { text: text.into() };
        let header = Message::TransferEnv(EnvTarget::default());
        for (len, first, rest) in [
            (0, Message::End, vec![]),
            (1, piece("1"), vec![Message::End]),
            (limits::CHUNK_PLAIN + 1, piece("100000"), vec![piece("1"), Message::End]),
        ] {
            let mut archive = tempfile::tempfile().unwrap();
            archive.write_all(&vec![b'x'; len]).unwrap();
            archive.rewind().unwrap();
            let mut upload = Upload::new(archive, EnvTarget::default());
            assert_eq!(upload.next(pack), Ok(vec![header.clone(), first]));
            for message in rest {
                assert_eq!(upload.next(pack), Ok(vec![message]));
            }
            assert_eq!(upload.next(pack), Ok(Vec::new()));
        }
    }
}
