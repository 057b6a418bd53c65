//! What schedulers tell daemons of ours beyond 1.4 of the hosts of their jobs, and that 1.4 sees nothing of it.

use ice_core::ids::ClientId;
use ice_core::message::{GetCs, HostCan, Message, abilities, features};

use crate::both;
use crate::fake::{Daemon, Setup, ask};

/// Daemons of 1.4, and of ours without and with files mode, as submitters and as servers.
#[test]
fn a_submitter_hears_what_a_server_can_if_all_three_know_it() {
    let (old, ours) = (features::ENV_ZSTD, features::ENV_ZSTD | features::EXTENSION);
    let (takes, runs) = (ours | features::TAKES_HOST_CAN, ours | features::TAKES_FILES | features::TAKES_HOST_CAN);
    both(|scheduler| {
        let host =
            |name: &str, bits: u32| scheduler.host(Setup::new(name).slots(8).env(name).with(|l| l.features = bits));
        let servers = [("old", old), ("plain", takes), ("files", runs)].map(|(name, bits)| host(name, bits));
        for (name, bits) in [("a", old), ("b", ours), ("c", takes), ("d", runs)] {
            let mut submitter = scheduler.host(Setup::new(name).slots(0).with(|l| l.features = bits));
            for server in &servers {
                let told = told(&mut submitter, server);
                let knows = scheduler.is_ours() && bits & features::TAKES_HOST_CAN != 0 && server.name() == "files";
                assert_eq!(told, if knows { Some(abilities::FILES) } else { None }, "{name} {}", server.name());
            }
        }
    });
}

/// What a submitter is told of the host that gets its job, before it is told the host.
#[track_caller]
fn told(submitter: &mut Daemon, server: &Daemon) -> Option<u32> {
    submitter.aside.clear();
    let name = server.name();
    let answer = submitter.place(GetCs { preferred_host: name.as_str().into(), ..ask("a.c", &name) });
    assert!(answer.is_on(server), "{answer:?}");
    let mut told = submitter.aside.drain(..).filter_map(|message| match message {
        Message::HostCan(can) => Some(can),
        _ => None,
    });
    let can = told.next()?;
    let client = ClientId(answer.client());
    assert_eq!(can, HostCan { job: answer.job(), client, abilities: can.abilities });
    Some(can.abilities)
}
