//! Weights of recurrent layers: `W [directions, gates·hidden, input]` and `R [directions, gates·hidden, hidden]`.
//!
//! ```text
//! rows        W_q int8 ─► Cast ─► Mul s ─► LSTM, GRU, RNN        s [directions, gates·hidden, 1]: one for each row of each gate and direction
//! dynamic     DynamicQuantizeLSTM(x, W_qᵀ, R_qᵀ, …, s_W, s_R)    s [directions]: products of integers, x and h quantized at every step
//! ```
//!
//! The operators take no DequantizeLinear; runtimes fold Cast and Mul of constants at load, so that rows cost no time. The dynamic form is
//! of com.microsoft, and is written where the preset measured it to be faster ([`crate::target::Preset::dynamic_lstm`]). Its weights are u8
//! around 128: where the processor has no VNNI, products of u8 and s8 saturate (11 dB where u8 gives 43). One scale a direction is 1 to 3 dB
//! less near than one a row, and up to 1.2 times as fast.
//!
//! Refuses weights that are computed, not float32, or not finite; the dynamic form also batch-first layouts.

use std::collections::BTreeMap;

use super::algorithm;
use super::options::{Format, QuantOptions};
use super::params::QType;
use super::plan::{Decision, NodePlan, QuantPlan, WeightPlan};
use super::storage::{self, Form, Stored};
use super::weights::{self, QuantizedWeight};
use super::{apply, grouped, write};
use crate::error::{Error, Result};
use crate::ir::{DType, GraphEdit, Model, Node, NodeId, Place, Tensor, ValueId};
use crate::ops;
use crate::target::Preset;

/// The inputs that hold the weights of its gates.
fn gates(node: &Node) -> Vec<usize> {
    ops::of(node).map(|op| op.quant.weights()).unwrap_or_default()
}

/// What becomes of the weights of recurrent node `id`, or why they stay float.
pub(super) fn decide(
    model: &Model,
    id: NodeId,
    (options, preset): (&QuantOptions, &Preset),
    insists: bool,
) -> Result<Decision, String> {
    let node = model.node(id);
    let mut tensors = Vec::new();
    for index in gates(node) {
        let value = node.input(index).ok_or("its weight is missing")?;
        let tensor = model.constant(value).ok_or("its weight is computed at run time")?;
        if tensor.rank() != 3 || tensor.is_empty() {
            return Err(format!("its weight has shape {:?}", tensor.shape()));
        }
        let floats = tensor.as_slice::<f32>().ok_or_else(|| match tensor.dtype() {
            DType::F16 => "its weight is float16; --format dynamic computes in float32, and takes it".to_string(),
            other => format!("its weight is {other}, not float32"),
        })?;
        if !floats.iter().all(|w| w.is_finite()) {
            return Err("its weight holds NaN or infinity".into());
        }
        tensors.push((model.name(value).to_string(), tensor));
    }
    let bytes: u64 = tensors.iter().map(|(_, t)| t.byte_len() as u64).sum();
    let alone = options.effective_format() == Format::WeightOnly;
    if bytes < options.min_bytes {
        return Err(format!("weights of {bytes} bytes, --min-bytes is {}", options.min_bytes));
    }
    if !alone && !preset.tables && !insists {
        return Err(format!("{} gains nothing from recurrent weights of 8 bits", preset.name));
    }
    let hidden = tensors[1].1.shape()[2] as u64;
    let fast = preset.dynamic_lstm.is_some_and(|least| hidden >= least);
    let dynamic = !alone && fast && node.is("LSTM") && node.int_or("layout", 0) == 0;
    let dtype = match options.weight_type() {
        _ if dynamic => QType::U8,
        narrow if !alone => narrow.wide(),
        other => other,
    };
    let plan = |(name, tensor): (String, &Tensor)| WeightPlan {
        name,
        dtype,
        axis: Some(0),
        block: None,
        channels: tensor.shape()[0] * if dynamic { 1 } else { tensor.shape()[1] },
        zero_points: !dynamic && dtype.is_asymmetric(),
        enlarged: 0,
        pairs: None,
        floats: DType::F32,
        rounded: None,
    };
    Ok(Decision::Recurrent { weights: tensors.into_iter().map(plan).collect(), dynamic })
}

/// Floats that rows stand for, by weight: one that several nodes read is stored once.
pub(super) type Rows = BTreeMap<ValueId, ValueId>;

/// Writes the weights of `node`.
pub(super) fn node(
    edit: &mut GraphEdit,
    plan: &QuantPlan,
    node: &NodePlan,
    (weights, dynamic): (&[WeightPlan], bool),
    rows: &mut Rows,
) -> Result<()> {
    if dynamic && !plan.passing {
        return lstm(edit, plan, node, weights);
    }
    for (index, w) in gates(edit.node(node.id)).into_iter().zip(weights) {
        let value = edit.node(node.id).input(index).ok_or_else(|| node.lost())?;
        let floats = match rows.get(&value) {
            Some(floats) => *floats,
            None => {
                let graph = apply::home(edit, value, node);
                let q = by_row(edit.constant(value).ok_or_else(|| node.lost())?, plan, w)?;
                // The scales have the shape to be multiplied with.
                let w = WeightPlan { axis: None, ..w.clone() };
                let floats = Stored::put(edit, graph, &w, &q, Form::Folded)?.floats(edit, Place::Start(graph), &w);
                rows.insert(value, floats);
                floats
            }
        };
        edit.set_input(node.id, index, Some(floats));
    }
    Ok(())
}

/// Integers in the shape of the weight, scales and zero points `[directions, rows, 1]`, or `[directions, 1, 1]` of the dynamic form.
fn by_row(tensor: &Tensor, plan: &QuantPlan, w: &WeightPlan) -> Result<QuantizedWeight> {
    let shape = tensor.shape().to_vec();
    let per_row = vec![w.channels.min(shape[0]), w.channels / shape[0], 1];
    let matrix = [w.channels, tensor.len() / w.channels];
    let mut q = quantized(tensor, &matrix, plan, w)?;
    if plan.passing || !storage::is_packed(&plan.options, plan.options.preset()?) {
        q = storage::wide(q);
    }
    Ok(QuantizedWeight {
        values: q.values.reshaped(shape)?,
        scale: q.scale.reshaped(per_row.clone())?,
        zero_point: q.zero_point.map(|z| z.reshaped(per_row)).transpose()?,
        scales: q.scales,
    })
}

fn quantized(tensor: &Tensor, matrix: &[usize; 2], plan: &QuantPlan, w: &WeightPlan) -> Result<QuantizedWeight> {
    let values = tensor.to_f32().ok_or_else(|| Error::internal(format!("weight \"{}\" is no longer float", w.name)))?;
    if w.is_grouped() {
        return Ok(grouped::quantize(&values, matrix, w, None, algorithm::find(&plan.options.algorithm)?));
    }
    // What all gates of a direction sum up to is no output: only the sum of a row is worth keeping.
    let rows = matrix[0] > tensor.shape()[0];
    let rule = if rows { algorithm::find(&plan.options.algorithm)? } else { algorithm::NEAREST };
    let (scales, _) = weights::scales(&values, matrix, w.axis, None);
    Ok(weights::quantize(&values, matrix, w.axis, scales, w.dtype, rule))
}

/// Makes the LSTM a DynamicQuantizeLSTM.
fn lstm(edit: &mut GraphEdit, plan: &QuantPlan, node: &NodePlan, weights: &[WeightPlan]) -> Result<()> {
    let id = node.id;
    let graph = edit.node(id).graph();
    let mut inputs: Vec<Option<ValueId>> = edit.node(id).inputs().to_vec();
    // Eight of LSTM, then the parameters.
    inputs.resize(8, None);
    for (index, w) in gates(edit.node(id)).into_iter().zip(weights) {
        let tensor = inputs[index].and_then(|v| edit.constant(v)).ok_or_else(|| node.lost())?;
        let &[directions, rows, columns] = tensor.shape() else { return Err(node.lost()) };
        let q = quantized(tensor, &[directions, rows * columns], plan, w)?;
        let levels = q.values.to_i64().ok_or_else(|| node.lost())?;
        let at = |i: usize| {
            let (d, k, r) = (i / (rows * columns), i / rows % columns, i % rows);
            levels[(d * rows + r) * columns + k] as i32
        };
        let turned: Vec<i32> = (0..levels.len()).map(at).collect();
        let turned = w.dtype.tensor(&[directions, columns, rows], &turned);
        let zero = q.zero_point.ok_or_else(|| node.lost())?;
        let name = &w.name;
        inputs[index] = Some(edit.add_initializer(graph, &format!("{name}_quantized"), turned));
        inputs.push(Some(edit.add_initializer(graph, &format!("{name}_scale"), q.scale)));
        inputs.push(Some(edit.add_initializer(graph, &format!("{name}_zero_point"), zero)));
    }
    write::make_microsoft(edit, id, "DynamicQuantizeLSTM");
    edit.remove_attr(id, "layout");
    edit.set_inputs(id, &inputs);
    Ok(())
}
