//! Matrix products.

use super::{Context, broadcast, one};
use crate::ir::{DType, Dim, Shape, TensorType};

/// `[…, M, K] · […, K, N]`; a vector is a row on the left, a column on the right, and its axis goes.
pub fn matmul(c: &Context) -> Option<Vec<TensorType>> {
    one(c.dtype(0), Some(multiplied(c.shape(0)?, c.shape(1)?)?))
}

/// The product of two tensors of 8 bits, not yet scaled.
pub fn matmul_integer(c: &Context) -> Option<Vec<TensorType>> {
    one(Some(DType::I32), Some(multiplied(c.shape(0)?, c.shape(1)?)?))
}

/// The same, times the scales, of which a's is input 2.
pub fn matmul_integer_to_float(c: &Context) -> Option<Vec<TensorType>> {
    one(c.dtype(2), Some(multiplied(c.shape(0)?, c.shape(1)?)?))
}

/// `[…, K] · [N, K]ᵀ`, the weight packed: the attribute says how many columns.
pub fn matmul_n_bits(c: &Context) -> Option<Vec<TensorType>> {
    let mut shape = c.shape(0)?.to_vec();
    *shape.last_mut()? = Dim::Known(c.node.int_or("N", -1));
    one(c.dtype(0), Some(shape))
}

/// a, its scale and zero point, b, its scale and zero point, those of the output.
pub fn qlinear_matmul(c: &Context) -> Option<Vec<TensorType>> {
    one(c.dtype(7), Some(multiplied(c.shape(0)?, c.shape(3)?)?))
}

fn multiplied(a: &[Dim], b: &[Dim]) -> Option<Shape> {
    let mut shape = match (a.len(), b.len()) {
        (0, _) | (_, 0) => return None,
        (n, m) => broadcast(&a[..n.saturating_sub(2)], &b[..m.saturating_sub(2)]),
    };
    if let [.., rows, _] = a {
        shape.push(rows.clone());
    }
    if let [.., _, columns] = b {
        shape.push(columns.clone());
    }
    Some(shape)
}

/// `[M, K] · [K, N]`, each transposed where its attribute says so.
pub fn gemm(c: &Context) -> Option<Vec<TensorType>> {
    let pick = |input: usize, attr: &str, axis: usize| -> Option<Dim> {
        let axis = if c.node.int_or(attr, 0) != 0 { 1 - axis } else { axis };
        c.shape(input).filter(|s| s.len() == 2).map(|s| s[axis].clone())
    };
    let shape = [pick(0, "transA", 0), pick(1, "transB", 1)];
    one(c.dtype(0), Some(shape.into_iter().map(|d| d.unwrap_or(Dim::Unknown)).collect()))
}
