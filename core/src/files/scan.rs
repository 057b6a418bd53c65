//! Which files a file's text may include. These are hints: they save questions, and need not be right.
//!
//! All branches of conditionals count, text in comments and strings may, and no macro is expanded. What stands behind
//! `\` at a line's end belongs to that line.

use memchr::{memchr_iter, memmem};

/// Longest name that is taken.
const NAME_MAX: usize = 4095;

/// A file that a text names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named {
    /// How it is looked for.
    pub form: Form,
    /// What is done with it.
    pub by: By,
    /// Its name; a macro's for [`Form::Macro`].
    pub name: Vec<u8>,
}

/// How a file is looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// `"name"`: beside the text first, then along the search list.
    Quoted,
    /// `<name>`: along the search list.
    Angle,
    /// By what a macro stands for.
    Macro,
}

/// What is done with a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum By {
    /// `#include`, `#import`
    Include,
    /// `#include_next`: looked for behind the directory of the text.
    IncludeNext,
    /// `#embed`, and `.incbin` of an assembler: not a text.
    Bytes,
    /// `__has_include`, `__has_embed`: it may be missing.
    Question,
    /// `__has_include_next`
    QuestionNext,
}

/// The files that a text names, in no order.
pub fn scan(text: &[u8]) -> Vec<Named> {
    let marks = memchr_iter(b'#', text).map(|at| (at, 1)).chain(memmem::find_iter(text, b"%:").map(|at| (at, 2)));
    let directives =
        marks.filter(|(at, _)| begins_line(text, *at)).filter_map(|(at, length)| directive(text, at + length));
    let questions = [(&b"__has_include"[..], true), (b"__has_embed", false)].into_iter();
    let questions = questions.flat_map(|(word, has_next)| {
        memmem::find_iter(text, word).filter_map(move |at| question(text, at + word.len(), has_next))
    });
    let binaries = memmem::find_iter(text, b".incbin").filter_map(|at| binary(text, at + b".incbin".len()));
    directives.chain(questions).chain(binaries).collect()
}

/// Whether nothing but blanks, or a comment, stands before a place in its line.
fn begins_line(text: &[u8], at: usize) -> bool {
    let before = text.get(..at).unwrap_or_default().trim_ascii_end_of_line();
    before.is_empty() || before.ends_with(b"\n") || before.ends_with(b"*/")
}

/// Blanks of a line.
trait Blanks {
    /// Without the blanks at its end that do not end a line.
    fn trim_ascii_end_of_line(&self) -> &Self;
}

impl Blanks for [u8] {
    fn trim_ascii_end_of_line(&self) -> &Self {
        let blanks = self.iter().rev().take_while(|c| matches!(c, b' ' | b'\t' | b'\x0b' | b'\x0c')).count();
        self.get(..self.len() - blanks).unwrap_or_default()
    }
}

/// What the directive behind a `#` names.
fn directive(text: &[u8], at: usize) -> Option<Named> {
    let mut line = Line { text, at };
    line.blanks();
    let by = match line.word().as_slice() {
        b"include" | b"import" => By::Include,
        b"include_next" => By::IncludeNext,
        b"embed" => By::Bytes,
        _ => return None,
    };
    line.blanks();
    line.named(by)
}

/// What a `__has_include` that ends here asks for.
fn question(text: &[u8], at: usize, has_next: bool) -> Option<Named> {
    let mut line = Line { text, at };
    let by = match line.word().as_slice() {
        b"" => By::Question,
        b"_next" if has_next => By::QuestionNext,
        // What gcc once called it: `__has_include__`.
        b"__" => By::Question,
        b"_next__" if has_next => By::QuestionNext,
        _ => return None,
    };
    line.blanks();
    if line.next() != Some(b'(') {
        return None;
    }
    line.blanks();
    line.named(by)
}

/// What an `.incbin` that ends here names: in an assembler's text, or in a string of C.
fn binary(text: &[u8], at: usize) -> Option<Named> {
    let mut line = Line { text, at };
    line.blanks();
    let in_string = line.peek() == Some(b'\\');
    if in_string {
        line.next();
    }
    if line.next() != Some(b'"') {
        return None;
    }
    let mut name = line.until(b'"')?;
    if in_string {
        name.pop_if_slash()?;
    }
    Some(Named { form: Form::Quoted, by: By::Bytes, name })
}

/// Names in strings.
trait Escaped {
    /// Removes a `\` from its end.
    fn pop_if_slash(&mut self) -> Option<()>;
}

impl Escaped for Vec<u8> {
    fn pop_if_slash(&mut self) -> Option<()> {
        (self.pop() == Some(b'\\')).then_some(())
    }
}

/// A line that is read, on which the ones behind `\` follow.
struct Line<'a> {
    text: &'a [u8],
    at: usize,
}

impl Line<'_> {
    /// The next byte of the line.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.get(self.at..)? {
                [b'\\', b'\n', ..] => self.at += 2,
                [b'\\', b'\r', b'\n', ..] => self.at += 3,
                [b'\n' | b'\r', ..] => return None,
                [c, ..] => return Some(*c),
                [] => return None,
            }
        }
    }

    /// Takes the next byte.
    fn next(&mut self) -> Option<u8> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    /// Takes blanks and comments.
    fn blanks(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                b' ' | b'\t' | b'\x0b' | b'\x0c' => self.at += 1,
                b'/' if self.text.get(self.at + 1) == Some(&b'*') => {
                    let rest = self.text.get(self.at + 2..).unwrap_or_default();
                    let Some(end) = memmem::find(rest, b"*/") else { return };
                    self.at += end + 4;
                }
                _ => return,
            }
        }
    }

    /// Takes letters, digits and `_`.
    fn word(&mut self) -> Vec<u8> {
        let mut word = Vec::new();
        while let Some(c) = self.peek().filter(|c| c.is_ascii_alphanumeric() || *c == b'_') {
            self.at += 1;
            if word.len() < NAME_MAX {
                word.push(c);
            }
        }
        word
    }

    /// Takes a name up to its end in this line.
    fn until(&mut self, end: u8) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        loop {
            match self.next()? {
                c if c == end => return (!name.is_empty()).then_some(name),
                0 => return None,
                c if name.len() < NAME_MAX => name.push(c),
                _ => return None,
            }
        }
    }

    /// Takes what names a file.
    fn named(&mut self, by: By) -> Option<Named> {
        let (form, name) = match self.peek()? {
            b'"' => {
                self.at += 1;
                (Form::Quoted, self.until(b'"')?)
            }
            b'<' => {
                self.at += 1;
                (Form::Angle, self.until(b'>')?)
            }
            c if c.is_ascii_alphabetic() || c == b'_' => (Form::Macro, self.word()),
            _ => return None,
        };
        Some(Named { form, by, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let show = |named: Named| {
            let name = String::from_utf8_lossy(&named.name).into_owned();
            match named.form {
                Form::Quoted => format!("{:?} \"{name}\"", named.by),
                Form::Angle => format!("{:?} <{name}>", named.by),
                Form::Macro => format!("{:?} {name}", named.by),
            }
        };
        scan(text.as_bytes()).into_iter().map(show).collect()
    }

    #[test]
    fn directives() {
        for (text, named) in [
            ("#include \"a.h\"", "Include \"a.h\""),
            ("int x;\n  #\tinclude <sys/a b.h> // why\n", "Include <sys/a b.h>"),
            ("#include_next<a>", "IncludeNext <a>"),
            ("#import \"a\"\r\n", "Include \"a\""),
            ("%: include <a>", "Include <a>"),
            ("#embed <a.bin> limit(3)", "Bytes <a.bin>"),
            ("#include MACRO(x)", "Include MACRO"),
            ("# /* a\n b */ include /**/ \"a.h\"", "Include \"a.h\""),
            ("/* a */ #include \"a.h\"", "Include \"a.h\""),
            ("#inc\\\nlude \\\r\n <a\\\n.h>", "Include <a.h>"),
            ("#if 0\n#include \"a.h\"\n#endif", "Include \"a.h\""),
            ("#\x0c include \"../a\\b.h\"", "Include \"../a\\b.h\""),
        ] {
            assert_eq!(found(text), [named], "{text}");
        }
    }

    #[test]
    fn questions() {
        for (text, named) in [
            ("#if __has_include(<a.h>)", "Question <a.h>"),
            ("#if defined X && __has_include ( \"a.h\" ) || 1", "Question \"a.h\""),
            ("#  elif __has_include_next(<a>)", "QuestionNext <a>"),
            ("#if __has_include__(<a>)", "Question <a>"),
            ("#if __has_include_next__(<a>)", "QuestionNext <a>"),
            ("#if __has_embed(\"a\")", "Question \"a\""),
            ("#define HAS __has_include(\\\n<a>)", "Question <a>"),
            ("#if __has_include(A)", "Question A"),
        ] {
            assert_eq!(found(text), [named], "{text}");
        }
        assert_eq!(found("#if __has_include(<a>) && __has_include(<b>)").len(), 2);
    }

    #[test]
    fn binaries() {
        for (text, named) in [
            ("\t.incbin \"a.bin\", 4", "Bytes \"a.bin\""),
            ("__asm__(\".incbin \\\"a/b.bin\\\"\\n\");", "Bytes \"a/b.bin\""),
            ("x: .incbin\"a\"", "Bytes \"a\""),
        ] {
            assert_eq!(found(text), [named], "{text}");
        }
    }

    #[test]
    fn nothing() {
        for text in [
            "",
            "#",
            "#include",
            "#include \"a\n\"",
            "#include <>",
            "#include \"a",
            "x #include \"a\"",
            " * #include \"a\"",
            "#includes \"a\"",
            "#include /x */ \"a\"",
            "#define include \"a\"",
            "#include 7",
            "#include \"a\0\"",
            "#/* never ends include \"a\"",
            "#ifdef __has_include",
            "__has_includes(<a>)",
            "__has_embed_next(<a>)",
            "__has_embed_next__(<a>)",
            ".incbin a",
            ".incbin \\a\"",
            ".incbin \\\"a\"",
            "#include \\\n",
            "#include \\",
        ] {
            assert!(found(text).is_empty(), "{text}");
        }
        assert_eq!(scan(&[&b"#include \""[..], &[b'a'; 4095], b"\""].concat()).len(), 1);
        assert!(scan(&[&b"#include \""[..], &[b'a'; 4096], b"\""].concat()).is_empty());
        let longest_macro = scan(&[&b"#include "[..], &[b'A'; 5000]].concat());
        assert_eq!(longest_macro[0].name.len(), 4095);
    }

    /// Whatever stands there, it ends, and names are what stands between their marks.
    #[test]
    fn any_bytes() {
        let words: [&[u8]; 12] = [
            b"#include",
            b" ",
            b"\"",
            b"<",
            b">",
            b"\\\n",
            b"/*",
            b"*/",
            b"\n",
            b"__has_include(",
            b".incbin",
            b"\xff\0",
        ];
        let mut state = 1_u64;
        for _ in 0..2000 {
            let mut text = Vec::new();
            for _ in 0..20 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text.extend_from_slice(words[state as usize % words.len()]);
            }
            for named in scan(&text) {
                assert!(!named.name.is_empty() && named.name.len() <= NAME_MAX && !named.name.contains(&b'\n'));
            }
        }
    }
}
