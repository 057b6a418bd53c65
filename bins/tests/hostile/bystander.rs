//! Somebody who only wants to compile while others attack: h1 submits, h2 compiles, h3 is the attacker's.

use std::time::{Duration, Instant};

use ice_core::ids::JobId;
use ice_core::message::CompileFile;
use nix::unistd::Uid;

use crate::cluster::{Cluster, SOON, Whose, completed, skip};

/// Whether attacks are possible here.
pub fn can_attack() -> bool {
    let is_root = Uid::effective().is_root();
    if !is_root {
        let _: Option<()> = skip("only root enters a host's network by a thread");
    }
    is_root
}

/// A lab with a source to compile.
pub fn lab(slots: &[u32]) -> Option<Cluster> {
    let cluster = if can_attack() { Cluster::up(Whose::Ours, slots) } else { None }?;
    cluster.write("a.c", "int a(int x) { return x + 1; }\n");
    Some(cluster)
}

/// A job for a daemon that is spoken to without a client.
pub fn job(number: u32, environment: &str) -> CompileFile {
    CompileFile {
        job: JobId(number),
        environment: environment.into(),
        target: "x86_64".into(),
        compiler: "gcc".into(),
        input_file: "a.c".into(),
        working_directory: "/".into(),
        output_file: "a.o".into(),
        ..CompileFile::default()
    }
}

/// Compiles on h2 for h1, which must not fall back; returns the time.
pub fn compile(cluster: &Cluster, variables: &[(&str, &str)]) -> Duration {
    let before = completed(cluster, "h2");
    let begun = Instant::now();
    let on_h2 = [&[("ICECC_PREFERRED_HOST", "h2"), ("ICECC_DEBUG", "info")], variables].concat();
    let output = cluster.ok("h1", &on_h2, "icecc gcc -O2 -c a.c -o a.o");
    let took = begun.elapsed();
    let what = format!("a job of h2 instead of: {}", output.error_text());
    cluster.until(&what, SOON, || completed(cluster, "h2") == before + 1);
    took
}
