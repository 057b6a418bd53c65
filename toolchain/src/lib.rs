//! What a job runs in: compilers found, packed, checked, named and stored.

#![forbid(unsafe_code)]

pub mod archive;
pub mod closure;
pub mod cross;
pub mod digest;
pub mod driver;
pub mod error;
pub mod find;
pub mod info;
pub mod native;
pub mod plan;
pub mod program;
pub mod spec;
pub mod store;
pub mod tree;
