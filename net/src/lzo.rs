//! LZO1X, written from the description of its format (design/dependencies.md 3 says why it is our own).
