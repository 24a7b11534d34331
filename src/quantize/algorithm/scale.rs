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
