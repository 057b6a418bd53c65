//! What an object holds beside its debug information.

use elf::ElfBytes;
use elf::endian::AnyEndian;

/// How the names of sections of debug information begin, behind that of their relocations.
const DEBUG: [&str; 2] = [".debug_", ".gnu.debuglto_"];
/// Where the names of sections and symbols stand: those of debug information are among them.
const NAMES: [&str; 2] = [".strtab", ".shstrtab"];

/// A section: its name and its content.
type Section<'a> = (&'a str, &'a [u8]);

/// Whether two ELF objects differ in nothing but their debug information. No if one of them is none.
pub fn differ_in_debug_alone(one: &[u8], other: &[u8]) -> bool {
    matches!((sections(one), sections(other)), (Some(one), Some(other)) if one == other)
}

/// The sections that are not about debugging, in their order.
fn sections(object: &[u8]) -> Option<Vec<Section<'_>>> {
    let elf = ElfBytes::<AnyEndian>::minimal_parse(object).ok()?;
    let (Some(headers), Some(names)) = elf.section_headers_with_strtab().ok()? else { return None };
    let mut kept = Vec::new();
    for header in headers.iter() {
        let name = names.get(usize::try_from(header.sh_name).ok()?).ok()?;
        let about = name.strip_prefix(".rela").or_else(|| name.strip_prefix(".rel")).unwrap_or(name);
        if !NAMES.contains(&name) && !DEBUG.iter().any(|debug| about.starts_with(debug)) {
            let content =
                if header.sh_type == elf::abi::SHT_NOBITS { &[][..] } else { elf.section_data(&header).ok()?.0 };
            kept.push((name, content));
        }
    }
    Some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What gcc makes of a source with these options.
    fn object(source: &str, options: &str) -> Vec<u8> {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("a.c"), source).unwrap();
        let mut gcc = Command::new("gcc");
        gcc.args(options.split(' ')).args(["-c", "a.c"]).current_dir(directory.path());
        assert!(gcc.status().unwrap().success());
        std::fs::read(directory.path().join("a.o")).unwrap()
    }

    #[test]
    fn debug_information_alone_is_told_from_code() {
        let (plain, other) = ("int f(int a) { return a + 1; }\n", "int f(int a) { return a + 2; }\n");
        let lower = "\n\nint f(int a) { return a + 1; }\n";
        let with_debug = object(plain, "-g");
        assert!(differ_in_debug_alone(&with_debug, &object(lower, "-g")));
        assert!(differ_in_debug_alone(&object(plain, "-g3"), &object(lower, "-g3")));
        assert!(!differ_in_debug_alone(&with_debug, &object(other, "-g")));
        assert!(!differ_in_debug_alone(&with_debug, &object("int g(int a) { return a + 1; }\n", "-g -O2")));
        assert!(!differ_in_debug_alone(b"text", b"text") && !differ_in_debug_alone(&with_debug, b""));
        assert!(!differ_in_debug_alone(&with_debug, &with_debug[..with_debug.len() / 2]));
    }
}
