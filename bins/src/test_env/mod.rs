//! Checking an environment: the program icecc-test-env.
