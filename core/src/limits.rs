//! Every bound in the system, each with its reason.

use std::time::Duration;

/// Longest environment, platform or node name in bytes: what a file system takes as one name.
pub const NAME_MAX: usize = 255;
/// Longest body of a frame (`net/PROTOCOL.md`, Frames).
pub const FRAME_MAX: usize = 1 << 20;
/// Longest plain text of one chunk (`net/PROTOCOL.md`, Primitives).
pub const CHUNK_PLAIN_MAX: usize = 1 << 20;
/// How much plain data a sender puts into one chunk, as 1.4 does.
pub const CHUNK_PLAIN: usize = 100_000;
/// One step of the opening handshake (`net/PROTOCOL.md`, Waiting times).
pub const HANDSHAKE: Duration = Duration::from_secs(15);
/// A blocked send (`net/PROTOCOL.md`, Waiting times).
pub const SEND: Duration = Duration::from_secs(30);
/// The rest of a frame once its first byte is there: a mebibyte at a seventh of a Mbit/s.
pub const FRAME: Duration = Duration::from_secs(60);
/// Bytes that a process holds for all its peers together: what waits to be sent to them, frames they have begun, messages that
/// are not dealt with.
pub const HELD_MAX: usize = 256 << 20;
/// The same for all peers of one address.
pub const HELD_PER_ADDRESS_MAX: usize = HELD_MAX / 4;
/// Jobs one request may ask for: a client asks for 1, or 3 to compare them (decision: queue-full).
pub const JOBS_PER_REQUEST_MAX: u32 = 64;
/// Jobs a scheduler lets wait; what comes on top is built by its submitter (decision: queue-full).
pub const QUEUED_MAX: usize = 100_000;
/// Local jobs of one host that a scheduler keeps in mind: far more than any machine runs.
pub const LOCAL_JOBS_MAX: usize = 4096;
/// Bytes that are kept of a file's name, from its end: it is shown, and known again.
pub const FILE_NAME_MAX: usize = 1024;
/// Environments of one request that are looked at: a user names a few.
pub const REQUEST_ENVIRONMENTS_MAX: usize = 64;
/// Environments of one host that a scheduler keeps in mind: its disk holds a few hundred.
pub const HOST_ENVIRONMENTS_MAX: usize = 4096;
/// Environments of others that a daemon keeps, in use or not: far more than a cluster has, and LOGIN can name twice as many.
pub const ENVIRONMENTS_MAX: usize = 512;
/// Bytes that environments leave free on their disk, however many arrive at once.
pub const DISK_KEPT: u64 = 256 << 20;
/// What a daemon's environments and native archives may take of the disk where nobody says: a tenth of what would be free without
/// them. Several compilers have room then, of 80 to 250 MB each: with fewer a network that uses two of them in turn removes and
/// brings them all day.
pub fn default_cache_limit(free: u64) -> u64 {
    (free / 10).clamp(1 << 30, 8 << 30)
}
/// Seconds for which an environment is kept after its last use where that does not double the disk limit, as in 1.4: users who
/// build in turns would bring theirs again and again.
pub const CACHE_KEPT: u32 = 200;
/// What the environments of all hosts may take in a scheduler's memory: 5,000 hosts with fifty of them each take half of it.
pub const HELD_ENVIRONMENTS_MAX: usize = 256 << 20;
/// The same for the hosts of one address: a cluster behind a router that translates addresses.
pub const HELD_ENVIRONMENTS_PER_ADDRESS_MAX: usize = HELD_ENVIRONMENTS_MAX / 4;
/// Monitors of a scheduler: all of them are told of each event.
pub const MONITORS_MAX: usize = 256;
/// The same at one address.
pub const MONITORS_PER_ADDRESS_MAX: usize = MONITORS_MAX / 4;
/// Jobs of one submitter that a scheduler keeps in mind, in any state; what comes on top is built there.
pub const JOBS_PER_HOST_MAX: usize = QUEUED_MAX / 4;
/// Jobs that a scheduler keeps in mind, in any state.
pub const JOBS_MAX: usize = 2 * QUEUED_MAX;
/// Bytes of all texts of a request that a daemon passes on: far below what fits into a frame of any version.
pub const REQUEST_MAX: usize = 64 << 10;
/// Bytes of a status text that are kept or sent: a dump of thousands of clients.
pub const STATUS_TEXT_MAX: usize = 256 << 10;
/// Arguments of a job of others, and the bytes of all of them: what the launcher takes.
pub const ARGUMENTS_MAX: usize = 4096;
/// See [`ARGUMENTS_MAX`].
pub const ARGUMENT_BYTES_MAX: usize = 512 << 10;
/// Bytes of each file name of a job: what the kernel takes.
pub const PATH_MAX: usize = 4096;
/// From the end of the handshake to LOGIN or MON_LOGIN.
pub const LOGIN: Duration = Duration::from_secs(15);
/// How long a compile below icerun waits for a server. Where the answer is its own host it waits for a slot there, and as many
/// commands as slots, which wait for their compiles, would wait for ever. Long enough for its turn in a busy cluster: a compile
/// that gives up runs beside all others.
pub const NESTED_SERVER: Duration = Duration::from_secs(30);
/// A client of another host that has nothing under way says nothing to a daemon for that long: a real one begins at once.
pub const IDLE: Duration = Duration::from_secs(120);
/// The same while an environment may still arrive from it, to be thrown away, or be checked for it.
pub const IDLE_WITH_ENVIRONMENT: Duration = Duration::from_secs(20 * 60);
/// Descriptors that a service asks the system for: enough for all connections it takes and their jobs. Not more, as programs that it
/// starts may close all that there could be, one by one.
pub const DESCRIPTORS: u64 = 65_536;
/// Text peers of a scheduler without a command.
pub const TEXT_IDLE: Duration = Duration::from_secs(36);
/// Longest command line of a text peer.
pub const TEXT_LINE_MAX: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    /// Peers see them, or the manual and the service files tell them.
    #[test]
    fn bounds_that_others_know() {
        assert_eq!([HANDSHAKE, SEND, FRAME].map(|time| time.as_secs()), [15, 30, 60]);
        assert_eq!((CHUNK_PLAIN, CHUNK_PLAIN_MAX, FRAME_MAX), (100_000, 1_048_576, 1_048_576));
        assert_eq!((DISK_KEPT, CACHE_KEPT, DESCRIPTORS), (268_435_456, 200, 65_536));
        assert_eq!((NAME_MAX, PATH_MAX), (255, 4096));
    }

    #[test]
    fn the_cache_takes_a_tenth_of_the_disk_within_bounds() {
        const GIB: u64 = 1 << 30;
        for (free, limit) in [(0, GIB), (9 * GIB, GIB), (30 * GIB, 3 * GIB), (80 * GIB, 8 * GIB), (u64::MAX, 8 * GIB)] {
            assert_eq!(default_cache_limit(free), limit, "{free}");
        }
    }
}
