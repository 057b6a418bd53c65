//! What compilers do is within the table of system calls, and what is not is named.

use super::jobs::{end, read, request};
use super::{Try, planted};
use ice_core::env::EnvId;
use ice_launcher::{How, Launcher, Program};
use ice_sandbox::channel;
use std::fs;
use std::path::Path;
use std::process::Command;

/// A plugin of gcc needs no more to be loaded.
const PLUGIN: &str = "int plugin_is_GPL_compatible; int plugin_init(void *a, void *b) { return 0; }\n";

/// Everything that compilers are asked for, with gcc and where there is one with clang: no call is unknown.
pub fn known(launcher: &Launcher, env: &EnvId, base: &Path) -> Try {
    make_plugin(&base.join("target=x86_64/planted/usr/bin/plugin.so"))?;
    let both: [&[&str]; 7] = [
        &["-O2", "-g"],
        &["-O2", "-flto"],
        &["-pipe"],
        &["-O2", "-fopenmp"],
        &["-fsanitize=address,undefined"],
        &["--coverage"],
        &["-ftime-report"],
    ];
    for options in both.into_iter().chain([&["-fplugin=/usr/bin/plugin.so"][..], &["-save-temps"]]) {
        compiles(launcher, env, Program::Gcc, options)?;
    }
    let (clang, folder) = (EnvId::new(b"x86_64", b"clang")?, base.join("target=x86_64/clang"));
    if let Err(reason) = plant_clang(&folder) {
        println!("skipped: launcher: known calls of clang: {reason}");
        return Ok(());
    }
    for options in both.into_iter().chain([&["-flto=thin"][..], &["-fno-integrated-as"], &["-ftime-trace"]]) {
        compiles(launcher, &clang, Program::Clang, options)?;
    }
    Ok(fs::remove_dir_all(folder)?)
}

fn compiles(launcher: &Launcher, env: &EnvId, program: Program, options: &[&str]) -> Try {
    let args = [&["-x", "cpp-output", "-c", "-", "-o", "x.o"], options].concat();
    let mut job = request(env, &args, "int f(int x) { return x * 3; }\n", "x.o")?;
    let stderr = channel::memory()?;
    job.stderr = stderr.try_clone()?.into();
    job.program = program;
    let ended = end(&launcher.run(job)?)?;
    if ended.how == How::Exited(0) && ended.object.is_some() && ended.unknown.is_empty() {
        return Ok(());
    }
    let text = read(Some(stderr.into()))?;
    Err(format!("{} {options:?}: {ended:?} {}", program.path(), String::from_utf8_lossy(&text)).into())
}

/// An environment of this host's clang.
fn plant_clang(env: &Path) -> Try {
    let files = planted::files(&["clang", "as", "true"])?;
    for dir in planted::FOLDERS {
        fs::create_dir_all(env.join(dir))?;
    }
    for (path, from) in files {
        let to = env.join(path);
        fs::create_dir_all(to.parent().ok_or("no parent")?)?;
        fs::copy(from, to)?;
    }
    Ok(())
}

/// Makes [`PLUGIN`].
fn make_plugin(plugin: &Path) -> Try {
    let text = plugin.with_extension("c");
    fs::write(&text, PLUGIN)?;
    let status = Command::new("gcc").args(["-shared", "-fPIC", "-o"]).arg(plugin).arg(&text).status()?;
    fs::remove_file(text)?;
    if status.success() { Ok(()) } else { Err(format!("{}: {status}", plugin.display()).into()) }
}

/// The calls of a program that tries others are in its report, by name.
pub fn unknown(launcher: &Launcher, _: &EnvId, base: &Path) -> Try {
    let curious = EnvId::new(b"x86_64", b"curious")?;
    let folder = base.join("target=x86_64/curious");
    for dir in planted::FOLDERS {
        fs::create_dir_all(folder.join(dir))?;
    }
    planted::make_curious(&folder.join("usr/bin/gcc"))?;
    let ended = end(&launcher.run(request(&curious, &[], "", "")?)?)?;
    fs::remove_dir_all(folder)?;
    let told: Vec<(String, u64)> = ended.unknown.iter().map(|call| (call.name(), call.count)).collect();
    if ended.how != How::Exited(0) {
        return Err(format!("{ended:?}").into());
    }
    let expected = [("open_tree_attr".to_owned(), 3), ("memfd_create".to_owned(), 1)];
    if told.is_empty() && !planted::hears_of_unknown_calls() {
        println!("skipped: launcher: unknown calls: filters above us");
        return Ok(());
    }
    if told == expected { Ok(()) } else { Err(format!("{told:?}").into()) }
}
