//! Products of matrices.

use faer::linalg::matmul::matmul as multiply;
use faer::{Accum, Mat, MatRef, Par};

use super::arithmetic::add;
use super::{Inputs, MAX_ELEMENTS, broadcast, input, strides, view};
use crate::ir::tensor::element_count;
use crate::ir::{Node, Tensor};

/// `[…, M, K] × […, K, N]` of float32, the axes before broadcast.
pub fn matmul(_: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let (a, b) = (input(inputs, 0)?, input(inputs, 1)?);
    let ((before_a, [m, k]), (before_b, [depth, n])) = (a.shape().split_last_chunk()?, b.shape().split_last_chunk()?);
    if k != depth {
        return None;
    }
    let (before, _) = broadcast(&[before_a, before_b])?;
    let (x, y) = (a.as_slice::<f32>()?, b.as_slice::<f32>()?);
    let shape = [&before[..], &[*m, *n]].concat();
    element_count(&shape).filter(|count| fits(*count, a, b))?;
    // One matrix of each for every place before.
    let places = |shape: &[usize]| {
        let own = strides(shape);
        let skipped = before.len() - shape.len();
        let step = |i: usize| i.checked_sub(skipped).map_or(0, |i| if shape[i] == 1 { 0 } else { own[i] });
        view(&before, &(0..before.len()).map(step).collect::<Vec<_>>(), 0)
    };
    let mut values = Vec::new();
    for (i, j) in places(before_a).into_iter().zip(places(before_b)) {
        let left = MatRef::from_row_major_slice(x.get(i * m * k..(i + 1) * m * k)?, *m, *k);
        let right = MatRef::from_row_major_slice(y.get(j * k * n..(j + 1) * k * n)?, *k, *n);
        let product = product(left, right, 1.0);
        values.extend((0..*m).flat_map(|r| (0..*n).map(move |c| (r, c))).map(|at| product[at]));
    }
    Some(vec![Tensor::from_vec(shape, values)])
}

/// α·A'·B' + β·C of float32.
pub fn gemm(node: &Node, inputs: &Inputs) -> Option<Vec<Tensor>> {
    let (a, b) = (input(inputs, 0)?, input(inputs, 1)?);
    let ([ra, ca], [rb, cb]) = (a.shape().try_into().ok()?, b.shape().try_into().ok()?);
    let (x, y) = (a.as_slice::<f32>()?, b.as_slice::<f32>()?);
    let left = MatRef::from_row_major_slice(&x, ra, ca);
    let right = MatRef::from_row_major_slice(&y, rb, cb);
    let left = if node.int_or("transA", 0) == 0 { left } else { left.transpose() };
    let right = if node.int_or("transB", 0) == 0 { right } else { right.transpose() };
    if left.ncols() != right.nrows() || !fits(left.nrows().checked_mul(right.ncols())?, a, b) {
        return None;
    }
    let factor = |name: &str| node.float_or(name, 1.0);
    let product = product(left, right, factor("alpha"));
    let (m, n) = (product.nrows(), product.ncols());
    let values: Vec<f32> = (0..m).flat_map(|r| (0..n).map(move |c| (r, c))).map(|at| product[at]).collect();
    let product = Tensor::from_vec([m, n], values);
    let Some(c) = input(inputs, 2) else { return Some(vec![product]) };
    let beta = factor("beta");
    let c = Tensor::from_vec(c.shape(), c.as_slice::<f32>()?.iter().map(|v| v * beta).collect::<Vec<_>>());
    add(node, &[Some(&product), Some(&c)])
}

/// Whether a product of so many elements is not far larger than what it is made of.
fn fits(count: usize, a: &Tensor, b: &Tensor) -> bool {
    count <= MAX_ELEMENTS.max(a.len().saturating_add(b.len()).saturating_mul(4))
}

fn product(a: MatRef<f32>, b: MatRef<f32>, factor: f32) -> Mat<f32> {
    let mut y = Mat::zeros(a.nrows(), b.ncols());
    multiply(y.as_mut(), Accum::Replace, a, b, factor, Par::Seq);
    y
}
