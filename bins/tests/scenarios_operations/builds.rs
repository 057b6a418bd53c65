//! O16, O17 and O19.
