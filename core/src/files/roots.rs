//! What a compile server may be told: contents of files and names in directories only where a compiler has its files,
//! and never what the table of secrets names. A hostile server must not read the user's home.

use super::fact::{is_canonical, parent};
use std::collections::BTreeSet;

/// Directories of the system in which compilers have their files.
const SYSTEM: &[&str] = &["/usr", "/lib", "/lib32", "/lib64", "/libx32", "/bin", "/sbin", "/opt", "/etc/alternatives"];
/// Files of the system that every program or every driver reads.
const USUAL: &[&str] = &[
    "/etc/debian_version",
    "/etc/gnuc_version",
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/locale.alias",
    "/etc/localtime",
    "/etc/lsb-release",
    "/etc/nsswitch.conf",
    "/etc/os-release",
    "/etc/redhat-release",
];
/// Directories that hold much else than one project: as an input of a compile only their own entries count.
const WIDE: &[&str] =
    &["/", "/boot", "/etc", "/home", "/media", "/mnt", "/root", "/run", "/srv", "/tmp", "/var", "/var/tmp"];
/// Files and directories that hold keys and passwords, wherever they are.
const SECRETS: &[&str] = &[
    ".Xauthority",
    ".aws",
    ".azure",
    ".bash_history",
    ".boto",
    ".chef",
    ".config",
    ".docker",
    ".env",
    ".gcloud",
    ".git",
    ".git-credentials",
    ".gitconfig",
    ".gnupg",
    ".gsutil",
    ".htpasswd",
    ".kube",
    ".mozilla",
    ".my.cnf",
    ".mysql_history",
    ".netrc",
    ".npmrc",
    ".oci",
    ".password-store",
    ".pgpass",
    ".pki",
    ".psql_history",
    ".pypirc",
    ".python_history",
    ".rhosts",
    ".s3cfg",
    ".sqlite_history",
    ".ssh",
    ".terraform.d",
    ".thunderbird",
    ".vault-token",
    ".viminfo",
    ".zsh_history",
    "_netrc",
    "credentials.json",
    "credentials.toml",
    "gshadow",
    "keyrings",
    "secring.gpg",
    "sudoers",
];
/// How names of keys end.
const KEYS: &[&str] = &[
    ".jks",
    ".kdb",
    ".kdbx",
    ".key",
    ".keystore",
    ".ovpn",
    ".p12",
    ".pem",
    ".pfx",
    ".ppk",
    ".psafe3",
    "_dsa",
    "_ecdsa",
    "_ed25519",
    "_rsa",
];
/// Secrets by where they are: addresses in them may have passwords.
const PLACES: &[&[&str]] = &[&[".hg", "hgrc"], &[".svn", "auth"], &["etc", "shadow"], &["etc", "passwd"]];
/// What is no file system of the user's.
const NO_FILES: &[&str] = &["dev", "proc", "sys"];

/// Where the compiler of a job may read. All paths are canonical.
#[derive(Clone, Debug, Default)]
pub struct Roots {
    directories: BTreeSet<Vec<u8>>,
    home: Vec<u8>,
}

impl Roots {
    /// These directories beside those of the system, for a user with this home; empty if that is not known. All that is
    /// below them counts; of one as wide as `/` or the home only its own entries.
    pub fn of(directories: impl IntoIterator<Item = Vec<u8>>, home: &[u8]) -> Self {
        Self { directories: directories.into_iter().collect(), home: home.to_vec() }
    }

    /// Whether the contents of a file may be told.
    pub fn may_tell(&self, path: &[u8]) -> bool {
        let is_usual = USUAL.iter().any(|file| file.as_bytes() == path);
        (is_usual || self.holds(path)) && !is_secret(path)
    }

    /// Whether the names in a directory may be told.
    pub fn may_list(&self, directory: &[u8]) -> bool {
        self.holds(directory) && !is_secret(directory)
    }

    fn holds(&self, path: &[u8]) -> bool {
        let mut place = is_canonical(path).then_some(path);
        let mut depth = 0;
        while let Some(directory) = place {
            let is_own = self.directories.contains(directory) && (depth == 1 || !self.is_wide(directory));
            if is_own || is_in(SYSTEM, directory) {
                return true;
            }
            depth += 1;
            place = parent(directory);
        }
        false
    }

    /// Whether much else than sources is below a directory.
    fn is_wide(&self, directory: &[u8]) -> bool {
        let is_above_home = || self.home.strip_prefix(directory).is_some_and(|rest| matches!(rest, [] | [b'/', ..]));
        is_in(WIDE, directory) || is_above_home()
    }
}

/// Whether nobody is told what a file at this path holds: it may be a secret, or is no file of the user's.
pub fn is_secret(path: &[u8]) -> bool {
    let names: Vec<&[u8]> = path.split(|c| *c == b'/').filter(|name| !name.is_empty()).collect();
    let ends = |name: &&&[u8]| KEYS.iter().any(|ending| name.ends_with(ending.as_bytes()));
    let is_at = |place: &&[&str]| {
        names.windows(place.len()).any(|names| names.iter().zip(*place).all(|(a, b)| *a == b.as_bytes()))
    };
    names.first().is_some_and(|first| is_in(NO_FILES, first))
        || names.iter().any(|name| is_in(SECRETS, name))
        || names.last().filter(ends).is_some()
        || PLACES.iter().any(is_at)
}

fn is_in(table: &[&str], name: &[u8]) -> bool {
    table.iter().any(|known| known.as_bytes() == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots() -> Roots {
        Roots::of(["/home/me/project", "/build"].map(|path| path.into()), b"/home/me")
    }

    #[test]
    fn only_what_a_compiler_may_need_is_told() {
        for (path, may) in [
            ("/home/me/project/a.c", true),
            ("/home/me/project", true),
            ("/home/me/project/sub/dir/a.h", true),
            ("/home/me/project/shadow/id_map.h", true),
            ("/home/me/project2/a.c", false),
            ("/home/me/a.h", false),
            ("/home/me", false),
            ("/build/sub/a.c", true),
            ("/", false),
            ("/usr/include/stdio.h", true),
            ("/usrx", false),
            ("/opt/gcc/lib/cc1", true),
            ("/etc/ld.so.cache", true),
            ("/etc/passwd", false),
            ("/etc/shadow", false),
            ("/proc/self/environ", false),
            ("/home/me/project/../.bashrc", false),
            ("home/me/project/a.c", false),
        ] {
            assert_eq!(roots().may_tell(path.as_bytes()), may, "{path}");
        }
        for (path, may) in
            [("/opt", true), ("/", false), ("/etc", false), ("/home/me", false), ("/etc/ld.so.cache", false)]
        {
            assert_eq!(roots().may_list(path.as_bytes()), may, "{path}");
        }
        for (path, may) in [
            ("/home/me/project", true),
            ("/home/me/project/sub", true),
            ("/home/me/project/.ssh", false),
            ("/home/me/project/.git/hooks", false),
            ("/usr/lib/.aws", false),
            ("/usr/./lib", false),
        ] {
            assert_eq!(roots().may_list(path.as_bytes()), may, "{path}");
        }
    }

    #[test]
    fn secrets_are_told_nowhere() {
        for name in [
            "server.key",
            "sub/.git/config",
            ".netrc",
            ".env",
            "id_rsa",
            ".ssh/x",
            ".ssh",
            "a/.gnupg/b/c",
            "x.pem",
            ".hg/hgrc",
            ".svn/auth/svn.simple/1",
            ".config/gh/hosts.yml",
            "deploy_ed25519",
            "keyrings/a",
        ] {
            let path = format!("/home/me/project/{name}");
            assert!(!roots().may_tell(path.as_bytes()) && is_secret(path.as_bytes()), "{path}");
        }
        for name in ["config", "git/config", "key.h", "monkey", "pem", "credentials.h", "ssh/x.h", "etc/passwords.h"] {
            let path = format!("/home/me/project/{name}");
            assert!(roots().may_tell(path.as_bytes()), "{path}");
        }
        for path in ["/proc/self/environ", "/sys/a", "/dev/mem", "/etc/shadow"] {
            assert!(is_secret(path.as_bytes()), "{path}");
        }
    }

    #[test]
    fn of_wide_directories_only_the_entries_are_told() {
        for wide in ["/", "/home", "/home/me", "/tmp", "/etc"] {
            let roots = Roots::of([wide.into()], b"/home/me");
            let below = wide.trim_end_matches('/');
            assert!(roots.may_tell(format!("{below}/a.c").as_bytes()), "{wide}");
            assert!(!roots.may_tell(format!("{below}/other/a.c").as_bytes()), "{wide}");
            assert!(!roots.may_list(wide.as_bytes()), "{wide}");
        }
        assert!(Roots::of([b"/w".to_vec()], b"").may_tell(b"/w/a/b"));
        assert!(Roots::of([b"/home/m".to_vec()], b"/home/me").may_list(b"/home/m/a"), "not above the home");
        let both = Roots::of([b"/home/me".to_vec(), b"/home/me/w".to_vec()], b"/home/me");
        assert!(both.may_tell(b"/home/me/w/a/b.c") && !both.may_tell(b"/home/me/v/a.c"));
        assert!(both.may_list(b"/home/me/w") && both.may_list(b"/home/me/w/a"));
    }
}
