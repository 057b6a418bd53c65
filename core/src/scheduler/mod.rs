//! The scheduler's decisions: who is logged in, which job is where, which host gets it.
