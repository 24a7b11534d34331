//! The range of a group of few levels: large weights are clipped where the others gain more.
//!
//! ```text
//! s, z = argmin  Σ h_i·e_i²  or, without h,  Σ e_i⁴        e_i = s·(q_i − z) − w_i
//!
//! over ranges of 0.3 … 1 × [min w, max w], then s by least squares for the q found
//! ```
//!
//! h_i is what an error of weight i costs: the mean square of its input. Where that is not known, the fourth power stands in for it: large weights
//! are where the network looks, and squares alone would clip them for the sake of the many small ones. At 8 bits clipping gains nothing;
//! at 4 the best range of normally distributed weights ends at about 0.8 of the largest, at 2 before half of it.

use crate::quantize::grouped::whole;
use crate::quantize::params::level;
use crate::quantize::{QParams, QType};

/// Ranges that are tried, and the smallest.
const STEPS: usize = 36;
const LEAST: f32 = 0.3;
/// Least squares and rounding in turns.
const TURNS: usize = 3;

/// The parameters of least error for `weights`; `importance` is empty where all count alike.
pub(super) fn fit(weights: &[f32], importance: &[f32], dtype: QType, zero_points: bool) -> QParams {
    let whole = whole(weights, dtype, zero_points);
    let error = |p: &QParams| error(weights, importance, p, whole.scale);
    let mut best = (error(&whole), whole);
    for step in 0..STEPS {
        let scale = whole.scale * (1.0 - (1.0 - LEAST) * step as f32 / STEPS as f32);
        // Of what a signed type has more on one side, and where zero falls with the range cut, several places are worth a try.
        let zeros =
            if zero_points { whole.zero_point - 1..=whole.zero_point + 1 } else { whole.zero_point..=whole.zero_point };
        for zero_point in zeros.filter(|z| (dtype.min()..=dtype.max()).contains(z)) {
            let tried = QParams { scale, zero_point, dtype };
            let found = error(&tried);
            if found < best.0 {
                best = (found, tried);
            }
        }
    }
    for _ in 0..TURNS {
        let Some(scale) = least_squares(weights, importance, &best.1) else { break };
        let tried = QParams { scale, ..best.1 };
        let found = error(&tried);
        if found >= best.0 {
            break;
        }
        best = (found, tried);
    }
    best.1
}

/// Σ h·(ŵ − w)², or the sum of fourth powers, in this unit.
fn error(weights: &[f32], importance: &[f32], p: &QParams, unit: f32) -> f32 {
    let (ends, inverse, unit) = (p.ends(), 1.0 / p.scale, 1.0 / unit);
    let squared = |w: &f32| {
        let e = (level(w * inverse, ends) * p.scale - w) * unit;
        e * e
    };
    match importance.is_empty() {
        true => weights.iter().map(|w| squared(w) * squared(w)).sum(),
        false => weights.iter().zip(importance).map(|(w, h)| h * squared(w)).sum(),
    }
}

/// The best scale for the levels that `p` rounds to; `None` where all are zero.
fn least_squares(weights: &[f32], importance: &[f32], p: &QParams) -> Option<f32> {
    let mut sums = (0f64, 0f64);
    for (i, w) in weights.iter().enumerate() {
        let h = f64::from(importance.get(i).copied().unwrap_or(1.0));
        let q = f64::from(p.quantize(*w) - p.zero_point);
        sums = (sums.0 + h * q * f64::from(*w), sums.1 + h * q * q);
    }
    let scale = (sums.0 / sums.1) as f32;
    (scale.is_normal() && scale > 0.0).then_some(scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sums of twelve uniform numbers, as good as normally distributed.
    fn normal(n: usize) -> Vec<f32> {
        let mut state = 3u64;
        let mut uniform = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u32 << 24) as f32
        };
        (0..n).map(|_| (0..12).map(|_| uniform()).sum::<f32>() - 6.0).collect()
    }

    #[test]
    fn the_fewer_levels_the_more_is_gained() {
        let weights = normal(512);
        let gain = |dtype: QType| {
            let (whole, found) =
                (whole(&weights, dtype, dtype.is_asymmetric()), fit(&weights, &[], dtype, dtype.is_asymmetric()));
            let error = |p: &QParams| weights.iter().map(|w| (p.dequantize(p.quantize(*w)) - w).powi(2)).sum::<f32>();
            error(&found) / error(&whole)
        };
        let gains = [QType::S4, QType::U4, QType::S3, QType::S2, QType::U2].map(gain);
        println!("squared error left of that of the whole range at s4, u4, s3, s2, u2: {gains:.2?}");
        assert!(gains[0] < 0.9 && gains[2] < gains[0] && gains[3] < 0.5 && gains[4] < 0.7, "{gains:?}");
        let eight = gain(QType::S8);
        assert!(eight > 0.8 && eight <= 1.0, "{eight}");
    }

    #[test]
    fn what_counts_is_rounded_best() {
        // One large weight that counts for nothing.
        let mut weights = normal(32);
        weights[5] = 40.0;
        let mut importance = vec![1.0; 32];
        importance[5] = 0.0;
        let (plain, weighted) = (fit(&weights, &[], QType::S4, false), fit(&weights, &importance, QType::S4, false));
        assert!(weighted.scale < 0.6 * plain.scale, "{} {}", weighted.scale, plain.scale);
        assert_eq!(fit(&[0.0; 8], &[], QType::S4, false).scale, 1.0);
    }
}
