//! Tests of archives: round trips, the formats that must be accepted, and the catalogue of hostile archives.

#![allow(clippy::unwrap_used, clippy::expect_used)] // a failed test panics

mod build;
mod good;
mod hostile;
mod round_trip;
