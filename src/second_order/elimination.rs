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
use faer::{Accum, Mat, MatRef, Par};

use super::cholesky::Cholesky;
use super::solve::damped;

/// A layer that loses channels.
#[derive(Debug)]
pub struct Elimination {
    inverse: Mat<f64>,
    /// Row by row an output.
    weights: Mat<f64>,
    /// The weights of each channel.
    blocks: Vec<Vec<usize>>,
    /// Σ_o w_ocᵀ·w_oc of each channel, row after row: all of the weights that its cost looks at.
    squares: Vec<Vec<f64>>,
    gone: Vec<bool>,
}

impl Elimination {
    /// `h`, of which the lower half counts; `weights`: one for each of its rows, output after output; `blocks`: which of them each channel has.
    /// `None` where the damped matrix cannot be inverted.
    pub fn new(h: Mat<f64>, weights: &[f32], blocks: Vec<Vec<usize>>, damping: f64) -> Option<Self> {
        let depth = h.nrows();
        let inverse = Cholesky::of(damped(h, damping)?)?.inverse();
        let weights = Mat::from_fn(weights.len() / depth, depth, |o, k| f64::from(weights[o * depth + k]));
        let gone = vec![false; blocks.len()];
        let squares = blocks.iter().map(|at| squares(&weights, at)).collect();
        Some(Elimination { inverse, weights, blocks, squares, gone })
    }

    /// E(c); nothing where the channel is gone or has no weights here.
    pub fn cost(&self, c: usize) -> f64 {
        let at = &self.blocks[c];
        match at[..] {
            _ if self.gone[c] => 0.0,
            [] => 0.0,
            [k] => self.squares[c][0] / self.inverse[(k, k)].max(f64::MIN_POSITIVE),
            _ => {
                // Σ_o w·P·wᵀ = tr(P·Σ_o wᵀ·w)
                let own = at.iter().flat_map(|i| at.iter().map(|j| self.inverse[(*i, *j)])).collect();
                trace_of_quotient(own, &self.squares[c], at.len()).unwrap_or(f64::INFINITY)
            }
        }
        .max(0.0)
    }

    /// Takes channels away, all at once; what that costs.
    pub fn remove(&mut self, channels: &[usize]) -> f64 {
        let new = channels.iter().filter(|c| !self.gone[**c]);
        let at: Vec<usize> = new.flat_map(|c| self.blocks[*c].iter().copied()).collect();
        channels.iter().for_each(|c| self.gone[*c] = true);
        if at.is_empty() {
            return 0.0;
        }
        let own = Mat::from_fn(at.len(), at.len(), |i, j| self.inverse[(at[i], at[j])]);
        let Some(factor) = Cholesky::of(own) else { return f64::INFINITY };
        let p = factor.inverse();
        let (depth, outputs) = (self.inverse.nrows(), self.weights.nrows());
        let rows = Mat::from_fn(at.len(), depth, |i, k| self.inverse[(at[i], k)]);
        let own = Mat::from_fn(outputs, at.len(), |o, i| self.weights[(o, at[i])]);
        let product = |a: MatRef<f64>, b: MatRef<f64>| {
            let mut c = Mat::zeros(a.nrows(), b.ncols());
            matmul(c.as_mut(), Accum::Replace, a, b, 1.0, Par::Seq);
            c
        };
        let step = product(own.as_ref(), p.as_ref());
        let cost = (0..outputs).map(|o| (0..at.len()).map(|i| step[(o, i)] * own[(o, i)]).sum::<f64>()).sum::<f64>();
        let columns = product(rows.transpose(), p.as_ref());
        let cross = product(step.transpose(), self.weights.as_ref());
        let steps = product(step.transpose(), step.as_ref());
        self.follow(&rows, &cross, &steps);
        matmul(self.weights.as_mut(), Accum::Add, step.as_ref(), rows.as_ref(), -1.0, Par::Seq);
        matmul(self.inverse.as_mut(), Accum::Add, columns.as_ref(), rows.as_ref(), -1.0, Par::Seq);
        for k in at {
            // What is gone has no numbers left but rounding.
            (0..depth).for_each(|i| (self.inverse[(i, k)], self.inverse[(k, i)]) = (0.0, 0.0));
            (0..outputs).for_each(|o| self.weights[(o, k)] = 0.0);
        }
        cost.max(0.0)
    }

    /// The squares of W − S·R: WᵀW + Rᵀ·(SᵀS·R − SᵀW) − (SᵀW)ᵀ·R, block by block.
    fn follow(&mut self, rows: &Mat<f64>, cross: &Mat<f64>, steps: &Mat<f64>) {
        let mut inner = Mat::from_fn(cross.nrows(), cross.ncols(), |s, k| -cross[(s, k)]);
        matmul(inner.as_mut(), Accum::Add, steps.as_ref(), rows.as_ref(), 1.0, Par::Seq);
        // The numbers of one weight next to each other.
        let count = rows.nrows();
        let flat = |m: &Mat<f64>| -> Vec<f64> { m.col_iter().flat_map(|c| c.iter().copied()).collect() };
        let (rows, cross, inner) = (flat(rows), flat(cross), flat(&inner));
        let of = |k: usize| k * count..(k + 1) * count;
        for ((at, squares), gone) in self.blocks.iter().zip(&mut self.squares).zip(&self.gone) {
            if *gone {
                continue;
            }
            for (i, a) in at.iter().enumerate() {
                let (left, minus) = (&rows[of(*a)], &cross[of(*a)]);
                for (j, b) in at.iter().enumerate() {
                    let (plus, right) = (&inner[of(*b)], &rows[of(*b)]);
                    let mut sum = 0.0;
                    for s in 0..count {
                        sum += left[s] * plus[s] - minus[s] * right[s];
                    }
                    squares[i * at.len() + j] += sum;
                }
            }
        }
    }

    /// The weights as they are now, zeros where channels are gone: `depth` for each output.
    pub fn weights(&self) -> Vec<f32> {
        let (outputs, depth) = (self.weights.nrows(), self.weights.ncols());
        (0..outputs).flat_map(|o| (0..depth).map(move |k| (o, k))).map(|at| self.weights[at] as f32).collect()
    }
}

fn squares(weights: &Mat<f64>, at: &[usize]) -> Vec<f64> {
    let own = Mat::from_fn(weights.nrows(), at.len(), |o, i| weights[(o, at[i])]);
    let mut found = Mat::zeros(at.len(), at.len());
    matmul(found.as_mut(), Accum::Replace, own.transpose(), own.as_ref(), 1.0, Par::Seq);
    (0..at.len()).flat_map(|i| (0..at.len()).map(move |j| (i, j))).map(|ij| found[ij]).collect()
}

/// tr(A⁻¹·Q) of two symmetric matrices of `n` rows, by the Cholesky factor of A; `None` where A is not positive.
fn trace_of_quotient(mut a: Vec<f64>, q: &[f64], n: usize) -> Option<f64> {
    for j in 0..n {
        for i in j..n {
            let mut sum = a[i * n + j];
            for k in 0..j {
                sum -= a[i * n + k] * a[j * n + k];
            }
            if i > j {
                a[i * n + j] = sum / a[j * n + j];
            } else if sum > 0.0 {
                a[j * n + j] = sum.sqrt();
            } else {
                return None;
            }
        }
    }
    // tr(L⁻ᵀ·L⁻¹·Q) = tr(L⁻¹·Q·L⁻ᵀ): solved from both sides, of which only the diagonal is needed.
    let solve = |b: &mut [f64]| {
        for i in 0..n {
            for k in 0..i {
                b[i] -= a[i * n + k] * b[k];
            }
            b[i] /= a[i * n + i];
        }
    };
    let mut half: Vec<f64> = q.to_vec();
    half.chunks_mut(n).for_each(&solve);
    let mut trace = 0.0;
    for j in 0..n {
        let mut column: Vec<f64> = (0..n).map(|i| half[i * n + j]).collect();
        solve(&mut column);
        trace += column[j];
    }
    Some(trace)
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
        let matrix = || Mat::from_fn(3, 3, |i, j| h[i * 3 + j]);
        let mut e = Elimination::new(matrix(), &w, vec![vec![0, 1], vec![2]], 0.0).unwrap();
        let (both, one) = (e.cost(0), e.cost(1));
        assert!(one > 0.0 && both > 0.0);
        assert!((e.remove(&[1]) - one).abs() < 1e-9);
        let left = e.weights();
        assert_eq!(left[2], 0.0);
        assert!((error(&h, &w, &left) - one).abs() < 1e-5);
        // From there, losing all costs the rest of wᵀ·H·w.
        assert!((one + e.cost(0) - error(&h, &w, &[0.0; 3])).abs() < 1e-5);
        assert_eq!(e.cost(1), 0.0);
        let mut together = Elimination::new(matrix(), &w, vec![vec![0, 1], vec![2]], 0.0).unwrap();
        assert!((together.remove(&[0, 1]) - error(&h, &w, &[0.0; 3])).abs() < 1e-5);
    }
}
