//! What can go wrong with a toolchain.
