//! Factors of symmetric matrices, made where the matrix lies: one of a deep layer takes as much memory as all of its weights.
//!
//! ```text
//! A = L·Lᵀ        A·x = b:  L·y = b, Lᵀ·x = y        A⁻¹ = L⁻ᵀ·L⁻¹
//! ```

use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::cholesky::llt::{factor, solve};
use faer::linalg::matmul::triangular::{self, BlockStructure};
use faer::linalg::triangular_inverse::invert_lower_triangular;
use faer::traits::RealField;
use faer::{Accum, Mat, MatRef, Par};

/// L, of which the lower half counts.
#[derive(Debug)]
pub struct Cholesky<T = f64>(Mat<T>);

impl<T: RealField> Cholesky<T> {
    /// L, of which the lower half counts.
    pub fn lower(&self) -> MatRef<'_, T> {
        self.0.as_ref()
    }

    /// A⁻¹·b in place of b.
    pub fn solve(&self, b: &mut Mat<T>) {
        let scratch = solve::solve_in_place_scratch::<T>(self.0.nrows(), b.ncols(), Par::Seq);
        let mut memory = MemBuffer::new(scratch);
        solve::solve_in_place(self.lower(), b.as_mut(), Par::Seq, MemStack::new(&mut memory));
    }
}

impl Cholesky {
    /// Of a matrix of which the lower half counts; `None` where it is not positive.
    pub fn of(mut matrix: Mat<f64>) -> Option<Self> {
        let scratch = factor::cholesky_in_place_scratch::<f64>(matrix.nrows(), Par::Seq, Default::default());
        let mut memory = MemBuffer::new(scratch);
        let stack = MemStack::new(&mut memory);
        factor::cholesky_in_place(matrix.as_mut(), Default::default(), Par::Seq, stack, Default::default()).ok()?;
        Some(Cholesky(matrix))
    }

    /// Rounded to f32: to solve many times with, where A is far from singular.
    pub fn single(self) -> Cholesky<f32> {
        Cholesky(Mat::from_fn(self.0.nrows(), self.0.ncols(), |i, j| self.0[(i, j)] as f32))
    }

    /// A⁻¹, both halves.
    pub fn inverse(self) -> Mat<f64> {
        let n = self.0.nrows();
        let mut l = Mat::zeros(n, n);
        invert_lower_triangular(l.as_mut(), self.lower(), Par::Seq);
        // Done with, and the same memory again.
        let mut inverse = self.0;
        let (lower, upper) = (BlockStructure::TriangularLower, BlockStructure::TriangularUpper);
        let (left, into) = (l.transpose(), inverse.as_mut());
        triangular::matmul(into, lower, Accum::Replace, left, upper, l.as_ref(), lower, 1.0, Par::Seq);
        for j in 0..n {
            (0..j).for_each(|i| inverse[(i, j)] = inverse[(j, i)]);
        }
        inverse
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lower_half_gives_solutions_and_the_inverse() {
        // The upper half is not looked at.
        let a = Mat::from_fn(3, 3, |i, j| [[4.0, 9.0, 9.0], [1.0, 3.0, 9.0], [0.5, 1.5, 5.0]][i][j]);
        let factor = Cholesky::of(a.clone()).unwrap();
        let mut b = Mat::from_fn(3, 2, |i, j| [[4.0, 5.5], [1.0, 5.5], [0.5, 7.0]][i][j]);
        factor.solve(&mut b);
        let wanted = Mat::from_fn(3, 2, |i, j| [[1.0, 1.0], [0.0, 1.0], [0.0, 1.0]][i][j]);
        assert!((&b - &wanted).norm_max() < 1e-12, "{b:?}");
        let whole = Mat::from_fn(3, 3, |i, j| a[(i.max(j), i.min(j))]);
        assert!((whole * factor.inverse() - Mat::<f64>::identity(3, 3)).norm_max() < 1e-12);
        assert!(Cholesky::of(Mat::from_fn(2, 2, |_, _| 1.0)).is_none_or(|l| l.lower()[(1, 1)] < 1e-6));
        assert!(Cholesky::of(Mat::from_fn(1, 1, |_, _| -1.0)).is_none());
    }
}
