//! Tables in 8 or 4 bits: only what is read becomes floats again.
//!
//! ```text
//! Gather(table, i) ─► y        Gather(table_q, i) ─► Cast ─┐
//!                              Gather(scales, i)  ─────────┴─► Mul ─► y        rows are read, each has a scale
//!
//!                              Gather(table_q, i) ─► DequantizeLinear ─► y     read along another axis: one scale
//!
//!                              GatherBlockQuantized(table_q, i, scales) ─► y   4 bits, in blocks along a row (com.microsoft)
//! ```
//!
//! Rows of an embedding differ in size, and what a row stands for is read alone: with one scale for all, small rows lose most.

use std::collections::BTreeMap;

use super::params::storable;
use super::plan::{NodePlan, WeightPlan};
use super::weights::QuantizedWeight;
use super::{QType, algorithm, apply, grouped, weights, write};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, NewNode, NodeId, Place, Tensor, ValueId};

/// Bytes of a table that are looked at together.
const STRIP: usize = 4 << 20;

/// Rows already as integers, with their scales, by table: one that several nodes read is stored once.
pub(super) type Stored = BTreeMap<ValueId, (ValueId, ValueId)>;

/// Stores the table of `node` as these integers, in such blocks if any.
pub(super) fn node(
    edit: &mut GraphEdit,
    node: &NodePlan,
    (dtype, block): (QType, Option<usize>),
    stored: &mut Stored,
) -> Result<()> {
    if let Some(size) = block {
        return in_blocks(edit, node, (dtype, size), stored);
    }
    let lost = || node.lost();
    let id = node.id;
    let table = edit.node(id).input(0).ok_or_else(lost)?;
    let rank = edit.constant(table).ok_or_else(lost)?.rank();
    let by_row = edit.node(id).int_or("axis", 0) == 0 && rank > 1;
    let graph = apply::home(edit, table, node);
    let y = edit.detach_output(id, 0).ok_or_else(lost)?;
    let ints = edit.new_value_like(&format!("{}_quantized", edit.name(y)));
    edit.attach_output(id, 0, ints);
    let name = edit.name(table).to_string();
    if !by_row {
        let q = quantized(edit.constant(table).ok_or_else(lost)?, None).ok_or_else(lost)?;
        let values = edit.add_initializer(graph, &format!("{name}_quantized"), q.values);
        let scale = edit.add_initializer(graph, &format!("{name}_scale"), q.scale);
        let zero = q.zero_point.map(|z| edit.add_initializer(graph, &format!("{name}_zero_point"), z));
        edit.set_input(id, 0, Some(values));
        let dq = NewNode::new("DequantizeLinear").name(format!("{}_DequantizeLinear", edit.name(y)));
        edit.insert(Place::After(id), dq.inputs([Some(ints), Some(scale), zero]).output_into(y));
        return Ok(());
    }
    let (values, scales) = match stored.get(&table) {
        Some(both) => *both,
        None => {
            let tensor = edit.constant(table).ok_or_else(lost)?;
            let (mut bytes, mut scales) = (Vec::new(), Vec::<f32>::new());
            for strip in strips(tensor) {
                let q = quantized(&strip?, Some(0)).ok_or_else(lost)?;
                bytes.extend_from_slice(q.values.bytes());
                scales.extend(q.scales);
            }
            let mut per_row = vec![1; rank];
            per_row[0] = scales.len();
            let values = Tensor::from_bytes(DType::I8, tensor.shape(), bytes)?;
            let scales = Tensor::from_vec(per_row, scales).as_floats(tensor.dtype()).ok_or_else(lost)?;
            let values = edit.add_initializer(graph, &format!("{name}_quantized"), values);
            let both = (values, edit.add_initializer(graph, &format!("{name}_scale"), scales));
            stored.insert(table, both);
            both
        }
    };
    edit.set_input(id, 0, Some(values));
    floats(edit, id, scales, (ints, y));
    Ok(())
}

/// The last axis of a table of two in blocks of `size`.
fn in_blocks(edit: &mut GraphEdit, node: &NodePlan, (dtype, size): (QType, usize), stored: &mut Stored) -> Result<()> {
    let lost = || node.lost();
    let id = node.id;
    let table = edit.node(id).input(0).ok_or_else(lost)?;
    let graph = apply::home(edit, table, node);
    let name = edit.name(table).to_string();
    let (values, scales) = match stored.get(&table) {
        Some(both) => *both,
        None => {
            let tensor = edit.constant(table).ok_or_else(lost)?;
            let floats = tensor.dtype();
            let plan = WeightPlan::blocks(&name, (dtype, floats), 1, size);
            let (mut bytes, mut scales) = (Vec::new(), Vec::<f32>::new());
            for strip in strips(tensor) {
                let strip = strip?;
                let q = grouped::quantize(
                    &strip.to_f32().ok_or_else(lost)?,
                    strip.shape(),
                    &plan,
                    None,
                    algorithm::SUM_PRESERVING,
                );
                bytes.extend_from_slice(q.values.bytes());
                scales.extend(q.scale.to_f32().ok_or_else(lost)?.iter());
            }
            // Rows of bytes that hold two each, 8 standing for zero: the form that all who have this operator read.
            let [rows, columns] = [tensor.shape()[0], tensor.shape()[1]];
            let bytes = Tensor::from_bytes(DType::U8, [rows, columns / 2], bytes)?;
            let values = edit.add_initializer(graph, &format!("{name}_quantized"), bytes);
            let scales = Tensor::from_vec([rows, columns.div_ceil(size)], scales);
            let scales = scales.as_floats(floats).ok_or_else(lost)?;
            let both = (values, edit.add_initializer(graph, &format!("{name}_scale"), scales));
            stored.insert(table, both);
            both
        }
    };
    let indices = edit.node(id).input(1).ok_or_else(lost)?;
    write::make_microsoft(edit, id, "GatherBlockQuantized");
    edit.set_inputs(id, &[values, indices, scales].map(Some));
    edit.remove_attr(id, "axis");
    for (attribute, value) in [("gather_axis", 0), ("quantize_axis", 1), ("block_size", size as i64), ("bits", 4)] {
        edit.set_attr(id, attribute, value);
    }
    Ok(())
}

/// Some rows at a time: what a large table becomes on the way is never in memory as a whole.
fn strips(table: &Tensor) -> impl Iterator<Item = Result<Tensor>> {
    let rows = table.shape().first().copied().unwrap_or(0);
    let per_row = table.byte_len().checked_div(rows).unwrap_or(0);
    let most = (STRIP / per_row.max(1)).max(1);
    (0..rows).step_by(most).map(move |first| {
        let last = (first + most).min(rows);
        let bytes = table.bytes().slice(first * per_row..last * per_row);
        let mut shape = table.shape().to_vec();
        shape[0] = last - first;
        Tensor::from_bytes(table.dtype(), shape, bytes)
    })
}

/// To the nearest level: what is read is a row, not a sum over it.
fn quantized(tensor: &Tensor, axis: Option<usize>) -> Option<QuantizedWeight> {
    let values = tensor.to_f32()?;
    let (mut scales, _) = weights::scales(&values, tensor.shape(), axis, None);
    scales.iter_mut().for_each(|s| *s = storable(*s, tensor.dtype()));
    Some(weights::quantize(&values, tensor.shape(), axis, scales, QType::S8, algorithm::NEAREST))
}

/// Makes `y` of the integers of the rows that `id` reads and of their scales.
fn floats(edit: &mut GraphEdit, id: NodeId, scales: ValueId, (ints, y): (ValueId, ValueId)) {
    let name = edit.name(y).to_string();
    let indices = edit.node(id).input(1);
    let floats = edit.tensor_type(scales).dtype.unwrap_or(DType::F32);
    let cast = NewNode::cast(ints, floats).name(format!("{name}_Cast"));
    let floats = edit.insert(Place::After(id), cast.output(format!("{name}_floats"), None));
    let gather = NewNode::new("Gather").name(format!("{name}_scales")).attr("axis", 0i64);
    let gather = gather.inputs([Some(scales), indices]).output(format!("{name}_scale"), None);
    let scale = edit.insert(Place::After(floats), gather);
    let [floats, factor] = [floats, scale].map(|n| edit.node(n).output(0));
    let mul = NewNode::new("Mul").name(format!("{name}_Mul")).inputs([floats, factor]);
    edit.insert(Place::After(scale), mul.output_into(y));
}
