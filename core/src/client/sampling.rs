//! Which remote jobs are compiled here too, to compare the outputs.

/// How often. Clients know nothing of each other, so that chance decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampling {
    /// `ICECC_VERIFY`: one job of so many; 0: none.
    pub one_of: u32,
    /// `ICECC_REPEAT_RATE`: so many jobs of a thousand.
    pub of_thousand: u32,
}

impl Sampling {
    /// Whether a job is taken; `chance` is any number, another one for each job.
    pub fn takes(self, chance: u64) -> bool {
        let is_one = chance.checked_rem(u64::from(self.one_of)) == Some(0);
        is_one || chance % 1000 < u64::from(self.of_thousand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_are_taken_as_asked_for() {
        let taken = |one_of, of_thousand| {
            let sampling = Sampling { one_of, of_thousand };
            (0..6000).filter(|chance| sampling.takes(*chance)).count()
        };
        for (one_of, of_thousand, count) in
            [(0, 0, 0), (1, 0, 6000), (4, 0, 1500), (0, 1, 6), (0, 250, 1500), (0, 1000, 6000), (0, 5000, 6000)]
        {
            assert_eq!(taken(one_of, of_thousand), count, "{one_of} {of_thousand}");
        }
        assert!(taken(10, 10) > 600, "either variable takes its own");
    }
}
