//! How near the outputs of a plan come to those of the float model, on the batches that are held back ([`Score`]).

use super::press::{power, squared_distance};
use super::{Ground, ROOM, as_pressed, each};
use crate::error::Result;
use crate::ir::Tensor;
use crate::progress::Silent;
use crate::quantize::plan::QuantPlan;
use crate::runtime::{Energies, MASK, Score, Shaped, apart};

/// The float outputs of a few batches.
pub struct Judge<'a> {
    ground: Ground<'a>,
    batches: Vec<usize>,
    floats: Vec<Vec<(String, Tensor)>>,
    /// What one run holds.
    bytes: usize,
}

impl<'a> Judge<'a> {
    pub fn new(ground: Ground<'a>, batches: Vec<usize>, bytes: usize) -> Result<Self> {
        let session = Shaped::new(ground.runtime, ground.model, &[]);
        let run = |index: &usize| session.run(&ground.dataset.batch(*index)?.inputs);
        let floats = each("running the original", &batches, bytes, ground.progress, run)?;
        Ok(Judge { ground, batches, floats, bytes })
    }

    /// Number of batches that judge.
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// How near each plan comes.
    pub fn scores(&self, plans: &[&QuantPlan]) -> Result<Vec<Score>> {
        // Sessions of small models side by side, since making them takes longest; large ones one at a time, their batches side by side.
        let weights = self.ground.model.weight_bytes();
        let small = 4 * weights < ROOM;
        let (plan, batch) = if small { (self.bytes.max(2 * weights), ROOM) } else { (ROOM, self.bytes) };
        each("comparing", plans, plan, self.ground.progress, |plan| self.score(plan, batch))
    }

    /// Each batch is taken to hold so many bytes.
    fn score(&self, plan: &QuantPlan, bytes: usize) -> Result<Score> {
        let model = as_pressed(self.ground.model, plan)?;
        let session = Shaped::new(self.ground.runtime, &model, &[]);
        let numbers: Vec<usize> = (0..self.batches.len()).collect();
        let seen = each("", &numbers, bytes, &Silent, |i| {
            let made = session.run(&self.ground.dataset.batch(self.batches[*i])?.inputs)?;
            Ok(self.floats[*i].iter().zip(&made).map(|((_, a), (_, b))| energies(a, b)).collect::<Energies>())
        })?;
        Ok(Score::of(&seen))
    }
}

/// The squared norm of `a`, and of its distance from `b`.
pub(super) fn energies(a: &Tensor, b: &Tensor) -> Option<(f64, f64)> {
    let (x, y) = a.to_f32().filter(|_| a.dtype().is_float()).zip(b.to_f32())?;
    if x.len() != y.len() {
        return None;
    }
    let (energy, error) = (power(&x), squared_distance(&x, &y));
    // Without NaN, infinities and masks, the quick sums are right.
    if energy < f64::from(MASK) * f64::from(MASK) && error.is_finite() {
        return Some((energy, error));
    }
    Some(apart(&x, &y))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_in_one_alone_is_infinitely_far() {
        let t = |v: &[f32]| Tensor::from_vec([v.len()], v.to_vec());
        assert_eq!(energies(&t(&[f32::NAN, 3.0, 4.0]), &t(&[7.0, 3.0, 4.5])), Some((25.0, 0.25)));
        assert_eq!(energies(&t(&[3.0, 4.0]), &t(&[f32::NAN, 4.0])), Some((16.0, f64::INFINITY)));
    }
}
