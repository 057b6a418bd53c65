//! An error with its causes, for people.

use std::error::Error;

/// An error and its causes on one line: `cannot read x: permission denied`.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        // Some libraries include the cause in their own text; it is not repeated.
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot read environment /x")]
    struct Outer(#[source] std::fmt::Error);

    #[derive(Debug, thiserror::Error)]
    #[error("no archive: cannot read environment /x")]
    struct Repeating(#[source] Outer);

    #[test]
    fn causes_stand_on_one_line_and_none_twice() {
        let cause = std::fmt::Error.to_string();
        assert_eq!(chain(&Outer(std::fmt::Error)), format!("cannot read environment /x: {cause}"));
        let repeated = format!("no archive: cannot read environment /x: {cause}");
        assert_eq!(chain(&Repeating(Outer(std::fmt::Error))), repeated);
    }
}
