//! Raw numbers of this machine, from `/proc` and the file system of the environments. What they mean is decided in core.

use std::fs;
use std::io::{self, Read};
use std::path::Path;

use ice_core::daemon::{CpuTicks, Measurement, Memory};
use ice_sandbox::memory::headroom;

/// More than the part of `/proc/stat` and `/proc/meminfo` that we look at; `stat` grows with the processors.
const READ_MAX: u64 = 8192;

/// Looks at everything. What cannot be read is left at nothing: a host without `/proc` reports an idle machine.
pub fn measure(environments: &Path) -> Measurement {
    let text = |path| read(path).unwrap_or_default();
    let mut memory = memory(&text("/proc/meminfo"));
    memory.headroom_kb = headroom().map_or(memory.headroom_kb, |bytes| bytes >> 10);
    Measurement {
        cpu: cpu(&text("/proc/stat")),
        load_avg: load_avg(&text("/proc/loadavg")),
        memory,
        disk_free: nix::sys::statvfs::statvfs(environments)
            .map_or(u64::MAX, |s| s.blocks_available().saturating_mul(s.fragment_size())),
    }
}

fn read(path: &str) -> io::Result<String> {
    // Sized at once: growing costs a call of the system for each step.
    let mut text = Vec::with_capacity(READ_MAX as usize);
    fs::File::open(path)?.take(READ_MAX).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The line `cpu  USER NICE SYSTEM IDLE IOWAIT …`.
fn cpu(stat: &str) -> CpuTicks {
    let line = stat.lines().find_map(|l| l.strip_prefix("cpu ")).unwrap_or_default();
    let mut fields = line.split_ascii_whitespace().map(|f| f.parse().unwrap_or(0));
    let mut next = || fields.next().unwrap_or(0);
    CpuTicks { user: next(), nice: next(), system: next(), idle: next(), iowait: next() }
}

/// `0.60 0.33 …`, times 1000.
fn load_avg(text: &str) -> [u32; 3] {
    let mut fields = text.split_ascii_whitespace();
    [(); 3].map(|()| {
        let (whole, part) = fields.next().and_then(|f| f.split_once('.')).unwrap_or_default();
        let part = format!("{part:0<3}");
        let number = |t: &str| t.parse::<u32>().unwrap_or(0);
        number(whole).saturating_mul(1000).saturating_add(number(part.get(..3).unwrap_or("0")))
    })
}

/// `MemAvailable` is there since Linux 3.14; before, what is surely free.
fn memory(text: &str) -> Memory {
    let field = |name: &str| {
        let line = text.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':'))?;
        line.split_ascii_whitespace().next()?.parse::<u64>().ok()
    };
    let available_kb = field("MemAvailable").or_else(|| field("MemFree")).unwrap_or(0);
    Memory { total_kb: field("MemTotal").unwrap_or(0), available_kb, headroom_kb: available_kb }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc() {
        let stat = "cpu  10 20 30 40 50 1 2 3 4 5\ncpu0 1 1 1 1 1\n";
        assert_eq!(cpu(stat), CpuTicks { user: 10, nice: 20, system: 30, idle: 40, iowait: 50 });
        assert_eq!(load_avg("0.60 12.3 1.05 1/2 3\n"), [600, 12_300, 1050]);
        assert_eq!(load_avg(""), [0; 3]);
        let meminfo = "MemTotal: 8000 kB\nMemFree: 1000 kB\nMemAvailable:    5000 kB\n";
        assert_eq!(memory(meminfo), Memory { total_kb: 8000, available_kb: 5000, headroom_kb: 5000 });
        assert_eq!(memory("MemTotal: 8000 kB\nMemFree: 1000 kB\n").available_kb, 1000);
    }

    #[test]
    fn this_machine() {
        let m = measure(Path::new("/"));
        assert!(m.memory.total_kb > 0 && m.disk_free > 0);
    }
}
