//! Connecting, with a budget for every step.
