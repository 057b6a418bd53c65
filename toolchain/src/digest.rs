//! From content to an environment's name.
