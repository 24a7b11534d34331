//! A folder of images: one per sample, decoded when its batch is loaded.
//!
//! Folders in it are classes: the label is the place of the folder's name among the sorted names, or its line in the
//! file of `--synsets`. Images that lie in the folder itself have no labels. Fewer than all are taken evenly spaced,
//! so that all classes take part.

use std::path::{Path, PathBuf};

use super::container::{self, ending};
use super::convert::{self, Origin};
use super::feed::declared;
use super::preprocess::Preprocess;
use super::source::list;
use super::{Batch, DataOptions, InputSpec, Source};
use crate::error::{Error, Result};
use crate::ir::Tensor;

const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "webp", "bmp"];

/// An example of the flag, for those who left it out.
const EXAMPLE: &str = "--preprocess \"resize=256,crop=224,mean=127,std=128\"";

#[derive(Debug)]
pub(super) struct Images {
    path: PathBuf,
    images: Vec<(PathBuf, Option<i64>)>,
    preprocess: Preprocess,
    input: InputSpec,
    /// Whether the model's input has a batch axis.
    batched: bool,
    batch: usize,
    /// What every image becomes, where that does not depend on the image.
    size: Option<[usize; 3]>,
}

pub(super) fn is_image(path: &Path) -> bool {
    ending(path).is_some_and(|e| ENDINGS.contains(&e.as_str()))
}

impl Images {
    /// `path` is a folder of images, or of class folders, or an image.
    pub fn open(path: &Path, options: &DataOptions, inputs: &[InputSpec]) -> Result<Self> {
        let here = |e: Error| e.in_file(path);
        // What is not there need not be prepared.
        let mut images = find(path, options.synsets.as_deref())?;
        let [input] = inputs else {
            let message = format!("images feed one input, the model has {}: use npz", inputs.len());
            return Err(here(Error::input(message)));
        };
        let Some(text) = &options.preprocess else {
            return Err(here(Error::usage(format!("images need to know how the model wants them, as in {EXAMPLE}"))));
        };
        let mut preprocess: Preprocess = text.parse()?;
        let (batched, fixed) = batching(input).map_err(here)?;
        let dims = input.ty.shape.iter().flatten().skip(usize::from(batched));
        let mut axes = [-1; 3];
        axes.iter_mut().zip(dims).for_each(|(axis, dim)| *axis = dim.known().unwrap_or(-1));
        preprocess.settle(axes)?;

        // One batch at least, as of other data.
        let limit = options.limit.map(|l| l.max(fixed.unwrap_or(1)));
        if let Some(limit) = limit.filter(|l| *l < images.len()) {
            let total = images.len();
            images = (0..limit).map(|i| images[i * total / limit].clone()).collect();
        }
        let batch = match fixed {
            Some(n) => n,
            None if preprocess.is_fixed_size() => options.batch_size.clamp(1, images.len()),
            None => 1,
        };
        if images.len() < batch {
            let message = format!("there are {} images, the model takes batches of {batch}", images.len());
            return Err(here(Error::input(message)));
        }
        let rest = if fixed.is_some() { images.len() % batch } else { 0 };
        if rest > 0 {
            tracing::warn!(
                "{}: the last {rest} images are left out: the model takes batches of {batch}",
                path.display()
            );
            images.truncate(images.len() - rest);
        }
        let mut images =
            Images { path: path.into(), images, preprocess, input: input.clone(), batched, batch, size: None };
        let first = images.load(0, &mut Vec::new())?;
        images.size = images.preprocess.is_fixed_size().then_some(first);
        Ok(images)
    }

    /// Appends image `index` to `out`; its shape, checked against the model.
    fn load(&self, index: usize, out: &mut Vec<f32>) -> Result<[usize; 3]> {
        let path = &self.images[index].0;
        let shape = self.preprocess.load(path, out)?;
        let dims = self.input.ty.shape.iter().flatten().skip(usize::from(self.batched));
        if dims.zip(shape).any(|(d, n)| d.known().is_some_and(|d| d != n as i64)) {
            return Err(Error::input(format!(
                "the preprocessed image is float32 {shape:?} (without the batch axis); the model declares input \"{}\" as {}",
                self.input.name,
                declared(&self.input)
            ))
            .in_file(path));
        }
        Ok(shape)
    }

    fn shape(&self, rows: usize, image: [usize; 3]) -> Vec<usize> {
        let rows = [rows];
        [if self.batched { &rows[..] } else { &[] }, &image[..]].concat()
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = index * self.batch;
        start..(start + self.batch).min(self.images.len())
    }
}

impl Source for Images {
    fn samples(&self) -> usize {
        self.images.len()
    }

    fn batches(&self) -> usize {
        self.images.len().div_ceil(self.batch)
    }

    fn has_labels(&self) -> bool {
        self.images.iter().all(|(_, label)| label.is_some())
    }

    fn describe(&self) -> String {
        format!("{} images of {}", self.images.len(), self.path.display())
    }

    fn shapes(&self, index: usize) -> Result<Vec<(String, Vec<usize>)>> {
        let rows = self.range(index);
        let image = self.size.map_or_else(|| self.load(rows.start, &mut Vec::new()), Ok)?;
        Ok(vec![(self.input.name.clone(), self.shape(rows.len(), image))])
    }

    fn batch(&self, index: usize) -> Result<Batch> {
        let rows = self.range(index);
        let mut numbers = Vec::new();
        let mut shape = None;
        for i in rows.clone() {
            let this = self.load(i, &mut numbers)?;
            if shape.is_some_and(|s| s != this) {
                let message =
                    format!("image comes out as {this:?}, others in its batch as {shape:?}: crop, or resize=WxH");
                return Err(Error::input(message).in_file(&self.images[i].0));
            }
            shape = Some(this);
        }
        let tensor = Tensor::from_vec(self.shape(rows.len(), shape.unwrap_or_default()), numbers);
        let origin =
            Origin { file: Some(&self.path), what: "the preprocessed image".into(), first_sample: Some(rows.start) };
        let tensor = convert::to_declared(tensor, self.input.ty.dtype, &origin)?;
        let labels = self.images[rows.clone()].iter().map(|(_, label)| *label).collect();
        let inputs = vec![(self.input.name.clone(), tensor)];
        Ok(Batch { inputs, labels, first_sample: rows.start, samples: rows.len() })
    }
}

/// Whether the input has a batch axis, and its size where that is declared.
fn batching(input: &InputSpec) -> Result<(bool, Option<usize>)> {
    let rank = input.ty.rank().unwrap_or(4);
    let first = input.ty.shape.as_ref().and_then(|s| s.first()?.known());
    match (rank, first) {
        (4, Some(n)) => Ok((true, Some((n as usize).max(1)))),
        (4, None) => Ok((true, None)),
        (3, _) => Ok((false, Some(1))),
        _ => Err(Error::input(format!(
            "images cannot feed input \"{}\", which the model declares as {}",
            input.name,
            declared(input)
        ))),
    }
}

/// The images of `path`, sorted, with the labels that class folders give.
fn find(path: &Path, synsets: Option<&Path>) -> Result<Vec<(PathBuf, Option<i64>)>> {
    if path.is_file() {
        return Ok(vec![(path.into(), None)]);
    }
    let images_in = |path: &Path| Ok::<_, Error>(list(path)?.0.into_iter().filter(|f| is_image(f)).collect::<Vec<_>>());
    let flat = images_in(path)?;
    if !flat.is_empty() {
        if let Some(synsets) = synsets {
            let message = "is for images in class folders; these lie in one folder";
            return Err(Error::usage(format!("--synsets {} {message}", synsets.display())).in_file(path));
        }
        return Ok(flat.into_iter().map(|f| (f, None)).collect());
    }
    let mut classes = Vec::new();
    for folder in list(path)?.1 {
        let images = images_in(&folder)?;
        if !images.is_empty() {
            classes.push((folder.file_name().unwrap_or_default().to_string_lossy().into_owned(), images));
        }
    }
    let order = synsets.map(read_synsets).transpose()?;
    if order.is_none() && !classes.is_empty() {
        let message = "labels are the places of its folders in alphabetical order; --synsets FILE says another";
        tracing::warn!("{}: {message}", path.display());
    }
    let mut found = Vec::new();
    for (place, (class, images)) in classes.into_iter().enumerate() {
        let label = match (&order, synsets) {
            (Some(order), Some(file)) => {
                order.iter().find(|(_, name)| *name == class).map(|(i, _)| *i).ok_or_else(|| {
                    Error::input(format!("class folder \"{class}\" is not in {}", file.display())).in_file(path)
                })?
            }
            _ => place as i64,
        };
        found.extend(images.into_iter().map(|image| (image, Some(label))));
    }
    if found.is_empty() {
        let (data, images) = (container::ENDINGS.join(", "), ENDINGS.join(", "));
        return Err(Error::input(format!("holds no data ({data}) and no images ({images})")).in_file(path));
    }
    Ok(found)
}

/// Classes by line: `name`, `name some words`, or `number name …`, where the number is the label.
fn read_synsets(path: &Path) -> Result<Vec<(i64, String)>> {
    let text = std::fs::read_to_string(path).map_err(|e| Error::io(path, e))?;
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    Ok(lines
        .enumerate()
        .map(|(line, text)| {
            let mut words = text.split(|c: char| c.is_whitespace() || c == ',').filter(|w| !w.is_empty());
            let (first, second) = (words.next().unwrap_or(text), words.next());
            match (first.parse::<i64>(), second) {
                (Ok(number), Some(name)) => (number, name.into()),
                _ => (line as i64, first.into()),
            }
        })
        .collect())
}
