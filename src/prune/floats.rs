//! Outputs of the float model, which those of pruned ones are compared with batch by batch.

use rayon::prelude::*;

use super::Data;
use crate::data::spread;
use crate::error::Result;
use crate::ir::{Model, Tensor};
use crate::runtime::Shaped;

/// Outputs stay in memory, as many as this holds; large ones tell as much on fewer batches.
const KEPT: usize = 256 << 20;

/// The float outputs on a few batches.
pub(super) struct Floats<'a> {
    data: Data<'a>,
    /// Batches of equal shapes come one after the other.
    batches: Vec<(usize, Vec<(String, Tensor)>)>,
}

impl<'a> Floats<'a> {
    /// On these batches, or on as many of them as memory holds.
    ///
    /// # Errors
    /// What the data or the runtime refuse.
    pub fn new(model: &Model, data: Data<'a>, batches: &[usize]) -> Result<Self> {
        let session = Shaped::new(data.runtime, model, &[]);
        let run = |index: &usize| session.run(&data.dataset.batch(*index)?.inputs);
        let first = batches.first().map(run).transpose()?.unwrap_or_default();
        let each = first.iter().map(|(_, t)| t.byte_len()).sum::<usize>().max(1);
        let some = data.dataset.alike(spread(batches, (KEPT / each).max(1)))?.concat();
        let batches = some.par_iter().map(|index| Ok((*index, run(index)?))).collect::<Result<_>>()?;
        Ok(Floats { data, batches })
    }

    /// What `compare` says of each float output and that of `model`, in the order of the outputs, batch by batch.
    ///
    /// # Errors
    /// What the data or the runtime refuse.
    pub fn compared<T: Send>(
        &self,
        model: &Model,
        compare: impl Fn(&str, &Tensor, &Tensor) -> T + Sync,
    ) -> Result<Vec<Vec<T>>> {
        let session = Shaped::new(self.data.runtime, model, &[]);
        let run = |(index, floats): &(usize, Vec<(String, Tensor)>)| {
            let made = session.run(&self.data.dataset.batch(*index)?.inputs)?;
            Ok(floats.iter().zip(&made).map(|((name, float), (_, own))| compare(name, float, own)).collect())
        };
        self.batches.par_iter().map(run).collect()
    }
}
