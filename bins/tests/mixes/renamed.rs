//! One archive that its users renamed: a client of 1.4 brings it to a server of ours, under a name that
//! says nothing of its content, and those at nineteen other addresses have their jobs compiled with it too.

use crate::cluster::Whose;
use crate::farm::{COMPILERS, Farm, Mix};

const ADDRESSES: std::ops::RangeInclusive<u32> = 101..=120;

#[test]
fn twenty_clients_of_1_4_share_one_renamed_archive() {
    let Some(farm) = Farm::up(Whose::Ours, &[]) else { return };
    let mix = Mix { scheduler: Whose::Ours, daemon: Whose::Peer14, client: Whose::Peer14, server: Whose::Ours };
    let make = format!("{} --build-native gcc >made 2>&1; mv ./*.tar.gz team-gcc.tar.gz", farm.client(Whose::Ours));
    farm.cluster.ok("h1", &[], &make);
    let server = "10.77.0.3";
    for n in ADDRESSES {
        // The submitter's next connection to the server comes from this address.
        let come_from = format!(
            "set -e; link=$(ip -o route get {server} | sed 's/.* dev \\([^ ]*\\).*/\\1/')
            ip address add 10.77.0.{n}/24 dev $link; ip route replace {server}/32 dev $link src 10.77.0.{n}"
        );
        farm.cluster.ok(mix.submitter(), &[], &come_from);
        let log = farm.compile(mix.submitter(), mix, COMPILERS[0], &[("ICECC_VERSION", "team-gcc.tar.gz")]);
        assert!(log.is_ok(), "{n}: {}", log.unwrap_err());
        assert!(farm.count(mix.server(), &format!("accepted 10.77.0.{n} as")) > 0, "{n}");
    }
    assert_eq!(farm.count(mix.server(), "installed x86_64/"), 1);
    assert_eq!(farm.count(mix.server(), "other content"), 0);
}
