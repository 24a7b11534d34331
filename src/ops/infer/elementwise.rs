//! Operators whose output is shaped like an input, or like all of them broadcast.

use super::{Context, broadcast, one};
use crate::ir::{DType, Shape, TensorType};

/// The output is of the first input's type.
pub fn same(c: &Context) -> Option<Vec<TensorType>> {
    Some(vec![c.types.first()?.clone()])
}

fn joint_shape(c: &Context, first: usize) -> Option<Shape> {
    // Below 7 the first input alone decides.
    if c.model.onnx_opset() < 7 {
        return Some(c.shape(first)?.to_vec());
    }
    (first + 1..c.types.len()).try_fold(c.shape(first)?.to_vec(), |shape, i| Some(broadcast(&shape, c.shape(i)?)))
}

/// The shape of the first input, in float32 whatever numbers that holds.
pub fn single(c: &Context) -> Option<Vec<TensorType>> {
    Some(vec![TensorType { dtype: Some(DType::F32), shape: c.types.first()?.shape.clone() }])
}

/// Arithmetic with broadcasting.
pub fn joint(c: &Context) -> Option<Vec<TensorType>> {
    one(c.dtype(0), joint_shape(c, 0))
}

/// Comparison and logic: as [`joint`], of booleans.
pub fn decides(c: &Context) -> Option<Vec<TensorType>> {
    one(Some(DType::Bool), joint_shape(c, 0))
}

/// A choice: condition, then the two that are chosen from.
pub fn chooses(c: &Context) -> Option<Vec<TensorType>> {
    one(c.dtype(1).or(c.dtype(2)), joint_shape(c, 0))
}

/// The dtype of attribute `to` in the first input's shape.
pub fn cast(c: &Context) -> Option<Vec<TensorType>> {
    let to = c.node.int("to").and_then(dtype_of);
    one(to, c.shape(0).map(<[_]>::to_vec))
}

fn dtype_of(code: i64) -> Option<DType> {
    DType::from_code(i32::try_from(code).ok()?)
}

/// The dtype of the second input in the first one's shape.
pub fn like_second(c: &Context) -> Option<Vec<TensorType>> {
    one(c.dtype(1), c.shape(0).map(<[_]>::to_vec))
}

/// The scale decides the dtype unless attribute `output_dtype` does.
pub fn dequantize(c: &Context) -> Option<Vec<TensorType>> {
    let dtype = match c.node.int_or("output_dtype", 0) {
        0 => c.dtype(1),
        code => dtype_of(code),
    };
    one(dtype, c.shape(0).map(<[_]>::to_vec))
}

/// Values, scale, zero point.
pub fn dynamic_quantize(c: &Context) -> Option<Vec<TensorType>> {
    let values = TensorType { dtype: Some(DType::U8), shape: c.shape(0).map(<[_]>::to_vec) };
    let scalar = |dtype| TensorType { dtype: Some(dtype), shape: Some(Vec::new()) };
    Some(vec![values, scalar(DType::F32), scalar(DType::U8)])
}

/// The zero point decides the dtype; without one, attribute `output_dtype` or uint8.
pub fn quantize(c: &Context) -> Option<Vec<TensorType>> {
    let dtype = match (c.has(2), c.node.int_or("output_dtype", 0)) {
        (true, _) => c.dtype(2),
        (false, 0) => Some(DType::U8),
        (false, code) => dtype_of(code),
    };
    one(dtype, c.shape(0).map(<[_]>::to_vec))
}
