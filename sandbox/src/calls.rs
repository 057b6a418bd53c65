//! Which system calls a job may make: one table, a row for each group of calls, a column for each kind of program.
//!
//! The table was found by running the compilers (`testdata/calls.md` says which). A call in no row, so every call of
//! a kernel to come, answers as if it did not exist: the C library then does without it, as on an older kernel. It is
//! counted, and logged once by its name. What is dangerous is refused openly instead (decision: allowed-calls).

use crate::numbers::Machine;
use crate::path_calls::is_watched;

/// A column of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// gcc's driver, its compilers and linker wrappers.
    Gcc,
    /// clang.
    Clang,
    /// The assembler.
    Assembler,
    /// What a project loads into its compiler or puts around it.
    Plugin,
    /// The first run of a new environment's programs.
    Verification,
    /// Our own code that fills or empties the directory of an environment.
    Unpacker,
    /// Whatever the submitter's own compiler is, in his own tree.
    Files,
}

/// What a filter is for. A job starts several programs; its filter has the columns of all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A job of gcc.
    Gcc,
    /// A job of clang.
    Clang,
    /// Trying an environment.
    Verification,
    /// Filling or emptying the directory of an environment.
    Unpacking,
    /// A job of files mode. It is watched at each call that takes a path.
    Files,
    /// A compiler of this host that is asked for its parts, outside of any sandbox: it has no rows, and may make all
    /// calls but those for uncounted memory.
    Asking,
}

impl Purpose {
    /// All purposes of sandboxes.
    pub(crate) const ALL: [Self; 5] = [Self::Gcc, Self::Clang, Self::Verification, Self::Unpacking, Self::Files];

    /// The columns of its programs.
    const fn columns(self) -> &'static [Column] {
        match self {
            Self::Gcc => &[Column::Gcc, Column::Assembler, Column::Plugin],
            Self::Clang => &[Column::Clang, Column::Assembler, Column::Plugin],
            Self::Verification => &[Column::Verification],
            Self::Unpacking => &[Column::Unpacker],
            Self::Files => &[Column::Files],
            Self::Asking => &[],
        }
    }
}

/// What the filter does about a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// It is made.
    Allow,
    /// It is made if an argument is harmless.
    Check(&'static Check),
    /// It fails with this error.
    Fail(i32),
    /// Somebody who knows the submitter's files is told, and decides.
    Watch,
    /// As if this kernel had no such call, and counted.
    Unknown,
}

/// A call that is made only with some values of an argument. Others fail.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Check {
    /// Which argument, from 0. The kernel looks at no more than its lower half.
    pub(crate) argument: u8,
    /// The bits that count.
    pub(crate) mask: u32,
    /// Harmless values, as ranges with both ends.
    pub(crate) values: &'static [(u32, u32)],
    /// The error of others.
    pub(crate) errno: i32,
}

/// A row: the columns that may make the calls, how they are answered there, and the calls' names on any machine.
struct Group(Columns, Answer, &'static [&'static str]);

/// One flag for each [`Column`], in its order.
type Columns = [bool; 7];

/// What no limit of a process counts, as the kernel keeps it: sockets and what waits in them, and memory that is mapped
/// nowhere.
const UNCOUNTED: [&str; 12] = [
    "io_uring_setup",
    "ipc",
    "memfd_create",
    "memfd_secret",
    "mq_open",
    "msgget",
    "semget",
    "shmat",
    "shmget",
    "socket",
    "socketcall",
    "socketpair",
];

const Y: bool = true;
const N: bool = false;

/// Clone without new namespaces.
const CLONE: Check = Check {
    argument: 0,
    mask: (libc::CLONE_NEWNS
        | libc::CLONE_NEWCGROUP
        | libc::CLONE_NEWUTS
        | libc::CLONE_NEWIPC
        | libc::CLONE_NEWUSER
        | libc::CLONE_NEWPID
        | libc::CLONE_NEWNET) as u32,
    values: &[(0, 0)],
    errno: libc::EPERM,
};

/// Descriptors, flags and record locks, of open files too, and sizes of pipes. No leases, and no signals when a file
/// changes: the files of an environment are shared by its jobs.
const FCNTL: Check =
    Check { argument: 1, mask: u32::MAX, values: &[(0, 7), (12, 14), (36, 38), (1030, 1032)], errno: libc::EINVAL };

/// Is it a terminal, how wide is it, which process group has it; how much can be read; close on exec, non-blocking;
/// copies that share their blocks. Nothing that types into a terminal, and nothing of devices and file systems.
const IOCTL: Check = Check {
    argument: 1,
    mask: u32::MAX,
    values: &[
        (0x5401, 0x5401),
        (0x540f, 0x540f),
        (0x5413, 0x5413),
        (0x541b, 0x541b),
        (0x5421, 0x5421),
        (0x5450, 0x5451),
        (0x4004_9409, 0x4004_9409),
        (0x802c_542a, 0x802c_542a),
    ],
    errno: libc::ENOTTY,
};

/// Death signal of the parent, being dumped, keeping capabilities (there are none), timing, names, capabilities of
/// the bounding set (read), timer slack, adopting orphans, no new privileges, huge pages, names of memory.
const PRCTL: Check = Check {
    argument: 0,
    mask: u32::MAX,
    values: &[(1, 4), (7, 8), (13, 16), (21, 21), (23, 23), (29, 30), (36, 42), (0x5356_4d41, 0x5356_4d41)],
    errno: libc::EINVAL,
};

/// The caller itself: of `prlimit64` the process, of `setpriority` whose.
const OWN_LIMIT: Check = Check { argument: 0, mask: u32::MAX, values: &[(0, 0)], errno: libc::EPERM };
/// As [`OWN_LIMIT`].
const OWN_PRIORITY: Check = Check { argument: 1, mask: u32::MAX, values: &[(0, 0)], errno: libc::EPERM };

/// Asking; the usual one, and that of 32-bit programs, each with a kernel that calls itself 2.6 and with memory at
/// fixed places: wrappers for repeatable builds want that.
const PERSONALITY: Check = Check {
    argument: 0,
    mask: !(0x0002_0000 | 0x0004_0000),
    values: &[(0, 0), (8, 8), (!0x0006_0000, !0x0006_0000)],
    errno: libc::EPERM,
};

/// The table.
#[rustfmt::skip]
const GROUPS: &[Group] = &[
    //     gcc clang as plugin verification unpacker files
    // What is open: reading, writing, closing.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Allow, &[
        "read", "write", "readv", "writev", "pread64", "pwrite64", "preadv", "pwritev", "lseek", "_llseek", "close",
        "close_range", "dup", "dup2", "dup3", "fsync", "fdatasync", "ftruncate", "ftruncate64", "fallocate",
        "fadvise64", "fadvise64_64", "arm_fadvise64_64", "flock", "fchdir",
    ]),
    // bash asks whether its input is a connection, and takes each other error than "no socket" for a yes.
    Group([Y, Y, N, Y, Y, N, Y], Answer::Allow, &["getpeername"]),
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Check(&FCNTL), &["fcntl", "fcntl64"]),
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Check(&IOCTL), &["ioctl"]),
    // Looking at files.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Allow, &[
        "open", "openat", "stat", "fstat", "lstat", "stat64", "fstat64", "lstat64", "newfstatat", "fstatat64", "statx",
        "statfs", "fstatfs", "statfs64", "fstatfs64", "access", "faccessat", "faccessat2", "readlink", "readlinkat",
        "getdents", "getdents64", "getcwd", "chdir",
    ]),
    // Changing files: only `/tmp` can be written.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Allow, &[
        "creat", "mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link",
        "linkat", "symlink", "symlinkat", "chmod", "fchmod", "fchmodat", "fchmodat2", "umask", "truncate",
        "truncate64", "utime", "utimes", "futimesat", "utimensat", "utimensat_time64",
    ]),
    // `objcopy` and `cp` give a copy the owner and attributes of the original; `make` has a fifo for its jobs. Who has
    // no capability can make no device.
    Group([Y, Y, N, Y, Y, N, Y], Answer::Allow, &[
        "chown", "fchown", "lchown", "fchownat", "chown32", "fchown32", "lchown32", "getxattr", "lgetxattr",
        "fgetxattr", "listxattr", "llistxattr", "flistxattr", "copy_file_range", "sendfile", "sendfile64", "mknod",
        "mknodat",
    ]),
    // `cp` and `install` try to copy attributes: as on a file system without.
    Group([Y, Y, N, Y, Y, N, Y], Answer::Fail(libc::EOPNOTSUPP), &[
        "setxattr", "lsetxattr", "fsetxattr", "removexattr", "lremovexattr", "fremovexattr",
    ]),
    // Memory of its own.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Allow, &[
        "mmap", "mmap2", "munmap", "mprotect", "mremap", "madvise", "brk", "msync", "mincore",
    ]),
    // Start and end of a program, its threads, and how they wait for each other.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Allow, &[
        "exit", "exit_group", "arch_prctl", "set_thread_area", "get_thread_area", "set_tls", "get_tls", "cacheflush",
        "set_tid_address", "set_robust_list", "get_robust_list", "rseq", "futex", "futex_time64", "membarrier",
        "gettid", "sched_yield", "restart_syscall",
    ]),
    // Other programs: fork, start, wait, process groups. The unpacker starts none.
    Group([Y, Y, N, Y, Y, N, Y], Answer::Check(&CLONE), &["clone"]),
    Group([Y, Y, N, Y, Y, N, Y], Answer::Allow, &[
        "fork", "vfork", "execve", "wait4", "waitpid", "waitid", "setpgid", "getpgid", "getpgrp", "getsid", "setsid",
        "pipe", "pipe2",
    ]),
    // Waiting for descriptors. Runtimes of wrappers (Go, libuv) end at once without epoll.
    Group([Y, Y, N, Y, Y, N, Y], Answer::Allow, &[
        "poll", "ppoll", "ppoll_time64", "select", "_newselect", "pselect6", "pselect6_time64", "epoll_create",
        "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "epoll_pwait2", "eventfd", "eventfd2",
    ]),
    // Hands the list of its unknown calls over before the program starts. There is no socket for it afterwards.
    Group([Y, Y, N, Y, Y, N, Y], Answer::Allow, &["sendmsg"]),
    // Signals, to processes of the job.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Allow, &[
        "kill", "tkill", "tgkill", "signal", "sigaction", "rt_sigaction", "sigprocmask", "rt_sigprocmask",
        "sigpending", "rt_sigpending", "sigsuspend", "rt_sigsuspend", "rt_sigtimedwait", "rt_sigtimedwait_time64",
        "sigreturn", "rt_sigreturn", "sigaltstack", "pause", "alarm", "setitimer", "getitimer",
    ]),
    // Time, and what the machine is.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Allow, &[
        "time", "gettimeofday", "clock_gettime", "clock_gettime64", "clock_getres", "clock_getres_time64", "nanosleep",
        "clock_nanosleep", "clock_nanosleep_time64", "times", "getrusage", "uname", "sysinfo", "getrandom", "getcpu",
        "sched_getaffinity", "sched_getparam", "sched_getscheduler", "sched_get_priority_max",
        "sched_get_priority_min", "getpriority",
    ]),
    // Who it is. Without capabilities only what one is can be set: shells and `make` do.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Allow, &[
        "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getuid32", "geteuid32", "getgid32",
        "getegid32", "getresuid", "getresgid", "getresuid32", "getresgid32", "getgroups", "getgroups32", "capget",
    ]),
    Group([Y, Y, N, Y, Y, N, Y], Answer::Allow, &[
        "setuid", "setgid", "setreuid", "setregid", "setresuid", "setresgid", "setuid32", "setgid32", "setreuid32",
        "setregid32", "setresuid32", "setresgid32",
    ]),
    // Limits and niceness of its own: gcc raises its stack.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Allow, &["getrlimit", "ugetrlimit", "setrlimit", "nice"]),
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Check(&OWN_LIMIT), &["prlimit64"]),
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Check(&OWN_PRIORITY), &["setpriority"]),
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Check(&PRCTL), &["prctl"]),
    Group([Y, Y, N, Y, Y, N, Y], Answer::Check(&PERSONALITY), &["personality"]),
    // Those that the C library, Go's and `timeout` try first and do without: not worth a count. The flags of clone3 are
    // in memory, where no filter can look.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Fail(libc::ENOSYS), &["clone3", "pidfd_open", "timer_create"]),
    // Mounts and namespaces.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Fail(libc::EPERM), &[
        "mount", "umount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "fsopen", "fsconfig",
        "fsmount", "fspick", "mount_setattr", "unshare", "setns",
    ]),
    // Other processes.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Fail(libc::EPERM), &[
        "ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "pidfd_getfd",
    ]),
    // Large parts of the kernel that no compiler needs: programs in the kernel, counters, rings, keys, page faults.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Fail(libc::EPERM), &[
        "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "io_uring_enter", "io_uring_register", "add_key",
        "request_key", "keyctl", "fanotify_init", "modify_ldt", "vm86", "vm86old",
    ]),
    // Sockets. The C library asks for one where it looks for a name service.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Fail(libc::EPERM), &["socket", "socketcall"]),
    // Files by number, not by path.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Fail(libc::EPERM), &["open_by_handle_at", "name_to_handle_at"]),
    // The host.
    Group([Y, Y, Y, Y, Y, Y, Y], Answer::Fail(libc::EPERM), &[
        "kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff",
        "acct", "quotactl", "quotactl_fd", "syslog", "settimeofday", "stime", "clock_settime", "clock_settime64",
        "adjtimex", "clock_adjtime", "clock_adjtime64", "sethostname", "setdomainname", "iopl", "ioperm",
    ]),
];

/// The answers for a purpose on a machine, each from its number up to the next one's, beginning with 0.
pub(crate) fn answers(purpose: Purpose, machine: Machine) -> Vec<(u32, Answer)> {
    let mut known: Vec<(u32, Answer)> = Vec::new();
    let other = if purpose == Purpose::Asking { Answer::Allow } else { Answer::Unknown };
    if purpose == Purpose::Asking {
        let numbers = UNCOUNTED.iter().filter_map(|name| machine.number(name));
        known.extend(numbers.map(|number| (number, Answer::Fail(libc::EPERM))));
    }
    for Group(columns, answer, names) in GROUPS {
        let counts = purpose.columns().iter().any(|column| columns.get(*column as usize) == Some(&true));
        let watched = |name: &str| purpose == Purpose::Files && *answer == Answer::Allow && is_watched(name);
        let answered = |name: &&str| {
            let answer = if watched(name) { Answer::Watch } else { *answer };
            machine.number(name).map(|number| (number, answer))
        };
        known.extend(names.iter().filter(|_| counts).filter_map(answered));
    }
    known.sort_by_key(|(number, _)| *number);
    let mut runs = vec![(0, other)];
    for (number, answer) in known {
        runs.extend([(number, answer), (number + 1, other)]);
    }
    // Where two begin at the same number the later one counts; a run that goes on needs no second beginning.
    let mut short: Vec<(u32, Answer)> = Vec::new();
    for (start, answer) in runs {
        while short.last().is_some_and(|(last, _)| *last == start) {
            short.pop();
        }
        if short.last().is_none_or(|(_, last)| *last != answer) {
            short.push((start, answer));
        }
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    const MACHINES: [Machine; 4] = [Machine::X86_64, Machine::I386, Machine::Arm, Machine::Aarch64];

    const WATCH: Option<Answer> = Some(Answer::Watch);

    /// What the table answers to a call by its name.
    fn answer(purpose: Purpose, machine: Machine, number: u32) -> Option<Answer> {
        answers(purpose, machine).iter().rfind(|(start, _)| *start <= number).map(|(_, answer)| *answer)
    }

    #[test]
    fn every_name_stands_once_and_is_a_call_of_some_machine() {
        let mut names: Vec<&str> = GROUPS.iter().flat_map(|Group(_, _, names)| *names).copied().collect();
        let unknown = names.iter().find(|name| MACHINES.iter().all(|machine| machine.number(name).is_none()));
        assert_eq!(unknown, None);
        names.sort_unstable();
        assert!(names.is_sorted_by(|a, b| a < b), "{:?}", names.windows(2).find(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn each_column_gets_what_it_names_and_nothing_else() {
        for machine in MACHINES {
            for purpose in Purpose::ALL {
                let mut rest: Vec<u32> = (0..1000).chain(0xf0000..0xf0010).collect();
                for Group(columns, expected, names) in GROUPS {
                    if !purpose.columns().iter().any(|column| columns[*column as usize]) {
                        continue;
                    }
                    for number in names.iter().filter_map(|name| machine.number(name)) {
                        let given = answer(purpose, machine, number);
                        let is_right = given == Some(*expected) || purpose == Purpose::Files && given == WATCH;
                        assert!(is_right, "{purpose:?} {machine:?} {number}: {given:?}");
                        rest.retain(|other| *other != number);
                    }
                }
                for number in rest {
                    let given = answer(purpose, machine, number);
                    assert_eq!(given, Some(Answer::Unknown), "{purpose:?} {machine:?} {number}");
                }
            }
        }
    }

    #[test]
    fn a_call_of_a_kernel_to_come_is_unknown_and_a_dangerous_one_refused() {
        for machine in MACHINES {
            for purpose in Purpose::ALL {
                for later in [467, 470, 471, 999, u32::MAX] {
                    assert_eq!(answer(purpose, machine, later), Some(Answer::Unknown));
                }
                for name in ["mount", "ptrace", "bpf", "setns", "io_uring_setup", "keyctl", "open_by_handle_at"] {
                    let refused = machine.number(name).and_then(|number| answer(purpose, machine, number));
                    assert_eq!(refused, Some(Answer::Fail(libc::EPERM)), "{name}");
                }
            }
            for name in ["execve", "clone", "sendmsg", "mknodat", "pipe2", "setuid"] {
                let of = |purpose| machine.number(name).and_then(|number| answer(purpose, machine, number));
                assert_eq!(of(Purpose::Unpacking), Some(Answer::Unknown), "{name}");
                assert_ne!(of(Purpose::Verification), Some(Answer::Unknown), "{name}");
            }
        }
    }

    /// Calls of a job that take no path. Whoever adds a call to the table decides here or in `path_calls.rs`.
    const WITHOUT_PATH: &str = "read write readv writev pread64 pwrite64 preadv pwritev lseek _llseek close close_range \
        dup dup2 dup3 fsync fdatasync ftruncate ftruncate64 fallocate fadvise64 fadvise64_64 arm_fadvise64_64 flock \
        getpeername fstat fstat64 fstatfs fstatfs64 getdents getdents64 getcwd fchmod umask fchown fchown32 fgetxattr \
        flistxattr copy_file_range sendfile sendfile64 mmap mmap2 munmap mprotect mremap madvise brk msync mincore exit \
        exit_group arch_prctl set_thread_area get_thread_area set_tls get_tls cacheflush set_tid_address \
        set_robust_list get_robust_list rseq futex futex_time64 membarrier gettid sched_yield restart_syscall fork \
        vfork wait4 waitpid waitid setpgid getpgid getpgrp getsid setsid pipe pipe2 poll ppoll ppoll_time64 select \
        _newselect pselect6 pselect6_time64 epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 \
        eventfd eventfd2 sendmsg kill tkill tgkill signal sigaction rt_sigaction sigprocmask rt_sigprocmask sigpending \
        rt_sigpending sigsuspend rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 sigreturn rt_sigreturn \
        sigaltstack pause alarm setitimer getitimer time gettimeofday clock_gettime clock_gettime64 clock_getres \
        clock_getres_time64 nanosleep clock_nanosleep clock_nanosleep_time64 times getrusage uname sysinfo getrandom \
        getcpu sched_getaffinity sched_getparam sched_getscheduler sched_get_priority_max sched_get_priority_min \
        getpriority getpid getppid getuid geteuid getgid getegid getuid32 geteuid32 getgid32 getegid32 getresuid \
        getresgid getresuid32 getresgid32 getgroups getgroups32 capget setuid setgid setreuid setregid setresuid \
        setresgid setuid32 setgid32 setreuid32 setregid32 setresuid32 setresgid32 getrlimit ugetrlimit setrlimit nice";

    #[test]
    fn a_job_of_files_mode_is_watched_at_each_call_that_takes_a_path() {
        let without: Vec<&str> = WITHOUT_PATH.split_whitespace().collect();
        for Group(_, expected, names) in GROUPS.iter().filter(|Group(_, answer, _)| *answer == Answer::Allow) {
            for name in *names {
                assert_ne!(without.contains(name), is_watched(name), "{name}: {expected:?}");
            }
        }
        for machine in MACHINES {
            for name in ["openat", "statx", "execve", "unlinkat", "readlinkat", "fchdir"] {
                let given = machine.number(name).and_then(|number| answer(Purpose::Files, machine, number));
                assert_eq!(given, WATCH, "{machine:?} {name}");
            }
            for name in ["openat2", "inotify_add_watch", "fanotify_mark", "getxattrat", "file_getattr", "execveat"] {
                let given = machine.number(name).and_then(|number| answer(Purpose::Files, machine, number));
                assert_eq!(given, Some(Answer::Unknown), "{machine:?} {name}");
            }
        }
    }
}
