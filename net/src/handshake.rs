//! Version agreement, as a state machine over bytes.
