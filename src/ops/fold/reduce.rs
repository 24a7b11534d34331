//! Reductions over axes.

use super::{Inputs, input, ints_of, strides, view};
use crate::ir::shape::axis_of;
use crate::ir::tensor::element_count;
use crate::ir::{DType, Node, Tensor};
use crate::ops::from_i64;

/// `None` where it overflows.
type OfIntegers = fn(&[i64]) -> Option<i64>;

/// What a reduction makes of the numbers that meet in one place.
struct Rule {
    float: fn(&[f64]) -> f64,
    /// `None` for one that makes no integers.
    int: Option<OfIntegers>,
}

fn reduce(node: &Node, inputs: &Inputs, rule: &Rule) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0).filter(|x| !x.is_empty())?;
    let axes = ints_of(node, inputs, "axes", 1)?.unwrap_or_default();
    if axes.is_empty() && node.int_or("noop_with_empty_axes", 0) != 0 {
        return None;
    }
    let mut goes = vec![axes.is_empty(); x.rank()];
    for axis in axes {
        goes[axis_of(axis, x.rank())?] = true;
    }
    let keeps = node.int_or("keepdims", 1) != 0;
    let shape = x.shape().iter().zip(&goes).filter(|(_, goes)| keeps || !**goes);
    let shape: Vec<usize> = shape.map(|(n, goes)| if *goes { 1 } else { *n }).collect();
    // What stays first, what goes last.
    let own = strides(x.shape());
    let order: Vec<usize> = [false, true].iter().flat_map(|last| (0..x.rank()).filter(|i| goes[*i] == *last)).collect();
    let sizes: Vec<usize> = order.iter().map(|i| x.shape()[*i]).collect();
    let steps: Vec<i64> = order.iter().map(|i| own[*i]).collect();
    let places = view(&sizes, &steps, 0);
    let each = places.len() / element_count(&shape)?.max(1);
    let chunks = places.chunks(each.max(1));
    Some(vec![match x.dtype() {
        DType::F32 => {
            let values = x.as_slice::<f32>()?;
            let of =
                |chunk: &[usize]| (rule.float)(&chunk.iter().map(|i| f64::from(values[*i])).collect::<Vec<_>>()) as f32;
            Tensor::from_vec(shape, chunks.map(of).collect::<Vec<_>>())
        }
        DType::F64 => {
            let values = x.as_slice::<f64>()?;
            let of = |chunk: &[usize]| (rule.float)(&chunk.iter().map(|i| values[*i]).collect::<Vec<_>>());
            Tensor::from_vec(shape, chunks.map(of).collect::<Vec<_>>())
        }
        DType::U64 | DType::Bool => return None,
        dtype => {
            let (values, int) = (x.to_i64()?, rule.int?);
            let of = |chunk: &[usize]| int(&chunk.iter().map(|i| values[*i]).collect::<Vec<_>>());
            from_i64(dtype, &shape, chunks.map(of).collect::<Option<_>>()?)?
        }
    }])
}

/// A number that is not one is the extreme of any.
fn extreme(values: &[f64], farther: fn(f64, f64) -> bool) -> f64 {
    values.iter().copied().fold(values[0], |m, v| if v.is_nan() || farther(v, m) { v } else { m })
}

macro_rules! reductions {
    ($($name:ident: $float:expr, $int:expr;)*) => {
        $(pub fn $name(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
            reduce(node, inputs, &Rule { float: $float, int: $int })
        })*
    };
}

reductions! {
    max: |v| extreme(v, |a, b| a > b), Some(|v| v.iter().copied().max());
    min: |v| extreme(v, |a, b| a < b), Some(|v| v.iter().copied().min());
    sum: |v| v.iter().sum(), Some(|v| v.iter().try_fold(0i64, |sum, v| sum.checked_add(*v)));
    prod: |v| v.iter().product(), Some(|v| v.iter().try_fold(1i64, |product, v| product.checked_mul(*v)));
    mean: |v| v.iter().sum::<f64>() / v.len() as f64, None;
    l1: |v| v.iter().map(|v| v.abs()).sum(), None;
    l2: |v| v.iter().map(|v| v * v).sum::<f64>().sqrt(), None;
    sum_square: |v| v.iter().map(|v| v * v).sum(), None;
    log_sum: |v| v.iter().sum::<f64>().ln(), None;
    log_sum_exp: |v| {
        let most = extreme(v, |a, b| a > b);
        most + v.iter().map(|v| (v - most).exp()).sum::<f64>().ln()
    }, None;
}

/// Sums up to each element along an axis.
pub fn cumulated(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let x = input(inputs, 0).filter(|x| !x.is_empty())?;
    let axis = axis_of(*input(inputs, 1)?.to_i64()?.first()?, x.rank())?;
    let inner = element_count(&x.shape()[axis + 1..])?;
    let along = Along {
        length: x.shape()[axis],
        inner,
        exclusive: node.int_or("exclusive", 0) != 0,
        reverse: node.int_or("reverse", 0) != 0,
    };
    Some(vec![match x.dtype() {
        DType::F32 => {
            let values: Vec<f64> = x.as_slice::<f32>()?.iter().map(|v| f64::from(*v)).collect();
            let sums = along.sums(&values, |a, b| Some(a + b))?;
            Tensor::from_vec(x.shape(), sums.into_iter().map(|v| v as f32).collect::<Vec<_>>())
        }
        DType::F64 | DType::U64 | DType::Bool => return None,
        dtype => from_i64(dtype, x.shape(), along.sums(&x.to_i64()?, i64::checked_add)?)?,
    }])
}

/// How numbers are added up along an axis.
struct Along {
    length: usize,
    /// How far neighbours lie apart.
    inner: usize,
    /// Without the element itself.
    exclusive: bool,
    reverse: bool,
}

impl Along {
    fn sums<T: Copy + Default>(&self, values: &[T], add: fn(T, T) -> Option<T>) -> Option<Vec<T>> {
        let mut sums = values.to_vec();
        for i in 0..values.len() / self.length {
            let start = i / self.inner * self.length * self.inner + i % self.inner;
            let mut sum = T::default();
            for k in 0..self.length {
                let k = if self.reverse { self.length - 1 - k } else { k };
                let at = start + k * self.inner;
                let next = add(sum, values[at])?;
                sums[at] = if self.exclusive { sum } else { next };
                sum = next;
            }
        }
        Some(sums)
    }
}
