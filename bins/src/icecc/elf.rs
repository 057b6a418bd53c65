//! Whether an object that a server sent can be whole.
//!
//! A result does not say how long its object is. Assemblers write the table of sections last, so that an ELF file which was cut
//! announces more than there is.

/// Bytes of the longer of the two headers.
pub(super) const HEADER: usize = 64;

/// Whether a file of `size` bytes that begins with `head` is cut: empty, or ELF without all of its table of sections.
pub(super) fn is_cut(head: &[u8], size: u64) -> bool {
    if size == 0 {
        return true;
    }
    let Some(rest) = head.strip_prefix(b"\x7fELF") else { return false };
    table_end(rest).is_none_or(|end| end > size)
}

/// Where the table of sections ends. `rest` is the header behind its mark.
fn table_end(rest: &[u8]) -> Option<u64> {
    let [class, data, ..] = *rest else { return None };
    let (offset, size, count) = match class {
        1 => (number(rest, data, 0x20, 4)?, number(rest, data, 0x2e, 2)?, number(rest, data, 0x30, 2)?),
        _ => (number(rest, data, 0x28, 8)?, number(rest, data, 0x3a, 2)?, number(rest, data, 0x3c, 2)?),
    };
    // With very many sections the first one tells how many: that one must be there.
    offset.checked_add(size * count.max(1))
}

/// The number at `at` of the file, whose mark is not in `rest`.
fn number(rest: &[u8], data: u8, at: usize, len: usize) -> Option<u64> {
    let bytes = rest.get(at.checked_sub(4)?..)?.get(..len)?;
    let join = |n: u64, byte: &u8| n << 8 | u64::from(*byte);
    Some(if data == 2 { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header of this class and byte order, whose table of two sections of 40 bytes begins at 1000.
    fn header(class: u8, data: u8) -> Vec<u8> {
        let mut head = vec![0; HEADER];
        head[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, data]);
        let places = if class == 1 { [(0x20, 4), (0x2e, 2), (0x30, 2)] } else { [(0x28, 8), (0x3a, 2), (0x3c, 2)] };
        for ((at, len), value) in places.into_iter().zip([1000u64, 40, 2]) {
            let (big, little) = (value.to_be_bytes(), value.to_le_bytes());
            let bytes = if data == 2 { &big[8 - len..] } else { &little[..len] };
            head[at..at + len].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn an_elf_file_without_its_end_is_cut() {
        for (class, data) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
            let head = header(class, data);
            assert!(!is_cut(&head, 1080) && is_cut(&head, 1079), "{class} {data}");
        }
        let whole = std::fs::read("/proc/self/exe").unwrap();
        assert!(!is_cut(&whole[..HEADER], whole.len() as u64));
        assert!(is_cut(&whole[..HEADER], whole.len() as u64 - 1));
    }

    #[test]
    fn what_is_no_elf_is_taken_as_it_is_unless_there_is_nothing() {
        assert!(!is_cut(b"\t.file \"a.c\"\n", 13) && !is_cut(b"BC\xc0\xde", 4));
        assert!(is_cut(b"", 0) && is_cut(b"\x7fELF\x02\x01", 6));
        let mut most = header(2, 1);
        most[0x28..0x30].fill(0xff);
        assert!(is_cut(&most, u64::MAX));
    }
}
