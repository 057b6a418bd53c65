//! Protocol versions. Code asks for their features, not for numbers.

use std::fmt;

/// A protocol version: 21 to 44 once two peers have agreed (`net/PROTOCOL.md`, Versions). An *offer* may be higher.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(u32);

macro_rules! since {
    ($($(#[$doc:meta])* $name:ident: $n:expr;)*) => {
        $($(#[$doc])* pub const fn $name(self) -> bool { self.0 >= $n })*
    };
}

impl Version {
    /// Lowest version supported.
    pub const LOWEST: Self = Self(21);
    /// What we offer between daemon and scheduler and in UDP (decision: versions-offered).
    pub const TO_SCHEDULER: Self = Self(43);
    /// What we offer between clients and daemons (decision: versions-offered).
    pub const TO_CLIENT: Self = Self(44);
    /// Highest offer that is accepted.
    pub const HIGHEST_OFFER: Self = Self(1 << 20);

    /// The version with this number, unchecked.
    pub const fn new(n: u32) -> Self {
        Self(n)
    }

    /// The number.
    pub const fn number(self) -> u32 {
        self.0
    }

    /// The version that two peers use, or `None` if the other's offer is out of bounds (`net/PROTOCOL.md`, Handshake).
    pub fn agree(own: Self, other: Self) -> Option<Self> {
        (other >= Self::LOWEST && other <= Self::HIGHEST_OFFER).then(|| own.min(other))
    }

    /// The lowest version of a compile server for a job with these properties: required features, a `.dwo`,
    /// verification of its environment first.
    pub const fn needed_for(required_features: u32, split_dwarf: bool, verified: bool) -> Self {
        match (required_features, split_dwarf, verified) {
            (0, false, false) => Self::LOWEST,
            (0, false, true) => Self(31),
            (0, true, _) => Self(35),
            _ => Self(42),
        }
    }

    since! {
        /// GET_CS names a preferred host.
        has_preferred_host: 22;
        /// Servers explain failures to clients by STATUS_TEXT.
        has_status_text: 23;
        /// The scheduler sends CS_CONF.
        has_cs_conf: 24;
        /// A host's STATS no longer show that it is alive: it must answer PING.
        has_pong: 25;
        /// LOGIN has "no remote".
        has_no_remote: 26;
        /// Daemons need no PING.
        has_keepalive: 27;
        /// USE_CS carries a matched job.
        has_matched_job: 28;
        /// MON_GET_CS has few fields instead of a whole GET_CS.
        has_short_mon_get_cs: 29;
        /// COMPILE_FILE names the compiler.
        has_compiler_name: 30;
        /// Environments can be verified.
        has_verify_env: 31;
        /// GET_NATIVE_ENV names compiler and extra files.
        has_native_env_files: 32;
        /// Minimal host version; input file and working directory.
        has_input_file: 34;
        /// Split DWARF.
        has_dwo: 35;
        /// Schedulers give way to a preferred one that announces itself.
        has_election: 36;
        /// NO_CS exists.
        has_no_cs: 37;
        /// The server adds `-x` for Objective-C itself.
        has_objc_language: 38;
        /// Client counts; unknown job ids by flag.
        has_client_count: 39;
        /// zstd chunks.
        has_zstd: 40;
        /// One ordered argument list; absolute compiler path in GET_NATIVE_ENV.
        has_ordered_args: 41;
        /// Features and environment compression.
        has_features: 42;
        /// Niceness of a job.
        has_niceness: 43;
        /// Full local jobs.
        has_full_jobs: 44;
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_needs_the_version_that_has_what_it_asks_for() {
        for (features, split_dwarf, verified, number) in [
            (0, false, false, 21),
            (0, false, true, 31),
            (0, true, false, 35),
            (0, true, true, 35),
            (1, false, false, 42),
            (2, true, true, 42),
        ] {
            let needed = Version::needed_for(features, split_dwarf, verified);
            assert_eq!(needed.number(), number, "{features} {split_dwarf} {verified}");
            assert!(needed.has_features() || features == 0);
            assert!(needed.has_dwo() || !split_dwarf);
            assert!(needed.has_verify_env() || !verified);
        }
    }

    #[test]
    fn each_part_of_the_protocol_came_with_its_version() {
        type Since = (fn(Version) -> bool, u32);
        let since: [Since; 22] = [
            (Version::has_preferred_host, 22),
            (Version::has_status_text, 23),
            (Version::has_cs_conf, 24),
            (Version::has_pong, 25),
            (Version::has_no_remote, 26),
            (Version::has_keepalive, 27),
            (Version::has_matched_job, 28),
            (Version::has_short_mon_get_cs, 29),
            (Version::has_compiler_name, 30),
            (Version::has_verify_env, 31),
            (Version::has_native_env_files, 32),
            (Version::has_input_file, 34),
            (Version::has_dwo, 35),
            (Version::has_election, 36),
            (Version::has_no_cs, 37),
            (Version::has_objc_language, 38),
            (Version::has_client_count, 39),
            (Version::has_zstd, 40),
            (Version::has_ordered_args, 41),
            (Version::has_features, 42),
            (Version::has_niceness, 43),
            (Version::has_full_jobs, 44),
        ];
        for (has, number) in since {
            assert_eq!([number - 1, number].map(|n| has(Version::new(n))), [false, true], "{number}");
        }
    }

    #[test]
    fn peers_speak_the_lower_of_their_offers() {
        let agreed = |own: Version, other| Version::agree(own, Version::new(other)).map(Version::number);
        for (other, of_scheduler, of_client) in [
            (20, None, None),
            (21, Some(21), Some(21)),
            (43, Some(43), Some(43)),
            (44, Some(43), Some(44)),
            (45, Some(43), Some(44)),
            (1 << 20, Some(43), Some(44)),
            ((1 << 20) + 1, None, None),
        ] {
            let found = [Version::TO_SCHEDULER, Version::TO_CLIENT].map(|own| agreed(own, other));
            assert_eq!(found, [of_scheduler, of_client], "{other}");
        }
    }
}
