//! How near the outputs of one model come to those of another, over batches.
//!
//! ```text
//! score       20·log₁₀ Σ‖y‖  / Σ‖ŷ − y‖          sums over batches; of the worst output
//! SQNR        10·log₁₀ Σ‖y‖² / Σ‖ŷ − y‖²
//! ```
//!
//! Where a Softmax or Sigmoid saturates, a few batches near a border err most by far, and which ones is chance. That is why plans are
//! chosen by a score of norms that are not squared; what is told is the SQNR.

/// What stands for an infinite ratio, in dB.
pub const EXACT_DB: f64 = 200.0;

/// The squared norm of each output of one batch, and of its distance from that of another model; `None` where they cannot be compared.
pub type Energies = Vec<Option<(f64, f64)>>;

/// How near a model comes, in dB.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Score {
    /// Of norms, what plans are chosen by.
    pub score: f64,
    /// Of energies, what is told.
    pub sqnr: f64,
}

impl Score {
    /// Of the energies of batches, all of the same outputs: those of the worst output.
    #[must_use]
    pub fn of(seen: &[Energies]) -> Self {
        let outputs = seen.first().map_or(0, Vec::len);
        let worst = |of: fn(f64) -> f64| {
            let ratio = |o: usize| {
                let sum = |s: (f64, f64), (y, e): (f64, f64)| (s.0 + of(y), s.1 + of(e));
                let (y, e) = seen.iter().filter_map(|batch| batch[o]).fold((0.0, 0.0), sum);
                (y > 0.0).then(|| y / e.max(f64::MIN_POSITIVE))
            };
            (0..outputs).filter_map(ratio).fold(f64::INFINITY, f64::min)
        };
        let db = |ratio: f64, factor: f64| (factor * ratio.log10()).clamp(-EXACT_DB, EXACT_DB);
        Score { score: db(worst(f64::sqrt), 20.0), sqnr: db(worst(|energy| energy), 10.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(errors: &[f64]) -> Score {
        Score::of(&errors.iter().map(|e| vec![Some((100.0, e * e))]).collect::<Vec<_>>())
    }

    #[test]
    fn one_bad_batch_does_not_decide() {
        let (even, uneven) = (score(&[1.0, 1.0]), score(&[0.1, 1.8]));
        assert!((even.sqnr - 20.0).abs() < 1e-9 && (even.score - 20.0).abs() < 1e-9);
        assert!(uneven.sqnr < even.sqnr && uneven.score > even.score, "{uneven:?}");
    }

    #[test]
    fn what_is_lost_or_the_same_is_at_the_ends() {
        assert_eq!(Score::of(&[vec![Some((16.0, f64::INFINITY))]]).score, -EXACT_DB);
        assert_eq!(Score::of(&[vec![Some((25.0, 0.0)), None]]).sqnr, EXACT_DB);
    }
}
