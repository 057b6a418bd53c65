//! The one table of compiler options: whether a value follows, and what the option means for sending a job away.
//!
//! "Lost" marks options whose side files or inputs would be lost on the way. It knows options one by one; what they
//! mean together is `classify.rs`'s.

use super::Side;
use super::effect::{Does, Effect, Fact, both, by_rule, here};
use crate::job::Language;
use crate::reason::Reason;

/// Where the value of an option stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Value {
    /// It has none.
    No,
    /// In the next argument, with the option's own side.
    Next,
    /// In the next argument; without it the compiler refuses the command line, so let it.
    Must,
    /// In the next argument, which goes to both sides whatever the option's is (1.4 takes the option for `-l…`).
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
    /// Where it goes. `None`: that follows from more than the option, or it is not passed on.
    pub(super) side: Option<Side>,
    /// What else it means.
    pub(super) does: Does,
}

const fn o(name: &'static str, value: Value, (side, does): Effect) -> Opt {
    Opt { name, value, side, does }
}

/// What is known about `word`, a short spelling: the exact option, else the longest beginning that fits, else nothing.
pub(super) fn find(word: &[u8]) -> Option<&'static Opt> {
    if let Ok(i) = EXACT.binary_search_by(|opt| opt.name.as_bytes().cmp(word)) {
        return EXACT.get(i);
    }
    JOINED.iter().filter(|opt| word.starts_with(opt.name.as_bytes())).max_by_key(|opt| opt.name.len())
}

/// Something is so, or not.
const fn says(fact: Fact, is_so: bool) -> Does {
    Does::Says(fact, is_so)
}

/// The job is kept here.
const fn stays(reason: Reason) -> Effect {
    by_rule(Does::Stays(reason))
}

const LOST: Effect = stays(Reason::SideFile);
const ABSENT: Effect = stays(Reason::RemoteInput);
const MODULES: Effect = stays(Reason::Modules);
const NAMES: Effect = stays(Reason::SourceName);
const REPORT: Effect = stays(Reason::Report);
const NO_OBJECT: Effect = stays(Reason::NoObject);
const NAMING: Effect = stays(Reason::SideFileName);
const SWITCHES: Effect = stays(Reason::CommandLine);
const REST: Effect = both(Does::Nothing);
const HERE: Effect = here(Does::Nothing);
const CPP: Effect = (Some(Side::Cpp), Does::Nothing);
const PATH: Effect = here(Does::Path);
const DEP_FILE: Effect = here(Does::DepFile);
const DEP_TARGET: Effect = here(says(Fact::DependencyTarget, true));
const COLOR: Effect = both(says(Fact::ColorChosen, true));
const NATIVE: Effect = by_rule(Does::Native);
const PRAGMAS: Effect = by_rule(Does::Pragmas);
const RANGES: Effect = both(says(Fact::Ranges, true));
const WARNING: Effect = both(Does::Warning);
const LIST: Effect = by_rule(Does::ExtraList);
const HIDDEN: Effect = by_rule(Does::HideFromPreprocessor);
use Value::{Joined, Must, Next, NextRest, No};

/// Whole arguments, sorted by bytes.
const EXACT: &[Opt] = &[
    o("-###", No, REPORT),
    o("--", No, stays(Reason::Separator)), // by 1.4's accident; the words behind it may be anything
    o("--CLASSPATH", Next, REST),
    o("--allowable_client", Next, REST),
    o("--analyze", No, NO_OBJECT),
    o("--bootclasspath", Next, REST),
    o("--classpath", Next, REST),
    o("--encoding", Next, REST),
    o("--extdirs", Next, REST),
    o("--output-class-directory", Next, REST),
    o("--param", Next, (Some(Side::Remote), Does::Nothing)),
    o("--precompile", No, MODULES),
    o("--resource", Next, REST),
    o("--rtlib", Next, REST),
    o("--serialize-diagnostics", Next, LOST),
    o("--system-header-prefix", Next, REST),
    o("-A", Next, CPP),
    o("-B", Next, here(Does::Prefix)),
    o("-D", Next, CPP),
    o("-E", No, stays(Reason::PreprocessOnly)),
    o("-F", Next, PATH),
    o("-G", Next, REST),
    o("-I", Next, PATH),
    o("-L", Next, PATH),
    o("-M", No, stays(Reason::DependenciesOnly)),
    o("-MD", No, here(says(Fact::Dependencies, true))),
    o("-MF", Must, DEP_FILE),
    o("-MG", No, HERE),
    o("-MJ", Next, LOST),
    o("-MM", No, stays(Reason::DependenciesOnly)),
    o("-MMD", No, here(says(Fact::Dependencies, true))),
    o("-MP", No, HERE),
    o("-MQ", Must, DEP_TARGET),
    o("-MT", Must, DEP_TARGET),
    o("-MV", No, HERE),
    o("-ObjC", No, by_rule(Does::ObjC(Language::ObjC))),
    o("-ObjC++", No, by_rule(Does::ObjC(Language::ObjCxx))),
    o("-P", No, HIDDEN), // its text must tell files, lines and folder, whatever a plain -E would print
    o("-Q", No, REPORT),
    o("-R", Next, REST), // of no use without a link
    o("-S", No, by_rule(says(Fact::Assemble, true))),
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
    o("-Xassembler", Must, by_rule(Does::Assembler)),
    o("-Xclang", Next, by_rule(Does::Xclang)),
    o("-Xlinker", Must, REST),
    o("-Xopenmp-target", Next, REST),
    o("-Xpreprocessor", Must, by_rule(Does::Preprocessor)),
    o("-arch", Next, REST),
    o("-arch_only", Next, REST),
    o("-arcmt-migrate-report-output", Next, REST),
    o("-aux-info", Next, LOST),
    o("-bundle_loader", Next, REST),
    o("-c", No, by_rule(says(Fact::Compile, true))),
    o("-c-isystem", Next, PATH),
    o("-coverage", No, LOST),
    o("-cxx-isystem", Next, PATH),
    o("-dependency-dot", Next, REST),
    o("-dependency-file", Next, REST),
    o("-dumpbase", Next, NAMING),
    o("-dumpbase-ext", Next, NAMING),
    o("-dumpdir", Next, NAMING),
    o("-dyld-prefix", Next, REST),
    o("-dylib_file", Next, REST),
    o("-dynamic", No, REST),
    o("-e", Next, REST), // of no use without a link
    o("-emit-llvm", No, both(says(Fact::EmitLlvm, true))),
    o("-exported_symbols_list", Next, REST),
    o("-fbranch-probabilities", No, ABSENT),
    o("-fbuiltin-module-map", No, MODULES),
    o("-fcallgraph-info", No, LOST),
    o("-fcolor-diagnostics", No, COLOR),
    o("-fcoverage-mapping", No, NAMES),
    o("-fcxx-modules", No, MODULES),
    o("-fdbg-cnt-list", No, REPORT),
    o("-fdiagnostics-color", No, COLOR),
    o("-fdiagnostics-color=always", No, COLOR),
    o("-fdiagnostics-color=auto", No, by_rule(says(Fact::ColorChosen, false))),
    o("-fdiagnostics-color=never", No, COLOR),
    o("-fdiagnostics-format=text", No, REST),
    o("-fdiagnostics-parseable-fixits", No, RANGES),
    o("-fdiagnostics-print-source-range-info", No, RANGES),
    o("-fdiagnostics-show-caret", No, both(says(Fact::NoCaret, false))),
    o("-fembed-bitcode-marker", No, SWITCHES),
    o("-filelist", Next, REST),
    o("-fimplicit-module-maps", No, MODULES),
    o("-fintegrated-as", No, both(Does::OwnAssembler(true))),
    o("-fkeep-system-includes", No, HIDDEN),
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
    o("-fno-color-diagnostics", No, COLOR),
    o("-fno-diagnostics-color", No, COLOR),
    o("-fno-diagnostics-show-caret", No, both(says(Fact::NoCaret, true))),
    o("-fno-integrated-as", No, both(Does::OwnAssembler(false))),
    o("-fno-openacc", No, PRAGMAS),
    o("-fno-openmp", No, PRAGMAS),
    o("-fno-openmp-simd", No, PRAGMAS),
    o("-fno-verbose-asm", No, both(says(Fact::VerboseAsm, false))),
    o("-fno-working-directory", No, HIDDEN),
    o("-fopenacc", No, PRAGMAS),
    o("-fopenmp", No, PRAGMAS),
    o("-fopenmp-simd", No, PRAGMAS),
    o("-force_load", Next, REST),
    o("-fpch-preprocess", No, HIDDEN), // it needs a precompiled header, which servers lack
    o("-fpost-ipa-mem-report", No, REPORT),
    o("-fpre-ipa-mem-report", No, REPORT),
    o("-fprebuilt-implicit-modules", No, MODULES),
    o("-fprofile-arcs", No, LOST),
    o("-fprofile-generate", No, NAMES),
    o("-fprofile-instr-use", No, ABSENT),
    o("-fprofile-report", No, REPORT),
    o("-fprofile-use", No, ABSENT),
    o("-framework", Next, REST),
    o("-frecord-command-line", No, both(Does::CommandLine)),
    o("-frecord-gcc-switches", No, both(Does::CommandLine)),
    o("-frepo", No, LOST),
    o("-frewrite-map-file", Next, REST),
    o("-fstats", No, REPORT),
    o("-fsyntax-only", No, stays(Reason::NoObject)),
    o("-ftest-coverage", No, LOST),
    o("-ftime-trace", No, LOST),
    o("-ftrapv-handler", Next, REST),
    o("-fuse-line-directives", No, HIDDEN),
    o("-fverbose-asm", No, both(says(Fact::VerboseAsm, true))),
    o("-gcc-toolchain", Next, REST),
    o("-gembed-source", No, NAMES),
    o("-gen-cdb-fragment-path", Next, LOST),
    o("-gen-decls", No, LOST),
    o("-gno-split-dwarf", No, both(says(Fact::SplitDwarf, false))),
    o("-grecord-command-line", No, both(Does::CommandLine)),
    o("-grecord-gcc-switches", No, both(Does::CommandLine)),
    o("-gsplit-dwarf", No, both(says(Fact::SplitDwarf, true))),
    o("-gsplit-dwarf=single", No, both(says(Fact::SplitDwarf, false))),
    o("-gsplit-dwarf=split", No, both(says(Fact::SplitDwarf, true))),
    o("-i", Next, PATH),
    o("-idirafter", Next, PATH),
    o("-iframework", Next, PATH),
    o("-iframeworkwithsysroot", Next, PATH),
    o("-imacros", Next, here(Does::Macros)),
    o("-image_base", Next, REST),
    o("-imultilib", Next, PATH),
    o("-include", Next, here(Does::Include)),
    o("-include-pch", Next, by_rule(Does::IncludePch)),
    o("-init", Next, REST),
    o("-install_name", Next, REST),
    o("-integrated-as", No, both(Does::OwnAssembler(true))),
    o("-iprefix", Next, PATH),
    o("-iquote", Next, PATH),
    o("-isysroot", Next, PATH),
    o("-isystem", Next, PATH),
    o("-isystem-after", Next, PATH),
    o("-ivfsoverlay", Next, PATH),
    o("-iwithprefix", Next, PATH),
    o("-iwithprefixbefore", Next, PATH),
    o("-iwithsysroot", Next, PATH),
    o("-l", Next, PATH),
    o("-lazy_framework", NextRest, HERE),
    o("-lazy_library", NextRest, HERE),
    o("-march=native", No, NATIVE),
    o("-mcpu=native", No, NATIVE),
    o("-meabi", Next, REST),
    o("-mhwdiv", Next, REST),
    o("-mllvm", Next, REST),
    o("-module-dependency-dir", Next, REST),
    o("-mthread-model", Next, REST),
    o("-mtune=native", No, NATIVE),
    o("-multiply_defined", Next, REST),
    o("-multiply_defined_unused", Next, REST),
    o("-no-integrated-as", No, both(Does::OwnAssembler(false))),
    o("-nostdinc", No, HERE),
    o("-nostdinc++", No, HERE),
    o("-o", Next, by_rule(Does::Output)),
    o("-pedantic", No, WARNING),
    o("-pedantic-errors", No, WARNING),
    o("-resource-dir", Next, REST),
    o("-rpath", Next, REST),
    o("-s", No, REST),
    o("-save-temps", No, LOST),
    o("-seg_addr_table", Next, REST),
    o("-seg_addr_table_filename", Next, REST),
    o("-segs_read_only_addr", Next, REST),
    o("-segs_read_write_addr", Next, REST),
    o("-serialize-diagnostics", Next, LOST),
    o("-specs", Next, by_rule(Does::Specs)),
    o("-std", Next, REST),
    o("-stdlib++-isystem", Next, PATH),
    o("-target", Next, both(says(Fact::Target, true))),
    o("-u", Next, REST), // of no use without a link
    o("-umbrella", Next, REST),
    o("-undef", No, CPP),
    o("-undefined", Next, REST),
    o("-unexported_symbols_list", Next, REST),
    o("-v", No, REPORT),
    o("-w", No, WARNING),
    o("-weak_library", Next, REST),
    o("-weak_reference_mismatches", Next, REST),
    o("-working-directory", Next, stays(Reason::WorkingDirectory)),
    o("-wrapper", Next, stays(Reason::ProgramPath)),
    o("-x", Next, both(Does::Language)),
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
    o("-B", Joined, here(Does::Prefix)),
    o("-D", Joined, CPP),
    o("-F", Joined, HERE),
    o("-I", Joined, HERE),
    o("-L", Joined, HERE),
    o("-MF", Joined, DEP_FILE),
    o("-MJ", Joined, LOST),
    o("-MQ", Joined, DEP_TARGET),
    o("-MT", Joined, DEP_TARGET),
    o("-Rpass", Joined, REPORT),
    o("-U", Joined, CPP),
    o("-W", Joined, WARNING),
    o("-Wa,", Joined, by_rule(Does::Assembler)),
    o("-Wp,", Joined, by_rule(Does::Preprocessor)),
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
    o("-fdebug-compilation-dir=", Joined, by_rule(Does::CompilationDir)),
    o("-fdeps-", Joined, HERE), // as -M…: modules that a file needs, for the build system
    o("-fdiagnostics-add-output=", Joined, LOST),
    o("-fdiagnostics-format=", Joined, RANGES),
    o("-fdiagnostics-format=json", Joined, REPORT),
    o("-fdiagnostics-format=json-file", Joined, LOST),
    o("-fdiagnostics-format=sarif", Joined, REPORT),
    o("-fdiagnostics-format=sarif-file", Joined, LOST),
    o("-fdiagnostics-set-output=", Joined, LOST),
    o("-fdump", Joined, stays(Reason::Report)),
    o("-fembed-offload-object=", Joined, ABSENT),
    o("-fexec-charset", Joined, stays(Reason::Charset)),
    o("-fexec-charset=", Joined, both(Does::ExecCharset)),
    o("-fexperimental-sanitize-metadata-ignorelist=", Joined, LIST),
    o("-ffile-compilation-dir=", Joined, by_rule(Does::CompilationDir)),
    o("-finput-charset=", Joined, here(says(Fact::InputCharset, true))),
    o("-fhelp", Joined, NO_OBJECT),
    o("-fmodule-file=", Joined, MODULES),
    o("-fmodule-header=", Joined, MODULES),
    o("-fmodule-map-file=", Joined, MODULES),
    o("-fmodule-mapper=", Joined, MODULES),
    o("-fmodule-output=", Joined, MODULES),
    o("-fmodules-cache-path=", Joined, MODULES),
    o("-fobjc-runtime=", Joined, both(Does::ObjcRuntime)),
    o("-fopenmp-targets=", Joined, stays(Reason::ProgramPath)), // other tools, and libraries of other machines
    o("-fopt-info", Joined, REPORT),
    o("-foptimization-record-", Joined, LOST),
    o("-fpass-plugin=", Joined, by_rule(Does::ExtraFile)),
    o("-fplugin=", Joined, by_rule(Does::Plugin)),
    o("-fprebuilt-module-path=", Joined, MODULES),
    o("-fproc-stat-report", Joined, REPORT),
    o("-fprofile-dir=", Joined, NAMES),
    o("-fprofile-generate=", Joined, NAMES),
    o("-fprofile-instr-generate", Joined, NAMES),
    o("-fprofile-instr-use=", Joined, by_rule(Does::Profile)),
    o("-fprofile-list=", Joined, LIST),
    o("-fprofile-note=", Joined, LOST),
    o("-fprofile-remapping-file=", Joined, ABSENT),
    o("-fprofile-sample-use=", Joined, by_rule(Does::ExtraFile)),
    o("-fprofile-use=", Joined, by_rule(Does::Profile)),
    o("-fsanitize-blacklist=", Joined, LIST),
    o("-fsanitize-coverage-allowlist=", Joined, LIST),
    o("-fsanitize-coverage-blacklist=", Joined, LIST),
    o("-fsanitize-coverage-blocklist=", Joined, LIST),
    o("-fsanitize-coverage-ignorelist=", Joined, LIST),
    o("-fsanitize-coverage-whitelist=", Joined, LIST),
    o("-fsanitize-ignorelist=", Joined, LIST),
    o("-fsave-optimization-record", Joined, LOST),
    o("-fself-test", Joined, NO_OBJECT),
    o("-fstack-usage", Joined, LOST),
    o("-ftarget-help", Joined, NO_OBJECT),
    o("-fthin-link-bitcode=", Joined, LOST),
    o("-ftime-report", Joined, stays(Reason::Report)),
    o("-ftime-trace=", Joined, LOST),
    o("-fversion", Joined, NO_OBJECT),
    o("-fwide-exec-charset", Joined, stays(Reason::Charset)),
    o("-fxray-always-instrument=", Joined, LIST),
    o("-fxray-attr-list=", Joined, LIST),
    o("-fxray-never-instrument=", Joined, LIST),
    o("-fwpa", Joined, NO_OBJECT),
    o("-g", Joined, both(Does::Debug)),
    o("-gen-reproducer", Joined, NO_OBJECT),
    o("-help", Joined, NO_OBJECT),
    o("-idirafter", Joined, HERE),
    o("-iframework", Joined, HERE),
    o("-iframeworkwithsysroot", Joined, HERE),
    o("-imacros", Joined, here(Does::Macros)),
    o("-imultilib", Joined, HERE),
    o("-include", Joined, here(Does::Include)),
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
    o("-o", Joined, by_rule(Does::Output)),
    o("-objcmt-", Joined, LOST), // clang's
    o("-print-", Joined, NO_OBJECT),
    o("-rewrite-", Joined, NO_OBJECT),
    o("-save-stats", Joined, LOST),
    o("-save-temps=", Joined, LOST),
    o("-serialize-diagnostics=", Joined, LOST),
    o("-specs=", Joined, by_rule(Does::Specs)),
    o("-stdlib++-isystem", Joined, HERE),
    o("-time", Joined, REPORT),
    o("-verify-pch", Joined, NO_OBJECT),
    o("-working-directory", Joined, stays(Reason::WorkingDirectory)),
    o("-x", Joined, both(Does::Language)),
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
        assert_eq!(find(b"-MD").map(|opt| opt.does), Some(says(Fact::Dependencies, true)));
        assert_eq!(find(b"-MFx").map(|opt| opt.does), Some(Does::DepFile));
        assert_eq!(find(b"-Wp,-MMD,x").map(|opt| opt.does), Some(Does::Preprocessor));
        assert_eq!(find(b"-ftime-trace-granularity=1").map(|opt| opt.does), None);
        assert!(find(b"-O2").is_none());
    }
}
