//! The calls of a job that its filter does not know: answered as if there were none such, and counted.
//!
//! The kernel tells them to a listener, which the job's process gets with its filter and hands over to the first
//! process of the sandbox before its program starts. Only such a call costs a look there; all others are decided in
//! the kernel.

use crate::numbers::Machine;

/// Maximum number of different calls that are counted for a job. Others are answered alone.
pub(crate) const CALLS_MAX: usize = 16;

/// A call that no row of the table names, and how often a job tried it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownCall {
    /// The kernel's number of the machine whose call it is.
    pub(crate) machine: u32,
    /// The call's number there.
    pub(crate) number: u32,
    /// How often.
    pub count: u64,
}

impl UnknownCall {
    /// Its name, or its number if it is newer than this program.
    pub fn name(&self) -> String {
        let own = Machine::own();
        let known = own.into_iter().chain(own.and_then(Machine::narrow)).find(|m| m.audit() == self.machine);
        let name = known.and_then(|machine| machine.name(self.number));
        name.map_or_else(|| format!("number {}", self.number), str::to_owned)
    }

    /// Its form in a report.
    pub(crate) fn to_numbers(self) -> [u64; 2] {
        [u64::from(self.machine) << 32 | u64::from(self.number), self.count]
    }

    /// Parses [`Self::to_numbers`].
    pub(crate) fn from_numbers(numbers: &[u64]) -> Option<Self> {
        let &[call, count] = numbers else { return None };
        let half = |n: u64| u32::try_from(n & 0xffff_ffff).ok();
        Some(Self { machine: half(call >> 32)?, number: half(call)?, count })
    }
}

/// The calls that came so far.
#[derive(Debug, Default)]
pub(crate) struct UnknownCalls(Vec<UnknownCall>);

impl UnknownCalls {
    pub(crate) fn count(&mut self, machine: u32, number: u32) {
        if let Some(call) = self.0.iter_mut().find(|c| (c.machine, c.number) == (machine, number)) {
            call.count = call.count.saturating_add(1);
        } else if self.0.len() < CALLS_MAX {
            self.0.push(UnknownCall { machine, number, count: 1 });
        }
    }

    /// The calls that came.
    pub(crate) fn calls(self) -> Vec<UnknownCall> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_counted_by_number_up_to_a_bound() {
        let mut unknown = UnknownCalls::default();
        let machine = Machine::own().map_or(1, Machine::audit);
        for number in [467, 1000, 467].into_iter().chain(2000..3000) {
            unknown.count(machine, number);
        }
        let calls = unknown.calls();
        assert_eq!(calls.len(), CALLS_MAX);
        assert_eq!((calls[0].name().as_str(), calls[0].count), ("open_tree_attr", 2));
        assert_eq!((calls[1].name().as_str(), calls[1].count), ("number 1000", 1));
    }
}
