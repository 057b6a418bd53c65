//! The daemon's decisions: which peer is in which state, who gets a slot, what the scheduler is told.
