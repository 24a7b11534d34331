//! Which batches ranges and biases are fitted to, and which are held back to judge the result.
//!
//! ```text
//! all batches    0 1 2 3 4 5 6 7 8 …        every third is held back:  fit 0 1 3 4 6 7 …   judge 2 5 8 …
//! ```
//!
//! What was fitted to a batch looks better there than elsewhere, the more so the fewer batches there are. A single batch
//! cannot be split: it is fitted to and judged on, and biases are left alone.

/// Numbers of batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Samples {
    pub fit: Vec<usize>,
    pub judge: Vec<usize>,
}

/// Every so many batches, one is held back.
const HELD: usize = 3;

impl Samples {
    /// Of `all` batches.
    pub fn of(all: usize) -> Self {
        if all < 2 {
            return Samples { fit: (0..all).collect(), judge: (0..all).collect() };
        }
        // Two batches: one each.
        let held = |i: &usize| i % HELD == HELD - 1 || (all == 2 && *i == 1);
        let (judge, fit) = (0..all).partition(held);
        Samples { fit, judge }
    }

    /// Whether no batch is in both.
    pub fn apart(&self) -> bool {
        self.fit != self.judge
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_judges_was_not_fitted_to() {
        for all in 0..50 {
            let s = Samples::of(all);
            let mut both: Vec<usize> = s.fit.iter().chain(&s.judge).copied().collect();
            both.sort_unstable();
            both.dedup();
            assert_eq!(both, (0..all).collect::<Vec<_>>());
            assert_eq!(s.apart(), all > 1);
            assert_eq!(s.fit.len() + s.judge.len(), if all == 1 { 2 } else { all });
            assert!(all == 0 || !s.judge.is_empty() && !s.fit.is_empty());
        }
    }
}
