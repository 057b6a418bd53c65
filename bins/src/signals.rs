//! Signals as events of a channel.
