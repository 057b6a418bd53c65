//! Whole jobs and builds: our programs beside icecream 1.4's, on the same lab, in turn, as a table of medians and ratios.
//!
//! `scripts/bench.sh [--rounds N] [ROW...]` runs it. A row is one figure; smaller is better in all of them.

mod measure;
mod rows;

use ice_bins::exit::chain;
use ice_bins::lab::{Programs, own_programs};

use rows::{ROWS, Row};

fn main() {
    let mut rounds = 3;
    let mut wanted = Vec::new();
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            // Given by `cargo bench`.
            "--bench" => {}
            "--rounds" => {
                rounds = args.next().and_then(|n| n.parse().ok()).filter(|n| (1..=99).contains(n)).unwrap_or(rounds)
            }
            name => wanted.push(name.to_string()),
        }
    }
    let sides = match own_programs() {
        Ok(own) if own.complete() && Programs::peer_1_4().complete() => [("ours", own), ("1.4", Programs::peer_1_4())],
        Ok(_) => return println!("our programs and Debian's package icecc are both needed"),
        Err(error) => return println!("{}", chain(&error)),
    };
    println!("machine: {}", measure::machine());
    println!("{rounds} rounds, medians; the sides take turns in each round\n");
    println!("{:<44}{:>12}{:>12}{:>8}  unit", "row", "ours", "1.4", "ratio");
    for row in ROWS.iter().filter(|row| wanted.is_empty() || wanted.iter().any(|w| row.name.contains(w.as_str()))) {
        print_row(row, &sides, rounds);
    }
}

fn print_row(row: &Row, sides: &[(&str, Programs); 2], rounds: usize) {
    let mut values: [Vec<f64>; 2] = [Vec::new(), Vec::new()];
    for round in 0..rounds {
        for (index, (side, programs)) in sides.iter().enumerate() {
            match (row.measure)(programs) {
                Ok(value) => values[index].push(value),
                Err(error) => return println!("{:<44}round {} of {side}: {}", row.name, round + 1, chain(&error)),
            }
        }
    }
    let [ours, theirs] = values.map(measure::median);
    println!("{:<44}{ours:>12.3}{theirs:>12.3}{:>8.2}  {}", row.name, ours / theirs, row.unit);
}
