//! Finding a scheduler by netname, and the election between schedulers.
