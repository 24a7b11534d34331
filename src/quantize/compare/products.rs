//! Products that read the same activation: rows of it, its products, and factors of its channels moved into the weights.
//!
//! ```text
//! y = x·W = (x/s)·(s·W)
//!
//! LayerNormalization(γ, β) ─► x ─► MatMul(W)        LayerNormalization(γ/s, β/s) ─► MatMul(s·W)        where nothing else reads x
//!                             x ─► MatMul(W)        x ─► Mul(1/s) ─► MatMul(s·W)                       else
//! ```

use std::borrow::Cow;
use std::collections::BTreeSet;

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

use super::pieces::Original;
use super::{Alike, Layer, contractions};
use crate::data::{Dataset, Split};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NewNode, Place, Tensor, ValueId};
use crate::progress::Progress;
use crate::quantize::plan::QuantPlan;
use crate::quantize::rescale::Stream;
use crate::quantize::write::made;
use crate::runtime::Runtime;
use crate::second_order::Contraction;

/// Rows of an activation whose products are compared, and batches that they come from.
const ROWS: usize = 512;
pub(super) const BATCHES: usize = 32;

/// The products of `plan`, those that read the same activation together.
pub(super) fn groups_of<'a>(model: &Model, plan: &'a QuantPlan) -> Vec<Alike<'a>> {
    let products = |c: &Contraction| c.is_product() && model.constant(c.input).is_none();
    contractions(model, plan).into_iter().filter(|alike| products(&alike[0].contraction)).collect()
}

/// Of the rows that are looked at.
pub(super) fn bytes(group: &Alike) -> usize {
    ROWS * group[0].contraction.depth * size_of::<f32>()
}

/// Of an activation.
pub(super) struct Seen {
    /// Some rows of the batches that judge, with that of the largest value of every batch among them.
    pub rows: Vec<f32>,
    /// The largest magnitude of each channel in the batches that are fitted to.
    pub fitted: Vec<f32>,
    /// The same in all batches.
    pub largest: Vec<f32>,
}

impl Seen {
    fn new(depth: usize) -> Self {
        Seen { rows: Vec::new(), fitted: vec![0.0; depth], largest: vec![0.0; depth] }
    }

    /// Takes in a batch that is fitted to, or of which so many rows judge.
    fn add(&mut self, c: &Contraction, x: &Tensor, (is_fitted, judging): (bool, Option<usize>)) {
        let Some(values) = x.to_f32() else { return };
        let mut extreme = (0f32, 0);
        for (i, row) in values.chunks_exact(c.depth).enumerate() {
            for (k, v) in row.iter().enumerate() {
                self.largest[k] = self.largest[k].max(v.abs());
                if is_fitted {
                    self.fitted[k] = self.fitted[k].max(v.abs());
                }
                if v.abs() > extreme.0 {
                    extreme = (v.abs(), i);
                }
            }
        }
        let Some((rows, _)) = judging.and_then(|most| c.rows(x, most)) else { return };
        self.rows.extend(rows);
        // Of no rows none is the largest.
        self.rows.extend(values.chunks_exact(c.depth).nth(extreme.1).unwrap_or_default());
    }
}

/// What is seen of each group's activation.
pub(super) fn sample(
    model: &Model,
    run: &[Alike],
    split: &Split,
    (dataset, runtime): (&Dataset, &dyn Runtime),
    (what, progress): (&str, &dyn Progress),
) -> Result<Vec<Seen>> {
    let names: Vec<String> = run.iter().map(|g| model.name(g[0].contraction.input).to_string()).collect();
    let original = Original::new(model, &names.iter().collect::<BTreeSet<_>>());
    let session = original.session(runtime);
    let mut seen: Vec<Seen> = run.iter().map(|g| Seen::new(g[0].contraction.depth)).collect();
    let batches: BTreeSet<&usize> = split.fit.iter().chain(&split.judge).collect();
    progress.start(what, batches.len() as u64);
    for index in batches {
        let judging = split.judge.contains(index).then(|| ROWS.div_ceil(split.judge.len()));
        let floats = original.values(&session, &dataset.batch(*index)?.inputs)?;
        for ((seen, group), name) in seen.iter_mut().zip(run).zip(&names) {
            if let Some(x) = floats.get(name) {
                seen.add(&group[0].contraction, x, (split.fit.contains(index), judging));
            }
        }
        progress.step(1);
    }
    progress.finish();
    Ok(seen)
}

/// `[rows, depth] × [depth, columns]`.
pub(super) fn product(rows: &[f32], weight: &[f32], depth: usize) -> Vec<f32> {
    let (count, columns) = (rows.len() / depth, weight.len() / depth);
    let mut made = vec![0f32; count * columns];
    let [x, w] =
        [(rows, count, depth), (weight, depth, columns)].map(|(v, r, c)| MatRef::from_row_major_slice(v, r, c));
    matmul(MatMut::from_row_major_slice_mut(&mut made, count, columns), Accum::Replace, x, w, 1.0, Par::Seq);
    made
}

/// Weights of a group as one `[depth, columns]`.
pub(super) fn side_by_side(group: &[Layer], weights: &[Cow<[f32]>]) -> Vec<f32> {
    let (depth, columns) = (group[0].contraction.depth, group.iter().map(|l| l.contraction.outputs).sum::<usize>());
    let mut joined = vec![0f32; depth * columns];
    let mut from = 0;
    for (Layer { contraction: c, .. }, values) in group.iter().zip(weights) {
        for k in 0..depth {
            (0..c.outputs).for_each(|o| joined[k * columns + from + o] = values[c.element(o, k)]);
        }
        from += c.outputs;
    }
    joined
}

/// Divides the channels of the activation that `group` reads by these factors, which its weights take. Whether what makes the
/// activation took them; else a Mul does, whose output is called so.
pub(super) fn divide(edit: &mut GraphEdit, group: &Alike, factors: &[f32], called: &str) -> bool {
    let x = group[0].contraction.input;
    let own =
        |s: &Stream| s.readers.len() == group.len() && s.readers.iter().all(|r| group.iter().any(|l| l.node == r.node));
    if let Some(stream) = Stream::of(edit, x).ok().filter(|s| s.writers.len() == 1 && own(s)) {
        stream.divide(edit, factors);
        return true;
    }
    let graph = edit.node(group[0].node).graph();
    let name = format!("{}_{called}", edit.name(x));
    let inverse = Tensor::from_vec([factors.len()], factors.iter().map(|s| 1.0 / s).collect());
    // In the type of what it divides.
    let floats = edit.constant(group[0].contraction.weight).map_or(DType::F32, Tensor::dtype);
    let factor = inverse.as_floats(floats).unwrap_or(inverse);
    let factor = edit.add_initializer(graph, &format!("{name}_factor"), factor);
    let mul = NewNode::new("Mul").name(format!("{name}_Mul")).input(x).input(factor);
    let divided = made(edit, Place::Before(group[0].node), mul.output(name, None));
    for Layer { node, contraction: c, .. } in group {
        let position = |v: ValueId| edit.node(*node).inputs().iter().position(|i| *i == Some(v));
        let Some((index, weight)) = position(x).zip(position(c.weight)) else { continue };
        let Some(tensor) = edit.constant(c.weight).cloned() else { continue };
        let Some(mut values) = tensor.to_f32().map(Cow::into_owned) else { continue };
        for (k, factor) in factors.iter().enumerate() {
            (0..c.outputs).for_each(|o| values[c.element(o, k)] *= factor);
        }
        let Some(values) = Tensor::from_vec(tensor.shape(), values).as_floats(tensor.dtype()) else { continue };
        let scaled = format!("{}_{called}", edit.name(c.weight));
        let scaled = edit.add_initializer(graph, &scaled, values);
        edit.set_input(*node, weight, Some(scaled));
        edit.set_input(*node, index, Some(divided));
        // Else every session would load it too.
        edit.remove_unread_initializer(c.weight);
    }
    false
}
