//! One weight after the other, those that are left making up for the error.
//!
//! ```text
//! for k in falling order of H_kk:    q_k = round(w_k / s) + z        w_j ← w_j − (w_k − s·(q_k − z)) · U_kj / U_kk    for j after k
//! ```
//!
//! Minimizes the error of the output on calibration data, not that of the weights (Frantar et al., ICLR 2023; H and U:
//! [`crate::second_order`]). A weight that is exactly zero stays so.

use super::{Algorithm, ByData, sum_preserving};
use crate::quantize::QParams;
use crate::second_order::Compensation;

/// What it cannot round, it leaves to another.
pub(super) const ALGORITHM: Algorithm = Algorithm {
    name: "gptq",
    summary: "the error of each weight made up for by those after it, where there are data",
    by_data: ByData::Always,
    ..sum_preserving::ALGORITHM
};

/// The weights of one channel, `before`, moved to `wanted`; those that are exactly zero stay so. `fit` is given a level, its place, and
/// all levels so far, and says which the weight takes.
pub fn round(
    (before, wanted): (&[f32], &[f32]),
    params: impl Fn(usize) -> QParams,
    fit: impl Fn(i32, usize, &[i32]) -> i32,
    compensation: &Compensation,
) -> Vec<i32> {
    let mut rounded: Vec<i32> = (0..before.len()).map(|k| params(k).zero_point).collect();
    compensation.fix(wanted, |k, w| {
        let p = params(k);
        if before[k] != 0.0 {
            rounded[k] = fit(p.quantize(w), k, &rounded);
        }
        p.dequantize(rounded[k])
    });
    rounded
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quantize::QType;
    use crate::quantize::algorithm::NEAREST;

    /// e·H·eᵀ of what was rounded.
    fn cost(h: &[f32], weights: &[f32], q: &[i32], p: &QParams) -> f64 {
        let n = weights.len();
        let e: Vec<f64> = weights.iter().zip(q).map(|(w, q)| f64::from(p.dequantize(*q) - w)).collect();
        (0..n * n).map(|i| e[i / n] * f64::from(h[i]) * e[i % n]).sum()
    }

    #[test]
    fn outputs_err_less_than_after_rounding_to_nearest_and_zeros_stay() {
        const N: usize = 24;
        let mut state = 7u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
        };
        // Inputs that are alike among neighbours, as pixels are.
        let mut h = vec![0f32; N * N];
        for _ in 0..400 {
            let mut x = [0f32; N];
            let mut last = 0.0;
            for v in &mut x {
                last = 0.8 * last + random();
                *v = last + 0.5;
            }
            (0..N * N).for_each(|i| h[i] += x[i / N] * x[i % N]);
        }
        let compensation = Compensation::of(&h, N, 0.01).unwrap();
        let p = QParams { dtype: QType::S8, scale: 1.0 / 7.0, zero_point: 0 };
        let (mut nearest, mut ours) = (0.0, 0.0);
        for _ in 0..20 {
            let mut weights: Vec<f32> = (0..N).map(|_| random()).collect();
            weights[3] = 0.0;
            let q = round((&weights, &weights), |_| p, |q, _, _| q, &compensation);
            assert_eq!(q[3], 0);
            ours += cost(&h, &weights, &q, &p);
            nearest += cost(&h, &weights, &(NEAREST.round)(&weights, &p, N), &p);
        }
        println!("error of the output: {:.3} of rounding to nearest", ours / nearest);
        assert!(ours < 0.35 * nearest, "{ours} {nearest}");
    }
}
