//! ccache before icecream as `scripts/setup-ccache.sh` sets it up.

use std::path::Path;
use std::process::Command;

use super::{Bench, text};

#[test]
fn an_updated_compilers_objects_are_not_the_old_ones() {
    let bench = Bench::new();
    if !["/usr/bin/ccache", "/usr/bin/gcc"].iter().all(|program| Path::new(program).exists()) {
        eprintln!("skipped: no ccache or no gcc");
        return;
    }
    let compiler = |version: u32| format!("#!/bin/sh\nexec /usr/bin/gcc -DVERSION={version} \"$@\"\n");
    bench.script("bin/gcc", &compiler(1));
    std::fs::create_dir(bench.path("links")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_icecc"), bench.path("links/gcc")).unwrap();
    std::fs::write(bench.path("a.c"), "const char version = '0' + VERSION;\n").unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/setup-ccache.sh");
    let programs = Path::new(env!("CARGO_BIN_EXE_icecc")).parent().unwrap();
    let shell = |line: &str| {
        let mut shell: Command = bench.command(Path::new("/bin/sh"));
        let path = [&bench.path("links"), &bench.path("bin"), programs].map(|folder| folder.display().to_string());
        shell.env("PATH", format!("{}:/usr/bin:/bin", path.join(":"))).env("ICECC", "disable");
        shell.env("CCACHE_DIR", bench.path("cache"));
        let output = shell.args(["-c", line]).output().unwrap();
        assert!(output.status.success(), "{line}: {}", text(&output.stderr));
        text(&output.stdout)
    };
    let setup = format!("'{}' --folder cc gcc", script.display());
    // Twice: it must not find its own wrapper the second time.
    let exports = shell(&setup);
    assert_eq!(shell(&format!("{exports}\n{setup}")), exports);
    let hits = || shell("ccache --print-stats | awk '/cache_hit/ { n += $2 } END { print n }'").trim().to_owned();
    let version = || shell(&format!("{exports}\ngcc -O2 -c a.c -o a.o && strings -n 1 a.o | grep -cx 2 || true"));
    assert_eq!((version().trim(), hits().as_str()), ("0", "0"));
    assert_eq!((version().trim(), hits().as_str()), ("0", "1"));
    bench.script("bin/gcc", &format!("{}# newer\n", compiler(2)));
    assert_eq!((version().trim(), hits().as_str()), ("1", "1"));
}
