//! Making an environment: the program icecc-create-env.
