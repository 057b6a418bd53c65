//! How many connections a service takes.

/// A daemon's maximum number of connections of other hosts, and the part that grows with the slots.
const ALL: (u64, u64) = (2048, 8);
/// The same of one address. A client has a connection for its job, and at times a second one to ask whether the server
/// lives; the scheduler sends it no more jobs than slots, and a few to wait for them.
const OF_ADDRESS: (u64, u64) = (256, 4);
/// What a daemon has beside the threads of its connections: those for signals, listeners, disks, tools.
const OTHER_TASKS: u64 = 64;

/// Maximum numbers of accepted connections at a time. Each is a descriptor and a thread.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ConnectionBounds {
    /// TCP connections, and as many Unix connections again.
    pub all: usize,
    /// TCP connections from one address.
    pub of_address: usize,
}

impl Default for ConnectionBounds {
    /// A scheduler's: each host of its network has one, and a few monitors and text peers.
    fn default() -> Self {
        Self { all: 10_000, of_address: 2_000 }
    }
}

impl ConnectionBounds {
    /// What a daemon's host with these slots bears, whose system gives so many descriptors and tasks, which jobs need
    /// too. Clients of the host itself may have as many connections again as all other hosts: half of the tasks, and
    /// much of the descriptors, stay for jobs.
    pub fn bearable(slots: u32, descriptors: u64, tasks: u64) -> Self {
        let wanted = |(base, of_slot): (u64, u64)| base + of_slot * u64::from(slots);
        let number = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
        let all = wanted(ALL).min(descriptors / 2).min(tasks / 4);
        Self { all: number(all), of_address: number(wanted(OF_ADDRESS).min(all / 4)) }
    }

    /// Maximum number of threads and processes of a daemon that takes them.
    pub fn tasks(self) -> u64 {
        2 * self.all as u64 + OTHER_TASKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_that_hosts_bear() {
        let many = u64::MAX;
        for (what, (slots, descriptors, tasks), (all, of_address)) in [
            ("the tests' two slots", (2, many, many), (2064, 264)),
            ("a large server, all of whose slots one submitter may have", (256, 65_536, 100_000), (4096, 1024)),
            ("few descriptors", (4, 1024, many), (512, 128)),
            ("a board of 1 GiB", (4, 65_536, 3900), (975, 243)),
            ("a service with systemd's limit on that board", (4, 65_536, 1180), (295, 73)),
        ] {
            let found = ConnectionBounds::bearable(slots, descriptors, tasks);
            assert_eq!(found, ConnectionBounds { all, of_address }, "{what}");
            assert_eq!(found.tasks(), 2 * all as u64 + 64, "{what}");
            assert!(2 * all as u64 <= tasks / 2, "{what}");
        }
    }
}
