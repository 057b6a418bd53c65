//! What comes of jobs on files is what the plain compiler makes, while files change.

use std::fs;
use std::os::unix::fs::symlink;

use ice_core::ids::JobId;
use ice_core::message::Message;

use crate::bench::Bench;
use crate::submitter::Answer;

#[test]
fn a_file_that_changed_is_asked_for_and_no_other() {
    let Some(mut bench) = Bench::start(&[]) else { return };
    bench.write("a.c", "#include \"h.h\"\n#include <stdio.h>\nint main(void) { return puts(TEXT); }\n");
    bench.write("h.h", "#define TEXT \"one\"\n#include \"sub/s.h\"\n");
    bench.write("sub/s.h", "extern int s;\n");
    let compile = bench.gcc("-g -O1 -Wall -MMD -MF a.d -c a.c -o a.o");
    let mut submitter = bench.submitter(1);
    let cold = submitter.settle(&compile);
    assert_eq!(cold, compile.plain());
    assert_eq!((cold.status, cold.outputs.len()), (0, 2));

    let again = |submitter: &mut crate::submitter::Submitter| {
        submitter.look_again();
        match submitter.run(&compile) {
            Answer::Made(made, body) => {
                assert_eq!(made, compile.plain());
                assert!(body.used.iter().any(|path| path.ends_with(b"/project/a.c")), "{:?}", body.used);
                (submitter.contents.clone(), submitter.questions.clone())
            }
            Answer::Refused(why) => panic!("{why}"),
        }
    };
    let nothing = (Vec::<String>::new(), Vec::<String>::new());
    assert_eq!(again(&mut submitter), nothing);

    bench.write("h.h", "#define TEXT \"another\"\n#include \"sub/s.h\"\n");
    let header = bench.path("h.h").display().to_string();
    assert_eq!(again(&mut submitter).0, [header]);
    assert_eq!(again(&mut submitter), nothing);

    // It becomes a link to what the server has not seen, and then goes.
    bench.write("elsewhere/h.h", "#define TEXT \"linked\"\n#include \"sub/s.h\"\n");
    fs::remove_file(bench.path("h.h")).unwrap();
    symlink("elsewhere/h.h", bench.path("h.h")).unwrap();
    let (contents, questions) = again(&mut submitter);
    assert!(contents == [bench.path("elsewhere/h.h").display().to_string()], "{contents:?}");
    assert!(!questions.is_empty());
    fs::remove_file(bench.path("h.h")).unwrap();
    again(&mut submitter);
    bench.write("h.h", "#define TEXT \"one\"\n#include \"sub/s.h\"\n");
    again(&mut submitter);
    fs::remove_file(bench.path("h.h")).unwrap();
    bench.write("h.h/not", "a directory of that name");
    again(&mut submitter);

    // All that was granted has ended, and the scheduler knows it.
    let told = bench.link.told();
    let begun = told.iter().filter(|m| matches!(m, Message::JobBegin(_))).count();
    let done = told.iter().filter(|m| matches!(m, Message::JobDone(_))).count();
    assert!(begun == done && begun >= 7, "{told:?}");
    assert!(told.iter().any(|m| matches!(m, Message::JobBegin(begin) if begin.job == JobId(1))));
}

#[test]
fn messages_and_status_are_the_compilers() {
    let Some(bench) = Bench::start(&[]) else { return };
    bench.write("a.c", "int f(void) { int unused; return undeclared; }\n");
    let compile = bench.gcc("-Wall -c a.c -o a.o");
    let mut submitter = bench.submitter(1);
    let made = submitter.settle(&compile);
    assert_eq!(made, compile.plain());
    assert!(made.status == 1 && made.stderr.contains("undeclared"), "{made:?}");
}

#[test]
fn two_submitters_with_the_same_paths_have_their_own_files() {
    let Some(bench) = Bench::start(&[]) else { return };
    let compile = bench.gcc("-c a.c -o a.o");
    let (mut first, mut second) = (bench.submitter(1), bench.submitter(2));
    bench.write("a.c", "int one;\n");
    let one = first.settle(&compile);
    bench.write("a.c", "int two;\n");
    let two = second.settle(&compile);
    assert!(one.outputs != two.outputs);
    assert_eq!(two, compile.plain());
    bench.write("a.c", "int one;\n");
    assert_eq!(one, compile.plain());
}

#[test]
fn a_server_that_starts_again_asks_for_all_that_it_forgot() {
    let Some(mut bench) = Bench::start(&[]) else { return };
    bench.write("a.c", "int a;\n");
    let compile = bench.gcc("-c a.c -o a.o");
    let mut submitter = bench.submitter(1);
    submitter.settle(&compile);
    bench.daemon.signal(nix::sys::signal::Signal::SIGTERM);
    assert!(bench.daemon.ended_within(crate::fake::LIMIT).is_some());
    bench.daemon = bench.place.start(bench.place.daemon());
    let made = submitter.settle(&compile);
    assert_eq!(made, compile.plain());
    assert!(submitter.contents.iter().any(|path| path.ends_with("a.c")), "{:?}", submitter.contents);
}
