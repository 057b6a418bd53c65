//! G4 to G25, G29, G30, G32: compiles, by the common check.

use crate::check::{Distributable, Local, Scenario, Trial, try_all};

const C: &str = "#include <stdio.h>\nint twice(int n) { printf(\"%d\\n\", n); return n + n; }\n";
const CXX: &str =
    "#include <map>\n#include <string>\nint size(const std::map<std::string, int>& m) { return (int)m.size(); }\n";

pub const SCENARIOS: &[Scenario] = &[
    ("g4_cxx", g4_cxx),
    ("g5_c", g5_c),
    ("g6_option_behind_the_input", g6_option_behind_the_input),
    ("g7_preprocessing_is_local", g7_preprocessing_is_local),
    ("g8_headers", g8_headers),
    ("g9_language_by_option", g9_language_by_option),
    ("g10_assembly", g10_assembly),
    ("g11_pedantic", g11_pedantic),
    ("g12_march_native", g12_march_native),
    ("g13_assembler_options", g13_assembler_options),
    ("g14_macros_on_the_command_line", g14_macros_on_the_command_line),
    ("g15_missing_input", g15_missing_input),
    ("g19_counter", g19_counter),
    ("g20_raw_string", g20_raw_string),
    ("g21_cxx_isystem", g21_cxx_isystem),
    ("g22_clangs_target", g22_clangs_target),
    ("g23_split_dwarf", g23_split_dwarf),
    ("g24_split_dwarf_without_g", g24_split_dwarf_without_g),
    ("g25_split_dwarf_of_a_missing_input", g25_split_dwarf_of_a_missing_input),
    ("g29_address_sanitizer", g29_address_sanitizer),
    ("g30_sanitizers_list", g30_sanitizers_list),
    ("g32_precompiled_headers", g32_precompiled_headers),
];

#[test]
fn compiles() {
    try_all(SCENARIOS);
}

fn g4_cxx(t: &Trial) {
    t.write("a.cc", CXX);
    for compiler in ["g++", "clang++"] {
        t.common(Distributable, compiler, "CC -Wall -Werror -c a.cc -o a.o", "a.o");
    }
}

fn g5_c(t: &Trial) {
    t.write("a.c", C);
    t.with_both("CC -Wall -Werror -c a.c -o a.o", "a.o");
    t.with_both("CC -g -c a.c -o a.o", "a.o");
}

fn g6_option_behind_the_input(t: &Trial) {
    t.write("a.c", C);
    t.with_both("CC -c a.c -o a.o -O2", "a.o");
}

fn g7_preprocessing_is_local(t: &Trial) {
    t.write("a.cc", CXX);
    t.common(Local, "g++", "CC -E a.cc -o a.ii", "a.ii");
}

fn g8_headers(t: &Trial) {
    t.write("include/all.h", "#include <stdio.h>\n#include <stdlib.h>\n#define LEFT 3\n");
    t.write("with.c", "#include \"include/all.h\"\nint left(void) { puts(\"x\"); return abs(LEFT); }\n");
    t.write("without.c", "int left(void) { puts(\"x\"); return abs(LEFT); }\n");
    t.with_both("CC -c with.c -o a.o", "a.o");
    t.with_both("CC -include include/all.h -c without.c -o a.o", "a.o");
}

fn g9_language_by_option(t: &Trial) {
    t.write("plain", CXX);
    t.with_both("CC -x c++ -c plain -o a.o", "a.o");
}

fn g10_assembly(t: &Trial) {
    t.write("a.c", C);
    t.with_both("CC -O2 -S a.c -o a.s", "a.s");
}

fn g11_pedantic(t: &Trial) {
    t.write("a.c", C);
    t.with_both("CC -Wpedantic -c a.c -o a.o", "a.o");
}

fn g12_march_native(t: &Trial) {
    t.write("a.c", C);
    for (compiler, mark) in [("gcc", " -march="), ("clang", " -Xclang -target-cpu -Xclang ")] {
        t.common(Distributable, compiler, "CC -march=native -O2 -c a.c -o a.o", "a.o");
        let arguments = t.last_arguments("h2");
        assert!(arguments.contains(mark) && !arguments.contains("=native"), "{arguments}");
    }
}

fn g13_assembler_options(t: &Trial) {
    t.write("a.c", C);
    t.write("options", "--noexecstack\n");
    t.write("macros.s", ".macro nothing\n.endm\n");
    t.common(Local, "gcc", "CC -Wa,-al=listing.txt -c a.c -o a.o && test -s listing.txt && rm listing.txt", "a.o");
    t.common(Local, "gcc", "CC -Wa,@options -c a.c -o a.o", "a.o");
    t.common(Distributable, "gcc", "CC -Wa,macros.s -c a.c -o a.o", "a.o");
    t.common(Distributable, "gcc", "CC -Wa,--defsym,SYM=1 -c a.c -o a.o", "a.o");
}

fn g14_macros_on_the_command_line(t: &Trial) {
    t.write("d.c", "int value(void) { return NAME; }\n");
    t.with_both("CC -DNAME=3 -c d.c -o a.o", "a.o");
    t.with_both("CC -D NAME=4 -c d.c -o a.o", "a.o");
}

fn g15_missing_input(t: &Trial) {
    for compiler in ["gcc", "clang"] {
        for command in ["CC -c missing.c -o missing.o", "CC -c missing.c"] {
            missing(t, compiler, command);
        }
    }
}

/// The compiler's own status and messages, once, and no object.
fn missing(t: &Trial, compiler: &str, command: &str) {
    let plain = t.icecc(&[], &command.replace("CC", compiler));
    for host in ["h1", "h2"] {
        let ours = t.icecc(&[("ICECC_PREFERRED_HOST", host)], &command.replace("CC", &format!("icecc {compiler}")));
        assert_eq!((ours.0, &ours.1), (plain.0, &plain.1), "{command} by {host}\n{}", ours.2);
        assert!(!t.cluster.folder().join("missing.o").exists());
    }
}

fn g19_counter(t: &Trial) {
    t.write("counter.c", "#if __COUNTER__ == 0\nint zero(void) { return __COUNTER__; }\n#else\n#error no\n#endif\n");
    let (status, stderr, log) = t.icecc(
        &[("ICECC_PREFERRED_HOST", "h2")],
        "icecc gcc -c counter.c -o a.o && cp a.o b.o && gcc -c counter.c -o a.o && cmp a.o b.o",
    );
    assert_eq!((status, stderr.as_str()), (Some(0), ""), "{log}");
}

fn g20_raw_string(t: &Trial) {
    t.write("raw.cc", "const char* text = R\"x(\n#define no 1\n# 3 \"other.h\"\n)x\";\nint length() { return __builtin_strlen(text); }\n");
    t.common(Distributable, "g++", "CC -std=c++17 -c raw.cc -o a.o", "a.o");
    t.common(Distributable, "clang++", "CC -std=c++17 -c raw.cc -o a.o", "a.o");
}

fn g21_cxx_isystem(t: &Trial) {
    t.write("a.cc", CXX);
    t.common(Distributable, "clang++", "CC -cxx-isystem ./ -c a.cc -o a.o", "a.o");
}

fn g22_clangs_target(t: &Trial) {
    t.write("n.c", "int n(int x) { return x * 3; }\n");
    let host = t.cluster.ok("h1", &[], "clang -dumpmachine").text().trim().to_string();
    t.common(Distributable, "clang", "CC -c n.c -o a.o", "a.o");
    assert!(t.last_arguments("h2").contains(&format!(" -target {host} ")));
    t.common(Distributable, "clang", "CC -target x86_64-linux-gnu -c n.c -o a.o", "a.o");
    assert_eq!(t.last_arguments("h2").matches("-target x86_64-linux-gnu ").count(), 1);
    t.common(Distributable, "clang", "CC --target=x86_64-linux-gnu -c n.c -o a.o", "a.o");
    let arguments = t.last_arguments("h2");
    assert!(arguments.contains(" --target=x86_64-linux-gnu ") && !arguments.contains(" -target "), "{arguments}");
}

fn g23_split_dwarf(t: &Trial) {
    t.write("sub/a.c", C);
    for compiler in ["gcc", "clang"] {
        for (command, object) in [
            ("CC -gsplit-dwarf -g -c sub/a.c -o sub/a.o", "sub/a.dwo"),
            ("CC -gsplit-dwarf -g -c sub/a.c -o sub/a.o", "sub/a.o"),
            ("CC -gsplit-dwarf -g -c sub/a.c -o sub/../sub/../sub/b.o", "sub/b.dwo"),
            ("CC -gsplit-dwarf -g -c sub/a.c -o sub/../sub/../sub/b.o", "sub/b.o"),
        ] {
            t.common(Distributable, compiler, command, object);
            assert!(t.cluster.folder().join(object).exists(), "{command}");
        }
    }
}

fn g24_split_dwarf_without_g(t: &Trial) {
    t.write("a.c", C);
    t.with_both("CC -gsplit-dwarf -c a.c -o s.o", "s.dwo");
    t.with_both("CC -gsplit-dwarf -c a.c -o s.o", "s.o");
}

fn g25_split_dwarf_of_a_missing_input(t: &Trial) {
    for compiler in ["gcc", "clang"] {
        missing(t, compiler, "CC -gsplit-dwarf -g -c missing.c -o missing.o");
    }
}

fn g29_address_sanitizer(t: &Trial) {
    t.write("asan.c", "#include <stdlib.h>\nint main(void) {\n  char *p = malloc(3);\n  free(p);\n  return p[1];\n}\n");
    for compiler in ["gcc", "clang"] {
        t.common(Distributable, compiler, "CC -fsanitize=address -g -c asan.c -o asan.o", "asan.o");
        let (status, said, _) = t.icecc(&[], &format!("{compiler} -fsanitize=address asan.o -o asan && ./asan"));
        if compiler == "clang" && said.contains("cannot find") {
            // Its runtime is a package of its own.
            continue;
        }
        assert!(status != Some(0) && said.contains("heap-use-after-free") && said.contains("asan.c:5"), "{said}");
    }
}

fn g30_sanitizers_list(t: &Trial) {
    t.write("asan.c", "#include <stdlib.h>\nint main(void) {\n  char *p = malloc(3);\n  free(p);\n  return p[1];\n}\n");
    t.write("lists/list.txt", "fun:main\n");
    for path in ["lists/list.txt", "lists/../lists/list.txt"] {
        let command = format!("CC -fsanitize=address -fsanitize-blacklist={path} -g -c asan.c -o asan.o");
        t.common(Distributable, "clang", &command, "asan.o");
    }
    let log = t.common(
        Local,
        "clang",
        "CC -fsanitize=address -fsanitize-blacklist=nonexistent -c asan.c -o asan.o",
        "asan.o",
    );
    assert!(log.contains("file for argument -fsanitize-blacklist=nonexistent missing, building locally"), "{log}");
}

fn g32_precompiled_headers(t: &Trial) {
    t.write("pre.h", "#include <map>\n#define FIVE 5\n");
    t.write("pre.cc", "int five() { std::map<int, int> m; return FIVE + (int)m.size(); }\n");
    t.write("pre-too.cc", "#include \"pre.h\"\nint five() { std::map<int, int> m; return FIVE + (int)m.size(); }\n");
    for compiler in ["g++", "clang++"] {
        let (status, _, log) =
            t.icecc(&[("ICECC_PREFERRED_HOST", "h2")], &format!("icecc {compiler} -x c++-header pre.h -o pre.h.gch"));
        assert!(status == Some(0) && log.contains("<building_local>"), "{log}");
        t.common(Distributable, compiler, "CC -Winvalid-pch -include pre.h -c pre.cc -o a.o", "a.o");
    }
    t.common(Local, "clang++", "CC -Xclang -building-pch-with-obj -c pre-too.cc -o a.o", "a.o");
    std::fs::remove_file(t.cluster.folder().join("pre.h.gch")).unwrap();
}
