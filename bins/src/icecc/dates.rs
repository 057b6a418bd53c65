//! Macros whose value depends on where and when they are expanded: text that shows one is not for another host.

/// Looks for them in text that comes in pieces.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The end of what was looked at, in case a name is cut.
    tail: Vec<u8>,
    /// Whether one was seen.
    pub(super) found: bool,
}

impl Scan {
    const NAMES: [&[u8]; 4] = [b"__DATE__", b"__TIME__", b"__TIMESTAMP__", b"__BASE_FILE__"];
    const LONGEST: usize = 13;

    /// Looks at the next piece of the text.
    pub(super) fn look(&mut self, bytes: &[u8]) {
        if self.found {
            return;
        }
        let seam: Vec<u8> = self.tail.iter().chain(bytes.iter().take(Self::LONGEST)).copied().collect();
        self.found = shows(&seam) || shows(bytes);
        let whole = if bytes.len() >= Self::LONGEST { bytes } else { &seam };
        self.tail = whole.get(whole.len().saturating_sub(Self::LONGEST - 1)..).unwrap_or_default().to_vec();
    }
}

/// Looks at every eighth byte of text that has none of the letters of a name (Horspool), at more where it has.
fn shows(text: &[u8]) -> bool {
    let mut end = START - 1;
    while let Some(last) = text.get(end) {
        let step = usize::from(STEPS[usize::from(*last)]);
        if step == 0 {
            let here = text.get(end + 1 - START..).unwrap_or_default();
            // Most that end like a name do not begin like one.
            if here.starts_with(b"__") && Scan::NAMES.iter().any(|name| here.starts_with(name)) {
                return true;
            }
        }
        end += step.max(1);
    }
    false
}

/// Length of the shortest name.
const START: usize = 8;

/// For each byte how far the next look may be from one at which it stands (Horspool): as far as the byte is from the end of the
/// first [`START`] bytes of any name; 0 where a name may end here.
const STEPS: [u8; 256] = {
    let mut steps = [START as u8; 256];
    let mut name = 0;
    while name < Scan::NAMES.len() {
        let mut at = 0;
        while at < START {
            let byte = Scan::NAMES[name][at] as usize;
            let step = (START - 1 - at) as u8;
            if step < steps[byte] {
                steps[byte] = step;
            }
            at += 1;
        }
        name += 1;
    }
    steps
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_seen_even_when_cut() {
        assert!(shows(b"int x; char *d = __DATE__;"));
        assert!(shows(b"____TIMESTAMP__"));
        assert!(!shows(b"__DATE_ __TIMER__ __BASE__"));
        let text = b"static const char d[] = __BASE_FILE__;";
        for cut in 0..text.len() {
            let mut scan = Scan::default();
            scan.look(&text[..cut]);
            scan.look(&text[cut..]);
            assert!(scan.found, "cut at {cut}");
        }
        let mut bytewise = Scan::default();
        text.iter().for_each(|b| bytewise.look(&[*b]));
        assert!(bytewise.found);
    }
}
