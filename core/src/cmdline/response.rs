//! Words of a response file. Which files to read, and in what order, is the caller's.

/// Splits the text of a response file at white space. `'…'` and `"…"` group; a backslash makes the next byte literal
/// everywhere, as 1.4 and the compilers' own reader do.
pub fn words(text: &[u8]) -> Vec<Vec<u8>> {
    let mut words = Vec::new();
    let mut word: Option<Vec<u8>> = None;
    let mut quote = None;
    let mut bytes = text.iter().copied();
    while let Some(b) = bytes.next() {
        match (b, quote) {
            (b'\\', _) => {
                if let Some(next) = bytes.next() {
                    word.get_or_insert_default().push(next);
                }
            }
            (b'\'' | b'"', None) => {
                quote = Some(b);
                word.get_or_insert_default();
            }
            (_, Some(q)) if q == b => quote = None,
            (_, None) if b.is_ascii_whitespace() || b == 0x0b => words.extend(word.take()),
            _ => word.get_or_insert_default().push(b),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn quotes_and_backslashes() {
        let split = |text: &str| {
            words(text.as_bytes()).iter().map(|w| String::from_utf8_lossy(w).into_owned()).collect::<Vec<_>>()
        };
        assert_eq!(split(r#"-DA='a\b' -DB="c\"d" -DC=e\ f ''"#), ["-DA=ab", "-DB=c\"d", "-DC=e f", ""]);
        assert_eq!(split("a\n\tb\\"), ["a", "b"]);
        assert_eq!(split("\"it's\" 'a"), ["it's", "a"]);
        assert!(split(" \n").is_empty());
    }
}
