//! What stands in files that options name: whether a compile server would make the same of it.

use super::Family;
use super::effect::Does;
use super::options;
use super::warnings::Warnings;

/// Whether a list of what an instrumentation leaves alone has entries for source files. A compile server knows those by no name.
pub(super) fn names_sources(list: &[u8]) -> bool {
    const KINDS: [&[u8]; 3] = [b"src:", b"source:", b"mainfile:"];
    let mut lines = list.split(|&b| b == b'\n').map(<[u8]>::trim_ascii_start);
    lines.any(|line| KINDS.iter().any(|kind| line.starts_with(kind)))
}

/// Whether gcc's specs in `text` do no more to a compile than add options which go to both sides.
///
/// Not sent are specs that bring in other files or programs, ask for variables or files of this host, or add an option that would
/// be judged as more than that on the command line. What they say about links does not matter.
pub(super) fn specs_can_be_sent(text: &[u8]) -> bool {
    let mut is_judged = true;
    for line in text.split(|&b| b == b'\n').map(<[u8]>::trim_ascii) {
        match line {
            [b'*', section @ ..] => {
                let end = section.iter().position(|&b| b == b':').unwrap_or(section.len());
                let (name, content) = section.split_at(end);
                if RUNS_PROGRAMS.iter().any(|known| name.starts_with(known.as_bytes())) {
                    return false;
                }
                is_judged = !OF_LINKS.iter().any(|known| name.starts_with(known.as_bytes()));
                if is_judged && !adds_plain_options(content) {
                    return false;
                }
            }
            // `.c:`, `@c:`: how sources of a suffix or language are compiled.
            [b'.' | b'@', .., b':'] => return false,
            _ if line.starts_with(b"%include") => return false,
            _ if is_judged && !adds_plain_options(line) => return false,
            _ => {}
        }
    }
    true
}

/// Parts of specs that are about links.
const OF_LINKS: [&str; 6] = ["link", "lib", "startfile", "endfile", "lto", "post_link"];
/// Parts of specs that name programs.
const RUNS_PROGRAMS: [&str; 3] = ["invoke_as", "asm_final", "trad_capable_cpp"];

fn adds_plain_options(line: &[u8]) -> bool {
    let mut warnings = Warnings::default();
    let is_separator = |&b: &u8| b.is_ascii_whitespace() || b"{}|&;:<>!*,".contains(&b);
    let plain = line.split(is_separator).filter(|word| word.starts_with(b"-")).all(|word| {
        warnings.option(Family::Gcc, word);
        matches!(options::find(word).map(|opt| opt.does), None | Some(Does::Nothing | Does::Path | Does::Warning))
    });
    // Functions: of variables, of other files, …
    plain && !line.windows(2).any(|pair| pair == b"%:") && !warnings.need_expanded_text(Family::Gcc)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_name_sources() {
        assert!(names_sources(b"fun:f\n  src:a.c\n"));
        assert!(names_sources(b"[address]\nmainfile:a.c"));
        assert!(!names_sources(b"# src:a.c\nfun:*src:\n"));
    }

    #[test]
    fn specs_that_only_add_options() {
        let musl = "%rename cpp_options old_cpp_options\n\n*cpp_options:\n-nostdinc -isystem /m/include -isystem include%s \
                    %(old_cpp_options)\n\n*cc1:\n%(cc1_cpu) -nostdinc -isystem /m/include\n\n*link_libgcc:\n-L/m/lib -L .%s\n\n\
                    *startfile:\n%{!shared: /m/lib/Scrt1.o} /m/lib/crti.o crtbeginS.o%s\n";
        let nano = "%rename link nano_link\n\n*cpp_unique_options:\n-isystem =/include/newlib-nano %(nano_cpp)\n\n*nano_libc:\n\
                    -lc_nano\n\n*link:\n%(nano_link) %:replace-outfile(-lc -lc_nano)\n";
        let hardened = "*cc1_options:\n+ %{!r:%{!fpie:%{!fPIE:%{!fno-pic:-fPIE}}}}\n";
        let gomp = "*link_gomp: -lgomp %{static: -ldl }\n";
        for text in [musl, nano, hardened, gomp, ""] {
            assert!(specs_can_be_sent(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn specs_that_do_more() {
        for text in [
            "%include <other.specs>\n",
            "*cc1:\n+ %:getenv(HOME /x)\n",
            "*cc1:\n+ -include config.h\n",
            "*cc1_options:\n+ %{!fno-x:-fplugin=annobin}\n",
            "*cc1:\n+ -march=native\n",
            "*cc1:\n+ -Wunused-macros\n",
            "*cc1: -fstack-usage\n",
            "*invoke_as:\n%{!S:myas}\n",
            ".c:\nmycc %i\n",
            "@c:\nmycc %i\n",
        ] {
            assert!(!specs_can_be_sent(text.as_bytes()), "{text}");
        }
    }
}
