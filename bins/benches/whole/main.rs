//! Whole jobs and builds: our programs beside icecream 1.4's, on the same lab, in turn, as a table of medians and ratios.
//!
//! `scripts/bench.sh [--rounds N] [--programs DIR] [ROW...]` runs it. A row is one figure; smaller is better in all of them.

mod measure;
mod rows;
mod site;

use ice_bins::exit::chain;
use ice_lab::{Error, Programs, own_programs};

use rows::{GROUPS, Row};
use site::Site;

struct Options {
    rounds: usize,
    programs: Option<String>,
    wanted: Vec<String>,
}

fn main() {
    let options = options();
    let own = options.programs.as_ref().map_or_else(own_programs, |folder| Ok(Programs::at(folder)));
    let sides = match own {
        Ok(own) if own.complete() && Programs::peer_1_4().complete() => [own, Programs::peer_1_4()],
        Ok(_) => return println!("our programs and Debian's package icecc are both needed"),
        Err(error) => return println!("{}", chain(&error)),
    };
    println!("machine: {}", measure::machine());
    println!(
        "rounds: {}, in each both sides in turn; medians; the spread is that of the rounds' ratios\n",
        options.rounds
    );
    println!("{:<46}{:>10}{:>10}{:>7}  {:<12} unit", "row", "ours", "1.4", "ratio", "spread");
    let mut over = 0;
    for (place, rows) in GROUPS {
        let chosen: Vec<&Row> = rows.iter().filter(|row| is_wanted(row, &options.wanted)).collect();
        if chosen.is_empty() {
            continue;
        }
        // One after the other: while 1.4's scheduler lets its first daemon wait, nothing is measured.
        let sites = match sides.each_ref().map(|programs| Site::new(programs, *place)) {
            [Ok(ours), Ok(theirs)] => [ours, theirs],
            [Err(error), _] | [_, Err(error)] => {
                println!("{place:?}: {}", chain(&error));
                over += 1;
                continue;
            }
        };
        for row in chosen {
            match measured(row, &sites, options.rounds) {
                Ok(figures) => over += usize::from(!print(row, figures)),
                Err(error) => {
                    println!("{:<46}{}", row.name, chain(&error));
                    over += 1;
                }
            }
        }
    }
    println!("\nrows above 1.00 or not measured: {over}; load after: {}", measure::load());
}

fn options() -> Options {
    let mut options = Options { rounds: 5, programs: None, wanted: Vec::new() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Given by `cargo bench`.
            "--bench" => {}
            "--rounds" => {
                let rounds = args.next().and_then(|n| n.parse().ok());
                options.rounds = rounds.filter(|n| (1..=99).contains(n)).unwrap_or(options.rounds);
            }
            "--programs" => options.programs = args.next(),
            name => options.wanted.push(name.to_string()),
        }
    }
    options
}

fn is_wanted(row: &Row, wanted: &[String]) -> bool {
    wanted.is_empty() || wanted.iter().any(|part| row.name.contains(part.as_str()))
}

/// A pair of figures for each round, ours first.
fn measured(row: &Row, sites: &[Site; 2], rounds: usize) -> Result<Vec<[f64; 2]>, Error> {
    let mut figures = Vec::new();
    for round in 0..rounds {
        let mut pair = [f64::NAN; 2];
        // Who begins changes, so that neither side always has the warmer or the busier machine.
        for turn in 0..2 {
            let side = (round + turn) % 2;
            pair[side] = (row.measure)(&sites[side])?;
        }
        figures.push(pair);
    }
    Ok(figures)
}

/// Prints a row; whether it is at most 1.
fn print(row: &Row, figures: Vec<[f64; 2]>) -> bool {
    let [ours, theirs] = [0, 1].map(|side| measure::median(figures.iter().map(|pair| pair[side]).collect()));
    let ratio = ours / theirs;
    let mut ratios: Vec<f64> = figures.iter().map(|pair| pair[0] / pair[1]).collect();
    ratios.sort_by(f64::total_cmp);
    let spread = match ratios[..] {
        [first, .., last] => format!("{first:.2}..{last:.2}"),
        _ => String::new(),
    };
    println!("{:<46}{ours:>10.2}{theirs:>10.2}{ratio:>7.2}  {spread:<12} {}", row.name, row.unit);
    let good = ratio <= 1.005;
    if let Some(why) = row.why.filter(|_| !good) {
        println!("    {why}");
    }
    good
}
