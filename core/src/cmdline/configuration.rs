//! The configuration files that clang reads unasked (`/etc/clang/*.cfg` and those beside it): a server does not have them.

use super::{Files, response};

/// Files that a job's configuration may consist of; more is one that names itself.
const FILES_MAX: usize = 64;

/// Whether clang reads none of them for a job of these arguments.
pub(super) fn is_switched_off(arguments: &[Vec<u8>]) -> bool {
    arguments.iter().any(|argument| argument == b"--no-default-config")
}

/// The arguments of a job by which clang chooses its files: they make its target and its mode.
pub(super) fn choice(arguments: &[Vec<u8>]) -> Vec<Vec<u8>> {
    const WHOLE: [&[u8]; 8] =
        [b"-m16", b"-m32", b"-m64", b"-mx32", b"-EB", b"-EL", b"-mbig-endian", b"-mlittle-endian"];
    let mut choice = Vec::new();
    let mut arguments = arguments.iter().map(Vec::as_slice);
    while let Some(argument) = arguments.next() {
        if argument == b"-target" {
            choice.push(argument);
            choice.extend(arguments.next());
        } else if WHOLE.contains(&argument)
            || argument.starts_with(b"--target=")
            || argument.starts_with(b"--driver-mode=")
        {
            choice.push(argument);
        }
    }
    choice.into_iter().map(<[u8]>::to_vec).collect()
}

/// What stands in the configuration `paths`, in their order; `None` if that cannot be told. Where they say more than options nobody
/// but clang itself knows what they mean.
pub(super) fn arguments(paths: &[Vec<u8>], files: &dyn Files) -> Option<Vec<Vec<u8>>> {
    let mut left = FILES_MAX;
    let mut all = Vec::new();
    for path in paths {
        all.extend(read(path, files, &mut left)?);
    }
    Some(all)
}

/// The arguments of a file and of those that it includes, whose names count from the directory of the file that names them.
fn read(path: &[u8], files: &dyn Files, left: &mut usize) -> Option<Vec<Vec<u8>>> {
    *left = left.checked_sub(1)?;
    let directory = path.get(..path.iter().rposition(|&b| b == b'/')?)?;
    let mut all = Vec::new();
    for argument in split(&files.text(path)?)? {
        let argument = with_directory(&argument, directory);
        match argument.strip_prefix(b"@") {
            Some(included @ [b'/', ..]) => all.extend(read(included, files, left)?),
            Some(included) => all.extend(read(&[directory, included].join(&b'/'), files, left)?),
            None => all.push(argument),
        }
    }
    Some(all)
}

/// `<CFGDIR>` stands for the directory of the file.
fn with_directory(argument: &[u8], directory: &[u8]) -> Vec<u8> {
    const MARK: &[u8] = b"<CFGDIR>";
    let mut whole = Vec::new();
    let mut rest = argument;
    while let Some(at) = rest.windows(MARK.len()).position(|part| part == MARK) {
        whole.extend_from_slice(rest.get(..at).unwrap_or_default());
        whole.extend_from_slice(directory);
        rest = rest.get(at + MARK.len()..).unwrap_or_default();
    }
    whole.extend_from_slice(rest);
    whole
}

fn split(text: &[u8]) -> Option<Vec<Vec<u8>>> {
    let lines = text.split(|&b| b == b'\n').filter(|line| !line.trim_ascii_start().starts_with(b"#"));
    let text = lines.collect::<Vec<_>>().join(&b'\n');
    if text.ends_with(b"\\") || text.windows(2).any(|pair| pair == b"\\\n") {
        return None;
    }
    // What begins with `$` is for the linker.
    Some(response::words(&text).into_iter().filter(|argument| !argument.starts_with(b"$")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmdline::FileKind;

    fn words(line: &str) -> Vec<Vec<u8>> {
        response::words(line.as_bytes())
    }

    /// `/etc/a.cfg` with this text, and some others.
    struct Fake(&'static str);

    impl Files for Fake {
        fn kind(&self, _path: &[u8]) -> FileKind {
            FileKind::Regular
        }

        fn readable(&self, path: &[u8]) -> bool {
            self.text(path).is_some()
        }

        fn text(&self, path: &[u8]) -> Option<Vec<u8>> {
            let text = match path {
                b"/etc/a.cfg" => self.0,
                b"/etc/more/b.cfg" => "# b\n-DB=<CFGDIR>/b @c.cfg\n",
                b"/etc/more/c.cfg" => "-DC\n",
                b"/etc/more/lost.cfg" => "-DB @gone.cfg\n",
                _ => return None,
            };
            Some(text.into())
        }
    }

    #[test]
    fn a_file_is_read_with_those_it_includes() {
        for (text, expected) in [
            ("# hardening\n-fPIE  -DX=1\n  # more\n$-Wl,-z,now\n", Some("-fPIE -DX=1")),
            ("", Some("")),
            ("-DA=<CFGDIR>/a @more/b.cfg -O2\n", Some("-DA=/etc/a -DB=/etc/more/b -DC -O2")),
            ("@/etc/more/c.cfg @<CFGDIR>/more/c.cfg", Some("-DC -DC")),
            ("-D<CFGDIR>=<CFGDIR>", Some("-D/etc=/etc")),
            ("@more/lost.cfg\n", None),
            ("@a.cfg @a.cfg\n", None),
            ("-O2 \\\n-g\n", None),
            ("-O2 \\", None),
        ] {
            assert_eq!(arguments(&words("/etc/a.cfg"), &Fake(text)), expected.map(words), "{text}");
        }
        let twice = arguments(&words("/etc/a.cfg /etc/more/c.cfg"), &Fake("-O2"));
        assert_eq!(twice, Some(words("-O2 -DC")), "in the order in which clang names them");
        assert_eq!(arguments(&words("/etc/gone.cfg"), &Fake("")), None);
    }

    #[test]
    fn the_jobs_target_and_mode_choose_the_files() {
        for (job, choice) in [
            ("-O2 -c a.c", ""),
            ("-O2 -m32 -c a.c", "-m32"),
            ("-O2 -target arm -c a.c", "-target arm"),
            ("--target=arm --driver-mode=g++ -EB -c a.c", "--target=arm --driver-mode=g++ -EB"),
            ("-c a.c -target", "-target"),
            ("-m32x -mbig-endian", "-mbig-endian"),
        ] {
            assert_eq!(super::choice(&words(job)), words(choice), "{job}");
        }
        assert!(is_switched_off(&words("-c a.c --no-default-config")));
        assert!(!is_switched_off(&words("-c a.c")));
    }
}
