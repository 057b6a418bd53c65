//! The options of `icecc` and `icerun`, and what `--help` says of them.

use crate::cli::table::{Completes, HELP, Opt, Program, SHOW_VERSION, option};

/// The client.
pub const ICECC: Program = Program {
    name: "icecc",
    title: "ICECC",
    about: "Compiles on other machines of the network, or here if that is not possible.",
    usage: &[
        "icecc COMPILER [OPTIONS] -c SOURCE -o OBJECT",
        "icecc --build-native [COMPILER] [FILE...]",
        "icecc --doctor [--json]",
        "icecc --explain [--json] [--] COMPILER [OPTIONS]",
        "icecc --inspect-env ARCHIVE [--json]",
        "icecc --stats [--json] [--last | --today | --all]",
        "icecc --trace FILE",
        "icecc --update-links [--dry-run] [DIRECTORY...]",
        "icecc --help | --version",
    ],
    above: "Links to icecc that are named as a compiler and stand first in PATH do the same without being called by name.",
    options: ICECC_TABLE,
    below: "\
Environment variables:
  ICECC                    no: run everything here, in a slot of the daemon; disable: do not use the daemon
  ICECC_VERSION            environments to use instead of the daemon's own: [PLATFORM:]ARCHIVE[=TARGET],...
  ICECC_DEBUG              what to log: error, warning, info or debug
  ICECC_LOGFILE            where to log to instead of standard error
  ICECC_VERIFY             compile one of so many remote jobs here too, and compare the objects
  ICECC_REPEAT_RATE        the same for so many of 1000 jobs
  ICECC_PREFERRED_HOST     host that shall compile if it can
  ICECC_CC, ICECC_CXX      compilers for C and C++
  ICECC_REMOTE_CPP         0: expand macros here; 1: on the other machine
  ICECC_IGNORE_UNVERIFIED  use only machines that can verify environments
  ICECC_EXTRAFILES         files to add to the environment, separated by colons
  ICECC_COLOR_DIAGNOSTICS  0: do not ask the compiler for colours
  ICECC_CARET_WORKAROUND   0: show messages of a remote gcc although they lack the source lines
  ICECC_COMPRESSION        compression level of what is sent
  ICECC_ENV_COMPRESSION    compression of environments: none, gzip, bzip2, zstd or xz
  ICECC_SLOW_NETWORK       taken notice of; writes follow the network's speed by themselves
  ICECC_FILES              on: run the command itself on the other machine, on the files of this one, where that machine can;
                           shadow: the same, and compare with what is made here
  ICECC_FILES_ENV          variables of the compiler that travel then beside the usual ones, separated by commas
  ICECC_FALLBACK           warn: say when the network could not compile a job; never: fail then
",
    operands: Completes::CommandLine,
};

const ICECC_TABLE: &[Opt] = &[
    HELP,
    SHOW_VERSION,
    option("build-native", "make an environment (archive) of COMPILER, gcc by default, with FILEs added").manual(
        "Make an environment of *COMPILER*, `gcc` by default: an archive in the current folder with all that the compiler needs to \
         run on another machine, and the *FILE*s. Its name is printed. It is made anew for every machine's own compiler by itself; \
         this is for `ICECC_VERSION`.",
    ),
    option("doctor", "look for what keeps jobs on this host, and send a compile to every other one").manual(
        "Look for what keeps jobs on this host: variables, compilers and links in PATH, ccache, daemon, scheduler, hosts, ports, \
         environments, room, memory, clock, and what is promised to jobs of others. A small file is compiled on every host that \
         takes jobs, up to 64. Each finding is a line, with what to do below it; the last line says whether jobs run on other \
         hosts, or what to do first. Exit status 0 only if they do, else 1. With `--json` behind it as JSON.",
    ),
    option("explain", "tell what would become of a command: where it would be compiled, and why").manual(
        "Tell what would become of a command, without compiling: whether it could go to another machine, the reason and the argument \
         that keep it here and what to do about them, the compiler that its name means, the arguments for each side, and the \
         environment. With `--json` behind it as JSON.",
    ),
    option("inspect-env", "tell what an environment is for, what it holds and what it lacks"),
    option("stats", "tell what came of your jobs: where they were done, why here, and what that has saved").manual(
        "Tell what came of your jobs, as this host's daemon has counted them: how many were done on other hosts and on which, here \
         and why, twice, and passed on as a host failed; the time saved, which is how long other hosts had your jobs (their queue \
         and compile) less what these jobs took for preparing, waiting, sending and receiving; bytes as packed; the slowest jobs. A \
         build is over when no job was there for 30 seconds. A job counts once its command has ended, and not if it was \
         interrupted or no daemon ran. Only your own jobs are told. With `--json` as JSON, times in microseconds.",
    ),
    option("last", "with --stats: of the last build (default)"),
    option("today", "with --stats: of today, which begins at midnight of UTC"),
    option("all", "with --stats: of all jobs ever counted, also before restarts of the daemon"),
    option("trace", "write the last build to FILE, to be looked at in Perfetto, and tell what took longest").manual(
        "Write the last build to *FILE* as a trace in the format of Chrome, which https://ui.perfetto.dev opens, and print its \
         critical path and the slowest jobs. Hosts are processes; jobs of a host are laid into as few rows as they need, as their \
         slots are not known. The parts of a job are slices, arrows lead to the host that compiled it and back, and there are counters of \
         free rows and of bytes. All times are of this host's clock. How long a job waits for a slot of another host is not known: it \
         is a part of the slice there. Of a build with more than 2,000 jobs (200, if the daemon was started with less than 1 GiB of free \
         memory) the last ones are told.",
    ),
    option("json", "with --doctor, --explain, --inspect-env or --stats: as JSON"),
    option(
        "update-links",
        "make a link to icecc for each compiler in PATH (gcc, g++-12, arm-linux-gnueabihf-gcc, ...),\n\
         and remove those of others, in DIRECTORIES or where links were installed",
    )
    .manual(
        "Make a link to `icecc` for each compiler in PATH: gcc, g++, clang, clang++, cc and c++, with a version behind the name \
         (`g++-12`), with a target before it (`arm-linux-gnueabihf-gcc`), or both. Scripts, and programs that only run a compiler, \
         get none, but for the six plain names. Links of compilers that are gone are removed. This is done in the *DIRECTORIES*, or \
         in those where links were installed. A link named `icecc` stands beside them, for ccache. What is done is printed. Files \
         that are no links to `icecc` are left alone. Debian's package does it by itself when a package brings or removes a program; \
         it is for compilers that come otherwise, as into */usr/local*.",
    ),
    option("dry-run", "with --update-links: only tell what would be done"),
];

/// The program that runs any command.
pub const ICERUN: Program = Program {
    name: "icerun",
    title: "ICERUN",
    about: "Runs a command on this machine in a slot of the icecream daemon, so that not too many run at once.",
    usage: &["icerun COMMAND [ARGUMENTS]", "icerun --help | --version"],
    above: "",
    options: ICERUN_TABLE,
    below: "\
Environment variables:
  ICECC          disable: do not use the daemon
  ICECC_DEBUG    what to log: error, warning, info or debug
  ICECC_LOGFILE  where to log to instead of standard error
",
    operands: Completes::CommandLine,
};

const ICERUN_TABLE: &[Opt] = &[HELP, SHOW_VERSION];
