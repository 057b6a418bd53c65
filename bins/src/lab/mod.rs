//! Hosts as network namespaces, for tests, demo and benchmarks.
