//! One type per kind of id, so that they cannot be confused.

use std::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub $inner);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

id! {
    /// A connection of this process; assigned by the shell and never reused.
    PeerId(u64)
}
id! {
    /// A host that is logged in to a scheduler; counted from 1 and never reused.
    HostId(u32)
}
id! {
    /// A scheduler's number of a job; valid only within one scheduler session (decision: job-ids).
    JobId(u32)
}
id! {
    /// A daemon's number of one of its clients; sent in GET_CS and returned in USE_CS.
    ClientId(u32)
}
