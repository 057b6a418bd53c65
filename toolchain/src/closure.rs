//! The loader and libraries that an ELF program needs, read from the files themselves.
