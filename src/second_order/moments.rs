//! What it takes to solve the weights of a layer anew: the second moments of its rows, and those of rows and wanted outputs.
//!
//! ```text
//! H = Σ x·xᵀ        G = Σ t·xᵀ        x the rows that meet the weights, t the outputs that are wanted at the same positions
//! ```
//!
//! Added up in f32 within a batch of rows and in f64 from batch to batch, so that the means can be taken off afterwards
//! ([`Moments::centred`]): a layer with a bias has them for free.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, Par};

/// Sums over rows `[depth]` and wanted outputs `[outputs]` of one group.
#[derive(Debug, Clone)]
pub struct Moments {
    pub rows: usize,
    /// `[depth, depth]`, of which the lower half counts.
    h: Mat<f64>,
    /// `[depth, outputs]`.
    g: Mat<f64>,
    x: Vec<f64>,
    t: Vec<f64>,
}

/// The two matrices of a least-squares problem, and the means that were taken off.
#[derive(Debug, Clone)]
pub struct Centred {
    /// `[depth, depth]`, symmetric.
    pub h: Mat<f64>,
    /// `[depth, outputs]`.
    pub g: Mat<f64>,
    /// Zero where none was taken off.
    pub x: Vec<f64>,
    pub t: Vec<f64>,
    rows: usize,
}

impl Centred {
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// 0 … depth in the order of falling H_kk.
    pub fn falling(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.h.nrows()).collect();
        order.sort_by(|a, b| self.h[(*b, *b)].total_cmp(&self.h[(*a, *a)]));
        order
    }

    /// The mean of x_k².
    pub fn mean_square(&self, k: usize) -> f64 {
        self.h[(k, k)].max(0.0) / self.rows.max(1) as f64 + self.x[k] * self.x[k]
    }
}

impl Moments {
    pub fn new(depth: usize, outputs: usize) -> Self {
        let (h, g) = (Mat::zeros(depth, depth), Mat::zeros(depth, outputs));
        Moments { rows: 0, h, g, x: vec![0.0; depth], t: vec![0.0; outputs] }
    }

    /// Adds rows `x` `[rows, depth]` and outputs `t` `[rows, outputs]`.
    pub fn add(&mut self, x: faer::MatRef<f32>, t: faer::MatRef<f32>) {
        let mut h = Mat::<f32>::zeros(x.ncols(), x.ncols());
        let (rect, lower) = (BlockStructure::Rectangular, BlockStructure::TriangularLower);
        triangular::matmul(h.as_mut(), lower, Accum::Replace, x.transpose(), rect, x, rect, 1.0, Par::Seq);
        let mut g = Mat::<f32>::zeros(x.ncols(), t.ncols());
        matmul(g.as_mut(), Accum::Replace, x.transpose(), t, 1.0, Par::Seq);
        for j in 0..x.ncols() {
            (j..x.ncols()).for_each(|i| self.h[(i, j)] += f64::from(h[(i, j)]));
        }
        for j in 0..t.ncols() {
            (0..x.ncols()).for_each(|i| self.g[(i, j)] += f64::from(g[(i, j)]));
        }
        let sum = |m: faer::MatRef<f32>, j: usize| m.col(j).iter().map(|v| f64::from(*v)).sum::<f64>();
        self.x.iter_mut().enumerate().for_each(|(j, s)| *s += sum(x, j));
        self.t.iter_mut().enumerate().for_each(|(j, s)| *s += sum(t, j));
        self.rows += x.nrows();
    }

    /// Adds what others saw.
    pub fn merge(&mut self, other: &Moments) {
        self.h += &other.h;
        self.g += &other.g;
        self.x.iter_mut().zip(&other.x).for_each(|(a, b)| *a += b);
        self.t.iter_mut().zip(&other.t).for_each(|(a, b)| *a += b);
        self.rows += other.rows;
    }

    /// The matrices with the means taken off where `intercept` says that a bias makes up for them.
    pub fn centred(mut self, intercept: bool) -> Centred {
        let rows = self.rows.max(1) as f64;
        let mean = |sums: &[f64]| sums.iter().map(|s| if intercept { s / rows } else { 0.0 }).collect::<Vec<_>>();
        let (x, t) = (mean(&self.x), mean(&self.t));
        for j in 0..self.h.ncols() {
            for i in j..self.h.nrows() {
                let v = self.h[(i, j)] - rows * x[i] * x[j];
                (self.h[(i, j)], self.h[(j, i)]) = (v, v);
            }
        }
        for (j, t) in t.iter().enumerate() {
            (0..self.g.nrows()).for_each(|i| self.g[(i, j)] -= rows * x[i] * t);
        }
        Centred { h: self.h, g: self.g, x, t, rows: self.rows }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use faer::MatRef;

    #[test]
    fn means_are_taken_off_exactly() {
        let (x, t) = ([1.0f32, 2.0, 3.0, 5.0, 2.0, 2.0], [10.0f32, 14.0, 12.0]);
        let mut m = Moments::new(2, 1);
        m.add(MatRef::from_row_major_slice(&x[..4], 2, 2), MatRef::from_row_major_slice(&t[..2], 2, 1));
        let mut rest = Moments::new(2, 1);
        rest.add(MatRef::from_row_major_slice(&x[4..], 1, 2), MatRef::from_row_major_slice(&t[2..], 1, 1));
        m.merge(&rest);
        let plain = m.clone().centred(false);
        assert_eq!((plain.h[(0, 1)], plain.g[(1, 0)], plain.x[0]), (21.0, 114.0, 0.0));
        let c = m.centred(true);
        assert!(
            (c.h[(0, 0)] - 2.0).abs() < 1e-9 && (c.h[(1, 0)] - 3.0).abs() < 1e-9 && (c.g[(0, 0)] - 4.0).abs() < 1e-9
        );
        assert_eq!((c.x[1], c.t[0]), (3.0, 12.0));
    }
}
