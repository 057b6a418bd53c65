//! Of which files a server may be told more than that they are there: a hostile one must not read the user's home
//! (`sandbox/SECURITY.md`).

use ice_core::cmdline::paths::base_name;

/// Directories of the system in which compilers have their files.
const SYSTEM: [&str; 9] = ["/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/opt", "/etc/alternatives"];
/// Files of the system that every program or every driver reads.
const FILES: [&str; 10] = [
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/os-release",
    "/etc/lsb-release",
    "/etc/redhat-release",
    "/etc/debian_version",
    "/etc/gnuc_version",
    "/etc/nsswitch.conf",
];
/// Names of files and directories that hold keys and passwords.
const SECRETS: [&str; 23] = [
    ".ssh",
    ".gnupg",
    ".pki",
    ".aws",
    ".azure",
    ".gcloud",
    ".kube",
    ".docker",
    ".password-store",
    ".mozilla",
    ".thunderbird",
    ".config",
    ".netrc",
    ".pgpass",
    ".my.cnf",
    ".git",
    ".git-credentials",
    ".gitconfig",
    ".npmrc",
    ".pypirc",
    ".htpasswd",
    ".env",
    ".bash_history",
];
/// How names of keys end.
const KEYS: [&str; 11] =
    [".pem", ".key", ".p12", ".pfx", ".jks", ".keystore", ".kdbx", "_rsa", "_dsa", "_ecdsa", "_ed25519"];

/// Where the compiler of one job may read.
#[derive(Clone, Debug, Default)]
pub(super) struct Roots {
    directories: Vec<Vec<u8>>,
}

impl Roots {
    /// All in these canonical directories, beside those of the system. The root alone stands for all, and is none.
    pub(super) fn of(directories: impl IntoIterator<Item = Vec<u8>>) -> Self {
        let mut directories: Vec<Vec<u8>> = directories.into_iter().filter(|directory| directory != b"/").collect();
        directories.sort();
        directories.dedup();
        Self { directories }
    }

    /// Whether the content of a canonical path may be told.
    pub(super) fn may_tell(&self, path: &[u8]) -> bool {
        let is_usual = FILES.iter().any(|file| file.as_bytes() == path);
        (is_usual || self.holds(path)) && !is_secret(path)
    }

    /// Whether the names in a canonical directory may be told.
    pub(super) fn may_list(&self, directory: &[u8]) -> bool {
        self.holds(directory) && !is_secret(directory)
    }

    fn holds(&self, path: &[u8]) -> bool {
        let own = self.directories.iter().map(Vec::as_slice);
        own.chain(SYSTEM.iter().map(|directory| directory.as_bytes())).any(|directory| is_in(path, directory))
    }
}

fn is_in(path: &[u8], directory: &[u8]) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.is_empty() || rest.starts_with(b"/"))
}

/// Whether a path is one of keys or passwords, which nobody is told of.
pub(super) fn is_secret(path: &[u8]) -> bool {
    let mut names = path.split(|b| *b == b'/');
    let name = base_name(path);
    names.any(|name| SECRETS.iter().any(|secret| secret.as_bytes() == name))
        || KEYS.iter().any(|end| name.ends_with(end.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_a_compiler_may_need_is_told() {
        let roots = Roots::of([b"/home/u/project".to_vec(), b"/".to_vec()]);
        for (path, may) in [
            ("/home/u/project/a.h", true),
            ("/home/u/project", true),
            ("/home/u/projects/a.h", false),
            ("/home/u/a.h", false),
            ("/usr/include/stdio.h", true),
            ("/usrx", false),
            ("/etc/ld.so.cache", true),
            ("/etc/passwd", false),
            ("/etc/shadow", false),
            ("/home/u/project/.ssh/config", false),
            ("/home/u/project/.git/config", false),
            ("/home/u/project/id_rsa", false),
            ("/home/u/project/server.key", false),
            ("/home/u/project/shadow/id_map.h", true),
        ] {
            assert_eq!(roots.may_tell(path.as_bytes()), may, "{path}");
        }
        assert!(
            roots.may_list(b"/opt") && !roots.may_list(b"/") && !roots.may_list(b"/etc") && !roots.may_list(b"/home/u")
        );
    }
}
