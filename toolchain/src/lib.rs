//! What a job runs in: compilers found, packed, checked, named and stored.
//!
//! In scope: which program a compiler's name means ([`find`]), which compilers there are ([`installed`]), ICECC_VERSION ([`spec`]),
//! what belongs into an environment ([`native`], [`cross`], [`closure`]), archives ([`archive`]), their names ([`digest`]) and
//! what a daemon has of them on disk ([`store`]).
//!
//! Out of scope: sockets, namespaces and the decision when an environment is sent, verified or evicted. The only programs started are
//! compilers, to ask them ([`driver`]; [`wrapper`]: what a script adds to one; [`installed`]); only the compressors start threads,
//! and end them. Errors stand beside the operations.

#![forbid(unsafe_code)]

pub mod archive;
pub mod closure;
pub mod cross;
pub mod digest;
pub mod driver;
pub mod find;
pub mod info;
pub mod inspect;
pub mod installed;
pub mod native;
pub mod plan;
pub mod program;
pub mod spec;
pub mod store;
pub mod tree;
pub mod wrapper;
