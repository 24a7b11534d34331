//! How the weights of a channel that are still free make up for an error in one that is fixed.
//!
//! ```text
//! H⁻¹ = Uᵀ·U, U upper triangular        error e in weight k:  w_j ← w_j − e/U_kk · U_kj  for all j after k
//! ```
//!
//! That is the least-squares answer, found once for all orders of elimination (Frantar et al., "GPTQ", ICLR 2023, from Hassibi and
//! Stork's optimal brain surgeon, 1993). Weights are taken in the order of falling H_kk: what counts most is fixed while most others are free.
//! H is damped, H + λ·mean(H_kk)·I, so that inputs that the data hardly excite are not trusted.

use faer::linalg::solvers::{DenseSolveCore, Llt};
use faer::{Mat, Side};

/// The factor of one group.
#[derive(Debug)]
pub struct Compensation {
    /// Weights in the order in which they are fixed.
    pub order: Vec<usize>,
    /// U for that order, rows from the diagonal on, one after the other.
    factor: Vec<f32>,
}

impl Compensation {
    /// Of `h`, `depth`² numbers; `None` where it cannot be inverted.
    pub fn of(h: &[f32], depth: usize, damping: f64) -> Option<Self> {
        let diagonal = |k: usize| f64::from(h[k * depth + k]);
        let mean = (0..depth).map(diagonal).sum::<f64>() / depth as f64;
        if !(mean.is_finite() && mean > 0.0) {
            return None;
        }
        let mut order: Vec<usize> = (0..depth).collect();
        order.sort_by(|a, b| diagonal(*b).total_cmp(&diagonal(*a)));
        let damped = Mat::from_fn(depth, depth, |i, j| {
            let (a, b) = (order[i], order[j]);
            f64::from(h[a * depth + b]) + if i == j { damping * mean } else { 0.0 }
        });
        let inverse = Llt::new(damped.as_ref(), Side::Lower).ok()?.inverse();
        let lower = Llt::new(inverse.as_ref(), Side::Lower).ok()?;
        let lower = lower.L();
        let factor = (0..depth).flat_map(|i| (i..depth).map(move |j| lower[(j, i)] as f32)).collect();
        Some(Compensation { order, factor })
    }

    /// Fixes the weights one after the other by `fix`, which is given the place of a weight and what it has become by then, and says what
    /// it is to be; the others make up for the difference.
    pub fn fix(&self, weights: &[f32], mut fix: impl FnMut(usize, f32) -> f32) {
        let depth = self.order.len();
        let mut w: Vec<f32> = self.order.iter().map(|k| weights[*k]).collect();
        let mut row = 0;
        for (i, k) in self.order.iter().enumerate() {
            let factor = &self.factor[row..row + depth - i];
            row += depth - i;
            let error = (w[i] - fix(*k, w[i])) / factor[0];
            w[i + 1..].iter_mut().zip(&factor[1..]).for_each(|(w, u)| *w -= error * u);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_free_weight_becomes_the_least_squares_one() {
        // Two inputs that are nearly the same: what one weight loses the other takes over.
        let h = [10.0, 9.0, 9.0, 9.5];
        let c = Compensation::of(&h, 2, 0.0).unwrap();
        assert_eq!(c.order, [0, 1]);
        let mut seen = Vec::new();
        c.fix(&[0.4, 0.3], |k, w| {
            seen.push((k, w));
            if k == 0 { 0.0 } else { w }
        });
        // argmin over v of H₀₀·0.4² − 2·0.4·H₀₁·(v − 0.3) + H₁₁·(v − 0.3)²
        assert_eq!(seen[0], (0, 0.4));
        assert!((seen[1].1 - (0.3 + 0.4 * 9.0 / 9.5)).abs() < 1e-5, "{seen:?}");
    }

    #[test]
    fn what_is_never_seen_cannot_be_inverted_without_damping() {
        assert!(Compensation::of(&[0.0; 4], 2, 0.01).is_none());
        assert!(Compensation::of(&[1.0, 0.0, 0.0, 0.0], 2, 0.0).is_none());
        assert!(Compensation::of(&[1.0, 0.0, 0.0, 0.0], 2, 0.01).is_some());
    }
}
