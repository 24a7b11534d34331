//! Zeros in tensors: freely, or in every group of M along the summed axis.

use bytes::Bytes;

use super::Pattern;
use super::plan::TensorPlan;
use super::select::{Cut, lowest as cut};
use crate::ir::Tensor;

/// Which weights go, by a cut of their scores.
pub fn by_cut(scores: &[f32], cut: &mut Cut) -> Vec<bool> {
    scores.iter().map(|s| cut.takes(*s)).collect()
}

/// All but the `keep` highest of every `of` scores along `axis`, whose size `of` must divide; ties keep the first.
pub fn by_group(scores: &[f32], shape: &[usize], axis: usize, keep: usize, of: usize) -> Vec<bool> {
    let inner: usize = shape[axis + 1..].iter().product();
    let size = shape[axis];
    let mut mask = vec![false; scores.len()];
    let mut group: Vec<usize> = Vec::with_capacity(of);
    for outer in 0..scores.len() / (size * inner).max(1) {
        for i in 0..inner {
            for begin in (0..size).step_by(of) {
                group.clear();
                group.extend((begin..begin + of).map(|k| (outer * size + k) * inner + i));
                group.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]).then(a.cmp(b)));
                group[keep..].iter().for_each(|at| mask[*at] = true);
            }
        }
    }
    mask
}

/// The sums of the scores of every block of `rows` along `channel` and `columns` along `axis`, which divide these, and the block of
/// each weight.
pub fn blocks(
    scores: &[f32],
    shape: &[usize],
    (channel, axis): (usize, usize),
    (rows, columns): (usize, usize),
) -> (Vec<f32>, Vec<usize>) {
    let sizes: Vec<usize> = (0..shape.len())
        .map(|a| {
            shape[a]
                / if a == channel {
                    rows
                } else if a == axis {
                    columns
                } else {
                    1
                }
        })
        .collect();
    let mut sums = vec![0f32; sizes.iter().product()];
    let block = |i: usize| {
        let (mut rest, mut place, mut stride) = (i, 0, 1);
        for a in (0..shape.len()).rev() {
            place += (rest % shape[a]) * sizes[a] / shape[a] * stride;
            rest /= shape[a];
            stride *= sizes[a];
        }
        place
    };
    let of: Vec<usize> = (0..scores.len()).map(block).collect();
    scores.iter().zip(&of).for_each(|(s, b)| sums[*b] += s);
    (sums, of)
}

/// The weights of one tensor that go by its own scores: `zeros` of them, or as many as N:M says.
pub fn lowest(scores: &[f32], plan: &TensorPlan, pattern: Pattern, zeros: usize) -> Vec<bool> {
    let of_these = |scores: &[f32], count: usize| by_cut(scores, &mut cut(|| std::iter::once(scores), count));
    match pattern {
        Pattern::Of { keep, of } => by_group(scores, &plan.shape, plan.axis, keep, of),
        Pattern::Block { rows, columns } => {
            let (sums, of) = blocks(scores, &plan.shape, (plan.channel, plan.axis), (rows, columns));
            let gone = of_these(&sums, zeros / (rows * columns));
            of.iter().map(|b| gone[*b]).collect()
        }
        _ => of_these(scores, zeros),
    }
}

/// Why a tensor of this shape cannot have the pattern.
pub fn refuses(pattern: Pattern, shape: &[usize], (channel, axis): (usize, usize)) -> Option<String> {
    match pattern {
        Pattern::Block { rows, columns }
            if !shape[channel].is_multiple_of(rows) || !shape[axis].is_multiple_of(columns) =>
        {
            Some(format!("{pattern} does not divide its {} outputs and {} inputs", shape[channel], shape[axis]))
        }
        Pattern::Of { of, .. } if !shape[axis].is_multiple_of(of) => {
            Some(format!("{pattern} does not divide the {} inputs of axis {axis}", shape[axis]))
        }
        _ => None,
    }
}

/// The tensor with zeros where `mask` says so.
pub fn applied(t: &Tensor, mask: &[bool]) -> crate::Result<Tensor> {
    let width = t.dtype().bits() / 8;
    let mut bytes = t.bytes().to_vec();
    for (element, _) in bytes.chunks_exact_mut(width).zip(mask).filter(|(_, m)| **m) {
        element.fill(0);
    }
    Tensor::from_bytes(t.dtype(), t.shape(), Bytes::from(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_four_along_either_axis() {
        let s = [1.0f32, 4.0, 3.0, 2.0, 5.0, 5.0, 5.0, 5.0];
        let rows = by_group(&s, &[2, 4], 1, 2, 4);
        assert_eq!(rows, [true, false, false, true, false, false, true, true]);
        let columns = by_group(&s, &[4, 2], 0, 2, 4);
        assert_eq!(columns.iter().filter(|m| **m).count(), 4);
        assert!(columns[0] && columns[2], "1 and 3 are the lowest of 1 3 5 5");
        assert!(refuses(Pattern::Of { keep: 2, of: 4 }, &[8, 3, 3, 3], (0, 1)).is_some());
    }

    #[test]
    fn blocks_are_of_channels_and_inputs() {
        // Two outputs, four inputs, a kernel of one row: blocks of two by two.
        let (sums, of) = blocks(&[1.0, 2.0, 3.0, 4.0, 10.0, 20.0, 30.0, 40.0], &[2, 4, 1], (0, 1), (2, 2));
        assert_eq!((sums, of), (vec![33.0, 77.0], vec![0, 0, 1, 1, 0, 0, 1, 1]));
        let (sums, _) = blocks(&[1.0, 2.0, 3.0, 4.0], &[2, 2], (1, 0), (1, 2));
        assert_eq!(sums, [4.0, 6.0], "columns of a product are its outputs");
        assert!(refuses(Pattern::Block { rows: 4, columns: 1 }, &[6, 8], (0, 1)).is_some());
    }
}
