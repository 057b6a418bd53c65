//! Environments, the archives in which jobs run: finding, packing, naming, unpacking and storing compilers.
//!
//! Error types are defined beside the operations that return them.
//!
//! Out of scope: sockets, namespaces, and the decision when an environment is sent, verified or evicted. The only
//! programs that this crate starts are compilers and their wrappers, to query them ([`driver`], [`wrapper`],
//! [`installed`]). Only the compressors start threads, and they join them before they return.

#![forbid(unsafe_code)]

/// Archives: the canonical tar, compression, safe unpacking.
pub mod archive;
/// The loader and the shared libraries that a program needs.
pub mod closure;
/// The assembler and other tools of a cross compiler.
pub mod cross;
/// Names of environments, derived from their content.
pub mod digest;
/// Queries to an installed compiler driver.
pub mod driver;
/// The trees of submitters on a compile server's disk.
pub mod file_tree;
/// The program behind a compiler's name.
pub mod find;
/// The description that an environment carries.
pub mod info;
/// Report on an archive, for `icecc-create-env --inspect`.
pub mod inspect;
/// The compilers installed on this host.
pub mod installed;
/// What a daemon keeps on disk for the users of its host.
pub mod kept;
/// The files of an environment for an installed compiler.
pub mod native;
/// The archives of this host's compilers that a daemon keeps on disk.
pub mod native_store;
/// The sections of an object.
pub mod object;
/// The contents of an environment before it is written.
pub mod plan;
/// What an ELF file's headers say.
pub mod program;
/// The grammar of `ICECC_VERSION`.
pub mod spec;
/// The environments that a daemon keeps on disk.
pub mod store;
/// A directory tree in memory, with symbolic links.
pub mod tree;
/// Options that a wrapper script or program adds to a compiler's.
pub mod wrapper;
