//! The user ids of jobs: a range that nobody else uses, one id for each slot and one more for verifications
//! (decision: identities).

use std::collections::BTreeSet;
use std::fs;
use std::ops::RangeInclusive;

use nix::unistd::{Uid, User};
use thiserror::Error;

/// Where ids are taken from that nobody has given us: systemd's for services without an account of their own. They are
/// given for the time that a service runs, and no package and no administrator makes accounts there.
const UNASSIGNED: RangeInclusive<u32> = 61_184..=65_519;
/// Ids that mean "no id" to the kernel, of today and with 16 bits.
const NO_IDS: [u32; 2] = [u32::MAX, 65_535];

/// Why ids that the administrator named are not taken.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// It is root's, the daemon's or an account's.
    #[error("--job-uid-base {base}: user id {id} is that of {owner}")]
    Owned {
        /// The first id of the range.
        base: u32,
        /// The id.
        id: u32,
        /// Whose it is.
        owner: String,
    },
    /// The range has an id that is none.
    #[error("--job-uid-base {base}: {wanted} user ids from there on do not exist")]
    Missing {
        /// The first id of the range.
        base: u32,
        /// How many are needed.
        wanted: u32,
    },
}

/// A line of `/etc/subuid`: ids that an account may use besides its own.
#[derive(Debug, PartialEq, Eq)]
struct Lent {
    /// Name or number of the account.
    to: String,
    first: u32,
    count: u32,
}

/// The ids of this host that have an owner.
#[derive(Debug, Default)]
struct Owned {
    accounts: BTreeSet<u32>,
    /// Those of running processes.
    running: BTreeSet<u32>,
    lent: Vec<Lent>,
}

/// The account of the daemon.
#[derive(Debug)]
struct Holder {
    id: u32,
    name: String,
}

/// The first of `wanted` ids that nobody uses, for a daemon whose account has the id `daemon`: of those lent to that
/// account, else of those that nobody is given. `None`: there are not so many.
pub fn find(daemon: u32, wanted: u32) -> Option<u32> {
    let holder = Holder { id: daemon, name: account(daemon).unwrap_or_default() };
    let mut owned = Owned::read();
    loop {
        let base = choose(&owned, &holder, wanted)?;
        // A directory service has accounts that stand in no file. It is asked for few ids, as it may be slow.
        match (base..=base.saturating_add(wanted - 1)).find(|id| account(*id).is_some()) {
            None => return Some(base),
            Some(id) => drop(owned.accounts.insert(id)),
        }
    }
}

/// Whether the administrator may give jobs `wanted` ids from `base` on.
pub fn check(base: u32, wanted: u32, daemon: u32) -> Result<(), Refusal> {
    permits(base, wanted, daemon, account)
}

fn permits(base: u32, wanted: u32, daemon: u32, account: impl Fn(u32) -> Option<String>) -> Result<(), Refusal> {
    let last = base.checked_add(wanted - 1).ok_or(Refusal::Missing { base, wanted })?;
    for id in base..=last {
        let owner = match id {
            0 => Some("root".to_owned()),
            id if id == daemon => Some("the daemon itself".to_owned()),
            id if NO_IDS.contains(&id) => return Err(Refusal::Missing { base, wanted }),
            id => account(id).map(|name| format!("account {name}")),
        };
        if let Some(owner) = owner {
            return Err(Refusal::Owned { base, id, owner });
        }
    }
    Ok(())
}

/// As [`find`], by what is known of a host.
fn choose(owned: &Owned, holder: &Holder, wanted: u32) -> Option<u32> {
    let is_ours = |lent: &&Lent| lent.to == holder.name || lent.to == holder.id.to_string();
    let is_used = |id: u32| {
        id == 0
            || id == holder.id
            || NO_IDS.contains(&id)
            || owned.accounts.contains(&id)
            || owned.running.contains(&id)
            || owned.lent.iter().any(|lent| !is_ours(&lent) && lent.ids().contains(&id))
    };
    let spans = owned.lent.iter().filter(is_ours).map(Lent::ids).chain([UNASSIGNED]);
    spans.into_iter().find_map(|span| {
        let mut free = 0;
        let mut ends = span.map(|id| {
            free = if is_used(id) { 0 } else { free + 1 };
            (free == wanted).then(|| id - (wanted - 1))
        });
        ends.find_map(|base| base)
    })
}

impl Lent {
    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(':');
        let to = fields.next().filter(|name| !name.is_empty())?.to_owned();
        let mut number = || fields.next()?.trim().parse().ok();
        let (first, count) = (number()?, number()?);
        Some(Self { to, first, count })
    }

    fn ids(&self) -> RangeInclusive<u32> {
        match self.count.checked_sub(1) {
            Some(more) => self.first..=self.first.saturating_add(more),
            // An empty range.
            None => RangeInclusive::new(1, 0),
        }
    }
}

impl Owned {
    /// Reads what this host says. What cannot be read is taken for empty.
    fn read() -> Self {
        let text = |file| String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned();
        let accounts = text("/etc/passwd").lines().filter_map(|l| l.split(':').nth(2)?.parse().ok()).collect();
        let lent = text("/etc/subuid").lines().filter_map(Lent::parse).collect();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten().map(|e| e.path().join("status"));
        let running = processes.filter_map(|file| fs::read_to_string(file).ok()).flat_map(|s| ids_of(&s)).collect();
        Self { accounts, running, lent }
    }
}

/// The user ids in the `status` of a process: real, effective, saved and for files.
fn ids_of(status: &str) -> Vec<u32> {
    let ids = status.lines().find_map(|line| line.strip_prefix("Uid:")).unwrap_or_default();
    ids.split_whitespace().filter_map(|id| id.parse().ok()).collect()
}

/// The name of the account with this id.
fn account(id: u32) -> Option<String> {
    User::from_uid(Uid::from_raw(id)).ok().flatten().map(|user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Ids of accounts and processes, and lines of `/etc/subuid`; how many are wanted; the first of those found.
    type Row<'a> = (&'a str, &'a [u32], &'a [u32], &'a [&'a str], u32, Option<u32>);

    #[test]
    fn ids_that_nobody_uses() {
        let holder = Holder { id: 115, name: "icecc".to_owned() };
        let rows: [Row<'_>; 15] = [
            ("an empty host", &[0, 115, 1000], &[0], &[], 5, Some(61_184)),
            ("an account among them", &[61_186], &[], &[], 5, Some(61_187)),
            ("a gap that is too small, one that is not", &[61_184, 61_189, 61_195], &[], &[], 5, Some(61_190)),
            ("a process", &[], &[61_184], &[], 5, Some(61_185)),
            ("ids lent to somebody else", &[], &[], &["bob:61000:300"], 5, Some(61_300)),
            ("all of them", &[], &[], &["bob:60000:6000"], 5, None),
            ("the very last", &[], &[], &["bob:60000:5515"], 5, Some(65_515)),
            ("one too few", &[], &[], &["bob:60000:5516"], 5, None),
            ("ours", &[], &[], &["bob:100000:65536", "icecc:165536:1024"], 5, Some(165_536)),
            ("ours by number", &[], &[], &["115:165536:1024"], 5, Some(165_536)),
            ("ours, with a process of ours in it", &[], &[165_540], &["icecc:165536:1024"], 5, Some(165_541)),
            ("ours and another's too", &[], &[], &["icecc:165536:8", "bob:165536:3"], 5, Some(165_539)),
            ("ours, too few", &[], &[], &["icecc:165536:4"], 5, Some(61_184)),
            ("ours in two lines", &[], &[], &["icecc:165536:4", "icecc:200000:9"], 5, Some(200_000)),
            ("nobody's, root's and our own", &[], &[], &["icecc:0:4", "icecc:113:6", "icecc:65533:6"], 4, Some(61_184)),
        ];
        for (what, accounts, running, lines, wanted, first) in rows {
            let lent = lines.iter().filter_map(|line| Lent::parse(line)).collect();
            let (accounts, running) = (accounts.iter().copied().collect(), running.iter().copied().collect());
            let owned = Owned { accounts, running, lent };
            assert_eq!(choose(&owned, &holder, wanted), first, "{what}");
        }
    }

    #[test]
    fn ids_that_the_administrator_names() {
        let account = |id| (id == 1000).then(|| "alice".to_owned());
        let says = |base, wanted| permits(base, wanted, 115, account).err().map(|e| e.to_string());
        for (base, wanted, said) in [
            (2_000_000_000, 5, None),
            (996, 4, None),
            (1000, 3, Some("--job-uid-base 1000: user id 1000 is that of account alice")),
            (996, 5, Some("--job-uid-base 996: user id 1000 is that of account alice")),
            (0, 3, Some("--job-uid-base 0: user id 0 is that of root")),
            (113, 3, Some("--job-uid-base 113: user id 115 is that of the daemon itself")),
            (65_530, 10, Some("--job-uid-base 65530: 10 user ids from there on do not exist")),
            (u32::MAX - 3, 3, None),
            (u32::MAX - 3, 4, Some("--job-uid-base 4294967292: 4 user ids from there on do not exist")),
            (u32::MAX - 3, 9, Some("--job-uid-base 4294967292: 9 user ids from there on do not exist")),
        ] {
            assert_eq!(says(base, wanted).as_deref(), said);
        }
    }

    #[test]
    fn what_a_host_says() {
        let lent = |to: &str, first, count| Some(Lent { to: to.to_owned(), first, count });
        assert_eq!(Lent::parse("icecc:165536:65536"), lent("icecc", 165_536, 65_536));
        for line in ["", "#bob:1:2", ":1:2", "bob:1", "bob:x:2", "bob:1:-2"] {
            assert!(Lent::parse(line).is_none_or(|l| l.to.starts_with('#')), "{line}");
        }
        assert!(Lent { to: String::new(), first: 7, count: 0 }.ids().is_empty());
        assert_eq!(ids_of("Name:\tx\nUid:\t1\t2\t3\t4\nGid:\t9\n"), [1, 2, 3, 4]);
        assert!(Owned::read().running.contains(&Uid::effective().as_raw()));
    }
}
