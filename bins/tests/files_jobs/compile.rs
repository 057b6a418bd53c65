//! Compilers say and write what they do without a sandbox.

use super::host::{Command, Done, Host, Try};
use ice_launcher::{How, Launcher};
use std::fs;
use std::path::Path;

/// Runs a command here; returns its status, output and error output, and the outputs, which are removed again.
fn plainly(command: &Command) -> Try<(i32, String, String, Vec<Vec<u8>>)> {
    let mut plain = std::process::Command::new(command.program);
    plain.args(&command.args).current_dir(&command.cwd).env_clear();
    plain.envs(command.env.iter().filter_map(|var| var.split_once('=')));
    let plain = plain.output()?;
    let mut outputs = Vec::new();
    for path in command.outputs.iter().filter(|path| path.exists()) {
        outputs.push(fs::read(path)?);
        fs::remove_file(path)?;
    }
    let text = |bytes| String::from_utf8(bytes);
    Ok((plain.status.code().unwrap_or(-1), text(plain.stdout)?, text(plain.stderr)?, outputs))
}

/// Runs a command with and without a sandbox, and compares all that comes of it.
pub fn same(launcher: &Launcher, host: &mut Host, command: &Command) -> Try<Done> {
    let (status, stdout, stderr, outputs) = plainly(command)?;
    let done = host.settle(launcher, command)?;
    if let Some(refused) = &done.files.refused {
        return Err(refused.clone().into());
    }
    if done.ended.how != How::Exited(status) || done.stdout != stdout || done.stderr != stderr {
        return Err(
            format!("{status} {stdout} {stderr} became {:?} {} {}", done.ended, done.stdout, done.stderr).into()
        );
    }
    if done.files.stray.is_some() || done.files.outputs.len() != outputs.len() {
        return Err(format!("stray or missing: {:?}", done.files).into());
    }
    let written = command.outputs.iter().filter(|path| done.output(path).is_ok());
    for (path, expected) in written.zip(outputs) {
        if done.output(path)? != expected {
            return Err(format!("{} differs from a plain one", path.display()).into());
        }
    }
    Ok(done)
}

pub fn c(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    fs::write(project.join("hello.h"), "#define TEXT \"hello\\n\"\n")?;
    fs::write(
        project.join("hello.c"),
        "#include <stdio.h>\n#include \"hello.h\"\nint main(void) { return puts(TEXT); }\n",
    )?;
    let command = Command::new("/usr/bin/gcc", "-g -O1 -MD -c hello.c -o hello.o", project);
    let done = same(launcher, host, &command.writes(&["hello.o", "hello.d"]))?;
    let used = |path: &str| done.files.used.iter().any(|used| used == path.as_bytes());
    if !used("/usr/include/stdio.h") || !used(&format!("{}/hello.h", project.display())) {
        return Err(format!("used: {}", done.files.used.len()).into());
    }
    Ok(())
}

pub fn cxx(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let text =
        "#include <map>\n#include <string>\nint f(const std::map<std::string, int>& m) { return int(m.size()); }\n";
    fs::write(project.join("map.cc"), text)?;
    for program in ["/usr/bin/g++", "/usr/bin/clang++"] {
        if !Path::new(program).exists() {
            println!("skipped: files_jobs: {program}: not on this host");
            continue;
        }
        let command = Command::new(program, "-g -O1 -MMD -MF map.d -c map.cc -o map.o", project);
        same(launcher, host, &command.writes(&["map.o", "map.d"])).map_err(|e| format!("{program}: {e}"))?;
    }
    Ok(())
}

/// A header that the tree holds for others is not there for this job.
pub fn absent(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    for (dir, value) in [("first", 1), ("second", 2)] {
        fs::create_dir_all(project.join(dir))?;
        fs::write(project.join(dir).join("shadow.h"), format!("int value = {value};\n"))?;
    }
    fs::write(project.join("shadow.c"), "#include \"shadow.h\"\n")?;
    let command = Command::new("/usr/bin/gcc", "-Ifirst -Isecond -c shadow.c -o shadow.o", project);
    let command = command.writes(&["shadow.o"]);
    same(launcher, host, &command)?;
    let hidden = project.join("first/shadow.h");
    fs::remove_file(&hidden)?;
    let key = hidden.as_os_str().as_encoded_bytes();
    host.facts.insert(key.to_vec(), ice_core::files::Fact::Absent);
    let done = same(launcher, host, &command)?;
    if done.files.used.iter().any(|used| used == key) { Ok(()) } else { Err("it was not looked up".into()) }
}

/// What `-fstack-usage` writes is told where it was not declared, and handed over where it was.
pub fn side_file(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let command = Command::new("/usr/bin/gcc", "-fstack-usage -c hello.c -o hello.o", project).writes(&["hello.o"]);
    let done = host.settle(launcher, &command)?;
    if done.stray() != project.join("hello.su").display().to_string() {
        return Err(format!("{:?}", done.files).into());
    }
    same(launcher, host, &command.writes(&["hello.su"])).map(drop)
}

/// A script in the compiler's place runs another compiler, by an interpreter that the kernel opens.
pub fn wrapper(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let script = project.join("cc");
    fs::write(&script, "#!/bin/sh -e\nexec gcc \"$@\" -DWRAPPED\n")?;
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let command =
        Command { program: script.display().to_string().leak(), ..Command::new("", "-c hello.c -o hello.o", project) };
    same(launcher, host, &command.writes(&["hello.o"])).map(drop)
}

/// A unit with an error says so, and writes nothing.
pub fn broken(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    fs::write(project.join("broken.c"), "#include \"missing.h\"\nint x;\n")?;
    let command = Command::new("/usr/bin/gcc", "-c broken.c -o broken.o", project).writes(&["broken.o"]);
    same(launcher, host, &command)?;
    fs::write(project.join("wrong.c"), "int f(void) { return y; }\n")?;
    let command = Command::new("/usr/bin/gcc", "-Wall -c wrong.c -o wrong.o", project).writes(&["wrong.o"]);
    let done = same(launcher, host, &command)?;
    if done.stderr.contains("undeclared") { Ok(()) } else { Err(done.stderr.into()) }
}

/// A header was edited twice: the newest layer counts.
pub fn edited(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let command = Command::new("/usr/bin/gcc", "-g -O1 -MD -c hello.c -o hello.o", project);
    let command = command.writes(&["hello.o", "hello.d"]);
    let mut objects = vec![same(launcher, host, &command)?.output(&project.join("hello.o"))?];
    for text in ["good evening", "good night, all of you"] {
        fs::write(project.join("hello.h"), format!("#define TEXT \"{text}\"\n"))?;
        host.change(&project.join("hello.h"))?;
        objects.push(same(launcher, host, &command)?.output(&project.join("hello.o"))?);
    }
    host.layers.remove(0);
    let before = host.settle(launcher, &command)?.output(&project.join("hello.o"))?;
    host.layers.insert(0, 2);
    if objects[0] != objects[1] && objects[1] != objects[2] && before == objects[1] {
        Ok(())
    } else {
        Err("an edit made no difference".into())
    }
}
