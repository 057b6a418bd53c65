//! All decisions of icecream-rs, and nothing else.
//!
//! In scope: the state machines [`scheduler`], [`daemon`], [`client`] and [`server`], the compiler command line
//! ([`cmdline`]), what may be sent of a unit's text ([`unit`](mod@unit)), and the values that all other crates share
//! ([`message`], [`env`](mod@env), [`platform`], [`job`], [`limits`], [`store_layout`]).
//!
//! Out of scope: sockets, files, clocks, threads, environment variables, randomness and logging. Time, seeds and events
//! come in as arguments, actions go out as values. `core/clippy.toml` enforces this.

#![forbid(unsafe_code)]

pub mod causes;
pub mod client;
pub mod cmdline;
pub mod daemon;
pub mod env;
pub mod ids;
pub mod job;
pub mod level;
pub mod limits;
pub mod message;
pub mod platform;
pub mod scheduler;
pub mod server;
pub mod store_layout;
pub mod text;
pub mod time;
pub mod unit;
pub mod version;
