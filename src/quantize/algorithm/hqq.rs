//! Parameters and levels of a group without data: the few weights that fit worst count less (half-quadratic quantization, Badri & Shaji, 2023).
//!
//! ```text
//! s, z = argmin Σ |w_i − s·(q_i − z)|^p        p = 0.7, by half-quadratic splitting, in turns:
//!
//!     q_i = clamp(round(w_i / s) + z)
//!     e_i = shrink((w_i − s·(q_i − z)) / s)·s    shrink(x) = sign(x)·max(0, |x| − |x|^(p−1) / β),  β grows
//!     z   = mean(q_i − (w_i − e_i) / s), rounded    s = Σ (w_i − e_i)·(q_i − z) / Σ (q_i − z)²
//! ```
//!
//! e takes up what is far off, so that outliers do not pull the range. Zero points are integers here, as DequantizeLinear wants them, and
//! the scale is found with them; the paper keeps the scale and lets z be any number.

use super::{Algorithm, ByData, round_to_nearest};
use crate::quantize::grouped::whole;
use crate::quantize::{QParams, QType};

pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "hqq",
    summary: "half-quadratic search for scales and zero points, without data",
    fit,
    by_data: ByData::Never,
    ..round_to_nearest::ALGORITHM
};

const P: f32 = 0.7;
/// The first β, in steps of the grid, and its growth.
const BETA: f32 = 10.0;
const GROWTH: f32 = 1.05;
const TURNS: usize = 20;

fn fit(weights: &[f32], _: &[f32], dtype: QType, zero_points: bool) -> QParams {
    search(weights, whole(weights, dtype, zero_points), zero_points)
}

/// The best parameters met on the way from `start`.
fn search(weights: &[f32], start: QParams, zero_points: bool) -> QParams {
    let mut best = (error(weights, &start), start);
    let (mut p, mut beta) = (start, BETA);
    for _ in 0..TURNS {
        let levels: Vec<i32> = weights.iter().map(|w| p.quantize(*w)).collect();
        let kept = |w: &f32, q: i32| w - p.scale * shrink((w - p.dequantize(q)) / p.scale, beta);
        let near: Vec<f32> = weights.iter().zip(&levels).map(|(w, q)| kept(w, *q)).collect();
        if zero_points {
            let sum: f64 = levels.iter().zip(&near).map(|(q, w)| f64::from(*q as f32 - w / p.scale)).sum();
            let zero = (sum / weights.len().max(1) as f64).round() as i32;
            p.zero_point = zero.clamp(p.dtype.min(), p.dtype.max());
        }
        let (mut product, mut square) = (0f64, 0f64);
        for (q, w) in levels.iter().zip(&near) {
            let q = f64::from(q - p.zero_point);
            (product, square) = (product + q * f64::from(*w), square + q * q);
        }
        let scale = (product / square) as f32;
        if !(scale.is_normal() && scale > 0.0) {
            break;
        }
        p.scale = scale;
        let found = error(weights, &p);
        if found < best.0 {
            best = (found, p);
        }
        beta *= GROWTH;
    }
    best.1
}

fn shrink(x: f32, beta: f32) -> f32 {
    if x == 0.0 { 0.0 } else { x.signum() * (x.abs() - x.abs().powf(P - 1.0) / beta).max(0.0) }
}

/// Σ |ŵ − w|^p.
fn error(weights: &[f32], p: &QParams) -> f64 {
    weights.iter().map(|w| f64::from((w - p.dequantize(p.quantize(*w))).abs().powf(P))).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_pull_the_range() {
        // A grid of 15 levels of 0.1 a little off its places, and one weight beyond it.
        let mut weights: Vec<f32> = (0..60).map(|i| (i % 15) as f32 * 0.1 - 0.7 + (i % 3) as f32 * 0.01).collect();
        weights.push(0.9);
        let (hqq, nearest) = (fit(&weights, &[], QType::S4, false), whole(&weights, QType::S4, false));
        println!("step {} beside {} of the whole range", hqq.scale, nearest.scale);
        assert!(hqq.scale < 0.95 * nearest.scale);
        assert!(error(&weights, &hqq) < 0.97 * error(&weights, &nearest));
        let shifted: Vec<f32> = weights[..60].iter().map(|w| w + 0.4).collect();
        let p = fit(&shifted, &[], QType::U4, true);
        assert!((p.scale - 0.094).abs() < 0.01 && (p.zero_point - 3).abs() <= 1, "{p:?}");
        assert_eq!(fit(&[0.0; 4], &[], QType::S4, false).scale, 1.0);
    }
}
