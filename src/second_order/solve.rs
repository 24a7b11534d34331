//! How the weights of a channel that are still free make up for an error in one that is fixed.
//!
//! ```text
//! H⁻¹ = Uᵀ·U, U upper triangular        error e in weight k:  w_j ← w_j − e/U_kk · U_kj  for all j after k
//! ```
//!
//! That is the least-squares answer, found once for all orders of elimination (Frantar et al., "GPTQ", ICLR 2023, from Hassibi and
//! Stork's optimal brain surgeon, 1993). Weights are taken in the order of falling H_kk: what counts most is fixed while most others are free.
//! H is damped, H + λ·mean(H_kk)·I, so that inputs that the data hardly excite are not trusted.

use faer::Mat;

use super::cholesky::Cholesky;

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
        let at = |i: usize, j: usize| f64::from(h[i * depth + j]);
        Compensation::in_order(falling(depth, |k| at(k, k)), at, damping)
    }

    /// Of the matrix whose elements `h` tells, its weights fixed in this order; `None` where it cannot be inverted.
    pub fn in_order(order: Vec<usize>, h: impl Fn(usize, usize) -> f64, damping: f64) -> Option<Self> {
        let depth = order.len();
        let ordered = Mat::from_fn(depth, depth, |i, j| h(order[i], order[j]));
        // The matrix it may own is not needed any more.
        drop(h);
        let inverse = Cholesky::of(damped(ordered, damping)?)?.inverse();
        let factored = Cholesky::of(inverse)?;
        let lower = factored.lower();
        let factor = (0..depth).flat_map(|i| (i..depth).map(move |j| lower[(j, i)] as f32)).collect();
        Some(Compensation { order, factor })
    }

    /// The part of U's row `i` from the diagonal on, in the order of elimination.
    pub fn factor(&self, i: usize) -> &[f32] {
        let depth = self.order.len();
        let begin = i * depth - i * i.saturating_sub(1) / 2;
        &self.factor[begin..begin + depth - i]
    }

    /// Fixes the weights one after the other by `fix`, which is given the place of a weight and what it has become by then, and says what
    /// it is to be; the others make up for the difference.
    pub fn fix(&self, weights: &[f32], mut fix: impl FnMut(usize, f32) -> f32) {
        let mut w: Vec<f32> = self.order.iter().map(|k| weights[*k]).collect();
        for (i, k) in self.order.iter().enumerate() {
            let factor = self.factor(i);
            let error = (w[i] - fix(*k, w[i])) / factor[0];
            w[i + 1..].iter_mut().zip(&factor[1..]).for_each(|(w, u)| *w -= error * u);
        }
    }
}

/// The mean of the diagonal of H, of which damping is a share; `None` where nothing was seen.
pub fn mean_diagonal(depth: usize, h: impl Fn(usize, usize) -> f64) -> Option<f64> {
    let mean = (0..depth).map(|k| h(k, k)).sum::<f64>() / depth.max(1) as f64;
    (mean.is_finite() && mean > 0.0).then_some(mean)
}

/// H + λ·mean(H_kk)·I; `None` where nothing was seen.
pub fn damped(h: Mat<f64>, lambda: f64) -> Option<Mat<f64>> {
    let mean = mean_diagonal(h.nrows(), |i, j| h[(i, j)])?;
    Some(raised(h, lambda * mean))
}

/// H + μ·I.
pub fn raised(mut h: Mat<f64>, mu: f64) -> Mat<f64> {
    (0..h.nrows()).for_each(|k| h[(k, k)] += mu);
    h
}

/// 0 … depth in the order of a falling diagonal.
pub fn falling(depth: usize, diagonal: impl Fn(usize) -> f64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..depth).collect();
    order.sort_by(|a, b| diagonal(*b).total_cmp(&diagonal(*a)));
    order
}

/// The diagonal of the inverse of `h`, damped by so much of its mean diagonal; `None` where it cannot be inverted.
pub fn inverse_diagonal(h: faer::MatRef<f64>, damping: f64) -> Option<Vec<f64>> {
    let inverse = Cholesky::of(damped(h.to_owned(), damping)?)?.inverse();
    Some((0..h.nrows()).map(|k| inverse[(k, k)]).collect())
}

/// The weights at `support`, the others zero, that come nearest to the wanted outputs of one channel:
///
/// ```text
/// argmin_w  w·H·wᵀ − 2·w·g + μ·‖w − w⁰‖²        (H_SS + μ·I)·w_S = g_S + μ·w⁰_S        μ = damping · mean(H_kk)
/// ```
///
/// `h` is `[depth, depth]`, `g` and `start` (w⁰) are `[depth]`; the result has the order of `support`. `None` where H cannot be inverted.
pub fn least_squares(
    h: faer::MatRef<f64>,
    g: impl Fn(usize) -> f64,
    start: &[f32],
    support: &[usize],
    damping: f64,
) -> Option<Vec<f64>> {
    let mu = damping * mean_diagonal(h.nrows(), |i, j| h[(i, j)])?;
    let n = support.len();
    let kept = Mat::from_fn(n, n, |i, j| h[(support[i], support[j])]);
    let mut solved = Mat::from_fn(n, 1, |i, _| g(support[i]) + mu * f64::from(start[support[i]]));
    Cholesky::of(raised(kept, mu))?.solve(&mut solved);
    Some((0..n).map(|i| solved[(i, 0)]).collect())
}

/// W' = W + (G − H·Wᵀ)ᵀ·(H + λ·mean(H_kk)·I)⁻¹: rows W `[outputs, depth]` moved to what makes the wanted outputs of the rows of H, as far
/// as λ lets them. G = `cross`·Wᵀ, `cross` `[depth, depth]` being Σ x·tᵀ for rows t of which W itself makes the wanted; `None` where H
/// cannot be inverted.
pub fn retargeted(weights: &[f32], h: faer::MatRef<f64>, mut cross: Mat<f64>, damping: f64) -> Option<Vec<f32>> {
    let depth = h.nrows();
    cross -= h;
    let w = Mat::from_fn(depth, weights.len() / depth, |k, o| f64::from(weights[o * depth + k]));
    let mut step = &cross * &w;
    // No more than two matrices at a time.
    drop((cross, w));
    Cholesky::of(damped(h.to_owned(), damping)?)?.solve(&mut step);
    let after = |i: usize| weights[i] + step[(i % depth, i / depth)] as f32;
    Some((0..weights.len()).map(after).collect())
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
    fn survivors_take_over_what_the_others_carried() {
        let h = Mat::from_fn(2, 2, |i, j| [[10.0, 9.0], [9.0, 9.5]][i][j]);
        // What w = (0.4, 0.3) gives, with the second weight alone.
        let g = [10.0 * 0.4 + 9.0 * 0.3, 9.0 * 0.4 + 9.5 * 0.3];
        let w = least_squares(h.as_ref(), |k| g[k], &[0.4, 0.3], &[1], 0.0).unwrap();
        assert!((w[0] - (0.3 + 0.4 * 9.0 / 9.5)).abs() < 1e-9, "{w:?}");
        assert!(least_squares(Mat::<f64>::zeros(2, 2).as_ref(), |_| 0.0, &[0.0; 2], &[0], 0.1).is_none());
    }

    #[test]
    fn weights_move_to_what_makes_the_same_of_other_rows() {
        // The rows have become half of what they were: weights double, less what damping holds back.
        let diagonal = |v: f64| Mat::from_fn(2, 2, |i, j| if i == j { v } else { 0.0 });
        let (h, cross) = (diagonal(4.0), diagonal(8.0));
        let moved = |damping| retargeted(&[1.0, -3.0], h.as_ref(), cross.clone(), damping).unwrap();
        assert_eq!((moved(0.0), moved(1.0)), (vec![2.0, -6.0], vec![1.5, -4.5]));
        assert!(retargeted(&[1.0, 1.0], diagonal(0.0).as_ref(), cross.clone(), 0.1).is_none());
    }

    #[test]
    fn what_is_never_seen_cannot_be_inverted_without_damping() {
        assert!(Compensation::of(&[0.0; 4], 2, 0.01).is_none());
        assert!(Compensation::of(&[1.0, 0.0, 0.0, 0.0], 2, 0.0).is_none());
        assert!(Compensation::of(&[1.0, 0.0, 0.0, 0.0], 2, 0.01).is_some());
    }
}
