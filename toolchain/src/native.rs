//! The files of an environment for an installed compiler.
