//! How near the outputs of a plan come to those of the float model, on the batches that are held back.
//!
//! ```text
//! score = 20·log₁₀ Σ‖y‖ / Σ‖ŷ − y‖      sums over batches; of the worst output
//! ```
//!
//! Where a Softmax or Sigmoid saturates, a few batches near a border err most by far, and which ones is chance. That is why the
//! norms are not squared.

use super::press::{power, squared_distance};
use super::{Ground, ROOM, as_pressed, each};
use crate::error::Result;
use crate::ir::Tensor;
use crate::progress::Silent;
use crate::quantize::plan::QuantPlan;
use crate::runtime::{MASK, Shaped, apart};

/// The float outputs of a few batches.
pub struct Judge<'a> {
    ground: Ground<'a>,
    batches: Vec<usize>,
    floats: Vec<Vec<(String, Tensor)>>,
    /// What one run holds.
    bytes: usize,
}

/// What stands for an infinite ratio, in dB.
const EXACT: f64 = 200.0;

/// Norm of each output, and distance from it.
pub(super) type Distances = Vec<Option<(f64, f64)>>;

impl<'a> Judge<'a> {
    pub fn new(ground: Ground<'a>, batches: Vec<usize>, bytes: usize) -> Result<Self> {
        let session = Shaped::new(ground.runtime, ground.model, &[], 1);
        let run = |index: &usize| session.run(&ground.dataset.batch(*index)?.inputs);
        let floats = each("running the original", &batches, bytes, ground.progress, run)?;
        Ok(Judge { ground, batches, floats, bytes })
    }

    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// How near each plan comes.
    pub fn scores(&self, plans: &[&QuantPlan]) -> Result<Vec<Score>> {
        // Sessions of small models side by side, since making them takes longest; large ones one at a time, their batches side by side.
        let weights: usize = self.ground.model.tensors().map(Tensor::byte_len).sum();
        let small = 4 * weights < ROOM;
        let (plan, batch) = if small { (self.bytes.max(2 * weights), ROOM) } else { (ROOM, self.bytes) };
        each("comparing", plans, plan, self.ground.progress, |plan| self.score(plan, batch))
    }

    /// Each batch is taken to hold so many bytes.
    fn score(&self, plan: &QuantPlan, bytes: usize) -> Result<Score> {
        let model = as_pressed(self.ground.model, plan)?;
        let session = Shaped::new(self.ground.runtime, &model, &[], 1);
        let numbers: Vec<usize> = (0..self.batches.len()).collect();
        let seen = each("", &numbers, bytes, &Silent, |i| {
            let made = session.run(&self.ground.dataset.batch(self.batches[*i])?.inputs)?;
            Ok(self.floats[*i].iter().zip(&made).map(|((_, a), (_, b))| distances(a, b)).collect())
        })?;
        Ok(Score::of(&seen))
    }
}

pub(super) fn distances(a: &Tensor, b: &Tensor) -> Option<(f64, f64)> {
    let (x, y) = a.to_f32().filter(|_| a.dtype().is_float()).zip(b.to_f32())?;
    if x.len() != y.len() {
        return None;
    }
    let (norm, distance) = (power(&x).sqrt(), squared_distance(&x, &y).sqrt());
    // Without NaN, infinities and masks, the quick sums are right.
    if norm < f64::from(MASK) && distance.is_finite() {
        return Some((norm, distance));
    }
    let (energy, error) = apart(&x, &y);
    Some((energy.sqrt(), error.sqrt()))
}

/// How near a plan comes.
#[derive(Debug, Clone)]
pub struct Score {
    /// In dB.
    pub score: f64,
    /// 10·log₁₀ Σ‖y‖² / Σ‖ŷ − y‖² of the worst output.
    pub sqnr: f64,
}

impl Score {
    pub(super) fn of(seen: &[Distances]) -> Self {
        let outputs = seen.first().map_or(0, Vec::len);
        let ratio = |o: usize, of: fn(f64) -> f64| {
            let sum = |s: (f64, f64), (y, e): (f64, f64)| (s.0 + of(y), s.1 + of(e));
            let (y, e) = seen.iter().filter_map(|batch| batch[o]).fold((0.0, 0.0), sum);
            (y > 0.0).then(|| y / e.max(f64::MIN_POSITIVE))
        };
        let least = (0..outputs).filter_map(|o| ratio(o, |v| v)).fold(f64::INFINITY, f64::min);
        let sqnr = (0..outputs).filter_map(|o| ratio(o, |v| v * v)).fold(f64::INFINITY, f64::min);
        let db = |ratio: f64, of: f64| (of * ratio.log10()).clamp(-EXACT, EXACT);
        Score { score: db(least, 20.0), sqnr: db(sqnr, 10.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(errors: &[f64]) -> Score {
        Score::of(&errors.iter().map(|e| vec![Some((10.0, *e))]).collect::<Vec<_>>())
    }

    #[test]
    fn one_bad_batch_does_not_decide() {
        let (even, uneven) = (score(&[1.0, 1.0]), score(&[0.1, 1.8]));
        assert!((even.sqnr - 20.0).abs() < 1e-9 && (even.score - 20.0).abs() < 1e-9);
        assert!(uneven.sqnr < even.sqnr && uneven.score > even.score, "{uneven:?}");
    }

    #[test]
    fn what_is_no_number_in_one_alone_is_infinitely_far() {
        let t = |v: &[f32]| Tensor::from_vec([v.len()], v.to_vec());
        assert_eq!(distances(&t(&[f32::NAN, 3.0, 4.0]), &t(&[7.0, 3.0, 4.5])), Some((5.0, 0.5)));
        let lost = distances(&t(&[3.0, 4.0]), &t(&[f32::NAN, 4.0])).unwrap();
        assert_eq!(lost.1, f64::INFINITY);
        assert_eq!(Score::of(&[vec![Some(lost)]]).score, -EXACT);
        assert_eq!(Score::of(&[vec![Some((5.0, 0.0))]]).sqnr, EXACT);
    }
}
