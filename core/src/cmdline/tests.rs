//! Verdicts that depend on what stands at a path, and what a job says beside its words.

mod inquiry;
mod job;
mod words;

use super::classify::classify;
use super::layers::Layers;
use super::question::{Answers, Stop};
use super::*;
use crate::job::Language;
use crate::reason::Reason;

/// `pipe` is a pipe, `lib` a folder, other names are regular files; of those `lost…` cannot be read, but for `lost.h.gch`.
struct Fake;

impl Files for Fake {
    fn kind(&self, path: &[u8]) -> FileKind {
        match path {
            b"pipe" => FileKind::Other,
            b"" | b"lib" => FileKind::Folder,
            b"/dev/null" => FileKind::Nothing,
            b"a.o" => FileKind::Absent,
            _ => FileKind::Regular,
        }
    }

    fn readable(&self, path: &[u8]) -> bool {
        !path.starts_with(b"lost") || path == b"lost.h.gch"
    }

    fn text(&self, path: &[u8]) -> Option<Vec<u8>> {
        assert_eq!(self.kind(path), FileKind::Regular, "what was read from a pipe is gone");
        let text: &[u8] = match path {
            b"sources" => b"src:a.c",
            b"more.specs" => b"*cc1:\n-include x.h",
            _ => b"",
        };
        self.readable(path).then(|| text.to_vec())
    }
}

/// `compiler argument …` as its driver and the arguments.
fn command(line: &str) -> (Driver, Vec<Vec<u8>>) {
    let mut words = line.split(' ').map(|word| word.as_bytes().to_vec());
    (Driver::from_name(&words.next().unwrap()).unwrap(), words.collect())
}

/// What all arguments make of a job, before the compiler is asked for what they leave open.
fn judge_layers(driver: Driver, layers: &Layers<'_>, settings: Settings) -> Verdict {
    let mut answers = Answers::default();
    loop {
        let invocation = Invocation { driver, words: layers.line(), folder: b"/w" };
        let question = match classify(&invocation, layers, &settings, &Fake, &answers) {
            Ok(job) => return Verdict::Remote(Box::new(job)),
            Err(Stop::Stay(reason, argument)) => return Verdict::Local(reason, argument),
            Err(Stop::Ask(question)) => question,
        };
        let answer = match &question {
            Question::TakesColor => Answer::Is(true),
            Question::OwnFile(name) if name == b"nano.specs" => Answer::Name(Some(b"/usr/lib/nano.specs".to_vec())),
            Question::OwnFile(_) => Answer::Name(None),
            other => panic!("asked {other:?} without knowing all arguments"),
        };
        answers.add(question, answer);
    }
}

fn judge(line: &str, settings: Settings) -> Verdict {
    let (driver, arguments) = command(line);
    judge_layers(driver, &Layers::of_user(&arguments), settings)
}

fn job(line: &str) -> RemoteJob {
    match judge(line, Settings::default()) {
        Verdict::Remote(job) => *job,
        Verdict::Local(reason, word) => panic!("{line}: {reason} ({})", String::from_utf8_lossy(&word)),
    }
}

fn reason(line: &str) -> Option<Reason> {
    match judge(line, Settings::default()) {
        Verdict::Remote(_) => None,
        Verdict::Local(reason, _) => Some(reason),
    }
}

#[test]
fn what_can_be_read_once_is_left_to_the_compiler() {
    for words in ["-x c -c pipe", "-c a.c @pipe", "-c a.c -include pipe", "-c a.c -imacros pipe"] {
        assert_eq!(reason(&format!("gcc -o a.o {words}")), Some(Reason::ReadOnce), "{words}");
    }
    for words in ["-imacros m.h", "-include /dev/null", "-include lib"] {
        assert_eq!(reason(&format!("gcc -c a.c {words}")), None, "{words}");
    }
    for words in ["-Wa,lib", "-fplugin=lib", "-fplugin="] {
        assert!(reason(&format!("gcc -c a.c {words}")).is_some(), "{words}");
    }
}

#[test]
fn a_sanitizers_list_travels_unless_it_names_sources() {
    assert_eq!(reason("clang -c a.c -fsanitize-blacklist=sources"), Some(Reason::SourceList));
    assert_eq!(job("clang -c a.c -fsanitize-blacklist=functions").extra_files, [b"/w/functions".to_vec()]);
}

#[test]
fn the_last_word_about_split_debug_information_counts() {
    for (words, split) in [
        ("-gsplit-dwarf", true),
        ("-gsplit-dwarf=split", true),
        ("-gsplit-dwarf=single", false),
        ("-gsplit-dwarf -gsplit-dwarf=single", false),
        ("-gsplit-dwarf -gno-split-dwarf", false),
        ("-gno-split-dwarf -gsplit-dwarf", true),
    ] {
        assert_eq!(job(&format!("clang -g {words} -c a.c -o a.o")).split_dwarf, split, "{words}");
    }
}

#[test]
fn whose_messages_are_shown() {
    let of = |line: &str, caret_redo_off: bool| match judge(line, Settings { caret_redo_off, ..Settings::default() }) {
        Verdict::Remote(job) => job.messages,
        Verdict::Local(reason, _) => panic!("{reason}"),
    };
    assert_eq!(of("gcc -c a.c", false), Messages::Redone);
    assert_eq!(of("gcc -fno-diagnostics-show-caret -c a.c", false), Messages::TakenUnlessExpanded);
    assert_eq!(of("gcc -pedantic -c a.c", true), Messages::Taken);
    assert_eq!(of("clang -c a.c", true), Messages::TakenUnlessExpanded);
    let own_messages = |line: &str| match judge(line, Settings { own_messages: true, ..Settings::default() }) {
        Verdict::Remote(job) => job.messages,
        Verdict::Local(reason, _) => panic!("{reason}"),
    };
    assert_eq!(own_messages("gcc -fno-diagnostics-show-caret -c a.c"), Messages::Redone);
    assert_eq!(own_messages("clang -c a.c"), Messages::TakenUnlessExpanded);
}

#[test]
fn the_users_compilation_folder_wins_over_the_servers() {
    let sent = |line: &str| {
        let words = job(line).remote_words(Mode::Includes);
        words.iter().map(|(_, text)| text.to_string()).collect::<Vec<_>>().join(" ")
    };
    let words = sent("clang -g -ffile-compilation-dir=. -c a.c");
    assert!(words.contains("-ffile-compilation-dir=. -Xclang -fdebug-compilation-dir -Xclang . "), "{words}");
    assert!(!sent("gcc -g -ffile-compilation-dir=. -c a.c").contains("-Xclang"));
}

#[test]
fn a_character_set_is_the_preprocessors_matter() {
    let job = job("gcc -finput-charset=ISO-8859-1 -c a.c");
    let charset = b"-finput-charset=ISO-8859-1".to_vec();
    assert!(job.preprocessor_words(Mode::Directives).contains(&charset));
    assert!(!job.remote_words(Mode::Directives).iter().any(|(_, text)| text.as_bytes() == charset));
    assert_eq!(reason("gcc -finput-charset=ISO-8859-1 -c a.i"), Some(Reason::Charset));
}

#[test]
fn how_an_output_is_written() {
    for (line, object) in [
        ("gcc -c a.c", Writing::Anew),
        ("gcc -S a.c", Writing::Into),
        ("clang -c a.c", Writing::Renamed),
        ("clang -S a.c -fno-integrated-as", Writing::Renamed),
        ("clang -c a.c -fno-integrated-as", Writing::Anew),
        ("clang -c a.c -no-integrated-as -fintegrated-as", Writing::Renamed),
        ("clang -c a.c -integrated-as -no-integrated-as", Writing::Anew),
    ] {
        assert_eq!(job(line).writing, object, "{line}");
    }
    assert_eq!(job("gcc -g -gsplit-dwarf -c a.c").dwo_writing(), Writing::Anew);
    assert_eq!(job("clang -g -gsplit-dwarf -c a.c").dwo_writing(), Writing::Into);
}

#[test]
fn values_count_wherever_they_stand() {
    for line in ["gcc -c a.c -oz.o", "gcc -c a.c --output=z.o", "clang --compile a.c --output z.o"] {
        assert_eq!((job(line).output, job(line).output_given), (b"z.o".to_vec(), true), "{line}");
    }
    let words = |line: &str| job(line).preprocessor_words(Mode::Full).join(&b' ');
    assert_eq!(words("gcc -c a.c -o k/a.o -MD -MFx.d -MTt"), b"-MD -MFx.d -MTt -E a.c");
    assert_eq!(words("clang -c a.c -o k/a.o -Wp,-MMD,x.d"), b"-Wp,-MMD,x.d -MQ k/a.o -E a.c");
    assert_eq!(words("gcc -c a.c -o k/a.o -Wp,-MMD,x.d"), b"-Wp,-MMD,x.d -E a.c");
    assert_eq!(words("gcc -c a.c -o k/a.o --write-dep"), b"--write-dep -MF k/a.d -MQ k/a.o -E a.c");
}

#[test]
fn the_preprocessors_own_options_go_where_the_drivers_would() {
    let job = job("gcc -c a.c -Wp,-include,b.h,-DX,-Wundef");
    assert_eq!(job.preprocessor_words(Mode::Full).join(&b' '), b"-Wp,-include,b.h -Wp,-DX -Wp,-Wundef -E a.c");
    let sent = |mode| job.remote_words(mode).iter().map(|(_, text)| text.to_string()).collect::<Vec<_>>();
    assert_eq!(sent(Mode::Full), ["-Wp,-Wundef", "-c"]);
    assert_eq!(sent(Mode::Directives), ["-Wp,-DX", "-Wp,-Wundef", "-c", "-fdirectives-only"]);
}

#[test]
fn expanded_text_where_macros_matter() {
    let mode = |line: &str| job(line).mode;
    for words in ["-imacros m.h", "--imacros=m.h", "-imacrosm.h", "-Wp,-imacros,m.h", "-Xclang -imacros -Xclang m.h"] {
        assert_eq!(mode(&format!("clang -c a.c {words}")), Mode::Full, "{words}");
    }
    assert_eq!(mode("gcc -c a.c -frecord-gcc-switches"), Mode::Full);
    // Expanded text would have other columns, which matter more than the name of one more option in the debug information.
    for words in ["-g", "-g0 -ggdb2", "-gdwarf-3", "-g0", "-gno-column-info"] {
        assert_eq!(mode(&format!("gcc -c a.c {words}")), Mode::Directives, "{words}");
    }
    assert_eq!(mode("clang -c a.c -g"), Mode::Includes);
    assert_eq!(mode("clang -c a.c -fverbose-asm"), Mode::Includes);
    assert_eq!(mode("clang -c a.c -include m.h"), Mode::Includes);
    assert_eq!(mode("clang -c a.c -Weverything"), Mode::Full);
    assert_eq!(mode("clang -c a.c -Wp,-Wunused-macros"), Mode::Full);
}

#[test]
fn a_precompiled_header_is_of_use_where_its_header_is_included() {
    for words in ["-include-pch p.h.pch", "-include-pch p.pch -include q.h", "-Xclang -include-pch -Xclang p.pch"] {
        assert_eq!(reason(&format!("clang -c a.c {words}")), Some(Reason::Modules), "{words}");
    }
    for words in
        ["-Xclang -include-pch -Xclang p.h.pch -Xclang -include -Xclang p.h", "-include p.h -include-pch p.pch"]
    {
        assert_eq!(reason(&format!("clang -c a.c {words}")), None, "{words}");
    }
}

#[test]
fn messages_about_places_in_the_text_are_asked_for_here() {
    for words in
        ["-fdiagnostics-parseable-fixits", "-fdiagnostics-format=vi", "-Xclang -fdiagnostics-print-source-range-info"]
    {
        assert_eq!(job(&format!("clang -c a.c {words}")).messages, Messages::Redone, "{words}");
    }
}

#[test]
fn where_clang_assembles_itself_other_programs_do_not_matter() {
    for words in ["-Bk", "-B k -S -fno-integrated-as", "--prefix=k --target=x86_64-linux-gnu -fintegrated-as"] {
        assert_eq!(reason(&format!("clang -c a.c {words}")), None, "{words}");
    }
    for words in ["-Bk -no-integrated-as", "-Bk -target m68k-linux-gnu"] {
        assert_eq!(reason(&format!("clang -c a.c {words}")), Some(Reason::ProgramPath), "{words}");
    }
    assert_eq!(reason("gcc -c a.c --prefix=k"), Some(Reason::ProgramPath));
}

#[test]
fn each_verdict_names_the_argument_that_decided() {
    for (line, expected, named) in [
        ("gcc -c a.c --output=-", Reason::Output, "--output=-"),
        ("gcc --user-dependencies a.c -c", Reason::DependenciesOnly, "--user-dependencies"),
        ("clang -MJ x -c a.c", Reason::SideFile, "-MJ x"),
        ("clang -Xclang -fixit -c a.c", Reason::SideFile, "-fixit"),
        ("clang -Xclang -fixit=new -c a.c", Reason::SideFile, "-fixit=new"),
        ("gcc -c a.c -Xpreprocessor -P", Reason::Preprocessor, "-Xpreprocessor -P"),
        ("gcc -c a.c -Wp,-MT,t", Reason::DependencyTargetOnly, "t"),
        ("gcc -c a.c -Wa,-g", Reason::Assembler, "-Wa,-g"),
        ("gcc -c a.c -x c++", Reason::LanguageBehindInput, "-x c++"),
        ("gcc -x ada -c a.c", Reason::Language, "-x ada"),
        ("gcc -c a.c -fmodules-ts", Reason::Modules, "-fmodules-ts"),
        ("gcc -c a.c -fprofile-use=p", Reason::RemoteInput, "-fprofile-use=p"),
        ("clang -c a.c -grecord-command-line", Reason::CommandLine, "-grecord-command-line"),
        ("gcc -c a.c -fexec-charset=latin1", Reason::Charset, "-fexec-charset=latin1"),
        ("gcc -c a.c -o k/noext -gsplit-dwarf", Reason::SplitDwarfName, "k/noext"),
        ("gcc -c a.c --stack-usage", Reason::SideFile, "--stack-usage"),
        ("gcc -c a.c --debug=3", Reason::SourceName, "--debug=3"),
    ] {
        let Verdict::Local(reason, word) = judge(line, Settings::default()) else { panic!("{line}") };
        assert_eq!((reason, String::from_utf8_lossy(&word).as_ref()), (expected, named), "{line}");
    }
}

#[test]
fn the_output_has_the_compilers_own_name() {
    for (line, output) in [
        ("clang -c k/a.c", "a.o"),
        ("clang -S k/a.c", "a.s"),
        ("clang -emit-llvm -c k/a.c", "a.bc"),
        ("clang -emit-llvm -S k/a.c", "a.ll"),
        ("clang -emit-llvm -c k/a.c -o x", "x"),
    ] {
        assert_eq!(job(line).output, output.as_bytes(), "{line}");
    }
}
