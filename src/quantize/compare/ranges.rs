//! Chooses among the ranges of each value the one that changes least what is computed from it.
//!
//! ```text
//! range(x) = argminᵣ Σ_y ‖y(xᵣ) − y(x)‖² / ‖y(x)‖²      xᵣ: x quantized with range r and back
//! ```
//!
//! y are the values next in line that become integers themselves, or outputs of the model ([`super::pieces`]): the error is measured
//! behind the weights and activations that read x, which a statistic of x does not know. A few batches suffice, since all
//! of their values are compared; each is run once as it is and once for each candidate, all values at a time.

use std::collections::{BTreeMap, HashMap};

use super::pieces::{Cut, Pieces};
use super::press::{power, pressed, squared_distance};
use super::{each_batch, spread};
use crate::calibrate::{Range, Ranges};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};
use crate::progress::Progress;
use crate::quantize::plan::QuantPlan;
use crate::quantize::{QParams, QuantOptions};
use crate::runtime::{Runtime, Shaped};

/// Half of the batches: every element of them counts.
const SHARE: usize = 2;

/// `ranges`, those of the values in `plan` (made for `model` with them) chosen among their `alternatives` by measuring.
///
/// # Errors
/// What the data or the runtime refuse.
pub fn refine(
    model: &Model,
    plan: &QuantPlan,
    mut ranges: Ranges,
    alternatives: &BTreeMap<String, Vec<Range>>,
    (dataset, runtime): (&Dataset, &dyn Runtime),
    batches: usize,
    progress: &dyn Progress,
) -> Result<Ranges> {
    let pieces = Pieces::cut(model, plan)?;
    let candidates: Vec<Vec<Candidate>> =
        pieces.cuts.iter().map(|c| candidates(c, alternatives, &plan.options)).collect();
    if candidates.iter().all(|c| c.len() < 2) {
        return Ok(ranges);
    }
    let job = Job { pieces: &pieces, candidates: &candidates };
    let taps: Vec<String> = pieces.cuts.iter().map(|c| c.name.clone()).collect();
    let whole = Shaped::new(runtime, model, &taps, 1);
    let cut = Shaped::new(runtime, &pieces.model, &[], 1);
    let batches = spread(dataset, batches.div_ceil(SHARE));
    let look = |index| job.batch(&whole, &cut, dataset, index);
    let mut errors = Errors::default();
    each_batch("choosing ranges", &batches, progress, look)?.into_iter().for_each(|part| errors.merge(part));
    for ((cut, candidates), index) in pieces.cuts.iter().zip(&candidates).zip(0..) {
        let best = (0..candidates.len()).min_by(|a, b| errors.of(cut, index, *a).total_cmp(&errors.of(cut, index, *b)));
        if let Some(best) = best {
            ranges.ranges.insert(cut.name.clone(), candidates[best].range);
        }
    }
    Ok(ranges)
}

struct Candidate {
    range: Range,
    params: QParams,
}

/// The ranges of a value that give different scales.
fn candidates(cut: &Cut, all: &BTreeMap<String, Vec<Range>>, options: &QuantOptions) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for range in all.get(&cut.name).into_iter().flatten() {
        let Ok(params) = options.activation_params(*range) else { continue };
        if found.iter().all(|c| c.params != params) {
            found.push(Candidate { range: *range, params });
        }
    }
    found
}

/// What a candidate adds to each output it reaches, and the size of these outputs, summed over samples.
#[derive(Default)]
struct Errors {
    added: HashMap<(usize, usize, usize), f64>,
    power: HashMap<usize, f64>,
}

impl Errors {
    fn merge(&mut self, other: Errors) {
        other.added.into_iter().for_each(|(k, v)| *self.added.entry(k).or_default() += v);
        other.power.into_iter().for_each(|(k, v)| *self.power.entry(k).or_default() += v);
    }

    /// The error of cut number `index` with one candidate, relative to each output.
    fn of(&self, cut: &Cut, index: usize, candidate: usize) -> f64 {
        let relative = |o: &usize| {
            let power = self.power.get(o).copied().unwrap_or(0.0).max(f64::MIN_POSITIVE);
            self.added.get(&(index, candidate, *o)).map_or(0.0, |e| e / power)
        };
        cut.reaches.iter().map(relative).sum()
    }
}

struct Job<'a> {
    pieces: &'a Pieces,
    candidates: &'a [Vec<Candidate>],
}

impl Job<'_> {
    /// All candidates on one batch, and the bytes of its values.
    fn batch(&self, whole: &Shaped, cut: &Shaped, dataset: &Dataset, index: usize) -> Result<(Errors, usize)> {
        let batch = dataset.batch(index)?;
        let floats: HashMap<String, Tensor> = whole.run(&batch.inputs)?.into_iter().collect();
        let mut errors = Errors::default();
        for (o, name) in self.pieces.outputs.iter().enumerate() {
            if let Some(values) = floats.get(name).and_then(Tensor::to_f32) {
                errors.power.insert(o, power(&values));
            }
        }
        let most = self.candidates.iter().map(Vec::len).max().unwrap_or(0);
        for colour in 0..self.pieces.colours {
            for candidate in 0..most {
                self.run(cut, &batch.inputs, &floats, (colour, candidate), &mut errors)?;
            }
        }
        let bytes = 3 * floats.values().map(Tensor::byte_len).sum::<usize>();
        Ok((errors, bytes))
    }

    /// One run in which the values of one colour have their candidate of this number.
    fn run(
        &self,
        cut: &Shaped,
        inputs: &[(String, Tensor)],
        floats: &HashMap<String, Tensor>,
        (colour, candidate): (usize, usize),
        errors: &mut Errors,
    ) -> Result<()> {
        let mut fed = inputs.to_vec();
        let mut tried = Vec::new();
        for (index, c) in self.pieces.cuts.iter().enumerate() {
            let missing = || Error::runtime(format!("value \"{}\" was not observed", c.name));
            let float = floats.get(&c.name).ok_or_else(missing)?;
            let params = self.candidates[index].get(candidate).filter(|_| c.colour == colour);
            let value = match params {
                Some(p) => {
                    tried.push((index, c));
                    pressed(float, &p.params).ok_or_else(missing)?
                }
                None => float.clone(),
            };
            fed.push((c.pressed.clone(), value));
            fed.extend(c.plain.clone().map(|plain| (plain, float.clone())));
        }
        if tried.is_empty() {
            return Ok(());
        }
        let made = cut.run(&fed)?;
        let mut distance: HashMap<usize, f64> = HashMap::new();
        for (o, (_, tensor)) in made.iter().enumerate() {
            let reference = self.pieces.outputs.get(o).and_then(|name| floats.get(name));
            if let Some((a, b)) = reference.and_then(Tensor::to_f32).zip(tensor.to_f32())
                && a.len() == b.len()
            {
                distance.insert(o, squared_distance(&a, &b));
            }
        }
        for (index, c) in tried {
            for o in &c.reaches {
                let added = distance.get(o).copied().unwrap_or(0.0);
                *errors.added.entry((index, candidate, *o)).or_default() += added;
            }
        }
        Ok(())
    }
}
