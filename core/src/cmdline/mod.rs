//! A compiler command line, understood: what is compiled, where each argument belongs, remote or local and why.
