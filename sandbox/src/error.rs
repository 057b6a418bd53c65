//! What can go wrong around a job.
