//! Compilers in unusual places and options that want more than a compiler (scenarios E…); run by
//! `scripts/prove.sh toolchain.8`.

use ice_lab::{Config, HostConfig};

use crate::cluster::{Cluster, Whose, completed};

const UNIT: &str = "int f(int x) { return x * 3 + 1; }\n";
const TO_H2: (&str, &str) = ("ICECC_PREFERRED_HOST", "h2");

/// gcc and clang in one archive of the old form, by whichever option comes first; both run on 1.4's daemon and on ours.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e20_gcc_and_clang_in_one_archive() {
    let mut config = Config::new("", &Whose::Ours.programs(), &[1, 4, 4]);
    config.hosts[1] = HostConfig::new(Whose::Peer14.programs(), 4);
    let Some(cluster) = Cluster::with(&config) else {
        return;
    };
    cluster.write("a.c", UNIT);
    cluster.ok("h1", &[], "for c in gcc clang; do $c -O2 -c a.c -o plain-$c.o; done");
    let (gcc, clang) = ("--gcc /usr/bin/gcc /usr/bin/g++", "--clang /usr/bin/clang /usr/lib/icecc/compilerwrapper");
    let make = |first: &str, second: &str, compression: &str| {
        let command = format!("icecc-create-env {first} {second} --no-check --compression {compression}");
        cluster.ok("h1", &[], &format!("{command} | sed -n 's/^creating //p'")).text().trim().to_string()
    };
    let archive = make(gcc, clang, "zstd");
    let other = make(clang, gcc, "none");
    let base = |name: &str| name.split('.').next().unwrap_or_default().to_owned();
    assert_eq!(base(&archive), base(&other), "the order makes another environment");
    let names = cluster.ok("h1", &[], &format!("tar -tf {other} usr/bin/gcc.bin usr/bin/g++.bin usr/bin/gcc usr/bin/g++ usr/bin/clang usr/bin/cc1 usr/bin/as | sort")).text();
    assert_eq!(names.lines().count(), 7, "{names}");
    let path = cluster.folder().join(&archive).display().to_string();
    for host in ["h2", "h3"] {
        for compiler in ["gcc", "clang"] {
            let before = completed(&cluster, host);
            let variables = [("ICECC_VERSION", path.as_str()), ("ICECC_PREFERRED_HOST", host)];
            cluster.ok("h1", &variables, &format!("icecc {compiler} -O2 -c a.c -o out.o"));
            assert_eq!(completed(&cluster, host), before + 1, "{compiler} did not run on {host}");
            assert!(cluster.read("out.o") == cluster.read(&format!("plain-{compiler}.o")), "{compiler} on {host}");
        }
    }
    println!("gcc and clang of one archive, on 1.4's daemon and on ours: 4 objects equal");
}

/// A compiler that the daemon's user cannot reach: built here, and the log says why.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e42_a_compiler_in_a_closed_folder_is_used_here() {
    if !nix::unistd::Uid::effective().is_root() {
        eprintln!("skipped: the daemon of an ordinary user reads what that user reads");
        return;
    }
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    cluster.write("a.c", UNIT);
    cluster.ok("h1", &[], "chmod 755 . && gcc -O2 -c a.c -o plain.o && mkdir -m 700 closed && printf '#!/bin/sh\\nexec /usr/bin/gcc \"$@\"\\n' >closed/gcc && chmod 755 closed/gcc");
    let said =
        cluster.ok("h1", &[("ICECC_DEBUG", "warnings")], "icecc $PWD/closed/gcc -O2 -c a.c -o out.o").error_text();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(
        said.contains("daemon can't determine native environment: ")
            && said.contains("/closed/gcc as the daemon's user"),
        "{said}"
    );
    assert_eq!(cluster.ok("h1", &[], "icecc $PWD/closed/gcc -O2 -c a.c -o out.o").error_text(), "");
    assert!(cluster.read("out.o") == cluster.read("plain.o") && completed(&cluster, "h2") == 0);
    println!("{}", said.trim_end());
}

/// A gcc that was configured for `/opt`: packed flat, it finds its parts on a server that has nothing there.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e49_a_gcc_of_another_prefix() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    cluster.write("a.c", UNIT);
    cluster.write("a.cc", "template<class T> T f(T x) { return x * 3 + 1; }\nlong g(long x) { return f(x); }\n");
    // The drivers say `/usr` wherever they say where they belong; `/opt` is as long.
    let install = "set -e; mount -t tmpfs none /opt; cc1=$(gcc -print-prog-name=cc1); folder=$(dirname ${cc1#/usr/}); mkdir -p /opt/bin /opt/$folder
        for p in cc1 cc1plus; do cp -L \"$(g++ -print-prog-name=$p)\" /opt/$folder/; done
        cp -L \"$(gcc -print-file-name=liblto_plugin.so)\" /opt/$folder/
        for d in gcc g++; do LC_ALL=C sed 's,/usr/\\(bin\\|lib\\|libexec\\)/,/opt/\\1/,g' \"$(readlink -f /usr/bin/$d)\" >/opt/bin/$d; chmod 755 /opt/bin/$d; done
        /opt/bin/gcc -print-search-dirs | grep -q 'install: /opt/'";
    cluster.ok("h1", &[], install);
    for (driver, source) in [("gcc", "a.c"), ("g++", "a.cc")] {
        cluster.ok("h1", &[], &format!("/opt/bin/{driver} -O2 -c {source} -o plain.o"));
        cluster.ok("h1", &[TO_H2], &format!("icecc /opt/bin/{driver} -O2 -c {source} -o out.o"));
        assert!(cluster.read("out.o") == cluster.read("plain.o"), "{driver}");
    }
    assert_eq!(completed(&cluster, "h2"), 2, "not run on h2");
    println!("gcc and g++ of /opt: 2 objects of h2, equal");
}

/// Options that want more of an environment than its compiler. What is asked of each: the object of a local run; of
/// those that are known to work, also that it came from the server.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e53_e54_options_that_want_more_than_a_compiler() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    cluster.write("a.c", "const char *s = \"gr\u{fc}n\";\nint f(int *x) { return x[3] + 1; }\n");
    cluster.write("a.cc", "struct A { virtual int f(); };\nint A::f() { return 1; }\nint g(A *a) { return a->f(); }\n");
    let cases = [
        ("E53", "gcc -fexec-charset=ISO-8859-1", "a.c", false),
        ("E53", "gcc -fwide-exec-charset=UTF-16", "a.c", false),
        ("E53", "clang -flto -fvisibility=hidden -fsanitize=cfi", "a.cc", true),
        ("E53", "clang -fsanitize=dataflow", "a.c", true),
        ("E54", "gcc -g -gsplit-dwarf", "a.c", true),
        ("E54", "clang -g -gsplit-dwarf", "a.c", true),
        ("E54", "gcc -flto -frandom-seed=1", "a.c", true),
        ("E54", "clang -flto", "a.c", true),
        ("E54", "clang -fno-integrated-as", "a.c", true),
        ("E54", "gcc -fsanitize=address", "a.c", true),
        ("E54", "clang -fsanitize=address,undefined", "a.c", true),
    ];
    for (number, command, source, is_remote) in cases {
        let job = format!("{command} -O1 -c {source} -o out.o");
        // In debug information a server's compiler shows itself: gcc by one option more, clang by the number of the
        // file. So the object is compared without, and of the .dwo the tree of names.
        let take = |what: &str| {
            let tree = "test ! -e out.dwo || readelf --debug-dump=info out.dwo | grep -o 'DW_[A-Z]*_[a-zA-Z_]*'; rm -f out.dwo";
            if command.contains(" -g ") {
                cluster.ok("h1", &[], "objcopy --strip-debug out.o");
            }
            // gcc keeps its options here too: what counts is the code that comes of it.
            if command.starts_with("gcc -flto") {
                cluster.ok("h1", &[], "gcc -flto -O1 -r -flinker-output=nolto-rel out.o -o code.o && mv code.o out.o");
            }
            let object = std::fs::read(cluster.folder().join("out.o")).ok();
            let names = cluster.ok("h1", &[], &format!("{tree}; rm -f out.o")).text();
            assert!(object.is_some(), "{command}: no object {what}");
            assert_eq!(names.lines().count() > 5, command.contains("-gsplit-dwarf"), "{command} {what}: {names}");
            (object, names)
        };
        let plain = cluster.sh("h1", &[], &job);
        let plain_said = plain.error_text();
        if !plain.status.success() {
            let reason = plain_said.lines().next().unwrap_or_default();
            println!("skipped: {number} {command}: without icecc too: {reason}");
            continue;
        }
        let plain = take("without icecc");
        let before = completed(&cluster, "h2");
        let said = cluster.ok("h1", &[TO_H2], &format!("icecc {job}")).error_text();
        let ours = take("with icecc");
        let ran = completed(&cluster, "h2") - before;
        assert_eq!(said, plain_said, "{command}");
        assert!(ours == plain, "{command}: another object");
        assert_eq!(ran, usize::from(is_remote), "{command}: jobs that h2 ended well");
        println!("{number} {command:<52} object equal, {}", if ran > 0 { "of the server" } else { "built here" });
    }
}

/// Where the loader prefers a variant for this machine's processor, the plain library is packed: others cannot run the
/// variant.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e13_the_plain_library_is_packed_not_the_variant_for_this_processor() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1]) else {
        return;
    };
    // The loader looks into its folders, for it has no cache; over them lies one with a variant of a library of cc1's.
    let variant = "set -e; mpfr=$(ldd \"$(gcc -print-prog-name=cc1)\" | sed -n 's/.*libmpfr.* => \\([^ ]*\\) .*/\\1/p'); lib=$(dirname \"$(readlink -f $mpfr)\")
        mount -t tmpfs none /mnt; mkdir -p /mnt/work /mnt/over/glibc-hwcaps/x86-64-v2; cp $mpfr /mnt/over/glibc-hwcaps/x86-64-v2/; echo variant >>/mnt/over/glibc-hwcaps/x86-64-v2/$(basename $mpfr)
        mount -t overlay none -o lowerdir=$lib,upperdir=/mnt/over,workdir=/mnt/work $lib; mount --bind /dev/null /etc/ld.so.cache
        ldd \"$(gcc -print-prog-name=cc1)\" | grep -q glibc-hwcaps/x86-64-v2/libmpfr";
    let made = cluster.sh("h1", &[], variant);
    if !made.status.success() {
        eprintln!("skipped: no variant can be put before the plain library: {}", made.error_text().trim_end());
        return;
    }
    let names = "icecc-create-env gcc --no-check --compression none >said && tar -xf *.tar && find . -name 'libmpfr*' && ! grep -rq variant $(find . -name 'libmpfr*')";
    let names = cluster.ok("h1", &[], names).text();
    assert_eq!(names.lines().count(), 1, "{names}");
    assert!(!names.contains("hwcaps"), "{names}");
    println!("the loader of this machine takes the variant, the environment has {}", names.trim_end());
}

/// Archives that are said to be for another platform, and a host that says so of itself.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e50_e51_e52_other_platforms() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    if cluster.ok("h1", &[], "uname -m").text() != "x86_64\n" {
        eprintln!("skipped: not an x86_64");
        return;
    }
    cluster.write("a.c", UNIT);
    // Without what it says of itself, as 1.4's.
    let make = "set -e; gcc -O2 -c a.c -o plain.o; icecc-create-env gcc --no-check --compression none >said; mkdir tree; tar -C tree -xf *.tar; rm -r *.tar tree/usr/share; tar -cf old.tar -C tree .; rm -r tree";
    cluster.ok("h1", &[], make);
    let archive = cluster.folder().join("old.tar").display().to_string();
    for (number, platform, is_remote) in [("E50", "i686", true), ("E51", "aarch64", false)] {
        let version = format!("{platform}:{archive}");
        let before = completed(&cluster, "h2");
        cluster.ok("h1", &[TO_H2, ("ICECC_VERSION", &version)], "rm -f out.o; icecc gcc -O2 -c a.c -o out.o");
        assert!(cluster.read("out.o") == cluster.read("plain.o"), "{number}");
        assert_eq!(completed(&cluster, "h2") - before, usize::from(is_remote), "{number}");
        println!(
            "{number} {platform}:FILE: {}",
            if is_remote { "on h2, object equal" } else { "built here, no error" }
        );
    }
    let announced = cluster.count_in_log("h1", "scheduler.log", "RELOGIN h2(x86_64): [old+");
    assert!(announced > 0, "E50: not announced as the submitter's platform");

    // E52: a daemon that sees an i686.
    cluster.stop_daemon("h2");
    let programs = Whose::Ours.programs();
    let daemon = programs.daemon().expect("our daemon").display().to_string();
    cluster.start_and_leave(
        "h2",
        &format!("exec setarch i686 {daemon} -vvv -l /var/log/icecc/i686.log -b /var/cache/icecc -m 4 -s 10.77.0.1"),
    );
    let platform = || cluster.check(cluster.lab.console("listcs"));
    cluster.until("h2 as an i686", crate::cluster::SOON, || platform().contains("[i686]"));
    for _ in 0..3 {
        cluster.ok("h1", &[TO_H2], "rm -f out.o; icecc gcc -O2 -c a.c -o out.o");
        assert!(cluster.read("out.o") == cluster.read("plain.o"), "E52");
    }
    let log = cluster.lab.log("h2", "i686.log").unwrap_or_default();
    assert!(log.contains("scheduler is on") && !log.contains("receiving environment"), "E52: {log}");
    println!("E52 the daemon under setarch i686 says i686 and gets no archive of x86_64");
}

/// Jobs whose options write other files than the object, read some, or put names of files into it: everything must be
/// as without icecc. Those that end with `@` are compiled on the server.
const JOBS: &str = "
clang -c a.c -g -gsplit-dwarf=split -o a.o @
clang -c a.c -g -gsplit-dwarf=single -o a.o @
clang -c a.c -g -gdwarf-4 -ffile-compilation-dir=/elsewhere -o a.o @
clang -c a.c -O2 -march=native -o a.o @
clang -c a.c -fprebuilt-module-path=. -o a.o
clang -c a.c -fmodules -fmodule-map-file=m.map -o a.o
clang -c a.c -O1 -foptimization-record-file=record -o a.o
clang -c a.c -flto=thin -fthin-link-bitcode=thin -o a.o
clang -c ./a.c -fprofile-instr-generate -fcoverage-mapping -o a.o
clang -c ./a.c -fprofile-instr-generate -o a.o
clang -c a.c -O1 -Rpass=inline -o a.o
clang -c a.c -g -gdwarf-5 -gembed-source -o a.o
clang -c a.c -O1 -fsanitize=address -fsanitize-blacklist=../functions -o a.o @
clang -c a.c -O1 -fsanitize=address -fsanitize-blacklist=../list -o a.o
../llvm/bin/x86_64-linux-gnu-clang -c a.c -O1 -o a.o @
../llvm/bin/x86_64-linux-gnu-clang -c a.c -O1 -m32 -o a.o @
gcc -c a.c -O1 -da -o a.o
gcc -c a.c -Xassembler -al=listing -o a.o
gcc -c latin.c -finput-charset=ISO-8859-1 -o a.o @
gcc -c latin.c -finput-charset=ISO-8859-1 -fexec-charset=ISO-8859-1 -o a.o
gcc -c a.c -P -o a.o @
gcc -c a.c -fno-working-directory -O1 -o a.o @
gcc -x c -c /dev/stdin -o a.o
clang -x c -c /dev/stdin -o a.o
gcc -c a.c -include /dev/stdin -o a.o
clang -c a.c @/dev/stdin -o a.o
";

/// Runs each job plainly and through icecc, with a pipe for its standard input, and prints what differs.
const SCRIPT: &str = r#"
run() { rm -rf work; cp -a sources work; (cd work; printf %s "$text" | "$@" >out 2>err; echo $? >status); rm -rf $way; mv work $way; }
while read -r job; do
    [ -n "$job" ] || continue
    text='int piped;'; case $job in *@/dev/stdin*) text=-O1 ;; esac
    where=here; case $job in *@) where=elsewhere; job=${job% @} ;; esac
    way=plain; run $job
    rm -f log; export ICECC_DEBUG=debug ICECC_LOGFILE=$PWD/log ICECC_PREFERRED_HOST=h2
    way=ours; run icecc $job
    unset ICECC_DEBUG ICECC_LOGFILE
    if [ "$(cat plain/status)" != 0 ]; then echo "skipped: $job: $(head -1 plain/err)"; continue; fi
    for x in plain ours; do
        # In debug information a server's clang numbers files otherwise.
        case $job in *gsplit*=split*) readelf --debug-dump=info $x/a.dwo | grep -o 'DW_[A-Z]*_[a-zA-Z_]*' >$x/names; rm -f $x/a.dwo ;; esac
        case $job in *gsplit*=single*) objcopy --dump-section .debug_info.dwo=$x/info $x/a.o; test -s $x/info && echo here >$x/info ;; esac
        case $job in *gsplit*|*compilation-dir*) readelf --debug-dump=info $x/a.o | grep -o 'DW_AT_.*_dir.*' | sed 's/.*: //' >$x/dirs; objcopy --strip-debug $x/a.o ;; esac
    done
    # A listing shows the name of a temporary file.
    sed -i 's,/tmp/.*,,' plain/listing ours/listing 2>/dev/null
    difference=$(diff -r plain ours | head -3)
    if grep -q 'compiled on' log; then was=elsewhere; else was=here; fi
    if [ -z "$difference" ] && [ $was = $where ]; then echo "fine $was: $job"; else echo "WRONG $was: $job: $difference"; cat log; fi
done <jobs
"#;

#[test]
fn options_write_read_and_name_what_they_do_without_icecc() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else {
        return;
    };
    std::fs::create_dir(cluster.folder().join("sources")).expect("a folder");
    let unit = "static int twice(int x) { return x * 2; }\nint f(int *x) { for (int i = 0; i < 100; i++) x[i] = twice(x[i]); return x[3]; }\n";
    cluster.write("sources/a.c", unit);
    cluster.write("sources/a.h", "int g(void);\n");
    // Not new for each job: what changes in the second in which it is packed is not packed.
    cluster.write("functions", "fun:f\n");
    cluster.write("list", "# all\nsrc:a.c\n");
    cluster.write("sources/m.map", "module m { header \"a.h\" }\n");
    std::fs::write(cluster.folder().join("sources/latin.c"), b"const char *s = \"gr\xfcn\";\n").expect("a file");
    // By this name it reads a configuration file beside it; later ones do by any.
    let install = "real=$(readlink -f $(command -v clang)) && mkdir -p llvm/bin && cp $real llvm/bin/x86_64-linux-gnu-clang && ln -s ${real%/bin/*}/lib llvm/lib && printf '# all\\n@more/all.cfg\\n' >llvm/bin/x86_64-linux-gnu-clang.cfg && mkdir llvm/bin/more && echo -fstack-protector-all >llvm/bin/more/all.cfg && echo -fwrapv -fno-inline >llvm/bin/i386.cfg";
    cluster.sh("h1", &[], install);
    cluster.write("jobs", JOBS);
    cluster.write("script", SCRIPT);
    let said = cluster.ok("h1", &[], "sh ./script").text();
    assert!(!said.contains("WRONG") && said.lines().count() == JOBS.trim().lines().count(), "{said}");
    println!("{said}");
}

/// Wrappers as Buildroot's and the Android NDK's: what they add reaches the server.
#[test]
#[ignore = "long: scripts/prove.sh toolchain.8"]
fn e6_objects_of_wrappers_are_those_that_they_make_here() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[1, 4]) else {
        return;
    };
    cluster.write("a.c", "long f(long *x) { return x[3] * 3 + sizeof(x); }\n");
    let compiled = "#include <unistd.h>\nint main(int n, char **w) { char *a[n + 2]; a[0] = \"/usr/bin/gcc\"; a[1] = \"-m32\";\n\
        for (int i = 1; i <= n; i++) a[i + 1] = w[i]; return execv(a[0], a); }\n";
    cluster.write("wrap.c", compiled);
    cluster.write("aarch64-linux-android21-clang", "#!/bin/sh\nif [ \"$1\" != \"-cc1\" ]; then\n    \"`dirname /usr/bin/x`/clang\" --target=aarch64-linux-android21 \"$@\"\nelse\n    \"`dirname /usr/bin/x`/clang\" \"$@\"\nfi\n");
    cluster.write("script-gcc", "#!/bin/sh\nexec /usr/bin/gcc $EXTRA -fwrapv \"$@\"\n");
    cluster.ok("h1", &[], "chmod 755 . *-clang script-gcc && gcc wrap.c -o my-gcc");
    let jobs =
        [("my-gcc", ""), ("aarch64-linux-android21-clang", ""), ("script-gcc", ""), ("script-gcc", "EXTRA=-m32 ")];
    for (n, (wrapper, variable)) in jobs.into_iter().enumerate() {
        cluster.ok("h1", &[], &format!("{variable}./{wrapper} -O2 -c a.c -o plain.o"));
        cluster.ok("h1", &[TO_H2], &format!("{variable}icecc $PWD/{wrapper} -O2 -c a.c -o out.o"));
        assert!(cluster.read("out.o") == cluster.read("plain.o"), "{variable}{wrapper}: the object differs");
        assert_eq!(completed(&cluster, "h2"), n + 1, "{variable}{wrapper}: not run on h2");
    }
    println!("gcc in a program, in a script, clang in a script: {} objects of h2, equal", jobs.len());
}
