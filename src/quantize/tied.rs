//! Tied weights: a table that is looked up, and is a weight, too, once it is transposed. Language models read their words and tell the
//! next one by the same numbers.
//!
//! ```text
//! W ─► Gather ─► …      Wᵀ ─► MatMul ─► …                            two constants, after untie-weights
//!
//! W_q ─┬─► Gather ─► …                                               8 bits: the integers of the product, by rows
//!      └─► Transpose ─► [the product's form] ─► …
//!
//! Wᵀ_q ─┬─► MatMulNBits ─► …                                         4 bits: both operators hold them in the same order
//!       └─► Reshape ─► GatherBlockQuantized ─► …
//! ```
//!
//! Both become integers, and are stored once, or neither does: an integer copy beside the floats would only take room. Where they share
//! scales otherwise, both are stored.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::apply::quantized_weight;
use super::integer::transposed;
use super::n_bits;
use super::operands::contraction;
use super::plan::{Decision, NodePlan, QuantPlan, WeightPlan};
use super::write::made;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NewNode, NodeId, Place, Tensor, ValueId};
use crate::ops::{self, QuantRule};

/// Rows that are compared together.
const TOGETHER: usize = 64;

/// A table and the weight that is the same, transposed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tied {
    pub gather: NodeId,
    pub product: NodeId,
    table: ValueId,
    weight: ValueId,
}

/// Those of `model`, one for each node that looks up.
pub(super) fn all(model: &Model) -> Vec<Tied> {
    let nodes = model.all_nodes();
    let looked_up = |id: &NodeId| {
        let QuantRule::Table { table } = ops::of(model.node(*id))?.quant else { return None };
        let rows = model.node(*id).int_or("axis", 0) == 0;
        Some((*id, model.node(*id).input(table).filter(|_| rows)?))
    };
    let tables: Vec<(NodeId, ValueId)> = nodes.iter().filter_map(looked_up).collect();
    let matrix = |v: ValueId| model.constant(v).filter(|t| t.rank() == 2 && !t.is_empty());
    let twin = |(gather, table): (NodeId, ValueId)| {
        let rows = matrix(table)?;
        let product = |id: &NodeId| {
            let c = contraction(model, *id).ok().filter(|c| c.axis == 1 && is_transposed(rows, c.tensor))?;
            Some(Tied { gather, product: *id, table, weight: c.weight })
        };
        nodes.iter().find_map(product)
    };
    tables.into_iter().filter_map(twin).collect()
}

fn is_transposed(a: &Tensor, b: &Tensor) -> bool {
    let (&[rows, columns], &[r, c]) = (a.shape(), b.shape()) else { return false };
    let width = a.dtype().bits() / 8;
    if (rows, columns, a.dtype()) != (c, r, b.dtype()) || width == 0 {
        return false;
    }
    let (a, b) = (a.bytes(), b.bytes());
    // Some rows at a time, of which one column after the other is near in both.
    let same = |first: usize| {
        (0..columns).all(|k| {
            (first..(first + TOGETHER).min(rows)).all(|row| {
                let (i, j) = ((row * columns + k) * width, (k * rows + row) * width);
                a[i..i + width] == b[j..j + width]
            })
        })
    };
    (0..rows).into_par_iter().step_by(TOGETHER).all(same)
}

/// Keeps the tables whose other half stays float.
pub(super) fn leave(model: &Model, nodes: &mut [NodePlan]) {
    if !nodes.iter().any(|n| matches!(n.decision, Decision::Table { .. })) {
        return;
    }
    let integers = |id: NodeId, nodes: &[NodePlan]| {
        nodes.iter().any(|n| n.id == id && matches!(n.decision, Decision::Quantize { .. }))
    };
    for tied in all(model) {
        let float = !integers(tied.product, nodes);
        let table = nodes.iter_mut().find(|n| n.id == tied.gather && matches!(n.decision, Decision::Table { .. }));
        if let Some(table) = table.filter(|_| float) {
            let reason = format!("{} multiplies with it, too, and keeps floats", model.describe(tied.product));
            table.decision = Decision::Keep { reason };
        }
    }
}

/// What the plan makes of the weights that are tied to tables, by the node that looks up.
#[derive(Default)]
pub(super) struct Twins<'a>(BTreeMap<NodeId, Twin<'a>>);

struct Twin<'a> {
    tied: Tied,
    weight: Option<&'a WeightPlan>,
    /// The blocks of the table.
    block: Option<usize>,
}

impl<'a> Twins<'a> {
    pub fn of(model: &Model, plan: &'a QuantPlan) -> Self {
        // What only passes is not stored.
        if plan.passing {
            return Twins::default();
        }
        let decision = |id: NodeId| plan.nodes.iter().find(|n| n.id == id).map(|n| &n.decision);
        let twin = |tied: Tied| {
            let weight = match decision(tied.product) {
                Some(Decision::Quantize { weight, .. }) => Some(weight),
                _ => None,
            };
            let block = match decision(tied.gather) {
                Some(Decision::Table { block, .. }) => *block,
                _ => None,
            };
            (tied.gather, Twin { tied, weight, block })
        };
        Twins(all(model).into_iter().map(twin).collect())
    }

    /// Whether a product holds its weight in the order of a table's blocks.
    pub fn in_one_order(&self, model: &Model, product: NodeId) -> bool {
        self.0.values().any(|twin| {
            let of = |w: &WeightPlan| n_bits::can_take(model.node(product), 2, w.dtype);
            twin.tied.product == product && twin.blocks().is_some_and(of)
        })
    }

    /// The integers of the weight that is tied to the table of `gather`, where a row of it has one scale as the table has.
    pub fn by_row(&self, edit: &GraphEdit, plan: &QuantPlan, gather: NodeId) -> Result<Option<(Tensor, Vec<f32>)>> {
        let fits = |w: &&WeightPlan| w.axis == Some(1) && w.block.is_none() && !w.dtype.is_narrow();
        let Some(twin) = self.0.get(&gather) else { return Ok(None) };
        let Some(w) = twin.weight.filter(fits) else { return Ok(None) };
        let q = quantized_weight(edit, plan, twin.tied.weight, w, None)?;
        let plain = q.zero_point.as_ref().is_none_or(|z| z.to_f64().is_some_and(|z| z.iter().all(|z| *z == 0.0)));
        plain.then(|| Ok((transposed(&q.values)?, q.scales))).transpose()
    }

    /// The same in blocks along a row.
    pub fn in_blocks(&self, edit: &GraphEdit, plan: &QuantPlan, gather: NodeId) -> Result<Option<n_bits::Packed>> {
        let Some(twin) = self.0.get(&gather) else { return Ok(None) };
        let Some(w) = twin.blocks() else { return Ok(None) };
        n_bits::Packed::of(&quantized_weight(edit, plan, twin.tied.weight, w, None)?, w).map(Some)
    }

    /// Stores once what is there twice: floats that both still are, and integers among the initializers from number `first` on.
    pub fn store_once(&self, edit: &mut GraphEdit, first: usize) {
        for Twin { tied, weight, .. } in self.0.values() {
            let added: Vec<ValueId> = edit.graph(edit.main()).initializers().iter().skip(first).copied().collect();
            let Some(table) = edit.node(tied.gather).input(0) else { continue };
            if weight.is_none() && table == tied.table {
                turn(edit, table, tied.weight);
                continue;
            }
            let other = |edit: &GraphEdit, v: ValueId, same: &dyn Fn(&Tensor, &Tensor) -> bool| {
                let own = edit.constant(v)?;
                added.iter().copied().find(|o| *o != v && edit.constant(*o).is_some_and(|t| same(own, t)))
            };
            if let Some(weight) = other(edit, table, &is_transposed) {
                turn(edit, table, weight);
                continue;
            }
            let bytes =
                |a: &Tensor, b: &Tensor| a.dtype() == b.dtype() && a.shape() != b.shape() && a.bytes() == b.bytes();
            for (input, v) in edit.node(tied.gather).inputs().to_vec().into_iter().enumerate() {
                let Some((v, kept)) = v.and_then(|v| Some((v, other(edit, v, &bytes)?))) else { continue };
                let shape = edit.tensor_type(v).known_shape().unwrap_or_default();
                let reshaped = reshaped(edit, kept, (v, &shape), tied.gather);
                edit.set_input(tied.gather, input, Some(reshaped));
            }
        }
    }
}

impl<'a> Twin<'a> {
    /// The plan of the weight, where its blocks are those of the table.
    fn blocks(&self) -> Option<&'a WeightPlan> {
        self.weight.filter(|w| w.axis == Some(0) && w.block.is_some() && w.block == self.block && w.dtype.bits() == 4)
    }
}

/// Makes `weight` of the constant `table`.
fn turn(edit: &mut GraphEdit, table: ValueId, weight: ValueId) {
    let Some(home) = edit.home(weight).filter(|_| !edit.uses(weight).is_empty()) else { return };
    let name = edit.name(weight).to_string();
    let ty = edit.tensor_type(weight);
    let node = NewNode::new("Transpose").name(format!("{name}_Transpose")).input(table).attr("perm", vec![1i64, 0]);
    let turned = made(edit, Place::Start(home), node.output(format!("{name}_transposed"), Some(ty)));
    edit.replace_node_uses(weight, turned);
}

/// `kept` in the shape of `v`, for `reader`.
fn reshaped(edit: &mut GraphEdit, kept: ValueId, (v, shape): (ValueId, &[usize]), reader: NodeId) -> ValueId {
    let name = edit.name(v).to_string();
    let graph = edit.node(reader).graph();
    let sizes: Vec<i64> = shape.iter().map(|d| *d as i64).collect();
    let sizes = edit.add_initializer(graph, &format!("{name}_shape"), Tensor::from_vec([sizes.len()], sizes));
    let node = NewNode::new("Reshape").name(format!("{name}_Reshape")).input(kept).input(sizes);
    let ty = edit.tensor_type(v);
    made(edit, Place::Before(reader), node.output(format!("{name}_reshaped"), Some(ty)))
}
