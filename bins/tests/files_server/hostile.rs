//! Submitters that lie: each is refused by one line, within bounds, and another one's job is done all the same.

use std::path::PathBuf;

use ice_core::files::{Difference, Digest, Fact, Facts, FileFact, Time};
use ice_core::message::{FilesJob, FilesNeed, Message};
use ice_core::text::Text;

use crate::bench::{Bench, Compile};
use crate::fake::Client;
use crate::submitter::digest_of;

const DIR: Fact = Fact::Dir { perm: 5 };

fn file(size: u64) -> Fact {
    let mtime = Time { seconds: 1, nanoseconds: 0 };
    Fact::File(FileFact { size, mtime, perm: 4, group: 0, digest: Digest([9; 32]) })
}

fn facts(all: &[(&str, Fact)]) -> Facts {
    let root = [(b"/".to_vec(), DIR)];
    root.into_iter().chain(all.iter().map(|(path, fact)| (path.as_bytes().to_vec(), fact.clone()))).collect()
}

/// What the server says to a job with this stream, whose needs are answered by these, before it closes.
fn refusal(bench: &Bench, job: FilesJob, stream: &[u8], answers: &[&[u8]]) -> String {
    let mut client = Client::tcp(bench.place.port, 44);
    client.send(&Message::FilesJob(Box::new(job)));
    // What is refused at once is not read to its end.
    let _ = client.offer_file(stream);
    let mut answers = answers.iter();
    loop {
        match client.next() {
            Message::StatusText { text } => {
                assert_eq!(client.until_closed(), []);
                let text = text.to_string();
                assert_eq!(text.lines().count(), 1, "{text}");
                return text;
            }
            // In the end it tells nothing but that there is a root.
            Message::FilesNeed(_) => {
                let _ = client.offer_file(answers.next().map_or(&facts(&[]).encode(), |answer| *answer));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A job that names this set.
fn job(bench: &Bench, compile: &Compile, set: &Facts) -> FilesJob {
    let mut submitter = bench.submitter(66);
    FilesJob { set: digest_of(set).to_string().into(), ..submitter.job(compile) }
}

#[test]
fn what_is_wrong_is_refused_in_a_line() {
    let Some(bench) = Bench::start(&[]) else { return };
    bench.write("a.c", "int a;\n");
    let compile = bench.gcc("-c a.c -o a.o");
    let mut bystander = bench.submitter(1);
    let good = bystander.settle(&compile);

    let set = facts(&[("/a", file(3)), ("/b", DIR)]);
    let encoded = set.encode();
    let sent = |stream: &[u8], answers: &[&[u8]]| refusal(&bench, job(&bench, &compile, &set), stream, answers);
    // Contents that are others, more, or fewer.
    assert!(sent(&encoded, &[b"abc"]).starts_with("contents are not those of"));
    assert!(sent(&encoded, &[b"abcd"]).starts_with("contents are not those of"));
    assert_eq!(sent(&encoded, &[b"a"]), "fewer contents than were asked for");
    // Facts that are others, or none.
    assert_eq!(sent(&facts(&[]).encode(), &[]), "the facts are not those of the digest");
    assert!(sent(b"nothing of the kind", &[]).starts_with("the facts are not those"));
    let garbage = |bytes: &[u8]| {
        let set = Digest(ice_toolchain::digest::of_bytes(bytes)).to_string().into();
        refusal(&bench, FilesJob { set, ..job(&bench, &compile, &Facts::new()) }, bytes, &[])
    };
    for bad in [
        facts(&[("/a/../b", DIR)]),
        facts(&[("/a", file(1)), ("/a/b", DIR)]),
        facts(&[("/a//b", DIR)]),
        facts(&[("/a/b", DIR)]),
        (0..=1_000_000).map(|n| (format!("/{n:07}").into_bytes(), Fact::Absent)).collect(),
    ] {
        assert!(garbage(&bad.encode()).starts_with("facts that are none"), "{} facts", bad.len());
    }
    let endless = vec![7; 40 << 20];
    assert_eq!(sent(&endless, &[]), "too many facts");
    // A set to which the difference is not known, and then others than were named; a difference that leads elsewhere.
    let unknown = Text::from("07".repeat(32));
    let based = FilesJob { base: unknown, ..job(&bench, &compile, &set) };
    assert_eq!(refusal(&bench, based, b"", &[&facts(&[]).encode()]), "the facts are not those of the digest");
    let known = FilesJob {
        base: digest_of(&bystander.facts).to_string().into(),
        token: bystander.token.clone(),
        ..job(&bench, &compile, &set)
    };
    let empty = Difference::default().encode();
    assert_eq!(refusal(&bench, known, &empty, &[]), "the facts are not those of the digest");
    // What is not there for another token, though the server has it.
    let others = FilesJob { base: digest_of(&bystander.facts).to_string().into(), ..job(&bench, &compile, &set) };
    assert_eq!(refusal(&bench, others, &empty, &[&facts(&[]).encode()]), "the facts are not those of the digest");
    bystander.look_again();
    assert_eq!(bystander.settle(&compile), good);
}

#[test]
fn what_cannot_be_is_refused_in_a_line() {
    let Some(bench) = Bench::start(&[]) else { return };
    bench.write("a.c", "int a;\n");
    let compile = bench.gcc("-c a.c -o a.o");
    let mut bystander = bench.submitter(1);
    let good = bystander.settle(&compile);
    let of = |set: &Facts| refusal(&bench, job(&bench, &compile, set), &set.encode(), &[]);
    let named = |change: fn(&mut FilesJob)| {
        let set = facts(&[]);
        let mut job = job(&bench, &compile, &set);
        change(&mut job);
        refusal(&bench, job, &set.encode(), &[])
    };
    // Files that are too large, or that cannot be.
    let large = facts(&[("/large", file(10 << 40))]);
    let why = of(&large);
    assert_eq!(why, "the files take more room than one submitter may have here");
    let hidden = facts(&[(
        "/x",
        Fact::File(FileFact { size: 1, mtime: Time::default(), perm: 1, group: 0, digest: Digest([1; 32]) }),
    )]);
    let why = of(&hidden);
    assert_eq!(why, "/x can be executed but not read");
    assert_eq!(named(|job| job.token = "../../../etc".into()), "a token that is none");
    assert_eq!(named(|job| job.working_directory = "/a/../..".into()), "a working directory that is none");
    assert_eq!(named(|job| job.target = "another".into()), "files of another platform");
    // Links that lead to themselves: the compiler's directory is one.
    let to = |target: &str| Fact::Link { target: target.into() };
    let links = facts(&[("/usr", to("/usr")), ("/loop", to("loop"))]);
    let why = of(&links);
    assert!(!why.is_empty());

    bystander.look_again();
    assert_eq!(bystander.settle(&compile), good);
}

#[test]
fn answers_that_are_none_end_the_job() {
    let Some(bench) = Bench::start(&[]) else { return };
    bench.write("a.c", "int a;\n");
    let compile = bench.gcc("-c a.c -o a.o");
    let set = facts(&[]);
    // A job that runs asks for its program; the answer is not about it.
    let why = refusal(&bench, job(&bench, &compile, &set), &set.encode(), &[b"", b"", b""]);
    assert!(why.starts_with("facts that are none"), "{why}");
    let mut client = Client::tcp(bench.place.port, 44);
    client.send(&Message::FilesJob(Box::new(job(&bench, &compile, &set))));
    client.send(&Message::FilesNeed(FilesNeed::default()));
    let said = client.until_closed();
    let [Message::StatusText { text }] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(text.to_string(), "the submitter said something that it was not asked for");
    let mut bystander = bench.submitter(1);
    assert_eq!(bystander.settle(&compile), compile.plain());
}

#[test]
fn a_server_that_keeps_no_files_says_so() {
    let Some(bench) = Bench::start(&[]) else { return };
    let Bench { place, .. } = &bench;
    let alone = crate::place::Place::new();
    let daemon = alone.start_with(&["--files-limit", "0"]);
    assert!(daemon.log().contains("no jobs on files of submitters: --files-limit 0"), "{}", daemon.log());
    assert_ne!(alone.port, place.port);
    let compile = bench.gcc("-c a.c -o a.o");
    let job = job(&bench, &compile, &facts(&[]));
    let mut client = Client::tcp(alone.port, 44);
    client.send(&Message::FilesJob(Box::new(job)));
    let said = client.until_closed();
    let [Message::StatusText { text }] = said.as_slice() else { panic!("{said:?}") };
    assert_eq!(text.to_string(), "no jobs on files of submitters here");
    let trees: PathBuf = alone.base().join(".ours/files/trees");
    assert!(!trees.exists());
}
