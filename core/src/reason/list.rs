//! The list of reasons. A new one is added here, with all that is told of it.

use super::fault::Fault;

/// What is told of a reason.
pub(super) struct Row {
    pub(super) word: &'static str,
    pub(super) fault: Fault,
    /// 1.4's number; 0: none.
    pub(super) error: u32,
    pub(super) sentence: &'static str,
    pub(super) remedy: &'static str,
}

/// Declares the reasons: name = word, fault, 1.4's number (0: none), sentence, what to do.
macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $fault:ident, $error:literal, $sentence:literal, $remedy:literal;)*) => {
        /// Why a job is built on its submitter.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// All reasons, in the order of the list.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub(super) const fn row(self) -> &'static Row {
                match self {
                    $(Self::$name => &Row {
                        word: $word,
                        fault: Fault::$fault,
                        error: $error,
                        sentence: $sentence,
                        remedy: $remedy,
                    },)*
                }
            }
        }
    };
}

reasons! {
    // Command lines: decided before any peer is asked.
    /// `ICECC=no` or `ICECC=disable`.
    UserSaidNo = "user-said-no", Nobody, 0,
        "ICECC is set, building locally",
        "unset ICECC";
    /// icerun, or a link to it: the command is to run here, in a slot.
    UnderIcerun = "icerun", Nobody, 0,
        "icerun runs its command here",
        "nothing to do: icerun is for commands that no other host can run";
    /// Its name is not that of a C, C++ or Objective-C compiler.
    NotACompiler = "not-a-compiler", CommandLine, 0,
        "not a compiler that is known here, building locally",
        "call it by a compiler's name (a link named gcc, g++, clang or T-gcc), or name the compiler by ICECC_CC or ICECC_CXX";
    /// A variable that only a compile here can heed.
    VariableSet = "variable", CommandLine, 0,
        "a variable of the compiler is set, building locally",
        "unset the variable that is named";
    /// `-E`
    PreprocessOnly = "preprocess-only", CommandLine, 0,
        "preprocessing, building locally",
        "nothing to do: the preprocessor reads files of this host";
    /// Neither `-c` nor `-S`: a link, or a question to the compiler.
    NoCompile = "no-compile", CommandLine, 0,
        "neither -c nor -S argument, building locally",
        "compile with -c and link by a command of its own";
    /// `-M` and its like: only dependencies are wanted.
    DependenciesOnly = "dependencies-only", CommandLine, 0,
        "only dependencies are wanted, building locally",
        "let the compile write them: -MD or -MMD instead of -M or -MM";
    /// `-Wp,-MT,…` without a dependency file: an error, which the compiler words best.
    DependencyTargetOnly = "dependency-target-only", CommandLine, 0,
        "dependency target without dependency file, building locally",
        "name a dependency file (-MF), or leave the target out";
    /// Dumps and reports go to the user's folder or terminal.
    Report = "report", CommandLine, 0,
        "argument makes the compiler write a report or dump, building locally",
        "leave the argument out of builds for which you do not read the report";
    /// A file beside the object would be lost.
    SideFile = "side-file", CommandLine, 0,
        "argument makes a file beside the object, building locally",
        "leave the argument out where you do not need the file";
    /// Names of files beside the object, which a compile server makes up itself.
    SideFileName = "side-file-name", CommandLine, 0,
        "argument names files beside the object, building locally",
        "let the compiler choose the names";
    /// Nothing is compiled into an object.
    NoObject = "no-object", CommandLine, 0,
        "argument makes no object, building locally",
        "nothing to do: such a command is no compile of one unit";
    /// A file that an option makes the compiler read would be missing on the compile server.
    RemoteInput = "remote-input", CommandLine, 0,
        "argument makes the compiler read a file that the remote lacks, building locally",
        "leave the argument out, or accept that these units are compiled here";
    /// Names or text of files are put into the object: a compile server knows the source as its standard input, and
    /// the output by a name of its own.
    SourceName = "source-name", CommandLine, 0,
        "argument puts names or text of files into the object, building locally",
        "leave the argument out of builds for which you do not need it";
    /// A file named by an option is missing here.
    FileMissing = "file-missing", CommandLine, 0,
        "file for argument missing, building locally",
        "make the file, or correct its name";
    /// Other programs are to be used.
    ProgramPath = "program-path", CommandLine, 0,
        "argument may make the compiler run other programs, building locally",
        "name the compiler by ICECC_CC or ICECC_CXX instead of -B or -specs";
    /// PATH leads the compiler to another program than the one in its environment.
    OtherProgram = "other-program", CommandLine, 0,
        "PATH leads to another program than the environment has, building locally",
        "put the compiler's own folder before the other one in PATH";
    /// The preprocessor alone is told something that may change what it writes.
    Preprocessor = "preprocessor", CommandLine, 0,
        "argument may change what the preprocessor writes, building locally",
        "give the option to the compiler itself, without -Wp, or -Xpreprocessor";
    /// Specs that do more than add options.
    Specs = "specs", CommandLine, 0,
        "specs do more than add options, building locally",
        "give the options on the command line";
    /// The command line is put into the object, and a compile server's is another one.
    CommandLine = "command-line", CommandLine, 0,
        "argument puts the command line into the object, building locally",
        "leave -frecord-gcc-switches or its like out";
    /// A list for an instrumentation names source files, which a compile server knows as its standard input.
    SourceList = "source-list", CommandLine, 0,
        "argument names a list of source files, building locally",
        "leave the list out, or instrument all files";
    /// Relative names are taken from another directory.
    WorkingDirectory = "working-directory", CommandLine, 0,
        "argument changes the working directory, building locally",
        "run the command in that directory";
    /// `--`: what follows may be anything.
    Separator = "separator", CommandLine, 0,
        "argument --, building locally",
        "leave -- out";
    /// Conversions that an environment lacks.
    Charset = "charset", CommandLine, 0,
        "argument names a character set, building locally",
        "keep the sources in UTF-8";
    /// `-x` with a language that is not sent, or without one.
    Language = "language", CommandLine, 0,
        "language of -x is not sent, building locally",
        "nothing to do: C, C++, Objective-C and their preprocessed forms are sent";
    /// `-x` behind the input, for which it does not count.
    LanguageBehindInput = "language-behind-input", CommandLine, 0,
        "language of -x stands behind the input, building locally",
        "put -x before the input";
    /// The suffix names a language that is not sent, or none.
    Suffix = "suffix", CommandLine, 0,
        "suffix of the input is not sent, building locally",
        "nothing to do: C, C++, Objective-C and their preprocessed forms are sent";
    /// More than one input.
    TwoInputs = "two-inputs", CommandLine, 0,
        "found another non option on command line. Two input files, building locally",
        "compile each file by a command of its own";
    /// `-`: the source comes from standard input.
    StandardInput = "standard-input", CommandLine, 0,
        "source comes from standard input, building locally",
        "write the source to a file";
    /// A pipe or device: it can be read only once, and who looks at it takes it from the compiler.
    ReadOnce = "read-once", CommandLine, 0,
        "argument is no regular file, building locally",
        "write it to a regular file";
    /// An empty word.
    EmptyArgument = "empty-argument", CommandLine, 0,
        "empty argument, building locally",
        "leave the empty word out";
    /// An option without its value.
    ValueMissing = "value-missing", CommandLine, 0,
        "value of an argument is missing, building locally",
        "give the value";
    /// A test program of configure or CMake.
    Probe = "probe", CommandLine, 0,
        "conftest or CMake check, building locally",
        "nothing to do: such tests are done sooner here";
    /// The output is `-`, or no regular file.
    Output = "output", CommandLine, 0,
        "output is no regular file, building locally",
        "write to a regular file";
    /// The output cannot be written here; the compiler says why.
    OutputUnwritable = "output-unwritable", CommandLine, 0,
        "output cannot be written, building locally",
        "make the output writable";
    /// The output is the input, or two outputs are one.
    OutputTwice = "output-twice", CommandLine, 0,
        "output is the input or another output, building locally",
        "give each output a name of its own";
    /// The current directory was removed, or lies outside of our root.
    NoDirectory = "no-directory", CommandLine, 0,
        "current directory has no name, building locally",
        "run the command in a directory that exists";
    /// No output name, and none can be derived.
    NoOutput = "no-output", CommandLine, 0,
        "no output file, building locally",
        "name the output by -o";
    /// `-Wa,` with a listing, an option file or a file that is not there.
    Assembler = "assembler", CommandLine, 0,
        "argument of the assembler cannot be sent, building locally",
        "leave the listing or the option file out";
    /// Precompiled headers or modules are made or needed.
    Modules = "modules", CommandLine, 0,
        "precompiled headers or modules, building locally",
        "nothing to do: they are files of this host's compiler";
    /// The `.dwo`'s name cannot be told to the server.
    SplitDwarfName = "split-dwarf-name", CommandLine, 0,
        "split debug information without suffix, building locally",
        "give the output a suffix (.o)";
    /// The compiler did not say for which target it compiles.
    TargetUnknown = "target-unknown", CommandLine, 0,
        "compiler does not tell its target, building locally",
        "see what `COMPILER -dumpmachine` says";
    /// The compiler did not say what *native* means here.
    NativeUnknown = "native-unknown", CommandLine, 0,
        "compiler does not tell its native options, building locally",
        "name the processor instead of native (-march=x86-64-v3)";
    /// The compiler is a wrapper whose own options cannot be told.
    Wrapper = "wrapper", CommandLine, 0,
        "compiler is a wrapper whose options cannot be told, building locally",
        "name the compiler that it runs by ICECC_CC or ICECC_CXX, and let the wrapper run icecc";

    // The set-up of this host.
    /// No daemon answers.
    NoDaemon = "no-daemon", SetUp, 0,
        "no local daemon found",
        "start iceccd on this host (`systemctl start iceccd`)";
    /// The job can be given no environment; the detail says why.
    NoEnvironment = "no-environment", SetUp, 0,
        "no environment can be given to the job",
        "mend ICECC_VERSION or ICECC_EXTRAFILES as the detail says";
    /// The daemon has no archive for this compiler, and gave no reason.
    NoNativeArchive = "no-native-archive", SetUp, 22,
        "daemon can't determine native environment. Set $ICECC_VERSION to an icecc environment.",
        "make one by `icecc --build-native` and name it in ICECC_VERSION";
    /// The daemon could make no archive of this compiler; the detail says why.
    NativeFailed = "native-failed", SetUp, 22,
        "daemon can't determine native environment",
        "mend what the detail names, or make an archive by `icecc --build-native` and name it in ICECC_VERSION";
    /// The archive cannot be read.
    ArchiveUnreadable = "archive-unreadable", SetUp, 4,
        "unable to open environment archive",
        "make the archive readable, or name another one in ICECC_VERSION";
    /// The preprocessor could not be started.
    NoPreprocessor = "no-preprocessor", SetUp, 18,
        "cannot start preprocessor",
        "see whether the compiler runs by itself, and the limits of processes and memory";
    /// The preprocessor's output could not be read.
    SourceUnreadable = "source-unreadable", SetUp, 16,
        "error reading from preprocessor",
        "see the limits of memory and open files of this host";
    /// The object could not be written.
    ObjectUnwritten = "object-unwritten", SetUp, 21,
        "error writing object file",
        "see whether the disk is full";
    /// The temporary beside the target could not be made or renamed.
    NoTemporary = "no-temporary", SetUp, 31,
        "cannot make object file beside its target",
        "make the directory of the output writable";

    // The cluster as a whole.
    /// No compile server in time, or another answer.
    NoServer = "no-server", Cluster, 1,
        "expected use_cs reply, but got something else",
        "see whether the scheduler is busy: `icecc-scheduler` answers `stats` on its text port";
    /// The daemon has no scheduler.
    NoScheduler = "no-scheduler", Cluster, 1,
        "the daemon has no scheduler",
        "start icecc-scheduler on one host of the network, or name it to iceccd by -s and the same netname by -n";
    /// The scheduler knows no host that could take the job.
    NoHost = "no-host", Cluster, 1,
        "no host of the network can take the job",
        "start iceccd on more hosts, of this platform, with slots and a working sandbox (`iceccd --check`)";
    /// A server that cannot verify, which the user ruled out.
    CannotVerify = "cannot-verify", Cluster, 26,
        "environment cannot be verified on remote",
        "unset ICECC_REMOTE_CPP or ask for servers of protocol 31";
    /// The daemon does not read.
    DaemonGone = "daemon-gone", SetUp, 24,
        "error writing to local daemon",
        "see the log of iceccd on this host";
    /// The daemon went while the job was to be compiled here.
    SelfBuildLost = "self-build-lost", SetUp, 29,
        "local daemon gone before local compile",
        "see the log of iceccd on this host";

    // One compile server.
    /// The server cannot be reached.
    Unreachable = "unreachable", Host, 2,
        "no server found at given hostname",
        "let TCP port 10245 of that host through its firewall, or see whether it runs";
    /// The archive could not be sent.
    EnvironmentNotSent = "environment-not-sent", Host, 6,
        "write environment to remote failed",
        "see the log of iceccd on that host, and its disk";
    /// The job's header could not be sent.
    HeaderNotSent = "header-not-sent", Host, 9,
        "error sending file to remote",
        "see the log of iceccd on that host";
    /// The source could not be sent.
    SourceNotSent = "source-not-sent", Host, 15,
        "write of source chunk to host failed",
        "see the log of iceccd on that host, and the network";
    /// Something else than a result.
    NotAResult = "not-a-result", Host, 13,
        "did not get compile response message",
        "see the version of iceccd on that host";
    /// No result: closed, or no sign of life.
    NoResult = "no-result", Host, 14,
        "error reading message from remote",
        "see the log of iceccd on that host: it closed the connection or died";
    /// The object did not come whole.
    ObjectCut = "object-cut", Host, 19,
        "(network failure?)",
        "see the network, and the log of iceccd on that host";
    /// Something else than the object.
    NotAnObject = "not-an-object", Host, 20,
        "unexpected message instead of object file",
        "see the version of iceccd on that host";
    /// No usable environment, or the request to verify could not be sent.
    NoUsableEnvironment = "no-usable-environment", Host, 22,
        "no usable environment",
        "name an archive for that host's platform in ICECC_VERSION";
    /// The server said why it cannot; the detail has its words.
    ServerSays = "server-says", Host, 23,
        "remote status",
        "see the words of the server, and its log";
    /// The server found the environment unusable; the host is reported.
    EnvironmentRefused = "environment-refused", Host, 24,
        "remote unable to verify environment",
        "see the log of iceccd on that host: the compiler of the archive does not run there";
    /// No answer about the environment, or a wrong one.
    EnvironmentUnverified = "environment-unverified", Host, 25,
        "other error verifying environment on remote",
        "see the log of iceccd on that host";
    /// The server says why it has no such environment.
    EnvironmentMissing = "environment-missing", Host, 25,
        "other error verifying environment on remote",
        "see the words of the server: its cache may be too small (--cache-limit) or its disk full";
    /// Memory ran out on the server.
    OutOfMemory = "out-of-memory", Host, 101,
        "the server ran out of memory, recompiling locally",
        "give that host fewer slots (-m) or more memory";
    /// Its disk was full.
    OutOfDisk = "out-of-disk", Host, 101,
        "the server's disk was full, recompiling locally",
        "make room on that host";
    /// The remote compiler was killed, nobody knows why.
    Killed = "killed", Host, 101,
        "remote compiler was killed, recompiling locally",
        "see the log of iceccd on that host, and its memory";
    /// The remote compiler crashed.
    Crash = "crash", Host, 105,
        "remote compiler crashed, recompiling locally",
        "if it crashes here too, the compiler or the source is at fault; else see that host";
    /// The server sent a file that is no output of this compile, and why; the host is reported.
    FalseResult = "false-result", Host, 108,
        "false result, recompiling locally",
        "ask the owner of that host: no job of this one goes there for an hour";

    /// A server that runs the command on the user's files asks for a file that is none of its business; the detail names it.
    FilesRefused = "files-refused", Host, 0,
        "the server asked for a file that no job needs, recompiling locally",
        "if the compiler does need the file, name it on its command line or set ICECC_FILES=off";
    /// It asks more than a compiler can want.
    FilesQuestions = "files-questions", Host, 0,
        "the server asked for files too often, recompiling locally",
        "see the log of iceccd on that host";
    /// What it says of the outputs makes no sense; the detail says why.
    FilesFalse = "files-false", Host, 0,
        "result of files mode makes no sense, recompiling locally",
        "see the version of iceccd on that host";

    // Results that only a compile here can show as the user expects them.
    /// Messages of gcc without source lines.
    Messages = "messages", Nobody, 102,
        "command needs stdout/stderr workaround, recompiling locally",
        "nothing to do: the compiler's messages are shown with your source lines";
    /// Preprocessing failed; the compiler's own run shows it best.
    Preprocessing = "preprocessing", Nobody, 103,
        "local cpp invocation failed, trying to recompile locally",
        "mend the source as the compiler says";
    /// A file is missing on the server.
    FileNotFound = "file-not-found", Nobody, 104,
        "missing file on the remote, recompiling locally",
        "add the file to the environment by ICECC_EXTRAFILES";
    /// The remote compiler failed in a way that may not be the source's fault.
    Doubtful = "doubtful", Nobody, 106,
        "remote failure may not be the source's, recompiling locally",
        "nothing to do: what the compiler says here counts";
    /// The remote compiler failed, and what the plain one would leave in its output cannot be told.
    OutputOfFailure = "output-of-failure", Nobody, 107,
        "only the compiler knows what its failure makes of the output, recompiling locally",
        "mend the source as the compiler says";
    /// The scheduler found no other host that would do it sooner.
    OwnHost = "own-host", Nobody, 0,
        "the scheduler chose this host",
        "nothing to do: other hosts are busy or slower; more hosts would take more jobs";
    /// A file that the compiler read changed meanwhile; the detail names it.
    FilesChanged = "files-changed", Nobody, 0,
        "a file changed while the job was compiled elsewhere, recompiling locally",
        "nothing to do: what is made here is of the files as they are now";
    /// A file that was read shows the date, and another host has another clock; the detail names it.
    FilesDate = "files-date", Nobody, 0,
        "source shows the date or time, recompiling locally",
        "leave __DATE__ and __TIME__ out, or set SOURCE_DATE_EPOCH";
    /// The compiler read something that only it can read here: a pipe, a device, a file of another host; the detail names it.
    FilesUnfit = "files-unfit", Nobody, 0,
        "compiler read what cannot be shown to another host, recompiling locally",
        "nothing to do: pipes, devices and files of network file systems are read here";
    /// The compiler wrote something that its command does not name; the detail names it.
    FilesStray = "files-stray", Nobody, 0,
        "compiler wrote a file that its command does not name, recompiling locally",
        "nothing to do: what it writes is written here";
}
