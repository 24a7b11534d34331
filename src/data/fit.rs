//! Which array of a file feeds which input of the model, how many samples that makes, and in which batches they go.
//!
//! An array feeds an input in one of three ways:
//!
//! | declared | array | |
//! |---|---|---|
//! | `[N,3,8]` or `[1,3,8]` | `[100,3,8]` | samples on axis 0, a batch at a time; a declared size is the batch size |
//! | `[3,8]` | `[100,3,8]` | the model has no sample axis: one sample per run |
//! | `[2,1,128]` | `[2,1,128]`, other inputs have samples | fed whole in each run (states, sample rates) |
//!
//! Names, types, ranks and sizes are checked here, from the headers alone; values when a batch is loaded.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use super::array::{Array, type_name};
use super::container::Container;
use super::convert::{self, Origin};
use super::{Batch, InputSpec};
use crate::error::{Error, Result};
use crate::ir::{DType, Dim};

/// The array of labels, one whole number per sample.
const LABELS: &str = "labels";

/// How many samples go in a batch.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted {
    AtMost(usize),
    /// All that the file has.
    Whole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Axis 0 counts the samples; `Some` where the model declares its size.
    Samples(Option<usize>),
    /// The array has one axis more than the input: one sample per run.
    PerRun,
    /// Exactly the declared shape, with a size declared for axis 0 (or a scalar): samples or constant, which the other inputs decide.
    Exact,
    Constant,
}

#[derive(Debug)]
struct Feed {
    input: InputSpec,
    array: Array,
    role: Role,
}

/// One data file fitted to the model's inputs.
#[derive(Debug)]
pub(super) struct Fit {
    feeds: Vec<Feed>,
    pub labels: Option<Vec<i64>>,
    pub samples: usize,
    pub batch: usize,
}

impl Fit {
    pub fn new(container: &Container, inputs: &[InputSpec], wanted: Wanted) -> Result<Fit> {
        let path = container.path();
        let mut feeds = Vec::new();
        for input in inputs {
            let array = container.array(&input.name, inputs)?;
            let role = role_of(&array, input).map_err(|e| e.in_file(path))?;
            feeds.push(Feed { input: input.clone(), array, role });
        }
        container.report_unused(inputs, LABELS);
        let mut fit = Fit { feeds, labels: None, samples: 1, batch: 1 };
        fit.settle(wanted).map_err(|e| e.in_file(path))?;
        if !inputs.iter().any(|i| i.name == LABELS) {
            fit.labels = container.optional(LABELS)?.map(|a| read_labels(&a, fit.samples)).transpose()?.flatten();
        }
        fit.drop_remainder(path)?;
        Ok(fit)
    }

    /// Decides the open roles, the number of samples and the batch size.
    fn settle(&mut self, wanted: Wanted) -> Result<()> {
        let counted = |f: &&Feed| matches!(f.role, Role::Samples(_) | Role::PerRun);
        let mut samples = None;
        for feed in self.feeds.iter().filter(counted) {
            let n = feed.array.shape[0];
            match samples {
                None => samples = Some((n, &feed.input.name)),
                Some((m, first)) if m != n => {
                    let name = &feed.input.name;
                    return Err(Error::input(format!(
                        "array \"{first}\" has {m} samples on its first axis, array \"{name}\" has {n}"
                    )));
                }
                Some(_) => {}
            }
        }
        let samples = samples.map(|(n, _)| n);
        // Where every input has exactly its declared shape, they are one batch if they agree on its size, else one run.
        let exact: Vec<usize> = self.feeds.iter().filter_map(|f| f.array.shape.first().copied()).collect();
        let common = exact.first().copied().filter(|n| exact.iter().all(|m| m == n));
        for feed in self.feeds.iter_mut().filter(|f| f.role == Role::Exact) {
            let scalar = feed.array.shape.is_empty();
            feed.role = match common {
                Some(n) if samples.is_none() && !scalar => Role::Samples(Some(n)),
                _ => Role::Constant,
            };
        }
        self.samples = samples.or(common).unwrap_or(1);
        if self.samples == 0 {
            return Err(Error::input("there are no samples: the first axis has size 0"));
        }
        self.check_symbols()?;
        self.batch = match (self.declared_batch()?, wanted) {
            (Some(n), _) => n,
            (None, Wanted::AtMost(n)) => n.clamp(1, self.samples),
            (None, Wanted::Whole) => self.samples,
        };
        Ok(())
    }

    /// The size of axis 0 that the model, or something fed whole, asks for.
    fn declared_batch(&self) -> Result<Option<usize>> {
        let symbol = self.batch_symbol();
        let mut found: Option<(usize, &str)> = None;
        for feed in &self.feeds {
            let dims = feed.input.ty.shape.iter().flatten();
            let size = match feed.role {
                Role::Samples(size) => size,
                Role::PerRun => Some(1),
                _ => dims
                    .zip(&feed.array.shape)
                    .find(|(d, _)| symbol.is_some_and(|s| matches!(d, Dim::Symbol(t) if t == s)))
                    .map(|(_, n)| *n),
            };
            let name = feed.input.name.as_str();
            match (size, found) {
                (Some(n), Some((m, other))) if n != m => {
                    return Err(Error::input(format!(
                        "input \"{other}\" needs batches of {m} samples, input \"{name}\" of {n}"
                    )));
                }
                (Some(n), None) => found = Some((n, name)),
                _ => {}
            }
        }
        Ok(found.map(|(n, _)| n))
    }

    fn batch_symbol(&self) -> Option<&str> {
        self.feeds.iter().filter(|f| f.role == Role::Samples(None)).find_map(|f| {
            match f.input.ty.shape.as_ref()?.first()? {
                Dim::Symbol(s) => Some(s.as_str()),
                _ => None,
            }
        })
    }

    /// A named size is the same wherever the model declares it.
    fn check_symbols(&self) -> Result<()> {
        let mut sizes: BTreeMap<&str, (usize, &str)> = BTreeMap::new();
        let batch = self.batch_symbol();
        for feed in &self.feeds {
            let Some(dims) = &feed.input.ty.shape else { continue };
            let extra = feed.array.shape.len() - dims.len();
            for (dim, size) in dims.iter().zip(&feed.array.shape[extra..]) {
                let Dim::Symbol(symbol) = dim else { continue };
                if batch == Some(symbol) {
                    continue;
                }
                let name = feed.input.name.as_str();
                let (first, other) = *sizes.entry(symbol).or_insert((*size, name));
                if first != *size {
                    return Err(Error::input(format!(
                        "the model's size {symbol} is {first} in array \"{other}\" but {size} in array \"{name}\""
                    )));
                }
            }
        }
        Ok(())
    }

    /// A declared batch size leaves out the samples that do not fill a batch.
    fn drop_remainder(&mut self, path: &Path) -> Result<()> {
        let rest = self.samples % self.batch;
        if self.samples < self.batch {
            let (n, batch) = (self.samples, self.batch);
            let message = format!("there are {n} samples, the model takes batches of {batch}");
            return Err(Error::input(message).in_file(path));
        }
        if rest > 0 && self.declared_batch()?.is_some() {
            let batch = self.batch;
            tracing::warn!(
                "{}: the last {rest} samples are left out: the model takes batches of {batch}",
                path.display()
            );
            self.samples -= rest;
        }
        Ok(())
    }

    /// Keeps the first `limit` samples (at least one batch where the model declares its size).
    pub fn limit(&mut self, limit: usize) {
        let fixed = matches!(self.declared_batch(), Ok(Some(_)));
        let keep = if fixed { limit / self.batch * self.batch } else { limit };
        self.samples = self.samples.min(keep.max(if fixed { self.batch } else { 1 }));
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
        self.feeds.iter().map(|f| (f.input.name.clone(), shape(f))).collect()
    }

    /// Loads batch `index`; its samples count from `offset` on.
    pub fn load(&self, index: usize, offset: usize) -> Result<Batch> {
        let rows = self.range(index);
        let mut inputs = Vec::with_capacity(self.feeds.len());
        for feed in &self.feeds {
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

/// How `array` feeds `input`, judged without the other inputs.
fn role_of(array: &Array, input: &InputSpec) -> Result<Role> {
    let mismatch = |hint: &str| {
        Err(Error::input(format!(
            "array \"{}\" holds {} {:?}; the model declares this input as {}{hint}",
            input.name,
            type_name(array.dtype),
            array.shape,
            declared(input),
        )))
    };
    if input.ty.dtype.is_some_and(|want| !convert::is_convertible(array.dtype, want)) {
        return mismatch("");
    }
    let Some(dims) = &input.ty.shape else {
        return Ok(if array.shape.is_empty() { Role::Constant } else { Role::Samples(None) });
    };
    let fits =
        |dims: &[Dim], shape: &[usize]| dims.iter().zip(shape).all(|(d, n)| d.known().is_none_or(|d| d == *n as i64));
    if dims.len() + 1 == array.shape.len() && fits(dims, &array.shape[1..]) {
        // Below an open first axis lie more samples than a run may be counted as, unless it is one.
        let one_per_run = dims.first().is_none_or(|d| d.known().is_some() || array.shape[1] == 1);
        return if one_per_run { Ok(Role::PerRun) } else { mismatch("") };
    }
    if dims.len() != array.shape.len() {
        return mismatch(if dims.len() == array.shape.len() + 1 { " (add the sample axis in front)" } else { "" });
    }
    let (Some(first), Some(size)) = (dims.first(), array.shape.first()) else { return Ok(Role::Exact) };
    if !fits(&dims[1..], &array.shape[1..]) {
        return mismatch("");
    }
    match first.known().map(|n| n as usize) {
        None => Ok(Role::Samples(None)),
        Some(n) if n == *size => Ok(Role::Exact),
        Some(0) => mismatch(""),
        Some(n) if n < *size => Ok(Role::Samples(Some(n))),
        Some(_) => mismatch(""),
    }
}

/// As in `float32 [N, 3, 224, 224]`.
pub(super) fn declared(input: &InputSpec) -> String {
    let dtype = input.ty.dtype.map_or("any type", type_name);
    match &input.ty.shape {
        None => dtype.into(),
        Some(dims) => {
            let size = |d: &Dim| {
                if let Dim::Known(n) = d
                    && *n < 0
                {
                    "?".into()
                } else {
                    d.to_string()
                }
            };
            format!("{dtype} [{}]", dims.iter().map(size).collect::<Vec<_>>().join(", "))
        }
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
