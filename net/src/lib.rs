//! How icecream's messages are spelt and carried: bytes on blocking sockets, each step with a deadline.
//!
//! In scope: the wire protocol ([`wire`], [`compress`]), one connection ([`conn`], [`dial`]), many ([`hub`], [`listen`]), and finding a
//! scheduler ([`discover`]).
//!
//! Out of scope: what messages mean and what is done about them: that is `ice-core`'s.

#![forbid(unsafe_code)]

pub mod allow;
pub mod compress;
pub mod conn;
pub mod deadline;
pub mod dial;
pub mod discover;
pub mod error;
pub mod fault;
pub mod handshake;
pub mod hub;
pub mod listen;
pub mod lzo;
pub mod stream;
pub mod wake;
pub mod wire;
