//! What long proofs have in common: which cases are tried now, and a file that gets each result as it comes, so that the next run goes
//! on from there.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// What variables say of a run: `SWEEP_PART` (N/M), `SWEEP_SEED`, `SWEEP_RESULTS` (a file; what it already has is not tried again)
/// and `SWEEP_ONLY` (a part of the command).
pub struct Run {
    /// Number of the part, from 1 on, and of all parts.
    part: (usize, usize),
    /// The seed.
    pub seed: u64,
    /// What a command must contain.
    pub only: String,
    /// Path of the results.
    pub results: String,
}

impl Run {
    /// What the variables say.
    pub fn asked() -> Run {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let part = variable("SWEEP_PART").unwrap_or("1/1".to_string());
        let (part, parts) = part.split_once('/').expect("SWEEP_PART=N/M");
        Run {
            part: (part.parse().unwrap(), parts.parse().unwrap()),
            seed: variable("SWEEP_SEED").map_or(0, |seed| seed.parse().expect("a number")),
            only: variable("SWEEP_ONLY").unwrap_or_default(),
            results: variable("SWEEP_RESULTS").unwrap_or("/tmp/sweep-results.jsonl".to_string()),
        }
    }

    /// Whether the case of this number is in the part.
    pub fn has(&self, number: usize) -> bool {
        number % self.part.1 == self.part.0 - 1
    }

    /// The results that were written before; a line that was cut off is left out.
    pub fn known<R: DeserializeOwned>(&self) -> Vec<R> {
        let lines = File::open(&self.results).into_iter().flat_map(|file| BufReader::new(file).lines());
        lines.map_while(|line| line.ok()).filter_map(|line| serde_json::from_str(&line).ok()).collect()
    }

    /// Writes a result behind the others.
    pub fn writer<R: Serialize>(&self) -> impl FnMut(&R) {
        let mut file = OpenOptions::new().create(true).append(true).open(&self.results).expect("the results file");
        move |result| writeln!(file, "{}", serde_json::to_string(result).unwrap()).expect("the results file")
    }
}
