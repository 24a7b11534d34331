//! The data that decisions stand on, and what runs the model on them.

use crate::data::{Dataset, HELD_OF_CHANNELS, Split, spread};
use crate::progress::Progress;
use crate::prune::Data;
use crate::runtime::Runtime;

/// Batches that are looked at, at most.
const MOST: usize = 2048;

/// The data that decisions stand on, and what runs the model on them.
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
        self.dataset.some(MOST)
    }

    /// Batches of about so many samples, held back from what orders the channels where there are enough.
    pub fn held(&self, samples: usize) -> Vec<usize> {
        spread(&Split::of(&self.all(), HELD_OF_CHANNELS).judge, self.dataset.batches_of(samples))
    }

    /// Batches of about so many samples that are not held back.
    pub fn fitted(&self, samples: usize) -> Vec<usize> {
        spread(&Split::of(&self.all(), HELD_OF_CHANNELS).fit, self.dataset.batches_of(samples))
    }
}
