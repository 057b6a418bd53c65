//! Log levels, the line format of 1.4, reopening.
