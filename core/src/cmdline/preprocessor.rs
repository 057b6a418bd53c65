//! `-Wp,…` and `-Xpreprocessor`: what is handed to the preprocessor alone.
//!
//! What means the same as an option of the driver goes where that goes. Anything else may change the text that the preprocessor
//! writes (`-dM`, `-P`, `-fpreprocessed`, …), or what the compiler behind it does.

use super::effect::{Does, Fact};
use super::options::{self, Opt, Value};
use super::warnings::Warnings;
use super::{Family, Files, Side};

/// What was handed on so far.
#[derive(Debug, Default)]
pub(super) struct Preprocessor {
    /// The last one still lacks its value, which may stand in the next `-Wp,`.
    waits_for_value: Option<&'static Opt>,
    /// A dependency file is wanted, by an option of the driver's own.
    pub(super) dependencies: Option<bool>,
    /// The dependency files that were named.
    pub(super) dependency_files: Vec<Vec<u8>>,
    /// A target of the dependency file.
    pub(super) dependency_target: Option<Vec<u8>>,
    /// Warnings that were asked for.
    pub(super) warnings: Warnings,
    /// Macros of a file were asked for.
    pub(super) macros: bool,
}

impl Preprocessor {
    /// Where each of `elements` goes; `None` if the job must stay.
    pub(super) fn sides(&mut self, family: Family, elements: &[&[u8]], files: &dyn Files) -> Option<Vec<Side>> {
        let side = |element: &&[u8]| match self.waits_for_value.take() {
            Some(opt) => self.value(opt, element, files),
            None => self.option(family, element, files),
        };
        elements.iter().map(side).collect()
    }

    fn option(&mut self, family: Family, element: &[u8], files: &dyn Files) -> Option<Side> {
        // With the file's name behind it here; clang's driver reads the same from `-Wp,` and names the target too.
        if let b"-MD" | b"-MMD" = element {
            self.dependencies = Some(family == Family::Clang);
            self.waits_for_value = options::find(b"-MF");
            return Some(Side::Local);
        }
        let opt = options::find(element)?;
        if opt.does == Does::Warning {
            self.warnings.option(family, element);
            return Some(Side::Rest);
        }
        match opt.value {
            Value::No if matches!(element, b"-MG" | b"-MP" | b"-nostdinc" | b"-nostdinc++" | b"-undef") => opt.side,
            Value::No | Value::NextRest => None,
            _ if !is_the_drivers(opt) => None,
            Value::Joined => self.value(opt, element.get(opt.name.len()..)?, files),
            Value::Next | Value::Must => {
                self.waits_for_value = Some(opt);
                self.value(opt, b"", files)
            }
        }
    }

    /// Takes notice of an option's value, which is empty until it is known.
    fn value(&mut self, opt: &Opt, value: &[u8], files: &dyn Files) -> Option<Side> {
        match opt.does {
            Does::DepFile if !value.is_empty() => self.dependency_files.push(value.to_vec()),
            Does::Says(Fact::DependencyTarget, _) => self.dependency_target = Some(value.to_vec()),
            // A precompiled header in its place would be used here and missing there.
            Does::Include | Does::Macros if !value.is_empty() && !files.readable(value) => return None,
            Does::Macros => self.macros = true,
            _ => {}
        }
        opt.side
    }
}

/// Whether the preprocessor's option means what the driver's does.
fn is_the_drivers(opt: &Opt) -> bool {
    match opt.does {
        Does::Nothing => matches!(opt.side, Some(Side::Cpp | Side::Local)),
        Does::Path | Does::Include | Does::Macros | Does::DepFile | Does::Says(Fact::DependencyTarget, _) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::FileKind;

    struct AllThere;

    impl Files for AllThere {
        fn kind(&self, _path: &[u8]) -> FileKind {
            FileKind::Regular
        }

        fn readable(&self, path: &[u8]) -> bool {
            path != b"gone.h"
        }

        fn text(&self, _path: &[u8]) -> Option<Vec<u8>> {
            None
        }
    }

    fn sides(lists: &str) -> Option<Vec<Side>> {
        let mut preprocessor = Preprocessor::default();
        let mut all = Vec::new();
        for list in lists.split(' ') {
            let elements: Vec<&[u8]> = list.split(',').map(str::as_bytes).collect();
            all.extend(preprocessor.sides(Family::Gcc, &elements, &AllThere)?);
        }
        Some(all)
    }

    #[test]
    fn what_the_driver_would_be_told_too() {
        use Side::{Cpp, Local, Rest};
        assert_eq!(sides("-D_FORTIFY_SOURCE=2,-U,X"), Some(vec![Cpp; 3]));
        assert_eq!(sides("-MMD,k/.x.d,-MT,t,-MP"), Some(vec![Local; 5]));
        assert_eq!(sides("-include a.h,-DX -Wundef"), Some(vec![Local, Local, Cpp, Rest]));
        assert_eq!(sides("-isystem,d,-Id,-imacros,m.h"), Some(vec![Local; 5]));
    }

    #[test]
    fn what_changes_the_text_is_not_sent() {
        for list in
            ["-dM", "-dD", "-P", "-C", "-fpreprocessed", "-include,gone.h", "-o,x", "-march=native", "-M", "", "-DX,"]
        {
            assert_eq!(sides(list), None, "{list}");
        }
    }

    #[test]
    fn the_dependency_file() {
        let mut preprocessor = Preprocessor::default();
        preprocessor.sides(Family::Clang, &[b"-MD", b"x.d"], &AllThere).unwrap();
        assert_eq!((preprocessor.dependencies, preprocessor.dependency_files.len()), (Some(true), 1));
        let mut preprocessor = Preprocessor::default();
        preprocessor.sides(Family::Gcc, &[b"-MD", b"x.d", b"-MT", b"t"], &AllThere).unwrap();
        assert_eq!(preprocessor.dependencies, Some(false));
        assert_eq!(preprocessor.dependency_target.as_deref(), Some(&b"t"[..]));
    }
}
