//! Detaching from the terminal, pid files, giving up root.
