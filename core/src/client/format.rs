//! The format of a compiler's output, by its first bytes.

use std::fmt;

/// A format. Two outputs of one compiler with the same options for the target have the same one, whatever the source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// ELF, of Linux and most others.
    Elf {
        /// Bits of an address: 1 is 32, 2 is 64.
        class: u8,
        /// Byte order: 1 is little, 2 is big.
        order: u8,
        /// Kind of file: 1 is an object.
        kind: u16,
        /// Processor.
        machine: u16,
    },
    /// Mach-O, of macOS.
    MachO {
        /// Processor; with the bits of an address.
        cpu: u32,
        /// Kind of file: 1 is an object.
        kind: u32,
    },
    /// COFF, of Windows, in its plain form or that for many sections: which one depends on the source.
    Coff {
        /// Processor.
        machine: u16,
    },
    /// WebAssembly.
    Wasm,
    /// Code of LLVM, plain or with the header of macOS.
    Bitcode,
    /// Text: assembler's or LLVM's.
    Text,
    /// None of these.
    Unknown,
}

/// Processors of COFF: it has no other mark.
const COFF_MACHINES: [u16; 7] = [0x014c, 0x01c0, 0x01c4, 0x8664, 0xa641, 0xaa64, 0xa64e];
/// How COFF with many sections begins.
const COFF_MANY: [u8; 4] = [0, 0, 0xff, 0xff];

impl Format {
    /// Bytes of a file that tell its format.
    pub const HEAD: usize = 64;

    /// The format of a file that begins with `head`; there may be more in it than [`Format::HEAD`].
    pub fn of(head: &[u8]) -> Self {
        let head = head.get(..Self::HEAD).unwrap_or(head);
        match *head {
            [0x7f, b'E', b'L', b'F', class, order, ..] => {
                let number = |at| u16::try_from(number(head, at, 2, order == 2)?).ok();
                let fields = number(16).zip(number(18));
                fields.map_or(Self::Unknown, |(kind, machine)| Self::Elf { class, order, kind, machine })
            }
            [0xcf | 0xce, 0xfa, 0xed, 0xfe, ..] => Self::mach_o(head, false),
            [0xfe, 0xed, 0xfa, 0xcf | 0xce, ..] => Self::mach_o(head, true),
            [0, b'a', b's', b'm', ..] => Self::Wasm,
            [b'B', b'C', 0xc0, 0xde, ..] | [0xde, 0xc0, 0x17, 0x0b, ..] => Self::Bitcode,
            _ => Self::coff(head).unwrap_or(if is_text(head) { Self::Text } else { Self::Unknown }),
        }
    }

    fn mach_o(head: &[u8], is_big: bool) -> Self {
        let fields = number(head, 4, 4, is_big).zip(number(head, 12, 4, is_big));
        fields.map_or(Self::Unknown, |(cpu, kind)| Self::MachO { cpu, kind })
    }

    fn coff(head: &[u8]) -> Option<Self> {
        let at = if head.starts_with(&COFF_MANY) { 6 } else { 0 };
        let machine = u16::try_from(number(head, at, 2, false)?).ok()?;
        COFF_MACHINES.contains(&machine).then_some(Self::Coff { machine })
    }
}

/// The number of `len` bytes at `at`.
fn number(head: &[u8], at: usize, len: usize, is_big: bool) -> Option<u32> {
    let bytes = head.get(at..)?.get(..len)?;
    let join = |n: u32, byte: &u8| n << 8 | u32::from(*byte);
    Some(if is_big { bytes.iter().fold(0, join) } else { bytes.iter().rev().fold(0, join) })
}

/// Whether this is how a text may begin, in any encoding of the source that contains ASCII.
fn is_text(head: &[u8]) -> bool {
    !head.is_empty() && head.iter().all(|byte| *byte >= b' ' && *byte != 0x7f || matches!(byte, b'\t'..=b'\r'))
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Elf { class, order, kind, machine } => {
                let bits = if *class == 1 { "32" } else { "64" };
                let order = if *order == 2 { "big" } else { "little" };
                write!(f, "ELF ({bits} bit, {order}-endian, kind {kind}, machine {machine})")
            }
            Self::MachO { cpu, kind } => write!(f, "Mach-O (kind {kind}, machine {cpu:#x})"),
            Self::Coff { machine } => write!(f, "COFF (machine {machine:#x})"),
            Self::Wasm => f.write_str("WebAssembly"),
            Self::Bitcode => f.write_str("LLVM bitcode"),
            Self::Text => f.write_str("text"),
            Self::Unknown => f.write_str("an unknown format"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(class: u8, order: u8, kind: [u8; 2], machine: [u8; 2]) -> Vec<u8> {
        [&[0x7f, b'E', b'L', b'F', class, order, 1, 0], &[0; 8][..], &kind, &machine, &[1; 100]].concat()
    }

    /// Beginnings of files that gcc 12 and clang 14 made.
    #[test]
    fn formats_are_known_by_their_first_bytes() {
        let rows: [(&[u8], &str); 18] = [
            (&elf(2, 1, [1, 0], [62, 0]), "ELF (64 bit, little-endian, kind 1, machine 62)"),
            (&elf(1, 1, [1, 0], [62, 0]), "ELF (32 bit, little-endian, kind 1, machine 62)"),
            (&elf(1, 1, [1, 0], [3, 0]), "ELF (32 bit, little-endian, kind 1, machine 3)"),
            (&elf(1, 1, [1, 0], [40, 0]), "ELF (32 bit, little-endian, kind 1, machine 40)"),
            (&elf(2, 2, [0, 1], [0, 22]), "ELF (64 bit, big-endian, kind 1, machine 22)"),
            (&elf(2, 1, [3, 0], [62, 0]), "ELF (64 bit, little-endian, kind 3, machine 62)"),
            (b"\xcf\xfa\xed\xfe\x07\0\0\x01\x03\0\0\0\x01\0\0\0", "Mach-O (kind 1, machine 0x1000007)"),
            (b"\xfe\xed\xfa\xce\0\0\0\x12\0\0\0\0\0\0\0\x01", "Mach-O (kind 1, machine 0x12)"),
            (b"\x64\x86\x06\0\0\0\0\0\x62\x01", "COFF (machine 0x8664)"),
            (b"\0\0\xff\xff\x02\0\x64\x86\0\0\0\0", "COFF (machine 0x8664)"),
            (b"\x64\xaa\x04\0\x49\x9c\x0d\x6b", "COFF (machine 0xaa64)"),
            (b"\0asm\x01\0\0\0\x02\x98", "WebAssembly"),
            (b"BC\xc0\xde5\x14\0\0", "LLVM bitcode"),
            (b"\xde\xc0\x17\x0b\0\0\0\0\x14\0\0\0", "LLVM bitcode"),
            (b"\t.file\t\"\xe4.c\"\n\t.text\n", "text"),
            (b"; ModuleID = 'a.c'\n", "text"),
            (b"not an object at all", "text"),
            (b"\x01\xdf\0\x01", "an unknown format"),
        ];
        for (head, name) in rows {
            assert_eq!(Format::of(head).to_string(), name);
        }
    }

    #[test]
    fn what_is_cut_or_nothing_is_unknown() {
        for (whole, least) in
            [(elf(2, 1, [1, 0], [62, 0]), 20), (b"\xcf\xfa\xed\xfe\x07\0\0\x01\x03\0\0\0\x01\0\0\0".to_vec(), 16)]
        {
            for length in 4..whole.len() {
                let is_known = Format::of(&whole[..length]) != Format::Unknown;
                assert_eq!(is_known, length >= least, "{length} bytes");
            }
        }
        for head in [&b""[..], b"\0", b"\x7fELF", b"\0\0\xff\xff", b"a\0", b"\x64"] {
            assert!(matches!(Format::of(head), Format::Unknown) || head == b"\x64", "{head:?}");
        }
        // What a text holds later is not looked at.
        assert_eq!(Format::of(&[&[b' '; Format::HEAD][..], &[0]].concat()), Format::Text);
    }
}
