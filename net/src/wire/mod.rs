//! Bytes ↔ [`Message`](ice_core::message::Message), without any I/O (`spec/wire.md`).
