//! An ordered list of steps that make the box: made without privilege, printable.
