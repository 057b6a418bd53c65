//! What a job says beside its words, and what the compiler's answers make of them.

use super::*;
use crate::files::outputs;
use crate::message::{ArgSide, arg_flags};

fn texts(words: &[Vec<u8>]) -> Vec<String> {
    words.iter().map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// `remote -c`, `rest -O2`, in the order of sending.
fn sent(job: &RemoteJob, mode: Mode) -> Vec<String> {
    let side = |side| if side == ArgSide::Remote { "remote" } else { "rest" };
    job.remote_words(mode).iter().map(|(of, text)| format!("{} {text}", side(*of))).collect()
}

#[test]
fn options_are_summed_up_for_the_scheduler() {
    use arg_flags::{DEBUG, DEBUG3, OPT_OTHER, OPT1, OPT2};
    for (words, flags) in [
        ("-Wall", 0),
        ("-g", DEBUG),
        ("-gdwarf-4", DEBUG),
        ("-g3", DEBUG3),
        ("-g3 -g", DEBUG),
        ("-g -g3", DEBUG3),
        ("-O", OPT1),
        ("-O1", OPT1),
        ("-O2", OPT2),
        ("-O3", OPT_OTHER),
        ("-Os", OPT_OTHER),
        ("-O2 -O0", 0),
        ("-O0 -O2", OPT2),
        ("-g3 -Ofast", DEBUG3 | OPT_OTHER),
        ("-g -O2 -Wall", DEBUG | OPT2),
    ] {
        assert_eq!(job(&format!("clang -c a.c {words}")).arg_flags(), flags, "{words}");
    }
}

#[test]
fn monitors_are_shown_the_last_three_components() {
    for (line, name) in [
        ("gcc -c k/l/a.c", "k/l/a.c"),
        ("gcc -O2 -c a.c", "-c/w/a.c"),
        ("gcc -c a.c -Ilib", "-c/w/a.c"),
        ("gcc -c /a.c -DX", "/-c/a.c"),
        ("gcc -O1 -O2 -c /a.c", "-O2/-c/a.c"),
    ] {
        assert_eq!(job(line).display_name(b"/w"), *name, "{line}");
    }
}

#[test]
fn the_format_is_asked_for_by_options_about_it_alone() {
    for (line, words) in [
        ("gcc -O2 -g -Wall -DX -I. -std=gnu11 -frandom-seed=a -c a.c -o a.o", "-c"),
        ("gcc -fno-pic -O2 -S a.c", "-S"),
        ("gcc -m32 -march=i686 -flto -c a.c", "-m32 -march=i686 -flto -c"),
        ("gcc -flto=auto -ffat-lto-objects -fno-lto -c a.c", "-flto=auto -ffat-lto-objects -fno-lto -c"),
        ("gcc -Wa,--32 -Xassembler --x32 -c a.c", "-Wa,--32 -Xassembler --x32 -c"),
        ("clang -target arm-linux-gnueabi --target=avr -c a.c", "-target arm-linux-gnueabi --target=avr -c"),
        ("clang -emit-llvm -fembed-bitcode=all -c a.c", "-emit-llvm -fembed-bitcode=all -c"),
        ("clang -fno-integrated-as -no-integrated-as -c a.c", "-fno-integrated-as -no-integrated-as -c"),
        ("clang -mllvm -x86-asm-syntax=intel -Xclang -target-feature -Xclang +avx -c a.c", "-c"),
        ("clang -mthread-model posix -arch armv7 -c a.c", "-mthread-model posix -arch armv7 -c"),
    ] {
        assert_eq!(texts(&job(line).format_words()).join(" "), words, "{line}");
    }
}

#[test]
fn debug_information_beside_the_object_has_its_name() {
    for (line, dwo) in [("gcc -c a.c", "a.dwo"), ("gcc -c a.c -o k.d/b.c.o", "k.d/b.c.dwo")] {
        assert_eq!(job(line).dwo(), dwo.as_bytes(), "{line}");
    }
}

#[test]
fn an_environment_has_one_of_three_compilers() {
    for (line, compiler) in [
        ("gcc -c a.c", "gcc"),
        ("g++ -c a.c", "g++"),
        ("gcc -c a.mm", "gcc"),
        ("gcc -c a.cc", "g++"),
        ("clang -c a.cc", "clang"),
    ] {
        assert_eq!(job(line).wire_compiler(), compiler, "{line}");
    }
}

#[test]
fn native_options_are_what_the_compiler_says_of_all_of_them() {
    let line = |compiler: &str| format!("{compiler} -O2 -march=native -DX -mtune=native -c a.c");
    let answer = [b"-mavx".to_vec(), b"-mtune=k8".to_vec()];
    let gcc = job(&line("gcc"));
    assert_eq!(gcc.native_words(), [b"-march=native", b"-mtune=native"]);
    let resolved = |mut job: RemoteJob, answer: Option<&[Vec<u8>]>| {
        job.resolve_native(answer).map(|()| {
            assert!(job.native_words().is_empty());
            sent(&job, Mode::Full)
        })
    };
    let all = ["rest -O2", "rest -mavx", "rest -mtune=k8", "remote -c"].map(str::to_owned);
    assert_eq!(resolved(gcc.clone(), Some(&answer)), Ok(all.to_vec()));
    assert_eq!(resolved(gcc, None), Err(Reason::NativeUnknown));
    let clang = job(&line("clang"));
    let all =
        ["rest -O2", "rest -Xclang", "rest -mavx", "rest -Xclang", "rest -mtune=k8", "remote -c"].map(str::to_owned);
    assert_eq!(resolved(clang.clone(), Some(&answer)), Ok(all.to_vec()));
    assert_eq!(resolved(clang, None), Ok(vec!["rest -O2".to_owned(), "remote -c".to_owned()]));
    let other = job("gcc -c a.c -march=k8");
    assert!(other.native_words().is_empty());
    assert_eq!(resolved(other, None), Ok(vec!["rest -march=k8".to_owned(), "remote -c".to_owned()]));
}

#[test]
fn pragmas_are_told_by_what_their_options_define() {
    let resolved = |line: &str, macros: Option<&str>| {
        let mut job = job(line);
        let macros = macros.map(|word| vec![word.as_bytes().to_vec()]);
        job.resolve_pragmas(macros.as_deref());
        (job.mode, texts(&job.preprocessor_words(job.mode)))
    };
    let words = |words: &str| words.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let openmp = "gcc -fopenmp -D_OPENMP=1 -c a.c";
    assert_eq!(job(openmp).pragma_words(), [b"-fopenmp"]);
    let (mode, here) = resolved(openmp, Some("-D_OPENMP=2"));
    assert_eq!((mode, here), (Mode::Directives, words("-D_OPENMP=2 -D_OPENMP=1 -E a.c -fdirectives-only")));
    assert_eq!(resolved(openmp, None), (Mode::Full, words("-fopenmp -D_OPENMP=1 -E a.c")));
    let clang = resolved("clang -fopenmp -c a.c", None);
    assert_eq!(clang, (Mode::Includes, words("-fopenmp -E a.c -frewrite-includes")));
    assert!(job("clang -fopenmp -c a.c").pragma_words().is_empty());
}

#[test]
fn clang_is_told_the_target_that_it_named() {
    let resolved = |line: &str, target: Option<&str>| {
        let mut job = job(line);
        job.resolve_target(target.map(str::as_bytes)).map(|()| sent(&job, Mode::Full))
    };
    let words = |words: &[&str]| Ok(words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
    assert_eq!(resolved("clang -c a.c", Some("k8")), words(&["remote -c", "remote -target", "remote k8"]));
    assert_eq!(resolved("clang -c a.c", None), Err(Reason::TargetUnknown));
    assert_eq!(resolved("clang -c a.c", Some("")), Err(Reason::TargetUnknown));
    for line in ["gcc -c a.c", "clang --target=k9 -c a.c", "clang -target k9 -c a.c"] {
        let named = if line.starts_with("gcc") { "" } else { "k9" };
        let told = resolved(line, None).unwrap();
        assert!(
            !told.contains(&"remote -target".to_owned()) && told.iter().any(|word| word.ends_with(named)),
            "{line}"
        );
    }
}

#[test]
fn clang_is_told_the_users_name_of_the_folder() {
    let told = |line: &str| {
        let mut job = job(line);
        job.set_compilation_dir(b"/link");
        let words: Vec<String> = sent(&job, Mode::Full);
        words.iter().filter_map(|word| word.strip_prefix("remote /")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(told("clang -c a.c"), ["link"]);
    assert_eq!(told("clang -c a.c -fdebug-compilation-dir=/own"), ["own"], "the user's own wins");
    assert!(told("gcc -c a.c").is_empty());
}

#[test]
fn what_a_job_writes() {
    for (line, files) in [
        ("gcc -c a.c", &["/w/a.o"][..]),
        ("gcc -c sub/a.c -o ../out/a.o", &["/w/../out/a.o"]),
        ("gcc -S a.c", &["/w/a.s"]),
        ("clang -S -emit-llvm a.c", &["/w/a.ll"]),
        ("gcc -c a.c -o /o/a.o -MD", &["/o/a.d", "/o/a.o"]),
        ("gcc -c a.c -o a.o -MMD -MF deps/a.d", &["/w/a.o", "/w/deps/a.d"]),
        ("gcc -c a.c -o a.o -Wp,-MD,b.d", &["/w/a.o", "/w/b.d"]),
        ("gcc -c a.c -MD -MF -", &["/w/a.o"]),
        ("gcc -c a.c -MD -MF /dev/stdout", &["/w/a.o"]),
        ("gcc -g -gsplit-dwarf -c a.c -o x/a.o -MD", &["/w/x/a.d", "/w/x/a.dwo", "/w/x/a.o"]),
        ("clang -g -gsplit-dwarf -c a.c", &["/w/a.dwo", "/w/a.o"]),
    ] {
        let written = outputs(&job(line), b"/w");
        assert_eq!(written, files.iter().map(|file| file.as_bytes().to_vec()).collect::<Vec<_>>(), "{line}");
    }
    assert_eq!(outputs(&job("gcc -c a.c"), b"/"), [b"/a.o".to_vec()]);
}
