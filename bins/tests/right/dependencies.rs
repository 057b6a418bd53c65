//! Where dependency files go and what stands in them.

use crate::compare::{Table, any, local, remote, twice};

const TABLE: Table = Table {
    setup: r#"
        printf '#include <limits.h>\n#include "a.h"\nint f(void) { return ONE; }\n' >a.c
        printf '#define ONE 1\n' >a.h
        printf '#include <climits>\n#include "a.h"\nint f() { return ONE; }\n' >a.cc
        mkdir k k.d
    "#,
    rows: &[
        remote("GCC -MD -c a.c"),
        remote("CLANG -MD -c a.c"),
        remote("GCC -MMD -c a.c -o k/x.o"),
        remote("CLANG -MMD -c a.c -o k/x.o"),
        remote("GXX -MMD -MP -c a.cc -o k/x.y.o"),
        remote("CLANGXX -MMD -MP -c a.cc -o k/x.y.o"),
        remote("GCC -MD -c a.c -o k.d/noext"),
        remote("CLANG -MD -c a.c -o k.d/noext"),
        // Handed to the preprocessor, as a kernel's build does.
        remote("GCC -Wp,-MMD,k/.x.o.d -c a.c -o k/x.o"),
        remote("CLANG -Wp,-MMD,k/.x.o.d -c a.c -o k/x.o"),
        remote("GCC -Wp,-MD,k/.x.o.d -c a.c -o k/x.o"),
        remote("CLANG -Wp,-MD,k/.x.o.d -c a.c -o k/x.o"),
        remote("CLANG -Wp,-MD,k/.x.o.d -c a.c"),
        remote("GCC -Wp,-MMD,x.d,-MT,target -c a.c"),
        any("CLANG -Wp,-MMD,x.d,-MT,target -c a.c"),
        remote("GCC -Wp,-MMD,x.d -Wp,-MT,target -Wp,-MP -c a.c -o k/x.o"),
        remote("CLANG -Wp,-MMD,x.d -Wp,-MT,target -Wp,-MP -c a.c -o k/x.o"),
        remote("GCC -MD -Wp,-MT,target -c a.c -o k/x.o"),
        remote("CLANG -MD -Wp,-MT,target -c a.c -o k/x.o"),
        remote("GCC -MD -MF y.d -Wp,-MMD,x.d -c a.c"),
        twice("CLANG -MD -MF y.d -Wp,-MMD,x.d -c a.c"),
        remote("CLANG -Wp,-MMD,x.d -MF y.d -c a.c"),
        remote("GCC -MD -Xpreprocessor -MF -Xpreprocessor x.d -c a.c"),
        remote("GCC -Wp,-MMD,x.d,-DTWO=2 -c a.c"),
        local("GCC -Wp,-MT,target -c a.c", "dependency target without dependency file"),
        local("GCC -Wp,-M -c a.c", "argument may change what the preprocessor writes"),
        // By name.
        remote("GCC --write-dependencies -c a.c -o k/x.o"),
        remote("CLANG --write-dependencies -c a.c -o k/x.o"),
        remote("GCC --write-user-dependencies -c a.c"),
        remote("CLANG --write-user-dependencies -c a.c"),
        remote("GCC --write-user-d -c a.c"),
        any("GCC -MD --print-missing-file-dependencies -c a.c"),
        // With joined values.
        remote("GCC -MD -MFx.d -c a.c"),
        remote("CLANG -MD -MFx.d -c a.c"),
        remote("GCC -MD -MFx.d -MTx -MQ'$y' -c a.c -o k/x.o"),
        remote("CLANG -MD -MFx.d -MTx -MQ'$y' -c a.c -o k/x.o"),
        remote("GCC -MMD -MQ'$(x)' -MT y -c a.c -o k/x.o"),
        remote("CLANG -MMD -MQ'$(x)' -MT y -c a.c -o k/x.o"),
        // Of assembler text.
        remote("GCC -S -MD a.c"),
        remote("CLANG -S -MD a.c"),
        remote("GCC -S -MMD a.c -o k/x.s"),
        remote("CLANG -S -MMD a.c -o k/x.s"),
        remote("GCC -S -Wp,-MMD,x.d a.c -o k/x.s"),
        remote("CLANG -S -Wp,-MMD,x.d a.c -o k/x.s"),
        remote("CLANG -S -MFx.d -MD a.c -o k/x.s"),
        remote("CLANG -MD -emit-llvm -c a.c"),
        remote("CLANG -MD -MV -c a.c"),
        remote("CLANG -Xclang -dependency-file -Xclang k/x.d -Xclang -MT -Xclang t -c a.c"),
        // After an error: what the compiler itself would not have written is not there, and what was there is.
        twice("GCC -MMD -c b.c -o k/x.o").setup("printf 'int f(void) { return x; }\n' >b.c; echo old >k/x.d"),
        any("CLANG -MMD -c b.c -o k/x.o").setup("printf 'int f(void) { return x; }\n' >b.c; echo old >k/x.d"),
        any("GCC -MMD -c a.c --param asan-use-after-return=2 -o k/x.o"),
        any("GCC -MMD -c a.c --param asan-use-after-return=2 -o k/x.o")
            .setup("echo old >k/x.d; touch -d 2020-01-01 k/x.d"),
        any("GCC -MMD -c a.c -Wa,--bogus -o k/x.o").setup("echo old >k/x.d"),
        any("CLANG -MMD -c a.c -Wa,-D -o k/x.o"),
        any("CLANG -MMD -c a.c -Wa,-malign-branch -o k/x.o").setup("echo old >k/x.d; touch -d 2020-01-01 k/x.d"),
        any("CLANG -Wp,-MMD,x.d -c a.c -Wa,-D").setup("echo old >x.d"),
        any("CLANG -Xclang -dependency-file -Xclang k/x.d -Xclang -MT -Xclang t -c a.c -Wa,-D")
            .setup("echo old >k/x.d"),
        any("GCC -MMD -c b.c -o k/x.o").setup("printf '#include \"gone.h\"\n' >b.c; echo old >k/x.d"),
        any("CLANG -MMD -c b.c -o k/x.o").setup("printf '#include \"gone.h\"\n' >b.c; echo old >k/x.d"),
        // Otherwise.
        any("GCC -MD -MF - -c a.c"),
        any("CLANG -MD -MF /dev/null -c a.c"),
        any("GCC -MD -MF none/x.d -c a.c"),
        any("GCC -MD -c a.c -o none/x.o"),
        any("GCC -MD -MF"),
        any("GCC -MD -MG -c b.c").setup("printf '#include \"gone.h\"\n' >b.c"),
        local("CLANG -MJ x.json -c a.c", "argument makes a file beside the object"),
        local("CLANG -MJx.json -c a.c", "argument makes a file beside the object"),
        local("GCC -M a.c", "only dependencies are wanted"),
        local("GCC -MM -MF x.d a.c -c", "only dependencies are wanted"),
        local("CLANG --user-dependencies a.c", "only dependencies are wanted"),
        local("GCC -MD -save-temps -c a.c", "argument makes a file beside the object"),
        local("GCC -MD -dumpbase b -c a.c", "argument names files beside the object"),
        local("GCC -MD -dumpdir k/ -c a.c", "argument names files beside the object"),
        local("GCC -c a.c", "DEPENDENCIES_OUTPUT is set").env(&[("DEPENDENCIES_OUTPUT", "x.d target")]),
        local("GCC -c a.c", "SUNPRO_DEPENDENCIES is set").env(&[("SUNPRO_DEPENDENCIES", "x.d target")]),
    ],
};

#[test]
fn dependencies() {
    TABLE.try_all();
}
