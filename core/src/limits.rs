//! Limits that modules share or impose on peers, each with its reason. Others stand beside their only user.

use std::time::Duration;

/// Longest environment, platform or node name, in bytes: the limit of file systems for a name.
pub const NAME_MAX: usize = 255;
/// Longest body of a frame, in bytes (`net/PROTOCOL.md`, Frames).
pub const FRAME_MAX: usize = 1 << 20;
/// Largest uncompressed size of a chunk, in bytes (`net/PROTOCOL.md`, Primitives).
pub const CHUNK_PLAIN_MAX: usize = 1 << 20;
/// Uncompressed bytes that a sender puts into one chunk, as 1.4 does.
pub const CHUNK_PLAIN: usize = 100_000;
/// Timeout of each step of the handshake (`net/PROTOCOL.md`, Waiting times).
pub const HANDSHAKE: Duration = Duration::from_secs(15);
/// Timeout of a blocked send (`net/PROTOCOL.md`, Waiting times).
pub const SEND: Duration = Duration::from_secs(30);
/// Timeout of a frame after its first byte: 1 MiB at 140 kbit/s.
pub const FRAME: Duration = Duration::from_secs(60);
/// Bytes that a process holds for all its peers together: data to be sent to them, incomplete frames, and messages not
/// processed yet.
pub const HELD_MAX: usize = 256 << 20;
/// The same for all peers of one address.
pub const HELD_PER_ADDRESS_MAX: usize = HELD_MAX / 4;
/// Maximum number of jobs of one request: a client requests 1, or 3 to compare them (decision: queue-full).
pub const JOBS_PER_REQUEST_MAX: u32 = 64;
/// Maximum number of queued jobs of a scheduler; submitters build further ones themselves (decision: queue-full).
pub const QUEUED_MAX: usize = 100_000;
/// Maximum number of local jobs of one host that a scheduler records: far more than any host runs.
pub const LOCAL_JOBS_MAX: usize = 4096;
/// Bytes kept of a file name, from its end: it is shown, and identifies the file to learn its weight.
pub const FILE_NAME_MAX: usize = 1024;
/// Number of environments of one request that are considered: a user names a few.
pub const REQUEST_ENVIRONMENTS_MAX: usize = 64;
/// Maximum number of environments of one host that a scheduler records: a disk holds a few hundred.
pub const HOST_ENVIRONMENTS_MAX: usize = 4096;
/// Maximum number of environments that a daemon keeps, in use or not: far more than a cluster has, and LOGIN has room
/// for twice as many.
pub const ENVIRONMENTS_MAX: usize = 512;
/// Bytes that environments leave free on their disk, however many arrive at a time.
pub const DISK_KEPT: u64 = 256 << 20;
/// Minimum memory of a job in MiB; with less, ordinary C++ fails.
pub const JOB_MEMORY_MIN: u64 = 256;
/// The most jobs at a time where nothing limits the memory of all together but the limit of each, for so many bytes.
pub fn slots_within(memory: u64) -> u32 {
    u32::try_from((memory >> 20) / JOB_MEMORY_MIN).unwrap_or(u32::MAX).max(1)
}
/// Default limit of a daemon's environments and native archives, in bytes: a tenth of `free`, the bytes that would be
/// free without them. That is room for several compilers of 80 to 250 MB each; with less, a network that alternates
/// between two of them would remove and transfer them all day.
pub fn default_cache_limit(free: u64) -> u64 {
    (free / 10).clamp(1 << 30, 8 << 30)
}
/// Default limit of the files of submitters on a compile server, in bytes: a tenth of `free`, at most 4 GiB. A submitter
/// and a compiler take 50 to 250 MB.
pub fn default_files_limit(free: u64) -> u64 {
    (free / 10).min(4 << 30)
}
/// Seconds for which an environment is kept after its last use, unless that doubles the disk limit, as in 1.4: users
/// who build alternately would transfer theirs again and again.
pub const CACHE_KEPT: u32 = 200;
/// Bytes of a scheduler's memory for the environments of all hosts: 5,000 hosts with 50 of them each take half of it.
pub const HELD_ENVIRONMENTS_MAX: usize = 256 << 20;
/// The same for the hosts of one address: a cluster behind a router that translates addresses.
pub const HELD_ENVIRONMENTS_PER_ADDRESS_MAX: usize = HELD_ENVIRONMENTS_MAX / 4;
/// Maximum number of monitors of a scheduler: each event is sent to all of them.
pub const MONITORS_MAX: usize = 256;
/// The same at one address.
pub const MONITORS_PER_ADDRESS_MAX: usize = MONITORS_MAX / 4;
/// Maximum number of jobs of one submitter, in any state; it builds further ones itself.
pub const JOBS_PER_HOST_MAX: usize = QUEUED_MAX / 4;
/// Maximum number of jobs of a scheduler, in any state.
pub const JOBS_MAX: usize = 2 * QUEUED_MAX;
/// Bytes of all texts of a request that a daemon forwards: far below the limit of a frame of any version.
pub const REQUEST_MAX: usize = 64 << 10;
/// Bytes of a status text that are kept or sent: enough for a dump of thousands of clients.
pub const STATUS_TEXT_MAX: usize = 256 << 10;
/// Maximum number of arguments of a remote job: the launcher's limit.
pub const ARGUMENTS_MAX: usize = 4096;
/// Maximum size of all arguments of a remote job, in bytes: the launcher's limit.
pub const ARGUMENT_BYTES_MAX: usize = 512 << 10;
/// Longest file name of a job, in bytes: the kernel's limit.
pub const PATH_MAX: usize = 4096;
/// Timeout from the end of the handshake to LOGIN or MON_LOGIN.
pub const LOGIN: Duration = Duration::from_secs(15);
/// How long a compile below icerun waits for a server. If the server is its own host it waits for a slot there; with as
/// many icerun commands as slots, which wait for their compiles, that would never end. It is long enough for its turn
/// in a busy cluster: a compile that gives up runs in addition to all others.
pub const NESTED_SERVER: Duration = Duration::from_secs(30);
/// How long a client of another host may be idle: a real one sends its first message at once.
pub const IDLE: Duration = Duration::from_secs(120);
/// The same while it may still be sending an environment that is discarded, or waits for a verification.
pub const IDLE_WITH_ENVIRONMENT: Duration = Duration::from_secs(20 * 60);
/// Number of file descriptors that a service requests from the system: enough for all its connections and jobs. Not
/// more, as programs that it starts may close all possible descriptors one by one.
pub const DESCRIPTORS: u64 = 65_536;
/// How long a peer of the text port may be idle.
pub const TEXT_IDLE: Duration = Duration::from_secs(36);
/// Longest line of a peer of the text port, in bytes.
pub const TEXT_LINE_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// These are visible to peers, or named in the manual and the service files.
    #[test]
    fn bounds_that_others_know() {
        assert_eq!([HANDSHAKE, SEND, FRAME].map(|time| time.as_secs()), [15, 30, 60]);
        assert_eq!((CHUNK_PLAIN, CHUNK_PLAIN_MAX, FRAME_MAX), (100_000, 1_048_576, 1_048_576));
        assert_eq!((DISK_KEPT, CACHE_KEPT, DESCRIPTORS), (268_435_456, 200, 65_536));
        assert_eq!((NAME_MAX, PATH_MAX), (255, 4096));
        assert_eq!([0, 700 << 20, 8 << 30].map(slots_within), [1, 2, 32]);
    }

    #[test]
    fn files_of_submitters_take_a_tenth_of_the_disk_at_most() {
        const MIB: u64 = 1 << 20;
        for (free, limit) in [(0, 0), (100 * MIB, 10 * MIB), (80 << 30, 4 << 30), (u64::MAX, 4 << 30)] {
            assert_eq!(default_files_limit(free), limit, "{free}");
        }
    }

    #[test]
    fn the_cache_takes_a_tenth_of_the_disk_within_bounds() {
        const GIB: u64 = 1 << 30;
        for (free, limit) in [(0, GIB), (9 * GIB, GIB), (30 * GIB, 3 * GIB), (80 * GIB, 8 * GIB), (u64::MAX, 8 * GIB)] {
            assert_eq!(default_cache_limit(free), limit, "{free}");
        }
    }
}
