//! Recorded traffic as JSON, for people.
