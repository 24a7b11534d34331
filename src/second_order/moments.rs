//! What it takes to solve the weights of a layer anew: the second moments of its rows, and those of rows and wanted outputs.
//!
//! ```text
//! H = Σ x·xᵀ        G = Σ t·xᵀ        x the rows that meet the weights, t the outputs that are wanted at the same positions
//! ```
//!
//! Added up in f32 within a batch of rows and in f64 from batch to batch, so that the means can be taken off afterwards
//! ([`Moments::centred`]): a layer with a bias has them for free, and its bias follows from the weights, b = t̄ − W·x̄.

use faer::linalg::matmul::matmul;
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::{Accum, Mat, Par};

use super::cholesky::Cholesky;
use super::solve::{falling, raised};

/// Wanted outputs whose sums in f32 are in memory together.
const TOGETHER: usize = 256;

/// Sums over rows `[depth]` and wanted outputs `[outputs]` of one group.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Rows that were added.
    pub rows: usize,
    /// `[depth, depth]`, of which the lower half counts.
    h: Mat<f64>,
    /// `[depth, outputs]`.
    g: Mat<f64>,
    x: Vec<f64>,
    t: Vec<f64>,
}

/// What is left of rows of equal numbers when their means are taken off, as a share of what they were.
const STILL: f64 = 1e-6;

/// The two matrices of a least-squares problem, and the means that were taken off.
#[derive(Debug, Clone)]
pub struct Centred {
    /// `[depth, depth]`, symmetric.
    pub h: Mat<f64>,
    /// `[depth, outputs]`.
    pub g: Mat<f64>,
    /// The mean of the rows; zero where none was taken off.
    pub x: Vec<f64>,
    /// That of the wanted outputs.
    pub t: Vec<f64>,
    rows: usize,
}

impl Centred {
    /// Rows that were added.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// 0 … depth in the order of falling H_kk.
    pub fn falling(&self) -> Vec<usize> {
        falling(self.h.nrows(), |k| self.h[(k, k)])
    }

    /// The mean of x_k².
    pub fn mean_square(&self, k: usize) -> f64 {
        self.h[(k, k)].max(0.0) / self.rows.max(1) as f64 + self.x[k] * self.x[k]
    }

    /// Whether the rows hardly differ, as those of a channel that is zero by now: a bias can make up for any weights, and none can be told.
    pub fn is_still(&self) -> bool {
        let (moves, all) = (0..self.h.nrows())
            .fold((0.0, 0.0), |(moves, all), k| (moves + self.h[(k, k)], all + self.mean_square(k) * self.rows as f64));
        moves <= STILL * all
    }

    /// The bias that goes with these weights of an output: t̄ − w·x̄.
    pub fn shift(&self, output: usize, row: &[f32]) -> f64 {
        self.t[output] - row.iter().zip(&self.x).map(|(w, x)| f64::from(*w) * x).sum::<f64>()
    }

    /// The weights that come nearest to the wanted outputs and stay near `weights`, both `[outputs, depth]`:
    ///
    /// ```text
    /// W' = W + (G − W·H)·(H + λ·mean(Σ x_k²)·I)⁻¹        G − W·H is what is `missing`
    /// ```
    ///
    /// Where the rows stand still, these; `None` where they are no numbers.
    pub fn nearest(&self, weights: &[f32], missing: &Mat<f64>, damping: f64) -> Option<Vec<f32>> {
        if self.is_still() {
            return Some(weights.to_vec());
        }
        let depth = self.h.nrows();
        let mean = (0..depth).map(|k| self.mean_square(k)).sum::<f64>() * self.rows as f64 / depth.max(1) as f64;
        if !(mean.is_finite() && mean > 0.0) {
            return None;
        }
        let mut step = missing.clone();
        Cholesky::of(raised(self.h.clone(), damping * mean))?.solve(&mut step);
        let value = |i: usize| (f64::from(weights[i]) + step[(i % depth, i / depth)]) as f32;
        let found: Vec<f32> = (0..weights.len()).map(value).collect();
        found.iter().all(|v| v.is_finite()).then_some(found)
    }

    /// (G − W·H)ᵀ `[depth, outputs]` of weights `[outputs, depth]`.
    pub fn missing(&self, weights: &[f32]) -> Mat<f64> {
        &self.g - &self.h * columns(weights, self.h.nrows())
    }

    /// Σ ‖W·x + b − t‖² less Σ ‖t − t̄‖²: what tells two choices of weights `[outputs, depth]` and biases apart.
    pub fn error(&self, weights: &[f32], biases: &[f64]) -> f64 {
        let depth = self.h.nrows();
        let w = columns(weights, depth);
        let hw = &self.h * &w;
        let of = |(o, row): (usize, &[f32])| {
            let means = self.rows as f64 * (self.shift(o, row) - biases[o]).powi(2);
            (0..depth).map(|k| w[(k, o)] * (hw[(k, o)] - 2.0 * self.g[(k, o)])).sum::<f64>() + means
        };
        weights.chunks(depth.max(1)).enumerate().map(of).sum()
    }

    /// Those of some of the inputs and outputs.
    pub fn part(&self, inputs: &[bool], outputs: &[bool]) -> Centred {
        let numbers = |stays: &[bool]| -> Vec<usize> { (0..stays.len()).filter(|i| stays[*i]).collect() };
        let (inputs, outputs) = (numbers(inputs), numbers(outputs));
        let some = |all: &[f64], numbers: &[usize]| numbers.iter().map(|i| all[*i]).collect();
        Centred {
            h: Mat::from_fn(inputs.len(), inputs.len(), |i, j| self.h[(inputs[i], inputs[j])]),
            g: Mat::from_fn(inputs.len(), outputs.len(), |i, o| self.g[(inputs[i], outputs[o])]),
            x: some(&self.x, &inputs),
            t: some(&self.t, &outputs),
            rows: self.rows,
        }
    }

    /// Adds what others saw, whose means were taken off or not as these were.
    pub fn merge(&mut self, other: &Centred) {
        let (n, m) = (self.rows as f64, other.rows as f64);
        if n + m == 0.0 {
            return;
        }
        self.h += &other.h;
        self.g += &other.g;
        let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| b - a).collect::<Vec<f64>>();
        let (x, t) = (apart(&self.x, &other.x), apart(&self.t, &other.t));
        let both = n * m / (n + m);
        for j in 0..x.len() {
            (0..x.len()).for_each(|i| self.h[(i, j)] += both * x[i] * x[j]);
        }
        for (j, t) in t.iter().enumerate() {
            (0..x.len()).for_each(|i| self.g[(i, j)] += both * x[i] * t);
        }
        let mean = |a: &mut [f64], d: &[f64]| a.iter_mut().zip(d).for_each(|(a, d)| *a += m / (n + m) * d);
        mean(&mut self.x, &x);
        mean(&mut self.t, &t);
        self.rows += other.rows;
    }
}

/// Rows `[outputs, depth]` as columns.
fn columns(weights: &[f32], depth: usize) -> Mat<f64> {
    Mat::from_fn(depth, weights.len() / depth.max(1), |k, o| f64::from(weights[o * depth + k]))
}

impl Moments {
    /// Of no rows so far.
    pub fn new(depth: usize, outputs: usize) -> Self {
        let (h, g) = (Mat::zeros(depth, depth), Mat::zeros(depth, outputs));
        Moments { rows: 0, h, g, x: vec![0.0; depth], t: vec![0.0; outputs] }
    }

    /// Of means alone: H and G stay empty.
    pub fn means(depth: usize, outputs: usize) -> Self {
        Moments { rows: 0, h: Mat::new(), g: Mat::new(), x: vec![0.0; depth], t: vec![0.0; outputs] }
    }

    /// Adds rows `x` `[rows, depth]` and outputs `t` `[rows, outputs]`.
    pub fn add(&mut self, x: faer::MatRef<f32>, t: faer::MatRef<f32>) {
        if self.h.nrows() == x.ncols() {
            self.add_products(x, t);
        }
        let sum = |m: faer::MatRef<f32>, j: usize| m.col(j).iter().map(|v| f64::from(*v)).sum::<f64>();
        self.x.iter_mut().enumerate().for_each(|(j, s)| *s += sum(x, j));
        self.t.iter_mut().enumerate().for_each(|(j, s)| *s += sum(t, j));
        self.rows += x.nrows();
    }

    fn add_products(&mut self, x: faer::MatRef<f32>, t: faer::MatRef<f32>) {
        let mut h = Mat::<f32>::zeros(x.ncols(), x.ncols());
        let (rect, lower) = (BlockStructure::Rectangular, BlockStructure::TriangularLower);
        triangular::matmul(h.as_mut(), lower, Accum::Replace, x.transpose(), rect, x, rect, 1.0, Par::Seq);
        for j in 0..x.ncols() {
            (j..x.ncols()).for_each(|i| self.h[(i, j)] += f64::from(h[(i, j)]));
        }
        drop(h);
        for first in (0..t.ncols()).step_by(TOGETHER) {
            let some = t.subcols(first, TOGETHER.min(t.ncols() - first));
            let mut g = Mat::<f32>::zeros(x.ncols(), some.ncols());
            matmul(g.as_mut(), Accum::Replace, x.transpose(), some, 1.0, Par::Seq);
            for j in 0..some.ncols() {
                (0..x.ncols()).for_each(|i| self.g[(i, first + j)] += f64::from(g[(i, j)]));
            }
        }
    }

    /// Adds what others saw.
    pub fn merge(&mut self, other: &Moments) {
        self.h += &other.h;
        self.g += &other.g;
        self.x.iter_mut().zip(&other.x).for_each(|(a, b)| *a += b);
        self.t.iter_mut().zip(&other.t).for_each(|(a, b)| *a += b);
        self.rows += other.rows;
    }

    /// E[(x_k − x̄_k)²] of each k.
    pub fn variance(&self) -> Vec<f64> {
        let rows = self.rows.max(1) as f64;
        let of = |(k, sum): (usize, &f64)| (self.h[(k, k)] / rows - (sum / rows).powi(2)).max(0.0);
        self.x.iter().enumerate().map(of).collect()
    }

    /// The lower half of H, row after row, of rows that end in a 1 where there is a bias.
    pub fn gram(&self, bias: bool) -> Vec<f32> {
        let depth = self.h.nrows();
        let at = |i: usize, j: usize| match (i < depth, j < depth) {
            (true, _) => self.h[(i, j)],
            (false, true) => self.x[j],
            (false, false) => self.rows as f64,
        };
        let width = depth + usize::from(bias);
        (0..width).flat_map(|i| (0..=i).map(move |j| (i, j))).map(|(i, j)| at(i, j) as f32).collect()
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

    /// t = 2·x₀ − x₁ + 0.5, and a second input that follows the first.
    fn exact(rows: std::ops::Range<usize>) -> Moments {
        let x: Vec<f32> = rows.flat_map(|i| [(i % 7) as f32 - 3.0, (i % 5) as f32]).collect();
        let t: Vec<f32> = x.chunks(2).map(|r| 2.0 * r[0] - r[1] + 0.5).collect();
        let mut m = Moments::new(2, 1);
        m.add(MatRef::from_row_major_slice(&x, t.len(), 2), MatRef::from_row_major_slice(&t, t.len(), 1));
        m
    }

    #[test]
    fn means_alone_are_those_of_all_moments() {
        let (x, t) = ([1.0f32, 2.0, 3.0, 5.0], [10.0f32, 14.0]);
        let (mut all, mut means) = (Moments::new(2, 1), Moments::means(2, 1));
        for m in [&mut all, &mut means] {
            m.add(MatRef::from_row_major_slice(&x, 2, 2), MatRef::from_row_major_slice(&t, 2, 1));
        }
        means.merge(&means.clone());
        let (all, means) = (all.centred(true), means.centred(true));
        assert_eq!((&means.x, &means.t, means.rows()), (&all.x, &all.t, 4));
        assert_eq!((means.shift(0, &[2.0, 1.0]), means.h.nrows(), means.g.nrows()), (4.5, 0, 0));
    }

    #[test]
    fn an_exact_layer_is_found_again() {
        let c = exact(0..40).centred(true);
        let nearest = |start: &[f32], damping| c.nearest(start, &c.missing(start), damping).unwrap();
        let w = nearest(&[0.0; 2], 0.0);
        assert!((w[0] - 2.0).abs() < 1e-4 && (w[1] + 1.0).abs() < 1e-4 && (c.shift(0, &w) - 0.5).abs() < 1e-4);
        let near = nearest(&[1.0, 1.0], 1e9);
        assert!((near[0] - 1.0).abs() < 1e-3 && (near[1] - 1.0).abs() < 1e-3);
        let error = |w: &[f32], b: f64| c.error(w, &[b]);
        assert!(error(&w, c.shift(0, &w)) < error(&near, c.shift(0, &near)));
        // 40 rows, each wrong by 1 more.
        assert!((error(&w, c.shift(0, &w) + 1.0) - error(&w, c.shift(0, &w)) - 40.0).abs() < 1e-3);
    }

    #[test]
    fn an_input_that_went_is_made_up_for_by_one_that_follows_it() {
        // x₁ = 2·x₀ and t = x₀ + x₁.
        let x: Vec<f32> = (0..30).flat_map(|i| [(i % 7) as f32, (2 * (i % 7)) as f32]).collect();
        let t: Vec<f32> = x.chunks(2).flat_map(|r| [r[0], r[0] + r[1]]).collect();
        let mut m = Moments::new(2, 2);
        m.add(MatRef::from_row_major_slice(&x, 30, 2), MatRef::from_row_major_slice(&t, 30, 2));
        let left = m.centred(true).part(&[false, true], &[false, true]);
        assert_eq!((left.h.nrows(), left.g.shape(), left.x.len(), left.rows()), (1, (1, 1), 1, 30));
        let w = left.nearest(&[1.0], &left.missing(&[1.0]), 0.0).unwrap();
        assert!((w[0] - 1.5).abs() < 1e-4 && left.shift(0, &w).abs() < 1e-4, "{w:?}");
    }

    #[test]
    fn centred_sums_merge_as_plain_ones_do() {
        let mut merged = exact(0..13).centred(true);
        merged.merge(&exact(13..40).centred(true));
        let whole = exact(0..40).centred(true);
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(merged.h[(1, 0)], whole.h[(1, 0)]) && near(merged.g[(0, 0)], whole.g[(0, 0)]));
        assert!(near(merged.x[0], whole.x[0]) && near(merged.t[0], whole.t[0]) && merged.rows() == 40);
        let gram = exact(0..40).gram(true);
        assert_eq!((gram.len(), gram[5]), (6, 40.0));
        assert!((f64::from(gram[3]) - 40.0 * whole.x[0]).abs() < 1e-4);
    }
}
