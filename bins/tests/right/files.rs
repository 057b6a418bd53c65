//! Jobs by files (`ICECC_FILES=on`): the other host runs the command itself. What changes between two builds of a row must be seen.

use crate::compare::{Table, any, by_files, remote};

const ON: &[(&str, &str)] = &[("ICECC_FILES", "on")];

const TABLE: Table = Table {
    setup: r##"
        printf '#include <stdio.h>\n#include "a.h"\nint f(int n) { int unused; printf("%%s %%d\\n", __FILE__, __LINE__); return TWICE(n); }\n' >a.c
        printf '#pragma once\n#define TWICE(n) ((n) + (n))\n' >a.h
        printf '#include <string>\n#include <vector>\nstd::string f(int n) { return std::to_string(n); }\n' >a.cc
        printf 'int f(void) { return missing; }\n' >broken.c
        printf '#include <b.h>\nint b = B;\n' >b.c
        mkdir k first second
        printf '#define B 1\n' >second/b.h
    "##,
    rows: &[
        by_files("GCC -c a.c"),
        by_files("GCC -g -O2 -Wall -MD -MF k/a.d -c a.c -o k/a.o"),
        by_files("GXX -g -O1 -MD -c a.cc"),
        by_files("CLANG -c a.c"),
        by_files("CLANG -g -O2 -Wall -MMD -c a.c -o k/a.o"),
        by_files("CLANGXX -g -O1 -MD -c a.cc"),
        by_files("CLANG -S a.c"),
        by_files("GCC -g -gsplit-dwarf -c a.c -o k/a.o"),
        by_files("GCC -c broken.c"),
        by_files("CLANG -c broken.c"),
        by_files("GCC -c missing-header.c").setup("echo '#include <no/such.h>' >missing-header.c"),
        by_files("GCC -include a.h -include k/k.h -c b.c -Isecond").setup("echo 'int k;' >k/k.h"),
        by_files("CLANG -include a.h -include k/k.h -c b.c -Isecond").setup("echo 'int k;' >k/k.h"),
        // A header is edited, shadowed, removed, replaced by a link.
        by_files("GCC -Ifirst -Isecond -c b.c -o 1.o; echo '#define B 2' >second/b.h; GCC -Ifirst -Isecond -c b.c -o 2.o"),
        by_files("GCC -Ifirst -Isecond -c b.c -o 1.o; echo '#define B 3' >first/b.h; GCC -Ifirst -Isecond -c b.c -o 2.o"),
        by_files("CLANG -Ifirst -Isecond -c b.c -o 1.o; echo '#define B 3' >first/b.h; CLANG -Ifirst -Isecond -c b.c -o 2.o"),
        by_files("GCC -Ifirst -Isecond -c b.c -o 1.o; rm first/b.h; GCC -Ifirst -Isecond -MD -c b.c -o 2.o")
            .setup("echo '#define B 4' >first/b.h"),
        by_files("GCC -Isecond -c b.c -o 1.o; mv second/b.h c.h; ln -s ../c.h second/b.h; GCC -Isecond -MD -c b.c -o 2.o"),
        by_files("GCC -Isecond -c b.c -o 1.o; rm second/b.h; GCC -Isecond -c b.c -o 2.o"),
        // The time of a changed header is restored.
        by_files("GCC -Isecond -c b.c -o 1.o; touch -r second/b.h t; echo '#define B 9' >second/b.h; touch -r t second/b.h; GCC -Isecond -c b.c -o 2.o"),
        // Equal headers that are one file, two names of one file, and two files.
        by_files("GCC -c p.c -o 1.o; CLANG -c p.c -o 2.o")
            .setup("printf '#pragma once\\nX\\n' >p1.h; cp p1.h p2.h; touch -r p1.h p2.h; ln p1.h p3.h; ln -s p1.h p4.h
                    printf '#define X int x;\\n#include \"p1.h\"\\n#undef X\\n#define X int y;\\n#include \"p2.h\"\\n#undef X
                    #define X int z;\\n#include \"p3.h\"\\n#undef X\\n#define X int w;\\n#include \"p4.h\"\\n' >p.c"),
        by_files("GCC -c h.c -o 1.o; echo >second/opt.h; GCC -c h.c -Isecond -o 2.o; CLANG -c h.c -Isecond -o 3.o")
            .setup("printf '#if __has_include(<opt.h>)\\nint there;\\n#endif\\n' >h.c"),
        by_files("GCC -Ifirst -Isecond -c n.c")
            .setup("echo '#include <b.h>' >n.c; printf '#include_next <b.h>\\nint n = B;\\n' >first/b.h"),
        by_files("GCC -DH='\"a.h\"' -c m.c").setup("printf '#include H\\nint m = TWICE(2);\\n' >m.c"),
        by_files("cd link && GCC -g -c ../a.c -o a.o; CLANG -g -c ../a.c -o b.o").setup("ln -s k link"),
        by_files("cd k && GCC -g -MD -c ../a.c -o a.o"),
        by_files("GCC @args").setup("echo '-O2 -c a.c -o k/a.o' >args"),
        by_files("umask 077; GCC -MD -c a.c"),
        by_files("GCC -c a.c -o a.o").setup("echo old >o; ln -s o a.o"),
        by_files("GCC -c a.c -o a.o").setup("echo old >a.o; chmod 444 a.o"),
        by_files("CPATH=second GCC -c b.c; CLANG -c b.c -o c.o").env(&[("ICECC_FILES", "on"), ("CPATH", "second")]),
        by_files("GCC -c w.c").setup("printf '#warning said\\nint x;\\n' >w.c"),
        by_files("GCC -c i.c")
            .setup("echo data >k/data; printf '__asm__(\".section .rodata\\\\n.incbin \\\\\"k/data\\\\\"\\\\n.previous\");\\n' >i.c"),
        // Not by files, but right.
        remote("GCC -c t.c").setup("echo 'const char *t = __DATE__;' >t.c").env(ON),
        remote("GCC -march=native -c a.c").env(ON),
        any("GCC -c f.c").setup("mkfifo k/pipe; printf '#if __has_include(\"k/pipe\")\\nint p;\\n#endif\\n' >f.c").env(ON),
    ],
};

#[test]
#[ignore = "minutes: scripts/prove.sh files.2"]
fn files_2_nasty_list() {
    TABLE.try_all();
}
