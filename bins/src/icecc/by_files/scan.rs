//! The include directives in a text, of all branches, without a preprocessor: more than a compiler follows, rarely less.

/// Where the search for a name begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// `"name"`: beside the file.
    Quoted,
    /// `<name>`
    Angled,
    /// `include_next`: behind where the file was found.
    Next,
}

/// A file that a text includes, or asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Directive {
    pub(super) form: Form,
    pub(super) name: Vec<u8>,
    /// `__has_include`: it is looked for, not read.
    pub(super) looks_only: bool,
}

/// All directives of a text. Names that macros make are not known.
pub(super) fn scan(text: &[u8]) -> Vec<Directive> {
    text.split(|b| *b == b'\n').flat_map(of_line).collect()
}

fn of_line(line: &[u8]) -> Vec<Directive> {
    let Some(rest) = directive(line) else { return Vec::new() };
    let word = rest.iter().take_while(|b| b.is_ascii_alphabetic() || **b == b'_').count();
    let (word, rest) = rest.split_at(word);
    match word {
        b"include" | b"import" | b"include_next" => {
            let named = name(rest.trim_ascii_start());
            let of = |(form, name)| Directive {
                form: if word == b"include_next" { Form::Next } else { form },
                name,
                looks_only: false,
            };
            named.map(of).into_iter().collect()
        }
        b"if" | b"elif" => questions(rest),
        _ => Vec::new(),
    }
}

/// What stands behind the `#` of a line; comments may stand before it.
fn directive(line: &[u8]) -> Option<&[u8]> {
    let mut line = line.trim_ascii_start();
    while let Some(comment) = line.strip_prefix(b"/*") {
        let end = comment.windows(2).position(|two| two == b"*/")?;
        line = comment.get(end + 2..)?.trim_ascii_start();
    }
    let rest = line.strip_prefix(b"#").or_else(|| line.strip_prefix(b"%:"))?;
    Some(rest.trim_ascii_start())
}

/// A name in quotes or angles.
fn name(text: &[u8]) -> Option<(Form, Vec<u8>)> {
    let (open, rest) = text.split_first()?;
    let (form, close) = match open {
        b'"' => (Form::Quoted, b'"'),
        b'<' => (Form::Angled, b'>'),
        _ => return None,
    };
    let end = rest.iter().position(|b| *b == close)?;
    let name = rest.get(..end).filter(|name| !name.is_empty())?;
    Some((form, name.to_vec()))
}

/// What a condition asks for by `__has_include`.
fn questions(mut text: &[u8]) -> Vec<Directive> {
    const HAS: &[u8] = b"__has_include";
    let mut all = Vec::new();
    while let Some(at) = text.windows(HAS.len()).position(|window| window == HAS) {
        text = text.get(at + HAS.len()..).unwrap_or_default();
        let (is_next, rest) = match text.strip_prefix(b"_next") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let rest = rest.trim_ascii_start();
        let rest = rest.strip_prefix(b"(").unwrap_or(rest).trim_ascii_start();
        all.extend(name(rest).map(|(form, name)| Directive {
            form: if is_next { Form::Next } else { form },
            name,
            looks_only: true,
        }));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directives_of_all_branches_are_found() {
        let text = b"#include <a.h>\n  /* c */ # /**/include \"no\"\n #  include\t\"b.h\" // x\n%:include <d.h>\n#import <e.h>\n\
            #if 0\n#include_next <f.h>\n#endif\n#elif defined(X) && __has_include(<g.h>) || __has_include_next ( \"h.h\" )\n\
            #include MACRO\n#include <cut\n#include \"\"\n// #include <j.h>\nint a; #include <k.h>\n#included <l.h>\n#include<m.h>";
        let found: Vec<_> =
            scan(text).into_iter().map(|d| (d.form, String::from_utf8(d.name).unwrap(), d.looks_only)).collect();
        let row = |form, name: &str, looks_only| (form, name.to_string(), looks_only);
        assert_eq!(
            found,
            [
                row(Form::Angled, "a.h", false),
                row(Form::Quoted, "b.h", false),
                row(Form::Angled, "d.h", false),
                row(Form::Angled, "e.h", false),
                row(Form::Next, "f.h", false),
                row(Form::Angled, "g.h", true),
                row(Form::Next, "h.h", true),
                row(Form::Angled, "m.h", false),
            ]
        );
    }
}
