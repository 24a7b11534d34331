//! H = Σ x·xᵀ over the rows x that meet the weights of a layer, one matrix a group.
//!
//! Added up in the order in which batches come, on one thread a layer: the same data give the same bits.

use faer::linalg::matmul::matmul;
use faer::{Accum, MatMut, MatRef, Par};

/// `groups` symmetric matrices of `depth`², and the number of rows in them.
#[derive(Debug, Clone)]
pub struct Hessian {
    /// Inputs that a row has.
    pub depth: usize,
    /// Rows that were added up.
    pub rows: usize,
    sums: Vec<f32>,
}

impl Hessian {
    /// Of no rows so far.
    pub fn new(groups: usize, depth: usize) -> Self {
        Hessian { depth, rows: 0, sums: vec![0.0; groups * depth * depth] }
    }

    fn groups(&self) -> usize {
        self.sums.len().checked_div(self.depth * self.depth).unwrap_or(0)
    }

    /// Adds `count` rows of `groups·depth` numbers each.
    pub fn add(&mut self, rows: &[f32], count: usize) {
        let (depth, width) = (self.depth, self.groups() * self.depth);
        if count == 0 || width == 0 {
            return;
        }
        let all = MatRef::from_row_major_slice(rows, count, width);
        for (group, sum) in self.sums.chunks_mut(depth * depth).enumerate() {
            let x = all.subcols(group * depth, depth);
            let sum = MatMut::from_row_major_slice_mut(sum, depth, depth);
            matmul(sum, Accum::Add, x.transpose(), x, 1.0, Par::Seq);
        }
        self.rows += count;
    }

    /// That of one group, row after row.
    pub fn of_group(&self, group: usize) -> &[f32] {
        &self.sums[group * self.depth * self.depth..][..self.depth * self.depth]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_added_up_apart() {
        let mut h = Hessian::new(2, 2);
        h.add(&[1.0, 2.0, 10.0, 0.0, 3.0, 4.0, 0.0, 20.0], 2);
        h.add(&[1.0, 0.0, 1.0, 1.0], 1);
        assert_eq!(h.of_group(0), [11.0, 14.0, 14.0, 20.0]);
        assert_eq!(h.of_group(1), [101.0, 1.0, 1.0, 401.0]);
        assert_eq!(h.rows, 3);
    }
}
