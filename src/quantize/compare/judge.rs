//! How near the outputs of a plan come to those of the float model, on the batches that are held back ([`Score`]). An output that joins
//! several values ([`joined`]) counts as these.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::press::{power, squared_distance};
use super::{Ground, ROOM, as_pressed, each};
use crate::analysis::{Joined, joined};
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
    joined: BTreeMap<String, Joined>,
    /// What one run holds.
    bytes: usize,
}

impl<'a> Judge<'a> {
    pub fn new(ground: Ground<'a>, batches: Vec<usize>, bytes: usize) -> Result<Self> {
        let session = Shaped::new(ground.runtime, ground.model, &[]);
        let run = |index: &usize| session.run(&ground.dataset.batch(*index)?.inputs);
        let floats = each("running the original", &batches, bytes, ground.progress, run)?;
        Ok(Judge { ground, batches, floats, joined: joined(ground.model), bytes })
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
            let each = self.floats[*i].iter().zip(&made);
            let each = each.map(|((name, a), (_, b))| match self.joined.get(name) {
                Some(joined) => parts(joined, a, b),
                None => vec![energies(a, b)],
            });
            Ok(each.flatten().collect::<Energies>())
        })?;
        Ok(Score::of(&seen))
    }
}

/// The squared norm of `a`, and of its distance from `b`.
pub(super) fn energies(a: &Tensor, b: &Tensor) -> Option<(f64, f64)> {
    let [x, y] = floats(a, b)?;
    Some(norms(&x, &y))
}

/// Those of each part.
fn parts(joined: &Joined, a: &Tensor, b: &Tensor) -> Energies {
    let mut found = vec![None; joined.ends.len()];
    let Some([x, y]) = floats(a, b) else { return found };
    for (part, run) in joined.runs(a.shape()) {
        let (energy, error) = norms(&x[run.clone()], &y[run]);
        let sum: &mut (f64, f64) = found[part].get_or_insert_default();
        *sum = (sum.0 + energy, sum.1 + error);
    }
    found
}

/// As many of both.
fn floats<'a>(a: &'a Tensor, b: &'a Tensor) -> Option<[Cow<'a, [f32]>; 2]> {
    let (x, y) = a.to_f32().filter(|_| a.dtype().is_float()).zip(b.to_f32())?;
    (x.len() == y.len()).then_some([x, y])
}

fn norms(x: &[f32], y: &[f32]) -> (f64, f64) {
    let (energy, error) = (power(x), squared_distance(x, y));
    // Without NaN, infinities and masks, the quick sums are right.
    if energy < f64::from(MASK) * f64::from(MASK) && error.is_finite() { (energy, error) } else { apart(x, y) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_of_an_output_count_as_outputs() {
        let t = |v: &[f32]| Tensor::from_vec([2, 3], v.to_vec());
        let joined = Joined { axis: 1, ends: vec![1, 3] };
        let (a, b) = (t(&[300., 0., 1., 400., 1., 0.]), t(&[300., 0., 1., 400., 1., 0.5]));
        assert_eq!(parts(&joined, &a, &b), [Some((25e4, 0.0)), Some((2.0, 0.25))]);
        assert_eq!(parts(&joined, &a, &Tensor::from_vec([2], vec![1f32; 2])), [None, None]);
    }

    #[test]
    fn what_is_no_number_in_one_alone_is_infinitely_far() {
        let t = |v: &[f32]| Tensor::from_vec([v.len()], v.to_vec());
        assert_eq!(energies(&t(&[f32::NAN, 3.0, 4.0]), &t(&[7.0, 3.0, 4.5])), Some((25.0, 0.25)));
        assert_eq!(energies(&t(&[3.0, 4.0]), &t(&[f32::NAN, 4.0])), Some((16.0, f64::INFINITY)));
    }
}
