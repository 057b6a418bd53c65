//! Which test programs the workspace has, and which tests they have.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::process;

/// How long a program may take to list its tests.
const LIST: Duration = Duration::from_secs(60);

/// Why there is nothing to test.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Cargo cannot be run.
    #[error("cargo: {0}")]
    Cargo(#[from] std::io::Error),
    /// It could not build the tests.
    #[error("the tests cannot be built")]
    Build,
    /// It built nothing.
    #[error("cargo names no test program")]
    Nothing,
}

/// A test program.
pub struct Program {
    /// How it is called in the report.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// Where its tests run.
    pub directory: PathBuf,
    /// A thin program's own file may have no test.
    pub may_be_empty: bool,
}

impl Program {
    /// One that is named on the command line.
    pub fn alone(path: &Path) -> Program {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Program { name, path: path.to_path_buf(), directory: PathBuf::from("."), may_be_empty: false }
    }

    /// From a line of cargo's messages; `None` is about something else.
    fn from_message(line: &str) -> Option<Program> {
        let message: Value = serde_json::from_str(line).ok()?;
        if message["reason"] != "compiler-artifact" || message["profile"]["test"] != true {
            return None;
        }
        let path = PathBuf::from(message["executable"].as_str()?);
        let directory = Path::new(message["manifest_path"].as_str()?).parent()?.to_path_buf();
        let package = directory.file_name()?.to_string_lossy().into_owned();
        let is_bin = message["target"]["kind"][0] == "bin";
        let target = message["target"]["name"].as_str()?;
        let name = format!("{package}/{target}{}", if is_bin { " (program)" } else { "" });
        Some(Program { name, path, directory, may_be_empty: is_bin })
    }

    /// Its tests and how many more of them are ignored; or why it does not say so.
    pub fn tests(&self) -> Result<(Vec<String>, usize), String> {
        let list = |more: &[&str]| {
            let ended =
                process::run(&self.path, &[&["--list", "--format", "terse"], more].concat(), &self.directory, LIST);
            match ended.trouble {
                None => Ok(ended.text.lines().filter_map(|l| l.strip_suffix(": test")).map(str::to_owned).collect()),
                Some(trouble) => Err(trouble),
            }
        };
        let all: Vec<String> = list(&[])?;
        let ignored: Vec<String> = list(&["--ignored"])?;
        if all.is_empty() && !self.may_be_empty {
            return Err("no tests".to_owned());
        }
        let run = all.into_iter().filter(|test| !ignored.contains(test)).collect();
        Ok((run, ignored.len()))
    }
}

/// All test programs of the workspace, built where they are not.
pub fn workspace() -> Result<Vec<Program>, Error> {
    let built = cargo()
        .args(["test", "--workspace", "--no-run", "--message-format=json-render-diagnostics"])
        .stderr(Stdio::inherit())
        .output()?;
    if !built.status.success() {
        return Err(Error::Build);
    }
    let programs: Vec<_> = String::from_utf8_lossy(&built.stdout).lines().filter_map(Program::from_message).collect();
    if programs.is_empty() { Err(Error::Nothing) } else { Ok(programs) }
}

/// The cargo that runs us, or else the one of the path.
pub fn cargo() -> Command {
    Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}
