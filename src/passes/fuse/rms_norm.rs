//! Say a decomposed normalization by the root mean square as RMSNormalization.
//!
//! ```text
//! y = x/√(mean(x²) + ε)·γ        mean over the last axis
//!
//! x ─► Div(Sqrt(Add(ReduceMean(Pow(x, 2)), ε))) ─► Mul(γ) ─► y        x ─► RMSNormalization(γ; axis = −1, ε) ─► y
//! ```
//!
//! γ is constant, one number per element of the last axis, and may be missing; the forms of square and division are told in
//! [`normalization`](super::normalization). Only float32 of known rank and last size. Raises the opset to 23, the first
//! with RMSNormalization.
//!
//! Refuses when a value in between has another reader or is a graph output, and when the opset cannot be raised.

use super::normalization::{Normalized, repeated};
use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{Attr, GraphEdit, Model, NodeId};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-rms-norm", "say a normalization by the root mean square as RMSNormalization", run)
        .of_family("normalization");

/// The first with RMSNormalization.
const OPSET: i64 = 23;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(OPSET, edit, PASS.name, &["Div", "Mul"], find)
}

fn find(model: &Model, node: NodeId) -> Found {
    let mut normal = Normalized::of(model, node).filter(|n| !n.centred)?;
    let axis = normal.rank.checked_sub(1).filter(|last| normal.axes == [*last])?;
    let size = normal.size(model, axis)?;
    let gamma = normal.scale(model, axis, size);
    let constants = vec![("scale", gamma.unwrap_or_else(|| repeated(1.0, size)))];
    let attrs = vec![("axis", Attr::Int(-1)), ("epsilon", Attr::Float(normal.epsilon))];
    let (inner, last, x) = (normal.inner, normal.last, normal.x);
    Some(Ok(Pattern { inner, last, op_type: "RMSNormalization", x, constants, attrs }))
}
