//! What root does in a folder of the service's account happens with the account's rights. Its only test, as ids belong
//! to the whole process.

#![allow(clippy::unwrap_used)]

use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use ice_bins::background::{Account, as_account};

#[test]
fn a_link_in_the_accounts_folder_does_not_lead_root_to_other_files() {
    if fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().nth(2) == Some("1")
        || !nix::unistd::Uid::effective().is_root()
    {
        return; // nobody else to be
    }
    let nobody = Account { uid: 65_534, gid: 65_534 };
    let top = tempfile::tempdir().unwrap();
    fs::set_permissions(top.path(), Permissions::from_mode(0o755)).unwrap();
    let (secret, folder) = (top.path().join("secret"), top.path().join("log"));
    fs::write(&secret, "root's").unwrap();
    fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
    fs::create_dir(&folder).unwrap();
    std::os::unix::fs::chown(&folder, Some(nobody.uid), Some(nobody.gid)).unwrap();
    symlink(&secret, folder.join("iceccd.log")).unwrap();
    let open = |name: &str| OpenOptions::new().append(true).create(true).open(folder.join(name)).map(drop);
    assert!(as_account(&nobody, || open("iceccd.log")).is_err());
    as_account(&nobody, || open("new.log")).unwrap();
    assert_eq!(fs::metadata(folder.join("new.log")).unwrap().uid(), nobody.uid);
    assert!(nix::unistd::Uid::effective().is_root() && nix::unistd::Gid::effective().as_raw() == 0);
    open("iceccd.log").unwrap();
}
