//! A wrapper that delays, cuts and garbles a stream, for tests.
