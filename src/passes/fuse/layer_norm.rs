//! Say a decomposed layer normalization as LayerNormalization.
//!
//! ```text
//! d = x − mean(x)        y = d/√(mean(d²) + ε)·γ + β        means over the last axis
//!
//! x ─► Sub(ReduceMean(x)) ─► d ─► Div(Sqrt(Add(ReduceMean(Pow(d, 2)), ε))) ─► Mul(γ) ─► Add(β) ─► y
//!
//! x ─► LayerNormalization(γ, β; axis = −1, ε) ─► y
//! ```
//!
//! γ and β are constant, one number per element of the last axis, and may be missing; the forms of square and division are told
//! in [`normalization`](super::normalization). Only float32 of known rank and last size. Raises the opset to 17, the first
//! with LayerNormalization.
//!
//! Refuses when a value in between has another reader or is a graph output, and when the opset cannot be raised.

use super::normalization::{Normalized, repeated};
use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{Attr, GraphEdit, Model, NodeId};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-layer-norm", "say a layer normalization in nine operators as LayerNormalization", run)
        .of_family("normalization");

/// The first with LayerNormalization.
const OPSET: i64 = 17;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(OPSET, edit, PASS.name, &["Div", "Mul"], find)
}

fn find(model: &Model, node: NodeId) -> Found {
    let mut normal = Normalized::of(model, node).filter(|n| n.centred)?;
    let axis = normal.rank.checked_sub(1).filter(|last| normal.axes == [*last])?;
    let size = normal.size(model, axis)?;
    let (gamma, beta) = normal.scale_and_shift(model, axis, size);
    let mut constants = vec![("scale", gamma.unwrap_or_else(|| repeated(1.0, size)))];
    constants.extend(beta.map(|beta| ("bias", beta)));
    let attrs = vec![("axis", Attr::Int(-1)), ("epsilon", Attr::Float(normal.epsilon))];
    let (inner, last, x) = (normal.inner, normal.last, normal.x);
    Some(Ok(Pattern { inner, last, op_type: "LayerNormalization", x, constants, attrs }))
}
