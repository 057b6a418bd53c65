//! What a compiler's end means: a result for the client, or none so that it builds locally.

use super::failure::{Exit, code};
use crate::job::JobStats;
use crate::limits::FRAME_MAX;
use crate::message::CompileResult;

/// Room that a COMPILE_RESULT leaves for everything but the two texts.
const OVERHEAD: usize = 1024;
/// Most bytes kept of each of the compiler's two texts; the rest is counted.
pub const TEXT_MAX: usize = FRAME_MAX;

/// What memory that ran out looks like.
const OUT_OF_MEMORY: [&str; 7] = [
    "memory exhausted",
    "out of memory",
    "annot allocate memory",
    "failed to map segment from shared object",
    "Assertion `NewElts && \"Out of memory\"' failed",
    "terminate called after throwing an instance of 'std::bad_alloc'",
    "llvm::MallocSlabAllocator::Allocate",
];
/// The driver lives, but somebody killed what it had started: the kernel for want of memory, or a person.
const KILLED: &str = "Killed signal terminated program";
/// What it looks like when the driver could not start a program, for want of processes or descriptors: the host's fault.
const CANNOT_START: [&str; 2] = ["Resource temporarily unavailable", "Too many open files"];
const DISK_FULL: &str = "o space left on device";

/// The end of a compiler, and what it leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    /// How it ended.
    pub exit: Exit,
    /// The kernel killed for want of memory.
    pub out_of_memory: bool,
    /// It was killed because its time was over.
    pub timed_out: bool,
    /// There is an object.
    pub has_object: bool,
    /// There is split debug information.
    pub has_dwo: bool,
    /// Times, page faults and sizes of what it wrote; the source's sizes are not its own.
    pub stats: JobStats,
    /// Bytes that its files take until the client has read them.
    pub held: u64,
}

/// One of the compiler's two texts.
#[derive(Debug, Default)]
pub struct Collected {
    bytes: Vec<u8>,
    lost: u64,
}

impl Collected {
    /// Appends what was read; past the limit it is only counted.
    pub fn add(&mut self, read: &[u8]) {
        let room = TEXT_MAX.saturating_sub(self.bytes.len()).min(read.len());
        let (kept, lost) = read.split_at(room);
        self.bytes.extend_from_slice(kept);
        self.lost += lost.len() as u64;
    }

    /// At most about `max` bytes, with a mark where it was cut.
    fn cut_to(mut self, max: usize) -> Vec<u8> {
        if self.bytes.len() > max {
            self.lost += (self.bytes.len() - max) as u64;
            self.bytes.truncate(max);
        }
        if self.lost > 0 {
            self.bytes.extend_from_slice(format!("\n[icecream: {} more bytes of output cut]\n", self.lost).as_bytes());
        }
        self.bytes
    }

    fn contains(&self, text: &str) -> bool {
        self.bytes.windows(text.len()).any(|w| w == text.as_bytes())
    }
}

/// Judges an end: a result for the client, or why it gets none, so that it builds locally.
pub fn judge(ended: &Ended, stdout: Collected, stderr: Collected) -> Result<CompileResult, &'static str> {
    let out_of_memory = ended.out_of_memory || OUT_OF_MEMORY.iter().any(|t| stderr.contains(t));
    let status = match ended.exit {
        _ if ended.timed_out => return Err("its time was over"),
        Exit::Status(0) if !ended.has_object => return Err("no object was written"),
        Exit::Status(0) => 0,
        _ if out_of_memory || stderr.contains(DISK_FULL) => code::OUT_OF_MEMORY,
        // Any client builds it locally then; a status would fail the build of 1.4's.
        Exit::Status(_) if CANNOT_START.iter().any(|t| stderr.contains(t)) => {
            return Err("this host could not start its programs");
        }
        exit => exit.status(),
    };
    // Any client builds it locally then; 1.4's server sends status 105 of what was killed, and the user's build fails.
    let is_hosts_fault = status == code::OUT_OF_MEMORY
        || matches!(ended.exit, Exit::Signal(_))
        || (status != 0 && stderr.contains(KILLED));
    // A string of the protocol ends at its first NUL: cut there, the user would miss the rest.
    if stdout.bytes.contains(&0) || stderr.bytes.contains(&0) {
        return Err("its output holds a NUL byte");
    }
    let (stdout, stderr) = fit(stdout, stderr);
    Ok(CompileResult {
        stderr: stderr.into(),
        stdout: stdout.into(),
        status,
        out_of_memory: u32::from(is_hosts_fault),
        has_dwo: u32::from(status == 0 && ended.has_dwo),
    })
}

/// Both texts have to fit into one message. The longer one is cut.
fn fit(stdout: Collected, stderr: Collected) -> (Vec<u8>, Vec<u8>) {
    let room = FRAME_MAX - OVERHEAD;
    let out = stdout.bytes.len().min((room - room / 2).max(room.saturating_sub(stderr.bytes.len())));
    let err = room - out;
    (stdout.cut_to(out), stderr.cut_to(err))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(exit: Exit) -> Ended {
        Ended {
            exit,
            out_of_memory: false,
            timed_out: false,
            has_object: exit == Exit::Status(0),
            has_dwo: false,
            stats: JobStats::default(),
            held: 0,
        }
    }

    fn said(text: &str) -> Collected {
        let mut collected = Collected::default();
        collected.add(text.as_bytes());
        collected
    }

    fn result(ended: &Ended, stderr: &str) -> CompileResult {
        judge(ended, Collected::default(), said(stderr)).unwrap()
    }

    #[test]
    fn d47_d48_status_and_texts() {
        assert_eq!(result(&ended(Exit::Status(0)), "warning").status, 0);
        let failed = result(&ended(Exit::Status(1)), "x.c:1: error");
        assert_eq!((failed.status, failed.out_of_memory, failed.stderr), (1, 0, "x.c:1: error".into()));
    }

    #[test]
    fn d53_d54_memory_and_disk() {
        for text in ["cc1plus: out of memory allocating 65536 bytes", "No space left on device"] {
            let result = result(&ended(Exit::Status(1)), text);
            assert_eq!((result.status, result.out_of_memory), (105, 1), "{text}");
        }
        let by_group = Ended { out_of_memory: true, ..ended(Exit::Signal(9)) };
        assert_eq!(result(&by_group, "").out_of_memory, 1);
    }

    #[test]
    fn a_killed_compiler_is_built_locally() {
        let judged = |e: &Ended| judge(e, Collected::default(), Collected::default());
        let killed = "g++: fatal error: Killed signal terminated program cc1plus\ncompilation terminated.\n";
        for (exit, stderr, status) in
            [(Exit::Signal(9), "", 137), (Exit::Signal(11), "", 139), (Exit::Status(1), killed, 1)]
        {
            let result = result(&ended(exit), stderr);
            assert_eq!(
                (result.status, result.out_of_memory),
                (status, 1),
                "only a host that knows it speaks of memory"
            );
        }
        assert_eq!(judged(&Ended { timed_out: true, ..ended(Exit::Signal(9)) }), Err("its time was over"));
        assert_eq!(judged(&Ended { has_object: false, ..ended(Exit::Status(0)) }), Err("no object was written"));
        for (stdout, stderr) in [("a\0b", ""), ("", "a\0b")] {
            let judged = judge(&ended(Exit::Status(1)), said(stdout), said(stderr));
            assert_eq!(judged, Err("its output holds a NUL byte"));
        }
    }

    #[test]
    fn a_host_that_cannot_fork_has_no_result() {
        for text in [
            "gcc: fatal error: cannot execute 'cc1': vfork: Resource temporarily unavailable",
            "g++: fatal error: cannot execute 'as': posix_spawn: Resource temporarily unavailable",
            "clang: error: unable to execute command: Couldn't fork: Resource temporarily unavailable",
            "gcc: fatal error: pipe: Too many open files in system",
        ] {
            let judged = judge(&ended(Exit::Status(1)), said(""), said(text));
            assert_eq!(judged, Err("this host could not start its programs"), "{text}");
        }
        assert_eq!(result(&ended(Exit::Status(0)), "warning: Too many open files").status, 0);
    }

    #[test]
    fn what_is_lost_is_counted() {
        let mut text = Collected::default();
        text.add(&vec![b'a'; TEXT_MAX - 1]);
        text.add(b"bcd");
        text.add(b"ef");
        assert_eq!((text.bytes.len(), text.lost), (TEXT_MAX, 4));
        let cut = text.cut_to(TEXT_MAX - 10);
        let mark = b"\n[icecream: 14 more bytes of output cut]\n";
        assert!(cut.len() == TEXT_MAX - 10 + mark.len() && cut.ends_with(mark));
        assert_eq!(said("abc").cut_to(3), b"abc");
    }

    #[test]
    fn debug_information_apart_comes_with_an_object_alone() {
        for (status, expected) in [(0, 1), (1, 0)] {
            let judged = judge(&Ended { has_dwo: true, ..ended(Exit::Status(status)) }, said(""), said("")).unwrap();
            assert_eq!(judged.has_dwo, expected, "{status}");
        }
    }

    #[test]
    fn d52_long_texts_are_cut_with_a_mark_and_fit_into_a_message() {
        let long = "e".repeat(5 << 20);
        let result = judge(&ended(Exit::Status(1)), said(&long), said(&long)).unwrap();
        assert!(result.stdout.len() + result.stderr.len() <= FRAME_MAX - OVERHEAD / 2);
        assert!(result.stderr.lossy().ends_with("more bytes of output cut]\n"));
        assert!(result.stdout.len().abs_diff(result.stderr.len()) < 100, "neither takes the other's room");
        let result = judge(&ended(Exit::Status(1)), said("short"), said(&long)).unwrap();
        assert_eq!(result.stdout.to_string(), "short");
        assert!(result.stderr.len() > FRAME_MAX - 2 * OVERHEAD);
    }
}
