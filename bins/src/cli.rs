//! Options as one table: parsed, and printed as help.
