//! Outputs of the float model, which those of pruned ones are compared with batch by batch.

use std::collections::BTreeMap;

use rayon::prelude::*;

use super::Data;
use crate::data::spread;
use crate::error::Result;
use crate::ir::{Model, Tensor, ValueId};
use crate::runtime::Shaped;
use crate::second_order::walk::Values;
use crate::second_order::{Order, Walk};

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

    /// The same of `model` where it differs from the float one only in what lies ahead of `walk`, which goes over these batches.
    ///
    /// # Errors
    /// What the data or the runtime refuse.
    pub fn compared_ahead<T: Send>(
        &self,
        (walk, model): (&Walk, &Model),
        compare: impl Fn(&str, &Tensor, &Tensor) -> T + Sync,
    ) -> Result<Vec<Vec<T>>> {
        let made: BTreeMap<usize, Values> = walk.ahead(model)?.into_iter().collect();
        let outputs = model.graph(model.main()).outputs();
        let of = |(index, floats): &(usize, Vec<(String, Tensor)>)| {
            // What is there already is as it was.
            let own = |v: &ValueId| made.get(index).and_then(|values| values.get(v));
            let pairs = floats.iter().zip(outputs);
            pairs.map(|((name, float), v)| compare(name, float, own(v).unwrap_or(float))).collect()
        };
        Ok(self.batches.par_iter().map(of).collect())
    }

    /// A walk over these batches.
    ///
    /// # Errors
    /// Io, where no temporary file can be made.
    pub fn walk<'o>(&self, model: &Model, order: &'o Order) -> Result<Walk<'o>>
    where
        'a: 'o,
    {
        let Data { dataset, runtime } = self.data;
        Walk::new((model, 1), order, (dataset, runtime), self.batches.iter().map(|b| b.0).collect())
    }
}
