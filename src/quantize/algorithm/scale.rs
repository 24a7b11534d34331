//! The scale of a channel of weights: a little less than its largest magnitude needs, where that rounds the channel better.
//!
//! ```text
//! s = argmin  Σ e_i² + (Σ e_i)²        e_i = s·w_q,i(s) − w_i        s in 0.8 … 1 × max|w_i| / 127
//! ```
//!
//! For inputs x_i = m + d_i, as much alike as they differ, that is the expected squared error of Σ w_i·x_i. The fewer weights a
//! channel has, the more there is to gain: the nine of a depthwise kernel fall near levels of some scale by chance.

use super::Algorithm;
use crate::quantize::QParams;

/// Scales that are tried.
const STEPS: usize = 32;
/// The smallest, relative to the one that clips nothing.
const LEAST: f32 = 0.8;

/// The best scale for `weights`, at most that of `params`, which clips none.
pub fn best(weights: &[f32], params: &QParams, kernel: usize, algorithm: &Algorithm) -> f32 {
    let mut best = (f64::INFINITY, params.scale);
    for step in 0..STEPS {
        let scale = params.scale * (1.0 - (1.0 - LEAST) * step as f32 / STEPS as f32);
        let p = QParams { scale, ..*params };
        let mut sums = (0f64, 0f64);
        for (w, q) in weights.iter().zip((algorithm.round)(weights, &p, kernel)) {
            let e = f64::from(p.dequantize(q) - w);
            sums = (sums.0 + e * e, sums.1 + e);
        }
        let error = sums.0 + sums.1 * sums.1;
        if error < best.0 {
            best = (error, scale);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::QType;
    use crate::quantize::algorithm::default;

    fn error(weights: &[f32], scale: f32) -> f64 {
        let p = QParams { dtype: QType::S8, scale, zero_point: 0 };
        let errors = weights.iter().zip((default().round)(weights, &p, weights.len()));
        let (squares, sum) =
            errors.map(|(w, q)| f64::from(p.dequantize(q) - w)).fold((0.0, 0.0), |s, e| (s.0 + e * e, s.1 + e));
        squares + sum * sum
    }

    #[test]
    fn the_fewer_weights_the_more_is_gained() {
        let gain = |n: usize| {
            let channel = |c: usize| (0..n).map(move |i| (((c * 64 + i) * 7919 % 10_007) as f32 / 5000.0 - 1.0) * 0.1);
            let ratio = |c: usize| {
                let weights: Vec<f32> = channel(c).collect();
                let scale = weights.iter().fold(0f32, |m, w| m.max(w.abs())) / 127.0;
                let params = QParams { dtype: QType::S8, scale, zero_point: 0 };
                let found = best(&weights, &params, n, default());
                assert!(found <= scale && found >= scale * LEAST);
                error(&weights, found) / error(&weights, scale)
            };
            (0..50).map(ratio).sum::<f64>() / 50.0
        };
        let (few, many) = (gain(9), gain(64));
        println!("squared error left: {few:.2} of 9 weights, {many:.2} of 64");
        assert!(few < 0.95 && many <= 1.0 && few < many, "{few} {many}");
    }

    #[test]
    fn zeros_have_any_scale() {
        let params = QParams { dtype: QType::S8, scale: 1.0, zero_point: 0 };
        assert_eq!(best(&[0.0; 9], &params, 9, default()), 1.0);
    }
}
