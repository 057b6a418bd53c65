//! Which step may take how long.
