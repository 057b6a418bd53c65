//! Random damage to bytes, from a seed: for tests here and of the programs.

/// splitmix64: the same numbers for the same seed on all machines.
pub struct Rng(u64);

impl Rng {
    /// The numbers of one case of a seed, so that each can be run alone.
    pub fn new(seed: u64, case: u64) -> Self {
        Self(seed ^ case.wrapping_mul(0xa076_1d64_78bd_642f))
    }

    /// The next one.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 to `n - 1`.
    pub fn below(&mut self, n: usize) -> usize {
        (self.next() % n.max(1) as u64) as usize
    }
}

/// Makes one change, of the kinds that accidents and attackers make.
pub fn damage(bytes: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    const WORDS: [u32; 10] = [0, 1, 4, 0xff, 0xffff, 1 << 20, (1 << 20) + 1, i32::MAX as u32, 1 << 31, u32::MAX];
    if bytes.is_empty() {
        return bytes.push(rng.next() as u8);
    }
    let at = rng.below(bytes.len());
    let end = (at + 1 + rng.below(64)).min(bytes.len());
    match rng.below(10) {
        0 => bytes[at] ^= 1 << rng.below(8),
        1 => bytes[at] = rng.next() as u8,
        2 | 3 => overwrite(bytes, at, &WORDS[rng.below(WORDS.len())].to_be_bytes()),
        // Most lengths and counts are at places of small numbers.
        4 => {
            let zeros = bytes.windows(3).position(|w| w == [0, 0, 0]).unwrap_or(at);
            let small = (rng.below(300) as u32).to_be_bytes();
            overwrite(bytes, if rng.below(2) == 0 { zeros } else { at }, &small);
        }
        5 => bytes.truncate(at),
        6 => drop(bytes.drain(at..end)),
        7 => {
            let copy = bytes[at..end].to_vec();
            bytes.splice(at..at, copy).for_each(drop);
        }
        8 => bytes.insert(at, rng.next() as u8),
        _ => {
            let from = rng.below(other.len());
            let piece = other[from..(from + 1 + rng.below(200)).min(other.len())].to_vec();
            bytes.splice(at..end, piece).for_each(drop);
        }
    }
}

fn overwrite(bytes: &mut [u8], at: usize, with: &[u8]) {
    bytes.iter_mut().skip(at).zip(with).for_each(|(byte, new)| *byte = *new);
}
