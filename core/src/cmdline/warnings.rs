//! Warnings about macros: right only where the compiler sees the macros that the user wrote, so with them everything is expanded here.

use super::Family;

/// Which of them are wanted so far.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    unused_macros: bool,
    /// clang's `-Weverything`: what it brings beside those that are known here.
    everything: bool,
    pedantic: bool,
}

impl Warnings {
    /// Takes notice of `-W…` and its like; the last one about a warning counts.
    pub(super) fn option(&mut self, family: Family, option: &[u8]) {
        if matches!(option, b"-pedantic" | b"-pedantic-errors" | b"-Wpedantic" | b"-Werror=pedantic") {
            self.pedantic = true;
        }
        let name = option.strip_prefix(b"-W").unwrap_or_default();
        let (name, on) = match name.strip_prefix(b"no-") {
            // `-Wno-error=…` names no warning then, and changes none.
            Some(name) => (name, false),
            None => (name.strip_prefix(b"error=").unwrap_or(name), true),
        };
        match name {
            b"unused-macros" => self.unused_macros = on,
            b"everything" if family == Family::Clang => (self.everything, self.unused_macros) = (on, on),
            _ => {}
        }
    }

    /// Whether the compiler must see expanded text. gcc, too, is pedantic about what it reads.
    pub(super) fn need_expanded_text(&self, family: Family) -> bool {
        self.unused_macros || self.everything || (self.pedantic && family == Family::Gcc)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_and_groups_expand() {
        for (line, gcc, clang) in [
            ("-Wall -Wextra", false, false),
            ("-Wunused-macros", true, true),
            ("-Werror=unused-macros", true, true),
            ("-Wno-error=unused-macros", false, false),
            ("-Wunused-macros -Wno-unused-macros", false, false),
            ("-Weverything", false, true),
            ("-Weverything -Wno-everything", false, false),
            ("-Weverything -Wno-unused-macros", false, true),
            ("-Wno-unused-macros -Weverything", false, true),
            ("-Wno-everything -Wunused-macros", true, true),
            ("-Wunused-macros -Weverything -Wno-everything", true, false),
            ("-pedantic", true, false),
            ("-pedantic-errors", true, false),
            ("-Werror=pedantic", true, false),
            ("-Wpedantic", true, false),
        ] {
            for (family, wanted) in [(Family::Gcc, gcc), (Family::Clang, clang)] {
                let mut warnings = Warnings::default();
                line.split(' ').for_each(|option| warnings.option(family, option.as_bytes()));
                assert_eq!(warnings.need_expanded_text(family), wanted, "{family:?} {line}");
            }
        }
    }
}
