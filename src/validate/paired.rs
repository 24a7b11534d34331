//! Two models judged on the same samples.
//!
//! The difference of their accuracies has the 95 % interval of Agresti and Min ("Simple improved confidence intervals for comparing matched
//! proportions", 2005), so that nobody reads noise as a drop.

use schemars::JsonSchema;
use serde::Serialize;

/// The same samples judged twice: shares of right answers, their difference and its 95 % interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Paired {
    /// Share that the original answers right, 0 … 1.
    pub original: f64,
    /// Share that the rewritten model answers right, 0 … 1.
    pub rewritten: f64,
    /// Rewritten − original.
    pub difference: f64,
    /// Where the interval of the difference begins.
    pub low: f64,
    /// Where it ends.
    pub high: f64,
}

/// Counts of right (1) and wrong (0) by original and rewritten.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Table {
    both: u64,
    only_original: u64,
    only_rewritten: u64,
    neither: u64,
}

impl Table {
    /// Counts one sample by which of both models answers it right.
    pub fn add(&mut self, original: bool, rewritten: bool) {
        match (original, rewritten) {
            (true, true) => self.both += 1,
            (true, false) => self.only_original += 1,
            (false, true) => self.only_rewritten += 1,
            (false, false) => self.neither += 1,
        }
    }

    /// Adds the counts of other samples.
    pub fn merge(&mut self, o: &Table) {
        self.both += o.both;
        self.only_original += o.only_original;
        self.only_rewritten += o.only_rewritten;
        self.neither += o.neither;
    }

    /// Where the original is right.
    pub fn right(&self) -> u64 {
        self.both + self.only_original
    }

    /// Number of samples.
    pub fn count(&self) -> u64 {
        self.both + self.only_original + self.only_rewritten + self.neither
    }

    /// What the counts say of the difference.
    pub fn paired(&self) -> Paired {
        let n = self.count().max(1) as f64;
        let (gain, loss) = (self.only_rewritten as f64, self.only_original as f64);
        let share = |k: u64| k as f64 / n;
        // Agresti & Min: half an observation in each cell, then the Wald interval.
        let (n2, g, l) = (n + 2.0, gain + 0.5, loss + 0.5);
        let centre = (g - l) / n2;
        let half = 1.96 * ((g + l - (g - l).powi(2) / n2).max(0.0)).sqrt() / n2;
        Paired {
            original: share(self.right()),
            rewritten: share(self.both + self.only_rewritten),
            difference: (gain - loss) / n,
            low: (centre - half).max(-1.0),
            high: (centre + half).min(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paired_interval_contains_zero_without_evidence() {
        let t = Table { both: 84, only_original: 1, only_rewritten: 1, neither: 14 };
        let p = t.paired();
        assert_eq!((p.original, p.rewritten, p.difference), (0.85, 0.85, 0.0));
        assert!(p.low < 0.0 && p.high > 0.0 && (p.high - 0.0333).abs() < 0.001, "{p:?}");
    }
}
