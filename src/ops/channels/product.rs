//! Products of matrices: the summed axis of both, rows and columns.
//!
//! ```text
//! Y[…, m, n] = Σ_k A[…, m, k]·B[…, k, n]        A's k ~ B's k        Y's n ~ B's n        Y's m ~ A's m
//! ```
//!
//! Where both are activations the summed axis keeps its size: no weight says what a position of it is worth.

use super::elementwise::broadcast;
use super::{Axis, ChannelRule, Coupling, Operands, Port, Y, same};

const A: Port = Port::Input(0);
const B: Port = Port::Input(1);
const C: Port = Port::Input(2);

pub const MATMUL: ChannelRule = ChannelRule::new(matmul, "multiplies two activations along it");
pub const GEMM: ChannelRule = ChannelRule::new(gemm, "multiplies two activations along it");

fn matmul(o: &Operands) -> Vec<Coupling> {
    let (Some(a), Some(b), Some(y)) = (o.rank(A), o.rank(B), o.rank(Y)) else { return Vec::new() };
    if a == 0 || b == 0 {
        return Vec::new();
    }
    let mut found = Vec::new();
    if o.constant(0).is_some() || o.constant(1).is_some() {
        found.push(same((A, a - 1), (B, b.saturating_sub(2))));
    }
    // A vector has no rows or no columns, and its product neither.
    let mut last = y;
    if b > 1 {
        last = last.saturating_sub(1);
        found.push(same((B, b - 1), (Y, last)));
    }
    if a > 1 {
        last = last.saturating_sub(1);
        found.push(same((A, a - 2), (Y, last)));
    }
    for (port, rank) in [(A, a), (B, b)] {
        found.extend(broadcast(o, (port, rank.saturating_sub(2)), (Y, last)));
    }
    found
}

fn gemm(o: &Operands) -> Vec<Coupling> {
    let turned = |attr: &str| usize::from(o.node.int_or(attr, 0) != 0);
    let (ta, tb) = (turned("transA"), turned("transB"));
    let (rows, columns): (Axis, Axis) = ((Y, 0), (Y, 1));
    let mut found = vec![same((A, ta), rows), same((B, 1 - tb), columns)];
    if o.constant(0).is_some() || o.constant(1).is_some() {
        found.push(same((A, 1 - ta), (B, tb)));
    }
    if let Some(rank) = o.rank(C) {
        found.extend(broadcast(o, (C, rank), (Y, 2)));
    }
    found
}
