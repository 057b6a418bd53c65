//! The tables of reasons in the guide, from the one list that the programs have.

use ice_core::reason::{Fault, Reason};
use std::fs;
use std::path::Path;

use super::is_written;

/// The guide's own comments around the tables.
const BEGIN: &str = "<!-- From the list of reasons, by `ICE_WRITE=1 cargo test -p ice-bins --test manual`: -->\n";
const END: &str = "<!-- End of the list. -->\n";

/// Who can do something, with the heading of the table.
const FAULTS: [(Fault, &str); 5] = [
    (Fault::CommandLine, "The command line"),
    (Fault::SetUp, "The set-up of this host"),
    (Fault::Cluster, "The cluster"),
    (Fault::Host, "The host that had the job"),
    (Fault::Nobody, "Nobody: it is as it should be"),
];

#[test]
fn the_guide_lists_the_reasons() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../GUIDE.md");
    let is = fs::read_to_string(&path).expect("the guide");
    let (before, rest) = is.split_once(BEGIN).expect("a place for the reasons");
    let (_, after) = rest.split_once(END).expect("the end of the reasons");
    let tables: Vec<String> = FAULTS.iter().map(|(fault, heading)| table(*fault, heading)).collect();
    is_written(&path, &format!("{before}{BEGIN}\n{}\n{END}{after}", tables.join("\n")));
}

fn table(fault: Fault, heading: &str) -> String {
    let rows = Reason::ALL.iter().filter(|reason| reason.fault() == fault).map(|reason| {
        let number = reason.error().map(|number| format!(" ({number})")).unwrap_or_default();
        format!("| `{}`{number} | {} | {} |\n", reason.word(), reason.sentence(), reason.remedy())
    });
    format!("### {heading}\n\n| reason | message | what to do |\n|---|---|---|\n{}", rows.collect::<String>())
}
