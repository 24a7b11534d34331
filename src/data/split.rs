//! Which batches are fitted to, and which are held back to judge the result.
//!
//! ```text
//! batches, every third held back    0 1 2 3 4 5 6 7 8 …        fit 0 1 3 4 6 7 …   judge 2 5 8 …
//! ```
//!
//! What was fitted to a batch looks better there than elsewhere, the more so the fewer batches there are.

/// One of so many batches is held back where data choose: among plans of quantization, ways to prune, shares of layers. What is held back
/// must tell apart what is much alike.
pub const HELD_TO_CHOOSE: usize = 3;
/// Where channels are cut: batches held back say how much to damp and what a cut costs, the others order channels and solve layers.
pub const HELD_OF_CHANNELS: usize = 4;
/// Where weights are trained, which gains by every sample. These are among those of [`HELD_TO_CHOOSE`], so that what was fitted before has
/// not seen them either.
pub const HELD_OF_TRAINING: usize = 2 * HELD_TO_CHOOSE;

/// Batches by number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Split {
    /// Those that are fitted to.
    pub fit: Vec<usize>,
    /// Those that judge.
    pub judge: Vec<usize>,
}

impl Split {
    /// Holds back one of `every` of these batches. A single one cannot be split: it is fitted to and judged on.
    pub fn of(batches: &[usize], every: usize) -> Self {
        let part = |held: bool| {
            let chosen = batches.iter().enumerate().filter(|(i, _)| is_held(*i, batches.len(), every) == held);
            chosen.map(|(_, batch)| *batch).collect::<Vec<usize>>()
        };
        let (fit, judge) = (part(false), part(true));
        Split { judge: if judge.is_empty() { fit.clone() } else { judge }, fit }
    }

    /// Whether no batch is in both.
    pub fn apart(&self) -> bool {
        self.fit != self.judge
    }
}

/// Whether the batch at this place of so many is held back: one of `every`, of fewer the last, but never the only one.
pub fn is_held(place: usize, of: usize, every: usize) -> bool {
    place % every == every - 1 || (of < every && place > 0 && place + 1 == of)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_judges_was_not_fitted_to() {
        for (all, every) in (0..50).flat_map(|all| [3, 4, 6].map(|every| (all, every))) {
            let batches: Vec<usize> = (0..all).map(|i| 2 * i).collect();
            let s = Split::of(&batches, every);
            let mut both: Vec<usize> = s.fit.iter().chain(&s.judge).copied().collect();
            both.sort_unstable();
            both.dedup();
            assert_eq!(both, batches);
            assert_eq!(s.apart(), all > 1);
            assert_eq!(s.fit.len() + s.judge.len(), if all == 1 { 2 } else { all });
            assert!(all == 0 || !s.judge.is_empty() && !s.fit.is_empty());
        }
        assert_eq!(Split::of(&[0, 1, 2, 3, 4, 5, 6], 3), Split { fit: vec![0, 1, 3, 4, 6], judge: vec![2, 5] });
    }

    #[test]
    fn half_of_what_is_held_at_every_third_is_held_at_every_sixth() {
        let batches: Vec<usize> = (0..100).collect();
        let third = Split::of(&batches, 3).judge;
        assert!(Split::of(&batches, 6).judge.iter().all(|b| third.contains(b)));
    }
}
