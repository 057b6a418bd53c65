//! One compile from request to exit, and when to fall back to local.
