//! What is different for a compiler that makes code for another machine.
