//! Names and numbers of system calls on the machines that the call filter knows.

/// A machine whose calls are filtered: a column of the numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Machine {
    /// 64-bit x86.
    X86_64,
    /// 32-bit x86.
    I386,
    /// 32-bit ARM, EABI.
    Arm,
    /// 64-bit ARM.
    Aarch64,
}

impl Machine {
    /// This program's machine; `None` where the filter is not supported.
    pub(crate) const fn own() -> Option<Self> {
        if cfg!(target_arch = "x86_64") {
            Some(Self::X86_64)
        } else if cfg!(target_arch = "aarch64") {
            Some(Self::Aarch64)
        } else if cfg!(all(target_arch = "arm", target_endian = "little")) {
            Some(Self::Arm)
        } else if cfg!(target_arch = "x86") {
            Some(Self::I386)
        } else {
            None
        }
    }

    /// The 32-bit machine whose programs run on this one too, if any.
    pub(crate) const fn narrow(self) -> Option<Self> {
        match self {
            Self::X86_64 => Some(Self::I386),
            Self::Aarch64 => Some(Self::Arm),
            Self::I386 | Self::Arm => None,
        }
    }

    /// The number by which the kernel tells a filter whose call it is (`AUDIT_ARCH_…`).
    pub(crate) const fn audit(self) -> u32 {
        match self {
            Self::X86_64 => 0xc000_003e,
            Self::I386 => 0x4000_0003,
            Self::Arm => 0x4000_0028,
            Self::Aarch64 => 0xc000_00b7,
        }
    }

    /// The number of a call; `None` if this machine has none of that name.
    pub(crate) fn number(self, name: &str) -> Option<u32> {
        let row = NUMBERS.binary_search_by(|(row, _)| (*row).cmp(name)).ok().and_then(|row| NUMBERS.get(row))?;
        self.of(row)
    }

    /// The name of the call with this number.
    pub(crate) fn name(self, number: u32) -> Option<&'static str> {
        NUMBERS.iter().find(|row| self.of(row) == Some(number)).map(|(name, _)| *name)
    }

    /// The number in this machine's column.
    const fn of(self, (_, [x86_64, i386, arm, aarch64]): &Row) -> Option<u32> {
        match self {
            Self::X86_64 => *x86_64,
            Self::I386 => *i386,
            Self::Arm => *arm,
            Self::Aarch64 => *aarch64,
        }
    }
}

/// A call's name, and its number on each machine.
type Row = (&'static str, [Option<u32>; 4]);

/// One number, or `_` for none.
macro_rules! number {
    (_) => {
        None
    };
    ($number:literal) => {
        Some($number)
    };
}

/// Rows of names and numbers.
macro_rules! numbers {
    ($($name:ident $x86_64:tt $i386:tt $arm:tt $aarch64:tt,)*) => {
        &[$((stringify!($name), [number!($x86_64), number!($i386), number!($arm), number!($aarch64)])),*]
    };
}

/// All calls up to Linux 6.18, sorted by name: the number on x86_64, i386, ARM and aarch64.
const NUMBERS: &[Row] = numbers! {
    _llseek _ 140 140 _, _newselect _ 142 142 _, accept 43 _ 285 202, accept4 288 364 366 242, access 21 33 33 _,
    acct 163 51 51 89, add_key 248 286 309 217, adjtimex 159 124 124 171, alarm 37 27 _ _, arch_prctl 158 384 _ _,
    arm_fadvise64_64 _ _ 270 _, arm_sync_file_range _ _ 341 _, bind 49 361 282 200, bpf 321 357 386 280,
    brk 12 45 45 214, cacheflush _ _ 983042 _, cachestat 451 451 451 451, capget 125 184 184 90, capset 126 185 185 91,
    chdir 80 12 12 49, chmod 90 15 15 _, chown 92 182 182 _, chown32 _ 212 212 _, chroot 161 61 61 51,
    clock_adjtime 305 343 372 266, clock_adjtime64 _ 405 405 _, clock_getres 229 266 264 114,
    clock_getres_time64 _ 406 406 _, clock_gettime 228 265 263 113, clock_gettime64 _ 403 403 _,
    clock_nanosleep 230 267 265 115, clock_nanosleep_time64 _ 407 407 _, clock_settime 227 264 262 112,
    clock_settime64 _ 404 404 _, clone 56 120 120 220, clone3 435 435 435 435, close 3 6 6 57,
    close_range 436 436 436 436, connect 42 362 283 203, copy_file_range 326 377 391 285, creat 85 8 8 _,
    delete_module 176 129 129 106, dup 32 41 41 23, dup2 33 63 63 _, dup3 292 330 358 24, epoll_create 213 254 250 _,
    epoll_create1 291 329 357 20, epoll_ctl 233 255 251 21, epoll_pwait 281 319 346 22, epoll_pwait2 441 441 441 441,
    epoll_wait 232 256 252 _, eventfd 284 323 351 _, eventfd2 290 328 356 19, execve 59 11 11 221,
    execveat 322 358 387 281, exit 60 1 1 93, exit_group 231 252 248 94, faccessat 269 307 334 48,
    faccessat2 439 439 439 439, fadvise64 221 250 _ 223, fadvise64_64 _ 272 _ _, fallocate 285 324 352 47,
    fanotify_init 300 338 367 262, fanotify_mark 301 339 368 263, fchdir 81 133 133 50, fchmod 91 94 94 52,
    fchmodat 268 306 333 53, fchmodat2 452 452 452 452, fchown 93 95 95 55, fchown32 _ 207 207 _,
    fchownat 260 298 325 54, fcntl 72 55 55 25, fcntl64 _ 221 221 _, fdatasync 75 148 148 83, fgetxattr 193 231 231 10,
    file_getattr 468 468 468 468, file_setattr 469 469 469 469, finit_module 313 350 379 273, flistxattr 196 234 234 13,
    flock 73 143 143 32, fork 57 2 2 _, fremovexattr 199 237 237 16, fsconfig 431 431 431 431, fsetxattr 190 228 228 7,
    fsmount 432 432 432 432, fsopen 430 430 430 430, fspick 433 433 433 433, fstat 5 108 108 80, fstat64 _ 197 197 _,
    fstatat64 _ 300 327 _, fstatfs 138 100 100 44, fstatfs64 _ 269 267 _, fsync 74 118 118 82, ftruncate 77 93 93 46,
    ftruncate64 _ 194 194 _, futex 202 240 240 98, futex_requeue 456 456 456 456, futex_time64 _ 422 422 _,
    futex_wait 455 455 455 455, futex_waitv 449 449 449 449, futex_wake 454 454 454 454, futimesat 261 299 326 _,
    get_mempolicy 239 275 320 236, get_robust_list 274 312 339 100, get_thread_area 211 244 _ _, get_tls _ _ 983046 _,
    getcpu 309 318 345 168, getcwd 79 183 183 17, getdents 78 141 141 _, getdents64 217 220 217 61,
    getegid 108 50 50 177, getegid32 _ 202 202 _, geteuid 107 49 49 175, geteuid32 _ 201 201 _, getgid 104 47 47 176,
    getgid32 _ 200 200 _, getgroups 115 80 80 158, getgroups32 _ 205 205 _, getitimer 36 105 105 102,
    getpeername 52 368 287 205, getpgid 121 132 132 155, getpgrp 111 65 65 _, getpid 39 20 20 172,
    getppid 110 64 64 173, getpriority 140 96 96 141, getrandom 318 355 384 278, getresgid 120 171 171 150,
    getresgid32 _ 211 211 _, getresuid 118 165 165 148, getresuid32 _ 209 209 _, getrlimit 97 76 _ 163,
    getrusage 98 77 77 165, getsid 124 147 147 156, getsockname 51 367 286 204, getsockopt 55 365 295 209,
    gettid 186 224 224 178, gettimeofday 96 78 78 169, getuid 102 24 24 174, getuid32 _ 199 199 _,
    getxattr 191 229 229 8, getxattrat 464 464 464 464, init_module 175 128 128 105, inotify_add_watch 254 292 317 27,
    inotify_init 253 291 316 _, inotify_init1 294 332 360 26, inotify_rm_watch 255 293 318 28, io_cancel 210 249 247 3,
    io_destroy 207 246 244 1, io_getevents 208 247 245 4, io_pgetevents 333 385 399 292,
    io_pgetevents_time64 _ 416 416 _, io_setup 206 245 243 0, io_submit 209 248 246 2, io_uring_enter 426 426 426 426,
    io_uring_register 427 427 427 427, io_uring_setup 425 425 425 425, ioctl 16 54 54 29, ioperm 173 101 _ _,
    iopl 172 110 _ _, ioprio_get 252 290 315 31, ioprio_set 251 289 314 30, ipc _ 117 _ _, kcmp 312 349 378 272,
    kexec_file_load 320 _ 401 294, kexec_load 246 283 347 104, keyctl 250 288 311 219, kill 62 37 37 129,
    landlock_add_rule 445 445 445 445, landlock_create_ruleset 444 444 444 444, landlock_restrict_self 446 446 446 446,
    lchown 94 16 16 _, lchown32 _ 198 198 _, lgetxattr 192 230 230 9, link 86 9 9 _, linkat 265 303 330 37,
    listen 50 363 284 201, listmount 458 458 458 458, listns 470 470 470 470, listxattr 194 232 232 11,
    listxattrat 465 465 465 465, llistxattr 195 233 233 12, lookup_dcookie 212 253 249 18, lremovexattr 198 236 236 15,
    lseek 8 19 19 62, lsetxattr 189 227 227 6, lsm_get_self_attr 459 459 459 459, lsm_list_modules 461 461 461 461,
    lsm_set_self_attr 460 460 460 460, lstat 6 107 107 _, lstat64 _ 196 196 _, madvise 28 219 220 233,
    map_shadow_stack 453 453 453 453, mbind 237 274 319 235, membarrier 324 375 389 283, memfd_create 319 356 385 279,
    memfd_secret 447 447 _ 447, migrate_pages 256 294 400 238, mincore 27 218 219 232, mkdir 83 39 39 _,
    mkdirat 258 296 323 34, mknod 133 14 14 _, mknodat 259 297 324 33, mlock 149 150 150 228, mlock2 325 376 390 284,
    mlockall 151 152 152 230, mmap 9 90 _ 222, mmap2 _ 192 192 _, modify_ldt 154 123 _ _, mount 165 21 21 40,
    mount_setattr 442 442 442 442, move_mount 429 429 429 429, move_pages 279 317 344 239, mprotect 10 125 125 226,
    mq_getsetattr 245 282 279 185, mq_notify 244 281 278 184, mq_open 240 277 274 180, mq_timedreceive 243 280 277 183,
    mq_timedreceive_time64 _ 419 419 _, mq_timedsend 242 279 276 182, mq_timedsend_time64 _ 418 418 _,
    mq_unlink 241 278 275 181, mremap 25 163 163 216, mseal 462 462 462 462, msgctl 71 402 304 187,
    msgget 68 399 303 186, msgrcv 70 401 302 188, msgsnd 69 400 301 189, msync 26 144 144 227, munlock 150 151 151 229,
    munlockall 152 153 153 231, munmap 11 91 91 215, name_to_handle_at 303 341 370 264, nanosleep 35 162 162 101,
    newfstatat 262 _ _ 79, nice _ 34 34 _, open 2 5 5 _, open_by_handle_at 304 342 371 265, open_tree 428 428 428 428,
    open_tree_attr 467 467 467 467, openat 257 295 322 56, openat2 437 437 437 437, pause 34 29 29 _,
    perf_event_open 298 336 364 241, personality 135 136 136 92, pidfd_getfd 438 438 438 438,
    pidfd_open 434 434 434 434, pidfd_send_signal 424 424 424 424, pipe 22 42 42 _, pipe2 293 331 359 59,
    pivot_root 155 217 218 41, pkey_alloc 330 381 395 289, pkey_free 331 382 396 290, pkey_mprotect 329 380 394 288,
    poll 7 168 168 _, ppoll 271 309 336 73, ppoll_time64 _ 414 414 _, prctl 157 172 172 167, pread64 17 180 180 67,
    preadv 295 333 361 69, preadv2 327 378 392 286, prlimit64 302 340 369 261, process_madvise 440 440 440 440,
    process_mrelease 448 448 448 448, process_vm_readv 310 347 376 270, process_vm_writev 311 348 377 271,
    pselect6 270 308 335 72, pselect6_time64 _ 413 413 _, ptrace 101 26 26 117, pwrite64 18 181 181 68,
    pwritev 296 334 362 70, pwritev2 328 379 393 287, quotactl 179 131 131 60, quotactl_fd 443 443 443 443,
    read 0 3 3 63, readahead 187 225 225 213, readdir _ 89 _ _, readlink 89 85 85 _, readlinkat 267 305 332 78,
    readv 19 145 145 65, reboot 169 88 88 142, recv _ _ 291 _, recvfrom 45 371 292 207, recvmmsg 299 337 365 243,
    recvmmsg_time64 _ 417 417 _, recvmsg 47 372 297 212, remap_file_pages 216 257 253 234, removexattr 197 235 235 14,
    removexattrat 466 466 466 466, rename 82 38 38 _, renameat 264 302 329 38, renameat2 316 353 382 276,
    request_key 249 287 310 218, restart_syscall 219 0 0 128, rmdir 84 40 40 _, rseq 334 386 398 293,
    rt_sigaction 13 174 174 134, rt_sigpending 127 176 176 136, rt_sigprocmask 14 175 175 135,
    rt_sigqueueinfo 129 178 178 138, rt_sigreturn 15 173 173 139, rt_sigsuspend 130 179 179 133,
    rt_sigtimedwait 128 177 177 137, rt_sigtimedwait_time64 _ 421 421 _, rt_tgsigqueueinfo 297 335 363 240,
    sched_get_priority_max 146 159 159 125, sched_get_priority_min 147 160 160 126, sched_getaffinity 204 242 242 123,
    sched_getattr 315 352 381 275, sched_getparam 143 155 155 121, sched_getscheduler 145 157 157 120,
    sched_rr_get_interval 148 161 161 127, sched_rr_get_interval_time64 _ 423 423 _, sched_setaffinity 203 241 241 122,
    sched_setattr 314 351 380 274, sched_setparam 142 154 154 118, sched_setscheduler 144 156 156 119,
    sched_yield 24 158 158 124, seccomp 317 354 383 277, select 23 82 _ _, semctl 66 394 300 191, semget 64 393 299 190,
    semop 65 _ 298 193, semtimedop 220 _ 312 192, semtimedop_time64 _ 420 420 _, send _ _ 289 _, sendfile 40 187 187 71,
    sendfile64 _ 239 239 _, sendmmsg 307 345 374 269, sendmsg 46 370 296 211, sendto 44 369 290 206,
    set_mempolicy 238 276 321 237, set_mempolicy_home_node 450 450 450 450, set_robust_list 273 311 338 99,
    set_thread_area 205 243 _ _, set_tid_address 218 258 256 96, set_tls _ _ 983045 _, setdomainname 171 121 121 162,
    setfsgid 123 139 139 152, setfsgid32 _ 216 216 _, setfsuid 122 138 138 151, setfsuid32 _ 215 215 _,
    setgid 106 46 46 144, setgid32 _ 214 214 _, setgroups 116 81 81 159, setgroups32 _ 206 206 _,
    sethostname 170 74 74 161, setitimer 38 104 104 103, setns 308 346 375 268, setpgid 109 57 57 154,
    setpriority 141 97 97 140, setregid 114 71 71 143, setregid32 _ 204 204 _, setresgid 119 170 170 149,
    setresgid32 _ 210 210 _, setresuid 117 164 164 147, setresuid32 _ 208 208 _, setreuid 113 70 70 145,
    setreuid32 _ 203 203 _, setrlimit 160 75 75 164, setsid 112 66 66 157, setsockopt 54 366 294 208,
    settimeofday 164 79 79 170, setuid 105 23 23 146, setuid32 _ 213 213 _, setxattr 188 226 226 5,
    setxattrat 463 463 463 463, sgetmask _ 68 _ _, shmat 30 397 305 196, shmctl 31 396 308 195, shmdt 67 398 306 197,
    shmget 29 395 307 194, shutdown 48 373 293 210, sigaction _ 67 67 _, sigaltstack 131 186 186 132, signal _ 48 _ _,
    signalfd 282 321 349 _, signalfd4 289 327 355 74, sigpending _ 73 73 _, sigprocmask _ 126 126 _,
    sigreturn _ 119 119 _, sigsuspend _ 72 72 _, socket 41 359 281 198, socketcall _ 102 _ _, socketpair 53 360 288 199,
    splice 275 313 340 76, ssetmask _ 69 _ _, stat 4 106 106 _, stat64 _ 195 195 _, statfs 137 99 99 43,
    statfs64 _ 268 266 _, statmount 457 457 457 457, statx 332 383 397 291, stime _ 25 _ _, swapoff 168 115 115 225,
    swapon 167 87 87 224, symlink 88 83 83 _, symlinkat 266 304 331 36, sync 162 36 36 81, sync_file_range 277 314 _ 84,
    syncfs 306 344 373 267, sysfs 139 135 135 _, sysinfo 99 116 116 179, syslog 103 103 103 116, tee 276 315 342 77,
    tgkill 234 270 268 131, time 201 13 _ _, timer_create 222 259 257 107, timer_delete 226 263 261 111,
    timer_getoverrun 225 262 260 109, timer_gettime 224 261 259 108, timer_gettime64 _ 408 408 _,
    timer_settime 223 260 258 110, timer_settime64 _ 409 409 _, timerfd_create 283 322 350 85,
    timerfd_gettime 287 326 354 87, timerfd_gettime64 _ 410 410 _, timerfd_settime 286 325 353 86,
    timerfd_settime64 _ 411 411 _, times 100 43 43 153, tkill 200 238 238 130, truncate 76 92 92 45,
    truncate64 _ 193 193 _, ugetrlimit _ 191 191 _, umask 95 60 60 166, umount _ 22 _ _, umount2 166 52 52 39,
    uname 63 122 122 160, unlink 87 10 10 _, unlinkat 263 301 328 35, unshare 272 310 337 97, uprobe 336 _ _ _,
    uretprobe 335 _ _ _, userfaultfd 323 374 388 282, ustat 136 62 62 _, utime 132 30 _ _, utimensat 280 320 348 88,
    utimensat_time64 _ 412 412 _, utimes 235 271 269 _, vfork 58 190 190 _, vhangup 153 111 111 58, vm86 _ 166 _ _,
    vm86old _ 113 _ _, vmsplice 278 316 343 75, wait4 61 114 114 260, waitid 247 284 280 95, waitpid _ 7 _ _,
    write 1 4 4 64, writev 20 146 146 66,
};

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Machine; 4] = [Machine::X86_64, Machine::I386, Machine::Arm, Machine::Aarch64];

    #[test]
    fn names_are_sorted_and_numbers_stand_once() {
        assert!(NUMBERS.is_sorted_by(|(a, _), (b, _)| a < b));
        for machine in ALL {
            let mut numbers: Vec<u32> = NUMBERS.iter().filter_map(|row| machine.of(row)).collect();
            numbers.sort_unstable();
            assert!(numbers.is_sorted_by(|a, b| a < b), "{machine:?}");
        }
    }

    /// The C library's numbers for this machine, of calls from all over the table.
    #[test]
    fn numbers_are_those_of_the_c_library() {
        let Some(own) = Machine::own() else { return };
        for (name, number) in [
            ("read", libc::SYS_read),
            ("mmap", libc::SYS_mmap),
            ("clone", libc::SYS_clone),
            ("execve", libc::SYS_execve),
            ("prlimit64", libc::SYS_prlimit64),
            ("fcntl", libc::SYS_fcntl),
            ("ioctl", libc::SYS_ioctl),
            ("personality", libc::SYS_personality),
            ("socket", libc::SYS_socket),
            ("statx", libc::SYS_statx),
            ("mount_setattr", libc::SYS_mount_setattr),
        ] {
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            assert_eq!((own.number(name), own.name(number)), (Some(number), Some(name)));
        }
    }

    #[test]
    fn calls_of_all_machines_from_424_on_have_one_number() {
        for (name, columns) in NUMBERS.iter().filter(|(_, columns)| columns.iter().flatten().any(|n| *n >= 424)) {
            let numbers: Vec<u32> = columns.iter().flatten().copied().filter(|n| *n < 0xf0000).collect();
            assert!(numbers.iter().all(|n| Some(n) == numbers.first()), "{name}: {columns:?}");
        }
    }
}
