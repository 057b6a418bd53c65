//! A compile that runs for as long as a test wants and needs no processor meanwhile: its source includes a pipe.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use ice_lab::process::Process;
use nix::sys::signal::Signal;

use crate::cluster::{Background, Cluster, SOON};

/// A compile that is held up.
pub struct Held<'a> {
    /// The client.
    pub client: Background<'a>,
    cluster: &'a Cluster,
    name: String,
    submitter: String,
    preprocessors: Vec<Process>,
    writer: Option<Background<'a>>,
}

impl<'a> Held<'a> {
    /// Starts one of the host `submitter` for the server `host` and waits until its compiler runs there.
    pub fn start(cluster: &'a Cluster, name: &str, submitter: &str, host: &str) -> Held<'a> {
        let pipe = cluster.folder().join(format!("{name}.h"));
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::from_bits_truncate(0o666)).expect("a pipe");
        cluster.write(&format!("{name}.c"), &format!("int before;\n#include \"{name}.h\"\n"));
        let log = log_of(cluster, name);
        let variables =
            [("ICECC_PREFERRED_HOST", host), ("ICECC_DEBUG", "debug"), ("ICECC_LOGFILE", &log.to_string_lossy())];
        let before = [submitter, host].map(|host| cluster.called(host, "cc1").len());
        // exec: a signal to it is a signal to the client. A shell's background job ignores ^C, and so would all that it
        // starts.
        let command = format!("exec env --default-signal=INT icecc gcc -c {name}.c -o {name}.o");
        let client = cluster.start(submitter, &variables, &command);
        for (host, before) in [submitter, host].into_iter().zip(before) {
            cluster.until(&format!("cc1 on {host}"), SOON, || cluster.called(host, "cc1").len() > before);
        }
        let preprocessors = cluster.called(submitter, "cc1");
        Held { client, cluster, name: name.to_string(), submitter: submitter.to_string(), preprocessors, writer: None }
    }

    /// Lets it go on, and each later compile of the same file.
    pub fn release(&mut self) {
        // A pause, so that a reader sees the end of the pipe before it is opened again.
        let feed = format!("while :; do echo 'int {0}_went_on;' >{0}.h; sleep 0.3; done", self.name);
        self.writer = Some(self.cluster.start(&self.submitter, &[], &feed));
    }

    /// Lets it go on, and waits for its good end; its log.
    pub fn finish(mut self, limit: Duration) -> String {
        if self.writer.is_none() {
            self.release();
        }
        let (cluster, name) = (self.cluster, self.name);
        let status = self.client.wait(limit);
        let log = fs::read_to_string(log_of(cluster, &name)).unwrap_or_default();
        assert!(status.success(), "{name}: {status}\n{log}");
        let symbols = cluster.ok("h1", &[], &format!("nm {name}.o")).text();
        assert!(symbols.contains(&format!("{name}_went_on")), "{name}.o is not whole: {symbols}\n{log}");
        log
    }

    /// Waits for the local compile that replaces it, then as [`Held::finish`].
    pub fn finish_here(self, limit: Duration) -> String {
        let log = log_of(self.cluster, &self.name);
        let begun = || fs::read_to_string(&log).is_ok_and(|log| log.contains("<building_local>"));
        self.cluster.until("the local compile", limit, begun);
        self.forget_preprocessor();
        let log = self.finish(limit);
        assert_eq!(log.matches("<building_local>").count(), 1, "{log}");
        log
    }

    /// A preprocessor whose client is gone lives until it writes; here it would take the local compile's text.
    pub fn forget_preprocessor(&self) {
        self.preprocessors.iter().for_each(|process| process.signal(Signal::SIGKILL));
    }
}

fn log_of(cluster: &Cluster, name: &str) -> PathBuf {
    cluster.folder().join(format!("{name}.log"))
}
