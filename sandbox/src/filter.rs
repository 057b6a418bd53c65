//! The system call filter: the table of calls as a program for the kernel.

use crate::calls::{Answer, Check, Purpose, answers};
use crate::numbers::Machine;
use std::fmt;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::rc::Rc;

// Offsets in `struct seccomp_data`. The low half of an argument comes first on all machines that are supported.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const ARGUMENTS: u32 = 16;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const ABOVE: u16 = (libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// A filter, ready to be installed by a process without new privileges.
#[derive(Clone)]
pub struct Filter {
    program: Rc<[libc::sock_filter]>,
    purpose: Purpose,
    /// Whether 32-bit programs may run too, with their own numbers of the same calls. A call of any other machine
    /// kills.
    foreign: bool,
    /// Whether somebody is told of unknown calls and answers them.
    listens: bool,
}

impl Filter {
    /// Makes a filter. `None`: this machine is not supported.
    fn new(purpose: Purpose, foreign: bool, listens: bool) -> Option<Self> {
        let own = Machine::own()?;
        let program = program(purpose, own, own.narrow().filter(|_| foreign), listens).into();
        Some(Self { program, purpose, foreign, listens })
    }

    /// Whether installing it gives something to listen to.
    pub(crate) fn listens(&self) -> bool {
        self.listens
    }

    /// Installs it for this process and all that it starts. Returns where unknown calls can be heard of, if this
    /// filter tells.
    pub(crate) fn install(&self) -> io::Result<Option<OwnedFd>> {
        // The kernel only reads the program, though its type does not say so.
        let filter = self.program.as_ptr().cast_mut();
        let header = libc::sock_fprog { len: u16::try_from(self.program.len()).unwrap_or(u16::MAX), filter };
        let mode = libc::c_ulong::from(libc::SECCOMP_SET_MODE_FILTER);
        let flags: libc::c_ulong = if self.listens { libc::SECCOMP_FILTER_FLAG_NEW_LISTENER } else { 0 };
        // SAFETY: the header points to the program, which lives until the call has copied it.
        let install =
            |flags: libc::c_ulong| unsafe { libc::syscall(libc::SYS_seccomp, mode, flags, &raw const header) };
        // Since Linux 5.19: a signal does not make a call that was heard come a second time.
        let once = if self.purpose == Purpose::Files { libc::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV } else { 0 };
        let mut result = install(flags | once);
        if result < 0 && once != 0 {
            result = install(flags);
        }
        match i32::try_from(result) {
            // SAFETY: with that flag the result is a new descriptor, which nobody else owns.
            Ok(fd) if fd >= 0 && self.listens => Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) })),
            Ok(0) => Ok(None),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// Refuses the calling process, and all that it starts, sockets and memory that no limit of a process counts.
pub(crate) fn refuse_uncounted() -> io::Result<()> {
    let filter = Filter::new(Purpose::Asking, true, false).ok_or(io::Error::from(io::ErrorKind::Unsupported))?;
    filter.install().map(drop)
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let foreign = if self.foreign { ", of 32-bit programs too" } else { "" };
        let listens = if self.listens { ", and count unknown ones" } else { "" };
        write!(f, "filter system calls for {:?}{foreign}{listens}", self.purpose)
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The filters of all purposes, made once: to look all names up takes longer than to make a sandbox.
#[derive(Debug)]
pub(crate) struct Filters(Vec<Filter>);

impl Filters {
    /// Makes them as this host permits: `works` installs one in a process apart. `Err` is the reason why none can be.
    ///
    /// Unknown calls are heard of since Linux 5.0, and only if nobody listens above us already, as a container may.
    pub(crate) fn prepare(works: impl Fn(&Filter) -> Result<(), String>) -> Result<Self, String> {
        let unsupported = || "not supported on this machine".to_owned();
        let one = |listens| Filter::new(Purpose::Gcc, false, listens).ok_or_else(unsupported);
        let listens = works(&one(true)?).is_ok();
        if !listens {
            works(&one(false)?)?;
        }
        let both = |purpose| [false, true].map(|foreign| (purpose, foreign));
        let of = |(purpose, foreign)| Filter::new(purpose, foreign, listens && purpose != Purpose::Unpacking);
        let is_possible = |(purpose, _): &(Purpose, bool)| listens || *purpose != Purpose::Files;
        Ok(Self(Purpose::ALL.into_iter().flat_map(both).filter(is_possible).filter_map(of).collect()))
    }

    /// The filter for a purpose, and for 32-bit programs too if `foreign`.
    pub(crate) fn filter(&self, purpose: Purpose, foreign: bool) -> Option<Filter> {
        self.0.iter().find(|filter| filter.purpose == purpose && filter.foreign == foreign).cloned()
    }
}

/// The filter's instructions, for this machine and perhaps a 32-bit one.
fn program(purpose: Purpose, own: Machine, narrow: Option<Machine>, listens: bool) -> Vec<libc::sock_filter> {
    let mut writer = Writer { listens, ..Writer::default() };
    let kill = writer.end(libc::SECCOMP_RET_KILL_PROCESS);
    // 32-bit programs number their calls differently. Environments of that platform may make such calls, by the same
    // table, as any client can declare its environment to be one. In other environments such a call is an attack.
    let others = narrow.map_or(kill, |narrow| {
        let found = writer.search(&answers(purpose, narrow));
        let known = writer.then(LOAD, NUMBER, found);
        writer.branch(EQUAL, narrow.audit(), known, kill)
    });
    let mut found = writer.search(&answers(purpose, own));
    if own == Machine::X86_64 {
        // x32 calls have the same machine number and begin at 0x40000000.
        found = writer.branch(AT_LEAST, 0x4000_0000, kill, found);
    }
    let own_calls = writer.then(LOAD, NUMBER, found);
    let start = writer.branch(EQUAL, own.audit(), own_calls, others);
    writer.then(LOAD, MACHINE, start);
    writer.lines.reverse();
    writer.lines
}

/// Writes a program from its end to its start, as instructions can only be skipped forwards: whatever is skipped to is
/// there already. A place is the number of instructions from there to the end.
///
/// At each start of a job the kernel translates the program and then tries it on every call that exists. So equal
/// answers are written once, and a call is found by halves.
#[derive(Default)]
struct Writer {
    /// The last instruction first.
    lines: Vec<libc::sock_filter>,
    /// Where the program ends with a value.
    ends: Vec<(u32, usize)>,
    listens: bool,
}

impl Writer {
    /// Writes an instruction. Returns its place.
    fn write(&mut self, code: u16, [jt, jf]: [u8; 2], k: u32) -> usize {
        self.lines.push(libc::sock_filter { code, jt, jf, k });
        self.lines.len()
    }

    /// An instruction that is followed by what is at a place.
    fn then(&mut self, code: u16, k: u32, next: usize) -> usize {
        if next != self.lines.len() {
            self.jump(next);
        }
        self.write(code, [0, 0], k)
    }

    fn jump(&mut self, to: usize) -> usize {
        let skipped = self.lines.len() - to;
        self.write(JUMP, [0, 0], u32::try_from(skipped).unwrap_or(u32::MAX))
    }

    /// A comparison that is followed by what is at one of two places.
    fn branch(&mut self, code: u16, k: u32, yes: usize, no: usize) -> usize {
        // A comparison skips at most 255. The second jump may be written between.
        let [yes, no] = [yes, no].map(|to| if self.lines.len() - to < 255 { to } else { self.jump(to) });
        let skipped = [yes, no].map(|to| u8::try_from(self.lines.len() - to).unwrap_or(u8::MAX));
        self.write(code, skipped, k)
    }

    /// Ends the program with a value.
    fn end(&mut self, value: u32) -> usize {
        if let Some((_, place)) = self.ends.iter().find(|(end, _)| *end == value) {
            return *place;
        }
        let place = self.write(RETURN, [0, 0], value);
        self.ends.push((value, place));
        place
    }

    /// Finds a call's answer.
    fn search(&mut self, answers: &[(u32, Answer)]) -> usize {
        let (low, high) = answers.split_at(answers.len() / 2);
        match (low, high) {
            ([], []) => self.answer(Answer::Unknown),
            ([], [(_, only), ..]) => self.answer(*only),
            (low, [(middle, _), ..]) => {
                let (yes, no) = (self.search(high), self.search(low));
                self.branch(AT_LEAST, *middle, yes, no)
            }
            (low, []) => self.search(low),
        }
    }

    fn answer(&mut self, answer: Answer) -> usize {
        match answer {
            Answer::Allow => self.end(libc::SECCOMP_RET_ALLOW),
            Answer::Check(check) => self.check(check),
            Answer::Fail(errno) => self.end(fail(errno)),
            Answer::Watch | Answer::Unknown if self.listens => self.end(libc::SECCOMP_RET_USER_NOTIF),
            // Where nobody hears of a call there is no job that must be watched at it.
            Answer::Watch | Answer::Unknown => self.end(fail(libc::ENOSYS)),
        }
    }

    /// Allows the call if its argument is in one of the ranges, else fails it.
    fn check(&mut self, check: &Check) -> usize {
        let (allow, mut next) = (self.end(libc::SECCOMP_RET_ALLOW), self.end(fail(check.errno)));
        for (from, to) in check.values {
            next = if from == to {
                self.branch(EQUAL, *from, allow, next)
            } else {
                let is_within = self.branch(ABOVE, *to, next, allow);
                self.branch(AT_LEAST, *from, is_within, next)
            };
        }
        if check.mask != u32::MAX {
            next = self.then(AND, check.mask, next);
        }
        self.then(LOAD, ARGUMENTS + 8 * u32::from(check.argument), next)
    }
}

/// The value that fails the call.
const fn fail(errno: i32) -> u32 {
    libc::SECCOMP_RET_ERRNO | errno.unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const EPERM: u32 = libc::SECCOMP_RET_ERRNO | libc::EPERM as u32;
    const ENOSYS: u32 = libc::SECCOMP_RET_ERRNO | libc::ENOSYS as u32;
    const PASS: u32 = libc::SECCOMP_RET_ALLOW;
    const PAIRS: [(Machine, Machine); 2] = [(Machine::X86_64, Machine::I386), (Machine::Aarch64, Machine::Arm)];

    /// Runs the filter as the kernel would.
    fn run(program: &[libc::sock_filter], machine: Machine, call: u32, arguments: [u32; 2]) -> u32 {
        let (mut at, mut a) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let mut branch = |yes: bool| at += usize::from(if yes { jt } else { jf });
            match code {
                RETURN => return k,
                AND => a &= k,
                JUMP => at += k as usize,
                EQUAL => branch(a == k),
                AT_LEAST => branch(a >= k),
                ABOVE => branch(a > k),
                LOAD => {
                    a = match k {
                        NUMBER => call,
                        MACHINE => machine.audit(),
                        ARGUMENTS => arguments[0],
                        _ => arguments[1],
                    }
                }
                _ => panic!("unknown line {code}"),
            }
        }
    }

    /// What a filter says of a call by its name.
    fn says(purpose: Purpose, machine: Machine, name: &str, arguments: [u32; 2]) -> u32 {
        let number = machine.number(name).unwrap_or_else(|| panic!("{name} on {machine:?}"));
        run(&program(purpose, machine, None, false), machine, number, arguments)
    }

    #[test]
    fn the_program_gives_the_tables_answer_for_every_number() {
        for (wide, narrow) in PAIRS {
            for purpose in Purpose::ALL {
                let program = program(purpose, wide, Some(narrow), false);
                assert!(program.len() < 700, "{}", program.len());
                for machine in [wide, narrow] {
                    let answers = answers(purpose, machine);
                    for number in (0..1000).chain(0xf0000..0xf0010) {
                        let last = answers.iter().rfind(|(start, _)| *start <= number);
                        let expected = match last.map(|(_, answer)| *answer) {
                            Some(Answer::Allow) => PASS,
                            Some(Answer::Fail(errno)) => fail(errno),
                            Some(Answer::Check(check)) if check.values[0].0 == 0 => PASS,
                            Some(Answer::Check(check)) => fail(check.errno),
                            Some(Answer::Watch | Answer::Unknown) | None => ENOSYS,
                        };
                        assert_eq!(run(&program, machine, number, [0, 0]), expected, "{machine:?} {number}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_far_is_reached_too() {
        let all: Vec<(u32, Answer)> = (0..2000).map(|n| (n, Answer::Fail((n % 4000) as i32))).collect();
        let mut writer = Writer::default();
        let found = writer.search(&all);
        writer.then(LOAD, NUMBER, found);
        writer.lines.reverse();
        for number in 0..2000 {
            assert_eq!(run(&writer.lines, Machine::X86_64, number, [0, 0]), fail(number as i32));
        }
    }

    #[test]
    fn calls_of_other_machines_kill() {
        let kill = libc::SECCOMP_RET_KILL_PROCESS;
        for (wide, narrow) in PAIRS {
            let (one, both) =
                (program(Purpose::Gcc, wide, None, false), program(Purpose::Gcc, wide, Some(narrow), false));
            let other = if wide == Machine::X86_64 { Machine::Arm } else { Machine::I386 };
            assert_eq!(run(&one, narrow, 3, [0, 0]), kill);
            assert_eq!(run(&both, narrow, 3, [0, 0]), PASS, "read has this number on both");
            assert_eq!(run(&both, other, 3, [0, 0]), kill);
        }
        let x32 = program(Purpose::Gcc, Machine::X86_64, None, false);
        assert_eq!(run(&x32, Machine::X86_64, 0x4000_0027, [0, 0]), kill);
    }

    #[test]
    fn unknown_calls_are_told_to_who_listens() {
        let program = program(Purpose::Gcc, Machine::X86_64, Some(Machine::I386), true);
        for (machine, number) in [(Machine::X86_64, 467), (Machine::I386, 467), (Machine::X86_64, 100_000)] {
            assert_eq!(run(&program, machine, number, [0, 0]), libc::SECCOMP_RET_USER_NOTIF);
        }
        // A call that the C library tries by itself is answered at once.
        assert_eq!(run(&program, Machine::X86_64, 435, [0, 0]), ENOSYS);
    }

    #[test]
    fn a_compiler_that_is_asked_has_all_calls_but_those_for_uncounted_memory() {
        for machine in [Machine::X86_64, Machine::I386, Machine::Arm, Machine::Aarch64] {
            for name in ["memfd_create", "shmget", "mq_open", "socket", "socketpair"] {
                assert_eq!(says(Purpose::Asking, machine, name, [0, 0]), EPERM, "{machine:?} {name}");
            }
            for name in ["read", "mount", "unshare", "chroot", "clone"] {
                assert_eq!(says(Purpose::Asking, machine, name, [0, 0]), PASS, "{machine:?} {name}");
            }
        }
    }

    #[test]
    fn arguments_are_looked_at() {
        let refused = [
            ("clone", [libc::CLONE_NEWUSER as u32 | 0x11, 0], EPERM),
            ("clone", [libc::CLONE_NEWNS as u32, 0], EPERM),
            ("ioctl", [0, 0x5412], fail(libc::ENOTTY)),
            ("ioctl", [0, 0x541c], fail(libc::ENOTTY)),
            ("fcntl", [3, 1024], fail(libc::EINVAL)),
            ("fcntl", [3, 1026], fail(libc::EINVAL)),
            ("prctl", [22, 0], fail(libc::EINVAL)),
            ("prctl", [35, 0], fail(libc::EINVAL)),
            ("prlimit64", [1, 0], EPERM),
            ("setpriority", [0, 1], EPERM),
            ("personality", [0x0040_0000, 0], EPERM),
            ("personality", [0x0010_0000, 0], EPERM),
        ];
        let allowed = [
            ("clone", [0x0120_0011, 0]),
            ("clone", [0x003d_0f00, 0]),
            ("ioctl", [1, 0x5401]),
            ("ioctl", [1, 0x5413]),
            ("fcntl", [3, 2]),
            ("fcntl", [3, 1030]),
            ("fcntl", [3, 37]),
            ("prctl", [15, 0]),
            ("prctl", [0x5356_4d41, 0]),
            ("prlimit64", [0, 3]),
            ("setpriority", [0, 0]),
            ("personality", [u32::MAX, 0]),
            ("personality", [0x0004_0000, 0]),
            ("personality", [8, 0]),
        ];
        for machine in [Machine::X86_64, Machine::I386, Machine::Arm, Machine::Aarch64] {
            for (name, arguments, expected) in refused {
                assert_eq!(
                    says(Purpose::Clang, machine, name, arguments),
                    expected,
                    "{machine:?} {name} {arguments:?}"
                );
            }
            for (name, arguments) in allowed {
                assert_eq!(says(Purpose::Clang, machine, name, arguments), PASS, "{machine:?} {name} {arguments:?}");
            }
        }
    }
}
