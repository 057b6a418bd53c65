//! The sixteen mixes × {gcc C, g++ C++, clang C, clang++ C++}.

use crate::cluster::Whose;
use crate::farm::{BOTH, COMPILERS, Compiler, Farm, Mix};

/// All of them, as a table.
#[test]
#[ignore = "two minutes: scripts/prove.sh dropin.1"]
fn dropin_1_all_sixteen_mixes_with_four_compilers() {
    let Some(text) = run(BOTH.map(|whose| (whose, Mix::below(whose).collect::<Vec<_>>())).as_slice(), &COMPILERS)
    else {
        return;
    };
    println!("{text}");
}

/// Eight: each program of either kind meets each other of either kind, as C and as C++.
#[test]
fn mixes_in_which_every_pair_of_programs_meets() {
    use Whose::{Ours, Peer14};
    let mixes = |scheduler, rows: [[Whose; 3]; 2]| {
        let of = |[daemon, client, server]: [Whose; 3]| Mix { scheduler, daemon, client, server };
        (scheduler, rows.map(of).to_vec())
    };
    let rows = [
        mixes(Ours, [[Ours, Peer14, Peer14], [Peer14, Ours, Ours]]),
        mixes(Peer14, [[Ours, Ours, Ours], [Peer14, Peer14, Peer14]]),
    ];
    if let Some(text) = run(&rows, &COMPILERS[..2]) {
        println!("{text}");
    }
}

fn run(schedulers: &[(Whose, Vec<Mix>)], compilers: &[Compiler]) -> Option<String> {
    let mut text = format!("{:<9} {:<6} {:<6} {:<6}", "scheduler", "daemon", "client", "server");
    compilers.iter().for_each(|c| text.push_str(&format!(" {:<8}", c.program)));
    text.push('\n');
    let (mut right, mut all, mut reports) = (0, 0, String::new());
    for (scheduler, mixes) in schedulers {
        let farm = Farm::up(*scheduler, &[])?;
        warm(&farm, mixes, compilers);
        for mix in mixes {
            text.push_str(&mix.to_string());
            for compiler in compilers {
                all += 1;
                let result = farm.compile(mix.submitter(), *mix, *compiler, &[]);
                text.push_str(if result.is_ok() { " remote  " } else { " FAILED  " });
                match result {
                    Ok(_) => right += 1,
                    Err(report) => reports.push_str(&format!("{mix} {}: {report}\n", compiler.program)),
                }
            }
            text.push('\n');
        }
        let listing = farm.cluster.lab.console("listcs").unwrap_or_default();
        if !reports.is_empty() {
            let log = farm.cluster.lab.log("h1", "scheduler.log").unwrap_or_default();
            reports.push_str(&format!("{listing}\nthe scheduler's log:\n{log}"));
        }
        for mix in mixes {
            if listing.lines().any(|line| line.contains(&format!(" {} ", mix.server())) && line.contains("speed=0.00"))
            {
                reports.push_str(&format!("the scheduler has learned no speed of {}:\n{listing}", mix.server()));
            }
        }
    }
    text.push_str(&format!("{right} of {all}: remote by the server's log, object equal to the plain compiler's\n"));
    assert!(reports.is_empty(), "{text}{reports}");
    Some(text)
}

/// Makes and ships the environments, so that what follows is compiles only.
fn warm(farm: &Farm, mixes: &[Mix], compilers: &[Compiler]) {
    let mut done: Vec<(&str, &str, bool)> = Vec::new();
    for mix in mixes {
        for compiler in compilers {
            let environment = (mix.submitter(), mix.server(), compiler.program.contains("clang"));
            if !done.contains(&environment) {
                done.push(environment);
                // Its outcome is of no interest: the jobs that count come after it.
                let _ = farm.compile(mix.submitter(), *mix, *compiler, &[]);
            }
        }
    }
}
