//! A scripted submitter: it tells what this host's files are, and what it is asked for.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ice_core::files::{Digest, Fact, Facts, FileFact, ResultBody, Time};
use ice_core::ids::JobId;
use ice_core::message::{FilesJob, FilesNeed, Message, need};
use ice_core::text::Text;
use ice_toolchain::digest;

use crate::bench::{Compile, ENVIRONMENT, Made};
use crate::fake::Client;

/// Who has jobs run on its files.
pub struct Submitter {
    port: u16,
    platform: Text,
    pub token: Text,
    /// What was told so far, as it was then.
    pub facts: Facts,
    /// The set that the server knows.
    known: Option<Facts>,
    jobs: u32,
    /// Of the last job: paths whose contents and facts were asked for.
    pub contents: Vec<String>,
    pub questions: Vec<String>,
}

/// What the server says in the end.
pub enum Answer {
    Made(Made, ResultBody),
    Refused(String),
}

impl Submitter {
    pub fn new(port: u16, token: u8, platform: Text) -> Self {
        let token = format!("{token:02x}").repeat(32).into();
        let mut submitter = Self {
            port,
            platform,
            token,
            facts: Facts::new(),
            known: None,
            jobs: 0,
            contents: Vec::new(),
            questions: Vec::new(),
        };
        submitter.tell(b"/");
        submitter
    }

    /// Adds what stands at a key, with all directories above it.
    pub fn tell(&mut self, key: &[u8]) {
        if let Some(above) = above(key) {
            self.tell(&above);
            if !matches!(self.facts.get(&above), Some(Fact::Dir { .. })) {
                return;
            }
        }
        self.facts.insert(key.to_vec(), fact(key));
    }

    /// Looks at all again that was told.
    pub fn look_again(&mut self) {
        let told: Vec<Vec<u8>> = self.facts.iter().map(|(key, _)| key.to_vec()).collect();
        self.facts = Facts::new();
        told.iter().for_each(|key| self.tell(key));
    }

    /// The job as it would be sent.
    pub fn job(&mut self, compile: &Compile) -> FilesJob {
        self.jobs += 1;
        let text = |path: &Path| Text::from(path.as_os_str().as_bytes());
        FilesJob {
            job: JobId(self.jobs),
            target: self.platform.clone(),
            token: self.token.clone(),
            set: digest_of(&self.facts).to_string().into(),
            base: self.known.as_ref().map_or_else(Text::new, |known| digest_of(known).to_string().into()),
            compiler: "/usr/bin/gcc".into(),
            arguments: compile.arguments(),
            environment: ENVIRONMENT.map(Text::from).into(),
            working_directory: text(compile.dir()),
            umask: 0o022,
            input_file: "a.c".into(),
            outputs: compile.outputs().iter().map(|path| text(path)).collect(),
        }
    }

    /// Has a command run until it asks for little enough, with what was told before.
    #[track_caller]
    pub fn settle(&mut self, compile: &Compile) -> Made {
        for _ in 0..20 {
            match self.run(compile) {
                Answer::Made(made, _) => return made,
                Answer::Refused(why) => {
                    assert!(why.contains("questions") || why.contains("no answers within"), "{why}")
                }
            }
        }
        panic!("it asks for ever")
    }

    /// Has a command run once.
    pub fn run(&mut self, compile: &Compile) -> Answer {
        let job = self.job(compile);
        let stream = match &self.known {
            Some(known) => self.facts.difference(known).encode(),
            None => self.facts.encode(),
        };
        let mut client = Client::tcp(self.port, 44);
        client.send(&Message::FilesJob(Box::new(job)));
        client.send_file(&stream);
        self.known = Some(self.facts.clone());
        (self.contents, self.questions) = (Vec::new(), Vec::new());
        self.serve(&mut client)
    }

    /// Answers what is asked, to the end.
    pub fn serve(&mut self, client: &mut Client) -> Answer {
        loop {
            match client.next() {
                Message::FilesNeed(wanted) => self.answer(client, &wanted),
                Message::FilesResult(result) => {
                    let body = ResultBody::decode(&client.read_file()).unwrap();
                    let paths = body
                        .outputs
                        .iter()
                        .map(|output| PathBuf::from(std::ffi::OsString::from_vec(output.path.clone())));
                    let paths: Vec<PathBuf> = paths.collect();
                    let outputs: BTreeMap<_, _> = paths.into_iter().map(|path| (path, client.read_file())).collect();
                    client.send(&Message::End);
                    let (stdout, stderr) = (result.stdout.lossy().into_owned(), result.stderr.lossy().into_owned());
                    let made = Made { status: result.status, stdout, stderr, outputs: outputs.into_iter().collect() };
                    return Answer::Made(made, body);
                }
                Message::StatusText { text } => return Answer::Refused(text.to_string()),
                other => panic!("{other:?}"),
            }
        }
    }

    fn answer(&mut self, client: &mut Client, wanted: &FilesNeed) {
        let names = || wanted.paths.iter().map(Text::to_string);
        match wanted.kind {
            need::ALL => client.send_file(&self.facts.encode()),
            need::FACTS => {
                self.questions.extend(names());
                let mut answer = Facts::new();
                for path in &wanted.paths {
                    self.tell(path.as_bytes());
                    let mut next = Some(path.as_bytes().to_vec());
                    while let Some(key) = next {
                        if let Some(fact) = self.facts.get(&key) {
                            answer.insert(key.clone(), fact.clone());
                        }
                        next = above(&key);
                    }
                }
                client.send_file(&answer.encode());
            }
            _ => {
                self.contents.extend(names());
                let contents: Vec<u8> = names().flat_map(|path| fs::read(path).unwrap()).collect();
                client.send_file(&contents);
            }
        }
    }
}

/// The digest of a set.
pub fn digest_of(facts: &Facts) -> Digest {
    Digest(digest::of_bytes(&facts.encode()))
}

/// What stands at a key.
fn fact(key: &[u8]) -> Fact {
    let path = Path::new(std::ffi::OsStr::from_bytes(key));
    if key.len() > 1 && key.ends_with(b"/") {
        let mut names: Vec<Vec<u8>> =
            fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_vec()).collect();
        names.sort();
        return Fact::Names(names);
    }
    let Ok(stat) = fs::symlink_metadata(path) else { return Fact::Absent };
    if stat.is_dir() {
        return Fact::Dir { perm: 5 };
    }
    if stat.is_symlink() {
        return Fact::Link { target: fs::read_link(path).unwrap().into_os_string().into_vec() };
    }
    Fact::File(FileFact {
        size: stat.len(),
        mtime: Time { seconds: stat.mtime(), nanoseconds: u32::try_from(stat.mtime_nsec()).unwrap() },
        perm: if stat.mode() & 0o111 == 0 { 4 } else { 5 },
        group: if stat.nlink() > 1 { stat.ino() } else { 0 },
        digest: Digest(digest::of_bytes(&fs::read(path).unwrap())),
    })
}

/// The directory above a path, or that of which a key is the names.
fn above(key: &[u8]) -> Option<Vec<u8>> {
    match key.iter().rposition(|c| *c == b'/')? {
        0 if key.len() == 1 => None,
        0 => Some(b"/".to_vec()),
        slash => Some(key[..slash].to_vec()),
    }
}
