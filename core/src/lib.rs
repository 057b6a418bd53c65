//! All decisions of icecream-rs, and nothing else.
//!
//! In scope: the state machines [`scheduler`], [`daemon`], [`client`] and [`server`], the compiler command line
//! ([`cmdline`]), what may be sent of a unit's text ([`unit`](mod@unit)) and told of its files ([`files`]), and the
//! values that all other crates share ([`message`], [`env`](mod@env), [`platform`], [`job`], [`limits`],
//! [`store_layout`]).
//!
//! Out of scope: sockets, files, clocks, threads, environment variables, randomness and logging. Time, seeds and events
//! come in as arguments, actions go out as values. `core/clippy.toml` enforces this.

#![forbid(unsafe_code)]

/// The client's half of a job.
pub mod client;
/// What a monitor knows of a cluster.
pub mod cluster_view;
/// Compiler command lines.
pub mod cmdline;
/// The codecs of chunks.
pub mod codec;
/// The daemon's state machine.
pub mod daemon;
/// What keeps jobs on this host.
pub mod doctor;
/// Names of environments.
pub mod env;
/// An error with its causes.
pub mod error_chain;
/// What our own peers tell each other beyond 1.4's protocol.
pub mod extension;
/// Files mode: facts of the submitter's file system.
pub mod files;
/// Ids of peers, jobs and hosts.
pub mod ids;
/// Properties of a job.
pub mod job;
/// Importance of log lines.
pub mod level;
/// Limits that modules share.
pub mod limits;
/// All messages between peers.
pub mod message;
/// Platforms of hosts.
pub mod platform;
/// Why a job is built where it is.
pub mod reason;
/// The scheduler's state machine.
pub mod scheduler;
/// The serving half of a job.
pub mod server;
/// What came of a user's jobs.
pub mod statistics;
/// Paths and names in a daemon's store.
pub mod store_layout;
/// Strings of messages.
pub mod text;
/// Time as an argument.
pub mod time;
/// What may be sent of a unit's text.
pub mod unit;
/// Protocol versions.
pub mod version;
