//! The client: one compile from a command line to an exit code.
