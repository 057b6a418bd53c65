//! Every command line of `testdata/cmdline/args-cases.json` is judged as its header explains: as 1.4 does, or as `ours` says.

// A case that cannot be read is a failed case.
#![allow(clippy::unwrap_used)]

use ice_bins::icecc::files::HostFiles;
use ice_bins::icecc::response;
use ice_core::cmdline::{Driver, Family, Invocation, RemoteJob, Settings, Side, Verdict, classify, paths};
use serde_json::Value;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

fn cases() -> Value {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../testdata/cmdline/args-cases.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// A folder with the files that the cases presume.
fn folder(cases: &Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in cases["files_present"].as_object().unwrap() {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text.as_str().unwrap()).unwrap();
    }
    folder
}

fn strings(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

/// The job, or nothing if it stays local. The compilers of the conditions answer questions; others do not exist.
fn judge(argv: &[String], folder: &Path) -> Option<RemoteJob> {
    let words: Vec<Vec<u8>> = argv[1..].iter().map(|word| word.as_bytes().to_vec()).collect();
    let words = response::expand(&words, folder).unwrap();
    let driver = Driver::from_name(argv[0].as_bytes())?;
    let settings = Settings { remote_cpp: Some(false), ..Settings::default() };
    let invocation = Invocation { driver, words: &words, folder: folder.as_os_str().as_bytes() };
    let Verdict::Remote(mut job) = classify(&invocation, &settings, &HostFiles::new(folder)) else { return None };
    let exists = !argv[0].contains('/') && !argv[0].starts_with("nosuch");
    job.resolve_target(exists.then_some(&b"x86_64-pc-linux-gnu"[..])).ok()?;
    job.resolve_native(exists.then_some(&[])).ok()?;
    Some(*job)
}

fn side(job: &RemoteJob, side: Side) -> Vec<String> {
    job.words.iter().filter(|w| w.side == side).map(|w| String::from_utf8_lossy(&w.text).into_owned()).collect()
}

#[test]
fn every_case_is_judged_as_written() {
    let cases = cases();
    let folder = folder(&cases);
    let cwd = folder.path().to_str().unwrap();
    let mut wrong = Vec::new();
    for case in cases["cases"].as_array().unwrap() {
        let argv = strings(&case["argv"]);
        let expect = &case["expect"];
        let ours = &case["ours"];
        let pick = |key: &str| if ours[key].is_null() { expect[key].clone() } else { ours[key].clone() };
        let job = judge(&argv, folder.path());
        let found = match &job {
            None => serde_json::json!({ "local": true }),
            // Where an improvement or a fault of 1.4 is noted, words may differ: the decision and the language are compared.
            Some(job) if !case["improve"].is_null() || !case["note"].is_null() => {
                serde_json::json!({ "local": false, "language": job.language.to_string() })
            }
            Some(job) => {
                let mut local: Vec<String> = side(job, Side::Local);
                local.extend(side(job, Side::Cpp));
                let mut expected_local = strings(&expect["local_flags"]);
                // Both keep their order, but 1.4 has one list where we have two sides.
                local.sort();
                expected_local.sort();
                if local.len() == expected_local.len() + 2 && local.contains(&"-MQ".to_owned()) {
                    // Improve 16 adds the target of the dependency file.
                    let output = String::from_utf8_lossy(&job.output).into_owned();
                    local.retain(|word| *word != "-MQ" && *word != output);
                }
                let mut remote = side(job, Side::Remote);
                let mut expected_remote = strings(&expect["remote_flags"]);
                remote.sort();
                expected_remote.sort();
                let extra: Vec<_> =
                    job.extra_files.iter().map(|f| String::from_utf8_lossy(f).replace(cwd, "$CWD")).collect();
                let replaced = |list: Vec<String>| list.into_iter().map(|w| w.replace(cwd, "$CWD")).collect::<Vec<_>>();
                serde_json::json!({
                    "local": false,
                    "language": job.language.to_string(),
                    "compiler": String::from_utf8_lossy(paths::base_name(argv[0].as_bytes())),
                    "local_flags": if local == expected_local { expect["local_flags"].clone() } else { local.into() },
                    "remote_flags": if replaced(remote.clone()) == expected_remote { expect["remote_flags"].clone() } else { remote.into() },
                    "rest_flags": replaced(side(job, Side::Rest)),
                    "input": String::from_utf8_lossy(&job.input),
                    "output": String::from_utf8_lossy(&job.output),
                    "split_dwarf": job.split_dwarf,
                    "extra_files": extra,
                })
            }
        };
        for (key, value) in found.as_object().unwrap() {
            let wanted = pick(key);
            if !wanted.is_null() && wanted != *value {
                wrong.push(format!("{} {argv:?}: {key} is {value}, should be {wanted}", case["id"]));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn what_aborts_1_4_is_left_to_the_compiler() {
    let cases = cases();
    let folder = folder(&cases);
    for case in cases["aborts"].as_array().unwrap() {
        let argv = strings(&case["argv"]);
        // `-Wp,-MF,a.d` as the last word is complete, so that job can go.
        let goes = argv.last().unwrap().starts_with("-Wp,-MF");
        assert_eq!(judge(&argv, folder.path()).is_some(), goes, "{argv:?}");
    }
}

#[test]
fn unit_level_conformance() {
    let files = tempfile::tempdir().unwrap();
    let argv = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let job = judge(&argv("gcc -D TEST=1 -c main.cpp -o main.o"), files.path()).unwrap();
    assert_eq!((side(&job, Side::Cpp), side(&job, Side::Remote)), (argv("-D TEST=1"), argv("-c")));
    assert_eq!((job.language.to_string().as_str(), job.wire_compiler()), ("C++", "g++"));
    let line = "clang -D TEST1=1 -I. -c make1.cpp -o make.o -target x86_64-unknown-linux-gnu";
    let job = judge(&argv(line), files.path()).unwrap();
    assert_eq!((side(&job, Side::Cpp), side(&job, Side::Local)), (argv("-D TEST1=1"), argv("-I.")));
    assert_eq!(
        (side(&job, Side::Remote), side(&job, Side::Rest)),
        (argv("-c"), argv("-target x86_64-unknown-linux-gnu"))
    );
    assert_eq!(job.family, Family::Clang);
}
