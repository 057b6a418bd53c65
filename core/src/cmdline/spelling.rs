//! One spelling for each option: `--output=FILE`, `--output FILE`, an abbreviated `--lang c` and a joined or separate value are read
//! here, so that no rule knows more than the short form. What is passed on is always what the user wrote.

use super::Family;
use super::options::{self, Opt, Value};
use std::borrow::Cow;

/// An option as the user wrote it, with what it means.
#[derive(Debug)]
pub(super) struct Argument<'a> {
    /// What the user wrote: one argument, or two if the value stands apart.
    pub(super) words: &'a [Vec<u8>],
    /// The short spelling; with the value, if that is joined to it.
    pub(super) short: Cow<'a, [u8]>,
    /// The option, if it is known.
    pub(super) opt: Option<&'static Opt>,
    /// The value, wherever it stands.
    pub(super) value: Option<&'a [u8]>,
}

impl<'a> Argument<'a> {
    /// Reads the option at the start of `words`; nothing if there are none.
    pub(super) fn read(family: Family, words: &'a [Vec<u8>]) -> Option<Self> {
        let first = words.first()?;
        let apart = words.get(1).map(Vec::as_slice);
        let (short, joined, takes_value) = match long(family, first) {
            Some(Long { short, rest: Rest::Part(rest), .. }) => (Cow::Owned([short, rest].concat()), None, false),
            Some(Long { short, rest: Rest::Value(value), .. }) => (Cow::Borrowed(short), Some(value), true),
            Some(Long { short, rest: Rest::Nothing, takes_value }) => (Cow::Borrowed(short), None, takes_value),
            None => (Cow::Borrowed(first.as_slice()), None, false),
        };
        let opt = options::find(&short);
        let (value, is_apart) = match (joined, opt.map(|opt| opt.value)) {
            (Some(value), _) => (Some(value), false),
            (None, Some(Value::Next | Value::Must | Value::NextRest)) => (apart, apart.is_some()),
            (None, _) if takes_value => (apart, apart.is_some()),
            (None, Some(Value::Joined)) => {
                let length = short.len() - opt.map_or(0, |opt| opt.name.len());
                (first.get(first.len().saturating_sub(length)..), false)
            }
            (None, Some(Value::No) | None) => (None, false),
        };
        Some(Self { words: words.get(..1 + usize::from(is_apart))?, short, opt, value })
    }

    /// The argument as it is to be passed on, with `value` in place of its own.
    pub(super) fn with_value(&self, value: &[u8]) -> Vec<Vec<u8>> {
        let own = self.value.unwrap_or_default().len();
        match self.words {
            [name, _] => vec![name.clone(), value.to_vec()],
            [whole, ..] => vec![[whole.get(..whole.len() - own).unwrap_or_default(), value].concat()],
            [] => Vec::new(),
        }
    }
}

/// A long spelling.
struct Long<'a> {
    /// The short one, or how it begins.
    short: &'static [u8],
    /// What stands behind the long name.
    rest: Rest<'a>,
    /// A value must follow.
    takes_value: bool,
}

enum Rest<'a> {
    Nothing,
    /// Behind `=`
    Value(&'a [u8]),
    /// More of the name.
    Part(&'a [u8]),
}

/// What a long option means.
fn long(family: Family, word: &[u8]) -> Option<Long<'_>> {
    if !word.starts_with(b"--") {
        return None;
    }
    let equals = word.iter().position(|&b| b == b'=');
    let (name, value) = match equals {
        Some(at) => (word.get(..at)?, word.get(at + 1..)),
        None => (word, None),
    };
    let known = |name: &[u8]| LONG.iter().find(|(long, ..)| long.as_bytes() == name);
    let entry = known(name).or_else(|| abbreviated(family, name).filter(|_| value.is_none()));
    match (entry, value) {
        (Some((_, short, true)), Some(value)) => {
            return Some(Long { short: short.as_bytes(), rest: Rest::Value(value), takes_value: true });
        }
        (Some((_, short, takes_value)), None) => {
            return Some(Long { short: short.as_bytes(), rest: Rest::Nothing, takes_value: *takes_value });
        }
        _ => {}
    }
    // clang's value may follow at once, and goes on where another long name would be.
    let joined = ["--include", "--imacros"].into_iter().find(|name| word.starts_with(name.as_bytes()));
    if let (Family::Clang, Some(name)) = (family, joined) {
        let short = name.as_bytes().get(1..)?;
        return Some(Long { short, rest: Rest::Value(word.get(name.len()..)?), takes_value: true });
    }
    let beginnings = if family == Family::Gcc { [BEGINNINGS, GCC_BEGINNINGS].concat() } else { BEGINNINGS.to_vec() };
    if options::find(word).is_some() {
        return None;
    }
    let (long, short) = beginnings.into_iter().find(|(long, _)| word.starts_with(long.as_bytes()))?;
    Some(Long { short: short.as_bytes(), rest: Rest::Part(word.get(long.len()..)?), takes_value: false })
}

/// gcc takes the beginning of a long name if no other begins so.
fn abbreviated(family: Family, name: &[u8]) -> Option<&'static (&'static str, &'static str, bool)> {
    let mut fitting = LONG.iter().filter(|(long, ..)| family == Family::Gcc && long.as_bytes().starts_with(name));
    fitting.next().filter(|_| fitting.next().is_none())
}

/// Long names, the short ones, and whether a value follows: behind `=` or apart.
const LONG: &[(&str, &str, bool)] = &[
    ("--all-warnings", "-Wall", false),
    ("--ansi", "-ansi", false),
    ("--assemble", "-S", false),
    ("--assert", "-A", true),
    ("--comments", "-C", false),
    ("--comments-in-macros", "-CC", false),
    ("--compile", "-c", false),
    ("--coverage", "-coverage", false),
    ("--debug", "-g", false),
    ("--define-macro", "-D", true),
    ("--dependencies", "-M", false),
    ("--dump", "-d", true),
    ("--dumpbase", "-dumpbase", true),
    ("--dumpbase-ext", "-dumpbase-ext", true),
    ("--dumpdir", "-dumpdir", true),
    ("--entry", "-e", true),
    ("--extra-warnings", "-W", false),
    ("--for-assembler", "-Xassembler", true),
    ("--for-linker", "-Xlinker", true),
    ("--force-link", "-u", true),
    ("--imacros", "-imacros", true),
    ("--include", "-include", true),
    ("--include-barrier", "-I-", false),
    ("--include-directory", "-I", true),
    ("--include-directory-after", "-idirafter", true),
    ("--include-prefix", "-iprefix", true),
    ("--include-with-prefix", "-iwithprefix", true),
    ("--include-with-prefix-after", "-iwithprefix", true),
    ("--include-with-prefix-before", "-iwithprefixbefore", true),
    ("--language", "-x", true),
    ("--library-directory", "-L", true),
    ("--no-line-commands", "-P", false),
    ("--no-standard-includes", "-nostdinc", false),
    ("--no-standard-libraries", "-nostdlib", false),
    ("--no-warnings", "-w", false),
    ("--optimize", "-O", false),
    ("--output", "-o", true),
    ("--pass-exit-codes", "-pass-exit-codes", false),
    ("--pedantic", "-pedantic", false),
    ("--pedantic-errors", "-pedantic-errors", false),
    ("--pipe", "-pipe", false),
    ("--prefix", "-B", true),
    ("--preprocess", "-E", false),
    ("--print-missing-file-dependencies", "-MG", false),
    ("--profile", "-p", false),
    ("--save-temps", "-save-temps", false),
    ("--shared", "-shared", false),
    ("--signed-char", "-fsigned-char", false),
    ("--specs", "-specs=", true),
    ("--std", "-std=", true),
    ("--stdlib", "-stdlib=", true),
    ("--sysroot", "--sysroot=", true),
    ("--target", "-target", true),
    ("--time", "-time", false),
    ("--trace-includes", "-H", false),
    ("--traditional", "-traditional", false),
    ("--traditional-cpp", "-traditional-cpp", false),
    ("--trigraphs", "-trigraphs", false),
    ("--undefine-macro", "-U", true),
    ("--unsigned-char", "-funsigned-char", false),
    ("--user-dependencies", "-MM", false),
    ("--verbose", "-v", false),
    ("--write-dependencies", "-MD", false),
    ("--write-user-dependencies", "-MMD", false),
];

/// How long names begin, and the short ones.
const BEGINNINGS: &[(&str, &str)] = &[
    ("--debug=", "-g"),
    ("--optimize=", "-O"),
    ("--machine-", "-m"),
    ("--machine=", "-m"),
    ("--save-temps=", "-save-temps="),
    ("--warn-=", "-W"),
    ("--warn-", "-W"),
];

/// To gcc, any other long name is a feature.
const GCC_BEGINNINGS: &[(&str, &str)] = &[("--no-", "-fno-"), ("--", "-f")];

#[cfg(test)]
mod tests {
    use super::*;

    /// `short spelling|value|number of arguments`
    fn read(family: Family, line: &str) -> String {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let argument = Argument::read(family, &words).unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        format!("{}|{}|{}", text(&argument.short), argument.value.map_or("none".into(), text), argument.words.len())
    }

    #[test]
    fn every_spelling_has_one_meaning() {
        for (line, meaning) in [
            ("-o x.o -c", "-o|x.o|2"),
            ("-ox.o -c", "-ox.o|x.o|1"),
            ("--output x.o -c", "-o|x.o|2"),
            ("--output=x.o -c", "-o|x.o|1"),
            ("--output= -c", "-o||1"),
            ("--include=a.h b.c", "-include|a.h|1"),
            ("-includea.h b.c", "-includea.h|a.h|1"),
            ("--define-macro X=1", "-D|X=1|2"),
            ("--define-macro=X=1", "-D|X=1|1"),
            ("--compile a.c", "-c|none|1"),
            ("--write-user-dependencies a.c", "-MMD|none|1"),
            ("--std c99 a.c", "-std=|c99|2"),
            ("--std=c99 a.c", "-std=|c99|1"),
            ("--debug=3 a.c", "-g3|3|1"),
            ("--warn-unused-macros a.c", "-Wunused-macros|unused-macros|1"),
            ("--coverage a.c", "-coverage|none|1"),
            ("--param x=1", "--param|x=1|2"),
            ("-- a.c", "--|none|1"),
            ("--language c", "-x|c|2"),
            ("-xc a.c", "-xc|c|1"),
        ] {
            assert_eq!(read(Family::Gcc, line), meaning, "{line}");
            assert_eq!(read(Family::Clang, line), meaning, "{line}");
        }
    }

    #[test]
    fn what_only_one_of_them_takes() {
        assert_eq!(read(Family::Gcc, "--lang c"), "-x|c|2");
        assert_eq!(read(Family::Gcc, "--write-d a.c"), "-MD|none|1");
        assert_eq!(read(Family::Gcc, "--outp=x a.c"), "-foutp=x|none|1");

        assert_eq!(read(Family::Gcc, "--plugin=a.so a.c"), "-fplugin=a.so|a.so|1");
        assert_eq!(read(Family::Gcc, "--no-builtin a.c"), "-fno-builtin|none|1");
        assert_eq!(read(Family::Clang, "--lang c"), "--lang|none|1");
        assert_eq!(read(Family::Clang, "--plugin=a.so a.c"), "--plugin=a.so|none|1");
        assert_eq!(read(Family::Clang, "--includea.h b.c"), "-include|a.h|1");
        assert_eq!(read(Family::Clang, "--include-prefixX b.c"), "-include|-prefixX|1");
    }

    #[test]
    fn another_value_stands_where_the_users_stood() {
        for (line, with) in [
            ("-fplugin=a.so b", "-fplugin=/a.so"),
            ("--plugin=a.so b", "--plugin=/a.so"),
            ("--specs=a.so b", "--specs=/a.so"),
            ("--specs a.so", "--specs /a.so"),
        ] {
            let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let argument = Argument::read(Family::Gcc, &words).unwrap();
            assert_eq!(argument.with_value(b"/a.so").join(&b' '), with.as_bytes(), "{line}");
        }
    }
}
