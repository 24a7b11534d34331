//! Tensors made from numbers: filled, counted, cast.

use super::{Inputs, MAX_ELEMENTS, from_i64, input, sizes};
use crate::ir::{Attr, DType, Node, Tensor};

/// The one element of attribute `value` (0.0 without it) throughout.
pub fn constant_of_shape(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let shape = sizes(&input(inputs, 0)?.to_i64()?)?;
    let zero = Tensor::from_vec([1], vec![0f32]);
    let value = node.tensor("value").unwrap_or(&zero);
    let count = shape.iter().product();
    (value.len() == 1).then(|| super::pick(value, &shape, &vec![0; count]).map(|t| vec![t]))?
}

/// Integers from start up to limit, not included, by delta.
pub fn range(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let [Some(start), Some(limit), Some(delta)] = inputs else { return None };
    let (first, limit, step) = (start.scalar_i64()?, limit.scalar_i64()?, delta.scalar_i64()?);
    let span = if step > 0 { limit.checked_sub(first)? } else { first.checked_sub(limit)? };
    let width = step.checked_abs().filter(|s| *s > 0)?;
    let count = if span <= 0 { 0 } else { (span - 1) / width + 1 };
    let count = usize::try_from(count).ok().filter(|n| *n <= MAX_ELEMENTS)?;
    let values = (0..count as i64).map(|i| first + i * step).collect();
    Some(vec![from_i64(start.dtype(), &[count], values)?])
}

/// Between integers, booleans, float32 and float64, where every element is in the range of the new type.
pub fn cast(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0)?;
    let Some(Attr::Int(code)) = node.attr("to") else { return None };
    let to = DType::from_code(i32::try_from(*code).ok()?)?;
    if to == x.dtype() {
        return Some(vec![x.reshaped(x.shape()).ok()?]);
    }
    // An unsigned 64-bit number may not fit the path through int64.
    if x.dtype() == DType::U64 {
        return None;
    }
    let found = match to {
        DType::F32 if x.dtype().is_float() => {
            Tensor::from_vec(x.shape(), x.to_f64()?.into_iter().map(|v| v as f32).collect::<Vec<_>>())
        }
        DType::F32 => Tensor::from_vec(x.shape(), x.to_i64()?.into_iter().map(|v| v as f32).collect::<Vec<_>>()),
        DType::F64 => Tensor::from_vec(x.shape(), x.to_f64()?),
        DType::Bool => from_i64(to, x.shape(), x.to_f64()?.into_iter().map(|v| i64::from(v != 0.0)).collect())?,
        _ if x.dtype().is_float() => {
            // 2^63 itself is out of range.
            let whole = |v: f64| (v.abs() < 9.2e18).then_some(v as i64);
            from_i64(to, x.shape(), x.to_f64()?.into_iter().map(whole).collect::<Option<_>>()?)?
        }
        _ => from_i64(to, x.shape(), x.to_i64()?)?,
    };
    Some(vec![found])
}
