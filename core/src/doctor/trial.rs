//! One real compile for every host.

use super::{Facts, Findings, Outcome};

pub(super) fn compile(facts: &Facts, findings: &mut Findings<'_>) {
    let others: Vec<_> = facts.trials.iter().collect();
    let came_back = others.iter().filter(|trial| trial.outcome == Outcome::There).count();
    for trial in &others {
        let host = &trial.host;
        let (found, remedy) = match &trial.outcome {
            Outcome::There => {
                findings.ok(format!("{host} compiled a file in {} ms", trial.milliseconds));
                continue;
            }
            Outcome::Elsewhere(other) => (
                format!("the file for {host} was compiled on {other}"),
                format!("look into the daemon's log on {host}"),
            ),
            Outcome::Here(why) => (format!("the file for {host} was compiled here: {why}"), remedy_of(why, host)),
            Outcome::Late(seconds) => {
                let found = format!("the file for {host} was not compiled within {seconds} s");
                (found, format!("look into the daemon's log on {host}"))
            }
            Outcome::Failed(said) => {
                (format!("the file for {host} was not compiled: {said}"), "make the compiler work on this host".into())
            }
        };
        if came_back == 0 { findings.bad(found, remedy) } else { findings.warn(found, remedy) }
    }
    if others.is_empty() {
        findings.bad("no file was compiled on another host", "do what is said above, and ask again");
    }
}

/// The remedy of the reason that a client gave.
fn remedy_of(said: &str, host: &str) -> String {
    let known = crate::reason::Reason::ALL.iter().find(|reason| said.contains(reason.sentence()));
    known.map_or_else(|| format!("look into the daemon's log on {host}"), |reason| reason.remedy().to_owned())
}
