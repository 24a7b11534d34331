//! Data to run a model on: files of arrays, folders of images, or random numbers.
//!
//! A [`Dataset`] is opened from a [`DataOptions::spec`] against what the model wants ([`InputSpec`]); names, types,
//! ranks and declared sizes are checked then, from headers alone. Batches are loaded one by one, on as many threads as
//! ask, and nothing is kept of them: memory is that of the batches in flight (a deflated array is kept once inflated).
//!
//! | spec | samples | labels |
//! |---|---|---|
//! | `data.npz`, `data.safetensors` | arrays named by the inputs, samples on axis 0 | array `labels` |
//! | `data.npy` | the only input of the model | |
//! | folder of those | one file per batch, sorted by name, shapes may differ | array `labels` in each |
//! | the same, the arrays of a file with no first axis in common, or steps of a sequence beside a fixed state | one file per sample | |
//! | folder of images, or an image | see [`Preprocess`] | the class folders |
//! | `random:N` | N samples of the declared shapes | |

mod array;
mod container;
mod content;
mod convert;
mod feed;
mod fit;
mod folder;
mod images;
mod npy;
mod npz;
mod part;
mod pixels;
mod preprocess;
mod random;
mod rng;
mod safetensors;
mod source;
mod split;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use part::Part;
pub use preprocess::Preprocess;
pub(crate) use rng::Rng;
pub use source::is_made_up;
pub use split::{HELD_OF_CHANNELS, HELD_OF_TRAINING, HELD_TO_CHOOSE, Split, is_held};

use crate::error::Result;
use crate::ir::{Model, Tensor, TensorType};

/// What a model wants of one input.
#[derive(Debug, Clone, PartialEq)]
pub struct InputSpec {
    /// As the model names it.
    pub name: String,
    /// Element type and sizes, open ones among them.
    pub ty: TensorType,
}

impl InputSpec {
    /// What the model's user feeds.
    pub fn of(model: &Model) -> Vec<Self> {
        let spec = |v| InputSpec { name: model.name(v).to_string(), ty: model.tensor_type(v) };
        model.user_inputs().into_iter().map(spec).collect()
    }
}

/// One run of the model.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Input name → tensor in the declared type, in the order of the model's inputs. The samples are on axis 0, except
    /// for inputs that the model declares without a sample axis.
    pub inputs: Vec<(String, Tensor)>,
    /// One class per sample, where known.
    pub labels: Option<Vec<i64>>,
    /// Number of the first sample in the dataset.
    pub first_sample: usize,
    /// Number of samples.
    pub samples: usize,
}

impl Batch {
    /// The tensor that feeds input `name`.
    pub fn input(&self, name: &str) -> Option<&Tensor> {
        self.inputs.iter().find(|(n, _)| n == name).map(|(_, tensor)| tensor)
    }
}

/// Where samples come from and what is done to them.
#[derive(Debug, Clone)]
pub struct DataOptions {
    /// A path, or `random:N`.
    pub spec: String,
    /// The order of image classes, one per line.
    pub synsets: Option<PathBuf>,
    /// What is done to images; see [`Preprocess`].
    pub preprocess: Option<String>,
    /// Samples per run, where the model leaves that open.
    pub batch_size: usize,
    /// At most so many samples.
    pub limit: Option<usize>,
    /// Seed of random data.
    pub seed: u64,
    /// Sizes of random data by input name, −1 where the declared size stands.
    pub shapes: Vec<(String, Vec<i64>)>,
}

impl Default for DataOptions {
    fn default() -> Self {
        DataOptions {
            spec: String::new(),
            synsets: None,
            preprocess: None,
            batch_size: 1,
            limit: None,
            seed: 0,
            shapes: Vec::new(),
        }
    }
}

impl DataOptions {
    /// Everything default but the spec.
    pub fn new(spec: impl Into<String>) -> Self {
        DataOptions { spec: spec.into(), ..Self::default() }
    }
}

/// Samples for a model, in batches.
#[derive(Debug)]
pub struct Dataset {
    source: Arc<dyn Source>,
    random: bool,
}

/// Where batches come from.
trait Source: std::fmt::Debug + Send + Sync {
    fn samples(&self) -> usize;
    fn batches(&self) -> usize;
    fn has_labels(&self) -> bool;
    fn describe(&self) -> String;
    fn shapes(&self, index: usize) -> Result<Vec<(String, Vec<usize>)>>;
    fn batch(&self, index: usize) -> Result<Batch>;
}

impl Dataset {
    /// Opens what `options` name and checks it against the model's inputs.
    ///
    /// # Errors
    /// Usage for what cannot be asked for, input (naming file and array) for what does not fit the model.
    pub fn open(options: &DataOptions, inputs: &[InputSpec]) -> Result<Dataset> {
        source::open(options, inputs)
    }

    /// Number of samples.
    pub fn len(&self) -> usize {
        self.source.samples()
    }

    /// Never: opening refuses data without samples.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number of batches; the last one may be smaller.
    pub fn batch_count(&self) -> usize {
        self.source.batches()
    }

    /// The same without these batches.
    #[must_use]
    pub fn without(&self, batches: &[usize]) -> Dataset {
        Dataset { source: Arc::new(Part::without(self.source.clone(), batches)), random: self.random }
    }

    /// At most so many of its batches, spread evenly.
    pub fn some(&self, count: usize) -> Vec<usize> {
        spread(&(0..self.batch_count()).collect::<Vec<_>>(), count)
    }

    /// Its batches, one of `every` held back.
    pub fn split(&self, every: usize) -> Split {
        Split::of(&(0..self.batch_count()).collect::<Vec<_>>(), every)
    }

    /// Batches that hold about so many samples, one at least.
    pub fn batches_of(&self, samples: usize) -> usize {
        let each = self.len().div_ceil(self.batch_count().max(1)).max(1);
        samples.div_ceil(each).max(1)
    }

    /// Whether each sample has a label, the number of its class.
    pub fn has_labels(&self) -> bool {
        self.source.has_labels()
    }

    /// Whether the samples are made up, so that accuracy on them means nothing.
    pub fn is_random(&self) -> bool {
        self.random
    }

    /// As in `100 images of calib` or `random:8 (accuracy means nothing)`.
    pub fn describe(&self) -> String {
        self.source.describe()
    }

    /// Shapes of the inputs in batch `index`, without loading it.
    pub fn shapes(&self, index: usize) -> Result<Vec<(String, Vec<usize>)>> {
        self.source.shapes(index)
    }

    /// These batches, those of equal shapes together, each in the order in which they were given: a session is made for shapes and holds
    /// the weights once more.
    ///
    /// # Errors
    /// Those of [`Dataset::shapes`].
    pub fn alike(&self, batches: impl IntoIterator<Item = usize>) -> Result<Vec<Vec<usize>>> {
        let mut alike: BTreeMap<Vec<(String, Vec<usize>)>, Vec<usize>> = BTreeMap::new();
        for index in batches {
            alike.entry(self.shapes(index)?).or_default().push(index);
        }
        Ok(alike.into_values().collect())
    }

    /// Loads batch `index` of [`batch_count`](Self::batch_count), on any thread.
    ///
    /// # Errors
    /// Input, naming file, array and sample, for values that are not finite or not of the declared type.
    pub fn batch(&self, index: usize) -> Result<Batch> {
        self.source.batch(index)
    }
}

/// At most `count` of these batches, spread evenly.
pub fn spread(batches: &[usize], count: usize) -> Vec<usize> {
    let count = count.min(batches.len());
    (0..count).map(|i| batches[i * batches.len() / count]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_of_many_are_spread() {
        assert_eq!(spread(&[0, 1, 3, 4, 6, 7], 3), [0, 3, 6]);
        assert_eq!(spread(&[5], 3), [5]);
        assert!(spread(&[], 3).is_empty());
    }
}
