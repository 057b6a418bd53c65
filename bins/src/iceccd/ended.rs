//! The end of a compiler as the launcher tells it, in the words of the job's machine.

use ice_core::job::JobStats;
use ice_core::server::{self, Exit};
use ice_core::text::Text;
use ice_launcher::{Ended, How};
use std::os::fd::OwnedFd;
use std::time::Duration;

/// An end as the machine takes it.
pub fn told(ended: &Ended) -> server::Ended {
    let short = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    let ms = |d: Duration| u32::try_from(d.as_millis()).unwrap_or(u32::MAX);
    let (size, held) = sizes([&ended.object, &ended.dwo]);
    server::Ended {
        exit: match ended.how {
            How::Exited(status) => Exit::Status(status),
            How::Signalled(signal) => Exit::Signal(signal),
        },
        out_of_memory: ended.out_of_memory,
        timed_out: ended.timed_out,
        has_object: ended.object.is_some(),
        has_dwo: ended.dwo.is_some(),
        stats: JobStats {
            real_ms: ms(ended.usage.real),
            user_ms: ms(ended.usage.user),
            sys_ms: ms(ended.usage.system),
            page_faults: short(ended.usage.page_faults),
            out_compressed: short(size),
            out_uncompressed: short(size),
            ..JobStats::default()
        },
        held,
    }
}

/// The system calls that it made in vain: their names, and how often.
pub fn unknown_calls(ended: &Ended) -> Vec<(Text, u64)> {
    ended.unknown.iter().map(|call| (call.name().into(), call.count)).collect()
}

/// Bytes of the files, and what they take: one with holes costs less than its size.
fn sizes(files: [&Option<OwnedFd>; 2]) -> (u64, u64) {
    let stats = files.into_iter().flatten().filter_map(|fd| nix::sys::stat::fstat(fd).ok());
    let sizes = stats.map(|s| (u64::try_from(s.st_size).unwrap_or(0), u64::try_from(s.st_blocks).unwrap_or(0) * 512));
    sizes.fold((0, 0), |(size, taken), (s, t)| (size.saturating_add(s), taken.saturating_add(t)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_with_holes_takes_what_is_in_it() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(1 << 30).unwrap();
        let (size, taken) = sizes([&Some(file.into()), &None]);
        assert_eq!(size, 1 << 30);
        assert!(taken < 1 << 20);
    }
}
