//! A failure as one line for a person and an exit code.
