//! What is differentiated: a loss L(y, t) of the outputs y and targets t, added up over the samples.
//!
//! ```text
//! cross-entropy      L = −Σ t·ln p,  p = softmax(z)          dL/dz = p·Σt − t
//! squared error      L = ½·Σ s·(y − t)²                      dL/dy = s·(y − t)
//! ```
//!
//! A model that ends in a Softmax is differentiated from the logits z before it: p·(1/p) would lose digits.
//!
//! Without labels, targets are drawn from the distribution that the model itself predicts ([`Target::drawn`]): classes from
//! its softmax, or Gaussian noise about other outputs. The mean of g² is then the diagonal of the Fisher information (Martens,
//! New Insights and Perspectives on the Natural Gradient Method, 2020, section 5). The model's own outputs as targets would
//! be useless: the gradient of a divergence from oneself is zero.

use crate::data::Rng;
use crate::error::{Error, Result};
use crate::ir::shape::axis_of;
use crate::ir::{DType, Model, NodeId, Tensor, ValueId};
use crate::ops::vjp::Tape;
use crate::ops::{self, QuantRule};

/// A loss.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Loss {
    /// Of the first output, whose last axis holds classes.
    CrossEntropy,
    /// Of every float32 output, each times a scale: 1 where none is given.
    SquaredError {
        /// One for each output.
        scales: Vec<f32>,
    },
}

/// What an output is compared with: an input of the gradient's model.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name.
    pub input: String,
    /// The output of the model that it is the target of.
    pub output: String,
    /// Its sizes.
    pub dims: Vec<usize>,
    kind: Kind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The output holds probabilities of classes.
    Probabilities,
    /// The output holds logits of classes.
    Logits,
    /// The output holds numbers.
    Numbers,
}

pub(super) struct Built {
    pub value: ValueId,
    pub targets: Vec<Target>,
    /// Values and dL/d them.
    pub gradients: Vec<(ValueId, ValueId)>,
}

impl Loss {
    /// Cross-entropy where the first output holds classes: there are labels, or it is a Softmax or a contraction's result of
    /// rank 2 and more than one class. Else the squared error; so too of a Softmax over another axis than the last, labels or not.
    pub fn natural(model: &Model, labelled: bool) -> Loss {
        let first = model.graph(model.main()).outputs().first().copied();
        let elsewhere = |v| softmax(model, v).is_some_and(|(_, last)| !last);
        match first.is_some_and(|v| !elsewhere(v) && (labelled || holds_classes(model, v))) {
            true => Loss::CrossEntropy,
            false => Loss::SquaredError { scales: Vec::new() },
        }
    }
}

/// The Softmax that makes `value`, and whether it is one over the last axis. Before opset 13 it is over all axes from one on.
fn softmax(model: &Model, value: ValueId) -> Option<(NodeId, bool)> {
    let id = model.producer(value).filter(|n| model.node(*n).is("Softmax"))?;
    let axis = model.node(id).int_or("axis", if model.onnx_opset() >= 13 { -1 } else { 1 });
    let last = model.tensor_type(value).rank().map_or(axis == -1, |rank| axis_of(axis, rank) == rank.checked_sub(1));
    Some((id, last))
}

fn holds_classes(model: &Model, value: ValueId) -> bool {
    let Some(mut node) = model.producer(value) else { return false };
    if let Some((_, last)) = softmax(model, value) {
        return last;
    }
    let ty = model.tensor_type(value);
    let classes = ty.shape.as_ref().and_then(|s| s.last()?.known());
    if ty.rank().is_some_and(|r| r != 2) || classes == Some(1) {
        return false;
    }
    // A bias may be added apart.
    let contracts = |n: NodeId| {
        matches!(ops::of(model.node(n)).map(|op| op.quant), Some(QuantRule::Weighted { weight, .. })
            if model.constant_input(n, weight).is_some())
    };
    if !contracts(node) && ops::of(model.node(node)).is_some_and(|op| op.sums) {
        let before = model.node(node).inputs().iter().flatten().find_map(|v| model.producer(*v));
        node = before.unwrap_or(node);
    }
    contracts(node)
}

pub(super) fn build(tape: &Tape, loss: &Loss) -> Result<Built> {
    let outputs: Vec<(ValueId, String)> = {
        let model = tape.model();
        let outputs = model.graph(model.main()).outputs().to_vec();
        outputs.into_iter().map(|v| (v, model.name(v).to_string())).collect()
    };
    match loss {
        Loss::CrossEntropy => {
            let first = outputs.first().ok_or_else(|| Error::input("the model has no output"))?;
            cross_entropy(tape, first)
        }
        Loss::SquaredError { scales } => squared_error(tape, &outputs, scales),
    }
}

fn known(tape: &Tape, value: ValueId, name: &str) -> Result<Vec<usize>> {
    let ty = tape.model().tensor_type(value);
    let refuse = || Error::input(format!("output \"{name}\" is {ty}: a loss wants float32 of known shape"));
    ty.known_shape().filter(|s| ty.dtype == Some(DType::F32) && !s.is_empty()).ok_or_else(refuse)
}

fn cross_entropy(tape: &Tape, (output, name): &(ValueId, String)) -> Result<Built> {
    let (logits, kind) = {
        let model = tape.model();
        match softmax(&model, *output).filter(|(_, last)| *last).and_then(|(n, _)| model.node(n).input(0)) {
            Some(logits) => (logits, Kind::Probabilities),
            None => (*output, Kind::Logits),
        }
    };
    let dims = known(tape, *output, name)?;
    let z = tape.var(logits);
    let target = tape.input(&format!("{name}_target"), &dims);
    let last = [dims.len() - 1];
    let all: Vec<usize> = (0..dims.len()).collect();
    let axis = [("axis", crate::ir::Attr::Int(-1))];
    let logs = tape.float("LogSoftmax", &[z], &axis, &dims);
    let value = (-(logs * target)).sum(&all).reshape(&[]);
    let gradient = logs.map("Exp") * target.sum(&last) - target;
    let input = tape.model().name(target.id).to_string();
    let target = Target { input, output: name.clone(), dims, kind };
    Ok(Built { value: value.id, targets: vec![target], gradients: vec![(logits, gradient.id)] })
}

fn squared_error(tape: &Tape, outputs: &[(ValueId, String)], scales: &[f32]) -> Result<Built> {
    let (mut targets, mut gradients, mut sum) = (Vec::new(), Vec::new(), None);
    let float = |v: ValueId| tape.model().tensor_type(v).dtype == Some(DType::F32);
    for (i, (output, name)) in outputs.iter().filter(|(v, _)| float(*v)).enumerate() {
        let dims = known(tape, *output, name)?;
        let target = tape.input(&format!("{name}_target"), &dims);
        let error = tape.var(*output) - target;
        let gradient = error * scales.get(i).copied().unwrap_or(1.0);
        let all: Vec<usize> = (0..dims.len()).collect();
        let part = (gradient * error * 0.5).sum(&all).reshape(&[]);
        sum = Some(sum.map_or(part, |sum| sum + part));
        gradients.push((*output, gradient.id));
        let (input, output) = (tape.model().name(target.id).to_string(), name.clone());
        targets.push(Target { input, output, dims, kind: Kind::Numbers });
    }
    let value = sum.ok_or_else(|| Error::input("the model has no float32 output"))?;
    Ok(Built { value: value.id, targets, gradients })
}

impl Target {
    /// One class a row: 1 at the label, 0 elsewhere.
    ///
    /// # Errors
    /// Input, for labels that do not fit the classes.
    pub fn of_labels(&self, labels: &[i64]) -> Result<Tensor> {
        let classes = self.dims.last().copied().unwrap_or(0);
        let mut rows = vec![0f32; self.dims.iter().product()];
        if classes == 0 || labels.len() * classes != rows.len() {
            let message =
                format!("{} labels do not fit output \"{}\" of shape {:?}", labels.len(), self.output, self.dims);
            return Err(Error::input(message));
        }
        for (row, label) in rows.chunks_exact_mut(classes).zip(labels) {
            let place = usize::try_from(*label).ok().and_then(|l| row.get_mut(l));
            let wrong =
                || Error::input(format!("label {label} is none of the {classes} classes of \"{}\"", self.output));
            *place.ok_or_else(wrong)? = 1.0;
        }
        Ok(Tensor::from_vec(self.dims.clone(), rows))
    }

    /// Drawn from what the model itself predicts: a class from each row of probabilities or logits; else the output and
    /// Gaussian noise, scaled so that every output counts alike whatever its unit.
    ///
    /// # Errors
    /// Input, where the output is not of this target's size.
    pub fn drawn(&self, output: &Tensor, seed: &[u64]) -> Result<Tensor> {
        let mut rng = Rng::new(seed);
        let numbers = output.to_f32().filter(|n| n.len() == self.dims.iter().product::<usize>());
        let numbers =
            numbers.ok_or_else(|| Error::input(format!("output \"{}\" is not {:?}", self.output, self.dims)))?;
        if self.kind == Kind::Numbers {
            let rms = (numbers.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / numbers.len().max(1) as f64).sqrt();
            let deviation = 1.0 / rms.max(1e-12);
            let moved = numbers.iter().map(|v| (f64::from(*v) + deviation * rng.normal()) as f32).collect::<Vec<_>>();
            return Ok(Tensor::from_vec(self.dims.clone(), moved));
        }
        let classes = self.dims.last().copied().unwrap_or(1).max(1);
        let mut rows = vec![0f32; numbers.len()];
        for (row, known) in rows.chunks_exact_mut(classes).zip(numbers.chunks_exact(classes)) {
            row[self.draw(known, rng.uniform())] = 1.0;
        }
        Ok(Tensor::from_vec(self.dims.clone(), rows))
    }

    /// The class at which the cumulated probability passes `at`, in (0, 1].
    fn draw(&self, row: &[f32], at: f64) -> usize {
        let greatest = row.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let weight = |v: f32| match self.kind {
            Kind::Logits => f64::from(v - greatest).exp(),
            _ => f64::from(v),
        };
        let mut left = at * row.iter().map(|v| weight(*v)).sum::<f64>();
        let passes = |v: &f32| {
            left -= weight(*v);
            left <= 0.0
        };
        row.iter().position(passes).unwrap_or(row.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn classes_lie_on_the_last_axis() {
        let natural = |opset: u32, shape: &str, attrs: &str, labelled| {
            let source = format!(
                "<ir_version: 8, opset_import: [\"\" : {opset}]> g (float[{shape}] x) => (float[{shape}] y) {{ y = Softmax {attrs} (x) }}"
            );
            Loss::natural(&text::parse(&source).unwrap(), labelled)
        };
        let numbers = Loss::SquaredError { scales: Vec::new() };
        assert_eq!(natural(17, "N,5", "", false), Loss::CrossEntropy);
        assert_eq!(natural(17, "N,7,5", "<axis = 2>", false), Loss::CrossEntropy);
        for labelled in [false, true] {
            assert_eq!(natural(17, "N,5,4,4", "<axis = 1>", labelled), numbers);
            // Over all axes from the second on, in old files.
            assert_eq!(natural(11, "N,7,5", "", labelled), numbers);
        }
        assert_eq!(natural(11, "N,5", "", false), Loss::CrossEntropy);
    }
}
