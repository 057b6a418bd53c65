//! Variables by which a compiler is told something: each has the effect that it has on the plain compiler.

use crate::compare::{Table, any, local, remote, twice};

/// Tools that are named like the compiler's own, but are others, and show it in the object.
const TOOLS: &str = r#"
    mkdir tools tools/empty
    printf '#!/bin/sh\nexec /usr/bin/as --defsym other=7 "$@"\n' >tools/as
    printf '#!/bin/sh\nexec %s -DOTHER "$@"\n' "$(gcc -print-prog-name=cc1)" >tools/cc1
    chmod 755 tools/as tools/cc1; mkdir tools/as.d tools/cc1.d
    mv tools/as tools/as.d; mv tools/cc1 tools/cc1.d
    echo 'int f(void) { return 1; }' >a.c; cp a.c a.cc
"#;

/// The programs that a compiler runs are found by variables.
const FOUND: Table = Table {
    setup: TOOLS,
    rows: &[
        local("PATH=$PWD/tools/as.d:$PATH GCC -c a.c", "tools/as.d/as"),
        local("PATH=$PWD/tools/as.d:$PATH GXX -c a.cc", "tools/as.d/as"),
        local("PATH=tools/as.d:$PATH GCC -c a.c", "tools/as.d/as"),
        local("PATH=$PWD/tools/as.d:$PATH CLANG -fno-integrated-as -c a.c", "tools/as.d/as"),
        local("COMPILER_PATH=$PWD/tools/as.d GCC -c a.c", "COMPILER_PATH"),
        local("COMPILER_PATH=$PWD/tools/cc1.d GCC -c a.c", "COMPILER_PATH"),
        local("COMPILER_PATH=tools/as.d CLANG -fno-integrated-as -c a.c", "COMPILER_PATH"),
        local("GCC_EXEC_PREFIX=$PWD/tools/as.d/ GCC -c a.c", "GCC_EXEC_PREFIX"),
        // What the job does not run does not matter.
        remote("PATH=$PWD/tools/as.d:$PATH GCC -S a.c"),
        remote("PATH=$PWD/tools/as.d:$PATH CLANG -c a.c"),
        remote("PATH=$PWD/tools/cc1.d:$PWD/tools/empty:$PATH GCC -c a.c"),
        remote("PATH=$PATH:$PWD/tools/as.d GCC -c a.c"),
        // Nothing means the current directory.
        local("COMPILER_PATH= GCC -c a.c", "COMPILER_PATH is set"),
        remote("ln -s /usr/bin/as tools/as; PATH=$PWD/tools:$PATH GCC -c a.c; rm tools/as"),
        // One that comes between two jobs.
        any("GCC -c a.c -o b.o; mv tools/as.d/as tools/empty; PATH=$PWD/tools/empty:$PATH GCC -c a.c"),
    ],
};

#[test]
fn tools_found_by_variables() {
    FOUND.try_all();
}

/// Messages that depend on language, colours and the like.
const MESSAGES: Table = Table {
    setup: "echo 'int f(void) { return missing; }' >broken.c; echo 'int f(int a) { if (a = 1) return 1; return 0; }' >a.c",
    rows: &[
        twice("GCC -Wall -c a.c").env(&[("LC_ALL", "C.UTF-8")]),
        any("GCC -fno-diagnostics-show-caret -Wall -c a.c").env(&[("LC_ALL", "C.UTF-8")]),
        any("GCC -fno-diagnostics-show-caret -c broken.c").env(&[("LC_ALL", "C.UTF-8")]),
        any("env -u LC_ALL LANG=C.UTF-8 GCC -fno-diagnostics-show-caret -Wall -c a.c"),
        any("env -u LC_ALL LC_CTYPE=C.UTF-8 GCC -fno-diagnostics-show-caret -Wall -c a.c"),
        any("env -u LC_ALL LANG=C.UTF-8 LC_CTYPE= GCC -fno-diagnostics-show-caret -Wall -c a.c"),
        any("env -u LC_ALL LC_MESSAGES=de_DE.UTF-8 LANG=C.UTF-8 GCC -fno-diagnostics-show-caret -c broken.c"),
        remote("GCC -fno-diagnostics-show-caret -Wall -c a.c"),
        remote("env -u LC_ALL -u LANG GCC -fno-diagnostics-show-caret -Wall -c a.c"),
        remote("env LC_ALL=POSIX LANG=C.UTF-8 GCC -fno-diagnostics-show-caret -Wall -c a.c"),
        remote("CLANG -Wall -c a.c").env(&[("LC_ALL", "C.UTF-8")]),
        any("GCC -fno-diagnostics-show-caret -fdiagnostics-color=always -c broken.c")
            .env(&[("GCC_COLORS", "error=01;35")]),
        any("GCC -fno-diagnostics-show-caret -fdiagnostics-color=always -c broken.c").env(&[("GCC_COLORS", "")]),
        any("GCC -fno-diagnostics-show-caret -fdiagnostics-color=always -fdiagnostics-urls=auto -Wall -c a.c")
            .env(&[("GCC_URLS", "st")]),
        any("GCC -fno-diagnostics-show-caret -Wall -fdiagnostics-urls=always -c a.c").env(&[("TERM_URLS", "bel")]),
        any("GCC -fno-diagnostics-show-caret -c broken.c").env(&[("GCC_EXTRA_DIAGNOSTIC_OUTPUT", "fixits-v1")]),
    ],
};

#[test]
fn messages() {
    MESSAGES.try_all();
}

/// Files beside the object, options, and headers.
const OTHERS: Table = Table {
    setup:
        "mkdir k; echo '#define K 3' >k/k.h; printf '#include <k.h>\\nint f(void) { return K; }\\n' >k.c; cp k.c k.cc
        echo 'int f(void) { return 1; }' >a.c; echo 'char *s = __DATE__ __TIME__;' >date.c
        printf 'int g(int);\n#define CALL(x) g(x)\n#define SAME(x) ((x) == (x))\nint f(int a) { return CALL(a) + SAME(a); }\n' >macros.c
        printf '#define D(x) __##x##__\nconst char *d = D(DATE) D(TIME);\n' >pasted.c
        printf '#define P(a, b) a##b\n#define Q(a, b) P(a, b)\nconst char *d = P(__DA, TE__) Q(__TIME, __);\n' >pasted.h
        printf '#include PASTED\nint i;\n' >included.c
        printf '#define P(a, b) a##b\nconst char *n = P(__BASE, _FILE__);\n#define NAME __BA\\\\\nSE_FILE__\nconst char *m = NAME;\n' >pasted_name.c
        echo 'int f(int a) { if (a = 1) return 1; return 0; }' >w.c",
    rows: &[
        remote("GCC -c k.c").env(&[("CPATH", "k")]),
        remote("GCC -c k.c").env(&[("C_INCLUDE_PATH", "k")]),
        remote("GXX -c k.cc").env(&[("CPLUS_INCLUDE_PATH", "k")]),
        remote("CLANG -c k.c").env(&[("C_INCLUDE_PATH", "k")]),
        remote("CLANGXX -c k.cc").env(&[("CPLUS_INCLUDE_PATH", "k")]),
        any("GCC -c k.cc; GXX -c k.c; CLANG -c k.cc")
            .env(&[("OBJC_INCLUDE_PATH", "k"), ("OBJCPLUS_INCLUDE_PATH", "k")]),
        remote("GCC -c a.c").env(&[("LIBRARY_PATH", "k")]),
        remote("GCC -c a.c").env(&[("LPATH", "k")]),
        local("GCC -c k.c -Ik", "DEPENDENCIES_OUTPUT is set").env(&[("DEPENDENCIES_OUTPUT", "deps")]),
        local("GCC -Wall -c w.c", "DEPENDENCIES_OUTPUT is set").env(&[("DEPENDENCIES_OUTPUT", "deps target")]),
        local("GXX -c k.cc -Ik", "SUNPRO_DEPENDENCIES is set").env(&[("SUNPRO_DEPENDENCIES", "deps target")]),
        remote("CLANG -c a.c").env(&[("DEPENDENCIES_OUTPUT", "deps")]),
        remote("GCC -c date.c").env(&[("SOURCE_DATE_EPOCH", "1000000000")]),
        remote("GXX -x c++ -c date.c -Wno-write-strings").env(&[("SOURCE_DATE_EPOCH", "1000000000")]),
        any("GCC -c date.c").env(&[("SOURCE_DATE_EPOCH", "yesterday")]),
        // The text tells whether there are dates in it; without any it is sent as ever.
        remote("CLANG -g -gdwarf-4 -c macros.c").env(&[("SOURCE_DATE_EPOCH", "1000000000")]),
        remote("CLANG -Wall -c macros.c").env(&[("SOURCE_DATE_EPOCH", "1000000000")]),
        remote("GCC -c pasted.c").env(&[("SOURCE_DATE_EPOCH", "1000000000")]),
        remote("GCC -DPASTED='\"pasted.h\"' -c included.c").env(&[("SOURCE_DATE_EPOCH", "1000000000")]),
        remote("GCC -c pasted_name.c"),
        remote("GXX -x c++ -c pasted_name.c -Wno-write-strings"),
        remote("CLANG -c pasted_name.c"),
        local("GCC -c a.c", "GCC_COMPARE_DEBUG is set").env(&[("GCC_COMPARE_DEBUG", "-gtoggle")]),
        local("CLANG -c a.c", "CCC_OVERRIDE_OPTIONS is set").env(&[("CCC_OVERRIDE_OPTIONS", "+-O2")]),
        local("CLANG -c a.c", "CC_PRINT_OPTIONS is set")
            .env(&[("CC_PRINT_OPTIONS", "1"), ("CC_PRINT_OPTIONS_FILE", "options")]),
        local("CLANG -Ik -c k.c", "CC_PRINT_HEADERS is set")
            .env(&[("CC_PRINT_HEADERS", "1"), ("CC_PRINT_HEADERS_FILE", "headers")]),
        local("CLANG -c w.c", "CC_LOG_DIAGNOSTICS is set")
            .env(&[("CC_LOG_DIAGNOSTICS", "1"), ("CC_LOG_DIAGNOSTICS_FILE", "log")]),
        local("CLANG -c a.c; rm -f stat", "CC_PRINT_PROC_STAT is set")
            .env(&[("CC_PRINT_PROC_STAT", "1"), ("CC_PRINT_PROC_STAT_FILE", "stat")]),
        local("CLANG -g -c a.c", "LLVM_OVERRIDE_PRODUCER is set").env(&[("LLVM_OVERRIDE_PRODUCER", "me")]),
        local("CLANG -target x86_64-apple-macos -c a.c", "MACOSX_DEPLOYMENT_TARGET is set")
            .env(&[("MACOSX_DEPLOYMENT_TARGET", "10.9")]),
        // They are the other compiler's.
        remote("GCC -c a.c").env(&[("CCC_OVERRIDE_OPTIONS", "+-O2")]),
        remote("CLANG -c a.c").env(&[("GCC_COMPARE_DEBUG", "-gtoggle"), ("GCC_EXEC_PREFIX", "/nowhere/")]),
        any("GCC -c a.c").env(&[("TMPDIR", "/nowhere")]),
        any("CLANG -c a.c").env(&[("TMPDIR", "/nowhere")]),
        any("GCC -Wall -c w.c").env(&[("TMPDIR", "k")]),
        any("GCC -Wall -c w.c").env(&[("COLUMNS", "20"), ("TERM", "xterm-256color")]),
        any("CLANG -Wall -c w.c").env(&[("COLUMNS", "20"), ("TERM", "xterm-256color")]),
        any("GCC -Wall -c w.c").env(&[("MAKEFLAGS", " -j8 --jobserver-auth=3,4")]),
    ],
};

#[test]
fn others() {
    OTHERS.try_all();
}
