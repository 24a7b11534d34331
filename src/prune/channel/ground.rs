//! The data that decisions stand on, and what runs the model on them.

use crate::data::{Dataset, spread};
use crate::progress::Progress;
use crate::prune::Data;
use crate::runtime::Runtime;

/// Batches that are looked at, at most.
const MOST: usize = 2048;
/// Every so many batches, one is held back from what orders the channels.
const HELD: usize = 4;

#[derive(Clone, Copy)]
pub struct Ground<'a> {
    pub dataset: &'a Dataset,
    pub runtime: &'a dyn Runtime,
    pub progress: &'a dyn Progress,
}

impl<'a> Ground<'a> {
    pub fn new(data: Data<'a>, progress: &'a dyn Progress) -> Self {
        Ground { dataset: data.dataset, runtime: data.runtime, progress }
    }

    /// Numbers of the batches, spread evenly.
    pub fn all(&self) -> Vec<usize> {
        spread(&(0..self.dataset.batch_count()).collect::<Vec<_>>(), MOST)
    }

    /// Batches of about so many samples, held back from what orders the channels where there are enough.
    pub fn held(&self, samples: usize) -> Vec<usize> {
        let all = self.all();
        let held: Vec<usize> = all.iter().copied().skip(HELD - 1).step_by(HELD).collect();
        spread(if held.is_empty() { &all } else { &held }, self.dataset.batches_of(samples))
    }

    /// Batches of about so many samples that are not held back.
    pub fn fitted(&self, samples: usize) -> Vec<usize> {
        let (all, held) = (self.all(), self.held(usize::MAX));
        let fit: Vec<usize> = all.iter().copied().filter(|b| !held.contains(b)).collect();
        spread(if fit.is_empty() { &all } else { &fit }, self.dataset.batches_of(samples))
    }
}
