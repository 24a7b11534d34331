//! The k lowest scores, without sorting: the threshold is found byte by byte.
//!
//! Scores are not negative, so their bits order as they do. A histogram of the highest byte tells in which
//! bucket the k-th score lies, one of the next byte within that bucket, and so on: four passes, 256 counters.

/// Where to cut: scores below `bits` go, and `ties` of those equal to it, first come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cut {
    pub bits: u32,
    pub ties: usize,
}

/// The cut that takes exactly `k` of the scores (all, if there are fewer).
pub fn lowest<'a, I: Iterator<Item = &'a [f32]>>(scores: impl Fn() -> I, k: usize) -> Cut {
    let total: usize = scores().map(<[f32]>::len).sum();
    if k >= total {
        return Cut { bits: u32::MAX, ties: 0 };
    }
    let (mut prefix, mut left) = (0u32, k);
    for byte in (0..4).rev() {
        let shift = byte * 8;
        let above = if byte == 3 { 0 } else { u32::MAX << (shift + 8) };
        let mut counts = [0usize; 256];
        for bits in scores().flatten().map(|s| s.to_bits()) {
            if bits & above == prefix & above {
                counts[(bits >> shift & 255) as usize] += 1;
            }
        }
        let mut bucket = 0;
        while left >= counts[bucket] {
            left -= counts[bucket];
            bucket += 1;
        }
        prefix |= (bucket as u32) << shift;
    }
    Cut { bits: prefix, ties: left }
}

impl Cut {
    /// What is lower than `score`, and nothing that equals it.
    pub fn below(score: f32) -> Cut {
        Cut { bits: score.max(0.0).to_bits(), ties: 0 }
    }

    /// Whether this score goes; to be asked in the order of the scores, once each.
    pub fn takes(&mut self, score: f32) -> bool {
        let bits = score.to_bits();
        if bits == self.bits && self.ties > 0 {
            self.ties -= 1;
            return true;
        }
        bits < self.bits
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn equals_sorting(scores in prop::collection::vec(prop_oneof![0f32..1.0, Just(0.5f32), Just(0.0f32)], 1..200), share in 0f64..=1.0) {
            let k = (share * scores.len() as f64).round() as usize;
            let half = scores.len() / 2;
            let mut cut = lowest(|| [&scores[..half], &scores[half..]].into_iter(), k);
            let taken: Vec<bool> = scores.iter().map(|s| cut.takes(*s)).collect();
            prop_assert_eq!(taken.iter().filter(|t| **t).count(), k);
            let mut order: Vec<usize> = (0..scores.len()).collect();
            order.sort_by(|a, b| scores[*a].total_cmp(&scores[*b]));
            for i in &order[..k] {
                prop_assert!(taken[*i]);
            }
        }
    }
}
