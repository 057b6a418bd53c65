//! Time in `core`: a number that the caller passes in.

use std::fmt;
use std::ops::{Add, Sub};
pub use std::time::Duration;

/// A point in time, in microseconds since a start that the caller chooses. It must not go back.
///
/// Durations are the standard library's, which are plain numbers and read no clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The start of time.
    pub const ZERO: Self = Self(0);

    /// The point `micros` microseconds after the start.
    pub const fn from_micros(micros: u64) -> Self {
        Self(micros)
    }

    /// Microseconds since the start.
    pub const fn as_micros(self) -> u64 {
        self.0
    }

    /// Time passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0))
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, d: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, d: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(d.as_micros()).unwrap_or(u64::MAX)))
    }
}

impl fmt::Display for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:06}s", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_neither_passes_its_ends_nor_goes_back() {
        let at = Instant::from_micros;
        let micros = Duration::from_micros;
        assert_eq!(
            [at(5) + micros(7), at(u64::MAX) + micros(1), at(5) + Duration::MAX],
            [at(12), at(u64::MAX), at(u64::MAX)]
        );
        assert_eq!(
            [at(7) - micros(5), at(5) - micros(7), at(5) - Duration::MAX],
            [at(2), Instant::ZERO, Instant::ZERO]
        );
        assert_eq!([at(7).since(at(5)), at(5).since(at(7))], [micros(2), Duration::ZERO]);
        assert_eq!([at(1_234_567).to_string(), at(999).to_string()], ["1.234567s", "0.000999s"]);
    }
}
