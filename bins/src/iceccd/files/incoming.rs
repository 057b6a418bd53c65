//! What a client sends in the streams that it owes: facts, and contents of files.

use ice_core::files::{Difference, Digest, Fact, Facts, MAX_ENCODED};
use ice_core::message::Chunk;
use ice_core::server::Failure;
use ice_net::compress::Unpacker;
use ice_toolchain::digest;
use ice_toolchain::file_tree::{Arriving, TreeError, TreeUse};

use super::command::Command;

/// What the next stream has.
#[derive(Debug)]
pub enum Owed {
    /// The facts of the job, or their difference to a set.
    Set,
    /// The facts of the job.
    All,
    /// More facts.
    More,
    /// Contents of files.
    Contents(Arriving),
    /// There is none.
    Nothing,
}

/// Facts of the job as far as they have come, and the stream on its way.
pub struct Incoming {
    owed: Owed,
    unpacker: Unpacker,
    plain: Vec<u8>,
    /// Of a stream of facts.
    encoded: Vec<u8>,
    /// All that were told.
    pub facts: Facts,
    /// The answer to the last question.
    pub more: Facts,
}

impl Incoming {
    /// The client owes the stream behind FILES_JOB.
    pub fn new() -> Self {
        Self {
            owed: Owed::Set,
            unpacker: Unpacker::new(),
            plain: Vec::new(),
            encoded: Vec::new(),
            facts: Facts::new(),
            more: Facts::new(),
        }
    }

    /// The client is asked for this.
    pub fn ask(&mut self, owed: Owed) {
        self.owed = owed;
    }

    /// What is held in memory, about.
    pub fn held(&self) -> usize {
        self.plain.capacity() + self.encoded.capacity() + (self.facts.len() + self.more.len()) * 2 * size_of::<Fact>()
    }

    /// Takes a piece of the stream.
    pub fn take(&mut self, chunk: &Chunk) -> Result<(), Failure> {
        self.plain.clear();
        self.unpacker.unpack(chunk, &mut self.plain).map_err(|e| Failure::Damaged(e.to_string()))?;
        match &mut self.owed {
            Owed::Contents(arriving) => arriving.take(&self.plain).map_err(failed),
            _ if self.encoded.len() + self.plain.len() > MAX_ENCODED => Err(files("too many facts")),
            _ => {
                self.encoded.extend_from_slice(&self.plain);
                Ok(())
            }
        }
    }

    /// The stream is over. `false`: it is a difference to a set that is not known.
    pub fn end(&mut self, command: &Command, tree: &TreeUse) -> Result<bool, Failure> {
        let encoded = std::mem::take(&mut self.encoded);
        match std::mem::replace(&mut self.owed, Owed::Nothing) {
            Owed::Contents(arriving) => arriving.end().map_err(failed)?,
            Owed::Set => match &command.base {
                None => self.take_set(encoded, command, tree)?,
                Some(base) => {
                    let Some(mut facts) = tree.set(base) else { return Ok(false) };
                    let difference = Difference::decode(&encoded).map_err(malformed)?;
                    facts.apply(difference).map_err(malformed)?;
                    self.take_set(facts.encode(), command, tree)?;
                }
            },
            Owed::All => self.take_set(encoded, command, tree)?,
            Owed::More => {
                let more = Facts::decode(&encoded).map_err(malformed)?;
                suitable(&more)?;
                more.iter().for_each(|(path, fact)| drop(self.facts.insert(path.to_vec(), fact.clone())));
                // Something went that others stand in.
                self.facts.check().map_err(|_| files("the submitter's files change too much meanwhile"))?;
                self.more = more;
            }
            Owed::Nothing => return Err(files("the submitter said something that it was not asked for")),
        }
        Ok(true)
    }

    fn take_set(&mut self, encoded: Vec<u8>, command: &Command, tree: &TreeUse) -> Result<(), Failure> {
        if Digest(digest::of_bytes(&encoded)) != command.set {
            return Err(files("the facts are not those of the digest"));
        }
        self.facts = Facts::decode(&encoded).map_err(malformed)?;
        suitable(&self.facts)?;
        tree.keep_set(command.set, encoded);
        Ok(())
    }
}

/// What can be put into a tree: bytes of a program that nobody can read cannot be sent.
fn suitable(facts: &Facts) -> Result<(), Failure> {
    let is_hidden = |fact: &Fact| matches!(fact, Fact::File(file) if file.perm == Fact::EXECUTABLE);
    match facts.iter().find(|(_, fact)| is_hidden(fact)) {
        Some((path, _)) => Err(files(&format!("{} can be executed but not read", String::from_utf8_lossy(path)))),
        None => Ok(()),
    }
}

/// A failure of the tree, or of who fills it.
pub fn failed(error: TreeError) -> Failure {
    Failure::Files(crate::exit::chain(&error))
}

fn malformed(error: ice_core::files::Malformed) -> Failure {
    Failure::Files(format!("facts that are none: {error}"))
}

fn files(text: &str) -> Failure {
    Failure::Files(text.to_owned())
}
