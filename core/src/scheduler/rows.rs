//! Hosts and jobs as the text port shows them to programs: data, which the shell writes as JSON. The fields are the
//! members, in this order.

use super::host::Host;
use super::host_state::HostState;
use super::job::{Job, State};
use super::ledger::Ledger;
use crate::ids::{HostId, JobId};
use crate::text::Text;
use serde::{Serialize, Serializer};

/// An element of an answer.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Row {
    /// Of `listcs --json`.
    Host(HostRow),
    /// Of `listjobs --json`.
    Job(JobRow),
    /// Of any other command: its fields, in this order.
    #[serde(serialize_with = "as_members")]
    Fields(Vec<(&'static str, Field)>),
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Field {
    /// Text.
    Text(Text),
    /// A number.
    Number(u64),
    /// What is not known.
    Unknown,
}

fn as_members<S: Serializer>(fields: &[(&'static str, Field)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(fields.iter().map(|(name, value)| (name, value)))
}

/// A host.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct HostRow {
    /// Its number.
    pub id: u32,
    /// Its node name.
    pub name: Text,
    /// Its address.
    pub address: Text,
    /// Port for jobs.
    pub port: u32,
    /// Its platform.
    pub platform: Text,
    /// The protocol version that it offered.
    pub version: u32,
    /// 1.4's figure, with two decimals.
    pub speed: f64,
    /// Ours, which the choice uses, with four decimals; 0 if it is not known.
    pub pace: f64,
    /// Jobs of others assigned to it.
    pub jobs: usize,
    /// Those of them that have begun.
    pub running: u32,
    /// Local jobs.
    pub local: usize,
    /// Its slots.
    pub slots: u32,
    /// 0 to 1000.
    pub load: u32,
    /// Whether it refuses jobs of others.
    pub no_remote: bool,
    /// Whether it takes jobs, or why not, as one word.
    pub state: HostState,
    /// What it has installed, if that was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub environments: Vec<EnvironmentRow>,
}

/// An environment of a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EnvironmentRow {
    /// Platform of its submitters.
    pub target: Text,
    /// Its name.
    pub name: Text,
}

/// A job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JobRow {
    /// Its number.
    pub id: u32,
    /// `PEND`, `WAIT` or `COMP`.
    pub state: &'static str,
    /// Node name of the submitter, while it is there.
    pub submitter: Option<Text>,
    /// Node name of the server, if there is one.
    pub server: Option<Text>,
    /// How long it may wait behind others.
    pub niceness: u8,
    /// Its source file.
    pub file: Text,
}

impl HostRow {
    /// Of a host; its environments only if they are wanted.
    pub(super) fn of(host: &Host, environments: bool) -> Self {
        let (said, work) = (host.said(), host.work());
        let environments = if environments { host.standing().environments() } else { &[] };
        Self {
            id: host.id().0,
            name: said.name.clone(),
            address: said.address.clone(),
            port: said.port,
            platform: said.platform.clone(),
            version: said.offer.number(),
            speed: rounded(host.shown().value(), 2),
            pace: rounded(host.pace().value().unwrap_or(0.0), 4),
            jobs: work.jobs().len(),
            running: work.running(),
            local: work.local().len(),
            slots: work.slots(),
            load: host.load(),
            no_remote: said.no_remote,
            state: HostState::of(host),
            environments: environments
                .iter()
                .map(|env| EnvironmentRow { target: env.platform.clone(), name: env.name.clone() })
                .collect(),
        }
    }
}

impl JobRow {
    pub(super) fn of(ledger: &Ledger, id: JobId, job: &Job) -> Self {
        let name = |id: HostId| ledger.host(id).map(|host| host.said().name.clone());
        Self {
            id: id.0,
            state: match job.state() {
                State::Pending => "PEND",
                State::Waiting { .. } => "WAIT",
                State::Compiling { .. } => "COMP",
            },
            submitter: name(job.submitter()),
            server: job.server().and_then(name),
            niceness: job.level(),
            file: job.file().clone(),
        }
    }
}

fn rounded(value: f64, decimals: i32) -> f64 {
    let factor = 10f64.powi(decimals);
    (value * factor).round() / factor
}
