//! Random samples of the declared shapes: enough to run a model and to time it, not to judge it.
//!
//! Floats are standard normal; integers are 0 or 1 (safe as indices), uint8 is 0 to 255 (pixels), and 1 everywhere in
//! inputs that are called a mask. A sample's numbers depend on the seed, the input and the sample's number alone.
//!
//! A size that the model names is the same in all inputs: what is given for one of them, else the samples of the batch
//! where it is the name of the first open first axis, else what suits the first other axis that has it.

use std::collections::BTreeMap;

use half::{bf16, f16};

use super::convert::is_convertible;
use super::feed::declared;
use super::{Batch, DataOptions, InputSpec, Rng, Source};
use crate::error::{Error, Result};
use crate::ir::tensor::element_count;
use crate::ir::{DType, Dim, Tensor};
use crate::names::likely;

/// Sizes for what the model leaves open: height and width of an image, steps of a sequence.
const IMAGE_SIDE: usize = 224;
const SEQUENCE: usize = 128;
/// Bytes that one random input may take.
const LARGEST: usize = 1 << 30;

#[derive(Debug)]
pub(super) struct Random {
    wanted: usize,
    seed: u64,
    inputs: Vec<Made>,
    samples: usize,
    batch: usize,
}

#[derive(Debug)]
struct Made {
    name: String,
    dtype: DType,
    dims: Vec<Size>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Size {
    /// As many as there are samples in the batch.
    Batch,
    Fixed(usize),
}

impl Random {
    pub fn open(wanted: usize, options: &DataOptions, inputs: &[InputSpec]) -> Result<Self> {
        let shapes = declared_shapes(options, inputs)?;
        let free = |dims: &Vec<Dim>| dims.first().is_some_and(|d| d.known().is_none());
        let any_free = shapes.iter().any(free);
        let batch_symbol = shapes.iter().filter(|s| free(s)).find_map(|s| match &s[0] {
            Dim::Symbol(s) => Some(s.clone()),
            _ => None,
        });
        let declared_batch = shapes.iter().find_map(|s| s.first()?.known()).map_or(1, |n| n.max(1) as usize);
        let mut symbols = BTreeMap::new();
        for dims in &shapes {
            for (axis, dim) in dims.iter().enumerate().skip(1) {
                if let Dim::Symbol(s) = dim {
                    symbols.entry(s).or_insert_with(|| open_size(dims, axis));
                }
            }
        }
        let mut made = Vec::new();
        for (input, dims) in inputs.iter().zip(&shapes) {
            let dtype = input.ty.dtype.unwrap_or(DType::F32);
            if !is_convertible(DType::F32, dtype) {
                let what = declared(input);
                let message = format!("input \"{}\" is {what}, for which no random data can be made", input.name);
                return Err(Error::input(message));
            }
            // A fixed first axis beside inputs that have samples there: a state, whose open sizes are the batch.
            let state = any_free && !free(dims);
            let size = |(axis, dim): (usize, &Dim)| match dim {
                d if d.known().is_some() => Size::Fixed(d.known().unwrap_or(1) as usize),
                Dim::Symbol(s) if batch_symbol.as_ref() == Some(s) => Size::Batch,
                // On a first axis alone it counts samples.
                Dim::Symbol(s) => symbols.get(s).map_or(Size::Batch, |n| Size::Fixed(*n)),
                _ if axis == 0 || state => Size::Batch,
                _ => Size::Fixed(open_size(dims, axis)),
            };
            let dims = dims.iter().enumerate().map(size).collect();
            made.push(Made { name: input.name.clone(), dtype, dims });
        }
        let samples = options.limit.map_or(wanted, |l| l.min(wanted));
        // A state of known sizes goes with the batch it was made for: one, as good as always.
        let fixed = |m: &Made| m.dims.len() > 1 && m.dims.iter().all(|d| matches!(d, Size::Fixed(_)));
        let mut states = made.iter().zip(&shapes).filter(|(m, dims)| !free(dims) && fixed(m));
        let batch = match any_free {
            true if states.next().is_some() => 1,
            true => options.batch_size.clamp(1, samples),
            false => declared_batch,
        };
        let samples = if any_free { samples } else { samples.next_multiple_of(batch) };
        for m in &made {
            let shape = m.shape(batch);
            let bytes = element_count(&shape).and_then(|n| m.dtype.byte_len(n));
            if bytes.is_none_or(|b| b > LARGEST) {
                let message = format!("random data for input \"{}\" would be {shape:?}, over 1 GiB a batch", m.name);
                return Err(Error::input(format!("{message}: give its shape")));
            }
        }
        Ok(Random { wanted, seed: options.seed, inputs: made, samples, batch })
    }

    fn rows(&self, index: usize) -> usize {
        self.batch.min(self.samples - index * self.batch)
    }
}

impl Source for Random {
    fn samples(&self) -> usize {
        self.samples
    }

    fn batches(&self) -> usize {
        self.samples.div_ceil(self.batch)
    }

    fn has_labels(&self) -> bool {
        false
    }

    fn describe(&self) -> String {
        format!("random:{} (accuracy means nothing)", self.wanted)
    }

    fn shapes(&self, index: usize) -> Result<Vec<(String, Vec<usize>)>> {
        let rows = self.rows(index);
        Ok(self.inputs.iter().map(|m| (m.name.clone(), m.shape(rows))).collect())
    }

    fn batch(&self, index: usize) -> Result<Batch> {
        let (first_sample, rows) = (index * self.batch, self.rows(index));
        let mut inputs = Vec::new();
        for (place, made) in self.inputs.iter().enumerate() {
            inputs.push((made.name.clone(), made.tensor(self.seed, place as u64, first_sample, rows)?));
        }
        Ok(Batch { inputs, labels: None, first_sample, samples: rows })
    }
}

impl Made {
    fn shape(&self, rows: usize) -> Vec<usize> {
        self.dims.iter().map(|d| if let Size::Fixed(n) = d { *n } else { rows }).collect()
    }

    fn tensor(&self, seed: u64, place: u64, first_sample: usize, rows: usize) -> Result<Tensor> {
        let shape = self.shape(rows);
        let count = element_count(&shape).unwrap_or(0);
        // Blocks of one sample each where axis 0 counts samples; else one block per run.
        let blocks = if self.dims.first() == Some(&Size::Batch) { rows } else { 1 };
        let mut bytes = Vec::with_capacity(self.dtype.byte_len(count).unwrap_or(0));
        for block in 0..blocks {
            let mut rng = Rng::new(&[seed, place, (first_sample + block) as u64]);
            for _ in 0..count / blocks.max(1) {
                self.push(&mut rng, &mut bytes);
            }
        }
        Tensor::from_bytes(self.dtype, shape, bytes)
    }

    fn push(&self, rng: &mut Rng, bytes: &mut Vec<u8>) {
        match self.dtype {
            DType::F32 => bytes.extend((rng.normal() as f32).to_le_bytes()),
            DType::F64 => bytes.extend(rng.normal().to_le_bytes()),
            DType::F16 => bytes.extend(f16::from_f64(rng.normal()).to_le_bytes()),
            DType::BF16 => bytes.extend(bf16::from_f64(rng.normal()).to_le_bytes()),
            DType::U8 => bytes.push(rng.next() as u8),
            dtype => {
                let value = if self.name.to_lowercase().contains("mask") { 1 } else { rng.next() & 1 };
                bytes.extend(&value.to_le_bytes()[..dtype.bits() / 8]);
            }
        }
    }
}

/// The inputs' shapes with the sizes that the options give put in.
fn declared_shapes(options: &DataOptions, inputs: &[InputSpec]) -> Result<Vec<Vec<Dim>>> {
    if let Some((name, _)) = options.shapes.iter().find(|(name, _)| !inputs.iter().any(|i| i.name == *name)) {
        let hint = likely(name, inputs.iter().map(|i| i.name.as_str()));
        let hint = hint.map_or_else(String::new, |n| format!(", is it \"{n}\"?"));
        return Err(Error::usage(format!("a shape is given for \"{name}\", which is no input of the model{hint}")));
    }
    let shape_of = |input: &InputSpec| {
        let given = options.shapes.iter().rev().find(|(name, _)| *name == input.name).map(|(_, dims)| dims);
        let declared_dims = match (&input.ty.shape, given) {
            (Some(dims), _) => dims.clone(),
            (None, Some(given)) => vec![Dim::Unknown; given.len()],
            (None, None) => {
                let name = &input.name;
                return Err(Error::usage(format!(
                    "the model does not say what shape input \"{name}\" has: give its shape"
                )));
            }
        };
        let Some(given) = given else { return Ok(declared_dims) };
        let fits = |(d, g): (&Dim, &i64)| *g < 0 || d.known().is_none_or(|d| d == *g);
        if given.len() != declared_dims.len() || !declared_dims.iter().zip(given).all(fits) {
            let (name, declared) = (&input.name, declared(input));
            return Err(Error::usage(format!("shape {given:?} is given for input \"{name}\", declared as {declared}")));
        }
        Ok(declared_dims.into_iter().zip(given).map(|(d, g)| if *g < 0 { d } else { Dim::Known(*g) }).collect())
    };
    let mut shapes = inputs.iter().map(shape_of).collect::<Result<Vec<_>>>()?;
    let sizes = given_sizes(inputs, &shapes)?;
    for dim in shapes.iter_mut().flatten() {
        if let Dim::Symbol(symbol) = dim
            && let Some((n, _)) = sizes.get(symbol.as_str())
        {
            *dim = Dim::Known(*n);
        }
    }
    Ok(shapes)
}

/// What the model's named sizes are where `shapes` has numbers for them, and the input that says so.
fn given_sizes<'a>(inputs: &'a [InputSpec], shapes: &[Vec<Dim>]) -> Result<BTreeMap<&'a str, (i64, &'a str)>> {
    let mut sizes = BTreeMap::new();
    for (input, given) in inputs.iter().zip(shapes) {
        for (dim, given) in input.ty.shape.iter().flatten().zip(given) {
            let (Dim::Symbol(symbol), Some(n)) = (dim, given.known()) else { continue };
            let (first, other) = *sizes.entry(symbol.as_str()).or_insert((n, input.name.as_str()));
            if first != n {
                let name = &input.name;
                return Err(Error::usage(format!(
                    "the model's size {symbol} is given as {first} for input \"{other}\" but as {n} for input \"{name}\""
                )));
            }
        }
    }
    Ok(sizes)
}

/// A size for axis `axis` (not the first) that the model leaves open.
fn open_size(dims: &[Dim], axis: usize) -> usize {
    let is_channels = |axis: usize| matches!(dims[axis].known(), Some(1 | 3 | 4));
    match (dims.len(), axis) {
        (4, 1) if is_channels(3) && !is_channels(1) => IMAGE_SIDE,
        (4, 1) | (4, 3) if axis == 1 || is_channels(3) => 3,
        (4, _) => IMAGE_SIDE,
        (5, 1) => 3,
        (5, _) => 16,
        _ => SEQUENCE,
    }
}
