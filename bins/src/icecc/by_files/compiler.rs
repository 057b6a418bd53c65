//! What a compiler looks at whatever it compiles, and where it searches for headers. Asked once and remembered; what is forgotten
//! here costs a question of the server, nothing else.

use super::super::remembered;
use super::super::task::Task;
use ice_core::cmdline::{Family, RemoteJob, Side, paths};
use ice_toolchain::closure::{Root, closure};
use ice_toolchain::driver::Driver;
use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Files that every program, gcc's or clang's driver looks for, whether they are there or not.
const USUAL: [&str; 25] = [
    "/usr/lib/lib",
    "/etc/ld.so.cache",
    "/etc/ld.so.preload",
    "/usr/lib/locale/locale-archive",
    "/usr/share/locale/locale.alias",
    "/usr/lib/locale/C.UTF-8/LC_CTYPE",
    "/usr/lib/locale/C.utf8/LC_CTYPE",
    "/usr/lib/locale/C.UTF-8/LC_MESSAGES",
    "/usr/lib/locale/C.utf8/LC_MESSAGES/SYS_LC_MESSAGES",
    "/usr/share/locale/C.UTF-8/LC_MESSAGES",
    "/usr/share/locale/C.utf8/LC_MESSAGES",
    "/usr/share/locale/C/LC_MESSAGES",
    "/tmp",
    "/var/tmp",
    "/usr/tmp",
    "/etc/os-release",
    "/etc/lsb-release",
    "/etc/redhat-release",
    "/etc/debian_version",
    "/usr/local/cuda",
    "/usr/local/cuda-8.0",
    "/usr/local/cuda-7.5",
    "/usr/local/cuda-7.0",
    "/usr/lib/cuda",
    "/opt/rocm",
];
/// Whose names clang looks through.
const LISTED: [&str; 1] = ["/opt"];
/// Programs that gcc runs, or looks for.
const PROGRAMS: [&str; 5] = ["cc1", "cc1plus", "as", "collect2", "lto-wrapper"];
/// Vendors of a triple by which clang looks for gcc.
const VENDORS: [&str; 14] = [
    "gnu",
    "linux-gnu",
    "pc-linux-gnu",
    "unknown-linux-gnu",
    "unknown-linux",
    "redhat-linux6E",
    "redhat-linux",
    "suse-linux",
    "manbo-linux-gnu",
    "slackware-linux",
    "amazon-linux",
    "montavista-linux",
    "pc-linux-gnux32",
    "linux-gnux32",
];
/// Directories for processors that are better than the least one, below one with libraries. They are rarely there.
const PROCESSORS: [&str; 6] = ["glibc-hwcaps", "tls", "x86_64", "haswell", "avx512_1", "atomics"];
/// Options of which one value names a directory to search, joined or behind.
const DIRECTORIES: [&[u8]; 14] = [
    b"-I",
    b"-iquote",
    b"-isystem",
    b"-idirafter",
    b"-iprefix",
    b"-iwithprefixbefore",
    b"-iwithprefix",
    b"-isysroot",
    b"-imultilib",
    b"--sysroot",
    b"-cxx-isystem",
    b"-B",
    b"-target",
    b"-resource-dir",
];
/// How other options begin that lead to other headers.
const OTHERS: [&[u8]; 10] = [
    b"-nostdinc",
    b"-nostdlibinc",
    b"-nobuiltininc",
    b"-std=",
    b"-stdlib=",
    b"-m",
    b"--sysroot=",
    b"--target=",
    b"-ansi",
    b"--gcc-toolchain",
];

/// Directories in the order of the search, as the compiler names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Search {
    /// For `"` alone.
    pub(super) quoted: Vec<Vec<u8>>,
    /// For both forms.
    pub(super) all: Vec<Vec<u8>>,
    /// Looked for, but not there.
    pub(super) missing: Vec<Vec<u8>>,
}

/// Paths to be followed, and directories whose names are read (`/` stands behind those).
pub(super) fn parts(program: &Path, family: Family) -> Vec<Vec<u8>> {
    let question = [OsStr::new("files of the compiler")];
    remembered::answer(program, &question, || Some(ask_parts(program, family))).unwrap_or_default()
}

fn ask_parts(program: &Path, family: Family) -> Vec<Vec<u8>> {
    let driver = Driver::new(program);
    let mut all: Vec<Vec<u8>> = USUAL.iter().map(|path| path.as_bytes().to_vec()).collect();
    all.extend(LISTED.iter().map(|path| format!("{path}/").into_bytes()));
    let mut programs = vec![program.to_path_buf()];
    if let Ok(real) = fs::canonicalize(program) {
        programs.push(real);
    }
    let found = PROGRAMS.iter().filter_map(|name| driver.program(OsStr::new(name)));
    programs.extend(found.filter(|path| path.is_absolute()));
    programs.extend(["liblto_plugin.so", "libcc1.so"].iter().filter_map(|name| driver.file(name)));
    let as_program = ["/usr/bin/as", "/usr/local/bin/as"].map(Path::new).into_iter().find(|path| path.exists());
    programs.extend(as_program.map(Path::to_path_buf));
    let root = Root::new(Path::new("/"));
    for path in &programs {
        let path = path.as_os_str().as_bytes();
        all.push(path.to_vec());
        all.extend(closure(&root, path, None).into_iter().flatten().map(|library| library.path));
    }
    let directories = search_directories(program);
    for directory in &directories {
        let names = PROGRAMS.iter().copied().chain(["specs", "x86_64-linux-gnu-as", "."]);
        all.extend(names.map(|name| [directory, &b"/"[..], name.as_bytes()].concat()));
    }
    if family == Family::Clang {
        all.extend(clang_parts(program, &driver));
    }
    all.sort();
    all.dedup();
    all.retain(|path| path.starts_with(b"/"));
    all
}

/// The directories that a driver names for its programs and libraries.
fn search_directories(program: &Path) -> Vec<Vec<u8>> {
    let Some(said) = output(Command::new(program).arg("-print-search-dirs").stdin(Stdio::null())) else {
        return Vec::new();
    };
    let lists = said.split(|b| *b == b'\n').filter_map(|line| {
        let line = line.strip_prefix(b"programs: ").or_else(|| line.strip_prefix(b"libraries: "))?;
        Some(line.strip_prefix(b"=").unwrap_or(line))
    });
    let all = lists.flat_map(|list| list.split(|b| *b == b':'));
    let mut all: Vec<Vec<u8>> = all.map(|path| path.strip_suffix(b"/").unwrap_or(path).to_vec()).collect();
    all.sort();
    all.dedup();
    all
}

/// Where clang looks for gcc and for compilers of graphics processors.
fn clang_parts(program: &Path, driver: &Driver) -> Vec<Vec<u8>> {
    let mut all: Vec<String> = Vec::new();
    let bin = |path: &Path| path.parent().map(|parent| parent.display().to_string());
    let real = fs::canonicalize(program).ok();
    let bins: Vec<String> = [Some(program), real.as_deref()].into_iter().flatten().filter_map(bin).collect();
    let resources = driver.resource_dir().map(|path| path.display().to_string());
    let target = driver.target().unwrap_or_default();
    let cpu = target.split('-').next().unwrap_or_default();
    let is_x86 = ["x86_64", "i386", "i486", "i586", "i686"].contains(&cpu);
    let cpus = if is_x86 { vec!["x86_64", "i386", "i586", "i686"] } else { vec![cpu] };
    for bin in &bins {
        all.extend([format!("{bin}/.hipVersion"), format!("{bin}/../lib/{target}"), format!("{bin}/../lib/libc++.so")]);
        for lib in ["lib", "lib32", "lib64", "libx32"] {
            all.push(format!("{bin}/../{lib}"));
            for kind in ["gcc", "gcc-cross"] {
                all.push(format!("{bin}/../{lib}/{kind}"));
                for (cpu, vendor) in cpus.iter().flat_map(|cpu| VENDORS.map(|vendor| (cpu, vendor))) {
                    all.push(format!("{bin}/../{lib}/{kind}/{cpu}-{vendor}"));
                }
            }
        }
    }
    for directory in resources.iter() {
        all.extend([format!("{directory}/bin/.hipVersion"), format!("{directory}/lib/{target}")]);
        all.push(format!("{directory}/lib/linux/{cpu}"));
    }
    // Below each triple it looks through the versions, and in the chosen one for the start of programs.
    for triple in
        ["/usr/lib/gcc", "/usr/lib/gcc-cross"].iter().filter_map(|gcc| fs::read_dir(gcc).ok()).flatten().flatten()
    {
        all.push(format!("{}/", triple.path().display()));
        for version in fs::read_dir(triple.path()).into_iter().flatten().flatten().map(|version| version.path()) {
            let starts = ["", "64/", "32/", "x32/"].map(|multi| format!("{}/{multi}crtbegin.o", version.display()));
            all.extend(starts);
        }
    }
    all.push("/etc/env.d/gcc".to_owned());
    all.into_iter().map(String::into_bytes).collect()
}

/// Where the compiler searches for headers with the options of this job.
pub(super) fn search(task: &Task, job: &RemoteJob) -> Search {
    let words = options(job);
    let variables = ["CPATH", "C_INCLUDE_PATH", "CPLUS_INCLUDE_PATH", "OBJC_INCLUDE_PATH"];
    let variables: Vec<OsString> = variables.iter().map(|name| std::env::var_os(name).unwrap_or_default()).collect();
    let language = job.language.option();
    let mut question = vec![OsStr::new("search list"), OsStr::new(language), task.folder.as_os_str()];
    question.extend(variables.iter().map(OsString::as_os_str));
    question.extend(words.iter().map(|word| OsStr::from_bytes(word)));
    let answer = remembered::answer(&task.program, &question, || {
        let mut run = Command::new(&task.program);
        run.args(words.iter().map(|word| OsStr::from_bytes(word)));
        run.args(["-E", "-v", "-x", language, "/dev/null"]).env("LC_ALL", "C").envs(task.marks());
        run.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        Some(lines_of(&run.output().ok()?.stderr))
    });
    of_lines(&answer.unwrap_or_default())
}

/// The options of a job that may lead to other headers.
fn options(job: &RemoteJob) -> Vec<Vec<u8>> {
    let mut words = job.words.iter().filter(|word| word.side != Side::Remote).map(|word| &word.text);
    let mut chosen = Vec::new();
    while let Some(word) = words.next() {
        if DIRECTORIES.contains(&word.as_slice()) {
            chosen.push(word.clone());
            chosen.extend(words.next().cloned());
        } else if DIRECTORIES.iter().chain(&OTHERS).any(|start| word.starts_with(start)) {
            chosen.push(word.clone());
        }
    }
    chosen
}

/// The response files of a command.
pub(super) fn responses(task: &Task) -> impl Iterator<Item = &[u8]> {
    task.words.iter().filter_map(|word| word.as_bytes().strip_prefix(b"@"))
}

/// The files that a job's options include before its source.
pub(super) fn forced(job: &RemoteJob) -> Vec<Vec<u8>> {
    let words: Vec<&[u8]> = job.words.iter().map(|word| word.text.as_slice()).collect();
    let pairs = words.windows(2).filter_map(|pair| match pair {
        [b"-include" | b"-imacros" | b"-include-pch", value] => Some(value.to_vec()),
        _ => None,
    });
    let joined = words.iter().filter_map(|word| {
        let value = word.strip_prefix(b"--include=").or_else(|| word.strip_prefix(b"--imacros="))?;
        Some(value.to_vec())
    });
    pairs.chain(joined).collect()
}

/// What of `-v` tells the search: each with a letter before it.
fn lines_of(said: &[u8]) -> Vec<Vec<u8>> {
    let mut list = None;
    let mut lines = Vec::new();
    for line in said.split(|b| *b == b'\n') {
        if let Some(rest) = line.strip_prefix(b"ignoring nonexistent directory \"") {
            lines.push([b"m", rest.strip_suffix(b"\"").unwrap_or(rest)].concat());
        } else if line.starts_with(b"#include \"...\"") {
            list = Some(b"q");
        } else if line.starts_with(b"#include <...>") {
            list = Some(b"a");
        } else if line.starts_with(b"End of search list") {
            list = None;
        } else if let (Some(list), Some(path)) = (list, line.strip_prefix(b" ")) {
            lines.push([&list[..], path.strip_suffix(b" (framework directory)").unwrap_or(path)].concat());
        }
    }
    lines
}

fn of_lines(lines: &[Vec<u8>]) -> Search {
    let of = |letter: u8| {
        let chosen = lines.iter().filter_map(|line| line.strip_prefix(&[letter]));
        chosen.map(<[u8]>::to_vec).collect()
    };
    Search { quoted: of(b'q'), all: of(b'a'), missing: of(b'm') }
}

/// Where a driver looks for a program by `PATH`.
pub(super) fn in_path(path: &OsStr, folder: &Path, name: &str) -> Vec<Vec<u8>> {
    let directories = path.as_bytes().split(|b| *b == b':').filter(|directory| !directory.is_empty());
    directories
        .map(|directory| paths::absolute(folder.as_os_str().as_bytes(), &[directory, b"/", name.as_bytes()].concat()))
        .collect()
}

/// Where the loader of programs looks by `LD_LIBRARY_PATH` for the libraries among these parts of the compiler.
pub(super) fn in_library_path(path: &OsStr, folder: &Path, parts: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let libraries = parts.iter().filter_map(|part| part.rsplit(|b| *b == b'/').next());
    let libraries: BTreeSet<&[u8]> = libraries.filter(|name| name.windows(3).any(|end| end == b".so")).collect();
    let names: Vec<&[u8]> = PROCESSORS.iter().map(|name| name.as_bytes()).chain(libraries).collect();
    let folder = folder.as_os_str().as_bytes();
    // An empty name means the working directory.
    let directories = path.as_bytes().split(|b| matches!(b, b':' | b';'));
    let directories = directories.map(|directory| if directory.is_empty() { folder } else { directory });
    let pairs = directories.flat_map(|directory| names.iter().map(move |name| [directory, b"/", *name].concat()));
    pairs.map(|path| paths::absolute(folder, &path)).collect()
}

fn output(command: &mut Command) -> Option<Vec<u8>> {
    let out = command.stderr(Stdio::null()).output().ok()?;
    out.status.success().then_some(out.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_search_is_read_from_what_compilers_say() {
        let said = b"ignoring nonexistent directory \"/no/include\"\n#include \"...\" search starts here:\n q\n\
            #include <...> search starts here:\n /usr/include\n /F (framework directory)\nEnd of search list.\n /after\n";
        let search = of_lines(&lines_of(said));
        let list = |paths: &[&str]| paths.iter().map(|path| path.as_bytes().to_vec()).collect::<Vec<_>>();
        assert_eq!(
            search,
            Search { quoted: list(&["q"]), all: list(&["/usr/include", "/F"]), missing: list(&["/no/include"]) }
        );
        assert_eq!(of_lines(&[]), Search::default());
    }

    #[test]
    fn the_loader_looks_in_each_directory_of_its_path() {
        let parts = ["/usr/lib/libz.so.1", "/lib/libc.so.6", "/usr/lib64/libz.so.1", "/usr/bin/as"]
            .map(|part| part.as_bytes().to_vec());
        let paths = in_library_path(OsStr::new("/a:b:"), Path::new("/w"), &parts);
        let paths: Vec<_> = paths.iter().map(|path| String::from_utf8_lossy(path)).collect();
        let has = |path: &str| paths.iter().any(|found| found == path);
        for directory in ["/a", "/w/b", "/w"] {
            for name in ["glibc-hwcaps", "tls", "libc.so.6", "libz.so.1"] {
                assert!(has(&format!("{directory}/{name}")), "{directory} {name}: {paths:?}");
            }
        }
        assert_eq!(paths.len(), 3 * (PROCESSORS.len() + 2));
    }

    #[test]
    fn a_compiler_names_its_parts() {
        for (compiler, family, part) in
            [("/usr/bin/gcc", Family::Gcc, "/cc1"), ("/usr/bin/clang", Family::Clang, "libc.so.6")]
        {
            let parts = ask_parts(Path::new(compiler), family);
            let has = |end: &str| parts.iter().any(|path| path.ends_with(end.as_bytes()));
            assert!(has(part) && has("/etc/ld.so.cache") && has("/as"), "{compiler}");
        }
    }
}
