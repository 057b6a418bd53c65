//! What `--help` and `--version` print.

/// As scripts read it: the first number is the release of icecream that we stand for (decision: version-texts).
pub(super) fn version(program: &str) -> String {
    format!("{program} 1.4.0 (icecream-rs {})\n", env!("CARGO_PKG_VERSION"))
}

/// Help of `icecc`.
pub(super) const ICECC: &str = "\
Compiles on other machines of the network, or here if that is not possible.

Usage:
  icecc COMPILER [OPTIONS] -c SOURCE -o OBJECT
  icecc --build-native [COMPILER] [FILE...]
  icecc --inspect-env ARCHIVE [--json]
  icecc --update-links [--dry-run] [DIRECTORY...]
  icecc --help | --version

Links to icecc that are named as a compiler and stand first in PATH do the same without being called by name.

Options:
  --help           show this text
  --version        show the version
  --build-native   make an environment (archive) of COMPILER, gcc by default, with FILEs added
  --inspect-env    tell what an environment is for, what it holds and what it lacks
  --update-links   make a link to icecc for each compiler in PATH (gcc, g++-12, arm-linux-gnueabihf-gcc, ...), and remove
                   those of others, in DIRECTORIES or where links were installed; --dry-run only tells

Environment variables:
  ICECC                    no: run everything here, in a slot of the daemon; disable: do not use the daemon
  ICECC_VERSION            environments to use instead of the daemon's own: [PLATFORM:]ARCHIVE[=TARGET],...
  ICECC_DEBUG              what to log: error, warning, info or debug
  ICECC_LOGFILE            where to log to instead of standard error
  ICECC_REPEAT_RATE        taken notice of, but results are not compared
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
  ICECC_FALLBACK           warn: say when the network could not compile a job; never: fail then
";

/// Help of `icerun`.
pub(super) const ICERUN: &str = "\
Runs a command on this machine in a slot of the icecream daemon, so that not too many run at once.

Usage:
  icerun COMMAND [ARGUMENTS]
  icerun --help | --version

Environment variables:
  ICECC          disable: do not use the daemon
  ICECC_DEBUG    what to log: error, warning, info or debug
  ICECC_LOGFILE  where to log to instead of standard error
";
