//! Native archives: which clients get an answer, and which one.

use super::*;

fn key(compiler: &str, mtime_ns: i64) -> NativeKey {
    let file = FileFacts { path: compiler.into(), size: 1, mtime_ns, inode: 1 };
    NativeKey { compression: Text::new(), compiler: compiler.into(), extra_files: Vec::new(), files: vec![file] }
}

fn archive(path: &str) -> Archive {
    Archive { path: path.into(), size: 10 }
}

fn asks(s: &mut Scenario, version: u32, key: &NativeKey) -> PeerId {
    let peer = s.client_as(version);
    s.say(peer, Message::GetNativeEnv(GetNativeEnv::default()));
    s.handle(Input::Examined { peer, outcome: Ok((key.clone(), false)) });
    peer
}

fn builds(s: &mut Scenario) -> Vec<NativeKey> {
    let outputs = std::mem::take(&mut s.others).into_iter();
    outputs.filter_map(|o| if let Output::BuildNative(key) = o { Some(key) } else { None }).collect()
}

#[test]
fn why_there_is_no_archive_is_told_to_clients_of_ours() {
    for (version, told) in [(42, false), (43, false), (44, true)] {
        let mut s = Scenario::new(config(1));
        let peer = s.client_as(version);
        s.say(peer, Message::GetNativeEnv(GetNativeEnv::default()));
        s.handle(Input::Examined { peer, outcome: Err("cannot read /gcc".into()) });
        let mut expected = vec![Message::End];
        if told {
            expected.insert(0, Message::StatusText { text: "cannot read /gcc".into() });
        }
        assert_eq!(s.sent_to(peer), expected, "{version}");
    }
}

/// The first archive in the queue is being made already, and later requests will need it.
#[test]
fn an_archive_that_nobody_waits_for_any_more_is_not_begun() {
    let keys = ["/first", "/second", "/third"].map(|path| key(path, 1));
    let mut s = Scenario::new(config(1));
    let peers = keys.each_ref().map(|key| asks(&mut s, 43, key));
    assert_eq!(builds(&mut s), [keys[0].clone()]);
    s.hang_up(peers[0]);
    s.hang_up(peers[1]);
    assert!(builds(&mut s).is_empty());
    s.handle(Input::NativeBuilt { key: keys[0].clone(), outcome: Ok(archive("/n/first")) });
    assert_eq!(builds(&mut s), [keys[2].clone()]);
    assert!(s.sent_to(peers[0]).is_empty() && s.sent_to(peers[1]).is_empty());
    s.handle(Input::NativeBuilt { key: keys[2].clone(), outcome: Ok(archive("/n/third")) });
    assert_eq!(s.sent_to(peers[2]), [Message::NativeEnv { path: "/n/third".into() }]);
    assert!(builds(&mut s).is_empty());
}

#[test]
fn who_asks_for_something_else_gets_no_answer_to_the_former_question() {
    let mut s = Scenario::new(config(1));
    let [first, second] = ["/first", "/second"].map(|path| key(path, 1));
    let peer = asks(&mut s, 43, &first);
    s.say(peer, Message::GetNativeEnv(GetNativeEnv::default()));
    s.handle(Input::Examined { peer, outcome: Ok((second.clone(), false)) });
    s.handle(Input::NativeBuilt { key: first, outcome: Ok(archive("/n/first")) });
    assert!(s.sent_to(peer).is_empty());
    s.handle(Input::NativeBuilt { key: second, outcome: Ok(archive("/n/second")) });
    assert_eq!(s.sent_to(peer), [Message::NativeEnv { path: "/n/second".into() }]);
}

#[test]
fn only_an_archive_of_an_earlier_time_is_removed() {
    let mut s = Scenario::new(config(1));
    let [old, new] = [1, 2].map(|mtime| key("/gcc", mtime));
    let ask = |s: &mut Scenario, key: &NativeKey, path: &str| {
        let peer = s.client();
        s.say(peer, Message::GetNativeEnv(GetNativeEnv::default()));
        s.handle(Input::Examined { peer, outcome: Ok((key.clone(), true)) });
        if s.others.contains(&Output::BuildNative(key.clone())) {
            s.handle(Input::NativeBuilt { key: key.clone(), outcome: Ok(archive(path)) });
        }
        assert_eq!(s.sent_to(peer), [Message::NativeEnv { path: path.into() }]);
        let outputs = std::mem::take(&mut s.others).into_iter();
        outputs.filter(|o| matches!(o, Output::RemoveNative(..))).collect::<Vec<_>>()
    };
    assert!(ask(&mut s, &old, "/n/old").is_empty());
    assert!(ask(&mut s, &old, "/n/old").is_empty(), "the same again");
    assert!(ask(&mut s, &key("/clang", 2), "/n/clang").is_empty(), "another compiler");
    assert_eq!(ask(&mut s, &new, "/n/new"), [Output::RemoveNative(old, "/n/old".into())]);
    assert!(s.notes.iter().any(|note| note == "native_env needs rebuild compiler=/gcc"));
}

/// Between the look at the disk and its report it was evicted, and its path would lead nowhere.
#[test]
fn an_archive_that_has_gone_since_it_was_seen_is_made_again() {
    let mut s = Scenario::new(config(1));
    let [old, new] = [1, 2].map(|mtime| key("/gcc", mtime));
    asks(&mut s, 43, &old);
    s.handle(Input::NativeBuilt { key: old.clone(), outcome: Ok(archive("/n/old")) });
    let peer = s.client();
    s.say(peer, Message::GetNativeEnv(GetNativeEnv::default()));
    asks(&mut s, 43, &new);
    s.handle(Input::NativeBuilt { key: new, outcome: Ok(archive("/n/new")) });
    builds(&mut s);
    s.handle(Input::Examined { peer, outcome: Ok((old.clone(), true)) });
    assert!(s.sent_to(peer).is_empty());
    assert_eq!(builds(&mut s), [old]);
}
