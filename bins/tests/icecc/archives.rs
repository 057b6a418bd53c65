//! Archives of ICECC_VERSION: which are used, and under which names.

use std::os::unix::net::UnixStream;
use std::process::{Command, Output};

use ice_core::message::{GetCs, Message};
use ice_core::version::Version;
use ice_net::conn::Conn;
use ice_toolchain::digest::of_content;

use super::{Bench, COMPILER, log_has, patience, text};

const ARM: &str = "arm-linux-gnueabihf";
const ARM_GCC: &str = "arm-linux-gnueabihf-gcc";

/// A tar with one file.
fn tar(name: &str, content: &str) -> Vec<u8> {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(124, &format!("{:011o}\0", content.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&b| u32::from(b)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend(content.as_bytes());
    bytes.resize(bytes.len().next_multiple_of(512) + 1024, 0);
    bytes
}

/// What an archive of ours says.
fn says(version: &str, target: &str, platform: &str) -> Vec<u8> {
    let text =
        format!("icecream environment 1\ncompiler gcc\nversion {version}\ntarget {target}\nplatform {platform}\n");
    tar("usr/share/icecream/env", &text)
}

/// An archive of 1.4's tool shows for whom it makes code by a folder only.
fn shows(target: &str) -> Vec<u8> {
    tar(&format!("usr/lib/gcc-cross/{target}/12/liblto_plugin.so"), "")
}

fn machine() -> String {
    text(&Command::new("uname").arg("-m").output().unwrap().stdout).trim().to_owned()
}

struct Job {
    output: Output,
    /// What was asked of the scheduler; none for a job that stays here.
    asked: Option<GetCs>,
}

/// One job with these archives. Nobody serves it, so that it ends here in any case.
fn job(bench: &Bench, version: &str, words: &[&str], variables: &[(&str, &str)]) -> Job {
    let _ = std::fs::remove_file(bench.path("socket"));
    let listening = bench.daemon(1, 2);
    let words = [words, &["-c", "a.c", "-o", "x.o"]].concat();
    let mut command = bench.icecc_with_daemon(&words);
    let output = command.env("ICECC_VERSION", version).envs(variables.iter().copied()).output().unwrap();
    assert!(output.status.success(), "{version} {words:?}: {}", text(&output.stderr));
    assert_eq!(bench.read("x.o"), "object:int x;\n");
    // It waits for two connections; a job that stays here makes one.
    if let Ok(stream) = UnixStream::connect(bench.path("socket")) {
        let _ = Conn::establish(stream, Version::TO_CLIENT, patience());
    }
    let asked = listening.join().unwrap().into_iter().find_map(|message| match message {
        Message::GetCs(ask) => Some(ask),
        _ => None,
    });
    Job { output, asked }
}

#[test]
fn e48_an_environment_for_another_compiler_is_not_used() {
    let bench = Bench::new();
    bench.script("bin/arm-linux-gnueabihf-gcc", COMPILER);
    bench.script("bin/poky-gcc", &COMPILER.replace("${t%-gcc}", "arm-poky-linux-gnueabi"));
    let machine = machine();
    let own = format!("{machine}-linux-gnu");
    std::fs::write(bench.path("old.tar"), [b'x'; 600]).unwrap();
    for (name, content) in [
        ("own.tar", says("gcc version 12 (test)", &own, &machine)),
        ("newer.tar", says("gcc version 13 (test)", &own, &machine)),
        ("arm.tar", says("gcc version 12 (test)", ARM, &machine)),
        ("own-1.4.tar", shows(&own)),
        ("arm-1.4.tar", shows(ARM)),
        ("poky.tar", tar("./usr/lib/arm-poky-linux-gnueabi/gcc/arm-poky-linux-gnueabi/12.2.0/x.so", "")),
    ] {
        std::fs::write(bench.path(name), content).unwrap();
    }
    let by_variable = ("ICECC_CC", ARM_GCC);
    for (version, compiler, variables, refused) in [
        ("old.tar", "gcc", &[][..], None),
        ("own.tar", "gcc", &[], None),
        ("own-1.4.tar", "gcc", &[], None),
        ("arm.tar", ARM_GCC, &[], None),
        ("old.tar=arm-linux-gnueabihf", ARM_GCC, &[], None),
        // 1.4's archives: the recipes of the manual and of Yocto name no target.
        ("old.tar", ARM_GCC, &[], None),
        ("arm-1.4.tar", ARM_GCC, &[], None),
        ("arm-1.4.tar", "gcc", &[by_variable], None),
        ("poky.tar", "poky-gcc", &[], None),
        ("own.tar", ARM_GCC, &[], Some("makes code for")),
        ("own-1.4.tar", ARM_GCC, &[], Some("makes code for")),
        ("own-1.4.tar=arm-linux-gnueabihf", ARM_GCC, &[], Some("makes code for")),
        ("own-1.4.tar", "gcc", &[by_variable], Some("makes code for")),
        ("arm-1.4.tar", "poky-gcc", &[], Some("makes code for arm-linux-gnueabihf")),
        ("arm.tar", "gcc", &[], Some("makes code for arm-linux-gnueabihf")),
        ("arm-1.4.tar", "gcc", &[], Some("makes code for arm-linux-gnueabihf")),
        (
            "newer.tar",
            "gcc",
            &[],
            Some("the environment has gcc version 13 (test), the compiler is gcc version 12 (test)"),
        ),
        ("newer.tar,own.tar", "gcc", &[], Some("gcc version 13")),
    ] {
        let Job { output, asked } = job(&bench, version, &[compiler], variables);
        let what = format!("{version} {compiler}: {}", text(&output.stderr));
        assert_eq!(refused.is_none(), asked.is_some(), "{what}");
        assert_eq!(refused.is_none(), !log_has(&output, "is not for"), "{what}");
        assert!(refused.is_none_or(|message| log_has(&output, message)), "{what}");
    }
    // The user's word counts where an archive shows nothing; what looks like a mistake is said once.
    for is_news in [true, false] {
        let Job { output, asked } = job(&bench, "old.tar", &["gcc"], &[by_variable]);
        let is_said = log_has(&output, "old.tar must be for that target too");
        assert!(asked.is_some() && is_said == is_news, "{}", text(&output.stderr));
    }
}

#[test]
fn another_content_is_another_environment_whatever_its_file_is_named() {
    let bench = Bench::new();
    let names = |version: &str| -> Vec<String> {
        let asked = job(&bench, version, &["gcc"], &[]).asked.expect("a job for others");
        asked.environments.iter().map(|env| env.name.to_string()).collect()
    };
    for folder in ["a", "b"] {
        std::fs::create_dir(bench.path(folder)).unwrap();
        std::fs::write(bench.path(&format!("{folder}/gcc.tar")), shows(&format!("{}-linux-gnu", machine()))).unwrap();
    }
    let by_content = |path: &str| of_content(std::fs::File::open(bench.path(path)).unwrap()).unwrap();
    let old = names("a/gcc.tar");
    assert_eq!(old, [by_content("a/gcc.tar")]);
    assert_eq!(names("b/gcc.tar"), old);
    let newer = tar("usr/bin/gcc", "a newer compiler");
    std::fs::write(bench.path("b/gcc.tar"), &newer).unwrap();
    let new = names("b/gcc.tar");
    assert_eq!(new, [by_content("b/gcc.tar")]);
    assert_eq!(names("a/gcc.tar,i686:b/gcc.tar"), [old, new.clone()].concat());
    // Also where its name looks like one of 1.4's or ours.
    for name in ["0123456789abcdef".repeat(2), "0".repeat(64), "with a blank".to_owned()] {
        std::fs::write(bench.path(&format!("{name}.tar")), &newer).unwrap();
        assert_eq!(names(&format!("{name}.tar")), new);
    }
}

#[test]
fn a_file_of_the_job_is_looked_for_in_the_archive() {
    let bench = Bench::new();
    let plugin = bench.path("plugin.so");
    let plugin = plugin.to_str().unwrap();
    std::fs::write(plugin, "a plugin").unwrap();
    std::fs::write(bench.path("without.tar"), tar("usr/bin/gcc", "x")).unwrap();
    // As `icecc-create-env --addfile` packs it.
    std::fs::write(bench.path("with.tar"), tar(&plugin[1..], "a plugin")).unwrap();
    let option = format!("-fplugin={plugin}");
    for _ in 0..2 {
        let Job { output, asked } = job(&bench, "without.tar", &["gcc", &option], &[]);
        assert!(asked.is_none() && log_has(&output, "is not in the environment of ICECC_VERSION"), "{output:?}");
        assert!(job(&bench, "with.tar", &["gcc", &option], &[]).asked.is_some());
    }
    // 1.4 says nothing.
    for (archive, is_said) in [("with.tar", false), ("without.tar", true), ("without.tar", false)] {
        let Job { output, asked } = job(&bench, archive, &["gcc"], &[("ICECC_EXTRAFILES", plugin)]);
        assert!(asked.is_some(), "{output:?}");
        assert_eq!(log_has(&output, "of ICECC_EXTRAFILES is not in"), is_said, "{archive}: {output:?}");
    }
}

#[test]
fn an_archive_for_other_hosts_than_it_is_given_for_is_reported_once() {
    let bench = Bench::new();
    let machine = machine();
    std::fs::write(bench.path("own.tar"), says("gcc version 12 (test)", &format!("{machine}-linux-gnu"), &machine))
        .unwrap();
    for (version, is_said) in [
        ("own.tar".to_owned(), false),
        (format!("{machine}:own.tar"), false),
        ("sparc:own.tar".to_owned(), true),
        ("sparc:own.tar".to_owned(), false),
    ] {
        let Job { output, asked } = job(&bench, &version, &["gcc"], &[]);
        assert!(asked.is_some(), "{output:?}");
        let said = format!("is for hosts of {machine}, not of sparc: give it as {machine}:FILE");
        assert_eq!(log_has(&output, &said), is_said, "{version}: {output:?}");
    }
}
