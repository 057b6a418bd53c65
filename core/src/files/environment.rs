//! The variables of a command's environment that travel: those that compilers, assemblers, the loader and the C library
//! read. A build's secrets stay where they are.

/// All of them, sorted by bytes. Whole names, as others begin like these and hold keys.
const READ: &[&str] = &[
    "ASAN_OPTIONS",
    "CCC_ADD_ARGS",
    "CCC_OVERRIDE_OPTIONS",
    "CC_LOG_DIAGNOSTICS",
    "CC_LOG_DIAGNOSTICS_FILE",
    "CC_PRINT_HEADERS",
    "CC_PRINT_HEADERS_FILE",
    "CC_PRINT_OPTIONS",
    "CC_PRINT_OPTIONS_FILE",
    "CC_PRINT_PROC_STAT",
    "CC_PRINT_PROC_STAT_FILE",
    "CLANG_NO_DEFAULT_CONFIG",
    "COLLECT_GCC_OPTIONS",
    "COLLECT_LTO_WRAPPER",
    "COLUMNS",
    "COMPILER_PATH",
    "CPATH",
    "CPLUS_INCLUDE_PATH",
    "C_INCLUDE_PATH",
    "DEPENDENCIES_OUTPUT",
    "GCC_COLORS",
    "GCC_COMPARE_DEBUG",
    "GCC_DIAGNOSTICS_LOG",
    "GCC_EXEC_PREFIX",
    "GCC_EXTRA_DIAGNOSTIC_OUTPUT",
    "GCC_ROOT",
    "GCC_URLS",
    "GCONV_PATH",
    "GLIBC_TUNABLES",
    "GNUTARGET",
    "HOME",
    "LANG",
    "LANGUAGE",
    "LC_ADDRESS",
    "LC_ALL",
    "LC_COLLATE",
    "LC_CTYPE",
    "LC_IDENTIFICATION",
    "LC_MEASUREMENT",
    "LC_MESSAGES",
    "LC_MONETARY",
    "LC_NAME",
    "LC_NUMERIC",
    "LC_PAPER",
    "LC_TELEPHONE",
    "LC_TIME",
    "LD_ASSUME_KERNEL",
    "LD_AUDIT",
    "LD_BIND_NOT",
    "LD_BIND_NOW",
    "LD_DEBUG",
    "LD_DEBUG_OUTPUT",
    "LD_DYNAMIC_WEAK",
    "LD_HWCAP_MASK",
    "LD_LIBRARY_PATH",
    "LD_ORIGIN_PATH",
    "LD_PRELOAD",
    "LD_PROFILE",
    "LD_PROFILE_OUTPUT",
    "LD_RUN_PATH",
    "LD_SHOW_AUXV",
    "LD_TRACE_LOADED_OBJECTS",
    "LD_USE_LOAD_BIAS",
    "LD_VERBOSE",
    "LD_WARN",
    "LIBRARY_PATH",
    "LLVM_PROFILE_FILE",
    "LOCPATH",
    "LSAN_OPTIONS",
    "MACOSX_DEPLOYMENT_TARGET",
    "MALLOC_ARENA_MAX",
    "MALLOC_CHECK_",
    "MALLOC_PERTURB_",
    "NLSPATH",
    "NO_COLOR",
    "OBJCPLUS_INCLUDE_PATH",
    "OBJC_INCLUDE_PATH",
    "PATH",
    "POSIXLY_CORRECT",
    "PWD",
    "QA_OVERRIDE_GCC3_OPTIONS",
    "RC_DEBUG_OPTIONS",
    "SDKROOT",
    "SOURCE_DATE_EPOCH",
    "SUNPRO_DEPENDENCIES",
    "TEMP",
    "TERM",
    "TERM_URLS",
    "TMP",
    "TMPDIR",
    "TZ",
    "TZDIR",
    "UBSAN_OPTIONS",
];

/// Whether a variable travels. `more` are names that the user adds.
pub fn travels<N: AsRef<[u8]>>(name: &[u8], more: &[N]) -> bool {
    is_read(name) || more.iter().any(|other| other.as_ref() == name)
}

/// Whether a compiler or what it runs reads a variable.
fn is_read(name: &[u8]) -> bool {
    READ.binary_search_by(|known| known.as_bytes().cmp(name)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted() {
        for pair in READ.windows(2) {
            assert!(pair[0].as_bytes() < pair[1].as_bytes(), "{} / {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn what_compilers_read_travels_and_no_secrets() {
        for name in ["PATH", "CPATH", "LC_ALL", "SOURCE_DATE_EPOCH", "GCC_EXEC_PREFIX", "TZ", "LD_LIBRARY_PATH"] {
            assert!(travels::<&[u8]>(name.as_bytes(), &[]), "{name}");
        }
        for name in
            ["AWS_SECRET_ACCESS_KEY", "LD_SDK_KEY", "GCC_", "LC_SECRET", "PATHS", "", "ICECC_FILES", "CCACHE_DIR"]
        {
            assert!(!travels(name.as_bytes(), &[b"MY_PLUGIN"]), "{name}");
        }
        assert!(travels(b"MY_PLUGIN", &[&b"OTHER"[..], b"MY_PLUGIN"]));
    }
}
