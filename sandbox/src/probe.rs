//! What this host permits, with the reason when it does not.
