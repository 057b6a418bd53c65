//! Local time: the offset from UTC by `TZ` or the system's zone file. If neither is usable, times are UTC.
//!
//! The C library's `localtime_r` would need `unsafe` and reads the environment at unexpected times.

use tz::TimeZone;

/// The rules of one time zone.
#[derive(Debug)]
pub(super) struct Zone(TimeZone);

impl Zone {
    /// The zone of `TZ`, else of `/etc/localtime`.
    pub(super) fn local() -> Self {
        let zone = std::env::var("TZ").map_or_else(|_| TimeZone::local(), |name| TimeZone::from_posix_tz(&name));
        Self(zone.unwrap_or_else(|_| TimeZone::utc()))
    }

    /// Seconds to add to a UTC time.
    pub(super) fn offset_s(&self, utc: i64) -> i32 {
        let zone = self.0.as_ref();
        // A file without a rule for the time behind its last change: what held then goes on.
        let last =
            || zone.transitions().last().and_then(|last| zone.local_time_types().get(last.local_time_type_index()));
        zone.find_local_time_type(utc).ok().or_else(last).map_or(0, |kind| kind.ut_offset())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(zone: &str, times: &[i64]) -> Vec<i32> {
        let zone = Zone(TimeZone::from_posix_tz(zone).unwrap());
        times.iter().map(|time| zone.offset_s(*time)).collect()
    }

    #[test]
    fn summer_time_by_rule() {
        // 2026-03-29 00:59:59 and 01:00:00 UTC; 2026-10-25 00:59:59 and 01:00:00 UTC.
        let berlin = [1_774_745_999, 1_774_746_000, 1_792_889_999, 1_792_890_000];
        assert_eq!(offsets("CET-1CEST,M3.5.0,M10.5.0/3", &berlin), [3600, 7200, 7200, 3600]);
        // January is summer there, July is not.
        assert_eq!(offsets("AEST-10AEDT,M10.1.0,M4.1.0/3", &[1_767_600_000, 1_784_000_000]), [39_600, 36_000]);
        assert_eq!(offsets("<+0530>-5:30", &[0]), [19_800]);
    }

    #[test]
    fn behind_the_last_change_of_a_file_without_rule_its_offset_goes_on() {
        // Version 2: a first block for old readers, then one change at 1000 from +0 to +3600, and an empty footer.
        let header = |counts: [u32; 6]| {
            let counts: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
            [&b"TZif2"[..], &[0; 15], &counts].concat()
        };
        let mut file = header([0, 0, 0, 0, 1, 4]);
        file.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
        file.extend_from_slice(b"ABC\0");
        file.extend(header([0, 0, 0, 1, 2, 4]));
        file.extend_from_slice(&1000i64.to_be_bytes());
        file.push(1);
        file.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
        file.extend_from_slice(&[0, 0, 0x0e, 0x10, 0, 0]);
        file.extend_from_slice(b"ABC\0\n\n");
        let zone = Zone(TimeZone::from_tz_data(&file).unwrap());
        assert_eq!([999, 1000, 5000].map(|time| zone.offset_s(time)), [0, 3600, 3600]);
    }
}
