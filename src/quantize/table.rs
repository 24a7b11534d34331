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

use super::n_bits::Packed;
use super::params::storable;
use super::plan::{NodePlan, QuantPlan, WeightPlan};
use super::tied::Twins;
use super::weights::QuantizedWeight;
use super::{QType, algorithm, apply, grouped, weights, write};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NewNode, NodeId, Place, Tensor, ValueId};

/// Bytes of a table that are looked at together.
const STRIP: usize = 4 << 20;

/// The tables of a plan.
pub(super) struct Tables<'a> {
    plan: &'a QuantPlan,
    pub twins: Twins<'a>,
    /// Integers, scales and zero points, if any, by table: one that several nodes read is stored once.
    stored: BTreeMap<ValueId, Vec<ValueId>>,
}

impl<'a> Tables<'a> {
    pub fn of(model: &Model, plan: &'a QuantPlan) -> Self {
        Tables { plan, twins: Twins::of(model, plan), stored: BTreeMap::new() }
    }

    /// Stores the table of `node` as these integers, in such blocks if any.
    pub fn write(&mut self, edit: &mut GraphEdit, node: &NodePlan, how: (QType, Option<usize>)) -> Result<()> {
        if let (dtype, Some(size)) = how {
            return self.in_blocks(edit, node, (dtype, size));
        }
        let lost = || node.lost();
        let id = node.id;
        let table = edit.node(id).input(0).ok_or_else(lost)?;
        let rank = edit.constant(table).ok_or_else(lost)?.rank();
        let by_row = edit.node(id).int_or("axis", 0) == 0 && rank > 1;
        let y = edit.detach_output(id, 0).ok_or_else(lost)?;
        let ints = edit.new_value_like(&format!("{}_quantized", edit.name(y)));
        edit.attach_output(id, 0, ints);
        if by_row {
            let [values, scales] = self.rows(edit, node, table)?;
            edit.set_input(id, 0, Some(values));
            floats(edit, id, scales, (ints, y));
            return Ok(());
        }
        let (graph, name) = (apply::home(edit, table, node), edit.name(table).to_string());
        let q = quantized(edit.constant(table).ok_or_else(lost)?, None).ok_or_else(lost)?;
        let values = edit.add_initializer(graph, &format!("{name}_quantized"), q.values);
        let scale = edit.add_initializer(graph, &format!("{name}_scale"), q.scale);
        let zero = q.zero_point.map(|z| edit.add_initializer(graph, &format!("{name}_zero_point"), z));
        edit.set_input(id, 0, Some(values));
        let dq = NewNode::new("DequantizeLinear").name(format!("{}_DequantizeLinear", edit.name(y)));
        edit.insert(Place::After(id), dq.inputs([Some(ints), Some(scale), zero]).output_into(y));
        Ok(())
    }

    /// Integers and scales of rows.
    fn rows(&mut self, edit: &mut GraphEdit, node: &NodePlan, table: ValueId) -> Result<[ValueId; 2]> {
        if let Some([values, scales]) = self.stored.get(&table).map(Vec::as_slice) {
            return Ok([*values, *scales]);
        }
        let lost = || node.lost();
        let tied = self.twins.by_row(edit, self.plan, node.id)?;
        let tensor = edit.constant(table).ok_or_else(lost)?;
        let (values, scales) = match tied {
            Some(both) => both,
            None => by_rows(tensor)?.ok_or_else(lost)?,
        };
        let mut per_row = vec![1; tensor.rank()];
        per_row[0] = scales.len();
        let scales = Tensor::from_vec(per_row, scales).as_floats(tensor.dtype()).ok_or_else(lost)?;
        let (graph, name) = (apply::home(edit, table, node), edit.name(table).to_string());
        let values = edit.add_initializer(graph, &format!("{name}_quantized"), values);
        let scales = edit.add_initializer(graph, &format!("{name}_scale"), scales);
        self.stored.insert(table, vec![values, scales]);
        Ok([values, scales])
    }

    /// The last axis of a table of two in blocks of `size`.
    fn in_blocks(&mut self, edit: &mut GraphEdit, node: &NodePlan, (dtype, size): (QType, usize)) -> Result<()> {
        let lost = || node.lost();
        let id = node.id;
        let table = edit.node(id).input(0).ok_or_else(lost)?;
        let indices = edit.node(id).input(1).ok_or_else(lost)?;
        if !self.stored.contains_key(&table) {
            let tied = self.twins.in_blocks(edit, self.plan, id)?;
            let tensor = edit.constant(table).ok_or_else(lost)?;
            let packed = match tied {
                Some(packed) => packed,
                None => blocks(tensor, (dtype, size))?.ok_or_else(lost)?,
            };
            let per_row = tensor.shape()[1].div_ceil(size);
            let scales = Tensor::from_vec([tensor.shape()[0], per_row], packed.scales);
            let scales = scales.as_floats(tensor.dtype()).ok_or_else(lost)?;
            let (graph, name) = (apply::home(edit, table, node), edit.name(table).to_string());
            let parts = [("quantized", Some(packed.levels)), ("scale", Some(scales)), ("zero_point", packed.zeros)];
            let parts = parts.into_iter().filter_map(|(what, tensor)| Some((what, tensor?)));
            let made = parts.map(|(what, tensor)| edit.add_initializer(graph, &format!("{name}_{what}"), tensor));
            let made: Vec<ValueId> = made.collect();
            self.stored.insert(table, made);
        }
        let parts = self.stored.get(&table).ok_or_else(lost)?;
        let inputs = [parts[0], indices].into_iter().chain(parts[1..].iter().copied()).map(Some);
        let inputs: Vec<Option<ValueId>> = inputs.collect();
        write::make_microsoft(edit, id, "GatherBlockQuantized");
        edit.set_inputs(id, &inputs);
        edit.remove_attr(id, "axis");
        for (attribute, value) in [("gather_axis", 0), ("quantize_axis", 1), ("block_size", size as i64), ("bits", 4)] {
            edit.set_attr(id, attribute, value);
        }
        Ok(())
    }
}

/// The rows of a table, with a scale for each; `None` where it holds no numbers.
fn by_rows(table: &Tensor) -> Result<Option<(Tensor, Vec<f32>)>> {
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for strip in strips(table) {
        let Some(q) = quantized(&strip?, Some(0)) else { return Ok(None) };
        bytes.extend_from_slice(q.values.bytes());
        scales.extend(q.scales);
    }
    Ok(Some((Tensor::from_bytes(DType::I8, table.shape(), bytes)?, scales)))
}

/// A table of two axes in 4 bits, 8 standing for zero: the form that all who have this operator read.
fn blocks(table: &Tensor, (dtype, size): (QType, usize)) -> Result<Option<Packed>> {
    let plan = WeightPlan::blocks("", (dtype, table.dtype()), 1, size);
    let (mut bytes, mut scales) = (Vec::new(), Vec::new());
    for strip in strips(table) {
        let strip = strip?;
        let Some(values) = strip.to_f32() else { return Ok(None) };
        let q = grouped::quantize(&values, strip.shape(), &plan, None, algorithm::SUM_PRESERVING);
        bytes.extend_from_slice(q.values.bytes());
        scales.extend(q.scales);
    }
    // A byte holds two.
    let levels = Tensor::from_bytes(DType::U8, [table.shape()[0], table.shape()[1] / 2], bytes)?;
    Ok(Some(Packed { levels, scales, zeros: None }))
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
