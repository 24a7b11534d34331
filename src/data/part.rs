//! Some of the batches of other data.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Batch, Source};
use crate::error::Result;

#[derive(Debug)]
pub(super) struct Part {
    whole: Arc<dyn Source>,
    batches: Vec<usize>,
}

impl Part {
    pub fn without(whole: Arc<dyn Source>, batches: &[usize]) -> Self {
        let left_out: HashSet<&usize> = batches.iter().collect();
        let batches = (0..whole.batches()).filter(|b| !left_out.contains(b)).collect();
        Part { whole, batches }
    }
}

impl Source for Part {
    /// As many as batches of equal size would have.
    fn samples(&self) -> usize {
        let all = self.whole.batches().max(1);
        (self.whole.samples() * self.batches.len()).div_ceil(all)
    }

    fn batches(&self) -> usize {
        self.batches.len()
    }

    fn has_labels(&self) -> bool {
        self.whole.has_labels()
    }

    fn describe(&self) -> String {
        format!("{} of {} batches of {}", self.batches.len(), self.whole.batches(), self.whole.describe())
    }

    fn shapes(&self, index: usize) -> Result<Vec<(String, Vec<usize>)>> {
        self.whole.shapes(self.batches[index])
    }

    fn batch(&self, index: usize) -> Result<Batch> {
        self.whole.batch(self.batches[index])
    }
}
