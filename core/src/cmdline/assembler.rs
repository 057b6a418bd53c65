//! `-Wa,…`: which words of the assembler can be sent (`spec/client.md` C.3).

use super::{FileKind, Files, paths};

/// State across the `-Wa,` words of a command line.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    value_expected: bool,
}

impl Assembler {
    /// The word to send, with files made absolute and added to `extra_files`; `None` if the job must stay.
    ///
    /// As in 1.4 only the last element decides about files; one that has the assembler write a file decides always, as that would
    /// be lost (Improve 20).
    pub(super) fn judge(
        &mut self,
        word: &[u8],
        folder: &[u8],
        files: &dyn Files,
        extra_files: &mut Vec<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let mut rewritten = b"-Wa".to_vec();
        let mut found = Vec::new();
        let mut stays = false;
        let mut writes = false;
        for element in word.split(|&b| b == b',').skip(1) {
            rewritten.push(b',');
            let as_value = std::mem::take(&mut self.value_expected);
            if as_value || element.starts_with(b"-") {
                stays = false;
                self.value_expected = !as_value && (element == b"--defsym" || element == b"--debug-prefix-map");
                writes |= !as_value && writes_file(element);
                rewritten.extend_from_slice(element);
            } else if !element.starts_with(b"@") && files.kind(element) == FileKind::Regular && files.readable(element)
            {
                stays = false;
                let whole = paths::absolute(folder, element);
                rewritten.extend_from_slice(&whole);
                found.push(whole);
            } else {
                stays = true;
                rewritten.extend_from_slice(element);
            }
        }
        if stays || writes {
            return None;
        }
        extra_files.append(&mut found);
        Some(rewritten)
    }
}

/// Whether an option of the assembler names a file to write: a listing, dependencies, another output.
pub(super) fn writes_file(option: &[u8]) -> bool {
    (option.starts_with(b"-a") && option.contains(&b'=')) || matches!(option, b"--MD" | b"-MD" | b"-o")
}
