//! A command is run on this host: the log says why, and `ICECC_FALLBACK` decides where the cluster is at fault
//! (decision: fallbacks-shown).
//!
//! Nothing else runs the user's command because it was not compiled elsewhere.

use super::account::Account;
use super::task::Task;
use super::variables::{Fallback, Variables};
use super::{exit_code, local, remembered};
use ice_core::reason::{Reason, Why};
use ice_net::conn::Conn;
use log::{debug, error, warn};

/// Runs the task here. `daemon` connects to the daemon, if that is still needed.
pub(super) fn run(
    task: &Task,
    variables: &Variables,
    why: &Why,
    account: &mut Account,
    daemon: impl FnOnce(&mut Account) -> Option<Conn>,
) -> i32 {
    log_reason(task, why);
    if why.reason == Reason::NotACompiler {
        tell_unknown(task, variables);
    }
    if why.reason.is_clusters_fault() {
        let error = why.reason.error().map(|number| format!(" (error {number})")).unwrap_or_default();
        match variables.fallback {
            Fallback::Silent => {}
            Fallback::Warn => eprintln!("icecc: compiling here: {why}{error}"),
            Fallback::Never => {
                eprintln!("icecc: not compiled, as ICECC_FALLBACK=never: {why}{error}");
                return exit_code::FALLBACK_REFUSED;
            }
        }
    }
    account.stays(why);
    let daemon = daemon(account);
    local::run(task, daemon, account)
}

/// Who asks to be told what is not compiled elsewhere is told once of a program that could be a compiler.
fn tell_unknown(task: &Task, variables: &Variables) {
    if variables.fallback != Fallback::Silent && task.words.iter().any(|word| word == "-c") {
        let text = format!("{} is not known as a compiler: what it does is done here", task.program.display());
        if remembered::is_news(&task.program, &text) {
            eprintln!("icecc: {text}");
        }
    }
}

/// The lines of what 1.4 logs too are in its words.
fn log_reason(task: &Task, why: &Why) {
    let Why { reason, detail, host } = why;
    match (reason, reason.error()) {
        (Reason::UserSaidNo | Reason::UnderIcerun | Reason::NotACompiler | Reason::NoDaemon, _) => {}
        (Reason::NoEnvironment, _) => warn!("{detail}, building locally"),
        (Reason::VariableSet, _) => debug!("{detail} is set, building locally"),
        (Reason::FileMissing, _) => warn!("file for argument {detail} missing, building locally"),
        (Reason::NativeFailed, _) => {
            // As long as nobody does anything about it, no job of this compiler goes anywhere.
            let text = format!("{why}: jobs of {} are compiled here", task.program.display());
            if remembered::is_news(&task.program, &text) { error!("{text}") } else { warn!("{why}") }
        }
        (Reason::NoNativeArchive | Reason::NoScheduler | Reason::NoHost, _) => warn!("{why}"),
        (Reason::FalseResult, Some(number)) => warn!("{host} sent a result that is none: Error {number} - {why}"),
        (_, Some(number)) if reason.is_about_result() => {
            warn!("local build forced by remote exception: Error {number} - {why}");
        }
        (_, Some(number)) => warn!("got exception Error {number} - {why} ({host})"),
        (_, None) if detail.is_empty() => debug!("{reason}"),
        (_, None) => debug!("{reason} ({detail})"),
    }
}
