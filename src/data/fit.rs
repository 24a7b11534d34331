//! One data file fitted to the model's inputs: how many samples it has and in which batches they go.
//!
//! Names, types, ranks and sizes are checked here, from the headers alone; values when a batch is loaded.

use std::ops::Range;
use std::path::Path;

use super::array::Array;
use super::container::Container;
use super::convert::{self, Origin};
use super::feed::{Feed, Feeds, Role, role_of};
use super::{Batch, InputSpec};
use crate::error::{Error, Result};
use crate::ir::DType;

/// The array of labels, one whole number per sample.
const LABELS: &str = "labels";

/// How many samples go in a batch, where the model leaves that open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    AtMost(usize),
    /// All that the file has; one sample where its arrays do not agree on their number.
    Whole,
    /// One sample, whatever its arrays agree on.
    One,
}

/// One data file fitted to the model's inputs.
#[derive(Debug)]
pub(super) struct Fit {
    feeds: Feeds,
    pub labels: Option<Vec<i64>>,
    pub samples: usize,
    batch: usize,
    /// Whether the model or something fed whole decides the batch size.
    fixed: bool,
    /// Whether the arrays are one sample, fed whole.
    pub one_run: bool,
}

impl Fit {
    pub fn new(container: &Container, inputs: &[InputSpec], wanted: Wanted) -> Result<Fit> {
        let path = container.path();
        let here = |e: Error| e.in_file(path);
        let mut feeds = Vec::new();
        for input in inputs {
            let array = container.array(&input.name, inputs)?;
            let role = role_of(&array, input).map_err(here)?;
            feeds.push(Feed { input: input.clone(), array, role });
        }
        container.report_unused(inputs, LABELS);
        let mut feeds = Feeds(feeds);
        if wanted == Wanted::One || wanted == Wanted::Whole && feeds.is_one_run() {
            feeds.settle_as_one_run().map_err(here)?;
            if !inputs.iter().any(|i| i.name == LABELS) && container.optional(LABELS)?.is_some() {
                return Err(here(Error::input(format!(
                    "has array \"{LABELS}\", but its other arrays are one run, not samples on a first axis: the file is one sample, fed without labels; leave them out"
                ))));
            }
            return Ok(Fit { feeds, labels: None, samples: 1, batch: 1, fixed: false, one_run: true });
        }
        let samples = feeds.settle().map_err(here)?;
        let declared = feeds.declared_batch().map_err(here)?;
        let batch = match (declared, wanted) {
            (Some(n), _) => n,
            (None, Wanted::AtMost(n)) => n.clamp(1, samples),
            (None, _) => samples,
        };
        let labels = if inputs.iter().any(|i| i.name == LABELS) { None } else { container.optional(LABELS)? };
        let labels = labels.map(|a| read_labels(&a, samples)).transpose()?.flatten();
        let mut fit = Fit { feeds, labels, samples, batch, fixed: declared.is_some(), one_run: false };
        fit.drop_remainder(path)?;
        Ok(fit)
    }

    /// A batch size that is fixed leaves out the samples that do not fill a batch.
    fn drop_remainder(&mut self, path: &Path) -> Result<()> {
        let (samples, batch) = (self.samples, self.batch);
        if batch == 0 || samples < batch {
            let message = format!("there are {samples} samples, the model takes batches of {batch}");
            return Err(Error::input(message).in_file(path));
        }
        let rest = samples % batch;
        if self.fixed && rest > 0 {
            tracing::warn!(
                "{}: the last {rest} samples are left out: the model takes batches of {batch}",
                path.display()
            );
            self.samples -= rest;
        }
        Ok(())
    }

    /// Keeps the first `limit` samples (at least one batch where its size is fixed).
    pub fn limit(&mut self, limit: usize) {
        let keep = if self.fixed { (limit / self.batch).max(1) * self.batch } else { limit.max(1) };
        self.samples = self.samples.min(keep);
        self.batch = self.batch.min(self.samples);
    }

    pub fn batches(&self) -> usize {
        self.samples.div_ceil(self.batch)
    }

    fn range(&self, index: usize) -> Range<usize> {
        let start = index * self.batch;
        start..(start + self.batch).min(self.samples)
    }

    /// Shapes of the inputs in batch `index`.
    pub fn shapes(&self, index: usize) -> Vec<(String, Vec<usize>)> {
        let rows = self.range(index).len();
        let shape = |f: &Feed| match f.role {
            Role::Samples(_) => [&[rows], &f.array.shape[1..]].concat(),
            Role::PerRun => f.array.shape[1..].to_vec(),
            Role::Exact | Role::Constant => f.array.shape.clone(),
        };
        self.feeds.0.iter().map(|f| (f.input.name.clone(), shape(f))).collect()
    }

    /// Loads batch `index`; its samples count from `offset` on.
    pub fn load(&self, index: usize, offset: usize) -> Result<Batch> {
        let rows = self.range(index);
        let mut inputs = Vec::with_capacity(self.feeds.0.len());
        for feed in &self.feeds.0 {
            let (tensor, first_sample) = match feed.role {
                Role::Samples(_) | Role::PerRun => (feed.array.rows(rows.clone())?, Some(rows.start)),
                Role::Exact | Role::Constant => (feed.array.whole()?, None),
            };
            let what = format!("array \"{}\"", feed.input.name);
            let origin = Origin { file: Some(&feed.array.file), what, first_sample };
            let mut tensor = convert::to_declared(tensor, feed.input.ty.dtype, &origin)?;
            if feed.role == Role::PerRun {
                tensor = tensor.reshaped(&feed.array.shape[1..])?;
            }
            inputs.push((feed.input.name.clone(), tensor));
        }
        let labels = self.labels.as_ref().map(|l| l[rows.clone()].to_vec());
        Ok(Batch { inputs, labels, first_sample: offset + rows.start, samples: rows.len() })
    }
}

/// Labels of `samples` samples; `None` with a warning where the array is something else.
fn read_labels(array: &Array, samples: usize) -> Result<Option<Vec<i64>>> {
    let (shape, file) = (&array.shape, array.file.display());
    if !(shape.len() == 1 || shape.len() == 2 && shape[1] == 1) {
        tracing::warn!("{file}: array \"{LABELS}\" has shape {shape:?}, not one label per sample; it is ignored");
        return Ok(None);
    }
    if shape[0] != samples {
        let message = format!("array \"{LABELS}\" has {} labels for {samples} samples", shape[0]);
        return Err(Error::input(message).in_file(&array.file));
    }
    let tensor = array.whole()?;
    let origin = Origin { file: Some(&array.file), what: format!("array \"{LABELS}\""), first_sample: Some(0) };
    match convert::to_declared(tensor, Some(DType::I64), &origin) {
        Ok(labels) => Ok(labels.to_i64()),
        Err(why) => {
            tracing::warn!("labels are ignored: {why}");
            Ok(None)
        }
    }
}
