//! Which content each address knows by a name that anybody may give to anything: its jobs run in that, or not at all
//! here, whatever others bring by the same name later.

use crate::env::{EnvId, EnvName};
use crate::text::Text;
use std::collections::BTreeMap;

/// For how many seconds after its last use. A team that replaces an archive of the same name has its hosts' new content
/// taken at the latest then, also from those who never bring it.
const BOUND: u32 = 24 * 3600;
/// Maximum number of names of one address; a user names a few.
const PER_ADDRESS_MAX: usize = 32;
/// Maximum number of addresses.
const ADDRESSES_MAX: usize = 1024;

/// By address and name.
#[derive(Debug, Default)]
pub(super) struct Bound(BTreeMap<Text, BTreeMap<EnvId, Binding>>);

#[derive(Debug)]
struct Binding {
    content: EnvName,
    /// Unix seconds of the last use.
    used: u32,
}

impl Bound {
    /// What an address knows by a name.
    pub fn content(&self, unix: u32, address: &Text, env: &EnvId) -> Option<&EnvName> {
        let binding = self.0.get(address)?.get(env)?;
        (unix.saturating_sub(binding.used) < BOUND).then_some(&binding.content)
    }

    /// An address uses or brought this content by a name.
    pub fn bind(&mut self, unix: u32, address: &Text, env: &EnvId, content: &EnvName) {
        if !self.0.contains_key(address) && self.0.len() >= ADDRESSES_MAX {
            forget_oldest(&mut self.0, |names| names.values().map(|binding| binding.used).max());
        }
        let names = self.0.entry(address.clone()).or_default();
        if !names.contains_key(env) && names.len() >= PER_ADDRESS_MAX {
            forget_oldest(names, |binding| Some(binding.used));
        }
        names.insert(env.clone(), Binding { content: content.clone(), used: unix });
    }
}

fn forget_oldest<K: Ord + Clone, V>(all: &mut BTreeMap<K, V>, used: impl Fn(&V) -> Option<u32>) {
    if let Some(key) = all.iter().min_by_key(|(_, value)| used(value)).map(|(key, _)| key.clone()) {
        all.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(n: usize) -> EnvId {
        EnvId::new(b"x86_64", format!("e{n}").as_bytes()).unwrap()
    }

    #[test]
    fn a_name_means_to_each_address_what_it_used_for_a_day() {
        let mut bound = Bound::default();
        let (one, other) = (EnvName::of_content(&[1; 32]), EnvName::of_content(&[2; 32]));
        let (a, b) = (Text::from("10.0.0.1"), Text::from("10.0.0.2"));
        bound.bind(5, &a, &env(0), &one);
        bound.bind(5, &b, &env(0), &other);
        assert_eq!((bound.content(5, &a, &env(0)), bound.content(5, &b, &env(0))), (Some(&one), Some(&other)));
        assert_eq!(bound.content(5, &a, &env(1)), None);
        assert_eq!(bound.content(4 + BOUND, &a, &env(0)), Some(&one));
        assert_eq!(bound.content(5 + BOUND, &a, &env(0)), None);
        bound.bind(6, &a, &env(0), &other);
        assert_eq!(bound.content(5 + BOUND, &a, &env(0)), Some(&other));
    }

    #[test]
    fn names_and_addresses_have_bounds_and_the_oldest_go() {
        let mut bound = Bound::default();
        let (content, a) = (EnvName::of_content(&[1; 32]), Text::from("10.0.0.1"));
        for n in 0..=PER_ADDRESS_MAX {
            bound.bind(u32::try_from(n).unwrap(), &a, &env(n), &content);
        }
        assert!(bound.content(40, &a, &env(0)).is_none() && bound.content(40, &a, &env(1)).is_some());
        let used = |n: usize| u32::try_from(100 + n).unwrap();
        let address = |n: usize| Text::from(format!("h{n}"));
        (1..ADDRESSES_MAX).for_each(|n| bound.bind(used(n), &address(n), &env(0), &content));
        assert!(bound.content(200, &a, &env(1)).is_some());
        bound.bind(used(0), &address(0), &env(0), &content);
        assert!(bound.content(200, &a, &env(1)).is_none() && bound.content(200, &address(1), &env(0)).is_some());
    }
}
