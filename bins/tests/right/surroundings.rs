//! Where and how a compile is started: directories with odd names or none, closed descriptors, limits, other users.

use crate::compare::{Table, any, local, remote};

const SOURCES: &str = r#"
    printf '#include "a.h"\nconst char *name = __FILE__;\nint f(void) { return A; }\n' >a.c; echo '#define A 1' >a.h; cp a.c a.cc
    echo 'int f(void) { return missing; }' >broken.c
"#;

/// A directory that was removed.
const REMOVED: Table = Table {
    setup: SOURCES,
    rows: &[
        local("w=$PWD; mkdir k; cd k; rmdir $w/k; GCC -c $w/a.c -o $w/a.o", "current directory has no name"),
        local("w=$PWD; mkdir k; cd k; rmdir $w/k; CLANG -g -c $w/a.c -o $w/a.o", "current directory has no name"),
        any("mkdir k; cd k; rmdir ../k; GCC -c a.c"),
        any("mkdir k; cd k; rmdir ../k; CLANG -c a.c"),
        any("mkdir k; cd k; rmdir ../k; ICE /bin/pwd -P"),
        any("w=$PWD; mkdir k; cd k; rmdir $w/k; GCC @nowhere -c $w/a.c -o $w/a.o"),
    ],
};

#[test]
fn a_removed_directory() {
    REMOVED.try_all();
}

/// Directories with names that no text likes.
const NAMES: Table = Table {
    setup: r#"
        for k in $'k\nl' 'k "l' 'k\l' $'k\tl' $'k\xffl' '#k' '$k' 'k:l' '%s' "k'l" $'k\n# 1 "x"'; do
            mkdir "$k"; printf '#include "a.h"\nconst char *name = __FILE__;\nint f(void) { return A; }\n' >"$k/a.c"; echo '#define A 1' >"$k/a.h"
            echo '#warning odd' >"$k/w.c"
        done
    "#,
    rows: &[
        any("for k in */; do (cd \"$k\" && GCC -c a.c -MD); done"),
        any("for k in */; do (cd \"$k\" && CLANG -c a.c -MD); done"),
        any("for k in */; do (cd \"$k\" && GCC -c $PWD/a.c -MD -MF a.d); done"),
        any("for k in */; do (cd \"$k\" && CLANG -c $PWD/a.c -MD -MF a.d); done"),
        any("for k in */; do GCC -c \"${k}a.c\" -o \"${k}b.o\" -MMD; done"),
        any("for k in */; do CLANG -c \"${k}a.c\" -o \"${k}b.o\" -MMD; done"),
        any("for k in */; do CLANG -gdwarf-4 -c \"${k}a.c\" -o \"${k}b.o\"; done"),
        any("for k in */; do GCC -I\"$k\" -x c -c - -o \"${k}b.o\" <\"${k}a.c\"; done"),
        any("for k in */; do GCC -c \"${k}w.c\" -o \"${k}b.o\"; CLANG -c \"${k}w.c\" -o \"${k}b.o\"; done"),
        remote("cd $'k\\nl'; GCC -c a.c"),
        remote("cd $'k\\nl'; CLANG -c a.c"),
    ],
};

#[test]
fn odd_names() {
    NAMES.try_all();
}

/// A directory too deep for a path, one that may not be searched, and wrong ideas of where it is.
const PLACES: Table = Table {
    setup: SOURCES,
    rows: &[
        any("w=$PWD; n=$(printf %0200d 1); up=; for i in $(seq 25); do mkdir $n; cd -P ./$n; up=../$up; done; cp $w/a.[ch] .
            GCC -c a.c; CLANG -c a.c -o b.o; cp a.o b.o $up; cd /; rm -r $w/0*"),
        any("n=$(printf %0200d 1); mkdir -p k/$n/$n/$n; cp a.? k/$n/$n/$n; cd k/$n/$n/$n; GCC -c a.c -MD; CLANG -c $PWD/a.c -MD -o b.o"),
        any("chmod 755 .; mkdir -m 700 k; mkdir -m 777 k/l; cp a.? k/l; cd k/l
            setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG GCC -c a.c"),
        any("chmod 755 .; mkdir -m 700 k; mkdir -m 777 k/l; cp a.? k/l; cd k/l
            setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG CLANG -c a.c"),
        any("chmod 755 .; mkdir -m 733 k; cp a.? k; cd k
            setpriv --reuid 65534 --regid 65534 --clear-groups env -u ICECC_LOGFILE -u ICECC_DEBUG GCC -c a.c"),
        remote("PWD=/nowhere GCC -c a.c"),
        any("PWD=/nowhere CLANG -gdwarf-4 -c a.c"),
        any("PWD=relative GCC -g1 -c a.c; rm a.o"),
        remote("env -u PWD GCC -c a.c"),
        any("env -u PWD CLANG -gdwarf-4 -c a.c"),
        any("ln -s . l; cd l; GCC -c a.c; CLANG -c a.c -o b.o"),
    ],
};

#[test]
fn places() {
    PLACES.try_all();
}

/// Descriptors, limits and variables that a program can be started with.
const STARTS: Table = Table {
    setup: SOURCES,
    rows: &[
        remote("GCC -c a.c <&-"),
        remote("GCC -c a.c >&-"),
        remote("GCC -c a.c 2>&-"),
        remote("GCC -c a.c <&- >&- 2>&-"),
        remote("CLANG -c a.c <&- >&- 2>&-"),
        any("GCC -c broken.c 2>&-; GCC -c broken.c >&- 2>err; CLANG -c broken.c <&-"),
        any("CLANG -c broken.c 2>&-"),
        remote("GCC -c a.c 3<a.h 4>k 9>&1"),
        any("ulimit -f 1; GCC -O0 -c a.c; echo $?")
            .setup("for i in $(seq 300); do echo \"int f$i(void) { return $i; }\"; done >>a.c"),
        any("ulimit -f 1; CLANG -O0 -c a.c >/dev/null 2>&1; test $? != 0; rm -f *.tmp /tmp/a-*.sh /tmp/a-*.c")
            .setup("for i in $(seq 300); do echo \"int f$i(void) { return $i; }\"; done >>a.c"),
        any("ulimit -f 1; GCC -S a.c; echo $?")
            .setup("for i in $(seq 300); do echo \"int f$i(void) { return $i; }\"; done >>a.c"),
        any("ulimit -n 20; GCC -c a.c"),
        any("ulimit -c 0; ulimit -s 4096; CLANG -c a.c"),
        remote("trap '' PIPE INT TERM HUP; GCC -c a.c"),
        remote("env -u HOME GCC -c a.c"),
        remote("HOME=/proc GCC -c a.c"),
        remote("HOME=relative XDG_CACHE_HOME=relative CLANG -c a.c"),
        remote("HOME=$PWD/k XDG_CACHE_HOME=/proc XDG_RUNTIME_DIR=$PWD/k TMPDIR=$PWD/k GCC -c a.c"),
        remote("HOME=$PWD/k TMPDIR=$PWD/k CLANG -c a.c"),
        remote("nice -n 5 GCC -c a.c"),
        remote(
            "env -i PATH=$PATH ICECC_DEBUG=$ICECC_DEBUG ICECC_LOGFILE=$ICECC_LOGFILE ICECC_PREFERRED_HOST=h2 GCC -c a.c",
        ),
        remote("umask 027; GCC -c a.c -MD; umask 0; CLANG -c a.c -MD -o b.o"),
        any("(umask 777; GCC -c a.c; CLANG -c a.c -o b.o)"),
        // As in a chroot: the daemon's archive is not seen. The compiler behind the same name may be another one there.
        remote("GCC -c a.c && unshare -m bash -c 'mount -t tmpfs none /var/cache; GCC -O1 -c a.c -o b.o'"),
        local(
            "unshare -m bash -c 'mount -t tmpfs none /var/cache; mount --bind cc1 $(gcc -print-prog-name=cc1); GCC -c a.c'",
            "cannot read environment",
        )
        .setup("cp $(gcc -print-prog-name=cc1) cc1; echo >>cc1"),
    ],
};

#[test]
fn starts() {
    STARTS.try_all();
}
