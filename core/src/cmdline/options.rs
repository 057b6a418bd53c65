//! The one table of compiler options: whether a value follows, and what the option means for sending a job away.
//!
//! Numbers in comments are rows of `spec/client.md` C.2; "lost" marks options whose side files or inputs would be lost (C.8).
//! It knows options one by one; what they mean together is `classify.rs`'s.

use super::reason::Reason;
use super::{Family, Side};

/// What an option does to the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Nothing but go to that side.
    Keep(Side),
    /// Kept here; the job must be local.
    Local(Reason),
    /// As `Local` for that family; for the other the word is kept here and not shown to the preprocessor.
    Modules(Family),
    /// `-S`
    Assemble,
    /// `-c`
    Compile,
    /// `-o`
    Output,
    /// `-x`
    Language,
    /// `-m…=native`
    Native,
    /// `-MD` and its like: a dependency file is wanted; `true` for the driver's own spelling.
    DepWanted(bool),
    /// `-MF`
    DepFile,
    /// `-MT`, `-MQ`
    DepTarget,
    /// `-Wp,-MT,…`, `-Wp,-MQ,…`
    DepTargetToCpp,
    /// A path for the preprocessor; a value that starts with `-O` is a forgotten one.
    Path,
    /// `-imacros`
    Macros,
    /// `-include`
    Include,
    /// `-include-pch`
    IncludePch,
    /// `-Wa,…`
    Assembler,
    /// `-gsplit-dwarf` and its like: whether a `.dwo` is written.
    SplitDwarf(bool),
    /// `-f[no-]diagnostics-show-caret`
    Caret(bool),
    /// The user chose colours.
    Color,
    /// `-fdiagnostics-color=auto`: as if never given.
    ColorAuto,
    /// `-fplugin=FILE` and its like: the file travels in the environment.
    ExtraFile,
    /// `-fsanitize-blacklist=FILE`: likewise, unless it names source files, by which a server does not know what it compiles.
    ExtraList,
    /// `-Xclang`
    Xclang,
    /// `-target`, `--target=`
    Target,
    /// `-W[no-]unused-macros`
    UnusedMacros(bool),
    /// `-pedantic` and its like
    Pedantic,
    /// `-emit-llvm`
    EmitLlvm,
    /// `-Xlinker` and its like: hand one word on; a word without dash looks like an input to 1.4 and makes the job local.
    HandOn(Side),
    /// `-Xassembler`, likewise.
    HandOnToAssembler,
    /// Not given to the preprocessor, else an ordinary option.
    HideFromPreprocessor,
    /// `-finput-charset=`: the preprocessor makes UTF-8 of it.
    InputCharset,
    /// `-fdebug-compilation-dir=` and its like.
    CompilationDir,
}

/// Whether the next word belongs to an option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// No.
    No,
    /// Yes, with the option's own side.
    Next,
    /// Yes; without it the compiler refuses the command line, so let it.
    Must,
    /// Yes, but it goes to both sides (1.4 takes the option for `-l…`).
    NextRest,
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt {
    /// Exact word, or the beginning of it in [`JOINED`].
    pub(super) name: &'static str,
    /// Whether the next word belongs to it.
    pub(super) value: Value,
    /// What it means.
    pub(super) does: Does,
}

const fn o(name: &'static str, value: Value, does: Does) -> Opt {
    Opt { name, value, does }
}

/// What is known about `word`: the exact option, else the longest beginning that fits, else nothing.
pub(super) fn find(word: &[u8]) -> Option<&'static Opt> {
    if let Ok(i) = EXACT.binary_search_by(|opt| opt.name.as_bytes().cmp(word)) {
        return EXACT.get(i);
    }
    JOINED.iter().filter(|opt| word.starts_with(opt.name.as_bytes())).max_by_key(|opt| opt.name.len())
}

const LOST: Does = Local(Reason::SideFile);
const ABSENT: Does = Local(Reason::RemoteInput);
const MODULES: Does = Local(Reason::Modules);
const NAMES: Does = Local(Reason::SourceName);
const REPORT: Does = Local(Reason::Report);
const REST: Does = Does::Keep(Side::Rest);
const HERE: Does = Does::Keep(Side::Local);
const CPP: Does = Does::Keep(Side::Cpp);
use Does::{Color, DepFile, DepTarget, DepWanted, HandOn, Local, Native, Path};
use Value::{Must, Next, NextRest, No};

/// Exact words, sorted by bytes.
const EXACT: &[Opt] = &[
    o("-###", No, REPORT),
    o("--", No, Local(Reason::Separator)), // 12, by 1.4's accident; the words behind it may be anything
    o("--CLASSPATH", Next, REST),
    o("--allowable_client", Next, REST),
    o("--analyze", No, REPORT),
    o("--assert", Next, REST),
    o("--bootclasspath", Next, REST),
    o("--classpath", Next, REST),
    o("--coverage", No, LOST), // 12
    o("--encoding", Next, REST),
    o("--extdirs", Next, REST),
    o("--force-link", Next, REST),
    o("--include-directory", Next, Path),
    o("--include-directory-after", Next, Path),
    o("--include-prefix", Next, Path),
    o("--include-with-prefix", Next, Path),
    o("--include-with-prefix-after", Next, Path),
    o("--include-with-prefix-before", Next, Path),
    o("--library-directory", Next, Path),
    o("--no-line-commands", No, Does::HideFromPreprocessor),
    o("--output-class-directory", Next, REST),
    o("--param", Next, Does::Keep(Side::Remote)), // 8
    o("--precompile", No, MODULES),
    o("--prefix", Next, REST),
    o("--resource", Next, REST),
    o("--rtlib", Next, REST),
    o("--save-temps", No, LOST), // 12
    o("--serialize-diagnostics", Next, LOST),
    o("--stdlib", Next, REST),
    o("--sysroot", Next, REST),
    o("--system-header-prefix", Next, REST),
    o("--verbose", No, REPORT),
    o("-A", Next, Local(Reason::LinkOption)),
    o("-B", Next, Local(Reason::ProgramPath)), // 9
    o("-D", Next, CPP),                        // 19
    o("-E", No, Local(Reason::PreprocessOnly)),
    o("-I", Next, Path), // 20
    o("-L", Next, Path),
    o("-MD", No, DepWanted(true)), // 3
    o("-MF", Must, DepFile),       // 5
    o("-MG", No, HERE),            // 4
    o("-MMD", No, DepWanted(true)),
    o("-MP", No, HERE),
    o("-MQ", Must, DepTarget), // 6
    o("-MT", Must, DepTarget),
    o("-P", No, Does::HideFromPreprocessor), // its text must tell files, lines and folder, whatever a plain -E would print
    o("-Q", No, REPORT),
    o("-S", No, Does::Assemble), // 11
    o("-T", Next, Local(Reason::LinkOption)),
    o("-U", Next, CPP),
    o("-Werror=missing-include-dirs", No, HERE), // 26
    o("-Werror=unused-macros", No, Does::UnusedMacros(true)),
    o("-Wmissing-include-dirs", No, HERE),
    o("-Wno-unused-macros", No, Does::UnusedMacros(false)),
    o("-Wpedantic", No, Does::Pedantic), // 34
    o("-Wunused-macros", No, Does::UnusedMacros(true)),
    o("-Xassembler", No, Does::HandOnToAssembler),
    o("-Xclang", No, Does::Xclang), // 31
    o("-Xlinker", No, HandOn(Side::Rest)),
    o("-Xpreprocessor", No, HandOn(Side::Cpp)),
    o("-arch", Next, REST), // 35
    o("-arch_only", Next, REST),
    o("-arcmt-migrate-report-output", Next, REST),
    o("-aux-info", Next, LOST),
    o("-bundle_loader", Next, REST),
    o("-c", No, Does::Compile), // 17
    o("-c-isystem", Next, Path),
    o("-combine", No, Local(Reason::Report)), // 2
    o("-coverage", No, LOST),
    o("-cxx-isystem", Next, Path),
    o("-dependency-dot", Next, REST),
    o("-dependency-file", Next, REST),
    o("-dumpbase", Next, LOST),
    o("-dumpbase-ext", Next, LOST),
    o("-dumpdir", Next, LOST),
    o("-dyld-prefix", Next, REST),
    o("-dylib_file", Next, REST),
    o("-dynamic", No, REST),
    o("-e", Next, Local(Reason::LinkOption)),
    o("-emit-llvm", No, Does::EmitLlvm),
    o("-exported_symbols_list", Next, REST),
    o("-fbranch-probabilities", No, LOST), // 12
    o("-fbuiltin-module-map", No, Does::Modules(Family::Clang)),
    o("-fcallgraph-info", No, LOST),
    o("-fcolor-diagnostics", No, Color), // 27
    o("-fcoverage-mapping", No, NAMES),
    o("-fcxx-modules", No, Does::Modules(Family::Clang)), // 21
    o("-fdiagnostics-color", No, Color),
    o("-fdiagnostics-color=always", No, Color),
    o("-fdiagnostics-color=auto", No, Does::ColorAuto), // 28
    o("-fdiagnostics-color=never", No, Color),
    o("-fdiagnostics-show-caret", No, Does::Caret(true)), // 29
    o("-fembed-bitcode-marker", No, NAMES),
    o("-fexec-charset=UTF-8", No, REST), // the default, for which nothing is converted
    o("-fexec-charset=utf-8", No, REST),
    o("-filelist", Next, REST),
    o("-fimplicit-module-maps", No, Does::Modules(Family::Clang)),
    o("-finput-charset", No, Local(Reason::Charset)),
    o("-fkeep-system-includes", No, Does::HideFromPreprocessor),
    o("-fmem-report", No, REPORT),
    o("-fmodule-header", No, MODULES),
    o("-fmodule-implementation-of", Next, REST),
    o("-fmodule-name", Next, REST),
    o("-fmodule-only", No, MODULES),
    o("-fmodule-output", No, MODULES),
    o("-fmodules", No, Does::Modules(Family::Clang)),
    o("-fmodules-ts", No, Does::Modules(Family::Clang)),
    o("-fmodules-user-build-path", Next, REST),
    o("-fnew-alignment", Next, REST),
    o("-fno-color-diagnostics", No, Color),
    o("-fno-diagnostics-color", No, Color),
    o("-fno-diagnostics-show-caret", No, Does::Caret(false)),
    o("-fno-working-directory", No, Does::HideFromPreprocessor),
    o("-force_load", Next, REST),
    o("-fpch-preprocess", No, Does::HideFromPreprocessor), // C.6
    o("-fprebuilt-implicit-modules", No, Does::Modules(Family::Clang)),
    o("-fprofile-arcs", No, LOST), // 12
    o("-fprofile-generate", No, LOST),
    o("-fprofile-use", No, ABSENT),
    o("-framework", Next, REST),
    o("-frecord-command-line", No, NAMES),
    o("-frepo", No, LOST),
    o("-frewrite-map-file", Next, REST),
    o("-fstats", No, REPORT),
    o("-fsyntax-only", No, Local(Reason::Report)), // 2
    o("-ftest-coverage", No, LOST),
    o("-ftime-trace", No, LOST),
    o("-ftrapv-handler", Next, REST),
    o("-fuse-line-directives", No, Does::HideFromPreprocessor),
    o("-gcc-toolchain", Next, REST),
    o("-gembed-source", No, NAMES),
    o("-gno-split-dwarf", No, Does::SplitDwarf(false)),
    o("-gsplit-dwarf", No, Does::SplitDwarf(true)), // 13
    o("-gsplit-dwarf=single", No, Does::SplitDwarf(false)),
    o("-gsplit-dwarf=split", No, Does::SplitDwarf(true)),
    o("-i", Next, Path),
    o("-idirafter", Next, Path),
    o("-iframework", Next, Path),
    o("-iframeworkwithsysroot", Next, Path),
    o("-imacros", Next, Does::Macros),
    o("-image_base", Next, REST),
    o("-imultilib", Next, Path),
    o("-include", Next, Does::Include),
    o("-include-pch", Next, Does::IncludePch),
    o("-init", Next, REST),
    o("-install_name", Next, REST),
    o("-iprefix", Next, Path),
    o("-iquote", Next, Path),
    o("-isysroot", Next, Path),
    o("-isystem", Next, Path),
    o("-isystem-after", Next, Path),
    o("-ivfsoverlay", Next, Path),
    o("-iwithprefix", Next, Path),
    o("-iwithprefixbefore", Next, Path),
    o("-iwithsysroot", Next, Path),
    o("-l", Next, Path),
    o("-lazy_framework", NextRest, HERE), // 23
    o("-lazy_library", NextRest, HERE),
    o("-march=native", No, Native), // 15
    o("-mcpu=native", No, Native),
    o("-meabi", Next, REST),
    o("-mhwdiv", Next, REST),
    o("-mllvm", Next, REST),
    o("-module-dependency-dir", Next, REST),
    o("-mthread-model", Next, REST),
    o("-mtune=native", No, Native),
    o("-multiply_defined", Next, REST),
    o("-multiply_defined_unused", Next, REST),
    o("-nostdinc", No, HERE), // 25
    o("-nostdinc++", No, HERE),
    o("-o", Next, Does::Output), // 18
    o("-pedantic", No, Does::Pedantic),
    o("-pedantic-errors", No, Does::Pedantic),
    o("-rpath", Next, REST),
    o("-rtlib", Next, Local(Reason::LinkOption)),
    o("-s", No, Local(Reason::LinkOption)), // 12, by 1.4's accident
    o("-save-temps", No, LOST),
    o("-seg_addr_table", Next, REST),
    o("-seg_addr_table_filename", Next, REST),
    o("-segs_read_only_addr", Next, REST),
    o("-segs_read_write_addr", Next, REST),
    o("-serialize-diagnostics", Next, LOST),
    o("-std", Next, REST),
    o("-target", Next, Does::Target), // 32
    o("-u", Next, Local(Reason::LinkOption)),
    o("-umbrella", Next, REST),
    o("-undef", No, CPP), // 24
    o("-unexported_symbols_list", Next, REST),
    o("-v", No, REPORT),
    o("-weak_library", Next, REST),
    o("-weak_reference_mismatches", Next, REST),
    o("-wrapper", Next, Local(Reason::ProgramPath)),
    o("-x", Next, Does::Language), // 14
    o("-z", Next, Local(Reason::LinkOption)),
];

/// Words by how they begin; the longest fitting one counts.
const JOINED: &[Opt] = &[
    o("--config", No, ABSENT),
    o("--save-temps=", No, LOST),
    o("--specs=", No, ABSENT),
    o("--target=", No, Does::Target),
    o("-B", No, Local(Reason::ProgramPath)),
    o("-D", No, CPP),  // 22
    o("-I", No, HERE), // 23
    o("-L", No, HERE),
    o("-M", No, Local(Reason::DependenciesOnly)), // 7
    o("-Rpass", No, REPORT),
    o("-U", No, CPP),
    o("-Wa,", No, Does::Assembler), // 10
    o("-Wp,", No, CPP),
    o("-Wp,-MD", No, DepWanted(false)),
    o("-Wp,-MF", No, DepFile), // the value is inside the word (Improve 5)
    o("-Wp,-MMD", No, DepWanted(false)),
    o("-Wp,-MQ", No, Does::DepTargetToCpp),
    o("-Wp,-MT", No, Does::DepTargetToCpp),
    o("-d", No, REPORT), // -da and its like
    o("-fauto-profile", No, ABSENT),
    o("-fbasic-block-sections=list=", No, ABSENT),
    o("-fbuild-session-file=", No, ABSENT),
    o("-fcallgraph-info=", No, LOST),
    o("-fcs-profile-generate", No, LOST),
    o("-fdebug-compilation-dir=", No, Does::CompilationDir),
    o("-fdeps-", No, HERE), // as -M…: modules that a file needs, for the build system
    o("-fdiagnostics-add-output=", No, LOST),
    o("-fdiagnostics-format=json", No, LOST),
    o("-fdiagnostics-format=sarif", No, LOST),
    o("-fdiagnostics-set-output=", No, LOST),
    o("-fdump", No, Local(Reason::Report)), // 2
    o("-fembed-offload-object=", No, ABSENT),
    o("-fexec-charset", No, Local(Reason::Charset)), // 16
    o("-fexperimental-sanitize-metadata-ignorelist=", No, ABSENT),
    o("-ffile-compilation-dir=", No, Does::CompilationDir),
    o("-finput-charset=", No, Does::InputCharset),
    o("-fmodule-file=", No, MODULES),
    o("-fmodule-header=", No, MODULES),
    o("-fmodule-map-file=", No, MODULES),
    o("-fmodule-mapper=", No, Does::Modules(Family::Clang)),
    o("-fmodule-output=", No, MODULES),
    o("-fmodules-cache-path=", No, Does::Modules(Family::Clang)),
    o("-fopenmp-targets=", No, Local(Reason::ProgramPath)), // other tools, and libraries of other machines
    o("-fopt-info", No, REPORT),
    o("-foptimization-record-", No, LOST),
    o("-fpass-plugin=", No, Does::ExtraFile),
    o("-fplugin=", No, Does::ExtraFile), // 30
    o("-fprebuilt-module-path=", No, MODULES),
    o("-fproc-stat-report", No, REPORT),
    o("-fprofile-dir=", No, LOST),
    o("-fprofile-generate=", No, LOST),
    o("-fprofile-instr-generate", No, NAMES),
    o("-fprofile-instr-use", No, ABSENT),
    o("-fprofile-list=", No, ABSENT),
    o("-fprofile-note=", No, LOST),
    o("-fprofile-remapping-file=", No, ABSENT),
    o("-fprofile-sample-use=", No, Does::ExtraFile),
    o("-fprofile-use=", No, ABSENT),
    o("-fsanitize-blacklist=", No, Does::ExtraList),
    o("-fsanitize-coverage-allowlist=", No, ABSENT),
    o("-fsanitize-coverage-blacklist=", No, ABSENT),
    o("-fsanitize-coverage-blocklist=", No, ABSENT),
    o("-fsanitize-coverage-ignorelist=", No, ABSENT),
    o("-fsanitize-coverage-whitelist=", No, ABSENT),
    o("-fsanitize-ignorelist=", No, ABSENT),
    o("-fsave-optimization-record", No, LOST),
    o("-fstack-usage", No, LOST),
    o("-fthin-link-bitcode=", No, LOST),
    o("-ftime-report", No, Local(Reason::Report)),
    o("-ftime-trace=", No, LOST),
    o("-fwide-exec-charset", No, Local(Reason::Charset)),
    o("-fxray-always-instrument=", No, ABSENT),
    o("-fxray-attr-list=", No, ABSENT),
    o("-fxray-never-instrument=", No, ABSENT),
    o("-l", No, HERE),
    o("-o", No, Does::Output),
    o("-objcmt-", No, REST), // clang's; not an output name
    o("-save-stats", No, LOST),
    o("-save-temps=", No, LOST),
    o("-serialize-diagnostics=", No, LOST),
    o("-specs=", No, ABSENT),
    o("-time", No, REPORT),
    o("-working-directory", No, ABSENT),
    o("-x", No, Does::Language),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_exact_table_is_sorted_and_without_doubles() {
        for pair in EXACT.windows(2) {
            assert!(pair[0].name.as_bytes() < pair[1].name.as_bytes(), "{} / {}", pair[0].name, pair[1].name);
        }
    }

    #[test]
    fn exact_beats_joined_and_long_beats_short() {
        assert_eq!(find(b"-MD").map(|opt| opt.does), Some(DepWanted(true)));
        assert_eq!(find(b"-MV").map(|opt| opt.does), Some(Local(Reason::DependenciesOnly)));
        assert_eq!(find(b"-Wp,-MMD,x").map(|opt| opt.does), Some(DepWanted(false)));
        assert_eq!(find(b"-ftime-trace-granularity=1").map(|opt| opt.does), None);
        assert!(find(b"-O2").is_none());
    }
}
