//! Why a compile stays on its own machine.

use std::fmt;

/// Why a command line is not sent away. Each is decided before any peer is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Not a C, C++ or Objective-C compiler.
    NotACompiler,
    /// `-E`
    PreprocessOnly,
    /// Neither `-c` nor `-S`: a link, or a question to the compiler.
    NoCompile,
    /// `-M` and its like: only dependencies are wanted.
    DependenciesOnly,
    /// `-Wp,-MT,…` without a dependency file: an error, which the compiler words best.
    DependencyTargetOnly,
    /// Dumps and reports go to the user's folder or terminal.
    Report,
    /// A file beside the object would be lost.
    SideFile,
    /// Names of files beside the object, which a compile server makes up itself.
    SideFileName,
    /// Nothing is compiled into an object.
    NoObject,
    /// A file that an option makes the compiler read would be missing on the compile server.
    RemoteInput,
    /// Names or text of files are put into the object: a compile server knows the source as its standard input, and the output by a
    /// name of its own.
    SourceName,
    /// A file named by an option is missing here.
    FileMissing,
    /// Other programs are to be used.
    ProgramPath,
    /// PATH leads the compiler to another program than the one in its environment.
    OtherProgram,
    /// The preprocessor alone is told something that may change what it writes.
    Preprocessor,
    /// Specs that do more than add options.
    Specs,
    /// The command line is put into the object, and a compile server's is another one.
    CommandLine,
    /// A list for an instrumentation names source files, which a compile server knows as its standard input.
    SourceList,
    /// Relative names are taken from another directory.
    WorkingDirectory,
    /// `--`: what follows may be anything.
    Separator,
    /// Conversions that an environment lacks.
    Charset,
    /// `-x` with a language that is not sent, or without one.
    Language,
    /// `-x` behind the input, for which it does not count.
    LanguageBehindInput,
    /// The suffix names a language that is not sent, or none.
    Suffix,
    /// More than one input.
    TwoInputs,
    /// `-`: the source comes from standard input.
    StandardInput,
    /// A pipe or device: it can be read only once, and who looks at it takes it from the compiler.
    ReadOnce,
    /// An empty word.
    EmptyArgument,
    /// An option without its value.
    ValueMissing,
    /// A test program of configure or CMake.
    Probe,
    /// The output is `-`, or no regular file.
    Output,
    /// The output cannot be written here; the compiler says why.
    OutputUnwritable,
    /// The output is the input, or two outputs are one.
    OutputTwice,
    /// The current directory was removed, or lies outside of our root.
    NoDirectory,
    /// No output name, and none can be derived.
    NoOutput,
    /// `-Wa,` with a listing, an option file or a file that is not there.
    Assembler,
    /// Precompiled headers or modules are made or needed.
    Modules,
    /// The `.dwo`'s name cannot be told to the server.
    SplitDwarfName,
    /// The compiler did not say for which target it compiles.
    TargetUnknown,
    /// The compiler did not say what *native* means here.
    NativeUnknown,
    /// The compiler is a wrapper whose own options cannot be told.
    Wrapper,
}

impl Reason {
    /// A sentence for the log.
    pub const fn text(self) -> &'static str {
        match self {
            Self::NotACompiler => "not a compiler that is known here, building locally",
            Self::PreprocessOnly => "preprocessing, building locally",
            Self::NoCompile => "neither -c nor -S argument, building locally",
            Self::DependenciesOnly => "only dependencies are wanted, building locally",
            Self::DependencyTargetOnly => "dependency target without dependency file, building locally",
            Self::Report => "argument makes the compiler write a report or dump, building locally",
            Self::SideFile => "argument makes a file beside the object, building locally",
            Self::SideFileName => "argument names files beside the object, building locally",
            Self::NoObject => "argument makes no object, building locally",
            Self::RemoteInput => "argument makes the compiler read a file that the remote lacks, building locally",
            Self::SourceName => "argument puts names or text of files into the object, building locally",
            Self::FileMissing => "file for argument missing, building locally",
            Self::ProgramPath => "argument may make the compiler run other programs, building locally",
            Self::OtherProgram => "PATH leads to another program than the environment has, building locally",
            Self::Preprocessor => "argument may change what the preprocessor writes, building locally",
            Self::Specs => "specs do more than add options, building locally",
            Self::CommandLine => "argument puts the command line into the object, building locally",
            Self::SourceList => "argument names a list of source files, building locally",
            Self::WorkingDirectory => "argument changes the working directory, building locally",
            Self::Separator => "argument --, building locally",
            Self::Charset => "argument names a character set, building locally",
            Self::Language => "language of -x is not sent, building locally",
            Self::LanguageBehindInput => "language of -x stands behind the input, building locally",
            Self::Suffix => "suffix of the input is not sent, building locally",
            Self::TwoInputs => "found another non option on command line. Two input files, building locally",
            Self::StandardInput => "source comes from standard input, building locally",
            Self::ReadOnce => "argument is no regular file, building locally",
            Self::EmptyArgument => "empty argument, building locally",
            Self::ValueMissing => "value of an argument is missing, building locally",
            Self::Probe => "conftest or CMake check, building locally",
            Self::Output => "output is no regular file, building locally",
            Self::OutputUnwritable => "output cannot be written, building locally",
            Self::OutputTwice => "output is the input or another output, building locally",
            Self::NoDirectory => "current directory has no name, building locally",
            Self::NoOutput => "no output file, building locally",
            Self::Assembler => "argument of the assembler cannot be sent, building locally",
            Self::Modules => "precompiled headers or modules, building locally",
            Self::SplitDwarfName => "split debug information without suffix, building locally",
            Self::TargetUnknown => "compiler does not tell its target, building locally",
            Self::Wrapper => "compiler is a wrapper whose options cannot be told, building locally",
            Self::NativeUnknown => "compiler does not tell its native options, building locally",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
