//! Channels made alike on both sides of what is between two layers (cross-layer equalization, Nagel et al., ICCV 2019).
//!
//! ```text
//! s_c = √(r₁,c / r₂,c)        r₁,c = max|W₁[c, …]| of what writes channel c, r₂,c = max|W₂[…, c]| of what reads it
//!
//! W₁ ─► Relu ─► W₂        W₁/s ─► Relu ─► s·W₂        both reach √(r₁·r₂) in channel c
//! ```
//!
//! One scale for a whole weight leaves few levels to small channels; after this all are as large as they can be made. Residual sums are
//! equalized as one, with all layers that write or read them; the layers of a chain in turns, until little changes. In float the model
//! computes the same ([`super::rescale`], which also says what refuses). Weights with a scale for each output channel gain little.

use std::collections::BTreeSet;
use std::fmt;

use super::rescale::Stream;
use crate::ir::{GraphEdit, Model, ValueId};
use crate::ops::{self, QuantRule};

/// Turns through all layers, at most.
const TURNS: usize = 20;
/// Turns end when no factor is further from one.
const LITTLE: f32 = 1.01;

/// What was done, and what was left alone for what reason.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Equalized {
    /// Values whose channels got factors, each with how many layers write and read what hangs together with it.
    pub values: Vec<(String, usize)>,
    /// Values between layers that could not, with the reason.
    pub refused: Vec<(String, String)>,
}

impl fmt::Display for Equalized {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let layers: usize = self.values.iter().map(|(_, layers)| layers).sum();
        write!(f, "equalized the channels between layers at {} values, {layers} weights", self.values.len())?;
        let mut reasons: Vec<&str> = self.refused.iter().map(|(_, why)| why.as_str()).collect();
        reasons.dedup();
        match reasons.as_slice() {
            [] => Ok(()),
            [first, rest @ ..] => {
                write!(f, "; {} left alone: {first}", self.refused.len())?;
                if rest.is_empty() { Ok(()) } else { write!(f, " and {} other reasons", rest.len()) }
            }
        }
    }
}

/// Equalizes all that can be.
pub fn equalize(model: &mut Model) -> Equalized {
    let mut found = Equalized::default();
    let mut streams: Vec<Stream> = Vec::new();
    let mut known: BTreeSet<ValueId> = BTreeSet::new();
    for id in model.graph(model.main()).nodes() {
        let rule = ops::of(model.node(*id)).map(|op| op.quant);
        let Some(y) = model.node(*id).output(0).filter(|_| matches!(rule, Some(QuantRule::Weighted { .. }))) else {
            continue;
        };
        if known.contains(&y) {
            continue;
        }
        let name = model.name(y).to_string();
        match Stream::of(model, y) {
            Ok(stream) if stream.writers.iter().all(|w| w.contracts) => {
                known.extend(&stream.values);
                found.values.push((name, stream.writers.len() + stream.readers.len()));
                streams.push(stream);
            }
            Ok(_) => found.refused.push((name, "a normalization sets its channels".into())),
            Err(why) => found.refused.push((name, why)),
        }
    }
    let mut edit = GraphEdit::new(model);
    for _ in 0..TURNS {
        let mut most = 1f32;
        for stream in &streams {
            let factors = factors(&edit, stream);
            most = factors.iter().fold(most, |m, s| m.max(*s).max(1.0 / s));
            stream.divide(&mut edit, &factors);
        }
        if most < LITTLE {
            break;
        }
    }
    found
}

fn factors(model: &Model, stream: &Stream) -> Vec<f32> {
    let joined = |all: Vec<Vec<f32>>| -> Vec<f32> {
        (0..stream.channels).map(|c| all.iter().fold(0f32, |m, one| m.max(one[c]))).collect()
    };
    let written = joined(stream.writers.iter().map(|w| w.largest(model, stream.channels)).collect());
    let read = joined(stream.readers.iter().map(|r| r.largest(model, stream.channels)).collect());
    let factor = |(w, r): (&f32, &f32)| {
        let s = (w / r).sqrt();
        // Channels that are zero on one side have any factor.
        if s.is_normal() && s.recip().is_normal() { s } else { 1.0 }
    };
    written.iter().zip(&read).map(factor).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    fn parsed(nodes: &str, given: &str) -> Model {
        let source = format!(
            r#"<ir_version: 8, opset_import: ["" : 17]> g (float[1,2] x) => (float[1,1] y) <{given}> {{ {nodes} }}"#
        );
        let mut model = text::parse(&source).unwrap();
        let _ = crate::analysis::infer(&mut GraphEdit::new(&mut model));
        model
    }

    fn weights(model: &Model, name: &str) -> Vec<f32> {
        let mut all = model.graph(model.main()).initializers().iter();
        let value = all.find(|v| model.name(**v) == name).unwrap();
        model.constant(*value).unwrap().to_f32().unwrap().into_owned()
    }

    #[test]
    fn both_sides_of_a_relu_reach_equally_far() {
        let mut model = parsed(
            "a = Gemm(x, w, b) r = Relu(a) y = MatMul(r, v)",
            "float[2,2] w = {16, 1, -8, 0.5}, float[2] b = {4, 2}, float[2,1] v = {1, 4}",
        );
        let done = equalize(&mut model);
        assert_eq!(done.values, [("a".to_string(), 2)]);
        // √(16 / 1) and √(1 / 4).
        assert_eq!(weights(&model, "w"), [4.0, 2.0, -2.0, 1.0]);
        assert_eq!((weights(&model, "b"), weights(&model, "v")), (vec![1.0, 4.0], vec![4.0, 2.0]));
    }

    #[test]
    fn a_residual_sum_is_equalized_with_all_that_write_and_read_it() {
        let mut model = parsed(
            "a = MatMul(x, w) b = MatMul(x, u) s = Add(a, b) r = Relu(s) y = MatMul(r, v)",
            "float[2,2] w = {9, 1, 0, 0}, float[2,2] u = {1, 4, 0, 0}, float[2,1] v = {1, 1}",
        );
        let done = equalize(&mut model);
        assert_eq!(done.values, [("a".to_string(), 3)]);
        let near = |a: Vec<f32>, b: &[f32]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-5);
        assert!(
            near(weights(&model, "w"), &[3.0, 0.5, 0.0, 0.0])
                && near(weights(&model, "u"), &[1.0 / 3.0, 2.0, 0.0, 0.0])
        );
        assert!(near(weights(&model, "v"), &[3.0, 2.0]));
    }

    #[test]
    fn what_bounds_or_leaves_refuses() {
        let given = "float[2,2] w = {9, 1, 0, 0}, float[2,1] v = {1, 1}, float lo = {0}, float hi = {6}";
        let clipped = equalize(&mut parsed("a = MatMul(x, w) r = Clip(a, lo, hi) y = MatMul(r, v)", given));
        assert!(clipped.values.is_empty() && clipped.refused[0].1.contains("Clip"), "{clipped:?}");
        assert_eq!(clipped.refused[1].1, "\"y\" leaves the graph");
        let curved = equalize(&mut parsed("a = MatMul(x, w) r = Tanh(a) y = MatMul(r, v)", given));
        assert!(curved.refused[0].1.contains("does not pass factors"), "{curved:?}");
        assert!(curved.to_string().starts_with("equalized the channels between layers at 0 values"), "{curved}");
    }
}
