//! Numbers and names as the screen shows them.

use std::time::Duration;

/// A time in at most five columns: `0.4s`, `12s`, `3m05`, `1h02`, `4d`.
pub fn time(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        0..10 => format!("{:.1}s", time.as_secs_f64()),
        10..60 => format!("{seconds}s"),
        60..3600 => format!("{}m{:02}", seconds / 60, seconds % 60),
        3600..360_000 => format!("{}h{:02}", seconds / 3600, seconds / 60 % 60),
        _ => format!("{}d", seconds / 86_400),
    }
}

/// A number of bytes: `512 B`, `3.4 kB`, `12 MB`.
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];
    let mut number = bytes as f64;
    let mut unit = 0;
    while number >= 999.5 && unit + 1 < UNITS.len() {
        number /= 1000.0;
        unit += 1;
    }
    if unit > 0 && number < 9.95 {
        format!("{number:.1} {}", UNITS[unit])
    } else {
        format!("{number:.0} {}", UNITS[unit])
    }
}

/// The load of a host, of a thousand, in percent; `-` if it is not known.
pub fn load(load: Option<u32>) -> String {
    load.map_or("-".to_owned(), |load| format!("{}%", load.min(1000) / 10))
}

/// The end of a path, which tells most, in so many columns.
pub fn path(path: &str, width: usize) -> String {
    let count = path.chars().count();
    if count <= width {
        return path.to_owned();
    }
    let tail: String = path.chars().skip(count - width.saturating_sub(1)).collect();
    format!("…{tail}")
}

/// The beginning of a name in so many columns.
pub fn name(name: &str, width: usize) -> String {
    if name.chars().count() <= width {
        return name.to_owned();
    }
    let head: String = name.chars().take(width.saturating_sub(1)).collect();
    format!("{head}…")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let times = [0.04, 9.94, 59.9, 185.0, 3725.0, 360_000.0].map(|s| time(Duration::from_secs_f64(s)));
        assert_eq!(times, ["0.0s", "9.9s", "59s", "3m05", "1h02", "4d"]);
        assert_eq!(
            [0, 999, 1000, 9949, 9950, 12_345_678].map(bytes),
            ["0 B", "999 B", "1.0 kB", "9.9 kB", "10 kB", "12 MB"]
        );
        assert_eq!([None, Some(0), Some(999), Some(5000)].map(load), ["-", "0%", "99%", "100%"]);
    }

    #[test]
    fn names_are_cut_at_their_end_and_paths_at_their_beginning() {
        assert_eq!((path("src/a.cc", 8), path("src/ab.cc", 8)), ("src/a.cc".into(), "…c/ab.cc".into()));
        assert_eq!((name("host", 4), name("host5", 4), name("host5", 0)), ("host".into(), "hos…".into(), "…".into()));
    }
}
