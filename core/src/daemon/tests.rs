//! Scenarios of `spec/daemon.md` 12, by number.
