//! Wrappers around a compiler: what they add reaches the server too, or the job stays here.

use std::process::Command;

use ice_core::message::Message;
use ice_net::compress::Packer;

use super::{Bench, log_has, patience, result, server, text};

/// One remote job of `compiler`: the arguments that reached the server.
fn arguments(bench: &Bench, compiler: &str, options: &[&str], variables: &[(&str, &str)]) -> Vec<String> {
    let (port, server) = server(|conn, _| {
        let object = Packer::new(1).pack(b"remote", conn.version()).unwrap();
        conn.send_all(&[result(0, ""), Message::FileChunk(object), Message::End], patience()).unwrap();
    });
    let _ = std::fs::remove_file(bench.path("socket"));
    let daemon = bench.daemon(port, 1);
    let compiler = bench.path(compiler);
    let words = [&[compiler.to_str().unwrap()], options, &["-c", "a.c", "-o", "x.o"]].concat();
    let output = bench.icecc_with_daemon(&words).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success() && bench.read("x.o") == "remote", "{}", text(&output.stderr));
    daemon.join().unwrap();
    server.join().unwrap().1
}

#[test]
fn e6_the_options_of_a_wrapper_script_are_part_of_the_job() {
    let bench = Bench::new();
    let real = bench.path("bin/gcc");
    bench.script("wrap/gcc", &format!("#!/bin/sh\nexec {} -m32 \"$@\" -O2\n", real.display()));
    bench.script("opaque/gcc", "#!/bin/sh\nexec /no/such/gcc \"$@\"\n");
    for _ in 0..2 {
        assert_eq!(arguments(&bench, "wrap/gcc", &["-O1"], &[]), ["-m32", "-O1", "-O2", "-c"]);
    }
    // One whose options cannot be told is a local job; here it fails as it would without us.
    let _ = std::fs::remove_file(bench.path("socket"));
    let daemon = bench.daemon(1, 2);
    let opaque = bench.path("opaque/gcc");
    for is_news in [true, false] {
        let output = bench.icecc_with_daemon(&[opaque.to_str().unwrap(), "-c", "a.c", "-o", "y.o"]).output().unwrap();
        assert!(!output.status.success() && log_has(&output, "wrapper whose options cannot be told"), "{output:?}");
        assert_eq!(log_has(&output, "its jobs are built here"), is_news, "{output:?}");
    }
    let heard = daemon.join().unwrap();
    assert!(heard.iter().all(|message| matches!(message, Message::JobLocalBegin(_))), "{heard:?}");
}

#[test]
fn e6_a_script_that_asks_its_environment_is_asked_each_time() {
    let bench = Bench::new();
    let real = bench.path("bin/gcc");
    bench.script("wrap/gcc", &format!("#!/bin/sh\nexec {} $EXTRA \"$@\"\n", real.display()));
    assert_eq!(arguments(&bench, "wrap/gcc", &[], &[]), ["-c"]);
    assert_eq!(arguments(&bench, "wrap/gcc", &[], &[("EXTRA", "-m32")]), ["-m32", "-c"]);
    assert_eq!(arguments(&bench, "wrap/gcc", &[], &[("EXTRA", "-mx32")]), ["-mx32", "-c"]);
    assert_eq!(arguments(&bench, "wrap/gcc", &[], &[]), ["-c"]);
}

#[test]
fn a_wrapper_is_not_asked_for_what_stays_here_anyway() {
    let bench = Bench::new();
    let (real, runs) = (bench.path("bin/gcc"), bench.path("runs"));
    let text = format!("#!/bin/sh\necho \"$*\" >>{}\nexec {} $EXTRA \"$@\"\n", runs.display(), real.display());
    bench.script("wrap/gcc", &text);
    let daemon = bench.daemon(1, 2);
    let wrapper = bench.path("wrap/gcc");
    for words in [&["-E", "a.c"][..], &["a.o", "-o", "a"]] {
        bench.icecc_with_daemon(&[&[wrapper.to_str().unwrap()], words].concat()).output().unwrap();
    }
    daemon.join().unwrap();
    let runs = bench.read("runs");
    assert!(runs.contains("-E a.c\n") && runs.contains("a.o -o a\n") && !runs.contains("-###"), "{runs}");
}

#[test]
fn e6_the_options_of_a_compiled_wrapper_are_part_of_the_job() {
    let bench = Bench::new();
    let text = r#"#include <unistd.h>
int main(int n, char **words) {
    char *all[n + 2]; int m = 0;
    all[m++] = REAL; all[m++] = "-m32";
    for (int i = 1; i <= n; i++) all[m++] = words[i];
    return execv(all[0], all);
}
"#;
    std::fs::write(bench.path("wrap.c"), text).unwrap();
    let real = format!("-DREAL=\"{}\"", bench.path("bin/gcc").display());
    let build =
        Command::new("/usr/bin/gcc").args([&real, "wrap.c", "-o", "my-gcc"]).current_dir(&bench.folder).status();
    if !build.is_ok_and(|status| status.success()) {
        eprintln!("skipped: no /usr/bin/gcc that links");
        return;
    }
    for _ in 0..2 {
        assert_eq!(arguments(&bench, "my-gcc", &["-O1"], &[]), ["-m32", "-O1", "-c"]);
    }
}

#[test]
fn e6_options_that_a_wrapper_adds_for_some_words_are_told_with_them() {
    let bench = Bench::new();
    let real = bench.path("bin/gcc");
    let text = format!(
        "#!/bin/sh\ncase \"$*\" in *-march=*) exec {0} \"$@\" ;; esac\nexec {0} -march=i686 \"$@\"\n",
        real.display()
    );
    bench.script("wrap/gcc", &text);
    assert_eq!(arguments(&bench, "wrap/gcc", &["-O1"], &[]), ["-march=i686", "-O1", "-c"]);
    assert_eq!(arguments(&bench, "wrap/gcc", &["-march=i586"], &[]), ["-march=i586", "-c"]);
}

/// As in 1.4 it is an error; what matters is that it comes to an end.
#[test]
fn a_wrapper_that_leads_back_to_us_is_not_asked_for_ever() {
    let bench = Bench::new();
    bench.script("wrap/gcc", "#!/bin/sh\nexec gcc -m32 \"$@\"\n");
    std::fs::create_dir(bench.path("links")).unwrap();
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_icecc"), bench.path("links/gcc")).unwrap();
    let daemon = bench.daemon(1, 1);
    let mut command = bench.icecc_with_daemon(&[]);
    let path = ["links", "wrap", "bin"].map(|folder| bench.path(folder).display().to_string()).join(":");
    command.env("PATH", format!("{path}:/usr/bin:/bin"));
    // By the shell, so that it is called by the link's name.
    let variables: Vec<_> = command.get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
    let mut shell = bench.command("/bin/sh".as_ref());
    let output = shell.envs(variables).args(["-c", "exec gcc -c a.c -o x.o"]).output().unwrap();
    assert_eq!(output.status.code(), Some(111), "{output:?}");
    daemon.join().unwrap();
}
