//! D63: below a 1.4 scheduler, ours as the only server of a 1.4 submitter and as submitter of a 1.4 server, for the
//! command lines of the client's scenarios. What a 1.4 pair gives, and the plain compiler, is what these must give.

use ice_lab::Output;

use crate::cluster::Whose;
use crate::farm::{BOTH, Farm, Mix};

/// Compiled elsewhere by clients of either kind, or not by any.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Elsewhere,
    Here,
    /// As each client decides: ours sends what 1.4 does not.
    AsTheClient,
}
use Place::{AsTheClient, Elsewhere, Here};

/// Named by the scenario. Files are those of [`SETUP`]; outputs are called `a.*`.
const COMMANDS: &[(&str, Place, &str)] = &[
    ("G4", Elsewhere, "g++ -Wall -Werror -c a.cc -o a.o"),
    ("G4", Elsewhere, "clang++ -Wall -Werror -c a.cc -o a.o"),
    ("G5", Elsewhere, "gcc -Wall -Werror -c a.c -o a.o"),
    ("G5", Elsewhere, "clang -Wall -Werror -c a.c -o a.o"),
    ("G6", Elsewhere, "gcc -c a.c -o a.o -O2"),
    ("G7", Here, "g++ -E a.cc -o a.ii"),
    ("G8", Elsewhere, "gcc -include include/all.h -c without.c -o a.o"),
    ("G9", Elsewhere, "g++ -x c++ -c plain -o a.o"),
    ("G10", AsTheClient, "gcc -O2 -S a.c -o a.s"),
    ("G11", Elsewhere, "gcc -Wpedantic -c a.c -o a.o"),
    ("G12", AsTheClient, "gcc -march=native -O2 -c a.c -o a.o"),
    ("G13", AsTheClient, "gcc -Wa,--defsym,SYM=1 -c a.c -o a.o"),
    ("G14", Elsewhere, "gcc -D NAME=4 -DOTHER=3 -c macro.c -o a.o"),
    ("G15", AsTheClient, "gcc -c missing.c -o a.o"),
    ("G16", AsTheClient, "gcc -c broken.c -o a.o"),
    ("G16", AsTheClient, "clang -c broken.c -o a.o"),
    ("G17", AsTheClient, "gcc -Wall -c warned.c -o a.o"),
    ("G19", Elsewhere, "gcc -c counter.c -o a.o"),
    ("G20", Elsewhere, "g++ -c raw.cc -o a.o"),
    ("G21", AsTheClient, "clang++ -cxx-isystem include -c a.cc -o a.o"),
    ("G23", AsTheClient, "clang -gdwarf-4 -gsplit-dwarf -c a.c -o a.o"),
    ("G29", AsTheClient, "clang -fsanitize=address -gdwarf-4 -c a.c -o a.o"),
    ("a dependency file", Elsewhere, "gcc -MD -MF a.d -c a.c -o a.o"),
    ("no output named", Elsewhere, "clang -O1 -c a.c"),
];

const SETUP: &str = r#"
    printf '#include <stdio.h>\nint twice(int n) { printf("%%d\\n", n); return n + n; }\n' >a.c
    printf '#include <map>\n#include <string>\nint size(const std::map<std::string, int>& m) { return (int)m.size(); }\n' >a.cc
    cp a.cc plain
    mkdir -p include
    printf '#include <stdlib.h>\n#define LEFT 3\n' >include/all.h
    printf 'int left(void) { return abs(LEFT); }\n' >without.c
    printf 'int value(void) { return NAME + OTHER; }\n' >macro.c
    printf 'int f(void) { return x; }\n' >broken.c
    printf 'int f(void) { int unused; return 1; }\n' >warned.c
    printf 'int f(void) { return __COUNTER__ + __COUNTER__; }\n' >counter.c
    printf 'const char *text = R"x(\n#include <none>\n)x";\n' >raw.cc
"#;

/// What a command leaves: its status, what it said, and its files.
#[derive(PartialEq, Eq)]
struct Left {
    status: Option<i32>,
    said: String,
    files: Vec<Option<Vec<u8>>>,
}

impl Left {
    fn of(farm: &Farm, output: &Output) -> Self {
        let files = ["a.o", "a.s", "a.ii", "a.d", "a.dwo"].map(|name| {
            let path = farm.cluster.folder().join(name);
            std::fs::read(path).ok()
        });
        let said = String::from_utf8_lossy(&[&output.stdout[..], &output.stderr[..]].concat()).into_owned();
        Self { status: output.status.code(), said, files: files.into() }
    }
}

#[test]
fn d63_ours_is_the_newcomer_below_a_1_4_scheduler() {
    let Some(farm) = Farm::up(Whose::Peer14, &[]) else { return };
    farm.cluster.ok("h1", &[], SETUP);
    let mut wrong = String::new();
    for (scenario, place, command) in COMMANDS {
        let output = farm.cluster.sh("h1", &[], &format!("rm -f a.[osid]*; {command}"));
        let plain = Left::of(&farm, &output);
        for submitter in BOTH {
            // A 1.4 pair is what the other pairs are measured by.
            let mixes =
                BOTH.map(|server| Mix { scheduler: Whose::Peer14, daemon: submitter, client: submitter, server });
            let [by_ours, by_peer] = mixes.map(|mix| run(&farm, mix, *place, command));
            let mut blame = |why: &str, (left, log): &(Left, String)| {
                let by = if submitter == Whose::Ours { "ours" } else { "1.4" };
                wrong.push_str(&format!("{scenario} of {by}: {command}: {why}: {}\n{log}\n", left.said));
            };
            // What a 1.4 client itself does otherwise than the plain compiler is not for us to mend.
            if submitter == Whose::Ours && by_ours.0 != plain {
                blame("differs from plain", &by_ours);
            }
            if by_ours.0 != by_peer.0 {
                blame("differs by the kind of server", &by_ours);
                blame("the 1.4 server", &by_peer);
            }
            for run in [&by_ours, &by_peer] {
                let elsewhere = is_elsewhere(&run.1);
                if (*place == Elsewhere && !elsewhere) || (*place == Here && elsewhere) {
                    blame("in the wrong place", run);
                }
            }
            if is_elsewhere(&by_ours.1) != is_elsewhere(&by_peer.1) {
                blame("compiled elsewhere by one kind of server only", &by_ours);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn run(farm: &Farm, mix: Mix, place: Place, command: &str) -> (Left, String) {
    let command = format!("rm -f a.[osid]*; CLIENT {command}");
    let variables = [("ICECC_PREFERRED_HOST", mix.server())];
    let (output, log) = farm.shell_elsewhere(mix.submitter(), mix.client, &variables, &command, place == Elsewhere);
    (Left::of(farm, &output), log)
}

fn is_elsewhere(log: &str) -> bool {
    log.contains("Have to use host 10.77.0.")
}
