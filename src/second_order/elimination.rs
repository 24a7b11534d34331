//! Which input channels of a layer cost least to lose, one after the other, and what the others become.
//!
//! ```text
//! cost of channel c       E(c) = Σ_o w_oc · ([H⁻¹]_cc)⁻¹ · w_ocᵀ           w_oc the weights of output o on channel c
//! when it goes            w ← w − w_c · ([H⁻¹]_cc)⁻¹ · [H⁻¹]_c,:            H⁻¹ ← H⁻¹ − [H⁻¹]_:,c · ([H⁻¹]_cc)⁻¹ · [H⁻¹]_c,:
//! ```
//!
//! The optimal brain surgeon of whole channels (Hassibi and Stork 1993; Kurtic et al., "ZipLM", NeurIPS 2023): E(c) is what the layer's
//! output loses in squares when the weights that are left make up for it as well as they can.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{DenseSolveCore, Llt};
use faer::{Accum, Mat, Par, Side};

/// A layer that loses channels.
#[derive(Debug)]
pub struct Elimination {
    inverse: Mat<f64>,
    /// Row by row an output.
    weights: Mat<f64>,
    /// The weights of each channel.
    blocks: Vec<Vec<usize>>,
    gone: Vec<bool>,
}

impl Elimination {
    /// `h`: `depth`² numbers, row after row; `weights`: `depth` for each output; `blocks`: which of them each channel has.
    /// `None` where the damped matrix cannot be inverted.
    pub fn new(h: &[f64], weights: &[f32], blocks: Vec<Vec<usize>>, damping: f64) -> Option<Self> {
        let depth = h.len().isqrt();
        let diagonal = |k: usize| h[k * depth + k];
        let mean = (0..depth).map(diagonal).sum::<f64>() / depth.max(1) as f64;
        if !(mean.is_finite() && mean > 0.0) || depth == 0 {
            return None;
        }
        let damp = |i: usize, j: usize| if i == j { damping * mean } else { 0.0 };
        let damped = Mat::from_fn(depth, depth, |i, j| h[i * depth + j] + damp(i, j));
        let inverse = Llt::new(damped.as_ref(), Side::Lower).ok()?.inverse();
        let weights = Mat::from_fn(weights.len() / depth, depth, |o, k| f64::from(weights[o * depth + k]));
        let gone = vec![false; blocks.len()];
        Some(Elimination { inverse, weights, blocks, gone })
    }

    /// ([H⁻¹]_cc)⁻¹
    fn block(&self, c: usize) -> Option<Mat<f64>> {
        let at = &self.blocks[c];
        let own = Mat::from_fn(at.len(), at.len(), |i, j| self.inverse[(at[i], at[j])]);
        Llt::new(own.as_ref(), Side::Lower).ok().map(|l| l.inverse())
    }

    /// E(c); nothing where the channel is gone or has no weights here.
    pub fn cost(&self, c: usize) -> f64 {
        let at = &self.blocks[c];
        if self.gone[c] || at.is_empty() {
            return 0.0;
        }
        // Σ_o w·P·wᵀ = Σ_ij P_ij·(Wᵀ·W)_ij
        let Some(p) = self.block(c) else { return f64::INFINITY };
        let mut sum = 0.0;
        for i in 0..at.len() {
            for j in 0..=i {
                let w = self.weights.col(at[i]).transpose() * self.weights.col(at[j]);
                sum += p[(i, j)] * w * if i == j { 1.0 } else { 2.0 };
            }
        }
        sum.max(0.0)
    }

    /// Takes the channel away.
    pub fn remove(&mut self, c: usize) {
        let at = self.blocks[c].clone();
        if std::mem::replace(&mut self.gone[c], true) || at.is_empty() {
            return;
        }
        let Some(p) = self.block(c) else { return };
        let depth = self.inverse.nrows();
        let rows = Mat::from_fn(at.len(), depth, |i, k| self.inverse[(at[i], k)]);
        let columns = rows.transpose().to_owned() * &p;
        let own = Mat::from_fn(self.weights.nrows(), at.len(), |o, i| self.weights[(o, at[i])]);
        let step = own * p;
        matmul(self.weights.as_mut(), Accum::Add, step.as_ref(), rows.as_ref(), -1.0, Par::Seq);
        matmul(self.inverse.as_mut(), Accum::Add, columns.as_ref(), rows.as_ref(), -1.0, Par::Seq);
        for k in at {
            // What is gone has no numbers left but rounding.
            self.inverse.col_mut(k).fill(0.0);
            self.inverse.row_mut(k).fill(0.0);
            self.weights.col_mut(k).fill(0.0);
        }
    }

    /// The weights as they are now, zeros where channels are gone: `depth` for each output.
    pub fn weights(&self) -> Vec<f32> {
        let (outputs, depth) = (self.weights.nrows(), self.weights.ncols());
        (0..outputs).flat_map(|o| (0..depth).map(move |k| (o, k))).map(|at| self.weights[at] as f32).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// ‖(w − v)·X‖² for H = X·Xᵀ.
    fn error(h: &[f64], w: &[f32], v: &[f32]) -> f64 {
        let depth = w.len();
        let d: Vec<f64> = w.iter().zip(v).map(|(a, b)| f64::from(a - b)).collect();
        (0..depth).flat_map(|i| (0..depth).map(move |j| (i, j))).map(|(i, j)| d[i] * d[j] * h[i * depth + j]).sum()
    }

    #[test]
    fn the_cost_told_is_the_error_made() {
        let h = [4.0, 1.0, 0.5, 1.0, 3.0, 1.5, 0.5, 1.5, 5.0];
        let w = [0.5, -0.4, 0.7];
        let mut e = Elimination::new(&h, &w, vec![vec![0, 1], vec![2]], 0.0).unwrap();
        let (both, one) = (e.cost(0), e.cost(1));
        assert!(one > 0.0 && both > 0.0);
        e.remove(1);
        let left = e.weights();
        assert_eq!(left[2], 0.0);
        assert!((error(&h, &w, &left) - one).abs() < 1e-5);
        // From there, losing all costs the rest of wᵀ·H·w.
        assert!((one + e.cost(0) - error(&h, &w, &[0.0; 3])).abs() < 1e-5);
        assert_eq!(e.cost(1), 0.0);
    }
}
