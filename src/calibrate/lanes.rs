//! Counting without waiting.
//!
//! ```text
//! values   v0 v1 v2 v3 v4 v5 …          table of lane 0: v0, v4, …     lane 1: v1, v5, …     lane 2, lane 3
//! ```
//!
//! Neighbours in an activation are alike and often fall into the same bin, and an addition to a count that was written
//! just before waits for that write. So neighbours are counted in different tables, whose counts are short enough that
//! all of them stay in the first-level cache, and which are added up before they can overflow. Zeros, of which a ReLU
//! leaves long runs, have several places in each table; nothing reads those.

use super::histogram::{BINS, Counts, SIDE_BITS};

const LANES: usize = 4;
/// Where a table counts zeros, by turns.
const SINKS: usize = 4;
/// Values turned into entries at a time.
const BLOCK: usize = 512;

/// Tables of counts, one a lane.
pub(super) struct Lanes {
    tables: [[u16; BINS + SINKS]; LANES],
    /// Values counted since the tables were empty.
    counted: usize,
}

impl Lanes {
    pub fn new() -> Self {
        Lanes { tables: [[0; BINS + SINKS]; LANES], counted: 0 }
    }

    /// Whether no count can overflow when these are counted too.
    pub fn have_room(&self, chunk: &[f32]) -> bool {
        self.counted + chunk.len() <= usize::from(u16::MAX)
    }

    /// Counts finite values in bins of width 1/`scale`. Entries first, which is vector work, then the scattered counting.
    pub fn count(&mut self, chunk: &[f32], scale: f32) {
        let sinks: [u32; BLOCK] = std::array::from_fn(|i| (BINS + i / LANES % SINKS) as u32);
        let mut entries = [0; BLOCK];
        let [a, b, c, d] = &mut self.tables;
        for values in chunk.chunks(BLOCK) {
            for ((e, v), sink) in entries.iter_mut().zip(values).zip(&sinks) {
                *e = entry(*v, scale, *sink);
            }
            let (fours, rest) = entries[..values.len()].as_chunks::<LANES>();
            for [i, j, k, l] in fours {
                a[*i as usize] += 1;
                b[*j as usize] += 1;
                c[*k as usize] += 1;
                d[*l as usize] += 1;
            }
            for e in rest {
                a[*e as usize] += 1;
            }
        }
        self.counted += chunk.len();
    }

    /// Adds the counts to `counts` and starts anew.
    pub fn empty_into(&mut self, counts: &mut Counts) {
        if self.counted == 0 {
            return;
        }
        for table in &self.tables {
            for (count, more) in counts.iter_mut().zip(table) {
                *count += u64::from(*more);
            }
        }
        *self = Lanes::new();
    }
}

/// The entry that counts a finite `v`, where `scale` is one over the width; a zero goes to `sink`.
///
/// ⌊y⌋ by adding and subtracting 2²³, which rounds to an integer, and stepping back where that was up: unlike a cast,
/// vector instructions of every processor do that.
#[inline]
fn entry(v: f32, scale: f32, sink: u32) -> u32 {
    const TO_INTEGER: f32 = 8_388_608.0;
    let y = v.abs() * scale;
    let shifted = y + TO_INTEGER;
    let magnitude = (shifted.to_bits() & 0xffff) - u32::from(shifted - TO_INTEGER > y);
    let bin = magnitude | (u32::from(v < 0.0) << SIDE_BITS);
    if v == 0.0 { sink } else { bin }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_count_what_one_table_would_and_say_when_they_are_full() {
        let values: Vec<f32> = (0..50_001).map(|i| ((i % 7) as f32 - 3.0) * 0.5).collect();
        let (mut lanes, mut counts) = (Lanes::new(), [0; BINS]);
        lanes.count(&values, 1.0);
        assert!(lanes.have_room(&values[..15_534]) && !lanes.have_room(&values[..15_535]));
        lanes.empty_into(&mut counts);
        let of = |v: f32| values.iter().filter(|w| **w == v).count() as u64;
        let negative = 1 << SIDE_BITS;
        assert_eq!((counts[0], counts[1]), (of(0.5), of(1.0) + of(1.5)));
        assert_eq!((counts[negative], counts[negative + 1]), (of(-0.5), of(-1.0) + of(-1.5)));
        assert_eq!(counts.iter().sum::<u64>() + of(0.0), 50_001);
        assert!(lanes.have_room(&values));
    }

    #[test]
    fn a_full_table_of_one_value_does_not_overflow() {
        let (mut lanes, mut counts) = (Lanes::new(), [0; BINS]);
        lanes.count(&[0.5; 3], 1.0);
        for _ in 0..usize::from(u16::MAX) / 3 - 1 {
            lanes.count(&[0.5; 3], 1.0);
        }
        lanes.empty_into(&mut counts);
        assert_eq!(counts[0], u64::from(u16::MAX));
    }
}
