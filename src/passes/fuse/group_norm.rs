//! Say an instance normalization of groups of channels as GroupNormalization.
//!
//! ```text
//! x[N, C, …] ─► Reshape[N, G, −1] ─► InstanceNormalization(1, 0; ε) ─► Reshape[N, C, …] ─► Mul(γ) ─► Add(β) ─► y
//!
//! x ─► GroupNormalization(γ, β; G, ε) ─► y
//! ```
//!
//! γ and β are constant, one number per channel, and may be missing. Only float32 of a known rank of 3 or more and a known number
//! of channels. Raises the opset to 21, the first in which γ and β are per channel.
//!
//! Refuses an instance normalization that scales or shifts by itself, groups of one channel (0.5 to 1.5× in tract), when a
//! value in between has another reader or is a graph output, and when the opset cannot be raised. Shapes that are not known to
//! be those above are no match.

use super::normalization::{Normalized, repeated};
use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{Attr, DType, GraphEdit, Model, NodeId, ValueId};
use crate::passes::support::{all_equal, length, producer_of};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-group-norm", "say InstanceNormalization between Reshapes as GroupNormalization", run)
        .of_family("normalization");

/// The first in which scale and bias are per channel.
const OPSET: i64 = 21;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(OPSET, edit, PASS.name, &["Reshape"], find)
}

fn find(model: &Model, back: NodeId) -> Found {
    let normalize = producer_of(model, back, 0, &["InstanceNormalization"])?;
    let group = producer_of(model, normalize, 0, &["Reshape"])?;
    let x = model.node(group).input(0)?;
    let ty = model.tensor_type(x);
    let shape = ty.shape.filter(|s| s.len() >= 3 && ty.dtype == Some(DType::F32))?;
    let channels = length(&shape[1])?;
    let grouped = model.tensor_type(model.node(group).output(0)?).shape.filter(|s| s.len() == 3)?;
    let groups = grouped[1].known().filter(|g| *g > 0 && channels as i64 % g == 0)?;
    let batch = grouped[0].same(&shape[0]) || copies_first(model, group);
    if !batch || !restores(model, back, x) {
        return None;
    }
    let plain = |input, number| model.constant_input(normalize, input).is_some_and(|t| all_equal(t, number));
    if !plain(1, 1.0) || !plain(2, 0.0) {
        return Some(Err("the normalization of the groups scales or shifts by itself".into()));
    }
    if groups == channels as i64 {
        return Some(Err("every group is one channel, where GroupNormalization may be slower".into()));
    }
    let epsilon = model.node(normalize).float_or("epsilon", 1e-5);
    let inner = vec![group, normalize];
    let mut normal = Normalized {
        x,
        rank: shape.len(),
        centred: true,
        axes: (2..shape.len()).collect(),
        epsilon,
        inner,
        last: back,
    };
    let (gamma, beta) = normal.scale_and_shift(model, 1, channels);
    let gamma = gamma.unwrap_or_else(|| repeated(1.0, channels));
    let beta = beta.unwrap_or_else(|| repeated(0.0, channels));
    let constants = vec![("scale", gamma), ("bias", beta)];
    let attrs = vec![("epsilon", Attr::Float(epsilon)), ("num_groups", Attr::Int(groups))];
    Some(Ok(Pattern { inner: normal.inner, last: normal.last, op_type: "GroupNormalization", x, constants, attrs }))
}

/// Whether a Reshape keeps the first size by a 0.
fn copies_first(model: &Model, reshape: NodeId) -> bool {
    let shape = model.constant_input(reshape, 1).and_then(|t| t.to_i64());
    model.node(reshape).int_or("allowzero", 0) == 0 && shape.is_some_and(|s| s.first() == Some(&0))
}

/// Whether a Reshape gives the shape of `x`.
fn restores(model: &Model, reshape: NodeId, x: ValueId) -> bool {
    let given =
        |node: NodeId| Some((model.tensor_type(model.node(node).output(0)?).shape?, model.tensor_type(x).shape?));
    let same = given(reshape).is_some_and(|(y, x)| y.len() == x.len() && y.iter().zip(&x).all(|(a, b)| a.same(b)));
    same || producer_of(model, reshape, 1, &["Shape"]).is_some_and(|s| {
        let n = model.node(s);
        n.input(0) == Some(x) && n.attrs().is_empty()
    })
}
