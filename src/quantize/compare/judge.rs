//! How near a plan comes to the float model, on the batches that are held back.
//!
//! ```text
//! score = mean over v of 20·log₁₀ Σ‖v‖ / Σ‖v̂ − v‖      v: the outputs, and what the last contractions before them read and make
//! ```
//!
//! Sums are over batches. Outputs alone tell little where a Softmax or Sigmoid saturates: a few batches near a border decide,
//! and which ones is chance. The features before them err alike on every batch. Norms are not squared, for the same reason.

use std::collections::BTreeSet;

use super::press::{power, squared_distance};
use super::{Ground, as_pressed, each};
use crate::error::Result;
use crate::ir::{Model, Tensor, ValueId};
use crate::ops::{self, QuantRule};
use crate::quantize::plan::QuantPlan;
use crate::runtime::Shaped;

/// At most so many values before the outputs.
const MOST: usize = 8;

/// The float values of a few batches.
pub struct Judge<'a> {
    ground: Ground<'a>,
    batches: Vec<usize>,
    taps: Vec<String>,
    floats: Vec<Vec<(String, Tensor)>>,
    /// What one run holds.
    bytes: usize,
}

/// Squared norm, and squared distance from it: of each value that is compared, outputs first.
type Distances = Vec<Option<(f64, f64)>>;

impl<'a> Judge<'a> {
    pub fn new(ground: Ground<'a>, batches: Vec<usize>, bytes: usize) -> Result<Self> {
        let taps = before_outputs(ground.model);
        let session = Shaped::new(ground.runtime, ground.model, &taps, 1);
        let run = |index: &usize| session.run(&ground.dataset.batch(*index)?.inputs);
        let floats = each("running the original", &batches, bytes, ground.progress, run)?;
        Ok(Judge { ground, batches, taps, floats, bytes })
    }

    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// How near a plan comes on the first `count` batches.
    pub fn score(&self, plan: &QuantPlan, count: usize) -> Result<Score> {
        let model = as_pressed(self.ground.model, plan)?;
        let session = Shaped::new(self.ground.runtime, &model, &self.taps, 1);
        let numbers: Vec<usize> = (0..self.batches.len().min(count)).collect();
        let seen = each("comparing", &numbers, self.bytes, self.ground.progress, |i| {
            let made = session.run(&self.ground.dataset.batch(self.batches[*i])?.inputs)?;
            Ok(self.floats[*i].iter().zip(&made).map(|((_, a), (_, b))| distances(a, b)).collect())
        })?;
        let outputs = self.ground.model.graph(self.ground.model.main()).outputs().len();
        Ok(Score::of(&seen, outputs))
    }
}

fn distances(a: &Tensor, b: &Tensor) -> Option<(f64, f64)> {
    let (x, y) = a.to_f32().filter(|_| a.dtype().is_float()).zip(b.to_f32())?;
    (x.len() == y.len()).then(|| (power(&x), squared_distance(&x, &y)))
}

/// In dB.
#[derive(Debug, Clone, Copy)]
pub struct Score {
    /// 10·log₁₀ Σ‖y‖² / Σ‖ŷ − y‖² of the worst output.
    pub sqnr: f64,
    /// By which plans are compared.
    pub score: f64,
}

impl Score {
    fn of(seen: &[Distances], outputs: usize) -> Self {
        let values = seen.first().map_or(0, Vec::len);
        let decibels = |v: usize, of: fn(f64) -> f64, factor: f64| {
            let sum = |s: (f64, f64), (y, e): (f64, f64)| (s.0 + of(y), s.1 + of(e));
            let (y, e) = seen.iter().filter_map(|batch| batch[v]).fold((0.0, 0.0), sum);
            (y > 0.0).then(|| factor * (y / e.max(f64::MIN_POSITIVE)).log10())
        };
        let all: Vec<f64> = (0..values).filter_map(|v| decibels(v, f64::sqrt, 20.0)).collect();
        let sqnr = (0..outputs).filter_map(|v| decibels(v, |y| y, 10.0)).fold(f64::INFINITY, f64::min);
        Score { sqnr, score: all.iter().sum::<f64>() / all.len().max(1) as f64 }
    }
}

/// What the last contractions before the outputs read and make.
fn before_outputs(model: &Model) -> Vec<String> {
    let graph = model.graph(model.main());
    let mut seen = BTreeSet::new();
    let mut found: Vec<String> = Vec::new();
    let mut waiting: Vec<ValueId> = graph.outputs().to_vec();
    while let Some(v) = waiting.pop() {
        let Some(id) = model.producer(v).filter(|_| seen.insert(v)) else { continue };
        let node = model.node(id);
        match ops::of(node).map(|op| op.quant) {
            Some(QuantRule::Weighted { input, weight, .. }) if model.constant_input(id, weight).is_some() => {
                let ends = [node.input(input), Some(v)].into_iter().flatten();
                let new = ends.filter(|v| model.producer(*v).is_some() && !model.is_output(*v));
                found.extend(new.map(|v| model.name(v).to_string()));
            }
            _ => waiting.extend(node.inputs().iter().flatten()),
        }
    }
    found.sort();
    found.dedup();
    found.truncate(MOST);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_bad_batch_does_not_decide() {
        // Norms of 10; errors of 1 and 1, or of 0.5 and 3.
        let even: Vec<Distances> = vec![vec![Some((100.0, 1.0))], vec![Some((100.0, 1.0))]];
        let uneven: Vec<Distances> = vec![vec![Some((100.0, 0.01))], vec![Some((100.0, 3.0))]];
        let (a, b) = (Score::of(&even, 1), Score::of(&uneven, 1));
        assert!((a.sqnr - 20.0).abs() < 1e-9 && (a.score - 20.0).abs() < 1e-9);
        assert!(b.sqnr < a.sqnr && b.score > a.score, "{b:?}");
    }

    #[test]
    fn values_before_a_softmax_are_compared() {
        let text = r#"<ir_version: 8, opset_import: ["" : 17]>
            g (float[1,4] x) => (float[1,2] y)
            <float[4,3] w = {1,2,3,4,5,6,7,8,9,10,11,12}, float[3,2] u = {1,2,3,4,5,6}>
            {
               h = MatMul (x, w)
               r = Relu (h)
               l = MatMul (r, u)
               y = Softmax (l)
            }"#;
        assert_eq!(before_outputs(&crate::ir::text::parse(text).unwrap()), ["l", "r"]);
    }
}
