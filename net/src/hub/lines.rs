//! Splits a text peer's byte stream into lines (`net/PROTOCOL.md`, Text console).

use std::collections::VecDeque;

/// Splits input into lines.
///
/// A line ends at the first byte below 0x20. All such bytes directly after it in the same read are skipped, and so is a
/// line feed that arrives later after a carriage return. A control byte alone is an empty line, as in 1.4.
#[derive(Debug, Default)]
pub(super) struct Lines {
    line: Vec<u8>,
    done: VecDeque<String>,
    after_return: bool,
}

impl Lines {
    /// Adds the bytes of one read. `false`: a line is longer than `max` bytes.
    pub(super) fn feed(&mut self, bytes: &[u8], max: usize) -> bool {
        let mut swallow = self.after_return && bytes.first() == Some(&b'\n');
        for &byte in bytes {
            if byte >= 0x20 {
                swallow = false;
                if self.line.len() >= max {
                    return false;
                }
                self.line.push(byte);
            } else if !swallow {
                let text = String::from_utf8_lossy(&self.line).trim_start_matches(' ').to_owned();
                self.done.push_back(text);
                self.line.clear();
                swallow = true;
            }
        }
        self.after_return = bytes.last() == Some(&b'\r');
        true
    }

    /// The next complete line.
    pub(super) fn next(&mut self) -> Option<String> {
        self.done.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(reads: &[&str]) -> Vec<String> {
        let mut lines = Lines::default();
        for read in reads {
            assert!(lines.feed(read.as_bytes(), 100));
        }
        std::iter::from_fn(|| lines.next()).collect()
    }

    #[test]
    fn ends_and_blanks() {
        assert_eq!(lines(&["help\r\n  listcs a b\n\n\tquit\n"]), ["help", "listcs a b", "quit"]);
        assert_eq!(lines(&["\nhelp\n"]), ["", "help"]);
        assert_eq!(lines(&["he", "lp", "\n"]), ["help"]);
        assert_eq!(lines(&["help\r", "\nquit\n"]), ["help", "quit"]);
        assert_eq!(lines(&["help\n", "\n"]), ["help", ""]);
        assert_eq!(lines(&["no end"]), [""; 0]);
    }

    #[test]
    fn length_is_bounded() {
        let mut lines = Lines::default();
        assert!(lines.feed(&[b'x'; 4096], 4096));
        assert!(!lines.feed(b"x", 4096));
    }
}
