//! An ordinary user's lab, beside another lab with the same names and addresses.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use ice_lab::{Output, process};

use crate::cluster::{COMPILE, Cluster, Whose, skip};

/// Ours need no root: jobs of others run in boxes made by user namespaces.
#[test]
fn an_ordinary_users_lab_compiles_beside_another_lab() {
    let Some(cluster) = Cluster::up(Whose::Ours, &[2, 2]) else {
        return;
    };
    let Some(user) = User::up(&format!("user-{}", std::process::id())) else {
        return;
    };
    fs::write(user.folder.path().join("two.c"), "int two(void) { return 2; }\n").expect("a source file");
    cluster.write("two.c", "int two(void) { return 2; }\n");
    let there = [("ICECC_PREFERRED_HOST", "h2")];
    cluster.ok("h1", &there, "icecc gcc -c two.c -o two.o");
    user.ok(&["exec", "--name", &user.name, "h1", "env", "ICECC_PREFERRED_HOST=h2", "icecc", "gcc", "-c", "two.c"]);
    let logs = user.ok(&["logs", "--name", &user.name]).text();
    assert!(logs.contains("Remote compilation completed with exit code 0"), "nothing was compiled on h2:\n{logs}");
    cluster.wait_for_log("h2", "iceccd.log", "Remote compilation completed with exit code 0");
    let object = fs::read(user.folder.path().join("two.o")).expect("the user's object");
    assert!(object == cluster.read("two.o"), "the two labs made different objects");
}

/// A lab of the user `nobody`, or of whoever runs the tests, if that is not root.
struct User {
    folder: tempfile::TempDir,
    name: String,
}

impl User {
    fn up(name: &str) -> Option<User> {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o1777)).expect("a folder for all");
        // Where the programs were built, others may not read.
        let own = Whose::Ours.programs();
        let client = own.client().expect("our programs are built");
        for program in ["icelab", "icecc", "icecc-create-env", "iceccd", "icecc-scheduler"] {
            fs::copy(client.with_file_name(program), folder.path().join(program))
                .unwrap_or_else(|e| panic!("{program}: {e}"));
        }
        let user = User { folder, name: name.to_string() };
        let up = user.icelab(&["up", "2", "--name", name]);
        if up.status.success() {
            return Some(user);
        }
        let reason = up.error_text();
        assert!(reason.contains("no lab here"), "{reason}");
        skip(&format!("no lab as an ordinary user: {}", reason.trim()))
    }

    fn ok(&self, words: &[&str]) -> Output {
        let output = self.icelab(words);
        assert!(output.status.success(), "icelab {words:?}: {}\n{}", output.text(), output.error_text());
        output
    }

    fn icelab(&self, words: &[&str]) -> Output {
        let icelab = self.folder.path().join("icelab");
        let mut command = match nix::unistd::Uid::effective().is_root() {
            true => as_nobody(&icelab),
            false => Command::new(icelab),
        };
        command.args(words).current_dir(self.folder.path()).env("HOME", self.folder.path());
        process::run(&mut command, COMPILE).unwrap_or_else(|e| panic!("{}", ice_bins::exit::chain(&e)))
    }
}

impl Drop for User {
    fn drop(&mut self) {
        self.icelab(&["down", "--name", &self.name]);
    }
}

fn as_nobody(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
    command
}
