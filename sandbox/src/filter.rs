//! The system call filter. It refuses calls that no compiler needs, so that unknown compilers keep working.

mod uncounted;

use std::io;

/// The error of a refused call.
const EPERM: u32 = libc::EPERM as u32;
/// The error of a call that appears not to exist.
const ENOSYS: u32 = libc::ENOSYS as u32;

/// Calls that fail with EPERM.
const REFUSED: &[libc::c_long] = &[
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_open_tree,
    libc::SYS_move_mount,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_kcmp,
    libc::SYS_pidfd_getfd,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_open_by_handle_at,
    libc::SYS_name_to_handle_at,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_adjtimex,
    libc::SYS_clock_adjtime,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_fanotify_init,
    libc::SYS_socket,
];

/// System call numbers of a 32-bit machine whose programs this machine's kernel runs too.
struct Machine32 {
    /// The machine's audit number (`AUDIT_ARCH_…`).
    machine: u32,
    /// [`REFUSED`] in its numbers, sorted.
    refused: &'static [u32],
    /// The number of clone.
    clone: u32,
    /// The number of clone3.
    clone3: u32,
}

/// i386 on x86_64: mount, stime, ptrace, acct, umount2, chroot, sethostname, settimeofday, swapon, reboot, socketcall,
/// syslog, vm86old, swapoff, setdomainname, adjtimex, init_module, delete_module, quotactl, vm86, pivot_root,
/// clock_settime, kexec_load, add_key, request_key, keyctl, unshare, perf_event_open, fanotify_init, name_to_handle_at,
/// open_by_handle_at, clock_adjtime, setns, process_vm_readv, process_vm_writev, kcmp, finit_module, bpf, socket,
/// userfaultfd, clock_settime64, clock_adjtime64, io_uring_setup, io_uring_enter, io_uring_register, open_tree,
/// move_mount, fsopen, fsconfig, fsmount, fspick, pidfd_getfd, mount_setattr.
const I386: Machine32 = Machine32 {
    machine: 0x4000_0003,
    refused: &[
        21, 22, 25, 26, 51, 52, 61, 74, 79, 87, 88, 102, 103, 113, 115, 121, 124, 128, 129, 131, 166, 217, 264, 283,
        286, 287, 288, 310, 336, 338, 341, 342, 343, 346, 347, 348, 349, 350, 357, 359, 374, 404, 405, 425, 426, 427,
        428, 429, 430, 431, 432, 433, 438, 442,
    ],
    clone: 120,
    clone3: 435,
};

/// ARM on aarch64, in the numbers of the ARM EABI: mount, ptrace, acct, umount2, chroot, sethostname, settimeofday,
/// swapon, reboot, syslog, swapoff, setdomainname, adjtimex, init_module, delete_module, quotactl, pivot_root,
/// clock_settime, socket, add_key, request_key, keyctl, unshare, kexec_load, perf_event_open, fanotify_init,
/// name_to_handle_at, open_by_handle_at, clock_adjtime, setns, process_vm_readv, process_vm_writev, kcmp, finit_module,
/// bpf, userfaultfd, then as for i386 from clock_settime64 on.
const ARM: Machine32 = Machine32 {
    machine: 0x4000_0028,
    refused: &[
        21, 26, 51, 52, 61, 74, 79, 87, 88, 103, 115, 121, 124, 128, 129, 131, 218, 262, 281, 309, 310, 311, 337, 347,
        364, 367, 370, 371, 372, 375, 376, 377, 378, 379, 386, 388, 404, 405, 425, 426, 427, 428, 429, 430, 431, 432,
        433, 438, 442,
    ],
    clone: 120,
    clone3: 435,
};

/// Calls that fail with ENOSYS, so that the C library falls back to older calls whose arguments the filter can check.
const ABSENT: &[libc::c_long] = &[libc::SYS_clone3];

/// Flags of clone that create namespaces.
const NEW_NAMESPACES: u32 = (libc::CLONE_NEWNS
    | libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWUTS
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWNET) as u32;

// Offsets in `struct seccomp_data`. The low half of an argument comes first on all machines named below.
const NUMBER: u32 = 0;
const MACHINE: u32 = 4;
const ARGUMENT_0: u32 = 16;
const ARGUMENT_1: u32 = 24;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const AND: u16 = (libc::BPF_ALU | libc::BPF_AND | libc::BPF_K) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const AT_LEAST: u16 = (libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K) as u16;
const JUMP: u16 = (libc::BPF_JMP | libc::BPF_JA) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;

/// This machine's audit number; `None` where the filter is not supported.
const fn machine() -> Option<u32> {
    if cfg!(target_arch = "x86_64") {
        Some(0xc000_003e)
    } else if cfg!(target_arch = "aarch64") {
        Some(0xc000_00b7)
    } else if cfg!(all(target_arch = "arm", target_endian = "little")) {
        Some(0x4000_0028)
    } else if cfg!(target_arch = "x86") {
        Some(0x4000_0003)
    } else {
        None
    }
}

/// The 32-bit machine whose programs run here too, if any.
const fn machine32() -> Option<&'static Machine32> {
    if cfg!(target_arch = "x86_64") {
        Some(&I386)
    } else if cfg!(target_arch = "aarch64") {
        Some(&ARM)
    } else {
        None
    }
}

/// Installs the filter for this process and all that it starts. Requires `no_new_privs`. If `foreign`, calls of 32-bit
/// programs are filtered too; otherwise such a call kills. Fails where filters are not supported.
pub(crate) fn install(foreign: bool) -> io::Result<()> {
    let machine = machine().ok_or(io::Error::from(io::ErrorKind::Unsupported))?;
    add(program(machine, machine32().filter(|_| foreign)))
}

/// Installs a filter, beside others, that refuses memory that no limit of a process counts, and sockets. Requires
/// `no_new_privs`.
pub(crate) fn refuse_uncounted() -> io::Result<()> {
    machine().ok_or(io::Error::from(io::ErrorKind::Unsupported))?;
    add(uncounted::program())
}

/// Adds a program to the filters of this process.
fn add(mut program: Vec<libc::sock_filter>) -> io::Result<()> {
    let header =
        libc::sock_fprog { len: u16::try_from(program.len()).unwrap_or(u16::MAX), filter: program.as_mut_ptr() };
    let (mode, none): (libc::c_ulong, libc::c_ulong) = (libc::SECCOMP_MODE_FILTER.into(), 0);
    // SAFETY: the header points to `program`, which lives until the call has copied it.
    let result = unsafe { libc::prctl(libc::PR_SET_SECCOMP, mode, &raw const header, none, none) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// The filter's instructions, for this machine and perhaps a 32-bit one.
fn program(machine: u32, foreign: Option<&Machine32>) -> Vec<libc::sock_filter> {
    let allow = line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW);
    let kill = line(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS);
    // 32-bit programs number their calls differently. Environments of that platform may make such calls, filtered by a
    // list of their own, as any client can declare its environment to be one. In other environments such a call is an
    // attack.
    let mut others = Vec::new();
    if let Some(machine32) = foreign {
        others.extend([line(EQUAL, 1, 0, machine32.machine), kill, line(LOAD, 0, 0, NUMBER)]);
        others.extend(refusals(machine32.refused.to_vec(), vec![machine32.clone3]));
        others.extend([line(EQUAL, 1, 0, machine32.clone), allow]);
        others.extend([
            line(LOAD, 0, 0, ARGUMENT_0),
            line(AND, 0, 0, NEW_NAMESPACES),
            line(EQUAL, 1, 0, 0),
            fail(EPERM),
            allow,
        ]);
    } else {
        others.push(kill);
    }
    let mut p = vec![line(LOAD, 0, 0, MACHINE), line(EQUAL, u8::try_from(others.len()).unwrap_or(u8::MAX), 0, machine)];
    p.extend(others);
    p.push(line(LOAD, 0, 0, NUMBER));
    if cfg!(target_arch = "x86_64") {
        // x32 calls have the same machine number and begin at 0x40000000.
        p.push(line(AT_LEAST, 0, 1, 0x4000_0000));
        p.push(line(RETURN, 0, 0, libc::SECCOMP_RET_KILL_PROCESS));
    }
    let [refused, absent] = [REFUSED, ABSENT].map(|calls| calls.iter().map(|&call| number(call)).collect());
    p.extend(refusals(refused, absent));
    // clone is allowed without new namespaces only.
    p.extend([
        line(EQUAL, 0, 4, number(libc::SYS_clone)),
        line(LOAD, 0, 0, ARGUMENT_0),
        line(AND, 0, 0, NEW_NAMESPACES),
        line(EQUAL, 1, 0, 0),
    ]);
    p.push(fail(EPERM));
    // ioctl is refused for the two requests that type into a terminal. The call number is loaded again, as clone's
    // check has replaced it.
    p.extend([line(LOAD, 0, 0, NUMBER), line(EQUAL, 0, 4, number(libc::SYS_ioctl)), line(LOAD, 0, 0, ARGUMENT_1)]);
    p.extend([line(EQUAL, 1, 0, TIOCSTI), line(EQUAL, 0, 1, TIOCLINUX)]);
    p.push(fail(EPERM));
    p.push(allow);
    p
}

/// The instructions that fail these calls with their errors and pass all others.
fn refusals(refused: Vec<u32>, absent: Vec<u32>) -> Vec<libc::sock_filter> {
    let of = |calls: Vec<u32>, errno| calls.into_iter().map(move |call| (call, errno));
    let mut calls: Vec<(u32, u32)> = of(refused, EPERM).chain(of(absent, ENOSYS)).collect();
    calls.sort_unstable();
    search(&calls)
}

/// Searches sorted calls by halves. At each start of a job the kernel tries the filter on every call that exists, so
/// that comparing each with the whole list takes longer than all other steps about the filter.
fn search(calls: &[(u32, u32)]) -> Vec<libc::sock_filter> {
    let (low, high) = calls.split_at(calls.len() / 2);
    let Some(&(middle, _)) = high.first().filter(|_| calls.len() > COMPARED) else {
        return calls.iter().flat_map(|&(call, errno)| [line(EQUAL, 0, 1, call), fail(errno)]).collect();
    };
    let (mut low, high) = (search(low), search(high));
    low.push(line(JUMP, 0, 0, u32::try_from(high.len()).unwrap_or(u32::MAX)));
    let to_high = line(AT_LEAST, u8::try_from(low.len()).unwrap_or(u8::MAX), 0, middle);
    [vec![to_high], low, high].concat()
}

/// Calls that are compared one by one: to halve so few would only make the filter longer.
const COMPARED: usize = 7;

/// One instruction. The first two numbers are how many instructions a comparison skips if it is true or false.
const fn line(code: u16, jt: u8, jf: u8, k: u32) -> libc::sock_filter {
    libc::sock_filter { code, jt, jf, k }
}

/// Fails the call.
const fn fail(errno: u32) -> libc::sock_filter {
    line(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno)
}

/// A call's number as the filter sees it.
fn number(call: libc::c_long) -> u32 {
    u32::try_from(call).unwrap_or(u32::MAX)
}

const TIOCSTI: u32 = libc::TIOCSTI as u32;
const TIOCLINUX: u32 = 0x541c;

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs the filter as the kernel would, without a 32-bit machine.
    fn verdict(machine_seen: u32, call: u32, arguments: [u32; 2]) -> u32 {
        run(&program(machine().unwrap_or(1), None), machine_seen, call, arguments)
    }

    pub(super) fn run(program: &[libc::sock_filter], machine_seen: u32, call: u32, arguments: [u32; 2]) -> u32 {
        let (mut at, mut a) = (0, 0);
        loop {
            let libc::sock_filter { code, jt, jf, k } = program[at];
            at += 1;
            let mut jump = |yes: bool| at += usize::from(if yes { jt } else { jf });
            match code {
                RETURN => return k,
                AND => a &= k,
                JUMP => at += k as usize,
                EQUAL => jump(a == k),
                AT_LEAST => jump(a >= k),
                LOAD => {
                    a = match k {
                        NUMBER => call,
                        MACHINE => machine_seen,
                        ARGUMENT_0 => arguments[0],
                        _ => arguments[1],
                    }
                }
                _ => panic!("unknown line {code}"),
            }
        }
    }

    #[test]
    fn an_environment_of_a_narrow_platform_is_filtered_too() {
        let here = machine().unwrap_or(1);
        let other_clock = |machine32: &Machine32| if machine32.machine == I386.machine { 264 } else { 262 };
        for machine32 in [I386, ARM] {
            // As on a machine that is neither of them.
            let program = program(1, Some(&machine32));
            assert!(program.len() < 4096);
            assert!(machine32.refused.is_sorted() && machine32.refused.contains(&other_clock(&machine32)));
            let seen = |call, argument| run(&program, machine32.machine, call, [argument, 0]);
            for call in 0..1000 {
                let refused = seen(call, 0) == libc::SECCOMP_RET_ERRNO | EPERM;
                assert_eq!(refused, machine32.refused.contains(&call), "{call}");
            }
            assert_eq!(seen(machine32.clone3, 0), libc::SECCOMP_RET_ERRNO | ENOSYS);
            for new in [libc::CLONE_NEWUSER, libc::CLONE_NEWNS, libc::CLONE_NEWNET] {
                assert_eq!(seen(machine32.clone, new as u32 | 0x11), libc::SECCOMP_RET_ERRNO | EPERM);
            }
            // clone, read, execve, ioctl, mmap2 and vfork have these numbers on both.
            for (call, argument) in [(machine32.clone, 0x11), (3, 0), (11, 0), (54, TIOCSTI ^ 1), (192, 0), (190, 0)] {
                assert_eq!(seen(call, argument), libc::SECCOMP_RET_ALLOW, "{call}");
            }
            // Calls of any other machine kill.
            assert_eq!(run(&program, machine32.machine ^ 8, 3, [0, 0]), libc::SECCOMP_RET_KILL_PROCESS);
        }
        // Calls of the machine itself are filtered as before.
        let program = program(here, Some(&ARM));
        assert_eq!(run(&program, here, number(libc::SYS_mount), [0, 0]), libc::SECCOMP_RET_ERRNO | EPERM);
        assert_eq!(run(&program, here, number(libc::SYS_read), [0, 0]), libc::SECCOMP_RET_ALLOW);
    }

    /// Numbers on x86_64, i386 and ARM from the kernel's tables, written independently of the lists above to check
    /// them.
    const EXPECTED: [(&str, u32, u32, u32); 47] = [
        ("mount", 165, 21, 21),
        ("umount2", 166, 52, 52),
        ("pivot_root", 155, 217, 218),
        ("chroot", 161, 61, 61),
        ("open_tree", 428, 428, 428),
        ("move_mount", 429, 429, 429),
        ("fsopen", 430, 430, 430),
        ("fsconfig", 431, 431, 431),
        ("fsmount", 432, 432, 432),
        ("fspick", 433, 433, 433),
        ("mount_setattr", 442, 442, 442),
        ("unshare", 272, 310, 337),
        ("setns", 308, 346, 375),
        ("ptrace", 101, 26, 26),
        ("process_vm_readv", 310, 347, 376),
        ("process_vm_writev", 311, 348, 377),
        ("kcmp", 312, 349, 378),
        ("pidfd_getfd", 438, 438, 438),
        ("bpf", 321, 357, 386),
        ("perf_event_open", 298, 336, 364),
        ("userfaultfd", 323, 374, 388),
        ("io_uring_setup", 425, 425, 425),
        ("io_uring_enter", 426, 426, 426),
        ("io_uring_register", 427, 427, 427),
        ("add_key", 248, 286, 309),
        ("request_key", 249, 287, 310),
        ("keyctl", 250, 288, 311),
        ("kexec_load", 246, 283, 347),
        ("init_module", 175, 128, 128),
        ("finit_module", 313, 350, 379),
        ("delete_module", 176, 129, 129),
        ("reboot", 169, 88, 88),
        ("swapon", 167, 87, 87),
        ("swapoff", 168, 115, 115),
        ("acct", 163, 51, 51),
        ("quotactl", 179, 131, 131),
        ("syslog", 103, 103, 103),
        ("open_by_handle_at", 304, 342, 371),
        ("name_to_handle_at", 303, 341, 370),
        ("settimeofday", 164, 79, 79),
        ("clock_settime", 227, 264, 262),
        ("adjtimex", 159, 124, 124),
        ("clock_adjtime", 305, 343, 372),
        ("sethostname", 170, 74, 74),
        ("setdomainname", 171, 121, 121),
        ("fanotify_init", 300, 338, 367),
        ("socket", 41, 359, 281),
    ];

    #[test]
    fn no_narrow_machine_goes_unfiltered() {
        // i386 alone has stime, umount, socketcall, vm86old and vm86. The calls with 64-bit times have the same number
        // everywhere.
        let sets = [
            (&I386, EXPECTED.map(|(_, _, number, _)| number), &[25, 22, 102, 113, 166, 404, 405][..]),
            (&ARM, EXPECTED.map(|(_, _, _, number)| number), &[404, 405][..]),
        ];
        for (machine32, expected, more) in sets {
            let sorted = |mut list: Vec<u32>| {
                list.sort_unstable();
                list
            };
            let wanted = expected.iter().chain(more).copied().collect();
            assert_eq!(sorted(machine32.refused.to_vec()), sorted(wanted), "{:x}", machine32.machine);
        }
        let Some(machine32) = machine32() else { return };
        let program = program(machine().unwrap_or(1), Some(machine32));
        assert_eq!(run(&program, machine32.machine, 21, [0, 0]), libc::SECCOMP_RET_ERRNO | EPERM, "mount");
    }

    #[test]
    fn the_filter_refuses_what_it_should_and_nothing_else() {
        let here = machine().unwrap_or(1);
        let errno = |e| libc::SECCOMP_RET_ERRNO | e;
        if cfg!(target_arch = "x86_64") {
            for (name, call, _, _) in EXPECTED {
                assert_eq!(verdict(here, call, [0, 0]), errno(EPERM), "{name}");
            }
        }
        let refused: Vec<u32> = REFUSED.iter().map(|&call| number(call)).collect();
        for call in 0..1000 {
            assert_eq!(verdict(here, call, [0, 0]) == errno(EPERM), refused.contains(&call), "{call}");
        }
        assert_eq!(verdict(here, number(libc::SYS_clone3), [0, 0]), errno(ENOSYS));
        assert_eq!(verdict(here, number(libc::SYS_clone), [NEW_NAMESPACES & 0x1000_0000, 0]), errno(EPERM));
        assert_eq!(verdict(here, number(libc::SYS_ioctl), [0, TIOCSTI]), errno(EPERM));
        assert_eq!(verdict(here, number(libc::SYS_ioctl), [0, TIOCLINUX]), errno(EPERM));
        assert_eq!(verdict(here ^ 1, 0, [0, 0]), libc::SECCOMP_RET_KILL_PROCESS);
        for call in
            [libc::SYS_read, libc::SYS_execve, libc::SYS_mmap, libc::SYS_wait4, libc::SYS_ioctl, libc::SYS_clone]
        {
            assert_eq!(verdict(here, number(call), [0x11, 0x5401]), libc::SECCOMP_RET_ALLOW, "{call}");
        }
    }
}
