//! Operators computed on constants, one file a family.
//!
//! A rule answers `None` for what it does not compute: other dtypes, wrong shapes, overflow, division by
//! zero. Float32 and float64 are computed in their own precision, as runtimes do; halves are left alone.

pub(super) mod arithmetic;
pub(super) mod function;
pub(super) mod layout;
pub(super) mod logic;
pub(super) mod make;
pub(super) mod norm;
pub(super) mod place;
pub(super) mod product;
pub(super) mod reduce;
pub(super) mod resize;

use crate::ir::tensor::element_count;
use crate::ir::{DType, Node, Tensor};

/// Inputs of a node; `None` stands for one left out.
type Inputs<'a> = [Option<&'a Tensor>];

/// Outputs of a node with these inputs.
pub type Fold = fn(&Node, &Inputs) -> Option<Vec<Tensor>>;

/// Elements that a rule makes at most, where its output may be larger than its inputs.
const MAX_ELEMENTS: usize = 1 << 18;

fn input<'a>(inputs: &[Option<&'a Tensor>], index: usize) -> Option<&'a Tensor> {
    inputs.get(index).copied().flatten()
}

/// Integers that are an attribute in old opsets and an input in new ones; the inner `None`: not given.
fn ints_of(node: &Node, inputs: &[Option<&Tensor>], attr: &str, index: usize) -> Option<Option<Vec<i64>>> {
    match (node.ints(attr), input(inputs, index)) {
        (Some(ints), _) => Some(Some(ints.to_vec())),
        (None, Some(tensor)) => Some(Some(tensor.to_i64()?)),
        (None, None) => Some(None),
    }
}

/// Integers or booleans stored as `dtype`; `None` where one does not fit.
pub(crate) fn from_i64(dtype: DType, shape: &[usize], values: Vec<i64>) -> Option<Tensor> {
    fn cast<T: TryFrom<i64> + crate::ir::Element + Send + 'static>(shape: &[usize], values: &[i64]) -> Option<Tensor> {
        let values = values.iter().map(|v| T::try_from(*v).ok()).collect::<Option<Vec<T>>>()?;
        (element_count(shape) == Some(values.len())).then(|| Tensor::from_vec(shape, values))
    }
    match dtype {
        DType::I64 => cast::<i64>(shape, &values),
        DType::I32 => cast::<i32>(shape, &values),
        DType::I16 => cast::<i16>(shape, &values),
        DType::I8 => cast::<i8>(shape, &values),
        DType::U32 => cast::<u32>(shape, &values),
        DType::U16 => cast::<u16>(shape, &values),
        DType::U8 => cast::<u8>(shape, &values),
        DType::Bool => {
            let bytes: Vec<u8> = values.iter().map(|v| u8::from(*v != 0)).collect();
            Tensor::from_bytes(DType::Bool, shape, bytes).ok()
        }
        _ => None,
    }
}

/// Sizes from a shape tensor; `None` for negative ones and for tensors beyond [`MAX_ELEMENTS`].
fn sizes(values: &[i64]) -> Option<Vec<usize>> {
    let shape = values.iter().map(|n| usize::try_from(*n).ok()).collect::<Option<Vec<_>>>()?;
    element_count(&shape).filter(|n| *n <= MAX_ELEMENTS)?;
    Some(shape)
}

/// The shape of all shapes broadcast together, and for each its strides in that shape.
fn broadcast(shapes: &[&[usize]]) -> Option<(Vec<usize>, Vec<Vec<i64>>)> {
    let rank = shapes.iter().map(|s| s.len()).max()?;
    let mut out = vec![1; rank];
    for shape in shapes {
        for (o, n) in out.iter_mut().rev().zip(shape.iter().rev()) {
            match (*o, *n) {
                (o, n) if o == n || n == 1 => {}
                (1, n) => *o = n,
                _ => return None,
            }
        }
    }
    let strides = shapes.iter().map(|shape| {
        let own = strides(shape);
        let mut all = vec![0; rank - shape.len()];
        all.extend(shape.iter().zip(own).map(|(n, s)| if *n == 1 { 0 } else { s }));
        all
    });
    let strides = strides.collect();
    Some((out, strides))
}

/// Row-major strides, in elements.
fn strides(shape: &[usize]) -> Vec<i64> {
    let mut strides = vec![1i64; shape.len()];
    for i in (1..shape.len()).rev() {
        strides[i - 1] = strides[i].wrapping_mul(shape[i] as i64);
    }
    strides
}

/// The source index of each element of a strided view.
fn view(shape: &[usize], strides: &[i64], offset: i64) -> Vec<usize> {
    let count = element_count(shape).unwrap_or(0);
    let (mut index, mut at) = (vec![0usize; shape.len()], offset);
    let mut found = Vec::with_capacity(count);
    for _ in 0..count {
        found.push(at as usize);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            at += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            at -= strides[axis] * shape[axis] as i64;
            index[axis] = 0;
        }
    }
    found
}

/// Bytes of an element; `None` for types below a byte and for strings.
fn width(tensor: &Tensor) -> Option<usize> {
    let bits = tensor.dtype().bits();
    (tensor.strings().is_none() && bits > 0 && bits.is_multiple_of(8)).then_some(bits / 8)
}

/// The elements at `indices`, in that order; `None` for types below a byte and indices out of range.
fn pick(tensor: &Tensor, shape: &[usize], indices: &[usize]) -> Option<Tensor> {
    if let Some(strings) = tensor.strings() {
        let picked = indices.iter().map(|i| strings.get(*i).cloned()).collect::<Option<Vec<_>>>()?;
        return Tensor::from_strings(shape, picked).ok();
    }
    let (width, bytes) = (width(tensor)?, tensor.bytes());
    let mut picked = Vec::with_capacity(indices.len().checked_mul(width)?);
    for i in indices {
        let at = i.checked_mul(width)?;
        picked.extend_from_slice(bytes.get(at..at.checked_add(width)?)?);
    }
    Tensor::from_bytes(tensor.dtype(), shape, picked).ok()
}
