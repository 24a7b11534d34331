//! Whether a rewritten model computes what the original did, up to rounding.
//!
//! ```text
//! error of an output = max|y′ − y| / max|y|        over all inputs that were run; exact for integers
//! ```
//!
//! Neither model is simplified before it runs, as it is elsewhere for speed: a wrong rewrite would then be done to both.

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};
use crate::runtime::{Rewrites, Runtime, load_as_it_stands};

/// More is no rounding: the networks at hand that magnify it most stay below a fifth of this.
pub const ROUNDING: f64 = 1e-3;

/// What was seen in one runtime.
#[derive(Debug, Clone)]
pub struct Checked {
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
    let relative =
        |(name, off, largest)| (name, if off == 0.0 { 0.0 } else { off / f64::max(largest, f64::MIN_POSITIVE) });
    Ok(Checked { runtime: runtime.name(), inputs, outputs: outputs.into_iter().map(relative).collect() })
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
