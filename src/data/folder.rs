//! A folder of data files, one batch each; their shapes may differ.
//!
//! All headers are checked on opening. Files are opened again when their batch is loaded, so that any number of them
//! takes neither memory nor file handles. A file with more samples than a declared batch size is several batches.
//!
//! Where the arrays of a file have no first axis in common (nodes and edges of a graph), or the first axis of one is called a sequence's and
//! another is a state of fixed sizes, every file is one sample, fed whole.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::container::Container;
use super::fit::{Fit, Wanted};
use super::{Batch, InputSpec, Source};
use crate::error::{Error, Result};

/// Opened files that are kept, where files have several batches.
const KEPT_OPEN: usize = 4;

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    inputs: Vec<InputSpec>,
    wanted: Wanted,
    files: Vec<Entry>,
    samples: usize,
    labels: bool,
    open: Mutex<VecDeque<(usize, Arc<Fit>)>>,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    first_sample: usize,
    first_batch: usize,
    samples: usize,
    batches: usize,
}

impl Folder {
    pub fn open(path: &Path, files: &[PathBuf], inputs: &[InputSpec], limit: Option<usize>) -> Result<Self> {
        Self::fitted(path, files, inputs, limit, Wanted::Whole)
    }

    fn fitted(
        path: &Path,
        files: &[PathBuf],
        inputs: &[InputSpec],
        limit: Option<usize>,
        wanted: Wanted,
    ) -> Result<Self> {
        let mut folder = Folder {
            path: path.into(),
            inputs: inputs.to_vec(),
            wanted,
            files: Vec::new(),
            samples: 0,
            labels: true,
            open: Mutex::default(),
        };
        let mut first_batch = 0;
        for path in files {
            let left = limit.unwrap_or(usize::MAX).saturating_sub(folder.samples);
            if left == 0 {
                break;
            }
            let mut fit = folder.fit(path)?;
            if fit.one_run && wanted != Wanted::One {
                // Another file may have as many nodes as edges, and is no batch of samples for that.
                return Self::fitted(&folder.path, files, inputs, limit, Wanted::One);
            }
            fit.limit(left);
            folder.labels &= fit.labels.is_some();
            let (samples, batches) = (fit.samples, fit.batches());
            folder.files.push(Entry {
                path: path.clone(),
                first_sample: folder.samples,
                first_batch,
                samples,
                batches,
            });
            folder.samples += samples;
            first_batch += batches;
        }
        Ok(folder)
    }

    fn fit(&self, path: &Path) -> Result<Fit> {
        let container =
            Container::open(path).unwrap_or_else(|| Err(Error::internal("not a data file").in_file(path)))?;
        Fit::new(&container, &self.inputs, self.wanted)
    }

    /// The file of batch `index`, which batch of it that is, and the file opened.
    fn find(&self, index: usize) -> Result<(&Entry, usize, Arc<Fit>)> {
        let i = self.files.partition_point(|f| f.first_batch <= index).saturating_sub(1);
        let entry = self
            .files
            .get(i)
            .filter(|f| index < f.first_batch + f.batches)
            .ok_or_else(|| Error::internal(format!("there is no batch {index}")))?;
        let kept = || self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, fit)) = kept().iter().find(|(kept, _)| *kept == i) {
            return Ok((entry, index - entry.first_batch, fit.clone()));
        }
        let mut fit = self.fit(&entry.path)?;
        fit.limit(entry.samples);
        let fit = Arc::new(fit);
        if entry.batches > 1 {
            let mut open = kept();
            open.push_back((i, fit.clone()));
            if open.len() > KEPT_OPEN {
                open.pop_front();
            }
        }
        Ok((entry, index - entry.first_batch, fit))
    }
}

impl Source for Folder {
    fn samples(&self) -> usize {
        self.samples
    }

    fn batches(&self) -> usize {
        self.files.last().map_or(0, |f| f.first_batch + f.batches)
    }

    fn has_labels(&self) -> bool {
        self.labels
    }

    fn describe(&self) -> String {
        format!("{} samples in {} files of {}", self.samples, self.files.len(), self.path.display())
    }

    fn shapes(&self, index: usize) -> Result<Vec<(String, Vec<usize>)>> {
        let (_, local, fit) = self.find(index)?;
        Ok(fit.shapes(local))
    }

    fn batch(&self, index: usize) -> Result<Batch> {
        let (entry, local, fit) = self.find(index)?;
        let mut batch = fit.load(local, entry.first_sample)?;
        if !self.labels {
            batch.labels = None;
        }
        Ok(batch)
    }
}
