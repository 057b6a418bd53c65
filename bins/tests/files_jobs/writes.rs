//! What jobs write: outputs are handed over, anything else is told.

use super::host::{Command, Host, Try};
use ice_launcher::{How, Launcher};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// A shell's command, with `out` declared as its output, and what comes of it: status, stray path, whether the output
/// is there, whether it is deleted.
type Row = (&'static str, i32, &'static str, bool, bool);

const ROWS: &[Row] = &[
    ("echo x > out", 0, "", true, false),
    ("echo x > new && mv new out", 0, "", true, false),
    ("echo x > out && rm out", 0, "", false, true),
    ("echo x > out && mv out new && mv new out", 0, "", true, false),
    ("echo x > new && ln new out && rm new", 0, "", true, false),
    // It is at home, but that is no question.
    ("test -e out", 1, "", false, false),
    ("echo x > /tmp/left-by-a-test", 0, "", false, false),
    ("mkdir new && echo x > new/a && cat new/a && rm new/a && rmdir new", 0, "", false, false),
    ("mkdir new && mv new other && test ! -e new && test ! -e other/a && rmdir other", 0, "", false, false),
    ("ln -s input new && cat new && rm new", 0, "", false, false),
    ("ln -s input new && test -L new && ln -s new newer && cat newer && rm new newer", 0, "", false, false),
    ("echo x > new", 0, "new", false, false),
    ("mkdir new", 0, "new", false, false),
    ("ln -s input new", 0, "new", false, false),
    ("mkfifo new", 0, "new", false, false),
    ("rm -f input", 0, "input", false, false),
    ("echo x > other && mv -f other input", 0, "input", false, false),
    ("ln -s input out", 0, "out", false, false),
    ("cd sub && echo x > ../out", 0, "", true, false),
    (
        "cd sub/link && test $(pwd -P) = $(cd ../.. && pwd -P)/sub && cat ../input && echo x > ../out",
        0,
        "",
        true,
        false,
    ),
];

pub fn rows(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let dir = project.join("writes");
    fs::create_dir_all(dir.join("sub"))?;
    fs::write(dir.join("input"), "input\n")?;
    fs::write(dir.join("out"), "of an earlier build\n")?;
    std::os::unix::fs::symlink("../sub", dir.join("sub/link"))?;
    for (text, status, stray, is_written, is_deleted) in ROWS {
        let command = Command::sh(text, &dir).writes(&["out"]);
        let done = host.settle(launcher, &command).map_err(|e| format!("{text}: {e}"))?;
        let expected = if stray.is_empty() { String::new() } else { format!("{}/{stray}", dir.display()) };
        let files = &done.files;
        let deleted: &[Vec<u8>] = if *is_deleted { &[dir.join("out").as_os_str().as_bytes().to_vec()] } else { &[] };
        let as_expected = done.ended.how == How::Exited(*status)
            && done.stray() == expected
            && files.outputs.len() == usize::from(*is_written)
            && files.deleted == deleted
            && files.refused.is_none();
        if !as_expected {
            return Err(format!("{text}: {:?} {:?} {}{}", done.ended, files, done.stdout, done.stderr).into());
        }
    }
    Ok(())
}

/// An output has the mode that the submitter's umask leaves, and what was written of inputs is told, whether or not it
/// was permitted.
pub fn inputs(launcher: &Launcher, host: &mut Host, project: &Path) -> Try {
    let input = project.join("writes/input");
    for text in ["echo x >> input", "chmod 700 input", "touch input", "echo x | tee input"] {
        let done = host.settle(launcher, &Command::sh(text, &project.join("writes")))?;
        if done.stray() != input.display().to_string() {
            return Err(format!("{text}: {:?} {:?} {}", done.ended, done.files, done.stderr).into());
        }
    }
    let command = Command::sh("echo x > out; chmod 755 out", &project.join("writes")).writes(&["out"]);
    let modes: Vec<u32> = host.settle(launcher, &command)?.files.outputs.iter().map(|output| output.mode).collect();
    if modes == [0o755] { Ok(()) } else { Err(format!("{modes:?}").into()) }
}
