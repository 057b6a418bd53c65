//! What becomes of an output that is there already, or that cannot be made: kept, replaced, written through or removed,
//! as each compiler does it.

use crate::compare::{Row, Table, any, local, remote, twice};

/// Sources that compile, that do not, and that only the assembler refuses.
const SOURCES: &str = "
    echo 'int f(void) { return 1; }' >a.c; cp a.c a.cc
    echo 'int f(void) { return missing; }' >broken.c; cp broken.c broken.cc
    echo 'int f(void) { __asm__(\"bogus\"); return 1; }' >bogus.c
";

/// Each way in which an output is written, with success and without.
const COMMANDS: &[Row] = &[
    any("GCC -c a.c -o a.o"),
    any("GXX -c a.cc -o a.o"),
    any("GCC -S a.c -o a.o"),
    any("CLANG -c a.c -o a.o"),
    any("CLANGXX -S a.cc -o a.o"),
    any("CLANG -fno-integrated-as -c a.c -o a.o"),
    any("GCC -g -gsplit-dwarf -c a.c -o a.o && rm a.o && truncate -s 0 a.dwo"),
    any("GCC -c broken.c -o a.o"),
    any("GCC -fno-diagnostics-show-caret -c broken.c -o a.o"),
    any("GXX -fno-diagnostics-show-caret -S broken.cc -o a.o"),
    any("GCC -fno-diagnostics-show-caret -g -gsplit-dwarf -c broken.c -o a.o"),
    any("CLANG -c broken.c -o a.o"),
    any("CLANGXX -S broken.cc -o a.o"),
    any("CLANG -fno-integrated-as -c broken.c -o a.o"),
    any("CLANG -g -gsplit-dwarf -c broken.c -o a.o"),
    any("GCC -c bogus.c -o a.o"),
    any("CLANG -c bogus.c -o a.o"),
    any("CLANG -MD -MF a.d -c broken.c -o a.o"),
];

#[track_caller]
fn try_with(situation: &'static str) {
    let setup: &'static str = Box::leak(format!("{SOURCES}{situation}").into_boxed_str());
    Table { setup, rows: COMMANDS }.try_all();
}

#[test]
fn an_old_file() {
    try_with("echo old >a.o; chmod 640 a.o; echo old >a.dwo; chmod 600 a.dwo");
    try_with(": >a.o; chmod 640 a.o; : >a.dwo; chmod 600 a.dwo");
    try_with("echo old >a.o; chmod 444 a.o; echo old >a.dwo; chmod 444 a.dwo");
}

#[test]
fn an_old_file_of_two_names() {
    try_with("echo old >b; chmod 640 b; ln b a.o; echo old >d; ln d a.dwo");
    try_with(": >b; chmod 640 b; ln b a.o; : >d; ln d a.dwo");
}

#[test]
fn a_link() {
    try_with("echo old >b; chmod 640 b; ln -s b a.o; echo old >d; ln -s d a.dwo");
    try_with(": >b; chmod 640 b; ln -s b a.o; : >d; ln -s d a.dwo");
    try_with("mkdir k; : >k/b; ln -s k/b l; ln -s l a.o");
}

#[test]
fn a_link_to_nothing() {
    try_with("mkdir k; ln -s k/b a.o; ln -s d a.dwo");
    try_with("ln -s k/b a.o");
    try_with("ln -s a.o a.o");
}

#[test]
fn what_is_no_file() {
    try_with("mkdir a.o");
    try_with("mkdir k; ln -s k a.o");
    try_with("ln -s /dev/null a.o");
}

/// What every build does goes to the server, whatever is there.
const USUAL: Table = Table {
    setup: SOURCES,
    rows: &[
        remote("GCC -c a.c -o a.o").setup("echo old >a.o"),
        remote("GCC -c a.c -o a.o").setup(": >a.o; chmod 600 a.o"),
        remote("GCC -c a.c -o a.o").setup(": >b; ln -s b a.o"),
        remote("GCC -c a.c -o a.o").setup("ln -s b a.o"),
        remote("GCC -S a.c -o a.s").setup("echo old >a.s"),
        remote("GCC -S a.c -o a.s").setup("echo old >b; chmod 600 b; ln b a.s"),
        remote("GCC -g -gsplit-dwarf -c a.c -o k/a.o; rm k/a.*").setup("mkdir k"),
        remote("CLANG -c a.c -o a.o").setup("echo old >b; ln b a.o"),
        remote("CLANG -c broken.c -o a.o").setup("echo old >b; ln -s b a.o"),
        twice("GXX -fno-diagnostics-show-caret -S broken.cc -o a.s").setup("echo old >b; ln b a.s"),
        remote("umask 077; GCC -c a.c -o a.o"),
        remote("umask 000; CLANG -c a.c -o a.o"),
    ],
};

#[test]
fn the_usual() {
    USUAL.try_all();
}

/// Where it cannot be written, the compiler says so; nobody else is asked first.
const REFUSED: Table = Table {
    setup: SOURCES,
    rows: &[
        local("GCC -c a.c -o nowhere/a.o", "output cannot be written"),
        local("CLANG -c a.c -o nowhere/a.o", "output cannot be written"),
        local("GCC -c a.c -o a.c/a.o", "output cannot be written"),
        local("GCC -c a.c -o a.o", "output is no regular file")
            .setup("mkfifo a.o; (timeout 9 cat a.o >/dev/null &) 2>/dev/null"),
        local("CLANG -S a.c -o a.o", "output is no regular file")
            .setup("mkfifo a.o; (timeout 9 cat a.o >/dev/null &) 2>/dev/null"),
        any("GCC -c a.c -o \"$(printf %0300d 1).o\""),
        any("setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG GCC -c a.c -o a.o")
            .setup("echo old >a.o; chmod 444 a.o; chmod 777 ."),
        any("setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG CLANG -c a.c -o a.o")
            .setup("echo old >a.o; chmod 444 a.o; chmod 777 ."),
        any("setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG GCC -S a.c -o a.o")
            .setup("echo old >a.o; chmod 444 a.o; chmod 777 ."),
        any("setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG GCC -c a.c -o a.o")
            .setup("echo old >a.o; chmod 666 a.o"),
        any("setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG CLANG -c a.c -o a.o")
            .setup("echo old >a.o; chmod 666 a.o"),
        any("setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG GCC -c a.c -o a.o")
            .setup("echo old >a.o; chmod 666 a.o; chmod 1777 ."),
        any("setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG CLANG -c a.c -o a.o"),
    ],
};

#[test]
fn refused() {
    REFUSED.try_all();
}

/// The source as its own output: gcc refuses, clang replaces it.
const INPUT: Table = Table {
    setup: "printf '#include \"a.h\"\\nint f(void) { return 1; }\\n' >a.c; echo 'int x;' >a.h; ln -s a.c l.c; ln a.c h.c",
    rows: &[
        local("GCC -c a.c -o a.c", "output is the input"),
        local("GXX -S a.c -o ./a.c", "output is the input"),
        local("GCC -c a.c -o l.c", "output is the input"),
        local("GCC -c l.c -o a.c", "output is the input"),
        local("GCC -c a.c -o h.c", "output is the input"),
        local("GCC -S a.c -o h.c", "output is the input"),
        local("CLANG -c a.c -o a.c", "output is the input"),
        local("CLANG -S l.c -o a.c", "output is the input"),
        any("GCC -c a.c -o a.h"),
        any("CLANG -c a.c -o a.h"),
        any("GCC -g -gsplit-dwarf -c a.c -o a.dwo; rm -f *.o"),
        any("CLANG -g -gsplit-dwarf -c a.c -o a.dwo; rm -f *.o"),
    ],
};

#[test]
fn the_source_itself() {
    INPUT.try_all();
}
