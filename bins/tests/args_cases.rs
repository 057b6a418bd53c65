//! Every command line of `testdata/cmdline/args-cases.json` is judged as its row says: argument by argument, in order,
//! in the mode that is the default (`ours`), and as 1.4 judges it where no improvement is noted (`expect`,
//! `ICECC_REMOTE_CPP=0`). `icecc --explain --json` tells the same of each, but for `testdata/cmdline/deviations.json`.

// A case that cannot be read is a failed case.
#![allow(clippy::unwrap_used)]

use ice_bins::icecc::files::HostFiles;
use ice_bins::icecc::response;
use ice_core::cmdline::{
    Answer, Driver, Family, Inquiry, Invocation, Mode, Question, RemoteJob, Settings, Side, Step, Verdict, paths,
};
use ice_core::message::ArgSide;
use serde_json::{Value, json};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cmdline/args-cases.json")
}

fn cases() -> Value {
    serde_json::from_slice(&std::fs::read(file()).unwrap()).unwrap()
}

/// A directory with the files that the cases presume.
fn directory(cases: &Value) -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    for (name, text) in cases["files_present"].as_object().unwrap() {
        let path = directory.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.as_str().unwrap()).unwrap();
    }
    directory
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|argument| argument.as_str().unwrap().to_owned()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The job, or the reason and the argument that keep it here. The compilers of the conditions answer questions; others
/// do not exist.
fn judge(argv: &[String], directory: &Path, settings: Settings) -> Result<RemoteJob, String> {
    let arguments: Vec<Vec<u8>> = argv[1..].iter().map(|argument| argument.as_bytes().to_vec()).collect();
    let arguments = response::expand(&arguments, directory).unwrap();
    let driver = Driver::from_name(argv[0].as_bytes()).ok_or("NotACompiler")?;
    let invocation = Invocation { driver, words: &arguments, folder: directory.as_os_str().as_bytes() };
    let exists = !argv[0].contains('/') && !argv[0].starts_with("nosuch");
    let mut inquiry = Inquiry::new(invocation, settings);
    let files = HostFiles::new(directory);
    loop {
        match inquiry.next(&files) {
            Step::Ask(question) => inquiry.answer(answer(&question, exists)),
            Step::Done(Verdict::Remote(job)) => return Ok(*job),
            Step::Done(Verdict::Local(reason, argument)) if argument.is_empty() => return Err(format!("{reason:?}")),
            Step::Done(Verdict::Local(reason, argument)) => return Err(format!("{reason:?}: {}", text(&argument))),
        }
    }
}

/// What a compiler says that has nothing to add, if it exists.
fn answer(question: &Question, exists: bool) -> Answer {
    match question {
        Question::IsWrapper | Question::WrapperOptions(_) | Question::TakesColor => Answer::Is(false),
        Question::Target => Answer::Name(exists.then(|| b"x86_64-pc-linux-gnu".to_vec())),
        Question::OwnFile(_) | Question::DirectoryName => Answer::Name(None),
        Question::Native(_) => Answer::Words(exists.then(Vec::new)),
        Question::ConfigFiles(_) | Question::PragmaMacros(..) => Answer::Words(Some(Vec::new())),
    }
}

/// Settings of the rows' `expect`.
const ONE_FOUR: Settings = Settings {
    remote_cpp: Some(false),
    clang_remote_cpp: None,
    color: false,
    caret_redo_off: false,
    own_messages: false,
};

/// `value` with the directory's name as the rows write it.
fn portable(value: Value, directory: &Path) -> Value {
    let here = directory.to_str().unwrap();
    match value {
        Value::String(text) => text.replace(here, "$CWD").into(),
        Value::Array(list) => list.into_iter().map(|value| portable(value, directory)).collect(),
        Value::Object(map) => map.into_iter().map(|(key, value)| (key, portable(value, directory))).collect(),
        other => other,
    }
}

/// What both columns say about a job.
fn common(job: &RemoteJob) -> Value {
    json!({
        "language": job.language.to_string(),
        "input": text(&job.input),
        "output": text(&job.output),
        "split_dwarf": job.split_dwarf,
        "extra_files": job.extra_files.iter().map(|file| text(file)).collect::<Vec<_>>(),
    })
}

/// A row's `ours`: the arguments of the preprocessor's run here (nothing if there is none) and those that are sent.
fn ours(judged: &Result<RemoteJob, String>) -> Value {
    let job = match judged {
        Ok(job) => job,
        Err(reason) => return json!({ "local": reason }),
    };
    let sent = job.remote_words(job.mode).into_iter().map(|(side, argument)| {
        let side = match side {
            ArgSide::Remote => "remote",
            ArgSide::Rest => "rest",
        };
        format!("{side} {}", text(argument.as_bytes()))
    });
    let mut found = common(job);
    found["sent"] = sent.collect();
    found["preprocessor"] = match job.mode {
        Mode::Verbatim => Value::Null,
        mode => job.preprocessor_words(mode).iter().map(|argument| text(argument)).collect(),
    };
    found
}

/// A row's `expect`.
fn as_1_4(argv: &[String], judged: &Result<RemoteJob, String>) -> Value {
    let Ok(job) = judged else { return json!({ "local": true }) };
    let mut here = arguments(job, &[Side::Local, Side::Cpp]);
    // Ours adds the target of the dependency file: the preprocessor's run has no `-o` to take it from.
    if here.ends_with(&["-MQ".to_owned(), text(&job.output)]) {
        here.truncate(here.len() - 2);
    }
    let mut found = common(job);
    found["local"] = false.into();
    found["compiler"] = text(paths::base_name(argv[0].as_bytes())).into();
    found["local_flags"] = here.into();
    found["remote_flags"] = arguments(job, &[Side::Remote]).into();
    found["rest_flags"] = arguments(job, &[Side::Rest]).into();
    found
}

fn arguments(job: &RemoteJob, sides: &[Side]) -> Vec<String> {
    job.words.iter().filter(|word| sides.contains(&word.side)).map(|word| text(&word.text)).collect()
}

/// Every row's own column. What was found is written beside the build as the whole file, to be compared with it.
#[test]
fn every_case_is_judged_as_written() {
    let cases = cases();
    let directory = directory(&cases);
    let mut file = std::fs::read_to_string(file()).unwrap();
    let mut wrong = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let argv = strings(&case["argv"]);
        let found = portable(ours(&judge(&argv, directory.path(), Settings::default())), directory.path());
        if found == case["ours"] {
            continue;
        }
        wrong.push(format!("{} {argv:?}:\n   found {found}\n  wanted {}", case["id"], case["ours"]));
        let line = file.lines().find(|line| line.contains(&format!("\"id\": {}", case["id"]))).unwrap().to_owned();
        let kept = line.split(", \"ours\": ").next().unwrap().trim_end_matches(',');
        let kept = if line.contains(", \"ours\": ") { kept } else { kept.strip_suffix('}').unwrap() };
        let comma = if line.ends_with(',') { "," } else { "" };
        file = file.replace(&line, &format!("{kept}, \"ours\": {found}}}{comma}"));
    }
    if !wrong.is_empty() {
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join("args-cases.json");
        std::fs::write(&written, file).unwrap();
        panic!("{} wrong (all as found: {}):\n{}", wrong.len(), written.display(), wrong.join("\n"));
    }
}

#[test]
fn what_needs_no_improvement_is_judged_as_by_1_4() {
    let cases = cases();
    let directory = directory(&cases);
    let mut compared = 0;
    let mut wrong = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        if !case["improve"].is_null() || !case["note"].is_null() {
            continue;
        }
        compared += 1;
        let argv = strings(&case["argv"]);
        let found = portable(as_1_4(&argv, &judge(&argv, directory.path(), ONE_FOUR)), directory.path());
        for (key, wanted) in case["expect"].as_object().unwrap() {
            if found[key] != *wanted {
                wrong.push(format!("{} {argv:?}: {key} is {}, should be {wanted}", case["id"], found[key]));
            }
        }
    }
    assert!(compared > 200, "only {compared} rows to compare with 1.4");
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

/// The words of a reason's variant, as `--explain` has them.
fn reason_word(variant: &str) -> String {
    let hyphens = variant.char_indices().flat_map(|(at, letter)| {
        let hyphen = if at > 0 && letter.is_ascii_uppercase() { Some('-') } else { None };
        hyphen.into_iter().chain([letter.to_ascii_lowercase()])
    });
    hyphens.collect()
}

/// What `icecc --explain --json` says of a command line, and what its row has.
fn explained(case: &Value, directory: &Path) -> (Value, Value) {
    let home = directory.parent().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_icecc"))
        .args(["--explain", "--json", "--"])
        .args(strings(&case["argv"]))
        .current_dir(directory)
        .env_clear()
        .envs([("PATH", std::env::var_os("PATH").unwrap()), ("HOME", home.into()), ("ICECC_REMOTE_CPP", "0".into())])
        .output()
        .unwrap();
    assert!(output.status.success(), "{case}: {}", String::from_utf8_lossy(&output.stderr));
    let told: Value = portable(serde_json::from_slice(&output.stdout).unwrap(), directory);
    if let Some(local) = case["ours"]["local"].as_str() {
        let (reason, option) =
            local.split_once(": ").map_or((local, Value::Null), |(name, option)| (name, option.into()));
        let found = json!([told["verdict"], told["reason"], told["option"]]);
        return (found, json!(["local", reason_word(reason), option]));
    }
    let keys = ["local", "remote", "rest"];
    let expect = &case["expect"];
    let improved = !case["improve"].is_null() || !case["note"].is_null();
    let arguments = |of: &Value, what: &str| keys.map(|key| of[format!("{key}_{what}")].clone());
    let found = json!([told["verdict"], told["language"], told["output"], arguments(&told, "args")]);
    let arguments = if improved { arguments(&told, "args") } else { arguments(expect, "flags") };
    (found, json!(["remote", case["ours"]["language"], case["ours"]["output"], arguments]))
}

#[test]
fn every_case_is_explained() {
    let cases = cases();
    let directory = directory(&cases);
    let deviations = std::fs::read(file().with_file_name("deviations.json")).unwrap();
    let deviations: Value = serde_json::from_slice(&deviations).unwrap();
    let deviations: Vec<_> = deviations.as_array().unwrap().iter().map(|row| &row["argv"]).collect();
    let mut wrong = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let (found, wanted) = explained(case, directory.path());
        if (found != wanted) != deviations.contains(&&case["argv"]) {
            wrong.push(format!("{} {}:\n   found {found}\n  wanted {wanted}", case["id"], case["argv"]));
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_aborts_1_4_is_left_to_the_compiler() {
    let cases = cases();
    let directory = directory(&cases);
    for case in cases["aborts"].as_array().unwrap() {
        let argv = strings(&case["argv"]);
        // `-Wp,-MF,a.d` as the last argument is complete, so that job can go.
        let goes = argv.last().unwrap().starts_with("-Wp,-MF");
        assert_eq!(judge(&argv, directory.path(), ONE_FOUR).is_ok(), goes, "{argv:?}");
    }
}

#[test]
fn g1_g2_g3_unit_level() {
    let files = tempfile::tempdir().unwrap();
    let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let job = judge(&argv("gcc -D TEST=1 -c main.cpp -o main.o"), files.path(), ONE_FOUR).unwrap();
    assert_eq!((arguments(&job, &[Side::Cpp]), arguments(&job, &[Side::Remote])), (argv("-D TEST=1"), argv("-c")));
    assert_eq!((job.language.to_string().as_str(), job.wire_compiler()), ("C++", "g++"));
    let joined = judge(&argv("gcc -DTEST=1 -c main.cpp -o main.o"), files.path(), ONE_FOUR).unwrap();
    assert_eq!((arguments(&joined, &[Side::Cpp]), arguments(&joined, &[Side::Remote])), (argv("-DTEST=1"), argv("-c")));
    assert_eq!(common(&joined), common(&job));
    let line = "clang -D TEST1=1 -I. -c make1.cpp -o make.o -target x86_64-unknown-linux-gnu";
    let job = judge(&argv(line), files.path(), ONE_FOUR).unwrap();
    assert_eq!((arguments(&job, &[Side::Cpp]), arguments(&job, &[Side::Local])), (argv("-D TEST1=1"), argv("-I.")));
    assert_eq!(
        (arguments(&job, &[Side::Remote]), arguments(&job, &[Side::Rest])),
        (argv("-c"), argv("-target x86_64-unknown-linux-gnu"))
    );
    assert_eq!(job.family, Family::Clang);
}
