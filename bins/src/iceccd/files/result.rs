//! The result of a job of files mode on its way to the client.

use std::fs::File;

use ice_core::files::{Output, ResultBody};
use ice_launcher::FilesEnded;

/// What the job's stream of results begins with, and the files that follow.
#[derive(Debug, Default)]
pub struct Written {
    body: ResultBody,
    files: Vec<File>,
}

impl Written {
    /// What a job wrote.
    pub fn of(ended: FilesEnded) -> Self {
        let mut files = Vec::new();
        let outputs = ended.outputs.into_iter().map(|written| {
            let file = File::from(written.file);
            let len = file.metadata().map_or(0, |metadata| metadata.len());
            files.push(file);
            Output { path: written.path, mode: written.mode & 0o777, len }
        });
        let outputs = outputs.collect();
        let sorted = |mut paths: Vec<Vec<u8>>| {
            paths.sort();
            paths.dedup();
            paths
        };
        let body = ResultBody { used: sorted(ended.used), outputs, deleted: sorted(ended.deleted) };
        Self { body, files }
    }

    /// Bytes of the files.
    pub fn len(&self) -> u64 {
        self.body.outputs.iter().map(|output| output.len).sum()
    }

    /// The streams.
    pub fn into_streams(self) -> (Vec<u8>, Vec<File>) {
        (self.body.encode(), self.files)
    }
}
