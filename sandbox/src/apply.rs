//! Carries out a plan in a fresh single-threaded process, then executes the program.
