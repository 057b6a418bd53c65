//! Sandboxes: namespaces, ids, limits and a system call filter around a compiler that somebody else sent.
//!
//! A sandbox is described by a [`plan::Plan`], a printable list of steps that is made without privileges; [`apply`]
//! carries it out in a fresh process. [`factory`] prepares the launcher once, so that a job needs few system calls, and
//! makes the plans. [`child`] is the first process of a sandbox and watches the job.
//!
//! Out of scope: requests, environments as names, archives. Nothing here reads from a peer. What each guarantee
//! promises is documented in SECURITY.md.

/// Carries out a plan. Most of the `unsafe` code is here.
pub mod apply;
/// The table of system calls.
pub mod calls;
/// Control groups for jobs.
pub mod cgroup;
/// Sockets that transport packets with descriptors.
pub mod channel;
/// The first process of a sandbox.
pub mod child;
/// Errors of this crate.
pub mod error;
/// The launcher's preparation, and the plans of its sandboxes.
pub mod factory;
mod files_ended;
/// Whether files mode works here.
pub mod files_trial;
/// The system call filter.
pub mod filter;
/// What this host permits.
pub mod guarantees;
mod job_files;
mod job_memory;
mod listener;
/// Free memory of the host.
pub mod memory;
mod numbers;
/// Which processes the kernel ends first when memory runs out.
pub mod oom;
/// What is told of a submitter's file system.
pub mod oracle;
mod path_calls;
/// The steps that make a sandbox.
pub mod plan;
/// The result of a job.
pub mod report;
/// Watches a job of files mode.
pub mod supervisor;
/// How many tasks this host permits.
pub mod tasks;
/// Calls that the filter does not know.
pub mod unknown;
