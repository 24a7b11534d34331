//! Reads a data spec: which kind of source it names.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::container::{Container, ENDINGS, ending};
use super::fit::{Fit, Wanted};
use super::folder::Folder;
use super::images::{Images, is_image};
use super::random::Random;
use super::{Batch, DataOptions, Dataset, InputSpec, Source};
use crate::error::{Error, Result};

pub(super) fn open(options: &DataOptions, inputs: &[InputSpec]) -> Result<Dataset> {
    if inputs.is_empty() {
        return Err(Error::input("the model has no inputs, so there is nothing to feed"));
    }
    if options.limit == Some(0) {
        return Err(Error::usage("a limit of 0 samples leaves nothing to run"));
    }
    if let Some(count) = random_count(&options.spec)? {
        warn_of_image_options(options);
        return Ok(Dataset { source: Arc::new(Random::open(count, options, inputs)?), random: true });
    }
    if !options.shapes.is_empty() {
        tracing::warn!("--shape says the sizes of random data: {} has sizes of its own", options.spec);
    }
    let path = Path::new(&options.spec);
    let source: Arc<dyn Source> = if path.is_dir() {
        open_folder(path, options, inputs)?
    } else if let Err(e) = std::fs::metadata(path) {
        return Err(Error::io(path, e));
    } else if is_image(path) {
        Arc::new(Images::open(path, options, inputs)?)
    } else if let Some(container) = Container::open(path) {
        warn_of_image_options(options);
        Arc::new(File::open(&container?, options, inputs)?)
    } else {
        let kinds = ENDINGS.join(", ");
        let message = format!(
            "is no data: give a file in one of the formats {kinds}, a folder of them or of images, or random:N"
        );
        return Err(Error::usage(message).in_file(path));
    };
    Ok(Dataset { source, random: false })
}

/// How a spec begins that makes data up.
const RANDOM: &str = "random:";

/// Whether inputs are made up for this spec, as they are where there is none.
pub fn is_made_up(spec: Option<&str>) -> bool {
    spec.is_none_or(|spec| spec.starts_with(RANDOM))
}

/// N of `random:N`.
fn random_count(spec: &str) -> Result<Option<usize>> {
    let Some(count) = spec.strip_prefix(RANDOM) else { return Ok(None) };
    match count.parse() {
        Ok(n) if n > 0 => Ok(Some(n)),
        _ => Err(Error::usage(format!("\"{spec}\": random: takes a number of samples, as in random:8"))),
    }
}

fn open_folder(path: &Path, options: &DataOptions, inputs: &[InputSpec]) -> Result<Arc<dyn Source>> {
    let (files, _) = list(path)?;
    let is_data = |f: &PathBuf| ending(f).is_some_and(|e| ENDINGS.contains(&e.as_str()));
    let images = files.iter().any(|f| is_image(f));
    let data: Vec<PathBuf> = files.into_iter().filter(is_data).collect();
    match (data.is_empty(), images) {
        (false, true) => Err(Error::input("the folder has both images and data files: which are meant?").in_file(path)),
        (false, false) => {
            warn_of_image_options(options);
            Ok(Arc::new(Folder::open(path, &data, inputs, options.limit)?))
        }
        (true, _) => Ok(Arc::new(Images::open(path, options, inputs)?)),
    }
}

fn warn_of_image_options(options: &DataOptions) {
    let given = [("preprocess", options.preprocess.is_some()), ("synsets", options.synsets.is_some())];
    for (name, _) in given.iter().filter(|(_, given)| *given) {
        tracing::warn!("--{name} is for images: it does nothing to {}", options.spec);
    }
}

/// Files and folders in `path`, sorted by name, without hidden ones.
pub(super) fn list(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let io = |e| Error::io(path, e);
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in std::fs::read_dir(path).map_err(io)? {
        let entry = entry.map_err(io)?.path();
        if entry.file_name().is_some_and(|n| n.to_string_lossy().starts_with('.')) {
            continue;
        }
        if entry.is_dir() { folders.push(entry) } else { files.push(entry) }
    }
    files.sort();
    folders.sort();
    Ok((files, folders))
}

/// One data file, in batches of the wanted size.
#[derive(Debug)]
struct File {
    path: PathBuf,
    fit: Fit,
}

impl File {
    fn open(container: &Container, options: &DataOptions, inputs: &[InputSpec]) -> Result<Self> {
        let mut fit = Fit::new(container, inputs, Wanted::AtMost(options.batch_size))?;
        if let Some(limit) = options.limit {
            fit.limit(limit);
        }
        Ok(File { path: container.path().into(), fit })
    }
}

impl Source for File {
    fn samples(&self) -> usize {
        self.fit.samples
    }

    fn batches(&self) -> usize {
        self.fit.batches()
    }

    fn has_labels(&self) -> bool {
        self.fit.labels.is_some()
    }

    fn describe(&self) -> String {
        format!("{} samples of {}", self.fit.samples, self.path.display())
    }

    fn shapes(&self, index: usize) -> Result<Vec<(String, Vec<usize>)>> {
        Ok(self.fit.shapes(index))
    }

    fn batch(&self, index: usize) -> Result<Batch> {
        self.fit.load(index, 0)
    }
}
