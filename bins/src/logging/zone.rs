//! Local time: how far a moment is from UTC, read from the system's zone file.
//!
//! The C library's `localtime_r` would need `unsafe` and reads the environment behind our back; the zone files (RFC 8536)
//! are simple. Where nothing usable is found, times are UTC.

use std::path::{Path, PathBuf};

/// A zone file is a few KiB; more is not one.
const FILE_MAX: u64 = 256 << 10;

/// The rules of one time zone.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Zone {
    /// When an offset begins (UTC seconds) and the offset, ascending.
    changes: Vec<(i64, i32)>,
    /// The offset before the first change.
    first: i32,
    /// What holds after the last change.
    rule: Option<Rule>,
}

/// The part of a POSIX `TZ` text that zone files end with: `CET-1CEST,M3.5.0,M10.5.0/3`.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    winter: i32,
    summer: Option<Summer>,
}

#[derive(Debug, PartialEq, Eq)]
struct Summer {
    offset: i32,
    begin: Switch,
    end: Switch,
}

/// Week `week` (5: the last) of `month`, on `day` (0: Sunday), `second` seconds after local midnight.
#[derive(Debug, PartialEq, Eq)]
struct Switch {
    month: i64,
    week: i64,
    day: i64,
    second: i32,
}

impl Zone {
    /// The zone of `TZ`, else of `/etc/localtime`.
    pub(super) fn local() -> Zone {
        let path = match std::env::var("TZ") {
            Ok(name) => match name.trim_start_matches(':') {
                "" | "UTC" | "UTC0" | "GMT" => return Zone::default(),
                name if name.starts_with('/') => PathBuf::from(name),
                name if name.contains("..") => return Zone::default(),
                name => {
                    if let Some(rule) = Rule::parse(name) {
                        return Zone { rule: Some(rule), ..Zone::default() };
                    }
                    Path::new("/usr/share/zoneinfo").join(name)
                }
            },
            Err(_) => PathBuf::from("/etc/localtime"),
        };
        read(&path).and_then(|bytes| Zone::parse(&bytes)).unwrap_or_default()
    }

    /// Seconds to add to a UTC time.
    pub(super) fn offset_s(&self, utc: i64) -> i32 {
        let after = self.changes.partition_point(|(at, _)| *at <= utc);
        match &self.rule {
            Some(rule) if after == self.changes.len() => rule.offset_s(utc),
            _ if after == 0 => self.first,
            _ => self.changes[after - 1].1,
        }
    }

    fn parse(file: &[u8]) -> Option<Zone> {
        // The first block holds 32-bit times for old readers: skipped.
        let old = Counts::parse(file)?;
        let block = file.get(44 + old.size(4)..)?;
        let counts = Counts::parse(block)?;
        let body = block.get(44..)?;
        let times = body.get(..counts.times * 8)?;
        let kinds = body.get(counts.times * 8..counts.times * 9)?;
        let types = body.get(counts.times * 9..counts.times * 9 + counts.types * 6)?;
        let offset =
            |kind: usize| types.get(kind * 6..kind * 6 + 4).map(|b| i32::from_be_bytes([b[0], b[1], b[2], b[3]]));
        let mut changes = Vec::with_capacity(counts.times);
        for (time, kind) in times.chunks_exact(8).zip(kinds) {
            changes.push((i64::from_be_bytes(time.try_into().ok()?), offset(usize::from(*kind))?));
        }
        let footer = block.get(44 + counts.size(8)..)?;
        let footer = std::str::from_utf8(footer).ok()?.trim_matches('\n');
        Some(Zone { changes, first: offset(0)?, rule: Rule::parse(footer) })
    }
}

/// The head of one block of a zone file.
struct Counts {
    times: usize,
    types: usize,
    others: [usize; 4],
}

impl Counts {
    fn parse(block: &[u8]) -> Option<Counts> {
        let head = block.get(..44)?;
        if &head[..4] != b"TZif" || head[4] < b'2' {
            return None;
        }
        let field = |at: usize| {
            let at = 20 + at * 4;
            // A file is at most FILE_MAX bytes, so larger counts cannot be true and would only overflow.
            usize::try_from(u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]))
                .ok()
                .filter(|n| *n < 1 << 16)
        };
        Some(Counts { others: [field(0)?, field(1)?, field(2)?, field(5)?], times: field(3)?, types: field(4)? })
    }

    /// Bytes of the block's data with times of `width` bytes.
    fn size(&self, width: usize) -> usize {
        let [is_ut, is_std, leap, names] = self.others;
        self.times * (width + 1) + self.types * 6 + names + leap * (width + 4) + is_std + is_ut
    }
}

impl Rule {
    fn parse(text: &str) -> Option<Rule> {
        let mut text = text;
        skip_name(&mut text)?;
        let winter = -seconds(&mut text)?;
        if text.is_empty() {
            return Some(Rule { winter, summer: None });
        }
        skip_name(&mut text)?;
        let offset = if text.starts_with(',') { winter + 3600 } else { -seconds(&mut text)? };
        let mut switches = text.strip_prefix(',')?.split(',');
        let begin = Switch::parse(switches.next()?)?;
        let end = Switch::parse(switches.next()?)?;
        Some(Rule { winter, summer: Some(Summer { offset, begin, end }) })
    }

    fn offset_s(&self, utc: i64) -> i32 {
        let Some(summer) = &self.summer else {
            return self.winter;
        };
        let year = time::OffsetDateTime::from_unix_timestamp(utc + i64::from(self.winter)).map_or(1970, |t| t.year());
        let begin = summer.begin.utc(year, self.winter);
        let end = summer.end.utc(year, summer.offset);
        // South of the equator summer spans the new year.
        let is_summer = if begin < end { (begin..end).contains(&utc) } else { !(end..begin).contains(&utc) };
        if is_summer { summer.offset } else { self.winter }
    }
}

impl Switch {
    fn parse(text: &str) -> Option<Switch> {
        let (date, mut at) = text.split_once('/').unwrap_or((text, "2"));
        let mut parts = date.strip_prefix('M')?.split('.').map(|part| part.parse::<i64>().ok());
        let (month, week, day) = (parts.next()??, parts.next()??, parts.next()??);
        let valid = (1..=12).contains(&month) && (1..=5).contains(&week) && (0..=6).contains(&day);
        let second = seconds(&mut at)?;
        valid.then_some(Switch { month, week, day, second })
    }

    /// When it happens in `year`, if local time is `offset` seconds from UTC until then.
    fn utc(&self, year: i32, offset: i32) -> i64 {
        let first = days_to(i64::from(year), self.month);
        let next =
            if self.month == 12 { days_to(i64::from(year) + 1, 1) } else { days_to(i64::from(year), self.month + 1) };
        // 1 January 1970 was a Thursday.
        let weekday = (first + 4).rem_euclid(7);
        let mut day = first + (self.day - weekday).rem_euclid(7) + (self.week - 1) * 7;
        if day >= next {
            day -= 7;
        }
        day * 86_400 + i64::from(self.second) - i64::from(offset)
    }
}

/// Days from 1 January 1970 to the first of a month.
fn days_to(year: i64, month: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let past = year - 1;
    let leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    let leap_days = past / 4 - past / 100 + past / 400 - (1969 / 4 - 1969 / 100 + 1969 / 400);
    let month = usize::try_from(month - 1).unwrap_or(0).min(11);
    (year - 1970) * 365 + leap_days + BEFORE[month] + i64::from(leap && month > 1)
}

fn skip_name(text: &mut &str) -> Option<()> {
    let end = if text.starts_with('<') {
        text.find('>')? + 1
    } else {
        text.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(text.len())
    };
    (end >= 3).then(|| *text = &text[end..])
}

/// `[+-]hh[:mm[:ss]]` as seconds.
fn seconds(text: &mut &str) -> Option<i32> {
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '+' | '-' | ':'))).unwrap_or(text.len());
    let (own, rest) = text.split_at(end);
    *text = rest;
    let negative = own.starts_with('-');
    let mut total = 0;
    for (part, unit) in own.trim_start_matches(['+', '-']).split(':').zip([3600, 60, 1]) {
        total += part.parse::<i32>().ok().filter(|n| (0..=167).contains(n))? * unit;
    }
    Some(if negative { -total } else { total })
}

fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).ok()?;
    std::io::Read::read_to_end(&mut std::io::Read::take(file, FILE_MAX), &mut bytes).ok()?;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Zone {
        Zone { rule: Rule::parse(text), ..Zone::default() }
    }

    #[test]
    fn summer_time_by_rule() {
        let berlin = rule("CET-1CEST,M3.5.0,M10.5.0/3");
        // 2026-03-29 00:59:59 and 01:00:00 UTC; 2026-10-25 00:59:59 and 01:00:00 UTC.
        assert_eq!(
            [1_774_745_999, 1_774_746_000, 1_792_889_999, 1_792_890_000].map(|t| berlin.offset_s(t)),
            [3600, 7200, 7200, 3600]
        );
        let sydney = rule("AEST-10AEDT,M10.1.0,M4.1.0/3");
        // January is summer there, July is not.
        assert_eq!([1_767_600_000, 1_784_000_000].map(|t| sydney.offset_s(t)), [39_600, 36_000]);
        assert_eq!(rule("<+0530>-5:30").offset_s(0), 19_800);
    }

    #[test]
    fn a_zone_file_by_hand() {
        // Version 2, empty first block; one change at 1000 from +0 to +3600, then the rule of its footer.
        let mut file = b"TZif2".to_vec();
        file.resize(44, 0);
        file.extend_from_slice(b"TZif2");
        file.resize(44 + 20, 0);
        for count in [0u32, 0, 0, 1, 2, 4] {
            file.extend_from_slice(&count.to_be_bytes());
        }
        file.extend_from_slice(&1000i64.to_be_bytes());
        file.push(1);
        file.extend_from_slice(&[0, 0, 0, 0, 0, 0]);
        file.extend_from_slice(&[0, 0, 0x0e, 0x10, 0, 0]);
        file.extend_from_slice(b"ABC\0");
        let plain = Zone::parse(&[&file[..], b"\n\n"].concat()).unwrap();
        assert_eq!([999, 1000, 5000].map(|t| plain.offset_s(t)), [0, 3600, 3600]);
        let ruled = Zone::parse(&[&file[..], b"\nABC-2\n"].concat()).unwrap();
        assert_eq!([999, 1000].map(|t| ruled.offset_s(t)), [0, 7200]);
        for cut in 0..file.len() {
            assert!(Zone::parse(&file[..cut]).is_none(), "{cut}");
        }
    }
}
