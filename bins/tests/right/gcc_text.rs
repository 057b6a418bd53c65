//! What gcc's `-fdirectives-only` would drop or get wrong is in the object all the same.
//!
//! With `-g` gcc records its own arguments, `-fdirectives-only` too: rows switch that off, so that line numbers and
//! columns count. Where all macros are expanded here, columns behind a macro are those of the expanded text.

use crate::compare::{Table, any, remote, twice};

const TABLE: Table = Table {
    setup: r#"
        printf '#pragma message "note"\nint line = __LINE__;\n' >message.c
        printf '#pragma message "note"\nint in_header = __LINE__;\n' >message.h
        printf '#define HEADER "message.h"\n#include HEADER\nint z = __LINE__;\n' >made.c
        printf 'int x = __LINE__;\n%%:pragma message "digraph"\nint y = __LINE__;\n' >digraph.c
        printf 'int x;\n#pra\\\ngma message "spliced"\nint y = __LINE__;\n' >spliced.c
        printf 'int x; _Pragma("message(\\"operator\\")") int y = __LINE__;\n' >operator.c
        printf '#define X 1\n#pragma push_macro("X")\n#undef X\n#define X 2\n#pragma pop_macro("X")\nint a = X;\nint l = __LINE__;\n' >stack.c
        printf '#define P(x) _Pragma(#x)\n#define X 1\nP(push_macro("X"))\n#undef X\n#define X 2\nP(pop_macro("X"))\n#if X == 1\nint one;\n#else\nint two;\n#endif\n' >made_stack.c
        printf '#pragma redefine_extname foo bar\nextern int foo(void);\nint f(void) { return foo() + __LINE__; }\n' >rename.c
        printf '#pragma GCC poison zed\nint zed;\n' >poison.c
        printf '#pragma GCC warning "w"\nint zed = __LINE__;\n' >warning.c
        printf '#pragma GCC diagnostic ignored "-Wunused"\n#pragma pack(1)\nstruct s { char c; int i; };\nint z = sizeof(struct s) + __LINE__;\nstatic int u;\n' >kept.c
        printf '#include <stdio.h>\n#include <assert.h>\n#define N 4\nint f(int n) {\n int s = 0;\n#pragma omp parallel for reduction(+:s) num_threads(N)\n for (int i = 0; i < n; i++) s += i * N + N;\n assert(s > 0);\n#ifdef _OPENMP\n printf("%%d\\n", _OPENMP);\n#endif\n return s; }\n' >omp.c
        cp omp.c omp.cc
        printf '#define FOR _Pragma("omp parallel for")\nvoid h(int *a) {\n FOR for (int i = 0; i < 9; i++) a[i] = i * __LINE__; }\n' >omp_operator.c
        printf '#pragma omp simd\n' >simd.h
        printf 'void h(int *a) {\n#include "simd.h"\n for (int i = 0; i < 9; i++) a[i] = i * __LINE__; }\n' >omp_header.c
        printf 'int g(int *a, int n) {\n int s = 0;\n#pragma acc parallel loop copy(a[0:n]) reduction(+:s)\n for (int i = 0; i < n; i++) s += a[i];\n return s + __LINE__; }\n' >acc.c
        printf '#if __COUNTER__ == 0\nint a = __COUNTER__;\n#endif\nint b = __COUNTER__;\n' >counter.c
        printf '#define C __COUNTER__\n#if C == 0\nint a = C;\n#endif\nint b = C;\n' >made_counter.c
        printf 'int a = __COUNTER__;\nint b = __COUNTER__;\n' >plain_counter.c
        printf '#if C == 0\nint a = C;\n#endif\nint b = C;\n' >defined_counter.c
        printf '#define P(a, b) a##b\n#define Q(a, b) P(a, b)\n#define U(a) Q(a, __COUNTER__)\n#if 1\nint U(x), U(x);\n#endif\nint U(x) = __COUNTER__;\n' >unique.c
        mkdir sub 'o"d\d'; printf '#pragma message "odd"\n' >'o"d\d/m.h'; printf '#include "m.h"\nint odd = __LINE__;\n' >odd.c
        printf 'int f(void) { return 1; }\n' >f.c
    "#,
    rows: &[
        // Messages of gcc are made here, in a second compile.
        twice("GCC -c message.c"),
        twice("GXX -x c++ -c message.c"),
        twice("GCC -Wall -Werror -c message.c"),
        twice("GCC -c -include message.h f.c"),
        twice("GCC -c made.c"),
        twice("GCC -c digraph.c"),
        twice("GCC -c spliced.c"),
        twice("GCC -c operator.c"),
        twice("GCC -I 'o\"d\\d' -c odd.c"),
        remote("GCC -c stack.c"),
        remote("GXX -x c++ -c stack.c"),
        remote("GCC -c made_stack.c"),
        remote("GCC -c rename.c"),
        remote("GCC -O1 -g -gno-record-gcc-switches -gno-column-info -c rename.c"),
        twice("GCC -c poison.c"),
        any("GCC -c warning.c"),
        remote("GCC -g -gno-record-gcc-switches -c kept.c"),
        remote("GCC -fopenmp -c omp.c"),
        remote("GCC -O2 -g -gno-record-gcc-switches -fopenmp -c omp.c"),
        remote("GXX -O2 -g -gno-record-gcc-switches -fopenmp -c omp.cc"),
        remote("GCC -O2 -g -gno-record-gcc-switches -fopenmp -Wall -Wextra -Werror -c omp.c"),
        remote("GCC -O2 -g -gno-record-gcc-switches -c omp.c"),
        twice("GCC -O2 -Wall -c omp.c"),
        remote("GCC -O2 -g -gno-record-gcc-switches -fopenmp-simd -c omp.c"),
        remote("GCC -g -gno-record-gcc-switches -fopenmp -fno-openmp -c omp.c"),
        remote("GCC -fno-openmp -g -gno-record-gcc-switches -fopenmp -c omp.c"),
        remote("GCC -fopenmp -U_OPENMP -c omp.c"),
        remote("GCC -S -O2 -fopenmp -MMD -c omp.c"),
        remote("GCC -fopenmp -g -gno-record-gcc-switches -c omp_operator.c"),
        remote("GCC -g -gno-record-gcc-switches -c omp_operator.c"),
        remote("GCC -fopenmp -O3 -g -gno-record-gcc-switches -c omp_header.c"),
        remote("GCC -c omp_header.c"),
        remote("GCC -fopenacc -g -gno-record-gcc-switches -c acc.c"),
        remote("GCC -c counter.c"),
        remote("GXX -x c++ -c counter.c"),
        remote("GCC -c made_counter.c"),
        remote("GCC -c plain_counter.c"),
        remote("GCC -DC=__COUNTER__ -c defined_counter.c"),
        remote("GCC -g -c unique.c -gno-record-gcc-switches"),
        // What can be read once is read once.
        remote("mkfifo pipe.h; cat f.c >pipe.h & GCC -c piped.c; wait").setup("echo '#include \"pipe.h\"' >piped.c"),
        // The compiler is asked once; then the unit's own mark says what it needs.
        twice("GCC -c message.c; rm message.o; GCC -c message.c"),
        twice("GCC -c message.c -o a.o; sed -i 2s/$/int\\ more=__LINE__\\;/ message.c; GCC -c message.c"),
    ],
};

#[test]
fn gcc_text() {
    TABLE.try_all();
}
