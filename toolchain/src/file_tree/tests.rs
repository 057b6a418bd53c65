//! Trees on disk: what is placed, what is refused, and what goes.

use super::*;
use ice_core::files::{Fact, Facts, FileFact, Time};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Component;
use std::thread;

const DIR: Fact = Fact::Dir { perm: 5 };
const LIMIT: u64 = 64 << 20;

/// A file of these bytes.
fn file(bytes: &[u8]) -> FileFact {
    FileFact {
        size: bytes.len() as u64,
        mtime: Time { seconds: 1_000_000_000, nanoseconds: 123_456_789 },
        perm: 4,
        group: 0,
        digest: Digest(*blake3::hash(bytes).as_bytes()),
    }
}

fn text(bytes: &str) -> Fact {
    Fact::File(file(bytes.as_bytes()))
}

fn linked(bytes: &str) -> Fact {
    Fact::File(FileFact { group: 7, perm: 5, ..file(bytes.as_bytes()) })
}

/// A whole set.
fn facts(all: &[(&str, Fact)]) -> Facts {
    let mut facts = Facts::new();
    for (path, fact) in all {
        for above in Path::new(path).ancestors().skip(1) {
            facts.insert(above.to_str().unwrap().into(), DIR);
        }
        facts.insert((*path).into(), fact.clone());
    }
    facts
}

struct Room {
    dir: tempfile::TempDir,
    trees: Arc<Trees>,
}

fn with_limit(limit: u64) -> Room {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join(".ours")).unwrap();
    let trees = Arc::new(Trees::open(dir.path(), limit, 0).unwrap());
    Room { dir, trees }
}

impl Room {
    fn enter(&self, token: u8) -> TreeUse {
        self.trees.enter(Token([token; 32])).unwrap()
    }

    /// Where something lies for a job: its highest layer.
    fn find(&self, token: u8, tree: &TreeUse, path: &str) -> PathBuf {
        let (generation, deltas) = tree.layers();
        let dir = store_layout::tree_generation(self.dir.path(), &Token([token; 32]), generation);
        let relative: PathBuf = Path::new(path).components().filter(|c| *c != Component::RootDir).collect();
        let places =
            deltas.into_iter().chain([0]).map(|layer| dir.join(store_layout::layer_name(layer)).join(&relative));
        places.into_iter().find(|place| fs::symlink_metadata(place).is_ok()).unwrap_or_default()
    }
}

/// Places facts, of files that hold what is in `contents`; returns the paths that were asked for.
fn place(tree: &mut TreeUse, facts: &Facts, contents: &[&str]) -> Result<Vec<String>, TreeError> {
    let mut asked = Vec::new();
    loop {
        match tree.place(facts)? {
            Placing::Placed => return Ok(asked),
            Placing::Lacking(paths, mut arriving) => {
                for path in &paths {
                    let Some(Fact::File(file)) = facts.get(path) else { panic!() };
                    let bytes = contents.iter().map(|text| text.as_bytes());
                    let bytes = bytes.into_iter().find(|bytes| *blake3::hash(bytes).as_bytes() == file.digest.0);
                    bytes.unwrap().chunks(3.max(file.size as usize / 7)).try_for_each(|piece| arriving.take(piece))?;
                }
                asked.extend(paths.into_iter().map(|path| String::from_utf8(path).unwrap()));
                arriving.end()?;
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn files_come_as_they_are() {
    let room = with_limit(LIMIT);
    let mut tree = room.enter(1);
    let unreadable = Fact::File(FileFact { perm: 0, size: 5000, ..file(b"") });
    let first = facts(&[
        ("/u/a.h", text("one")),
        ("/u/b.h", text("one")),
        ("/u/empty", text("")),
        ("/u/l", Fact::Link { target: b"a.h".to_vec() }),
        ("/u/secret", unreadable),
        ("/u/x", linked("two")),
        ("/u/y", linked("two")),
        ("/v", Fact::Dir { perm: 1 }),
        ("/w", Fact::Absent),
    ]);
    assert_eq!(place(&mut tree, &first, &["one", "two", ""]).unwrap(), ["/u/a.h", "/u/empty", "/u/x"]);
    let at = |tree: &TreeUse, path: &str| room.find(1, tree, path);
    let stat = |path: &str| fs::symlink_metadata(at(&tree, path)).unwrap();
    assert_eq!(fs::read_to_string(at(&tree, "/u/b.h")).unwrap(), "one");
    assert_ne!(stat("/u/a.h").ino(), stat("/u/b.h").ino());
    assert_eq!(stat("/u/x").ino(), stat("/u/y").ino());
    assert_eq!((stat("/u/a.h").mtime(), stat("/u/a.h").mtime_nsec()), (1_000_000_000, 123_456_789));
    let modes = ["/u", "/v", "/u/a.h", "/u/x", "/u/secret"].map(|path| stat(path).mode() & 0o7777);
    assert_eq!(modes, [0o777, 0o733, 0o444, 0o555, 0]);
    assert_eq!((stat("/u/secret").size(), stat("/u/secret").blocks()), (5000, 0));
    assert_eq!(fs::read_link(at(&tree, "/u/l")).unwrap(), Path::new("a.h"));
    assert_eq!(place(&mut tree, &first, &[]).unwrap(), [""; 0], "it is there");

    let edited = facts(&[("/u/a.h", text("three")), ("/u/b.h", Fact::Absent), ("/u/new", text("two"))]);
    let mut second = room.enter(1);
    assert_eq!(place(&mut second, &edited, &["three"]).unwrap(), ["/u/a.h"]);
    assert_eq!((second.layers().1, tree.layers().1), (vec![1], vec![]));
    assert_eq!(fs::read_to_string(at(&second, "/u/a.h")).unwrap(), "three");
    assert_eq!(fs::read_to_string(at(&tree, "/u/a.h")).unwrap(), "one");
    assert_eq!(fs::read_to_string(at(&second, "/u/new")).unwrap(), "two");
    let whiteout = fs::symlink_metadata(at(&second, "/u/b.h")).unwrap();
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
    let mut third = room.enter(2);
    assert_eq!(place(&mut third, &edited, &["three", "two"]).unwrap().len(), 2, "another's tree");
}

#[test]
fn contents_that_are_others_are_refused_and_not_kept() {
    let room = with_limit(LIMIT);
    let mut tree = room.enter(1);
    let wanted = facts(&[("/a", text("abc")), ("/b", text("defg"))]);
    let mut send = |bytes: &[&str]| {
        let Placing::Lacking(_, mut arriving) = tree.place(&wanted).unwrap() else { panic!() };
        let taken = bytes.iter().try_for_each(|piece| arriving.take(piece.as_bytes()));
        taken.and_then(|()| arriving.end()).unwrap_err().to_string()
    };
    assert!(send(&["abd"]).starts_with("contents are not those of"));
    assert_eq!(send(&["ab", "cde"]), "fewer contents than were asked for");
    assert_eq!(send(&[]), "fewer contents than were asked for");
    assert_eq!(send(&["def", "gh"]), "more contents than were asked for", "abc has come");
    assert!(matches!(tree.place(&wanted).unwrap(), Placing::Placed), "both have come");
    let left = fs::read_dir(store_layout::tree_arriving(room.dir.path(), &Token([1; 32]))).unwrap().count();
    assert_eq!(left, 0);
    // A size that is not that of the contents does not make them another's.
    let short = FileFact { size: 1, ..file(b"abc") };
    let Placing::Lacking(_, mut arriving) = tree.place(&facts(&[("/c", Fact::File(short))])).unwrap() else { panic!() };
    assert!(arriving.take(b"a").is_err());
}

#[test]
fn what_one_job_brings_others_wait_for() {
    let room = with_limit(LIMIT);
    let wanted = facts(&[("/a", text("abc"))]);
    let (mut first, mut second) = (room.enter(1), room.enter(1));
    let Placing::Lacking(_, mut arriving) = first.place(&wanted).unwrap() else { panic!() };
    let placed = thread::scope(|scope| {
        let waiting = scope.spawn(|| matches!(second.place(&wanted).unwrap(), Placing::Placed));
        arriving.take(b"abc").unwrap();
        arriving.end().unwrap();
        waiting.join().unwrap()
    });
    assert!(placed);
    // Of one that goes without having brought it, nobody waits.
    let more = facts(&[("/b", text("b"))]);
    let Placing::Lacking(_, arriving) = first.place(&more).unwrap() else { panic!() };
    drop(arriving);
    assert!(matches!(second.place(&more).unwrap(), Placing::Lacking(..)));
}

#[test]
fn a_running_job_keeps_its_view_while_generations_come() {
    let room = with_limit(LIMIT);
    let mut old = room.enter(1);
    let texts: Vec<String> = (0..20).map(|n| n.to_string()).collect();
    place(&mut old, &facts(&[("/a", text("0")), ("/same", linked("1"))]), &["0", "1"]).unwrap();
    let ino = |tree: &TreeUse, path: &str| fs::metadata(room.find(1, tree, path)).unwrap().ino();
    let before = ino(&old, "/same");
    for n in &texts[1..] {
        let mut tree = room.enter(1);
        place(&mut tree, &facts(&[("/a", text(n))]), &[n]).unwrap();
        assert_eq!(fs::read_to_string(room.find(1, &tree, "/a")).unwrap(), *n);
    }
    let mut tree = room.enter(1);
    let last = facts(&[("/a", text("19")), ("/same", linked("1"))]);
    assert_eq!(place(&mut tree, &last, &[]).unwrap(), [""; 0]);
    assert_eq!(tree.layers().1.len(), 3);
    assert!(tree.layers().0 > old.layers().0);
    assert_eq!((ino(&tree, "/same"), ino(&old, "/same")), (before, before));
    assert!(matches!(old.grow(&facts(&[("/b", DIR)])).unwrap(), Placing::Placed));
    assert!(matches!(old.grow(&facts(&[("/a", DIR)])).unwrap(), Placing::Changed(path) if path == b"/a"));
    assert!(room.find(1, &old, "/b").is_dir() && !room.find(1, &tree, "/b").is_dir());
    let generation = room.find(1, &old, "/a");
    drop(old);
    assert!(!generation.exists(), "nobody uses it");
    assert!(room.find(1, &tree, "/a").exists());
}

#[test]
fn each_submitter_has_half_and_idle_ones_give_way() {
    let room = with_limit(4 << 20);
    let large = "x".repeat(1_500_000);
    let (one, other) = (facts(&[("/a", text(&large))]), facts(&[("/b", text(&large[1..]))]));
    let mut first = room.enter(1);
    place(&mut first, &one, &[&large]).unwrap();
    let both = facts(&[("/a", text(&large)), ("/b", text(&large[1..]))]);
    assert!(matches!(first.place(&both), Err(TreeError::Share)));
    place(&mut room.enter(2), &one, &[&large]).unwrap();
    let mut third = room.enter(3);
    place(&mut third, &one, &[&large]).unwrap();
    assert!(!store_layout::tree(room.dir.path(), &Token([2; 32])).exists(), "nobody uses it");
    let mut fourth = room.enter(4);
    assert!(matches!(fourth.place(&other), Err(TreeError::NoRoom)), "all are in use");
    drop(third);
    place(&mut fourth, &other, &[&large[1..]]).unwrap();
    // A tree that would be too large begins anew with what is needed now.
    drop(first);
    assert_eq!(place(&mut fourth, &one, &[&large]).unwrap(), ["/a"]);
    assert_eq!(fs::read_dir(store_layout::old_trees(room.dir.path())).unwrap().count(), 0);
    let huge = FileFact { size: 10 << 30, ..file(b"") };
    assert!(matches!(fourth.place(&facts(&[("/huge", Fact::File(huge))])), Err(TreeError::Share)));
}

#[test]
fn after_a_failure_of_the_disk_the_tree_begins_anew() {
    let room = with_limit(LIMIT);
    let mut old = room.enter(1);
    place(&mut old, &facts(&[("/a", text("a"))]), &["a"]).unwrap();
    // Too long with what is before it.
    let deep = format!("/{}x", "abcdefg/".repeat(510));
    let mut tree = room.enter(1);
    assert!(matches!(tree.place(&facts(&[(&deep, DIR)])), Err(TreeError::Disk(_))));
    assert_eq!(place(&mut tree, &facts(&[("/a", text("a"))]), &["a"]).unwrap(), ["/a"]);
    assert!(tree.layers().0 > old.layers().0);
    assert!(room.find(1, &old, "/a").exists(), "jobs that run go on");
}

#[test]
fn a_restart_removes_old_trees() {
    let room = with_limit(LIMIT);
    let mut tree = room.enter(1);
    place(&mut tree, &facts(&[("/a", text("a"))]), &["a"]).unwrap();
    for _ in 0..2 {
        let next = Trees::open(room.dir.path(), LIMIT, 0).unwrap();
        assert_eq!(fs::read_dir(store_layout::trees(room.dir.path())).unwrap().count(), 0);
        next.remove_old().unwrap();
    }
    assert_eq!(fs::read_dir(store_layout::old_trees(room.dir.path())).unwrap().count(), 0);
}

#[test]
fn sets_are_known_by_their_digest() {
    let room = with_limit(LIMIT);
    let tree = room.enter(1);
    let set = facts(&[("/a", text("a"))]);
    assert_eq!(tree.set(&Digest([1; 32])), None);
    tree.keep_set(Digest([1; 32]), set.encode());
    assert_eq!(tree.set(&Digest([1; 32])), Some(set));
    assert_eq!(room.enter(2).set(&Digest([1; 32])), None, "another's");
    (2..=40).for_each(|n| tree.keep_set(Digest([n; 32]), vec![0; 1 << 20]));
    assert_eq!(tree.set(&Digest([1; 32])), None, "the oldest go");
}
