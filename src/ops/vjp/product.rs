//! Products of matrices: Y = A·B, dA = dY·Bᵀ, dB = Aᵀ·dY.

use super::{Adjoint, Var};

type Rule = Result<(), String>;

/// Y = α·A'·B' + β·C, where a prime may transpose.
pub fn gemm(a: &Adjoint) -> Rule {
    let turned = |attr: &str| a.node.int_or(attr, 0) != 0;
    let (alpha, beta) = (a.node.float_or("alpha", 1.0), a.node.float_or("beta", 1.0));
    let dy = a.dy();
    let (left, right) = (a.x(0), a.x(1));
    a.give_with(0, || {
        let b = if turned("transB") { right } else { right.transposed() };
        let product = if turned("transA") { b.transposed().matmul(dy.transposed()) } else { dy.matmul(b) };
        product * alpha
    });
    a.give_with(1, || {
        let x = if turned("transA") { left } else { left.transposed() };
        let product = if turned("transB") { dy.transposed().matmul(x.transposed()) } else { x.matmul(dy) };
        product * alpha
    });
    a.give_with(2, || dy * beta);
    Ok(())
}

/// `[…, M, K] × […, K, N]`; one axis alone is a row on the left, a column on the right.
pub fn matmul(a: &Adjoint) -> Rule {
    let (mut left, mut right) = (a.x(0).dims(), a.x(1).dims());
    let mut product = a.y().dims();
    if left.len() == 1 {
        left.insert(0, 1);
        product.insert(product.len() + 1 - right.len().min(2), 1);
    }
    if right.len() == 1 {
        right.push(1);
        product.push(1);
    }
    let (x, w, dy) = (a.x(0).reshape(&left), a.x(1).reshape(&right), a.dy().reshape(&product));
    a.give_with(0, || shaped(dy.matmul(w.transposed()), &left, a.x(0)));
    a.give_with(1, || {
        if right.len() > 2 {
            return shaped(x.transposed().matmul(dy), &right, a.x(1));
        }
        // All leading axes of the left side are rows: one product instead of many that are summed.
        let rows = |v: Var<'_>, width: usize| a.tape.var(v.id).reshape(&[v.count() / width.max(1), width]);
        shaped(rows(x, right[0]).transposed().matmul(rows(dy, right[1])), &right, a.x(1))
    });
    Ok(())
}

/// A gradient of the operand as a matrix, in the operand's own shape.
fn shaped<'t>(gradient: Var<'t>, matrix: &[usize], operand: Var<'t>) -> Var<'t> {
    gradient.sum_to(matrix).reshape(&operand.dims())
}
