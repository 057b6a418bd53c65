//! Tests with blocks written by hand, round trips, and damaged blocks.

use super::*;

fn pack(plain: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    Compressor::new().compress(plain, &mut packed);
    packed
}

fn unpack(packed: &[u8], len: usize) -> Result<Vec<u8>, LzoError> {
    let mut plain = vec![0xaa; len];
    decompress(packed, &mut plain).map(|()| plain)
}

/// A random number generator that is the same in every run.
struct Rng(u64);

impl Rng {
    fn next(&mut self) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize
    }

    /// Text that compresses more or less, with near and distant repeats.
    fn text(&mut self, len: usize) -> Vec<u8> {
        let (mut text, alphabet) = (Vec::with_capacity(len), 1 + self.next() % 255);
        while text.len() < len {
            let n = (1 + self.next() % [3, 40, 700][self.next() % 3]).min(len - text.len());
            if text.len() > 4 && self.next() % 3 > 0 {
                let distance = 1 + self.next() % text.len().min([8, 3000, 70_000][self.next() % 3]);
                for _ in 0..n {
                    text.push(text[text.len() - distance]);
                }
            } else {
                text.extend((0..n).map(|_| (self.next() % alphabet) as u8));
            }
        }
        text
    }
}

#[test]
fn known_instructions() {
    // No data; literals by a first byte; a run of 3; a run with a longer length.
    assert_eq!(unpack(&END, 0), Ok(vec![]));
    assert_eq!(unpack(&[21, 1, 2, 3, 4, 17, 0, 0], 4), Ok(vec![1, 2, 3, 4]));
    assert_eq!(unpack(&[1, 1, 2, 3, 4, 17, 0, 0], 4), Ok(vec![1, 2, 3, 4]));
    let run: Vec<u8> = (0..20).collect();
    assert_eq!(unpack(&[&[0, 2][..], &run, &END].concat(), 20), Ok(run));
    // A match of 2 after one literal, and again after two that follow it.
    assert_eq!(unpack(&[18, 7, 0b10, 0, 8, 9, 0b100, 0, 17, 0, 0], 7), Ok(vec![7, 7, 7, 8, 9, 8, 9]));
    // A match of 10 at distance 1.
    assert_eq!(unpack(&[18, 7, 32 | 8, 0, 0, 17, 0, 0], 11), Ok(vec![7; 11]));
}

#[test]
fn a_match_of_three_after_a_run_lies_behind_the_near_ones() {
    let run: Vec<u8> = (0..2049usize).map(|i| (i * i / 7) as u8).collect();
    let mut packed = vec![0];
    packed.extend([0; 7]);
    packed.push((2049 - 18 - 7 * 255) as u8);
    packed.extend_from_slice(&run);
    packed.extend([0, 0, 17, 0, 0]);
    assert_eq!(unpack(&packed, 2052), Ok([&run[..], &run[..3]].concat()));
}

#[test]
fn what_is_wrong_has_a_name() {
    assert_eq!(unpack(&[], 0), Err(LzoError::InputTooShort));
    assert_eq!(unpack(&[17, 0], 0), Err(LzoError::InputTooShort));
    assert_eq!(unpack(&[17, 0, 0, 9], 0), Err(LzoError::InputLeft(1)));
    assert_eq!(unpack(&END, 1), Err(LzoError::OutputTooShort(1)));
    assert_eq!(unpack(&[21, 1, 2, 3, 4, 17, 0, 0], 3), Err(LzoError::OutputTooLong));
    assert_eq!(unpack(&[18, 7, 32 | 8, 0, 0, 17, 0, 0], 10), Err(LzoError::OutputTooLong));
    assert_eq!(unpack(&[18, 7, 64, 3, 17, 0, 0], 4), Err(LzoError::TooFarBack { distance: 25, written: 1 }));
    assert_eq!(unpack(&vec![0; 1 << 20], 1 << 20), Err(LzoError::InputTooShort));
}

#[test]
fn every_length_and_distance_comes_back() {
    let mut rng = Rng(0x1ce);
    let noise: Vec<u8> = (0..60_000).map(|_| rng.next() as u8).collect();
    for distance in [1, 2, 7, 8, 15, 16, 17, 2047, 2048, 2049, 16_383, 16_384, 16_385, 32_767, 32_768, 49_151, 49_152] {
        for length in [3, 4, 5, 8, 9, 10, 33, 34, 35, 264, 288, 289, 290, 543, 1000] {
            for literals in [0, 1, 2, 3, 4, 18, 19, 238, 239, 274] {
                let mut plain = noise[..distance].to_vec();
                for _ in 0..length {
                    plain.push(plain[plain.len() - distance]);
                }
                plain.extend_from_slice(&noise[50_000..50_000 + literals]);
                plain.extend_from_slice(&noise[..40]);
                assert_eq!(unpack(&pack(&plain), plain.len()), Ok(plain), "{distance} {length} {literals}");
            }
        }
    }
}

#[test]
fn texts_of_all_kinds_come_back() {
    let mut rng = Rng(0x10_2025);
    for n in 0..600 {
        let len = if n < 100 { n } else { rng.next() % 150_000 };
        let plain = rng.text(len);
        let packed = pack(&plain);
        assert_eq!(unpack(&packed, len), Ok(plain), "{n}");
        assert!(packed.len() <= len + len / 16 + 64, "{} of {len}", packed.len());
    }
    for plain in [vec![0; 1 << 20], (0..1 << 20).map(|_| rng.next() as u8).collect()] {
        assert_eq!(unpack(&pack(&plain), plain.len()), Ok(plain));
    }
}

#[test]
fn damaged_blocks_never_panic() {
    let mut rng = Rng(0xdead);
    for _ in 0..40 {
        let len = rng.next() % 3000;
        let plain = rng.text(len);
        let packed = pack(&plain);
        for _ in 0..250 {
            let mut damaged = packed.clone();
            for _ in 0..1 + rng.next() % 4 {
                let at = rng.next() % damaged.len();
                match rng.next() % 4 {
                    0 => damaged[at] = rng.next() as u8,
                    1 => damaged[at] ^= 1 << (rng.next() % 8),
                    2 => damaged.insert(at, rng.next() as u8),
                    _ if damaged.len() > 1 => drop(damaged.remove(at)),
                    _ => {}
                }
            }
            // The result does not matter, but the rest of the buffer must be untouched.
            let _ = unpack(&damaged, len);
        }
    }
}
