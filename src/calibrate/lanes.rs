//! Counting without waiting.
//!
//! ```text
//! values   v0 v1 v2 v3 v4 v5 …          table of lane 0: v0, v4, …     lane 1: v1, v5, …     lane 2, lane 3
//! ```
//!
//! Neighbours in an activation are alike and often fall into the same bin, and an addition to a count that was written
//! just before waits for that write. So neighbours are counted in different tables, whose counts are short enough that
//! all of them stay near the core, and which are added up before they can overflow.

use super::histogram::{BINS, Counts, SIDE_BITS};

const LANES: usize = 4;
/// Values turned into entries at a time.
const BLOCK: usize = 128;
/// A table longer by a few counts than a page, so that equal entries of two lanes do not lie a whole number of pages apart,
/// which a processor takes for the same place at first.
const TABLE: usize = BINS + 4;

/// Tables of counts, one a lane.
pub(super) struct Lanes {
    tables: [[u16; TABLE]; LANES],
    /// Values counted in the fullest table since the tables were empty.
    counted: usize,
}

impl Lanes {
    pub fn new() -> Self {
        Lanes { tables: [[0; TABLE]; LANES], counted: 0 }
    }

    /// Whether no count can overflow when these are counted too.
    pub fn have_room(&self, chunk: &[f32]) -> bool {
        self.counted + chunk.len().div_ceil(LANES) <= usize::from(u16::MAX)
    }

    /// Counts finite values in bins of width 1/`scale`, zeros in the first bin of the positive side.
    ///
    /// Entries first, which is vector work, then the scattered counting.
    pub fn count(&mut self, chunk: &[f32], scale: f32, some_negative: bool) {
        let mut entries = [0; BLOCK];
        for values in chunk.chunks(BLOCK) {
            let entries = &mut entries[..values.len()];
            if some_negative {
                entries.iter_mut().zip(values).for_each(|(e, v)| *e = entry(*v, scale));
            } else {
                entries.iter_mut().zip(values).for_each(|(e, v)| *e = floor(*v * scale));
            }
            let [a, b, c, d] = &mut self.tables;
            let (fours, rest) = entries.as_chunks::<LANES>();
            for [i, j, k, l] in fours {
                add_one(a, *i);
                add_one(b, *j);
                add_one(c, *k);
                add_one(d, *l);
            }
            self.tables.iter_mut().zip(rest).for_each(|(table, e)| add_one(table, *e));
        }
        self.counted += chunk.len().div_ceil(LANES);
    }

    /// Adds the counts to `counts` and starts anew.
    pub fn empty_into(&mut self, counts: &mut Counts) {
        if self.counted == 0 {
            return;
        }
        let [a, b, c, d] = &self.tables;
        for ((((count, a), b), c), d) in counts.iter_mut().zip(a).zip(b).zip(c).zip(d) {
            *count += u64::from(u32::from(*a) + u32::from(*b) + u32::from(*c) + u32::from(*d));
        }
        *self = Lanes::new();
    }
}

#[inline]
fn add_one(table: &mut [u16; TABLE], entry: u32) {
    table[entry as usize % BINS] += 1;
}

/// The entry of a finite `v`, where `scale` is one over the width, in the lower bits.
#[inline]
fn entry(v: f32, scale: f32) -> u32 {
    floor(v.abs() * scale) | (u32::from(v < 0.0) << SIDE_BITS)
}

/// ⌊y⌋ for 0 ≤ y < 2048, in the lower 12 bits.
///
/// Near 1.5·2²² floats are ½ apart, so adding that rounds y − ¼ to halves: n ≤ y < n + 1 becomes n or n + ½ (y = n is a tie,
/// which goes to the even one of n − ½ and n), and the last bit is dropped. Unlike a cast, vector instructions of every
/// processor do that.
#[inline]
fn floor(y: f32) -> u32 {
    const TO_HALVES: f32 = 6_291_456.0;
    (y - 0.25 + TO_HALVES).to_bits() >> 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_count_what_one_table_would_and_say_when_they_are_full() {
        let values: Vec<f32> = (0..200_001).map(|i| ((i % 7) as f32 - 3.0) * 0.5).collect();
        let (mut lanes, mut counts) = (Lanes::new(), [0; BINS]);
        lanes.count(&values, 1.0, true);
        assert!(lanes.have_room(&values[..62_136]) && !lanes.have_room(&values[..62_137]));
        lanes.empty_into(&mut counts);
        let of = |v: f32| values.iter().filter(|w| **w == v).count() as u64;
        let negative = 1 << SIDE_BITS;
        assert_eq!((counts[0], counts[1]), (of(0.0) + of(0.5), of(1.0) + of(1.5)));
        assert_eq!((counts[negative], counts[negative + 1]), (of(-0.5), of(-1.0) + of(-1.5)));
        assert_eq!(counts.iter().sum::<u64>(), 200_001);
        assert!(lanes.have_room(&values));
    }

    #[test]
    fn a_full_table_of_one_value_does_not_overflow() {
        let (mut lanes, mut counts) = (Lanes::new(), [0; BINS]);
        for _ in 0..usize::from(u16::MAX) {
            assert!(lanes.have_room(&[0.5; 3]));
            lanes.count(&[0.5; 3], 1.0, false);
        }
        assert!(!lanes.have_room(&[0.5]));
        lanes.empty_into(&mut counts);
        assert_eq!(counts[0], 3 * u64::from(u16::MAX));
    }

    #[test]
    fn floors_are_exact_on_and_beside_every_edge() {
        let bin = |v: f32| entry(v, 1.0) as usize % BINS;
        for n in 0..BINS / 2 {
            let edge = n as f32;
            let inside =
                [edge, edge.next_up(), edge + 0.25, edge + 0.5, (edge + 0.5).next_down(), (edge + 1.0).next_down()];
            assert_eq!(inside.map(bin), [n; 6]);
            assert!(n == 0 || bin(-edge) == n + BINS / 2);
            assert_eq!(floor(edge) as usize % BINS, n);
        }
        assert_eq!([bin(-0.0), bin(1e-45), bin(-1e-45)], [0, 0, BINS / 2]);
    }
}
