//! Say Reshape → Transpose → Reshape as DepthToSpace or SpaceToDepth.
//!
//! ```text
//! x[N, C·b², H, W] ─► [N, b, b, C, H, W] ─► Transpose(0, 3, 4, 1, 5, 2) ─► y[N, C, H·b, W·b]        DepthToSpace(b; DCR)
//! x[N, C·b², H, W] ─► [N, C, b, b, H, W] ─► Transpose(0, 1, 4, 2, 5, 3) ─► y[N, C, H·b, W·b]        DepthToSpace(b; CRD)
//! x[N, C, H·b, W·b] ─► [N, C, H, b, W, b] ─► Transpose(0, 3, 5, 1, 2, 4) ─► y[N, C·b², H, W]        SpaceToDepth(b)
//! ```
//!
//! Only float32; b of 2 or more, and every size must be known to be as above, but for one −1 in a Reshape, which the others decide.
//! Raises the opset to 11, the first with the mode CRD.
//!
//! Refuses when a value in between has another reader or is a graph output, and when the opset cannot be raised.

use super::pattern::{Found, Pattern, fuse_from};
use crate::error::Result;
use crate::ir::{Attr, DType, Dim, GraphEdit, Model, NodeId};
use crate::passes::support::producer_of;
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-depth-to-space", "say Reshape + Transpose + Reshape as DepthToSpace or SpaceToDepth", run).exact();

/// The first with the mode CRD.
const OPSET: i64 = 11;

/// One of the forms above. Axes of the value of rank 6: where its b stand, and which others are the sizes N, C, H, W.
struct Form {
    op_type: &'static str,
    mode: Option<&'static str>,
    perm: [i64; 6],
    blocks: [usize; 2],
    sizes: [usize; 4],
}

static FORMS: &[Form] = &[
    Form { op_type: "DepthToSpace", mode: Some("DCR"), perm: [0, 3, 4, 1, 5, 2], blocks: [1, 2], sizes: [0, 3, 4, 5] },
    Form { op_type: "DepthToSpace", mode: Some("CRD"), perm: [0, 1, 4, 2, 5, 3], blocks: [2, 3], sizes: [0, 1, 4, 5] },
    Form { op_type: "SpaceToDepth", mode: None, perm: [0, 3, 5, 1, 2, 4], blocks: [3, 5], sizes: [0, 1, 2, 4] },
];

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    fuse_from(OPSET, edit, PASS.name, &["Reshape"], find)
}

fn find(model: &Model, last: NodeId) -> Found {
    let transpose = producer_of(model, last, 0, &["Transpose"])?;
    let split = producer_of(model, transpose, 0, &["Reshape"])?;
    let form = FORMS.iter().find(|f| model.node(transpose).ints("perm") == Some(&f.perm[..]))?;
    let x = model.node(split).input(0)?;
    let ty = model.tensor_type(x);
    let before = ty.shape.filter(|s| s.len() == 4 && ty.dtype == Some(DType::F32))?;
    let between = sizes(model, split, 6)?;
    let after = sizes(model, last, 4)?;
    let b = between[form.blocks[0]].as_ref()?.known().filter(|b| *b >= 2)?;
    if between[form.blocks[1]].as_ref()?.known() != Some(b) {
        return None;
    }
    // Of the sides with b² in the channels and with b in height and width, which is x and which y.
    let opens = form.op_type == "DepthToSpace";
    let inner = |i: usize| between[form.sizes[i]].clone();
    let (deep, wide): (Vec<_>, Vec<_>) = (0..4)
        .map(|i| {
            let times = |factor: i64| inner(i).map(|d| times(&d, factor));
            match i {
                0 => (inner(i), inner(i)),
                1 => (times(b.checked_mul(b).unwrap_or(0)), inner(i)),
                _ => (inner(i), times(b)),
            }
        })
        .unzip();
    let (from, to) = if opens { (deep, wide) } else { (wide, deep) };
    let before: Vec<_> = before.into_iter().map(Some).collect();
    if !agree(&from, &before) || !agree(&to, &after) {
        return None;
    }
    let mut attrs = vec![("blocksize", Attr::Int(b))];
    attrs.extend(form.mode.map(|mode| ("mode", Attr::from(mode))));
    let inner = vec![split, transpose];
    Some(Ok(Pattern { inner, last, op_type: form.op_type, x, constants: vec![], attrs }))
}

/// The sizes that a Reshape gives; `None` is the one that the others decide.
fn sizes(model: &Model, reshape: NodeId, rank: usize) -> Option<Vec<Option<Dim>>> {
    let shape = model.tensor_type(model.node(reshape).output(0)?).shape.filter(|s| s.len() == rank)?;
    let given = model.constant_input(reshape, 1).and_then(|t| t.to_i64());
    let decided = |i: usize| given.as_ref().is_some_and(|g| g.get(i) == Some(&-1));
    Some(
        shape
            .into_iter()
            .enumerate()
            .map(|(i, d)| if decided(i) && d.known().is_none() { None } else { Some(d) })
            .collect(),
    )
}

fn times(dim: &Dim, factor: i64) -> Dim {
    dim.known().and_then(|n| n.checked_mul(factor)).map_or(Dim::Unknown, Dim::Known)
}

/// Whether all sizes are certainly the same; one that is decided by the others is.
fn agree(a: &[Option<Dim>], b: &[Option<Dim>]) -> bool {
    let pairs: Vec<_> = a.iter().zip(b).collect();
    let open = pairs.iter().filter(|(a, b)| a.is_none() || b.is_none()).count();
    open <= 1 && pairs.iter().all(|(a, b)| a.as_ref().zip(b.as_ref()).is_none_or(|(a, b)| a.same(b)))
}
