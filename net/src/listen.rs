//! Accepting, with caps.
