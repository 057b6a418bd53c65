//! Many peers, one loop: a reader thread per peer into one bounded channel, one outbox thread for all writes.
