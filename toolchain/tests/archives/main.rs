//! Archives packed and unpacked: round trips, the forms that must be taken, and the catalogue of hostile ones.

#![allow(clippy::unwrap_used, clippy::expect_used)] // tests are made of them

mod build;
mod good;
mod hostile;
mod round_trip;
