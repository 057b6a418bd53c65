//! The launcher's own small root.

use crate::plan::{Step, c};
use nix::mount::MsFlags;
use nix::sched::CloneFlags;
use std::ffi::CString;
use std::fs;
use std::path::Path;

/// The devices in a sandbox.
pub(crate) const DEVICES: [&str; 4] = ["null", "zero", "random", "urandom"];

/// Whether this process is in a user namespace that is not the host's.
pub(super) fn is_in_user_namespace() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    !map.split_whitespace().eq(["0", "0", "4294967295"])
}

/// The steps that give the launcher its own small root. `with_proc`: in it is the host's `/proc`, without which the
/// kernel gives no sandbox of a user namespace one of its own. There it shows nothing that the user may not see.
pub(super) fn launcher_root_steps(base: &Path, with_proc: bool) -> Vec<Step> {
    let at = |path: &str| c(path);
    let host = |path: &[u8]| -> CString { c([b"/host", path].concat()) };
    let mut steps = vec![
        Step::Unshare(CloneFlags::CLONE_NEWNS),
        Step::Private,
        // /tmp exists on every host. The tmpfs mounted over it becomes our root a moment later.
        Step::Tmpfs { at: at("/tmp"), options: at("mode=755,size=64k") },
    ];
    steps.extend(["/tmp/host", "/tmp/base", "/tmp/box", "/tmp/dev", "/tmp/proc"].map(|d| Step::MakeDir(at(d))));
    steps.extend(DEVICES.map(|d| Step::MakeFile(c(format!("/tmp/dev/{d}")))));
    steps.push(Step::PivotRoot { new: at("/tmp"), old: Some(at("/tmp/host")) });
    steps.push(Step::Bind { from: host(base.as_os_str().as_encoded_bytes()), to: at("/base"), all: true });
    steps.extend(DEVICES.map(|d| Step::Bind {
        from: host(format!("/dev/{d}").as_bytes()),
        to: c(format!("/dev/{d}")),
        all: false,
    }));
    if with_proc {
        steps.push(Step::Bind { from: host(b"/proc"), to: at("/proc"), all: true });
    }
    steps.push(Step::Detach(at("/host")));
    let flags = MsFlags::MS_RDONLY | MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    steps.push(Step::Remount { at: at("/"), flags });
    steps
}
