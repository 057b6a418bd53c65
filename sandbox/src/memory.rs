//! How much memory this host has left, and what a job may take of it.
