//! Weights and tables alone in floats of 16 or 8 bits; arithmetic stays in float32.
//!
//! ```text
//! x ─► MatMul(W) ─► y        W_f16 ─► Cast ─► MatMul              float16, bfloat16
//!                            W_f8 ─► Cast ─► Mul(s) ─► MatMul     float8, s_c = max|w_c| / largest, one per channel
//! LSTM(x, W, R) ─► y         W, R as above, float8 with one scale for each row of each gate
//! Gather(T, i) ─► y          Gather(T_f16, i) ─► Cast ─► y        only what is read is cast; no runtime gathers float8
//! ```
//!
//! Runtimes fold a Cast of constants at load: what is saved is the file, not the memory it is loaded into.

use std::collections::BTreeMap;

use half::f16;

use super::apply;
use super::options::Weights;
use super::plan::NodePlan;
use super::write::{beside, made};
use crate::error::Result;
use crate::ir::{DType, GraphEdit, NewNode, Place, Tensor, TensorType, ValueId, float8};
use crate::ops::{self, QuantRule};

/// Weights that are short already, with their scales: one that several nodes read is stored once.
pub(super) type Stored = BTreeMap<ValueId, (ValueId, Option<ValueId>)>;

/// The type, where weights are to be floats.
pub(super) fn wanted(weights: Weights) -> Option<DType> {
    match weights {
        Weights::F16 => Some(DType::F16),
        Weights::BF16 => Some(DType::BF16),
        Weights::F8E4M3 => Some(DType::F8E4M3FN),
        Weights::F8E5M2 => Some(DType::F8E5M2),
        _ => None,
    }
}

/// Why a weight cannot be of this type.
pub(super) fn refusal(tensor: &Tensor, dtype: DType) -> Option<String> {
    let most = tensor.to_f32()?.iter().fold(0f32, |m, v| m.max(v.abs()));
    let over = dtype == DType::F16 && !f16::from_f32(most).is_finite();
    over.then(|| format!("its weight reaches {most:.0}; float16 ends at 65,504"))
}

/// Stores the weights or the table of `node` so.
pub(super) fn node(edit: &mut GraphEdit, node: &NodePlan, dtype: DType, stored: &mut Stored) -> Result<()> {
    let lost = || node.lost();
    let rule = ops::of(edit.node(node.id)).map(|op| op.quant).ok_or_else(lost)?;
    rule.weights().into_iter().try_for_each(|index| operand(edit, node, (rule, index), dtype, stored).ok_or_else(lost))
}

/// Stores one of them; `None` where it is no longer there.
fn operand(
    edit: &mut GraphEdit,
    node: &NodePlan,
    (rule, index): (QuantRule, usize),
    dtype: DType,
    stored: &mut Stored,
) -> Option<()> {
    let id = node.id;
    let value = edit.node(id).input(index)?;
    let (short, scale) = match stored.get(&value) {
        Some(both) => *both,
        None => {
            let axis = rule.output_axis(edit.node(id), edit.constant(value)?.rank());
            let (tensor, scale) = shortened(edit.constant(value)?, dtype, axis)?;
            let (graph, name) = (apply::home(edit, value, node), edit.name(value).to_string());
            let short = edit.add_initializer(graph, &format!("{name}_{dtype}"), tensor);
            let scale = scale.map(|s| edit.add_initializer(graph, &format!("{name}_scale"), s));
            stored.insert(value, (short, scale));
            (short, scale)
        }
    };
    if matches!(rule, QuantRule::Table { .. }) {
        let y = edit.detach_output(id, 0)?;
        let read = edit.new_value_like(&format!("{}_{dtype}", edit.name(y)));
        edit.attach_output(id, 0, read);
        edit.set_input(id, index, Some(short));
        let cast = cast_of(edit, read).output_into(y);
        edit.insert(Place::After(id), cast);
        return Some(());
    }
    let place = beside(edit, short, id);
    let ty = TensorType { dtype: Some(DType::F32), shape: edit.tensor_type(short).shape };
    let name = edit.name(short).to_string();
    let cast = cast_of(edit, short).output(format!("{name}_floats"), Some(ty.clone()));
    let mut floats = made(edit, place, cast);
    if let Some(scale) = scale {
        let place = edit.producer(floats).map_or(place, Place::After);
        let mul = NewNode::new("Mul").name(format!("{name}_Mul")).input(floats).input(scale);
        floats = made(edit, place, mul.output(format!("{name}_scaled"), Some(ty)));
    }
    edit.set_input(id, index, Some(floats));
    Some(())
}

/// Makes float32 of a value.
fn cast_of(edit: &GraphEdit, v: ValueId) -> NewNode {
    NewNode::cast(v, DType::F32).name(format!("{}_Cast", edit.name(v)))
}

/// The tensor in this type, and its scales along `axis` where the type is so narrow that it has some.
fn shortened(t: &Tensor, dtype: DType, axis: Option<usize>) -> Option<(Tensor, Option<Tensor>)> {
    let values = t.to_f32()?;
    if let Some(halves) = Tensor::from_floats(dtype, t.shape(), values.iter().map(|v| f64::from(*v))) {
        return Some((halves, None));
    }
    let largest = float8::largest(dtype)?;
    let (channels, inner) =
        axis.map_or((1, values.len()), |a| (t.shape()[a], t.shape()[a + 1..].iter().product::<usize>()));
    let channel = |i: usize| i / inner.max(1) % channels.max(1);
    let mut scales = vec![0f32; channels];
    values.iter().enumerate().for_each(|(i, v)| scales[channel(i)] = scales[channel(i)].max(v.abs()));
    scales.iter_mut().for_each(|s| *s = Some(*s / largest).filter(|s| s.is_normal()).unwrap_or(1.0));
    let encoded = values.iter().enumerate().map(|(i, v)| float8::encode(dtype, v / scales[channel(i)]));
    let tensor = Tensor::from_bytes(dtype, t.shape(), encoded.collect::<Option<Vec<u8>>>()?).ok()?;
    let mut shape = vec![1; if axis.is_some() { t.rank() } else { 0 }];
    if let Some(a) = axis {
        shape[a] = channels;
    }
    Some((tensor, Some(Tensor::from_vec(shape, scales))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_type_errs_by_what_its_mantissa_leaves() {
        let values: Vec<f32> =
            (1..400).map(|i| (i as f32 * 0.37).sin() * if i % 2 == 0 { 30.0 } else { 0.01 }).collect();
        let t = Tensor::from_vec([399, 1], values.clone());
        for (dtype, step) in [(DType::F16, 11), (DType::BF16, 8), (DType::F8E4M3FN, 4), (DType::F8E5M2, 3)] {
            let (short, scale) = shortened(&t, dtype, Some(0)).unwrap();
            assert_eq!((short.byte_len(), scale.is_some()), (399 * dtype.bits() / 8, dtype.bits() == 8));
            let back = short.to_f32().unwrap().into_owned();
            let scale = scale.map(|s| s.to_f32().unwrap().into_owned());
            for (i, (v, b)) in values.iter().zip(&back).enumerate() {
                let b = b * scale.as_ref().map_or(1.0, |s| s[i]);
                assert!((b - v).abs() <= v.abs() * 2f32.powi(-step), "{dtype}: {v} {b}");
            }
        }
        assert!(refusal(&Tensor::from_vec([1], vec![70_000f32]), DType::F16).unwrap().contains("reaches 70000"));
        assert!(refusal(&Tensor::from_vec([1], vec![70_000f32]), DType::BF16).is_none());
    }
}
