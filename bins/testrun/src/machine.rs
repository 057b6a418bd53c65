//! What tests could leave on the machine besides processes.

use std::collections::BTreeSet;
use std::fs;

/// Namespaces that a mount holds, and network interfaces.
pub fn traces() -> BTreeSet<String> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    // "… ROOT MOUNT-POINT OPTIONS … - TYPE SOURCE …"
    let held = mounts.lines().filter(|line| line.contains(" - nsfs "));
    let held = held.filter_map(|line| Some(format!("namespace at {}", line.split(' ').nth(4)?)));
    let interfaces = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    held.chain(interfaces.map(|entry| format!("interface {}", entry.file_name().to_string_lossy()))).collect()
}
