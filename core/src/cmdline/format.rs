//! The options on which the format of an object depends: one answer about a compiler is for all jobs that have the same of them.

use super::job::RemoteJob;
use super::{Mode, spelling::Argument};

/// How those options begin: target and its variants, LTO and LLVM's own code, and which assembler is run in which way. An option that
/// is missing here costs a compile of nothing for each job that has it; one too many costs one for each of its values.
const BEGINNINGS: [&[u8]; 18] = [
    b"-Wa,",
    b"-Xassembler",
    b"-arch",
    b"-emit-llvm",
    b"-fembed-bitcode",
    b"-ffat-lto-objects",
    b"-fintegrated-as",
    b"-flto",
    b"-fno-fat-lto-objects",
    b"-fno-integrated-as",
    b"-fno-lto",
    b"-fopenmp-targets",
    b"-gcc-toolchain",
    b"-integrated-as",
    b"-m",
    b"-no-integrated-as",
    b"-specs",
    b"-target",
];
/// What begins so, and says nothing of the format.
const OTHER: &[u8] = b"-mllvm";
/// Whether it is an object.
const KINDS: [&[u8]; 2] = [b"-S", b"-c"];

impl RemoteJob {
    /// The arguments, with their values, by which the format of the object may be another one.
    pub fn format_words(&self) -> Vec<Vec<u8>> {
        let sent = self.words_of_compile();
        let (mut rest, mut found) = (sent.as_slice(), Vec::new());
        while let Some(argument) = Argument::read(self.family, rest) {
            if is_about_format(&argument.short) {
                found.extend_from_slice(argument.words);
            }
            rest = rest.get(argument.words.len()..).unwrap_or_default();
        }
        found
    }

    /// All arguments of a compile of expanded text, but for its input and output.
    pub fn words_of_compile(&self) -> Vec<Vec<u8>> {
        self.remote_words(Mode::Full).into_iter().map(|(_, word)| word.as_bytes().to_vec()).collect()
    }
}

fn is_about_format(option: &[u8]) -> bool {
    let short = option.strip_prefix(b"-").filter(|rest| rest.starts_with(b"-")).unwrap_or(option);
    let begins = BEGINNINGS.iter().any(|beginning| short.starts_with(beginning));
    KINDS.contains(&short) || (begins && short != OTHER)
}
