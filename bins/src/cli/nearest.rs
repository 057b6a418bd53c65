//! The known word that looks most like one that is not known.

/// The known word that `given` was probably to be: at most a third of its letters have to change.
pub(super) fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = given.chars().count() / 3;
    known.map(|word| (distance(given, word), word)).min().filter(|(far, _)| *far <= allowed).map(|(_, word)| word)
}

/// How many letters have to be added, removed or changed to make one word of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, letter) in one.chars().enumerate() {
        let mut before = row[0];
        row[0] = at + 1;
        for (column, wanted) in other.iter().enumerate() {
            let changed = before + usize::from(letter != *wanted);
            before = row[column + 1];
            row[column + 1] = changed.min(before + 1).min(row[column] + 1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_understood_and_nonsense_is_not() {
        let known = ["--netname", "--name", "--no-remote", "-n"];
        for (given, wanted) in [
            ("--nettname", Some("--netname")),
            ("--noremote", Some("--no-remote")),
            ("--nam", Some("--name")),
            ("--something", None),
            ("-x", None),
            ("", None),
        ] {
            assert_eq!(nearest(given, known.into_iter()), wanted, "{given}");
        }
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("", "abc"), 3);
    }
}
