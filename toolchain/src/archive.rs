//! Archives packed and unpacked, every compression; no path leaves the folder.
