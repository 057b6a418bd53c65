//! The real compiler behind a link; ICECC_CC and ICECC_CXX.
