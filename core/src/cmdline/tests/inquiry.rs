//! What an [`Inquiry`] asks, and what the answers make of a command line.

use super::*;
use crate::message::ArgSide;

fn words(line: &str) -> Vec<Vec<u8>> {
    response::words(line.as_bytes())
}

fn text(words: &[Vec<u8>]) -> String {
    String::from_utf8_lossy(&words.join(&b' ')).into_owned()
}

/// What is to be known about a compiler, each answer as a text: `before|after` of a wrapper, arguments, a name. `None`: it does not
/// tell.
#[derive(Clone, Copy, Default)]
struct Compiler {
    wrapper: Option<Option<&'static str>>,
    /// What stands in its configuration file.
    configuration: Option<&'static str>,
    target: Option<&'static str>,
    native: Option<&'static str>,
    macros: Option<&'static str>,
    takes_color: bool,
    directory: Option<&'static str>,
}

impl Compiler {
    /// Its answer, and the question as a text.
    fn answer(&self, question: &Question) -> (Answer, String) {
        let name = |name: Option<&str>| Answer::Name(name.map(|name| name.as_bytes().to_vec()));
        let list = |list: Option<&str>| Answer::Words(list.map(words));
        let around = |both: Option<&str>| {
            Answer::Around(
                both.and_then(|both| both.split_once('|'))
                    .map(|(before, after)| Around { before: words(before), after: words(after) }),
            )
        };
        match question {
            Question::IsWrapper => (Answer::Is(self.wrapper.is_some()), "wrapper".into()),
            Question::WrapperOptions(user) => (around(self.wrapper.flatten()), format!("options {}", text(user))),
            Question::ConfigFiles(choice) => {
                (list(self.configuration.map(|_| "/etc/x.cfg")), format!("files {}", text(choice)))
            }
            Question::Target => (name(self.target), "target".into()),
            Question::Native(options) => (list(self.native), format!("native {}", text(options))),
            Question::PragmaMacros(language, options) => {
                (list(self.macros), format!("macros {language} {}", text(options)))
            }
            Question::TakesColor => (Answer::Is(self.takes_color), "colour".into()),
            Question::OwnFile(file) => {
                let own = (file == b"nano.specs").then_some("/usr/lib/nano.specs");
                (name(own), format!("file {}", text(std::slice::from_ref(file))))
            }
            Question::DirectoryName => (name(self.directory), "directory".into()),
        }
    }
}

/// [`Fake`] with a compiler's configuration file.
struct Configured(Option<&'static str>);

impl Files for Configured {
    fn kind(&self, path: &[u8]) -> FileKind {
        Fake.kind(path)
    }

    fn readable(&self, path: &[u8]) -> bool {
        Fake.readable(path)
    }

    fn text(&self, path: &[u8]) -> Option<Vec<u8>> {
        if path == b"/etc/x.cfg" { self.0.map(|text| text.as_bytes().to_vec()) } else { Fake.text(path) }
    }
}

/// The verdict on a command, and what was asked for it, in order.
fn inquire(line: &str, settings: Settings, compiler: Compiler) -> (Verdict, Vec<String>) {
    let (driver, arguments) = command(line);
    let files = Configured(compiler.configuration);
    let mut inquiry = Inquiry::new(Invocation { driver, words: &arguments, folder: b"/w" }, settings);
    let mut asked = Vec::new();
    loop {
        match inquiry.next(&files) {
            Step::Done(verdict) => return (verdict, asked),
            Step::Ask(question) => {
                let (answer, question) = compiler.answer(&question);
                assert!(!asked.contains(&question), "{line}: {question} is asked again");
                asked.push(question);
                inquiry.answer(answer);
            }
        }
    }
}

/// The arguments of the preprocessor's run and of the server's, or the reason to stay.
fn both_sides(line: &str, compiler: Compiler) -> Result<[String; 2], Reason> {
    match inquire(line, Settings::default(), compiler).0 {
        Verdict::Local(reason, _) => Err(reason),
        Verdict::Remote(job) => {
            let sent = job.remote_words(job.mode).into_iter().map(|(side, word)| match side {
                ArgSide::Remote => format!("!{word}"),
                ArgSide::Rest => word.to_string(),
            });
            Ok([text(&job.preprocessor_words(job.mode)), sent.collect::<Vec<_>>().join(" ")])
        }
    }
}

#[test]
fn nothing_is_asked_that_does_not_matter() {
    let color = Settings { color: true, ..Settings::default() };
    let plain = Settings::default();
    let told = Compiler { target: Some("k8"), macros: Some(""), ..Compiler::default() };
    for (line, settings, asked) in [
        ("gcc a.o -o a", color, &[][..]),
        ("clang -E a.c", color, &[]),
        ("gcc -c conftest.c", plain, &[]),
        ("gcc -c a.c", plain, &["wrapper"]),
        ("gcc -c a.c", color, &["colour", "wrapper"]),
        ("gcc -c a.c -fdiagnostics-color=never", color, &["wrapper"]),
        ("gcc -c a.c -march=native -DX -mtune=native", plain, &["wrapper", "native -march=native -mtune=native"]),
        ("g++ -c a.cc -fopenmp", plain, &["wrapper", "macros C++ -fopenmp"]),
        ("gcc -c a.c -specs=nano.specs", plain, &["file nano.specs", "wrapper"]),
        ("clang -c a.c", color, &["wrapper", "files ", "target", "directory"]),
        ("clang -c a.c --target=k9 -m32", plain, &["wrapper", "files --target=k9 -m32", "directory"]),
        ("clang -c a.c --no-default-config", plain, &["wrapper", "target", "directory"]),
        ("clang -c a.c -fopenmp -fdebug-compilation-dir=.", plain, &["wrapper", "files ", "target"]),
    ] {
        assert_eq!(inquire(line, settings, told).1, asked, "{line}");
    }
    let wrapper = Compiler { wrapper: Some(Some("--target=k9|-m64")), ..Compiler::default() };
    let asked = ["wrapper", "options -c a.c", "files --target=k9 -m64", "directory"];
    assert_eq!(inquire("clang -c a.c", plain, wrapper).1, asked, "of the arguments that the compiler behind it gets");
}

/// A command, what its compiler answers, and what becomes of it: the options for here and for the server, or the reason to stay.
type Row = (&'static str, Compiler, Result<[&'static str; 2], Reason>);

fn make_their_verdicts(rows: &[Row]) {
    for (line, compiler, expected) in rows {
        let expected = expected.map(|sides| sides.map(str::to_owned));
        assert_eq!(both_sides(line, *compiler), expected, "{line}");
    }
}

#[test]
fn answers_about_the_compiler_make_their_verdicts() {
    use Reason::{TargetUnknown, Wrapper};
    let none = Compiler::default();
    let target = Compiler { target: Some("k8"), ..none };
    let around = |both| Compiler { wrapper: Some(both), ..target };
    let configured = |text| Compiler { configuration: Some(text), ..target };
    let gcc = "-E a.c -fdirectives-only";
    make_their_verdicts(&[
        ("gcc -c a.c", none, Ok([gcc, "!-c !-fdirectives-only"])),
        // A wrapper.
        ("gcc -c a.c", around(None), Err(Wrapper)),
        ("gcc a.o", around(None), Err(Reason::NoCompile)),
        ("gcc -c a.c", around(Some("|")), Ok([gcc, "!-c !-fdirectives-only"])),
        ("gcc -c a.c", around(Some("-m32|-O2")), Ok([gcc, "-m32 -O2 !-c !-fdirectives-only"])),
        ("gcc -c a.c", around(Some("|-march=native")), Err(Wrapper)),
        ("clang -c a.c", around(Some("@flags|")), Err(Wrapper)),
        ("gcc -c a.c", around(Some("-fprofile-arcs|")), Err(Reason::SideFile)),
        ("gcc -c a.c", around(Some("b.c|")), Err(Reason::TwoInputs)),
        // A configuration.
        ("clang -c a.c", configured("# nothing"), Ok(["-E a.c -frewrite-includes", "!-c !-target !k8"])),
        (
            "clang -c a.c",
            configured("-O2 -Id -c"),
            Ok([
                "-E a.c -frewrite-includes",
                "--start-no-unused-arguments -O2 --end-no-unused-arguments !-c !-target !k8",
            ]),
        ),
        ("clang -c a.c", configured("-fprofile-arcs"), Err(Reason::SideFile)),
        ("clang -c a.c", configured("b.c"), Err(Reason::TwoInputs)),
        ("clang -c a.c", configured("-O2 \\\n-g"), Err(Wrapper)),
        ("clang -c a.c", configured("-march=native"), Err(Wrapper)),
        ("clang -c a.c -o a.o", configured("-gsplit-dwarf"), Err(Wrapper)),
        // A target.
        ("clang -c a.c", target, Ok(["-E a.c -frewrite-includes", "!-c !-target !k8"])),
        ("clang -c a.c", none, Err(TargetUnknown)),
        ("clang -c a.c", Compiler { target: Some(""), ..none }, Err(TargetUnknown)),
        // The directory's other name.
        (
            "clang -c a.c",
            Compiler { directory: Some("/link"), ..target },
            Ok(["-E a.c -frewrite-includes", "!-c !-target !k8 !-Xclang !-fdebug-compilation-dir !-Xclang !/link"]),
        ),
    ]);
}

#[test]
fn answers_about_options_make_their_verdicts() {
    let none = Compiler::default();
    let native = |answer| Compiler { native: answer, target: Some("k8"), ..none };
    make_their_verdicts(&[
        ("gcc -c a.c -march=native", native(None), Err(Reason::NativeUnknown)),
        (
            "gcc -O1 -march=native -c a.c",
            native(Some("-mavx -mtune=k8")),
            Ok(["-O1 -mavx -mtune=k8 -E a.c -fdirectives-only", "-O1 -mavx -mtune=k8 !-c !-fdirectives-only"]),
        ),
        (
            "clang -c a.c -march=native",
            native(Some("-target-cpu k8")),
            Ok([
                "-Xclang -target-cpu -Xclang k8 -E a.c -frewrite-includes",
                "-Xclang -target-cpu -Xclang k8 !-c !-target !k8",
            ]),
        ),
        // Pragmas.
        ("gcc -c a.c -fopenmp", none, Ok(["-fopenmp -E a.c", "-fopenmp !-c"])),
        (
            "gcc -c a.c -fopenmp",
            Compiler { macros: Some("-D_OPENMP=1"), ..none },
            Ok(["-D_OPENMP=1 -E a.c -fdirectives-only", "-fopenmp !-c !-fdirectives-only"]),
        ),
        // Files of the compiler's own.
        ("gcc -c a.c -specs=lost", none, Err(Reason::FileMissing)),
        (
            "gcc -c a.c -specs=nano.specs",
            none,
            Ok(["-specs=nano.specs -E a.c -fdirectives-only", "!-specs=/usr/lib/nano.specs !-c !-fdirectives-only"]),
        ),
    ]);
}

#[test]
fn colours_are_asked_for_where_the_compiler_takes_them() {
    let color = Settings { color: true, ..Settings::default() };
    for (takes_color, sent) in [(true, "-fdiagnostics-color -c"), (false, "-c")] {
        let (verdict, _) = inquire("gcc -c a.c", color, Compiler { takes_color, ..Compiler::default() });
        let Verdict::Remote(job) = verdict else { panic!("it can go") };
        let words: Vec<Vec<u8>> = job.words.iter().map(|word| word.text.clone()).collect();
        assert_eq!(text(&words), sent);
    }
}

#[test]
fn layers_are_taken_in_the_compilers_order() {
    let sides = |line: &str, configuration, wrapper| {
        both_sides(line, Compiler { wrapper: Some(Some(wrapper)), configuration, ..Compiler::default() })
    };
    // Configuration, before, user, after; the preprocessor here gets all but the user's by itself.
    let both = sides("clang -DU -O1 -c a.c", Some("-O0 -DC -Ic"), "--target=k8 -DB|-O3 -DA").unwrap();
    let sent = "--start-no-unused-arguments -O0 -DC --end-no-unused-arguments --target=k8 -DB -DU -O1 -O3 -DA !-c";
    assert_eq!(both, ["-DU -O1 -E a.c -frewrite-includes", sent]);
    // The last one counts, whoever gives it.
    let split = |line: &str, wrapper| {
        let compiler = Compiler { wrapper: Some(Some(wrapper)), ..Compiler::default() };
        let Verdict::Remote(job) = inquire(line, Settings::default(), compiler).0 else { panic!("{line}: {wrapper}") };
        job.split_dwarf
    };
    assert!(split("gcc -g -c a.c -o a.o", "-gsplit-dwarf|"));
    assert!(!split("gcc -gno-split-dwarf -c a.c -o a.o", "-gsplit-dwarf|"));
    assert!(!split("gcc -gsplit-dwarf -c a.c -o a.o", "|-gno-split-dwarf"));
    // What stands in a configuration counts as on the command line, unless that says otherwise.
    let mode = |line: &str, configuration| {
        let compiler = Compiler { configuration: Some(configuration), target: Some("k8"), ..Compiler::default() };
        let Verdict::Remote(job) = inquire(line, Settings::default(), compiler).0 else { panic!("{line}") };
        (job.mode, job.writing)
    };
    let (mode_of, renamed) = (mode, Writing::Renamed);
    assert_eq!(mode_of("clang -c a.c", "-Wunused-macros"), (Mode::Full, renamed));
    assert_eq!(mode_of("clang -c a.c -Wno-unused-macros", "-Wunused-macros"), (Mode::Includes, renamed));
    assert_eq!(mode_of("clang -c a.c", "-fno-integrated-as"), (Mode::Includes, Writing::Anew));
    assert_eq!(mode_of("clang -c a.c -fintegrated-as", "-fno-integrated-as"), (Mode::Includes, renamed));
}

#[test]
fn an_option_of_a_wrapper_takes_the_argument_behind_it() {
    let around = |both| Compiler { wrapper: Some(Some(both)), ..Compiler::default() };
    let both = both_sides("gcc -O2 -DX -c a.c", around("-include a.h -D|-specs nano.specs")).unwrap();
    // `-D` takes `-O2`.
    assert_eq!(
        both,
        ["-DX -E a.c -fdirectives-only", "-D -O2 -DX !-specs !/usr/lib/nano.specs !-c !-fdirectives-only"]
    );
}

#[test]
fn an_answer_of_another_kind_tells_nothing() {
    let (driver, arguments) = command("clang -c a.c");
    let mut inquiry = Inquiry::new(Invocation { driver, words: &arguments, folder: b"/w" }, Settings::default());
    inquiry.answer(Answer::Is(true));
    for expected in [Question::IsWrapper, Question::ConfigFiles(Vec::new()), Question::Target] {
        for _ in 0..2 {
            let Step::Ask(question) = inquiry.next(&Fake) else { panic!("{expected:?} is not asked") };
            assert_eq!(question, expected, "until it is answered");
        }
        inquiry.answer(Answer::Around(None));
    }
    let Step::Done(Verdict::Local(reason, _)) = inquiry.next(&Fake) else { panic!("it has no target") };
    assert_eq!(reason, Reason::TargetUnknown);
}

#[test]
fn a_directory_without_a_name_stays() {
    let (driver, arguments) = command("gcc -c a.c");
    let mut inquiry = Inquiry::new(Invocation { driver, words: &arguments, folder: b"" }, Settings::default());
    let Step::Done(Verdict::Local(reason, _)) = inquiry.next(&Fake) else { panic!("it is asked about") };
    assert_eq!(reason, Reason::NoDirectory);
}

/// By files the command itself runs elsewhere, where this host's processor is another one.
#[test]
fn a_command_that_means_this_host_is_known() {
    let none = Compiler { native: Some("-mavx"), ..Compiler::default() };
    for (line, compiler, means_this_host) in [
        ("gcc -O2 -c a.c", none, false),
        ("gcc -march=x86-64-v3 -c a.c", none, false),
        ("gcc -march=native -c a.c", none, true),
        ("gcc -c a.c", Compiler { wrapper: Some(Some("-DX|")), ..none }, true),
    ] {
        let Verdict::Remote(job) = inquire(line, Settings::default(), compiler).0 else { panic!("{line}") };
        assert_eq!(job.means_this_host, means_this_host, "{line}");
    }
}
