//! The pragmas that a compiler keeps in a text whose macros are still to be expanded: each compiler is asked, once for each name.

use super::remembered;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// Pragmas that stand in many headers: one question to the compiler for all of them.
const COMMON: [&str; 40] = [
    "GCC diagnostic",
    "GCC visibility",
    "GCC push_options",
    "GCC pop_options",
    "GCC reset_options",
    "GCC optimize",
    "GCC target",
    "GCC unroll",
    "GCC ivdep",
    "GCC poison",
    "GCC warning",
    "GCC error",
    "GCC dependency",
    "GCC pch_preprocess",
    "STDC FP_CONTRACT",
    "STDC FENV_ACCESS",
    "STDC CX_LIMITED_RANGE",
    "STDC FLOAT_CONST_DECIMAL64",
    "acc",
    "clang",
    "comment",
    "deprecated",
    "error_messages",
    "extern_prefix",
    "ident",
    "intrinsic",
    "map",
    "message",
    "ms_struct",
    "omp",
    "pack",
    "pop_macro",
    "push_macro",
    "redefine_extname",
    "region",
    "endregion",
    "scalar_storage_order",
    "simd",
    "warning",
    "weak",
];

/// The pragmas that one compiler keeps.
#[derive(Debug)]
pub(super) struct Kept {
    program: PathBuf,
    /// The language's name for `-x`: a compiler has other pragmas for each.
    language: &'static str,
    known: HashMap<Vec<u8>, bool>,
}

impl Kept {
    pub(super) fn new(program: PathBuf, language: &'static str) -> Self {
        Self { program, language, known: HashMap::new() }
    }

    /// Whether the text keeps the pragma of this name.
    pub(super) fn has(&mut self, name: &[u8]) -> bool {
        if !self.known.contains_key(name) {
            if COMMON.iter().any(|common| common.as_bytes() == name) {
                self.ask(&COMMON.map(OsStr::new), OsStr::new("common ones"));
            } else {
                self.ask(&[OsStr::from_bytes(name)], OsStr::from_bytes(name));
            }
        }
        self.known.get(name).copied().unwrap_or(false)
    }

    fn ask(&mut self, names: &[&OsStr], question: &OsStr) {
        let question = [OsStr::new("pragmas kept by -fdirectives-only"), OsStr::new(self.language), question];
        let kept = remembered::answer(&self.program, &question, || self.probe(names)).unwrap_or_default();
        for name in names.iter().map(|name| name.as_bytes()) {
            self.known.insert(name.to_vec(), kept.iter().any(|word| word == name));
        }
    }

    /// Those of `names` that the compiler repeats in its text; without what belongs behind a name they do nothing.
    fn probe(&self, names: &[&OsStr]) -> Option<Vec<Vec<u8>>> {
        let mut run = Command::new(&self.program);
        run.args(["-E", "-fdirectives-only", "-x", self.language, "-"]);
        let mut child = run.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
        let line = |name: &&OsStr| [b"#pragma ", name.as_bytes(), b"\n"].concat();
        child.stdin.take()?.write_all(&names.iter().map(line).collect::<Vec<_>>().concat()).ok()?;
        let out = child.wait_with_output().ok()?;
        let lines: Vec<&[u8]> = out.stdout.split(|&b| b == b'\n').filter_map(|l| l.strip_prefix(b"#pragma ")).collect();
        let kept = names.iter().map(|name| name.as_bytes()).filter(|name| lines.contains(name));
        Some(kept.map(<[u8]>::to_vec).collect())
    }
}
