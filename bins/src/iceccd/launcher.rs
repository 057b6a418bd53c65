//! The privileged half of the daemon: a fixed request form over a socket pair.
