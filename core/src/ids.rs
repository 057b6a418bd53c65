//! One type per kind of number, so that they cannot be mixed up.

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
    /// A connection of this process, given out by the shell, never reused.
    PeerId(u64)
}
id! {
    /// A host logged in to a scheduler: counted from 1, never reused.
    HostId(u32)
}
id! {
    /// A job as its scheduler counts it. Only meaningful within one scheduler session (decision: job-ids).
    JobId(u32)
}
id! {
    /// The number under which a daemon knows one of its clients; travels in GET_CS and comes back in USE_CS.
    ClientId(u32)
}
