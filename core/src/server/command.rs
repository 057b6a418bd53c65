//! A remote job's command line, and where it runs and writes in its box (decision: no-ggc-parameters).

use crate::job::Language;
use crate::message::CompileFile;
use crate::text::Text;
use crate::version::Version;
use std::ffi::OsStr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};
use thiserror::Error;

/// What of a job's arguments stands in the log.
const LOGGED_MAX: usize = 16 << 10;

/// A program of an environment. There is no free path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// `/usr/bin/gcc`.
    Gcc,
    /// `/usr/bin/g++`.
    Gxx,
    /// `/usr/bin/clang`, for C++ too: the language comes by `-x`.
    Clang,
    /// `/usr/bin/clang++`, if the archive has one.
    ClangXx,
    /// `/bin/true`: does anything run at all?
    True,
}

impl Program {
    /// Where it is in the box; also its `argv[0]`.
    pub const fn path(self) -> &'static str {
        match self {
            Self::Gcc => "/usr/bin/gcc",
            Self::Gxx => "/usr/bin/g++",
            Self::Clang => "/usr/bin/clang",
            Self::ClangXx => "/usr/bin/clang++",
            Self::True => "/bin/true",
        }
    }

    /// The program for the compiler's name of COMPILE_FILE; `None` for any other text.
    pub fn from_compiler_name(name: &[u8]) -> Option<Self> {
        match name {
            b"gcc" => Some(Self::Gcc),
            b"g++" => Some(Self::Gxx),
            b"clang" => Some(Self::Clang),
            b"clang++" => Some(Self::ClangXx),
            _ => None,
        }
    }
}

/// Files and folders of a job, all relative to `/tmp` of its box, without `.`, `..` and doubled `/`.
///
/// The plain job has no folders and runs in `/tmp`; one with split DWARF rebuilds the submitter's tree below a folder
/// of its choosing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    /// Folders to make, parents first or not: missing parents are made.
    pub dirs: Vec<Vec<u8>>,
    /// Working directory; empty for `/tmp` itself. It is made too.
    pub cwd: Vec<u8>,
    /// The object, to be handed over if the job exits with 0. Empty: none.
    pub object: Vec<u8>,
    /// The `.dwo`, handed over if it exists. Empty: none.
    pub dwo: Vec<u8>,
}

/// A job as the launcher wants it.
#[derive(Debug, PartialEq, Eq)]
pub struct Command {
    /// What is run.
    pub program: Program,
    /// Its arguments.
    pub args: Vec<Vec<u8>>,
    /// Folders, working directory, outputs.
    pub layout: Layout,
}

/// Why a job cannot be run. The texts go to the client's log.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CommandError {
    /// No compiler that environments have.
    #[error("compiler {0:?} is not one of gcc, g++, clang, clang++")]
    Compiler(String),
    /// The number of no language.
    #[error("language not supported")]
    Language,
    /// Split DWARF needs the submitter's folders, and they are not absolute.
    #[error("no absolute working directory for split DWARF")]
    Folder,
    /// A NUL byte, which no argument can hold.
    #[error("argument with a NUL byte")]
    Nul,
}

/// Makes the command line of `job`, sent by a peer of `version`.
pub fn command(job: &CompileFile, version: Version) -> Result<Command, CommandError> {
    let language = Language::from_number(job.language).ok_or(CommandError::Language)?;
    let program = program(job, language, version)?;
    let clang = matches!(program, Program::Clang | Program::ClangXx);
    let mut args: Vec<Vec<u8>> = vec![b"-x".to_vec(), language.option().into()];
    if clang {
        for (option, value) in
            [("-main-file-name", &job.input_file), ("-fdebug-compilation-dir", &job.working_directory)]
        {
            if !value.is_empty() {
                args.extend([b"-Xclang".to_vec(), option.into(), b"-Xclang".to_vec(), value.as_bytes().to_vec()]);
            }
        }
    }
    args.extend(job.arguments.iter().map(|(_, text)| text.as_bytes().to_vec()));
    let split = job.split_dwarf != 0;
    if split && !version.has_ordered_args() {
        args.push(b"-gsplit-dwarf".to_vec());
    }
    if !clang {
        args.push(b"-fpreprocessed".to_vec());
    }
    let (layout, output, root) = if split { split_layout(job)? } else { plain_layout(job) };
    args.extend([b"-".to_vec(), b"-o".to_vec(), output]);
    if clang {
        args.push(b"-no-canonical-prefixes".to_vec());
    } else if split {
        args.push([b"-fdebug-prefix-map=/tmp/", root.as_slice(), b"/=/"].concat());
    }
    if args.iter().any(|a| a.contains(&0)) {
        return Err(CommandError::Nul);
    }
    Ok(Command { program, args, layout })
}

/// The arguments that came with the job, as 1.4 logs them: a blank after each. Only so much of them as a person reads.
pub fn for_log<'a>(args: impl Iterator<Item = &'a [u8]>) -> Text {
    let mut line = Vec::new();
    for arg in args {
        line.push(b' ');
        line.extend_from_slice(arg);
    }
    line.push(b' ');
    let mut line = Text::from(line);
    line.keep_start(LOGGED_MAX);
    line
}

fn program(job: &CompileFile, language: Language, version: Version) -> Result<Program, CommandError> {
    if !version.has_compiler_name() {
        let cxx = matches!(language, Language::Cxx | Language::ObjCxx);
        return Ok(if cxx { Program::Gxx } else { Program::Gcc });
    }
    let name = job.compiler.as_bytes();
    Program::from_compiler_name(name).ok_or_else(|| CommandError::Compiler(job.compiler.to_string()))
}

/// Layout, value of `-o`, folder below `/tmp` (none here).
fn plain_layout(job: &CompileFile) -> (Layout, Vec<u8>, Vec<u8>) {
    let object = format!("icecc-{}.o", job.job).into_bytes();
    (Layout { object: object.clone(), ..Layout::default() }, object, Vec::new())
}

/// The submitter's tree is rebuilt below a folder, so that the name of the `.dwo` in the object is the one of a local build.
fn split_layout(job: &CompileFile) -> Result<(Layout, Vec<u8>, Vec<u8>), CommandError> {
    let root = format!("icecc-{}", job.job);
    let work = Path::new(OsStr::from_bytes(job.working_directory.as_bytes()));
    let given = Path::new(OsStr::from_bytes(job.output_file.as_bytes()));
    let (true, Some(_)) = (work.is_absolute(), given.file_name()) else {
        return Err(CommandError::Folder);
    };
    let work = resolved(work);
    let object = resolved(&work.join(given));
    let below = |path: &Path| Path::new(&root).join(path).into_os_string().into_vec();
    let folder = object.parent().unwrap_or(Path::new(""));
    let output = relative(&object, &work).into_os_string().into_vec();
    let layout = Layout {
        dirs: vec![below(folder)],
        cwd: below(&work),
        object: below(&object),
        dwo: below(&object.with_extension("dwo")),
    };
    Ok((layout, output, root.into_bytes()))
}

/// `path` without its leading `/`, with `.` and `..` taken out by the text alone.
fn resolved(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => result.push(name),
            Component::ParentDir => {
                result.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    result
}

/// The way from `folder` to `path`; both are resolved.
fn relative(path: &Path, folder: &Path) -> PathBuf {
    let common = path.components().zip(folder.components()).take_while(|(a, b)| a == b).count();
    let up = folder.components().skip(common).map(|_| Component::ParentDir);
    up.chain(path.components().skip(common)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::JobId;
    use crate::message::ArgSide;

    fn job(compiler: &str) -> CompileFile {
        CompileFile {
            language: 1,
            job: JobId(7),
            arguments: vec![(ArgSide::Rest, "-O2".into()), (ArgSide::Rest, "-c".into())],
            compiler: compiler.into(),
            input_file: "/b/x.cpp".into(),
            working_directory: "/b/w".into(),
            output_file: "../obj/x.o".into(),
            ..CompileFile::default()
        }
    }

    fn line(command: &Command) -> String {
        for_log(command.args.iter().map(Vec::as_slice)).to_string()
    }

    #[test]
    fn d46_gcc() {
        let command = command(&job("g++"), Version::new(43)).unwrap();
        assert_eq!(command.program, Program::Gxx);
        assert_eq!(line(&command), " -x c++ -O2 -c -fpreprocessed - -o icecc-7.o ");
        assert_eq!(command.layout, Layout { object: b"icecc-7.o".to_vec(), ..Layout::default() });
    }

    #[test]
    fn d46_clang_has_four_additions() {
        let command = command(&job("clang"), Version::new(43)).unwrap();
        let expected = " -x c++ -Xclang -main-file-name -Xclang /b/x.cpp -Xclang -fdebug-compilation-dir -Xclang /b/w -O2 -c - -o \
                        icecc-7.o -no-canonical-prefixes ";
        assert_eq!(line(&command), expected);
    }

    #[test]
    fn d56_split_dwarf_rebuilds_the_tree() {
        let split = CompileFile { split_dwarf: 1, ..job("gcc") };
        let command = command(&split, Version::new(43)).unwrap();
        assert_eq!(line(&command), " -x c++ -O2 -c -fpreprocessed - -o ../obj/x.o -fdebug-prefix-map=/tmp/icecc-7/=/ ");
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(text(&command.layout.cwd), "icecc-7/b/w");
        assert_eq!(text(&command.layout.object), "icecc-7/b/obj/x.o");
        assert_eq!(text(&command.layout.dwo), "icecc-7/b/obj/x.dwo");
        assert_eq!(command.layout.dirs, [b"icecc-7/b/obj".to_vec()]);
        let old = super::command(&split, Version::new(38)).unwrap();
        assert!(line(&old).contains(" -gsplit-dwarf -fpreprocessed "));
    }

    #[test]
    fn absolute_outputs_and_climbing_ones_stay_below_the_folder() {
        let absolute = CompileFile { split_dwarf: 1, output_file: "/o/x.o".into(), ..job("gcc") };
        assert!(line(&command(&absolute, Version::new(43)).unwrap()).contains(" -o ../../o/x.o "));
        let climbing = CompileFile { split_dwarf: 1, output_file: "../../../../etc/x.o".into(), ..job("gcc") };
        let climbing = command(&climbing, Version::new(43)).unwrap();
        assert_eq!(climbing.layout.object, b"icecc-7/etc/x.o");
    }

    #[test]
    fn arguments_of_strangers_make_one_line_of_the_log() {
        let args = [&b"-DA=\n[1] 2026-01-01 00:00:00: forged\x1b[2J"[..], &[b'x'; 100_000]];
        let line = for_log(args.into_iter()).to_string();
        assert!(line.starts_with(" -DA= [1] 2026-01-01 00:00:00: forged?[2J xxx"), "{}", line.get(..80).unwrap());
        assert!(line.len() <= LOGGED_MAX);
    }

    #[test]
    fn what_cannot_be_run() {
        let refused = |job: &CompileFile| command(job, Version::new(43)).unwrap_err();
        assert!(matches!(refused(&job("../../bin/sh")), CommandError::Compiler(_)));
        assert_eq!(refused(&CompileFile { language: 9, ..job("gcc") }), CommandError::Language);
        let with_nul = vec![(ArgSide::Rest, "-O2".into()), (ArgSide::Rest, "-DA=a\0b".into())];
        assert_eq!(refused(&CompileFile { arguments: with_nul, ..job("gcc") }), CommandError::Nul);
        let homeless = CompileFile { split_dwarf: 1, working_directory: "b".into(), ..job("gcc") };
        assert_eq!(refused(&homeless), CommandError::Folder);
        assert_eq!(command(&job(""), Version::new(29)).unwrap().program, Program::Gxx);
    }
}
