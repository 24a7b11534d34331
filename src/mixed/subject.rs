//! A float model, data and a runtime: against which plans are judged.

use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;

use crate::data::Dataset;
use crate::error::Result;
use crate::ir::{Model, Tensor};
use crate::progress::Progress;
use crate::quantize::{QuantPlan, apply, stand_in};
use crate::runtime::{Runtime, Shaped};
use crate::validate::accuracy::Accuracy;

/// Outputs of the float model that are kept, in bytes; those of later batches are computed again each time.
const ROOM: usize = 256 << 20;
/// Weights of models that are loaded at the same time, in bytes.
const LOADED: usize = 512 << 20;

/// The outputs of one run, by name.
type Outputs = Vec<(String, Tensor)>;

/// What plans are judged on.
pub struct Subject<'a> {
    /// In float.
    pub model: &'a Model,
    /// What it runs on.
    pub dataset: &'a Dataset,
    /// What runs it.
    pub runtime: &'a dyn Runtime,
    /// Is told how far the runs are.
    pub progress: &'a dyn Progress,
    /// The accuracy of no batch.
    none: Accuracy,
    float: Shaped<'a>,
    kept: Vec<Option<Outputs>>,
}

impl<'a> Subject<'a> {
    /// Runs the float model on all data.
    ///
    /// # Errors
    /// What the runtime says of the model, or the data of themselves.
    pub fn new(
        model: &'a Model,
        (dataset, runtime): (&'a Dataset, &'a dyn Runtime),
        progress: &'a dyn Progress,
    ) -> Result<Self> {
        let float = Shaped::new(runtime, model, &[]);
        progress.start("running the original", dataset.batch_count() as u64);
        let room = AtomicUsize::new(0);
        let run = |index: usize| -> Result<Option<Outputs>> {
            progress.step(1);
            if room.load(Ordering::Relaxed) > ROOM {
                return Ok(None);
            }
            let made = float.run(&dataset.batch(index)?.inputs)?;
            room.fetch_add(made.iter().map(|(_, t)| t.byte_len()).sum(), Ordering::Relaxed);
            Ok(Some(made))
        };
        let kept = (0..dataset.batch_count()).into_par_iter().map(run).collect::<Result<_>>()?;
        progress.finish();
        Ok(Subject { model, dataset, runtime, progress, none: Accuracy::of_outputs(model), float, kept })
    }

    /// Numbers of all batches.
    pub fn batches(&self) -> Vec<usize> {
        (0..self.kept.len()).collect()
    }

    /// How far the outputs under `plan` are from the float ones on these batches.
    ///
    /// # Errors
    /// As [`Subject::new`].
    pub fn measure(&self, plan: &QuantPlan, batches: &[usize]) -> Result<Accuracy> {
        self.measure_of(self.model, plan, batches)
    }

    /// The same of a plan for another float model, of which some weights were trained.
    ///
    /// # Errors
    /// As [`Subject::new`].
    pub fn measure_of(&self, model: &Model, plan: &QuantPlan, batches: &[usize]) -> Result<Accuracy> {
        let model = match self.runtime.name() == plan.options.target {
            true => written(model, plan)?,
            false => stand_in(model, plan)?,
        };
        let session = Shaped::new(self.runtime, &model, &[]);
        let run = |index: &usize| -> Result<Accuracy> {
            let batch = self.dataset.batch(*index)?;
            let again = if self.kept[*index].is_none() { Some(self.float.run(&batch.inputs)?) } else { None };
            let original = self.kept[*index].as_ref().or(again.as_ref());
            let mut own = self.none.clone();
            own.add(original.map_or(&[], Vec::as_slice), &session.run(&batch.inputs)?, batch.labels.as_deref());
            Ok(own)
        };
        let parts: Vec<Accuracy> = batches.par_iter().map(run).collect::<Result<_>>()?;
        // In the order of the batches, so that the same data give the same digits.
        let mut all = self.none.clone();
        parts.into_iter().for_each(|part| all.merge(part));
        Ok(all)
    }

    /// So many plans are measured side by side.
    pub(super) fn beside(&self) -> usize {
        (LOADED / self.model.weight_bytes().max(1)).clamp(1, rayon::current_num_threads())
    }
}

/// The model as its file will be: the target's own runtime may make other integers of it than another.
fn written(model: &Model, plan: &QuantPlan) -> Result<Model> {
    let mut model = model.clone();
    apply(&mut model, plan)?;
    Ok(model)
}
