//! Say a decomposed instance normalization as InstanceNormalization.
//!
//! ```text
//! d = x − mean(x)        y = d/√(mean(d²) + ε)·γ + β        means over all spatial axes, γ and β per channel
//!
//! x ─► Sub(ReduceMean(x)) ─► d ─► Div(Sqrt(Add(ReduceMean(Pow(d, 2)), ε))) ─► Mul(γ) ─► Add(β) ─► y
//!
//! x ─► InstanceNormalization(γ, β; ε) ─► y
//! ```
//!
//! γ and β are constant and may be missing; the forms of square and division are told in
//! [`normalization`](super::normalization). Only float32 of a known rank of 3 or more and a known number of channels. With one spatial
//! axis, which is also the last, a normalization without γ and β is left to `fuse-layer-norm`.
//!
//! Refuses when a value in between has another reader or is a graph output.

use super::normalization::{Normalized, repeated};
use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{Attr, GraphEdit, Model, NodeId};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-instance-norm", "say an instance normalization in nine operators as InstanceNormalization", run)
        .of_family("normalization");

/// The first with InstanceNormalization as it is meant today.
const OPSET: i64 = 6;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(OPSET, edit, PASS.name, &["Div", "Mul"], find)
}

fn find(model: &Model, node: NodeId) -> Found {
    let mut normal = Normalized::of(model, node).filter(|n| n.centred)?;
    if normal.rank < 3 || !normal.axes.iter().copied().eq(2..normal.rank) {
        return None;
    }
    let channels = normal.size(model, 1)?;
    let (gamma, beta) = normal.scale_and_shift(model, 1, channels);
    if normal.rank == 3 && gamma.is_none() && beta.is_none() {
        return None;
    }
    let gamma = gamma.unwrap_or_else(|| repeated(1.0, channels));
    let beta = beta.unwrap_or_else(|| repeated(0.0, channels));
    let (constants, attrs) = (vec![("scale", gamma), ("bias", beta)], vec![("epsilon", Attr::Float(normal.epsilon))]);
    let (inner, last, x) = (normal.inner, normal.last, normal.x);
    Some(Ok(Pattern { inner, last, op_type: "InstanceNormalization", x, constants, attrs }))
}
