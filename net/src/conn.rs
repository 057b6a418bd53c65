//! Messages on one blocking stream.
