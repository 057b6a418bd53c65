//! Compiles of every day, by both compilers.

use crate::compare::{Table, any, local, remote, twice};

const TABLE: Table = Table {
    setup: r#"
        printf '#include <stdio.h>\n#include "a.h"\nint f(int n) { printf("%%s %%d\\n", __FILE__, __LINE__); return TWICE(n); }\n' >a.c
        printf '#define TWICE(n) ((n) + (n))\n' >a.h
        printf '#include <string>\nstd::string f(int n) { return std::to_string(n); }\n' >a.cc
        printf 'int f(void) { return missing; }\n' >broken.c
        mkdir k
    "#,
    rows: &[
        remote("GCC -c a.c"),
        remote("GCC -O2 -Wall -c a.c -o k/a.o"),
        remote("GCC -c a.c -MD -MF k/a.d -MT x"),
        remote("GCC -S a.c"),
        remote("GXX -O1 -c a.cc"),
        remote("CLANG -c a.c"),
        remote("CLANG -O2 -Wall -MMD -c a.c -o k/a.o"),
        remote("CLANGXX -O1 -c a.cc"),
        remote("CLANG -S a.c -o -o"),
        twice("GCC -c broken.c"),
        remote("CLANG -c broken.c"),
        local("GCC -E a.c", "preprocessing"),
        any("GCC -c a.c -o /dev/null"),
        any("GCC -c missing.c"),
        any("GCC -c -x c old").setup("mv a.c old; echo '#include <missing.h>' >>old"),
        remote("CPATH=k GCC -c b.c").setup("cp a.h k/b.h; sed s/a.h/b.h/ a.c >b.c"),
        remote("CLANG -c b.c").setup("cp a.h k/b.h; sed s/a.h/b.h/ a.c >b.c").env(&[("CPATH", "k")]),
        any("ICE true"),
    ],
};

#[test]
fn basics() {
    TABLE.try_all();
}

/// Options that make the driver do something else than compile, or more.
const OTHER_WORK: Table = Table {
    setup: "printf 'int x;\\n' >a.c; printf 'int y;\\n' >a.m; mkdir k",
    rows: &[
        local("GCC -c -print-search-dirs a.c", "makes no object"),
        local("GCC -c --print-libgcc-file-name a.c", "makes no object"),
        local("GCC -c --version a.c", "makes no object"),
        local("GCC -c --help=params a.c", "makes no object"),
        local("CLANG -c -print-file-name=x a.c", "makes no object"),
        local("CLANG -rewrite-objc a.m", "makes no object"),
        local("CLANG -c -extract-api a.c", "makes no object"),
        local("GCC -S -fverbose-asm a.c", "names or text of files"),
        remote("GCC -c -fverbose-asm a.c"),
        remote("GCC -S -fverbose-asm -fno-verbose-asm a.c"),
        remote("CLANG -S -fverbose-asm a.c"),
        local("CLANG -c -ccc-print-phases a.c", "makes no object"),
        local("CLANG -c -objcmt-migrate-subscripting a.c", "makes a file beside the object"),
    ],
};

#[test]
fn other_work() {
    OTHER_WORK.try_all();
}
