//! To the nearest level, then the sum of each kernel and of each channel is kept to half a step.
//!
//! ```text
//! e_i = w_q,i − w_i/s        k = Σ e_i, rounded        the |k| weights whose e_i comes nearest to k's sign·½ move one level back
//! ```
//!
//! Neighbouring values of an activation are alike, and most have a mean: what a kernel makes of them is the mean times the
//! sum of its weights, and there rounding errors of one sign add up. First kernel by kernel, then over the channel
//! (SQuant, Guo et al., ICLR 2022, without data). A weight that is exactly zero stays so.

use super::{Algorithm, ByData, clip};
use crate::quantize::QParams;

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "sum-preserving",
    summary: "to the nearest level, keeping the sum of each kernel and channel",
    round,
    fit: clip::fit,
    by_data: ByData::Never,
};

fn round(weights: &[f32], params: &QParams, kernel: usize) -> Vec<i32> {
    let mut q: Vec<i32> = weights.iter().map(|w| params.quantize(*w)).collect();
    if kernel > 1 && kernel < q.len() {
        for (w, q) in weights.chunks(kernel).zip(q.chunks_mut(kernel)) {
            keep_sum(w, q, params);
        }
    }
    keep_sum(weights, &mut q, params);
    q
}

/// With room for the rounding of scales.
const HALF: f64 = 0.501;

/// Moves as many weights by one level as the sum is off.
fn keep_sum(weights: &[f32], q: &mut [i32], params: &QParams) {
    if q.len() < 2 {
        return;
    }
    let error = |w: f32, q: i32| f64::from(q - params.zero_point) - f64::from(w) / f64::from(params.scale);
    let off = weights.iter().zip(&*q).map(|(w, q)| error(*w, *q)).sum::<f64>();
    // Half a step to either side is the same.
    let moves = (off.abs() - HALF).ceil().max(0.0) as usize;
    let step = if off > 0.0 { 1 } else { -1 };
    let movable = |(i, (w, q)): (usize, (&f32, &i32))| {
        let along = error(*w, *q) * f64::from(step);
        let inside = (params.dtype.min() + 1..=params.dtype.max()).contains(&(q - step));
        (along > 0.0 && *w != 0.0 && inside).then_some((along, i))
    };
    if moves == 0 {
        return;
    }
    let mut candidates: Vec<(f64, usize)> = weights.iter().zip(&*q).enumerate().filter_map(movable).collect();
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    for (_, i) in candidates.into_iter().take(moves) {
        q[i] -= step;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::QType;

    #[test]
    fn sums_are_kept_and_zeros_stay() {
        let p = QParams { dtype: QType::S8, scale: 1.0, zero_point: 0 };
        // To the nearest: 0 + 0 + 0 + 1, though the sum is 2.27.
        assert_eq!(round(&[0.4, 0.42, 0.45, 1.0], &p, 4), [0, 0, 1, 1]);
        assert_eq!(round(&[-0.4, -0.45, 0.0, -1.4], &p, 4), [0, -1, 0, -1]);
        // Each kernel is off by less than half a step, both together by more.
        assert_eq!(round(&[0.3, 0.1, 0.3, 0.1], &p, 2).iter().sum::<i32>(), 1);
        assert_eq!(round(&[0.4], &p, 1), [0]);
        assert_eq!(round(&[0.0; 9], &p, 9), [0; 9]);
    }
}
