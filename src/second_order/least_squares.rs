//! The weights with which a layer comes nearest to wanted outputs, and stays near the weights it has.
//!
//! ```text
//! W' = argmin Σ ‖W'·x + b' − t‖² + λ·mean(G_kk)·‖W' − W‖²        G = Σ x·xᵀ    C = Σ t·xᵀ    x with a 1 at its end for the bias
//!    = W + (C − W·G)·(G + λ·mean(G_kk)·I)⁻¹
//! ```
//!
//! Rows are added up batch by batch, so that memory does not grow with the data.

use faer::linalg::matmul::matmul;
use faer::linalg::solvers::{Llt, Solve};
use faer::{Accum, Mat, MatMut, MatRef, Par, Side};
use rayon::prelude::*;

/// Sums over the rows of one layer, or of one group of a grouped convolution.
#[derive(Debug, Clone)]
pub struct LeastSquares {
    depth: usize,
    outputs: usize,
    /// `depth`, and one more for the bias.
    width: usize,
    pub rows: usize,
    gram: Vec<f64>,
    cross: Vec<f64>,
}

impl LeastSquares {
    /// For `depth` weights an output, the bias not counted; without `outputs` it holds the inputs alone.
    pub fn new(depth: usize, outputs: usize, bias: bool) -> Self {
        let width = depth + usize::from(bias);
        LeastSquares {
            depth,
            outputs,
            width,
            rows: 0,
            gram: vec![0.0; width * width],
            cross: vec![0.0; outputs * width],
        }
    }

    /// Adds `count` rows that lie `stride` numbers apart, the inputs and the targets.
    pub fn add(&mut self, count: usize, (x, x_stride): (&[f32], usize), (t, t_stride): (&[f32], usize)) {
        if count == 0 || self.depth == 0 {
            return;
        }
        let (width, depth, outputs) = (self.width, self.depth, self.outputs);
        let mut rows = Vec::with_capacity(count * width);
        for i in 0..count {
            rows.extend_from_slice(&x[i * x_stride..][..depth]);
            rows.extend(std::iter::repeat_n(1.0, width - depth));
        }
        let targets: Vec<f32> = (0..count).flat_map(|i| &t[i * t_stride..][..outputs]).copied().collect();
        let rows = MatRef::from_row_major_slice(&rows, count, width);
        let targets = MatRef::from_row_major_slice(&targets, count, outputs);
        // Some rows of the sums on each core: no sum is split, so that the same data give the same bits.
        let product = |left: MatRef<f32>, sums: &mut [f64]| {
            let some = left.ncols().div_ceil(rayon::current_num_threads()).max(1);
            sums.par_chunks_mut(some * width).enumerate().for_each(|(i, sums)| {
                let left = left.subcols(i * some, sums.len() / width);
                let mut found = vec![0f32; sums.len()];
                let into = MatMut::from_row_major_slice_mut(&mut found, left.ncols(), width);
                matmul(into, Accum::Replace, left.transpose(), rows, 1.0, Par::Seq);
                sums.iter_mut().zip(found).for_each(|(s, v)| *s += f64::from(v));
            });
        };
        product(rows, &mut self.gram);
        product(targets, &mut self.cross);
        self.rows += count;
    }

    /// Adds the sums of `other`, which must be of the same layer.
    pub fn merge(&mut self, other: &LeastSquares) {
        self.gram.iter_mut().zip(&other.gram).for_each(|(a, b)| *a += b);
        self.cross.iter_mut().zip(&other.cross).for_each(|(a, b)| *a += b);
        self.rows += other.rows;
    }

    /// G, row after row.
    pub fn into_gram(self) -> Vec<f64> {
        self.gram
    }

    /// W' with b' at the end of each output, from W and b in that form. `None` where nothing was seen.
    pub fn solve(&self, weights: &[f32], damping: f64) -> Option<Vec<f32>> {
        let width = self.width;
        let mean = (0..self.depth).map(|k| self.gram[k * width + k]).sum::<f64>() / self.depth.max(1) as f64;
        if !(mean.is_finite() && mean > 0.0) {
            return None;
        }
        // The bias is free: its own diagonal is far from those of the inputs.
        let damp =
            |i: usize, j: usize| if i == j { if i < self.depth { damping * mean } else { 1e-9 * mean } } else { 0.0 };
        let gram = MatRef::from_row_major_slice(&self.gram, width, width);
        let damped = Mat::from_fn(width, width, |i, j| gram[(i, j)] + damp(i, j));
        let present = Mat::from_fn(width, self.outputs, |k, o| f64::from(weights[o * width + k]));
        let cross = MatRef::from_row_major_slice(&self.cross, self.outputs, width);
        let missing = cross.transpose().to_owned() - gram * &present;
        let step = Llt::new(damped.as_ref(), Side::Lower).ok()?.solve(missing);
        let value = |o: usize, k: usize| (present[(k, o)] + step[(k, o)]) as f32;
        let found: Vec<f32> = (0..self.outputs).flat_map(|o| (0..width).map(move |k| value(o, k))).collect();
        found.iter().all(|v| v.is_finite()).then_some(found)
    }

    /// Σ ‖W·x + b − t‖² less Σ ‖t‖²: what tells two choices of weights apart.
    pub fn error(&self, weights: &[f32]) -> f64 {
        let width = self.width;
        let gram = MatRef::from_row_major_slice(&self.gram, width, width);
        let w = Mat::from_fn(width, self.outputs, |k, o| f64::from(weights[o * width + k]));
        let gw = gram * &w;
        let cross = |o: usize, k: usize| self.cross[o * width + k];
        let of = |o: usize| (0..width).map(|k| w[(k, o)] * (gw[(k, o)] - 2.0 * cross(o, k))).sum::<f64>();
        (0..self.outputs).map(of).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_layer_is_found_again() {
        // t = 2·x₀ − x₁ + 0.5, and a second input that follows the first.
        let mut sums = LeastSquares::new(2, 1, true);
        let rows: Vec<[f32; 2]> = (0..40).map(|i| [(i % 7) as f32 - 3.0, (i % 5) as f32]).collect();
        let x: Vec<f32> = rows.iter().flatten().copied().collect();
        let t: Vec<f32> = rows.iter().map(|r| 2.0 * r[0] - r[1] + 0.5).collect();
        sums.add(40, (&x, 2), (&t, 1));
        let w = sums.solve(&[0.0; 3], 0.0).unwrap();
        assert!(w.iter().zip([2.0, -1.0, 0.5]).all(|(a, b)| (a - b).abs() < 1e-4), "{w:?}");
        let near = sums.solve(&[1.0, 1.0, 1.0], 1e9).unwrap();
        assert!((near[0] - 1.0).abs() < 1e-3 && (near[1] - 1.0).abs() < 1e-3);
        assert!(sums.error(&w) < sums.error(&near));
    }
}
