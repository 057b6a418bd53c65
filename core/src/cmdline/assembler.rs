//! `-Wa,…` and `-Xassembler`: which arguments of the assembler can be sent.

use super::{FileKind, Files, paths};

/// State across the arguments for the assembler of a command line.
#[derive(Debug, Default)]
pub(super) struct Assembler {
    value_expected: bool,
}

impl Assembler {
    /// The elements to send, with files made absolute and added to `extra_files`; `None` if the job must stay: the
    /// assembler would write a file, read one that is not there, or note its own directory.
    pub(super) fn judge(
        &mut self,
        elements: &[&[u8]],
        folder: &[u8],
        files: &dyn Files,
        extra_files: &mut Vec<Vec<u8>>,
    ) -> Option<Vec<Vec<u8>>> {
        let mut rewritten = Vec::new();
        let mut found = Vec::new();
        for element in elements {
            if std::mem::take(&mut self.value_expected) {
                rewritten.push(element.to_vec());
            } else if element.starts_with(b"-") {
                if writes_file(element) || notes_directory(element) {
                    return None;
                }
                // Directories of `.include` and `.incbin`: where one is needed, the server's assembler misses a file and fails,
                // and the job is compiled here.
                self.value_expected = matches!(*element, b"-I" | b"--defsym" | b"--debug-prefix-map");
                rewritten.push(element.to_vec());
            } else if !element.starts_with(b"@") && files.kind(element) == FileKind::Regular && files.readable(element)
            {
                let whole = paths::absolute(folder, element);
                rewritten.push(whole.clone());
                found.push(whole);
            } else {
                return None;
            }
        }
        extra_files.append(&mut found);
        Some(rewritten)
    }
}

/// Whether an option of the assembler makes it write a file beside the object (a listing, dependencies, another output), or text in
/// place of one.
fn writes_file(option: &[u8]) -> bool {
    (option.starts_with(b"-a") && option.contains(&b'='))
        || matches!(option, b"--MD" | b"-MD" | b"-o" | b"--help" | b"--target-help" | b"--version" | b"--dump-config")
}

/// Whether the assembler makes debug information of its own, with the directory that it runs in.
fn notes_directory(option: &[u8]) -> bool {
    let name = option.strip_prefix(b"-").unwrap_or(option);
    let name = name.strip_prefix(b"-").unwrap_or(name);
    let harmless = [&b"gdwarf-sections"[..], b"gdwarf-cie-version"];
    (matches!(name, b"g" | b"gen-debug") || name.starts_with(b"gdwarf") || name.starts_with(b"gstabs"))
        && !harmless.iter().any(|known| name.starts_with(known))
}
