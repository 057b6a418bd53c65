//! Messages to monitors (`net/PROTOCOL.md`, Monitors), built from the scheduler's records.
//!
//! It does not know which monitors there are, nor when they are sent these messages.

use super::host::Host;
use crate::ids::{HostId, JobId};
use crate::message::{GetCs, JobDone, MonGetCs, MonStats, features};
use crate::text::Text;
use crate::version::Version;
use std::fmt::Write as _;

/// Names of feature bits in logs and towards monitors; `--` if none is set.
pub(super) fn feature_names(bits: u32) -> &'static str {
    match (bits & features::ENV_XZ != 0, bits & features::ENV_ZSTD != 0) {
        (false, false) => "--",
        (true, false) => "env_xz",
        (false, true) => "env_zstd",
        (true, true) => "env_xz env_zstd",
    }
}

/// MON_STATS of a host; with load averages and free memory if a STATS message is the cause.
pub(super) fn host_stats(host: &Host, with_averages: bool) -> MonStats {
    let mut text = Vec::with_capacity(224);
    let mut line = |key: &str, value: &[u8]| {
        text.extend_from_slice(key.as_bytes());
        text.push(b':');
        text.extend_from_slice(value);
        text.push(b'\n');
    };
    line("Name", host.said().name.as_bytes());
    line("IP", host.said().address.as_bytes());
    line("MaxJobs", host.work().slots().to_string().as_bytes());
    line("NoRemote", if host.said().no_remote { b"true" } else { b"false" });
    line("Platform", host.said().platform.as_bytes());
    line("Version", host.said().offer.to_string().as_bytes());
    line("Features", feature_names(host.said().features).as_bytes());
    line("Speed", format!("{:.6}", host.shown().value()).as_bytes());
    line("Load", host.load().to_string().as_bytes());
    if let Some(stats) = host.stats().filter(|_| with_averages) {
        line("LoadAvg1", stats.load_avg_1.to_string().as_bytes());
        line("LoadAvg5", stats.load_avg_5.to_string().as_bytes());
        line("LoadAvg10", stats.load_avg_10.to_string().as_bytes());
        line("FreeMem", stats.free_mem.to_string().as_bytes());
    }
    MonStats { host: host.id(), text: text.into() }
}

/// MON_STATS of a host that has left.
pub(super) fn offline(host: HostId) -> MonStats {
    MonStats { host, text: "State:Offline\n".into() }
}

/// MON_GET_CS: a job was requested. Monitors below protocol 29 expect a whole GET_CS, of which few fields are set.
pub(super) fn asked(request: &GetCs, job: JobId, submitter: HostId, version: Version) -> MonGetCs {
    let file = last_three(&request.file);
    let whole = |file: &Text| {
        let (language, target) = (request.language, request.target.clone());
        Box::new(GetCs { file: file.clone(), language, count: 1, target, ..GetCs::default() })
    };
    let old = (!version.has_short_mon_get_cs()).then(|| whole(&file));
    MonGetCs { file, language: request.language, job, host: submitter, request: old }
}

/// MON_JOB_DONE of a job whose end nobody reported.
pub(super) fn lost(job: JobId) -> JobDone {
    JobDone { job: job.0, exit_code: 255, ..JobDone::default() }
}

/// At most the last three components of a path.
pub(super) fn last_three(path: &Text) -> Text {
    let bytes = path.as_bytes();
    let slash = bytes.iter().enumerate().rev().filter(|(_, b)| **b == b'/').nth(2);
    match slash {
        Some((at, _)) => bytes.get(at + 1..).unwrap_or_default().into(),
        None => path.clone(),
    }
}

/// A list of environments for the log: `NAME(PLATFORM), …`.
pub(super) fn environment_list(environments: &[crate::env::EnvRef]) -> String {
    let mut list = String::new();
    for (i, env) in environments.iter().enumerate() {
        let comma = if i == 0 { "" } else { ", " };
        let _ = write!(list, "{comma}{}({})", env.name, env.platform);
    }
    list
}

#[cfg(test)]
mod tests {
    use super::last_three;

    #[test]
    fn paths_are_cut_to_three_components() {
        for (path, cut) in [("/a/b/c", "a/b/c"), ("a/b/c", "a/b/c"), ("/x/a/b/c", "a/b/c"), ("c", "c"), ("", "")] {
            assert_eq!(last_three(&path.into()), cut);
        }
    }
}
