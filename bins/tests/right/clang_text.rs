//! What clang's `-frewrite-includes` would get wrong is in the object all the same.
//!
//! Rows with `-g` use DWARF 4: in DWARF 5 clang adds the sum of each file, which a text does not tell.

use crate::compare::{Table, any, local, remote, twice};

const TABLE: Table = Table {
    setup: r#"
        printf '#if __COUNTER__ == 0\nint a = __COUNTER__;\n#endif\nint b = __COUNTER__;\n' >counter.c
        printf '#define C __COUNTER__\n#if C == 0\nint a = C;\n#endif\nint b = C;\n' >made_counter.c
        printf 'int a = __COUNTER__;\nint b = __COUNTER__;\n' >plain_counter.c
        printf 'const char *n = NAME;\n' >defined_name.c
        printf '#if C == 0\nint a = C;\n#endif\nint b = C;\n' >defined_counter.c
        mkdir w; printf '#!/bin/sh\nexec /usr/bin/clang -DC=__COUNTER__ -DNAME=__BASE_FILE__ "$@"\n' >w/clang; chmod +x w/clang
        echo -DC=__COUNTER__ >c.words
        printf '#define P(a, b) a##b\n#define Q(a, b) P(a, b)\n#define U(a) Q(a, __COUNTER__)\n#define SAME(x) ((x) == (x))\n#if 1\nint U(x), U(x);\n#endif\nint U(x) = __COUNTER__;\nint f(int a) { return SAME(a); }\n' >unique.c
        printf '#define X 1\n#pragma push_macro("X")\n#undef X\n#define X 2\n#pragma pop_macro("X")\nint a = X;\nint l = __LINE__;\n' >stack.c
        printf '#define P(x) _Pragma(#x)\n#define X 1\nP(push_macro("X"))\n#undef X\n#define X 2\nP(pop_macro("X"))\n#if X == 1\nint one;\n#else\nint two;\n#endif\n' >made_stack.c
        printf '#pragma message "note"\nint line = __LINE__;\n' >message.c
        printf '#pragma GCC poison zed\nint zed;\n' >poison.c
        printf 'int f(void) { return 1; }\n' >f.c
        mkdir real; ln -s real link; cp f.c real
        printf '__attribute__((objc_root_class)) @interface A\n+ (int) x;\n@end\n@implementation A\n+ (int) x { return __LINE__; }\n@end\n' >class.m
        cp class.m class.mm
        printf '#include <assert.h>\nint f(int n) {\n int s = 0;\n#pragma omp parallel for reduction(+:s)\n for (int i = 0; i < n; i++) s += i;\n assert(s > 0);\n return s; }\n' >omp.c
    "#,
    rows: &[
        remote("CLANG -c counter.c"),
        remote("CLANGXX -x c++ -c counter.c"),
        remote("CLANG -g -gdwarf-4 -c counter.c"),
        remote("CLANG -c made_counter.c"),
        remote("CLANG -g -gdwarf-4 -c plain_counter.c"),
        remote("CLANG -g -gdwarf-4 -c unique.c"),
        remote("CLANG -Wall -c unique.c"),
        remote("CLANG -DC=__COUNTER__ -c defined_counter.c"),
        remote("CLANG -DNAME=__BASE_FILE__ -c defined_name.c"),
        any("CLANG -D C=__COUNTER__ -c defined_counter.c"),
        any("CLANG -Wp,-DC=__COUNTER__ -c defined_counter.c"),
        any("CLANG -Xpreprocessor -DC=__COUNTER__ -c defined_counter.c"),
        any("CLANG -Xclang -DC=__COUNTER__ -c defined_counter.c"),
        any("CLANG @c.words -c defined_counter.c"),
        remote("ICE ./w/clang -c defined_counter.c"),
        remote("ICE ./w/clang -c defined_name.c"),
        remote("CLANG -c stack.c"),
        remote("CLANG -c made_stack.c"),
        any("CLANG -c message.c"),
        any("CLANG -c poison.c"),
        remote("CLANG -O2 -g -gdwarf-4 -fopenmp -c omp.c"),
        remote("CLANG -O2 -g -gdwarf-4 -c omp.c"),
        // The name by which the user knows the directory.
        remote("cd link; CLANG -g -gdwarf-4 -c f.c"),
        remote("cd link; CLANG -g -gdwarf-4 -S f.c"),
        remote("cd link; CLANG -g -gdwarf-4 -fdebug-compilation-dir=/x -c f.c"),
        remote("cd link; CLANGXX -x c++ -g -gdwarf-4 -c f.c -o ../f.o"),
        remote("PWD=/proc/self/cwd CLANG -g -gdwarf-4 -fdebug-prefix-map=/proc/self/cwd=. -c f.c"),
        remote("PWD=/nonexistent CLANG -g -gdwarf-4 -c f.c"),
        remote("PWD=. CLANG -g -gdwarf-4 -c f.c"),
        remote("env -u PWD CLANG -g -gdwarf-4 -c f.c"),
        remote("cd link; GCC -g -gno-record-gcc-switches -c f.c"),
        remote("PWD=/proc/self/cwd GCC -g -gno-record-gcc-switches -fdebug-prefix-map=/proc/self/cwd=. -c f.c"),
        // The older runtimes of Objective-C write the path of the source into the object.
        local("CLANG -c class.m", "names or text of files"),
        local("CLANG -c class.mm", "names or text of files"),
        local("CLANG -fobjc-runtime=gcc -c class.m", "names or text of files"),
        local("CLANG -fobjc-runtime=gnustep-1.9 -c class.m", "names or text of files"),
        local("CLANG --target=x86_64-linux-gnu -c class.m", "names or text of files"),
        remote("CLANG -fobjc-runtime=gnustep-2.0 -c class.m"),
        remote("CLANG -fobjc-runtime=macosx -g -gdwarf-4 -c class.m"),
        // What the driver says of an argument that it has no use for is said once, also of expanded text.
        remote("CLANG -static-libgcc -c plain_counter.c"),
        remote("CLANG -static-libgcc -c plain_counter.c").env(&[("ICECC_REMOTE_CPP", "0")]),
        remote("CLANG -static-libgcc -MD -O2 -Ik -nostdlib -c plain_counter.c").env(&[("ICECC_REMOTE_CPP", "0")]),
        twice("CLANG -static-libgcc -c w.c")
            .env(&[("ICECC_REMOTE_CPP", "0")])
            .setup("printf '#warning w\nint x;\n' >w.c"),
        twice("CLANG -static-libgcc -Wall -c w.c")
            .env(&[("ICECC_REMOTE_CPP", "0")])
            .setup("printf 'static int x;\n' >w.c"),
    ],
};

#[test]
fn clang_text() {
    TABLE.try_all();
}
