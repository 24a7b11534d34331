//! Zeros in tensors: freely, or in every group of M along the summed axis.

use bytes::Bytes;

use super::Pattern;
use super::select::Cut;
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

/// Why a tensor of this shape cannot have the pattern.
pub fn refuses(pattern: Pattern, shape: &[usize], axis: usize) -> Option<String> {
    match pattern {
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
        assert!(refuses(Pattern::Of { keep: 2, of: 4 }, &[8, 3, 3, 3], 1).is_some());
    }
}
