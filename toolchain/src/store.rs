//! The environments of a daemon on disk: whole or not there.
