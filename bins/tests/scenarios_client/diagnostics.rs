//! G17, G18, G27, G28, G57, G58: what compilers say.

use crate::check::{Distributable, Redo, Scenario, Trial, try_all};

pub const SCENARIOS: &[Scenario] = &[
    ("g17_innocent_macros", g17_innocent_macros),
    ("g18_unused_macros", g18_unused_macros),
    ("g27_clang_is_taken_at_its_word", g27_clang_is_taken_at_its_word),
    ("g28_gcc_with_carets", g28_gcc_with_carets),
    ("g57_clang_werror_with_macros", g57_clang_werror_with_macros),
    ("g58_clang_incbin", g58_clang_incbin),
];

const MACROS: &str =
    "#define SAME(x) ((x) == (x))\n#define NOTHING ;\nint same(int a) { if (SAME(a)) { NOTHING } return a; }\n";

#[test]
fn diagnostics() {
    try_all(SCENARIOS);
}

fn g17_innocent_macros(t: &Trial) {
    t.write(
        "innocent.c",
        "#define EMPTY\n#define CHECK(x) do { if (x) { EMPTY; } } while (0)\nint f(int a) { CHECK(a); return a; }\n",
    );
    for compiler in ["gcc", "clang"] {
        t.common(Distributable, compiler, "CC -Wall -Wextra -Werror -c innocent.c -o a.o", "a.o");
    }
}

fn g18_unused_macros(t: &Trial) {
    t.write("unused.c", "#define UNUSED 1\nint f(void) { return 2; }\n");
    for compiler in ["gcc", "clang"] {
        let (status, stderr, log) = t.icecc(
            &[("ICECC_PREFERRED_HOST", "h2")],
            &format!("icecc {compiler} -Wall -Wunused-macros -c unused.c -o a.o"),
        );
        assert!(status == Some(0) && stderr.matches("-Wunused-macros").count() == 1, "{stderr}{log}");
        assert!(log.contains("Have to use host 10.77.0.2:10245"), "{log}");
    }
}

fn g27_clang_is_taken_at_its_word(t: &Trial) {
    t.write("wrong.c", "int f(void) { return 1 }\n");
    t.write("warn.h", "static int unused_one(void) { return 1; }\n");
    t.write("warn.c", "#include \"warn.h\"\nint f(void) { return 1; }\n");
    t.common(Distributable, "clang", "CC -Wall -c wrong.c -o a.o", "a.o");
    t.common(Distributable, "clang", "CC -Wall -c warn.c -o a.o", "a.o");
}

fn g28_gcc_with_carets(t: &Trial) {
    t.write("wrong.c", "int f(void) { return 1 }\n");
    t.write("warn.c", "int f(void) { int unused; return 1; }\n");
    for source in ["wrong.c", "warn.c"] {
        let log = t.common(Redo, "gcc", &format!("CC -Wall -c {source} -o a.o"), "a.o");
        let line = "local build forced by remote exception: Error 102 - command needs stdout/stderr workaround, recompiling locally";
        assert!(log.contains(line), "{log}");
    }
    t.common(Distributable, "gcc", "CC -Wall -fno-diagnostics-show-caret -c warn.c -o a.o", "a.o");
}

fn g57_clang_werror_with_macros(t: &Trial) {
    t.write("same.c", MACROS);
    t.common(Distributable, "clang", "CC -Wall -Wextra -Werror -c same.c -o a.o", "a.o");
}

fn g58_clang_incbin(t: &Trial) {
    t.write("data.bin", "0123456789");
    t.write("incbin.c", "__asm__(\".data\\n.globl d\\nd: .incbin \\\"data.bin\\\"\\n\");\nint f(void) { return 1; }\n");
    for compiler in ["gcc", "clang"] {
        for host in ["h1", "h2"] {
            let command = format!(
                "rm -f a.o; icecc {compiler} -c incbin.c -o a.o && {compiler} -c incbin.c -o b.o && cmp a.o b.o"
            );
            let (status, stderr, log) = t.icecc(&[("ICECC_PREFERRED_HOST", host)], &command);
            assert_eq!((status, stderr.as_str()), (Some(0), ""), "{compiler} {host}\n{log}");
        }
    }
}
