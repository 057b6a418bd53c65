//! What can go wrong on a connection.
