//! What single options and settings decide, for the one family of compilers or the other.

use super::*;

fn judged(line: &str, settings: Settings) -> RemoteJob {
    match judge(line, settings) {
        Verdict::Remote(job) => *job,
        Verdict::Local(reason, _) => panic!("{line}: {reason}"),
    }
}

fn has_word(job: &RemoteJob, word: &str) -> bool {
    job.words.iter().any(|known| known.text == word.as_bytes())
}

#[test]
fn the_language_is_told_by_option_then_suffix_then_name() {
    use Language::{C, Cxx, ObjC, ObjCxx};
    for (line, expected) in [
        ("gcc -c a.c", C),
        ("gcc -c a.cc", Cxx),
        ("g++ -c a.c", Cxx),
        ("g++ -c a.mm", ObjCxx),
        ("gcc -c", C),
        ("g++ -c a.txt", Cxx),
        ("gcc -c a.txt a.m", ObjC),
        ("gcc a.m a.cc", ObjC),
        // The value of another option is no source.
        ("gcc -o b.m a.cc", Cxx),
        ("gcc -I b.m -c a.cc", Cxx),
        ("gcc -x c++ -c a.c", Cxx),
        ("gcc -xobjective-c -c a.c", ObjC),
        ("gcc -c a.c -x objective-c++", ObjCxx),
        ("gcc -x ada -c a.mm", ObjCxx),
        ("gcc -c a.cc -x", Cxx),
        ("clang -ObjC -c a.cc", ObjC),
        ("clang -ObjC++ -c a.c", ObjCxx),
        ("clang -ObjC -x c -c a.c", C),
        ("gcc -ObjC -c a.c", C),
    ] {
        let words: Vec<Vec<u8>> = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let driver = Driver::from_name(&words[0]).unwrap();
        let found = language(&Invocation { driver, words: &words[1..], folder: b"/w" });
        assert_eq!(found, expected, "{line}");
    }
}

#[test]
fn each_suffix_has_its_language() {
    use Language::{C, Cxx, ObjC, ObjCxx};
    for (suffixes, expected) in [
        (&["c", "i"][..], C),
        (&["cc", "cpp", "cxx", "cp", "c++", "C", "ii"], Cxx),
        (&["m", "mi"], ObjC),
        (&["mm", "mii", "M"], ObjCxx),
    ] {
        for suffix in suffixes {
            assert_eq!(job(&format!("gcc -c a.{suffix}")).language, expected, "{suffix}");
        }
    }
    for suffix in ["h", "s", "S", "f90", "d", "o"] {
        assert_eq!(reason(&format!("gcc -c a.{suffix}")), Some(Reason::Suffix), "{suffix}");
    }
    assert_eq!(job("clang -ObjC -fobjc-runtime=macosx -c a.c").language, ObjC);
    assert_eq!(job("gcc -ObjC -c a.c").language, C);
}

#[test]
fn preprocessed_text_is_known_by_its_suffix_alone() {
    for (line, mode) in [
        ("gcc -c a.i", Mode::Verbatim),
        ("gcc -c a.ii", Mode::Verbatim),
        ("gcc -x c -c a.i", Mode::Directives),
        ("gcc -c a.c", Mode::Directives),
    ] {
        assert_eq!(job(line).mode, mode, "{line}");
    }
    assert_eq!(reason("gcc -finput-charset=latin1 -c a.i"), Some(Reason::Charset));
    assert_eq!(reason("gcc -finput-charset=latin1 -c a.c"), None);
}

#[test]
fn objects_of_objective_c_name_their_source_by_some_runtimes() {
    let clang = |words: &str, suffix: &str| reason(&format!("clang -c a.{suffix} {words}"));
    for runtime in ["gcc", "objfw", "objfw-1.1", "gnustep", "gnustep-1.9"] {
        let words = format!("-fobjc-runtime={runtime}");
        assert_eq!(clang(&words, "m"), Some(Reason::SourceName), "{runtime}");
        assert_eq!(clang(&words, "mm"), Some(Reason::SourceName), "{runtime}");
        assert_eq!(clang(&words, "c"), None, "{runtime}");
    }
    for runtime in ["gnustep-2.0", "gnustep-2", "macosx", "ios-9", "gc"] {
        assert_eq!(clang(&format!("-fobjc-runtime={runtime}"), "m"), None, "{runtime}");
    }
    assert_eq!(clang("-DX", "m"), Some(Reason::SourceName), "the usual one");
    assert_eq!(reason("gcc -c a.m"), None);
}

#[test]
fn settings_choose_where_macros_are_expanded() {
    let default = Settings::default();
    let remote = |wanted| Settings { remote_cpp: Some(wanted), ..default };
    let clang = |wanted| Settings { clang_remote_cpp: Some(wanted), ..default };
    for (settings, of_gcc, of_clang) in [
        (default, Mode::Directives, Mode::Includes),
        (remote(true), Mode::Directives, Mode::Includes),
        (remote(false), Mode::Full, Mode::Full),
        (clang(true), Mode::Directives, Mode::Includes),
        (clang(false), Mode::Directives, Mode::Full),
        (Settings { remote_cpp: Some(true), ..clang(false) }, Mode::Directives, Mode::Includes),
    ] {
        let modes = ["gcc -c a.c", "clang -c a.c"].map(|line| judged(line, settings).mode);
        assert_eq!(modes, [of_gcc, of_clang], "{settings:?}");
    }
    // Each option by itself, whatever the settings are.
    for line in ["gcc -c a.c -fplugin=p.so", "gcc -c a.c -Wunused-macros", "gcc -c a.c -pedantic"] {
        assert_eq!(judged(line, remote(true)).mode, Mode::Full, "{line}");
    }
    for (line, mode) in [
        ("clang -c a.c -fplugin=p.so", Mode::Includes),
        ("clang -c a.c -pedantic", Mode::Includes),
        ("gcc -c a.c -imacros m.h", Mode::Directives),
        ("gcc -c a.c -Wall", Mode::Directives),
    ] {
        assert_eq!(job(line).mode, mode, "{line}");
    }
}

#[test]
fn colours_are_asked_for_where_the_user_did_not_choose() {
    let coloured = |line: &str, color| {
        let job = judged(line, Settings { color, ..Settings::default() });
        let flags = ["-fdiagnostics-color", "-fcolor-diagnostics"];
        flags.iter().filter(|flag| has_word(&job, flag)).map(|flag| (*flag).to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(coloured("gcc -c a.c", true), ["-fdiagnostics-color"]);
    assert_eq!(coloured("clang -c a.c", true), ["-fcolor-diagnostics"]);
    for words in ["-fdiagnostics-color=never", "-fno-diagnostics-color", "-fno-color-diagnostics"] {
        assert!(coloured(&format!("gcc -c a.c {words}"), true).is_empty(), "{words}");
    }
    // As if never given.
    assert_eq!(
        coloured("gcc -c a.c -fdiagnostics-color=never -fdiagnostics-color=auto", true),
        ["-fdiagnostics-color"]
    );
    assert!(coloured("gcc -c a.c", false).is_empty());
}

#[test]
fn a_header_that_is_there_only_precompiled_stays() {
    assert_eq!(reason("gcc -c a.c -include lost.h"), Some(Reason::Modules));
    assert_eq!(reason("gcc -c a.c -include lost.hh"), None, "the compiler says so");
    assert_eq!(reason("gcc -c a.c -include a.h"), None);
    assert_eq!(reason("clang -c a.c -include-pch lost.pch"), None, "the same");
    assert_eq!(reason("clang -c a.c -include-pch lost.h"), None, "it is no header itself");
    for words in ["-include", "-imacros", "-include-pch"] {
        assert_eq!(reason(&format!("clang -c a.c {words} -O2")), Some(Reason::ValueMissing), "{words}");
    }
}

#[test]
fn options_that_only_one_family_means() {
    for (words, of_gcc, of_clang) in [
        ("-g3", Some(Reason::SourceName), None),
        ("-ggdb3", Some(Reason::SourceName), None),
        ("-gstabs3", Some(Reason::SourceName), None),
        ("-gstabs+3", Some(Reason::SourceName), None),
        ("-g2", None, None),
        ("-ggdb2", None, None),
        ("-fprofile-use=p", Some(Reason::RemoteInput), None),
        ("-specs=lost", Some(Reason::FileMissing), None),
        ("-specs=more.specs", Some(Reason::Specs), None),
        ("-grecord-gcc-switches", None, Some(Reason::CommandLine)),
        ("-fverbose-asm", None, None),
        ("-S -fverbose-asm", Some(Reason::SourceName), None),
        ("-S -fverbose-asm -fno-verbose-asm", None, None),
        ("-fexec-charset=utf-8", None, None),
        ("-fexec-charset=UTF8", None, None),
        ("-fexec-charset=utf-16", Some(Reason::Charset), Some(Reason::Charset)),
    ] {
        for (compiler, expected) in [("gcc", of_gcc), ("clang", of_clang)] {
            assert_eq!(reason(&format!("{compiler} -c a.c {words}")), expected, "{compiler} {words}");
        }
    }
}

#[test]
fn a_profile_travels_and_a_folder_stands_for_a_file_in_it() {
    for (value, file) in [("p", "/w/p"), ("lib", "/w/lib/default.profdata")] {
        let job = job(&format!("clang -c a.c -fprofile-use={value}"));
        assert_eq!(job.extra_files, [file.as_bytes().to_vec()], "{value}");
        assert!(has_word(&job, &format!("-fprofile-use=/w/{value}")), "{value}");
    }
}

#[test]
fn a_command_without_a_source_goes_on_if_it_names_its_output() {
    assert_eq!(reason("gcc -c -O2"), Some(Reason::NoOutput));
    assert_eq!(reason("gcc -c -o a.o"), None);
    assert_eq!(reason("gcc a.c -o a.o"), Some(Reason::NoCompile));
}

#[test]
fn lists_that_cannot_be_read_are_not_looked_into() {
    for list in ["lib", "lost", "pipe"] {
        assert_eq!(reason(&format!("clang -c a.c -fsanitize-ignorelist={list}")), Some(Reason::FileMissing), "{list}");
    }
}

#[test]
fn the_preprocessors_options_are_split_by_side_and_no_more() {
    let job = job("gcc -c a.c -Wp,-include,b.h,-Wundef");
    assert_eq!(job.preprocessor_words(Mode::Full).join(&b' '), b"-Wp,-include,b.h -Wp,-Wundef -E a.c");
    let sent: Vec<String> = job.remote_words(Mode::Full).iter().map(|(_, text)| text.to_string()).collect();
    assert_eq!(sent, ["-Wp,-Wundef", "-c"]);
    assert_eq!(super::job("gcc -c a.c -MD -Wp,-MF,x.d").dependency_files, [b"x.d".to_vec()]);
    // Options that mean nothing, or something else, to the preprocessor alone.
    for list in ["-G,8", "-s", "-MV", "-lazy_library,x", "-dynamic"] {
        assert_eq!(reason(&format!("gcc -c a.c -Wp,{list}")), Some(Reason::Preprocessor), "{list}");
    }
}

#[test]
fn what_is_handed_to_clangs_inner_compiler() {
    // Without a value behind a second `-Xclang` the next word is the driver's.
    assert_eq!(job("clang -c -Xclang -include a.c").input, b"a.c");
    assert_eq!(job("clang -c -Xclang -load a.c").input, b"a.c");
    assert_eq!(job("clang -c a.c -Xclang -load -Xclang p.so").extra_files, [b"/w/p.so".to_vec()]);
    assert_eq!(reason("clang -c a.c -Xclang -load -Xclang lost.so"), Some(Reason::FileMissing));
    let files = job("clang -c a.c -MD -Xclang -dependency-file -Xclang k.d").dependency_files;
    assert!(files.contains(&b"k.d".to_vec()), "{files:?}");
    assert_eq!(reason("clang -c a.c -Xclang -emit-pch"), Some(Reason::Modules));
    assert_eq!(reason("clang -c a.c -Xclang -fmodules"), Some(Reason::Modules));
    assert_eq!(reason("clang -c a.c -Xclang -v"), None, "no option of the driver");
    let trailing = job("clang -c a.c -Xclang -include -Xclang");
    assert_eq!(trailing.preprocessor_words(Mode::Full).join(&b' '), b"-Xclang -include -E a.c");
}

#[test]
fn the_assemblers_options_that_can_be_sent() {
    for words in [
        "-gdwarf-sections",
        "--gdwarf-cie-version=5",
        "-al",
        "-I,lib",
        "-I,lost",
        "--defsym,x=1",
        "-mrelax",
        "--noexecstack",
        "b.s",
    ] {
        assert_eq!(reason(&format!("gcc -c a.c -Wa,{words}")), None, "{words}");
    }
    for words in [
        "-g",
        "--g",
        "--gen-debug",
        "-gdwarf-5",
        "--gdwarf-4",
        "-gstabs",
        "--gstabs+",
        "-al=x",
        "--MD",
        "-MD",
        "-o",
        "lib",
        "lost",
        "@b.s",
        "-I,lib,lib",
    ] {
        assert_eq!(reason(&format!("gcc -c a.c -Wa,{words}")), Some(Reason::Assembler), "{words}");
    }
    assert_eq!(job("gcc -c a.c -Wa,-mrelax,b.s").extra_files, [b"/w/b.s".to_vec()]);
}
