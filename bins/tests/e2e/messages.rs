//! Whatever compilers say reaches the user byte for byte, from here or from elsewhere.

use std::time::Duration;

use crate::cluster::{Cluster, Whose};

/// How long all of them may take.
const ALL: Duration = Duration::from_secs(400);

/// Language by ending, name, text.
const SOURCES: [(&str, &str); 8] = [
    ("fine.c", "#include <stdio.h>\nint main(void) { puts(\"x\"); return 0; }\n"),
    (
        "error.c",
        "#include <stdio.h>\n#define TWICE(x) ((x) + (x))\nint f(int a) { return TWICE(a) + undeclared; }\nint g(void) { return \"text\"; }\n",
    ),
    (
        "warning.c",
        "#include <stdio.h>\n#warning \"a directive\"\nstatic int lonely(int a) { return a; }\nint f(int a) { int u; if (a = 1) printf(\"%d\\n\", \"x\"); return u; }\n",
    ),
    ("missing.c", "#include <stdio.h>\n#include \"nowhere.h\"\nint f(void) { return 0; }\n"),
    ("fine.cc", "#include <string>\nstd::string f() { return \"x\"; }\n"),
    (
        "error.cc",
        "#include <vector>\ntemplate <class T> struct S { typename T::nothing x; };\nint f() { S<int> s; std::vector<int> v; v.push_back(\"a\", 2); return s; }\n",
    ),
    (
        "warning.cc",
        "#warning \"a directive\"\nstruct A { virtual ~A(); virtual void f(int); };\nstruct B : A { void f(long); };\nint g(int a) { unsigned u = 1; switch (a) { case 1: a++; case 2: return 1; } if (u < a) return 2; }\n",
    ),
    ("missing.cc", "#include <cstdio>\n#include <nowhere>\nint f() { return 0; }\n"),
];

/// For all sources; and for those that warn.
const OPTIONS: [&str; 2] = ["-O1 -Wall -Wextra -MMD -MF deps", "-Wall -Werror -fdiagnostics-color=always"];

/// Compiles each source with each compiler and set of options: plainly, elsewhere, here with a slot, here without a
/// daemon. Prints a line for each way: what differs from the plain compiler, and where it was compiled.
const SCRIPT: &str = r#"
compile() { rm -f a.o deps; "$@" >out 2>err; echo $? >status; touch a.o deps; for x in out err status a.o deps; do mv $x $way.$x; done; }
while read -r compiler source options; do
    way=plain; compile $compiler $options -c $source -o a.o
    for way in remote slot alone; do
        unset ICECC ICECC_PREFERRED_HOST
        case $way in remote) export ICECC_PREFERRED_HOST=h2 ;; slot) export ICECC=no ;; alone) export ICECC=disable ;; esac
        rm -f log; export ICECC_DEBUG=debug ICECC_LOGFILE=$PWD/log
        compile icecc $compiler $options -c $source -o a.o
        bad=
        for x in out err status a.o deps; do cmp -s plain.$x $way.$x || bad="$bad $x"; done
        if grep -q 'compiled on' log; then where=elsewhere; elif grep -q ' Error ' log; then where=again; else where=here; fi
        echo "$way $where $compiler $source $options:$bad"
        [ -z "$bad" ] || diff plain.err $way.err
    done
done <cases
ls
"#;

#[test]
fn messages_and_status_are_the_plain_compilers() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else {
        return;
    };
    let mut cases = String::new();
    for compiler in ["gcc", "g++", "clang", "clang++"] {
        if !cluster.sh("h1", &[], &format!("command -v {compiler}")).status.success() {
            eprintln!("skipped: {compiler} is not installed");
            continue;
        }
        for (source, _) in SOURCES.iter().filter(|(name, _)| name.ends_with(".cc") == compiler.ends_with("++")) {
            let used = if source.starts_with("warning") { &OPTIONS[..] } else { &OPTIONS[..1] };
            cases.extend(used.iter().map(|options| format!("{compiler} {source} {options}\n")));
        }
    }
    SOURCES.iter().for_each(|(name, text)| {
        cluster.write(name, text);
    });
    cluster.write("cases", &cases);
    cluster.write("script", SCRIPT);
    let said = cluster.sh_within(ALL, "h1", &[], "sh ./script").text();
    let of = |way: &'static str| said.lines().filter(move |line| line.starts_with(way));
    let wrong: Vec<&str> = said.lines().filter(|line| line.contains(": ") && !line.ends_with(':')).collect();
    assert!(wrong.is_empty(), "different from the plain compiler:\n{said}");
    for way in ["remote ", "slot ", "alone "] {
        assert_eq!(of(way).count(), cases.lines().count(), "{said}");
    }
    // What is fine, and clang's messages, come from elsewhere; gcc shows lines of a file that only this host has.
    assert!(of("remote elsewhere").any(|line| line.contains("gcc fine.c")), "{said}");
    assert!(of("remote again").any(|line| line.contains("gcc warning.c")), "{said}");
    assert!(!said.contains("clang") || of("remote elsewhere").any(|line| line.contains("clang warning.c")), "{said}");
    assert!(of("slot elsewhere").chain(of("alone elsewhere")).next().is_none(), "{said}");
    assert!(!said.contains(".tmp"), "temporary files are left:\n{said}");
}
