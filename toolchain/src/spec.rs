//! The grammar of ICECC_VERSION.
