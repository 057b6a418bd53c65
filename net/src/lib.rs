//! The wire protocol over blocking sockets, with a deadline for each step.
//!
//! This crate encodes and decodes messages ([`wire`], [`compress`]), and transports them on one connection ([`conn`],
//! [`dial`]) or on many ([`hub`], [`listen`]). It also finds a scheduler ([`discover`]).
//!
//! Out of scope: what messages mean and how to react to them. That is decided in `ice-core`.

#![forbid(unsafe_code)]

/// The networks whose hosts may connect.
pub mod allow;
/// Compression of file chunks.
pub mod compress;
/// Messages on one connection.
pub mod conn;
/// Deadlines, each for a named step.
pub mod deadline;
/// Connecting to a peer.
pub mod dial;
/// Discovery of schedulers, and the election between them.
pub mod discover;
/// Errors of a connection.
pub mod error;
/// Faulty streams for tests.
pub mod fault;
/// Version agreement.
pub mod handshake;
/// Many peers served by one event loop.
pub mod hub;
/// Listening sockets.
pub mod listen;
/// The LZO1X codec.
pub mod lzo;
/// A byte stream with deadlines.
pub mod stream;
/// Waking a thread that sleeps in `poll`.
pub mod wake;
/// Encoding and decoding of messages.
pub mod wire;
