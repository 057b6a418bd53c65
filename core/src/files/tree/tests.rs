//! Trees, by tables and against a plain model of overlay.

mod overlay;
mod random;

use super::*;
use crate::files::facts::Facts;
use crate::files::{Time, names_key};
use overlay::{Disk, Node};

const DIR: Fact = Fact::Dir { perm: 5 };

/// A file whose contents and inode are told by numbers; a group of 0 is one of its own.
fn file(contents: u8, group: u64) -> Fact {
    let mtime = Time { seconds: i64::from(contents), nanoseconds: 1 };
    Fact::File(FileFact { size: 1, mtime, perm: 4, group, digest: Digest([contents; 32]) })
}

fn link(target: &str) -> Fact {
    Fact::Link { target: target.into() }
}

fn names(all: &[&str]) -> Fact {
    Fact::Names(all.iter().map(|name| name.as_bytes().to_vec()).collect())
}

/// A whole set: directories above the paths are added.
fn facts(all: &[(&str, Fact)]) -> Facts {
    let mut facts = Facts::from_iter([(b"/".to_vec(), DIR)]);
    for (path, fact) in all {
        let slashes = path.bytes().enumerate().filter(|(at, c)| *c == b'/' && *at > 0);
        for (at, _) in slashes {
            facts.insert(path.as_bytes()[..at].to_vec(), DIR);
        }
        facts.insert(path.as_bytes().to_vec(), fact.clone());
    }
    facts
}

/// A tree with its layers.
#[derive(Default)]
struct Kept {
    tree: Tree,
    disk: Disk,
}

impl Kept {
    /// Does what a job needs, and checks that it sees what its facts say.
    fn place(&mut self, facts: &Facts) -> Layer {
        match self.tree.plan(facts, None, &every_content()) {
            Planned::Plan(plan) => {
                assert!(plan.lacking.is_empty());
                let layers = plan.layers;
                self.disk.carry_out(&plan.steps);
                self.tree.commit(plan);
                self.disk.check(facts, layers);
                layers
            }
            other => panic!("{other:?}"),
        }
    }

    fn plan(&self, facts: &Facts) -> Planned {
        self.tree.plan(facts, None, &every_content())
    }
}

fn every_content() -> BTreeSet<Content> {
    (0..=255).map(|n| (Digest([n; 32]), 1)).collect()
}

#[test]
fn new_paths_go_to_the_base_and_changes_to_a_delta() {
    let mut kept = Kept::default();
    let first = facts(&[("/u/a.h", file(1, 0)), ("/u/b.h", Fact::Absent), ("/l", link("u"))]);
    assert_eq!(kept.place(&first), 0);
    assert_eq!(kept.place(&first), 0);
    assert_eq!(kept.place(&facts(&[("/u/c.h", file(2, 0)), ("/v/d", DIR)])), 0, "nobody spoke of them");
    let edited = facts(&[("/u/a.h", file(3, 0))]);
    assert_eq!(kept.place(&edited), 1);
    assert_eq!(kept.place(&first), 0, "what was before is there yet");
    assert_eq!(kept.place(&facts(&[("/u/b.h", file(4, 0))])), 2, "its absence was spoken of");
    assert_eq!(kept.place(&facts(&[("/l", link("v")), ("/u/a.h", Fact::Absent)])), 3);
    assert_eq!(kept.place(&facts(&[("/u/a.h/x", file(1, 0))])), 4);
    assert_eq!(kept.place(&facts(&[("/u/a.h/y", file(2, 0))])), 4, "a directory of a delta grows there");
    assert_eq!(kept.place(&facts(&[("/u", Fact::Absent)])), 5);
    assert_eq!(kept.place(&facts(&[("/u/c.h", Fact::Absent)])), 6, "what was below is gone");
    assert_eq!(kept.place(&edited), 2, "the newest that agrees");
}

#[test]
fn what_comes_for_an_older_view_is_not_in_a_newer_directory_of_that_name() {
    let mut kept = Kept::default();
    kept.place(&facts(&[("/u/a", file(1, 0))]));
    kept.place(&facts(&[("/u", Fact::Absent)]));
    kept.place(&facts(&[("/u/b", file(2, 0)), ("/u/a", Fact::Absent)]));
    let old = facts(&[("/u/a", file(1, 0)), ("/u/new/c", file(3, 0))]);
    assert_eq!(kept.place(&old), 0);
    assert_eq!(kept.place(&facts(&[("/u/b", file(2, 0)), ("/u/new", Fact::Absent)])), 2);
    assert_eq!(kept.place(&facts(&[("/u/b", file(2, 0)), ("/u/new/c", file(3, 0))])), 3);
}

#[test]
fn a_listing_is_whole() {
    let mut kept = Kept::default();
    kept.place(&facts(&[("/u/a", file(1, 0)), ("/u/b", file(2, 0)), ("/u.x", DIR), ("/u/a-b/c", DIR)]));
    let listed = facts(&[("/u/", names(&["a", "a-b", "c"]))]);
    match kept.plan(&listed) {
        Planned::Unknown(paths) => assert_eq!(paths, [b"/u/c".to_vec()]),
        other => panic!("{other:?}"),
    }
    assert_eq!(kept.place(&facts(&[("/u/", names(&["a", "a-b", "c"])), ("/u/c", file(3, 0))])), 1, "b is gone");
    assert_eq!(kept.place(&facts(&[("/u/d", file(3, 0))])), 2, "what names did not tell was spoken of");
    assert_eq!(kept.place(&facts(&[("//", names(&["u", "u.x"]))])), 2);
}

#[test]
fn a_job_that_runs_sees_no_change() {
    let mut kept = Kept::default();
    kept.place(&facts(&[("/u/a", file(1, 0)), ("/u/b", Fact::Absent)]));
    let more = |facts: &Facts| kept.tree.plan(facts, Some(0), &every_content());
    assert!(matches!(more(&facts(&[("/u/c", file(2, 0))])), Planned::Plan(plan) if plan.layers == 0));
    for changed in [("/u/a", Fact::Absent), ("/u/b", file(1, 0)), ("/u/a", file(2, 0))] {
        assert!(
            matches!(more(&facts(std::slice::from_ref(&changed))), Planned::Changed(path) if path == changed.0.as_bytes())
        );
    }
    assert_eq!(kept.place(&facts(&[("/u/a", file(2, 0))])), 1);
    let newer = kept.tree.plan(&facts(&[("/u/d", file(2, 0)), ("/u/a", file(2, 0))]), Some(1), &every_content());
    assert!(matches!(newer, Planned::Plan(plan) if plan.layers == 1));
}

#[test]
fn only_what_is_one_inode_there_is_one_here() {
    let mut kept = Kept::default();
    kept.place(&facts(&[("/a", file(1, 0)), ("/b", file(1, 0)), ("/c", file(1, 7)), ("/d", file(1, 7))]));
    kept.place(&facts(&[("/e", file(1, 7)), ("/f", file(1, 0)), ("/g", file(1, 8)), ("/c", file(2, 9))]));
    let inode = |path: &str, layers| match kept.disk.view(path.as_bytes(), layers) {
        (Some(Node::File { inode, .. }), _) => inode,
        other => panic!("{path}: {other:?}"),
    };
    let all: Vec<u64> = ["/a", "/b", "/d", "/e", "/f", "/g", "/c"].map(|path| inode(path, 1)).into();
    let [a, b, d, e, f, g, c] = all[..] else { panic!() };
    assert_eq!(d, e);
    assert_eq!(d, inode("/c", 0));
    let apart: BTreeSet<u64> = [a, b, d, f, g, c].into();
    assert_eq!(apart.len(), 6);
}

#[test]
fn contents_are_asked_for_once() {
    let tree = Tree::default();
    let unreadable = Fact::File(FileFact { perm: 0, ..file_fact(9) });
    let set = facts(&[("/a", file(1, 0)), ("/b", file(1, 0)), ("/c", file(2, 0)), ("/d", unreadable)]);
    let Planned::Plan(plan) = tree.plan(&set, None, &BTreeSet::from([(Digest([2; 32]), 1)])) else { panic!() };
    assert_eq!(plan.lacking, [(b"/a".to_vec(), (Digest([1; 32]), 1))]);
    let sources = plan.steps.iter().filter_map(|step| match &step.make {
        Make::File { from, .. } => Some(from.clone()),
        _ => None,
    });
    let a = Place { layer: 0, path: b"/a".to_vec() };
    let expected = [Source::Arrived, Source::Copy(a.clone()), Source::Arrived, Source::Nothing];
    assert_eq!(sources.collect::<Vec<_>>(), expected);
    let mut tree = tree;
    tree.commit(plan);
    let Planned::Plan(plan) = tree.plan(&facts(&[("/e", file(1, 0))]), None, &BTreeSet::new()) else { panic!() };
    assert!(plan.lacking.is_empty());
    assert_eq!(plan.steps[0].make, Make::File { file: file_fact(1), from: Source::Copy(a) });
}

fn file_fact(contents: u8) -> FileFact {
    match file(contents, 0) {
        Fact::File(file) => file,
        _ => panic!(),
    }
}

#[test]
fn after_sixteen_deltas_comes_a_new_generation() {
    let mut kept = Kept::default();
    for n in 0..=16 {
        assert_eq!(kept.place(&facts(&[("/u/a", file(n, 0)), ("/u/b", file(100, 3))])), n.into());
    }
    assert_eq!(kept.tree.deltas(), 16);
    let next = facts(&[("/u/a", file(17, 0))]);
    assert!(matches!(kept.plan(&next), Planned::Full));
    let (tree, steps) = kept.tree.squashed();
    let disk = kept.disk.squashed(&steps);
    let mut kept = Kept { tree, disk };
    kept.disk.check(&facts(&[("/u/a", file(16, 0)), ("/u/b", file(100, 3))]), 0);
    assert_eq!(kept.place(&next), 1);
    assert_eq!(kept.place(&facts(&[("/u/c", file(100, 3))])), 1);
}

#[test]
fn a_tree_does_not_grow_without_end() {
    let of = |n: u32| Tree { paths: (0..n).map(|n| (n.to_string().into(), Vec::new())).collect(), ..Tree::default() };
    // Two more: `/`, too.
    let planned = |n| of(n).plan(&facts(&[("/a", DIR)]), None, &BTreeSet::new());
    assert!(matches!(planned(399_998), Planned::Plan(_)));
    assert!(matches!(planned(399_999), Planned::Full));
}

#[test]
fn a_tree_tells_of_what_it_speaks() {
    let mut kept = Kept::default();
    assert!(kept.tree.is_empty() && kept.tree.len() == 1 && kept.tree.deltas() == 0);
    let set = facts(&[("/u/a", file(1, 0)), ("/u/b", Fact::Absent)]);
    assert!(matches!(kept.plan(&set), Planned::Plan(plan) if plan.entries() == 3));
    kept.place(&set);
    assert!(!kept.tree.is_empty() && kept.tree.len() == 4);
    let has = |contents: u8, size| kept.tree.has(&(Digest([contents; 32]), size));
    assert_eq!((has(1, 1), has(1, 2), has(2, 1)), (true, false, false));
    let stands = |path: &str| kept.tree.stands(path.as_bytes(), 0).cloned();
    assert_eq!([stands("/u/a"), stands("/u/b"), stands("/u/c")], [Some(file(1, 0)), Some(Fact::Absent), None]);
}

#[test]
fn contents_of_what_cannot_be_read_are_all_the_same() {
    let mut kept = Kept::default();
    let closed = |n, size| Fact::File(FileFact { perm: 1, size, digest: Digest([n; 32]), ..file_fact(1) });
    kept.place(&facts(&[("/a", closed(1, 1)), ("/b", file(1, 0))]));
    let layers = |fact| match kept.plan(&facts(&[("/a", fact)])) {
        Planned::Plan(plan) => (plan.layers, plan.steps.len()),
        other => panic!("{other:?}"),
    };
    assert_eq!(layers(closed(2, 1)), (0, 0));
    assert_eq!(layers(closed(1, 2)), (1, 2), "its size is seen");
    assert_eq!(layers(file(1, 0)), (1, 2), "it can be read now");
    let edited = Fact::File(FileFact { digest: Digest([2; 32]), ..file_fact(1) });
    let Planned::Plan(plan) = kept.plan(&facts(&[("/b", edited)])) else { panic!() };
    assert_eq!(plan.layers, 1, "nothing tells but its contents");
    let Planned::Plan(plan) = kept.plan(&facts(&[("/b", closed(1, 1))])) else { panic!() };
    assert_eq!(plan.layers, 1, "it cannot be read any more");
}

#[test]
fn what_cannot_be_read_is_copied_nowhere() {
    let closed = Fact::File(FileFact { perm: 1, ..file_fact(1) });
    let mut tree = Tree::default();
    let Planned::Plan(plan) = tree.plan(&facts(&[("/a", closed)]), None, &BTreeSet::new()) else { panic!() };
    tree.commit(plan);
    assert!(!tree.has(&content(&file_fact(1))));
    let Planned::Plan(plan) = tree.plan(&facts(&[("/b", file(1, 0))]), None, &BTreeSet::new()) else { panic!() };
    assert_eq!(plan.lacking, [(b"/b".to_vec(), content(&file_fact(1)))]);
}
