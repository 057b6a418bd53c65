//! Chunk payloads packed and unpacked: LZO1X and zstd, never more than the announced size.
