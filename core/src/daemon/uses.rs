//! When an environment was last used, and by whom.

use crate::text::Text;

/// The last use, and the last one by another address.
#[derive(Debug)]
pub(super) struct Uses {
    /// Counter of uses of all environments: several may be used within a second.
    order: u64,
    latest: Use,
    before: Option<Use>,
}

#[derive(Debug)]
struct Use {
    /// Empty if it is not known, as after a restart: nobody's own then.
    address: Text,
    /// In seconds since 1970.
    unix: u32,
}

impl Uses {
    /// The first use.
    pub fn new(order: u64, address: Text, unix: u32) -> Self {
        Self { order, latest: Use { address, unix }, before: None }
    }

    /// Another use.
    pub fn add(&mut self, order: u64, address: &Text, unix: u32) {
        self.order = order;
        if self.latest.address != *address {
            let latest = Use { address: address.clone(), unix };
            self.before = Some(std::mem::replace(&mut self.latest, latest));
        }
        self.latest.unix = unix;
    }

    /// Its place in the order of last use.
    pub fn order(&self) -> u64 {
        self.order
    }

    /// The last use in seconds since 1970.
    pub fn last(&self) -> u32 {
        self.latest.unix
    }

    /// The last use by another address than this one, in seconds since 1970; 0 if there was none.
    pub fn by_others(&self, than: &Text) -> u32 {
        if self.latest.address == *than {
            self.before.as_ref().map_or(0, |before| before.unix)
        } else {
            self.latest.unix
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_use_of_others_is_known() {
        let (a, b, c) = (Text::from("a"), Text::from("b"), Text::from("c"));
        let mut uses = Uses::new(1, a.clone(), 10);
        assert_eq!((uses.by_others(&a), uses.by_others(&b)), (0, 10));
        uses.add(2, &a, 20);
        assert_eq!((uses.by_others(&a), uses.by_others(&b), uses.last(), uses.order()), (0, 20, 20, 2));
        uses.add(3, &b, 30);
        assert_eq!((uses.by_others(&a), uses.by_others(&b), uses.by_others(&c)), (30, 20, 30));
        uses.add(4, &a, 40);
        uses.add(5, &a, 50);
        assert_eq!((uses.by_others(&a), uses.by_others(&b), uses.last()), (30, 50, 50));
    }
}
