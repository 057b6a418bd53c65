//! What a FILES_JOB says, checked before anything is done for it.

use ice_core::files::{Digest, Token, is_canonical};
use ice_core::limits::{ARGUMENT_BYTES_MAX, ARGUMENTS_MAX, PATH_MAX};
use ice_core::message::FilesJob;
use ice_core::text::Text;
use ice_launcher::OUTPUTS_MAX;

/// The job, with valid values.
#[derive(Debug)]
pub struct Command {
    /// Whose files.
    pub token: Token,
    /// The facts that it needs.
    pub set: Digest,
    /// To which set its first stream is a difference.
    pub base: Option<Digest>,
    /// The rest as it came.
    pub job: FilesJob,
}

impl Command {
    /// Reads a job. `Err`: what is wrong with it, for its client.
    pub fn of(job: FilesJob) -> Result<Self, &'static str> {
        let digest = |hex: &Text| Digest::from_hex(hex.as_bytes()).ok_or("a digest that is none");
        let bytes = |list: &[Text]| list.iter().map(|text| text.len()).sum::<usize>();
        let token = Token::from_hex(job.token.as_bytes()).ok_or("a token that is none")?;
        let set = digest(&job.set)?;
        let base = if job.base.is_empty() { None } else { Some(digest(&job.base)?) };
        let is_absolute = |path: &Text| path.as_bytes().starts_with(b"/") && path.len() < PATH_MAX;
        let lists = [&job.arguments, &job.environment];
        if lists.iter().any(|list| list.len() > ARGUMENTS_MAX || bytes(list) > ARGUMENT_BYTES_MAX) {
            Err("too many arguments")
        } else if job.arguments.is_empty() {
            Err("no arguments")
        } else if job.outputs.len() > OUTPUTS_MAX {
            Err("too many outputs")
        } else if !is_canonical(job.working_directory.as_bytes()) {
            Err("a working directory that is none")
        } else if !is_absolute(&job.compiler) || !job.outputs.iter().all(is_absolute) {
            Err("a path that is not absolute")
        } else if job.umask > 0o777 {
            Err("an umask that is none")
        } else {
            Ok(Self { token, set, base, job })
        }
    }

    /// What the daemon has to know of it.
    pub fn announcement(&self) -> FilesJob {
        let FilesJob { job, target, input_file, .. } = &self.job;
        FilesJob { job: *job, target: target.clone(), input_file: input_file.clone(), ..FilesJob::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good() -> FilesJob {
        FilesJob {
            token: "ab".repeat(32).into(),
            set: "cd".repeat(32).into(),
            compiler: "/usr/bin/gcc".into(),
            arguments: vec!["gcc".into()],
            working_directory: "/".into(),
            ..FilesJob::default()
        }
    }

    #[test]
    fn bad_values_are_named() {
        let command = Command::of(good()).unwrap();
        assert_eq!((command.token, command.base), (Token([0xab; 32]), None));
        assert_eq!(command.announcement().token, Text::new());
        let many = |n: usize| vec![Text::from("x"); n];
        type Row = (fn(&mut FilesJob), &'static str);
        let table: [Row; 8] = [
            (|job| job.token = "AB".repeat(32).into(), "a token that is none"),
            (|job| job.set = "ab".into(), "a digest that is none"),
            (|job| job.base = "x".into(), "a digest that is none"),
            (|job| job.arguments.clear(), "no arguments"),
            (|job| job.working_directory = "/a/../b".into(), "a working directory that is none"),
            (|job| job.compiler = "gcc".into(), "a path that is not absolute"),
            (|job| job.outputs = vec!["a.o".into()], "a path that is not absolute"),
            (|job| job.umask = 0o1000, "an umask that is none"),
        ];
        for (change, why) in table {
            let mut job = good();
            change(&mut job);
            assert_eq!(Command::of(job).unwrap_err(), why);
        }
        let of = |job| Command::of(job).unwrap_err();
        assert_eq!(of(FilesJob { arguments: many(ARGUMENTS_MAX + 1), ..good() }), "too many arguments");
        let long = vec![Text::from("x".repeat(ARGUMENT_BYTES_MAX + 1))];
        assert_eq!(of(FilesJob { environment: long, ..good() }), "too many arguments");
        assert_eq!(of(FilesJob { outputs: many(OUTPUTS_MAX + 1), ..good() }), "too many outputs");
    }
}
