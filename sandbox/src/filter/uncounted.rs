//! A second, short filter: it refuses what gets memory that no limit of a process counts, and sockets.
//!
//! A limit of the address space counts neither a memfd nor shared memory of System V that is mapped nowhere, and what
//! waits in queues and sockets is the kernel's memory. Where no control group counts all of a job, only this keeps a
//! job within its limit.

use super::{EPERM, EQUAL, LOAD, MACHINE, NUMBER, RETURN, fail, line};

/// Beside x86_64's calls: the same of x32, which have the same machine number.
const X32: u32 = 0x4000_0000;

/// The refused calls of the machines with a filter, by the machines' audit numbers: memfd_create, memfd_secret, shmget,
/// shmat, msgget, semget, mq_open, socket, socketpair and io_uring_setup, which does what others are refused for; on
/// i386 also socketcall and ipc.
const REFUSED: [(u32, &[u32]); 4] = [
    (0xc000_003e, &[319, 447, 29, 30, 68, 64, 240, 41, 53, 425]),
    (0x4000_0003, &[356, 447, 395, 397, 399, 393, 277, 359, 360, 425, 102, 117]),
    (0xc000_00b7, &[279, 447, 194, 196, 186, 190, 180, 198, 199, 425]),
    (0x4000_0028, &[385, 447, 307, 305, 303, 299, 274, 281, 288, 425]),
];

/// The filter's instructions, for all machines at once.
pub(super) fn program() -> Vec<libc::sock_filter> {
    let mut p = vec![line(LOAD, 0, 0, MACHINE)];
    for (machine, calls) in REFUSED {
        let mut block = vec![line(LOAD, 0, 0, NUMBER)];
        if machine == REFUSED[0].0 {
            block.push(line(super::AND, 0, 0, !X32));
        }
        // Each comparison jumps to the refusal at the end, behind the others and the permission.
        for (before, call) in (0..).zip(calls) {
            block.push(line(EQUAL, jump(calls.len() - before), 0, *call));
        }
        block.extend([line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW), fail(EPERM)]);
        p.push(line(EQUAL, 0, jump(block.len()), machine));
        p.extend(block);
    }
    p.push(line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    p
}

/// A distance, which the lists above keep below 256.
fn jump(instructions: usize) -> u8 {
    u8::try_from(instructions).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::super::tests::run;
    use super::*;

    #[test]
    fn memory_that_nobody_counts_is_refused_on_all_machines() {
        let program = program();
        for (machine, calls) in REFUSED {
            for call in 0..1000 {
                let refused = run(&program, machine, call, [0, 0]) == libc::SECCOMP_RET_ERRNO | EPERM;
                assert_eq!(refused, calls.contains(&call), "{call} of {machine:#x}");
            }
        }
        assert_eq!(run(&program, 1, 319, [0, 0]), libc::SECCOMP_RET_ALLOW);
    }

    /// The list of this machine, by the names that the C library has for its calls.
    #[test]
    fn the_numbers_are_those_of_this_machine() {
        let Some((_, calls)) = super::super::machine().and_then(|own| REFUSED.into_iter().find(|(m, _)| *m == own))
        else {
            return;
        };
        let named = [
            libc::SYS_memfd_create,
            libc::SYS_memfd_secret,
            libc::SYS_shmget,
            libc::SYS_shmat,
            libc::SYS_msgget,
            libc::SYS_semget,
            libc::SYS_mq_open,
            libc::SYS_socket,
            libc::SYS_socketpair,
            libc::SYS_io_uring_setup,
        ];
        assert!(named.iter().zip(calls).all(|(named, call)| super::super::number(*named) == *call));
    }
}
