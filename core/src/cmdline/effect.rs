//! What an option does to a job.

use super::Side;
use crate::job::Language;
use crate::reason::Reason;

/// What an option does, beside going to its side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// No more.
    Nothing,
    /// Something is so or not. The last one counts.
    Says(Fact, bool),
    /// Keeps the job here.
    Stays(Reason),
    /// `-o`
    Output,
    /// `-x`
    Language,
    /// `-ObjC`, `-ObjC++`: clang's, for sources whose language no `-x` tells.
    ObjC(Language),
    /// `-m…=native`
    Native,
    /// `-MF`
    DepFile,
    /// A path for the preprocessor; a value that starts with `-O` is a forgotten one.
    Path,
    /// `-imacros`
    Macros,
    /// `-include`
    Include,
    /// `-include-pch`
    IncludePch,
    /// `-Wp,…`, `-Xpreprocessor`
    Preprocessor,
    /// `-Wa,…`, `-Xassembler`
    Assembler,
    /// Whether clang assembles by itself, so that no other program is run.
    OwnAssembler(bool),
    /// `-B`: where other programs are looked for.
    Prefix,
    /// `-fplugin=FILE`: as [`Self::ExtraFile`]. A plugin of gcc may know pragmas of its own.
    Plugin,
    /// `-fpass-plugin=FILE` and its like: the file travels in the environment.
    ExtraFile,
    /// `-fsanitize-ignorelist=FILE`: likewise, unless it names source files, by which a server does not know what it compiles.
    ExtraList,
    /// `-fprofile-use=PATH`: likewise for clang, where a directory stands for a file in it; gcc looks for many files.
    Profile,
    /// `-specs=FILE`: likewise for gcc, unless what stands in it cannot be sent; the file may be one of gcc's own.
    Specs,
    /// `-Xclang`
    Xclang,
    /// `-W…`, `-w`, `-pedantic` and its like.
    Warning,
    /// The command line goes into the object: clang's is another one on the server, gcc's its options.
    CommandLine,
    /// `-g…`: gcc's debug information shows its options.
    Debug,
    /// Not given to the preprocessor, else an ordinary option.
    HideFromPreprocessor,
    /// `-f[no-]openmp` and its like, by which gcc knows other pragmas.
    Pragmas,
    /// `-fobjc-runtime=`
    ObjcRuntime,
    /// `-fexec-charset=`: UTF-8 is the default, for which nothing is converted.
    ExecCharset,
    /// `-fdebug-compilation-dir=` and its like.
    CompilationDir,
}

/// Where an option goes, if it goes there as it is; and what else it does.
pub(super) type Effect = (Option<Side>, Does);

/// It goes to the preprocessor.
pub(super) const fn here(does: Does) -> Effect {
    (Some(Side::Local), does)
}

/// It goes to both sides.
pub(super) const fn both(does: Does) -> Effect {
    (Some(Side::Rest), does)
}

/// What becomes of the argument follows from more than the option.
pub(super) const fn by_rule(does: Does) -> Effect {
    (None, does)
}

/// What single options say of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fact {
    /// `-S`
    Assemble,
    /// `-c`
    Compile,
    /// `-MD`, `-MMD`: the driver names the dependency file.
    Dependencies,
    /// `-MT`, `-MQ`: somebody has named a target of the dependency file.
    DependencyTarget,
    /// `-gsplit-dwarf` and its like: a `.dwo` is written.
    SplitDwarf,
    /// `-fverbose-asm`: gcc's assembler text then shows lines that it reads from the source files.
    VerboseAsm,
    /// `-fno-diagnostics-show-caret`
    NoCaret,
    /// The user chose colours.
    ColorChosen,
    /// Macros of a file, which leave no trace in clang's text.
    Macros,
    /// A plugin is loaded.
    Plugin,
    /// `-target`, `--target=`
    Target,
    /// Messages show places in the text that the compiler reads.
    Ranges,
    /// The options go into the object.
    Options,
    /// `-emit-llvm`
    EmitLlvm,
    /// `-finput-charset=`: the preprocessor makes UTF-8 of it.
    InputCharset,
    /// The directory that debug information names.
    CompilationDir,
}

/// Which facts are so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts(u32);

impl Facts {
    /// A fact is so, or not.
    pub(super) fn set(&mut self, fact: Fact, is_so: bool) {
        let bit = 1 << fact as u32;
        self.0 = if is_so { self.0 | bit } else { self.0 & !bit };
    }

    /// Whether it is so.
    pub(super) fn has(self, fact: Fact) -> bool {
        self.0 & 1 << fact as u32 != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_one_about_a_fact_counts_and_others_stay() {
        let mut facts = Facts::default();
        for (fact, is_so) in [(Fact::Assemble, true), (Fact::CompilationDir, true), (Fact::Assemble, false)] {
            facts.set(fact, is_so);
            assert_eq!(facts.has(fact), is_so);
        }
        assert!(facts.has(Fact::CompilationDir) && !facts.has(Fact::Compile));
    }
}
