//! Recurrent layers: `X[seq, batch, input]`, `W[directions, gates·hidden, input]`, `R[directions, gates·hidden, hidden]`.

use super::Context;
use crate::ir::{Dim, Shape, TensorType};

/// `Y[seq, directions, batch, hidden]`, then `Y_h` and `Y_c[directions, batch, hidden]`; batch first with `layout` 1.
pub fn recurrent(c: &Context) -> Option<Vec<TensorType>> {
    let batch_first = c.node.int_or("layout", 0) != 0;
    let at = |input: usize, axis: usize| c.shape(input).filter(|s| s.len() == 3).map(|s| s[axis].clone());
    let directions = at(1, 0).or_else(|| at(2, 0)).unwrap_or(Dim::Unknown);
    let hidden = c.node.int("hidden_size").map(Dim::Known).or_else(|| at(2, 2)).unwrap_or(Dim::Unknown);
    let (sequence, samples) = if batch_first { (at(0, 1), at(0, 0)) } else { (at(0, 0), at(0, 1)) };
    // The initial state has as many samples; else all outputs share one name for the size.
    let samples = samples.or_else(|| at(5, if batch_first { 0 } else { 1 })).unwrap_or_else(|| c.named("batch"));
    let sequence = sequence.unwrap_or_else(|| c.named("sequence"));
    let shapes: [Shape; 2] = if batch_first {
        [vec![samples.clone(), sequence, directions.clone(), hidden.clone()], vec![samples, directions, hidden]]
    } else {
        [vec![sequence, directions.clone(), samples.clone(), hidden.clone()], vec![directions, samples, hidden]]
    };
    let [all, last] = shapes.map(|shape| TensorType { dtype: c.dtype(0), shape: Some(shape) });
    Some(vec![all, last.clone(), last])
}
