//! How many tasks (processes and their threads) this host lets the present user have.

use std::path::Path;

use nix::sys::resource::{Resource, getrlimit};

use crate::cgroup::{OwnGroup, number};

/// The least of what the kernel has room for, what it permits this user, and the limit of each control group around us.
/// `None` if nothing limits them.
pub fn limit() -> Option<u64> {
    let kernel = ["/proc/sys/kernel/threads-max", "/proc/sys/kernel/pid_max"].map(|file| number(Path::new(file)));
    let user = getrlimit(Resource::RLIMIT_NPROC).ok().map(|(soft, _)| soft);
    let groups = OwnGroup::of("pids").and_then(|group| group.least("pids.max"));
    kernel.into_iter().chain([user, groups]).flatten().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_one_of_the_kernel_or_lower() {
        let kernel = number(Path::new("/proc/sys/kernel/threads-max")).unwrap_or(0);
        assert!(limit().is_some_and(|limit| limit > 0 && limit <= kernel));
    }
}
