//! A command is run on this host: the log says why, and `ICECC_FALLBACK` decides where the cluster is at fault
//! (decision: fallbacks-shown).
//!
//! Nothing else runs the user's command because it was not compiled elsewhere.

use super::task::Task;
use super::variables::{Fallback, Use, Variables};
use super::{exit_code, local, remembered};
use ice_core::client::{Here, Trouble};
use ice_core::text::Text;
use ice_net::conn::Conn;
use log::{error, warn};

/// Runs the task here. `daemon` connects to the daemon, if that is still needed.
pub(super) fn run(task: &Task, variables: &Variables, here: &Here, daemon: impl FnOnce() -> Option<Conn>) -> i32 {
    match here {
        Here::Meant | Here::NoDaemon => {}
        Here::Unknown => tell_unknown(task, variables),
        Here::NoEnvironment(why) => warn!("{why}, building locally"),
        Here::Trouble { trouble, host } => log_trouble(task, trouble, host),
    }
    if here.is_clusters_fault() {
        match variables.fallback {
            Fallback::Silent => {}
            Fallback::Warn => eprintln!("icecc: compiling here: {here}"),
            Fallback::Never => {
                eprintln!("icecc: not compiled, as ICECC_FALLBACK=never: {here}");
                return exit_code::FALLBACK_REFUSED;
            }
        }
    }
    local::run(task, daemon())
}

/// Who asks to be told what is not compiled elsewhere is told once of a program that could be a compiler.
fn tell_unknown(task: &Task, variables: &Variables) {
    let is_asked = variables.fallback != Fallback::Silent && variables.usage == Use::Cluster;
    if is_asked && task.words.iter().any(|word| word == "-c") {
        let text = format!("{} is not known as a compiler: what it does is done here", task.program.display());
        if remembered::is_news(&task.program, &text) {
            eprintln!("icecc: {text}");
        }
    }
}

fn log_trouble(task: &Task, trouble: &Trouble, host: &Text) {
    let number = trouble.number();
    match trouble {
        Trouble::NativeFailed(_) => {
            // As long as nobody does anything about it, no job of this compiler goes anywhere.
            let text = format!("{trouble}: jobs of {} are compiled here", task.program.display());
            if remembered::is_news(&task.program, &text) { error!("{text}") } else { warn!("{trouble}") }
        }
        Trouble::NoNativeEnv | Trouble::NoScheduler | Trouble::NoHost => warn!("{trouble}"),
        Trouble::FalseResult(_) => warn!("{host} sent a result that is none: Error {number} - {trouble}"),
        _ if trouble.is_about_result() => {
            warn!("local build forced by remote exception: Error {number} - {trouble}");
        }
        _ => warn!("got exception Error {number} - {trouble} ({host})"),
    }
}
