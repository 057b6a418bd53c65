//! The one table of compiler options: whether a value follows, and what the option means for sending a job away.
//!
//! "Lost" marks options whose side files or inputs would be lost on the way. It knows options one by one; what they
//! mean together is `classify.rs`'s.

use super::Side;
use super::reason::Reason;
use crate::job::Language;

/// What an option does to the job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Does {
    /// Nothing but go to that side.
    Keep(Side),
    /// Kept here; the job must be local.
    Local(Reason),
    /// `-S`
    Assemble,
    /// `-c`
    Compile,
    /// `-o`
    Output,
    /// `-x`
    Language,
    /// `-ObjC`, `-ObjC++`: clang's, for sources whose language no `-x` tells.
    ObjC(Language),
    /// `-m…=native`
    Native,
    /// `-MD` and its like: a dependency file is wanted; `true` for the driver's own spelling.
    DepWanted(bool),
    /// `-MF`
    DepFile,
    /// `-MT`, `-MQ`
    DepTarget,
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
    /// `-gsplit-dwarf` and its like: whether a `.dwo` is written.
    SplitDwarf(bool),
    /// `-f[no-]verbose-asm`: gcc's assembler text then shows lines that it reads from the source files.
    VerboseAsm(bool),
    /// `-f[no-]diagnostics-show-caret`
    Caret(bool),
    /// The user chose colours.
    Color,
    /// `-fdiagnostics-color=auto`: as if never given.
    ColorAuto,
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
    /// `-target`, `--target=`
    Target,
    /// `-W…`, `-w`, `-pedantic` and its like.
    Warning,
    /// Messages that show places in the text that the compiler reads.
    Ranges,
    /// The command line goes into the object: clang's is another one on the server, gcc's its options.
    CommandLine,
    /// `-g…`: gcc's debug information shows its options.
    Debug,
    /// `-emit-llvm`
    EmitLlvm,
    /// Not given to the preprocessor, else an ordinary option.
    HideFromPreprocessor,
    /// `-f[no-]openmp` and its like, by which gcc knows other pragmas.
    Pragmas,
    /// `-fobjc-runtime=`
    ObjcRuntime,
    /// `-finput-charset=`: the preprocessor makes UTF-8 of it.
    InputCharset,
    /// `-fexec-charset=`: UTF-8 is the default, for which nothing is converted.
    ExecCharset,
    /// `-fdebug-compilation-dir=` and its like.
    CompilationDir,
}

/// Where the value of an option stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// It has none.
    No,
    /// In the next argument, with the option's own side.
    Next,
    /// In the next argument; without it the compiler refuses the command line, so let it.
    Must,
    /// In the next argument, which goes to both sides (1.4 takes the option for `-l…`).
    NextRest,
    /// Behind the name, in the same argument.
    Joined,
}

/// An option.
#[derive(Clone, Copy, Debug)]
pub(super) struct Opt {
    /// The whole argument, or the beginning of it in [`JOINED`].
    pub(super) name: &'static str,
    /// Where its value stands.
    pub(super) value: Value,
    /// What it means.
    pub(super) does: Does,
}

const fn o(name: &'static str, value: Value, does: Does) -> Opt {
    Opt { name, value, does }
}

/// What is known about `word`, a short spelling: the exact option, else the longest beginning that fits, else nothing.
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
const NO_OBJECT: Does = Local(Reason::NoObject);
const NAMING: Does = Local(Reason::SideFileName);
const SWITCHES: Does = Local(Reason::CommandLine);
const REST: Does = Does::Keep(Side::Rest);
const HERE: Does = Does::Keep(Side::Local);
const CPP: Does = Does::Keep(Side::Cpp);
use Does::{Color, DepFile, DepTarget, DepWanted, Local, Native, Path};
use Value::{Joined, Must, Next, NextRest, No};

/// Whole arguments, sorted by bytes.
const EXACT: &[Opt] = &[
    o("-###", No, REPORT),
    o("--", No, Local(Reason::Separator)), // by 1.4's accident; the words behind it may be anything
    o("--CLASSPATH", Next, REST),
    o("--allowable_client", Next, REST),
    o("--analyze", No, NO_OBJECT),
    o("--bootclasspath", Next, REST),
    o("--classpath", Next, REST),
    o("--encoding", Next, REST),
    o("--extdirs", Next, REST),
    o("--output-class-directory", Next, REST),
    o("--param", Next, Does::Keep(Side::Remote)),
    o("--precompile", No, MODULES),
    o("--resource", Next, REST),
    o("--rtlib", Next, REST),
    o("--serialize-diagnostics", Next, LOST),
    o("--system-header-prefix", Next, REST),
    o("-A", Next, CPP),
    o("-B", Next, Does::Prefix),
    o("-D", Next, CPP),
    o("-E", No, Local(Reason::PreprocessOnly)),
    o("-F", Next, Path),
    o("-G", Next, REST),
    o("-I", Next, Path),
    o("-L", Next, Path),
    o("-M", No, Local(Reason::DependenciesOnly)),
    o("-MD", No, DepWanted(true)),
    o("-MF", Must, DepFile),
    o("-MG", No, HERE),
    o("-MJ", Next, LOST),
    o("-MM", No, Local(Reason::DependenciesOnly)),
    o("-MMD", No, DepWanted(true)),
    o("-MP", No, HERE),
    o("-MQ", Must, DepTarget),
    o("-MT", Must, DepTarget),
    o("-MV", No, HERE),
    o("-ObjC", No, Does::ObjC(Language::ObjC)),
    o("-ObjC++", No, Does::ObjC(Language::ObjCxx)),
    o("-P", No, Does::HideFromPreprocessor), // its text must tell files, lines and folder, whatever a plain -E would print
    o("-Q", No, REPORT),
    o("-R", Next, REST), // of no use without a link
    o("-S", No, Does::Assemble),
    o("-T", Next, REST), // of no use without a link
    o("-Tbss", Next, REST),
    o("-Tdata", Next, REST),
    o("-Ttext", Next, REST),
    o("-U", Next, CPP),
    o("-Werror=missing-include-dirs", No, HERE),
    o("-Wmissing-include-dirs", No, HERE),
    o("-Xanalyzer", Next, REST),
    o("-Xarch_device", Next, REST),
    o("-Xarch_host", Next, REST),
    o("-Xassembler", Must, Does::Assembler),
    o("-Xclang", Next, Does::Xclang),
    o("-Xlinker", Must, REST),
    o("-Xopenmp-target", Next, REST),
    o("-Xpreprocessor", Must, Does::Preprocessor),
    o("-arch", Next, REST),
    o("-arch_only", Next, REST),
    o("-arcmt-migrate-report-output", Next, REST),
    o("-aux-info", Next, LOST),
    o("-bundle_loader", Next, REST),
    o("-c", No, Does::Compile),
    o("-c-isystem", Next, Path),
    o("-coverage", No, LOST),
    o("-cxx-isystem", Next, Path),
    o("-dependency-dot", Next, REST),
    o("-dependency-file", Next, REST),
    o("-dumpbase", Next, NAMING),
    o("-dumpbase-ext", Next, NAMING),
    o("-dumpdir", Next, NAMING),
    o("-dyld-prefix", Next, REST),
    o("-dylib_file", Next, REST),
    o("-dynamic", No, REST),
    o("-e", Next, REST), // of no use without a link
    o("-emit-llvm", No, Does::EmitLlvm),
    o("-exported_symbols_list", Next, REST),
    o("-fbranch-probabilities", No, ABSENT),
    o("-fbuiltin-module-map", No, MODULES),
    o("-fcallgraph-info", No, LOST),
    o("-fcolor-diagnostics", No, Color),
    o("-fcoverage-mapping", No, NAMES),
    o("-fcxx-modules", No, MODULES),
    o("-fdbg-cnt-list", No, REPORT),
    o("-fdiagnostics-color", No, Color),
    o("-fdiagnostics-color=always", No, Color),
    o("-fdiagnostics-color=auto", No, Does::ColorAuto),
    o("-fdiagnostics-color=never", No, Color),
    o("-fdiagnostics-format=text", No, REST),
    o("-fdiagnostics-parseable-fixits", No, Does::Ranges),
    o("-fdiagnostics-print-source-range-info", No, Does::Ranges),
    o("-fdiagnostics-show-caret", No, Does::Caret(true)),
    o("-fembed-bitcode-marker", No, SWITCHES),
    o("-filelist", Next, REST),
    o("-fimplicit-module-maps", No, MODULES),
    o("-fintegrated-as", No, Does::OwnAssembler(true)),
    o("-fkeep-system-includes", No, Does::HideFromPreprocessor),
    o("-flto-report", No, REPORT),
    o("-fmem-report", No, REPORT),
    o("-fmodule-header", No, MODULES),
    o("-fmodule-implementation-of", Next, REST),
    o("-fmodule-name", Next, REST),
    o("-fmodule-only", No, MODULES),
    o("-fmodule-output", No, MODULES),
    o("-fmodules", No, MODULES),
    o("-fmodules-ts", No, MODULES),
    o("-fmodules-user-build-path", Next, REST),
    o("-fnew-alignment", Next, REST),
    o("-fno-color-diagnostics", No, Color),
    o("-fno-diagnostics-color", No, Color),
    o("-fno-diagnostics-show-caret", No, Does::Caret(false)),
    o("-fno-integrated-as", No, Does::OwnAssembler(false)),
    o("-fno-openacc", No, Does::Pragmas),
    o("-fno-openmp", No, Does::Pragmas),
    o("-fno-openmp-simd", No, Does::Pragmas),
    o("-fno-verbose-asm", No, Does::VerboseAsm(false)),
    o("-fno-working-directory", No, Does::HideFromPreprocessor),
    o("-fopenacc", No, Does::Pragmas),
    o("-fopenmp", No, Does::Pragmas),
    o("-fopenmp-simd", No, Does::Pragmas),
    o("-force_load", Next, REST),
    o("-fpch-preprocess", No, Does::HideFromPreprocessor), // it needs a precompiled header, which servers lack
    o("-fpost-ipa-mem-report", No, REPORT),
    o("-fpre-ipa-mem-report", No, REPORT),
    o("-fprebuilt-implicit-modules", No, MODULES),
    o("-fprofile-arcs", No, LOST),
    o("-fprofile-generate", No, NAMES),
    o("-fprofile-instr-use", No, ABSENT),
    o("-fprofile-report", No, REPORT),
    o("-fprofile-use", No, ABSENT),
    o("-framework", Next, REST),
    o("-frecord-command-line", No, Does::CommandLine),
    o("-frecord-gcc-switches", No, Does::CommandLine),
    o("-frepo", No, LOST),
    o("-frewrite-map-file", Next, REST),
    o("-fstats", No, REPORT),
    o("-fsyntax-only", No, Local(Reason::NoObject)),
    o("-ftest-coverage", No, LOST),
    o("-ftime-trace", No, LOST),
    o("-ftrapv-handler", Next, REST),
    o("-fuse-line-directives", No, Does::HideFromPreprocessor),
    o("-fverbose-asm", No, Does::VerboseAsm(true)),
    o("-gcc-toolchain", Next, REST),
    o("-gembed-source", No, NAMES),
    o("-gen-cdb-fragment-path", Next, LOST),
    o("-gen-decls", No, LOST),
    o("-gno-split-dwarf", No, Does::SplitDwarf(false)),
    o("-grecord-command-line", No, Does::CommandLine),
    o("-grecord-gcc-switches", No, Does::CommandLine),
    o("-gsplit-dwarf", No, Does::SplitDwarf(true)),
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
    o("-integrated-as", No, Does::OwnAssembler(true)),
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
    o("-lazy_framework", NextRest, HERE),
    o("-lazy_library", NextRest, HERE),
    o("-march=native", No, Native),
    o("-mcpu=native", No, Native),
    o("-meabi", Next, REST),
    o("-mhwdiv", Next, REST),
    o("-mllvm", Next, REST),
    o("-module-dependency-dir", Next, REST),
    o("-mthread-model", Next, REST),
    o("-mtune=native", No, Native),
    o("-multiply_defined", Next, REST),
    o("-multiply_defined_unused", Next, REST),
    o("-no-integrated-as", No, Does::OwnAssembler(false)),
    o("-nostdinc", No, HERE),
    o("-nostdinc++", No, HERE),
    o("-o", Next, Does::Output),
    o("-pedantic", No, Does::Warning),
    o("-pedantic-errors", No, Does::Warning),
    o("-resource-dir", Next, REST),
    o("-rpath", Next, REST),
    o("-s", No, REST),
    o("-save-temps", No, LOST),
    o("-seg_addr_table", Next, REST),
    o("-seg_addr_table_filename", Next, REST),
    o("-segs_read_only_addr", Next, REST),
    o("-segs_read_write_addr", Next, REST),
    o("-serialize-diagnostics", Next, LOST),
    o("-specs", Next, Does::Specs),
    o("-std", Next, REST),
    o("-stdlib++-isystem", Next, Path),
    o("-target", Next, Does::Target),
    o("-u", Next, REST), // of no use without a link
    o("-umbrella", Next, REST),
    o("-undef", No, CPP),
    o("-undefined", Next, REST),
    o("-unexported_symbols_list", Next, REST),
    o("-v", No, REPORT),
    o("-w", No, Does::Warning),
    o("-weak_library", Next, REST),
    o("-weak_reference_mismatches", Next, REST),
    o("-working-directory", Next, Local(Reason::WorkingDirectory)),
    o("-wrapper", Next, Local(Reason::ProgramPath)),
    o("-x", Next, Does::Language),
    o("-z", Next, REST), // of no use without a link
];

/// Arguments by how they begin; the longest fitting one counts.
const JOINED: &[Opt] = &[
    o("--completion=", Joined, NO_OBJECT),
    o("--config", Joined, ABSENT),
    o("--help", Joined, NO_OBJECT),
    o("--migrate", Joined, NO_OBJECT),
    o("--no-target-help", Joined, NO_OBJECT),
    o("--print-", Joined, NO_OBJECT),
    o("--target-help", Joined, NO_OBJECT),
    o("--version", Joined, NO_OBJECT),
    o("-A", Joined, CPP),
    o("-B", Joined, Does::Prefix),
    o("-D", Joined, CPP),
    o("-F", Joined, HERE),
    o("-I", Joined, HERE),
    o("-L", Joined, HERE),
    o("-MF", Joined, DepFile),
    o("-MJ", Joined, LOST),
    o("-MQ", Joined, DepTarget),
    o("-MT", Joined, DepTarget),
    o("-Rpass", Joined, REPORT),
    o("-U", Joined, CPP),
    o("-W", Joined, Does::Warning),
    o("-Wa,", Joined, Does::Assembler),
    o("-Wp,", Joined, Does::Preprocessor),
    o("-aux-info=", Joined, LOST),
    o("-c-isystem", Joined, HERE),
    o("-cxx-isystem", Joined, HERE),
    o("-ccc-", Joined, NO_OBJECT),
    o("-d", Joined, REPORT), // -da and its like
    o("-emit-ast", Joined, NO_OBJECT),
    o("-emit-interface-stubs", Joined, NO_OBJECT),
    o("-emit-merged-ifs", Joined, NO_OBJECT),
    o("-extract-api", Joined, NO_OBJECT),
    o("-fauto-profile", Joined, ABSENT),
    o("-fbasic-block-sections=list=", Joined, ABSENT),
    o("-fbuild-session-file=", Joined, ABSENT),
    o("-fcallgraph-info=", Joined, LOST),
    o("-fcs-profile-generate", Joined, NAMES),
    o("-fdebug-compilation-dir=", Joined, Does::CompilationDir),
    o("-fdeps-", Joined, HERE), // as -M…: modules that a file needs, for the build system
    o("-fdiagnostics-add-output=", Joined, LOST),
    o("-fdiagnostics-format=", Joined, Does::Ranges),
    o("-fdiagnostics-format=json", Joined, REPORT),
    o("-fdiagnostics-format=json-file", Joined, LOST),
    o("-fdiagnostics-format=sarif", Joined, REPORT),
    o("-fdiagnostics-format=sarif-file", Joined, LOST),
    o("-fdiagnostics-set-output=", Joined, LOST),
    o("-fdump", Joined, Local(Reason::Report)),
    o("-fembed-offload-object=", Joined, ABSENT),
    o("-fexec-charset", Joined, Local(Reason::Charset)),
    o("-fexec-charset=", Joined, Does::ExecCharset),
    o("-fexperimental-sanitize-metadata-ignorelist=", Joined, Does::ExtraList),
    o("-ffile-compilation-dir=", Joined, Does::CompilationDir),
    o("-finput-charset=", Joined, Does::InputCharset),
    o("-fhelp", Joined, NO_OBJECT),
    o("-fmodule-file=", Joined, MODULES),
    o("-fmodule-header=", Joined, MODULES),
    o("-fmodule-map-file=", Joined, MODULES),
    o("-fmodule-mapper=", Joined, MODULES),
    o("-fmodule-output=", Joined, MODULES),
    o("-fmodules-cache-path=", Joined, MODULES),
    o("-fobjc-runtime=", Joined, Does::ObjcRuntime),
    o("-fopenmp-targets=", Joined, Local(Reason::ProgramPath)), // other tools, and libraries of other machines
    o("-fopt-info", Joined, REPORT),
    o("-foptimization-record-", Joined, LOST),
    o("-fpass-plugin=", Joined, Does::ExtraFile),
    o("-fplugin=", Joined, Does::Plugin),
    o("-fprebuilt-module-path=", Joined, MODULES),
    o("-fproc-stat-report", Joined, REPORT),
    o("-fprofile-dir=", Joined, NAMES),
    o("-fprofile-generate=", Joined, NAMES),
    o("-fprofile-instr-generate", Joined, NAMES),
    o("-fprofile-instr-use=", Joined, Does::Profile),
    o("-fprofile-list=", Joined, Does::ExtraList),
    o("-fprofile-note=", Joined, LOST),
    o("-fprofile-remapping-file=", Joined, ABSENT),
    o("-fprofile-sample-use=", Joined, Does::ExtraFile),
    o("-fprofile-use=", Joined, Does::Profile),
    o("-fsanitize-blacklist=", Joined, Does::ExtraList),
    o("-fsanitize-coverage-allowlist=", Joined, Does::ExtraList),
    o("-fsanitize-coverage-blacklist=", Joined, Does::ExtraList),
    o("-fsanitize-coverage-blocklist=", Joined, Does::ExtraList),
    o("-fsanitize-coverage-ignorelist=", Joined, Does::ExtraList),
    o("-fsanitize-coverage-whitelist=", Joined, Does::ExtraList),
    o("-fsanitize-ignorelist=", Joined, Does::ExtraList),
    o("-fsave-optimization-record", Joined, LOST),
    o("-fself-test", Joined, NO_OBJECT),
    o("-fstack-usage", Joined, LOST),
    o("-ftarget-help", Joined, NO_OBJECT),
    o("-fthin-link-bitcode=", Joined, LOST),
    o("-ftime-report", Joined, Local(Reason::Report)),
    o("-ftime-trace=", Joined, LOST),
    o("-fversion", Joined, NO_OBJECT),
    o("-fwide-exec-charset", Joined, Local(Reason::Charset)),
    o("-fxray-always-instrument=", Joined, Does::ExtraList),
    o("-fxray-attr-list=", Joined, Does::ExtraList),
    o("-fxray-never-instrument=", Joined, Does::ExtraList),
    o("-fwpa", Joined, NO_OBJECT),
    o("-g", Joined, Does::Debug),
    o("-gen-reproducer", Joined, NO_OBJECT),
    o("-help", Joined, NO_OBJECT),
    o("-idirafter", Joined, HERE),
    o("-iframework", Joined, HERE),
    o("-iframeworkwithsysroot", Joined, HERE),
    o("-imacros", Joined, Does::Macros),
    o("-imultilib", Joined, HERE),
    o("-include", Joined, Does::Include),
    o("-iprefix", Joined, HERE),
    o("-iquote", Joined, HERE),
    o("-isysroot", Joined, HERE),
    o("-isystem", Joined, HERE),
    o("-isystem-after", Joined, HERE),
    o("-ivfsoverlay", Joined, HERE),
    o("-iwithprefix", Joined, HERE),
    o("-iwithprefixbefore", Joined, HERE),
    o("-iwithsysroot", Joined, HERE),
    o("-l", Joined, HERE),
    o("-module-file-info", Joined, NO_OBJECT),
    o("-o", Joined, Does::Output),
    o("-objcmt-", Joined, LOST), // clang's
    o("-print-", Joined, NO_OBJECT),
    o("-rewrite-", Joined, NO_OBJECT),
    o("-save-stats", Joined, LOST),
    o("-save-temps=", Joined, LOST),
    o("-serialize-diagnostics=", Joined, LOST),
    o("-specs=", Joined, Does::Specs),
    o("-stdlib++-isystem", Joined, HERE),
    o("-time", Joined, REPORT),
    o("-verify-pch", Joined, NO_OBJECT),
    o("-working-directory", Joined, Local(Reason::WorkingDirectory)),
    o("-x", Joined, Does::Language),
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
        assert_eq!(find(b"-MFx").map(|opt| opt.does), Some(DepFile));
        assert_eq!(find(b"-Wp,-MMD,x").map(|opt| opt.does), Some(Does::Preprocessor));
        assert_eq!(find(b"-ftime-trace-granularity=1").map(|opt| opt.does), None);
        assert!(find(b"-O2").is_none());
    }
}
