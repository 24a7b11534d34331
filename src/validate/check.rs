//! Whether a rewritten model computes what the original did, up to rounding.
//!
//! ```text
//! error of an output = max|y′ − y| / max|y|        over all inputs that were run; exact for integers
//! ```
//!
//! A Sigmoid far below zero gives what its kernel rounds off: where an output ends in an operator of a fixed range, a few units in the last
//! place of that range are no error.
//!
//! Neither model is simplified before it runs, as it is elsewhere for speed: a wrong rewrite would then be done to both.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};
use crate::ops::{self, QuantRule};
use crate::runtime::{Rewrites, Runtime, load_as_it_stands};

/// More is no rounding: the networks at hand that magnify it most stay below a fifth of this.
pub const ROUNDING: f64 = 1e-3;

/// Units in the last place of a fixed range that are no error.
const UNITS: f64 = 8.0;

/// What was seen in one runtime.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Checked {
    /// Its name.
    pub runtime: &'static str,
    /// How many inputs were run.
    pub inputs: usize,
    /// Each output with its error.
    pub outputs: Vec<(String, f64)>,
}

impl Checked {
    /// The output with the largest error.
    pub fn worst(&self) -> Option<&(String, f64)> {
        self.outputs.iter().max_by(|a, b| a.1.total_cmp(&b.1))
    }

    /// What is off by more than rounding.
    pub fn off(&self) -> Option<String> {
        let (output, off) = self.worst().filter(|w| w.1 > ROUNDING)?;
        Some(format!("output \"{output}\" is off by {off:.1e} of its largest value in {}", self.runtime))
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let worst = self.worst().map_or(0.0, |w| w.1);
        let off = if worst == 0.0 { "no bit".into() } else { format!("{worst:.1e} of the largest value") };
        let inputs = if self.inputs == 1 { "input" } else { "inputs" };
        write!(f, "checked in {} on {} {inputs}: off by {off}", self.runtime, self.inputs)?;
        match &self.outputs[..] {
            [_] => Ok(()),
            several => several.iter().try_for_each(|(output, off)| write!(f, "\n  {output:<28} {off:.1e}")),
        }
    }
}

/// Runs both on the first `count` batches.
///
/// # Errors
/// What the runtime cannot run, naming the operator; what the data refuse.
pub fn check(
    original: &Model,
    rewritten: &Model,
    dataset: &Dataset,
    count: usize,
    runtime: &'static dyn Runtime,
) -> Result<Checked> {
    let mut outputs: Vec<(String, f64, f64)> = Vec::new();
    let inputs = count.min(dataset.batch_count());
    for index in 0..inputs {
        let fed = dataset.batch(index)?.inputs;
        let (a, b) = (run(original, &fed, runtime)?, run(rewritten, &fed, runtime)?);
        if a.len() != b.len() {
            return Err(Error::internal(format!("{} outputs became {}", a.len(), b.len())));
        }
        outputs.resize_with(a.len(), Default::default);
        for ((slot, (name, a)), (_, b)) in outputs.iter_mut().zip(&a).zip(&b) {
            let (off, largest) = distance(a, b);
            *slot = (name.clone(), slot.1.max(off), slot.2.max(largest));
        }
    }
    let relative = |(name, off, largest): (String, f64, f64)| {
        let rounding = off <= UNITS * f64::from(f32::EPSILON) * fixed_range(original, &name);
        (name, if rounding { 0.0 } else { off / f64::max(largest, f64::MIN_POSITIVE) })
    };
    Ok(Checked { runtime: runtime.name(), inputs, outputs: outputs.into_iter().map(relative).collect() })
}

/// The end of the range that the operator has which makes this output; 0 of one without.
fn fixed_range(model: &Model, output: &str) -> f64 {
    let mut outputs = model.graph(model.main()).outputs().iter();
    let producer = outputs.find(|v| model.name(**v) == output).and_then(|v| model.producer(*v));
    match producer.and_then(|n| ops::of(model.node(n))).map(|op| op.quant) {
        Some(QuantRule::FixedRange { min, max }) => f64::from(min.abs().max(max.abs())),
        _ => 0.0,
    }
}

fn run(model: &Model, inputs: &[(String, Tensor)], runtime: &dyn Runtime) -> Result<Vec<(String, Tensor)>> {
    let (session, own) = load_as_it_stands(runtime, model, inputs, (Rewrites::Least, 1))?;
    session.run(&own)
}

/// The largest difference, and the largest value; infinite where shapes or types differ, or one has a NaN that the other has not.
fn distance(a: &Tensor, b: &Tensor) -> (f64, f64) {
    if a.shape() != b.shape() || a.dtype() != b.dtype() {
        return (f64::INFINITY, 1.0);
    }
    let (Some(x), Some(y)) = (a.to_f64(), b.to_f64()) else {
        return (if a == b { 0.0 } else { f64::INFINITY }, 1.0);
    };
    let off = |(x, y): (&f64, &f64)| match x.is_nan() || y.is_nan() || x.is_infinite() || y.is_infinite() {
        true if x.to_bits() == y.to_bits() || (x.is_nan() && y.is_nan()) => 0.0,
        true => f64::INFINITY,
        false => (x - y).abs(),
    };
    let finite = x.iter().filter(|v| v.is_finite()).fold(0f64, |m, v| m.max(v.abs()));
    let most = x.iter().zip(&y).map(off).fold(0f64, f64::max);
    // Integers and truth values are equal or wrong.
    if !a.dtype().is_float() && most > 0.0 { (f64::INFINITY, 1.0) } else { (most, finite) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::{DataOptions, InputSpec};
    use crate::ir::text;
    use crate::runtime::built_in;

    #[test]
    fn what_a_kernel_rounds_off_is_no_error() {
        let model = |nodes: &str| {
            let source = format!(
                "<ir_version: 8, opset_import: [\"\" : 17]> g (float[4] x) => (float[4] y)
                 <float far = {{-16}}, float little = {{1e-7}}, float more = {{1e-5}}> {{ s = Add (x, far)  {nodes} }}"
            );
            text::parse(&source).unwrap()
        };
        let original = model("y = Sigmoid (s)");
        let dataset = Dataset::open(&DataOptions::new("random:4"), &InputSpec::of(&original)).unwrap();
        let off = |nodes: &str| {
            let seen = check(&original, &model(nodes), &dataset, 4, built_in()).unwrap();
            seen.worst().unwrap().1
        };
        assert_eq!(off("t = Sigmoid (s)  y = Add (t, little)"), 0.0);
        assert!(off("t = Sigmoid (s)  y = Add (t, more)") > 1.0);
    }

    #[test]
    fn differences_are_relative_to_floats_and_absolute_for_integers() {
        let t = |v: &[f32]| Tensor::from_vec([v.len()], v.to_vec());
        assert_eq!(distance(&t(&[1.0, -4.0]), &t(&[1.0, -3.0])), (1.0, 4.0));
        assert_eq!(distance(&t(&[1.0, f32::NAN]), &t(&[1.0, f32::NAN])), (0.0, 1.0));
        assert_eq!(distance(&t(&[1.0]), &t(&[f32::NAN])).0, f64::INFINITY);
        assert_eq!(distance(&t(&[1.0]), &t(&[1.0, 2.0])).0, f64::INFINITY);
        let i = |v: i64| Tensor::from_vec([1], vec![v]);
        assert_eq!((distance(&i(3), &i(3)).0, distance(&i(3), &i(4)).0), (0.0, f64::INFINITY));
    }
}
