//! Whether the result of a compile server is taken. A remote failure is never the last word, unless it is plainly the
//! source's: what a compile server did wrong must not end a build.

use super::Request;
use crate::cmdline::{Family, Messages, Mode};
use crate::message::{CompileResult, FilesResult};
use crate::reason::Reason;
use crate::text::Text;

/// Words of compilers and assemblers for a file that is here, but not on the server (`.incbin`, lists named by options …).
const MISSING_FILE: [&[u8]; 5] =
    [b"No such file or directory", b"Could not find", b"cannot find", b"error opening", b"could not open"];

/// How the words of a server end that lacks the environment, also those of 1.4.
const MISSING_ENVIRONMENT: &[u8] = b" removed?";

/// Status of a compiler that ran out of memory or disk.
const OUT_OF_ROOM: i32 = 105;
/// Statuses of compilers that somebody ended: 128 and the signal's number.
const KILLED: i32 = 128 + 9;
const TERMINATED: i32 = 128 + 15;
const DISK_FULL: &[u8] = b"o space left on device";

/// A driver's words of a program below it that somebody ended.
const KILLED_BELOW: &[u8] = b"Killed signal terminated";

/// clang's words for a place that it can only tell by the source file.
const NO_PLACE: &[u8] = b"could not determine the original source location";

/// What clang's driver says of an argument that it takes all the same.
const DRIVERS: &[u8] = b"clang: warning: ";

/// Whether a server says that it lacks the environment.
pub(super) fn is_about_missing_environment(words: &Text) -> bool {
    words.as_bytes().ends_with(MISSING_ENVIRONMENT)
}

/// Why a result is not taken.
pub(super) fn objection(request: &Request, result: &CompileResult) -> Option<Reason> {
    if !(0..=255).contains(&result.status) {
        return Some(Reason::NotAResult); // no program ends so; 256 would be our 0, without an object
    }
    let silent = result.stderr.is_empty() && result.stdout.is_empty();
    if result.status != 0 && result.out_of_memory != 0 {
        return Some(hosts_fault(result));
    }
    if result.has_dwo != 0 && request.compile.split_dwarf == 0 {
        return Some(Reason::NotAResult); // a file that nobody asked for would be put beside the object
    }
    if result.status >= 100 && silent {
        // 1.4 ends the build with that status.
        return Some(Reason::Crash);
    }
    let stderr = result.stderr.as_bytes();
    let expanded = request.mode == Mode::Full;
    let not_the_plain_ones = match request.messages {
        Messages::Taken => expanded && result.status != 0,
        // clang says so of what its optimizer remarks: it looks for the source by its name.
        Messages::TakenUnlessExpanded => {
            (expanded && (result.status != 0 || !are_drivers(result))) || contains(stderr, NO_PLACE)
        }
        Messages::Redone => true,
    };
    let told_in_full = request.told_in_full.iter().any(|path| contains(stderr, path));
    if !silent && (not_the_plain_ones || told_in_full) {
        return Some(Reason::Messages);
    }
    if contains(stderr, b"file not found") {
        return Some(Reason::FileNotFound);
    }
    let plain = contains(stderr, b": error: ") || contains(stderr, b": fatal error: ");
    let missing = MISSING_FILE.iter().any(|phrase| contains(stderr, phrase));
    if result.status != 0 && (request.failure_is_doubtful || !plain || missing || names_no_place(stderr)) {
        return Some(Reason::Doubtful);
    }
    None
}

/// Why the result of a command that ran on the user's own files is not taken: the user's compiler spoke, but what befell it there may
/// not befall it here.
pub(super) fn objection_by_files(result: &FilesResult) -> Option<Reason> {
    let FilesResult { status, out_of_memory, stdout, stderr } = result.clone();
    if !(0..=255).contains(&status) {
        return Some(Reason::NotAResult);
    }
    if status == 0 {
        return None;
    }
    let ended = CompileResult { status, out_of_memory, stdout, stderr, ..CompileResult::default() };
    let says = |words| contains(ended.stderr.as_bytes(), words);
    if out_of_memory != 0 || says(KILLED_BELOW) {
        Some(hosts_fault(&ended))
    } else if says(DISK_FULL) {
        Some(Reason::OutOfDisk)
    } else {
        (status > 128 || ended.stderr.is_empty() && status >= 100).then_some(Reason::Crash)
    }
}

/// What the preprocessor said and the compiler does not repeat. `None`: only a run of the plain command can put the two together as
/// the user would see them.
pub(super) fn said_before(request: &Request, said: &[u8], result: &CompileResult) -> Option<Vec<u8>> {
    if request.family == Family::Clang && request.mode == Mode::Full && !result.stderr.is_empty() {
        // The driver's words of arguments, which it says once in a plain run: of those that neither run has use for.
        return (result.stderr.as_bytes() == said).then(Vec::new);
    }
    if request.family == Family::Gcc || request.mode == Mode::Full || said.is_empty() {
        return Some(said.to_vec());
    }
    // clang's text still has the directives, so `#warning` speaks again; only the count at the end differs.
    let text = without_count(said);
    (!text.is_empty() && contains(result.stderr.as_bytes(), text)).then(Vec::new)
}

/// Messages of clang without the line that counts them.
fn without_count(said: &[u8]) -> &[u8] {
    let text = said.strip_suffix(b"\n").unwrap_or(said);
    let line = text.rsplit(|&b| b == b'\n').next().unwrap_or_default();
    let is_count = line.ends_with(b" generated.") && line.first().is_some_and(u8::is_ascii_digit);
    if is_count { text.strip_suffix(line).unwrap_or(said) } else { said }
}

/// What befell a compiler whose host says that it is not to blame. Its status says more where the host is ours.
fn hosts_fault(result: &CompileResult) -> Reason {
    match result.status {
        OUT_OF_ROOM if contains(result.stderr.as_bytes(), DISK_FULL) => Reason::OutOfDisk,
        OUT_OF_ROOM => Reason::OutOfMemory,
        KILLED | TERMINATED => Reason::Killed,
        130.. => Reason::Crash,
        _ => Reason::Killed,
    }
}

/// Whether all that is said is what clang's driver says of its arguments, whatever the source: the shell compares it with what the
/// driver said of them here.
fn are_drivers(result: &CompileResult) -> bool {
    let mut lines = result.stderr.as_bytes().split(|&b| b == b'\n').filter(|line| !line.is_empty());
    result.stdout.is_empty() && lines.all(|line| line.starts_with(DRIVERS))
}

/// Whether an error is not of the form `file:line: error:`, but the driver's, assembler's or linker's.
fn names_no_place(stderr: &[u8]) -> bool {
    stderr.split(|&b| b == b'\n').any(|line| {
        let Some(at) = find(line, b"error: ") else { return false };
        let before = line.get(..at).unwrap_or_default();
        if before.starts_with(b"<") {
            return true; // `<inline asm>:1:2: `
        }
        let before = before.strip_suffix(b"fatal ").unwrap_or(before);
        // `file:12:3: ` ends in a number and a colon; so does `file:12: `.
        let place = before.strip_suffix(b": ").and_then(|place| place.rsplit(|&b| b == b':').next());
        !place.is_some_and(|number| !number.is_empty() && number.iter().all(u8::is_ascii_digit))
            // With colours on, escape sequences stand between; those are taken on trust.
            && !before.contains(&0x1b)
    })
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    find(text, part).is_some()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_counts_messages_is_known_by_its_number() {
        for (said, left) in [
            (&b"a.c: warning\n1 warning generated.\n"[..], &b"a.c: warning\n"[..]),
            (b"2 warnings and 1 error generated.", b""),
            (b"a.c: warning: code generated.\n", b"a.c: warning: code generated.\n"),
            (b"1 of them\n", b"1 of them\n"),
            (b"", b""),
        ] {
            assert_eq!(without_count(said), left, "{}", String::from_utf8_lossy(said));
        }
    }
}
