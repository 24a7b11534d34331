//! Which array feeds which input, judged from the headers: samples, or the same in each run.
//!
//! | declared | array | |
//! |---|---|---|
//! | `[N,3,8]` or `[1,3,8]` | `[100,3,8]` | samples on axis 0, a batch at a time; a declared size is the batch size |
//! | `[3,8]` | `[100,3,8]` | the model has no sample axis: one sample per run |
//! | `[2,1,128]`, `[]` or `[N]` | `[2,1,128]`, `[]` or `[1]`, other inputs have samples | fed whole in each run (states, sample rates) |
//!
//! What is fed whole cannot follow the batch, so it decides the batch size: its size on an axis that the model declares
//! as the batch, or on axis 1 of a recurrent state where that is open, else one sample.

use std::collections::BTreeMap;

use super::InputSpec;
use super::array::{Array, type_name};
use super::convert;
use crate::error::{Error, Result};
use crate::ir::Dim;

/// Words in the names of axes that count the steps of a sequence.
const TIME: [&str; 6] = ["seq", "len", "time", "frame", "step", "chunk"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Axis 0 counts the samples; `Some` where the model declares its size.
    Samples(Option<usize>),
    /// The array has one axis more than the input: one sample per run.
    PerRun,
    /// Exactly the declared shape, with a size declared for axis 0 (or a scalar): the other inputs decide.
    Exact,
    /// Fed whole in each run.
    Constant,
}

/// An input and the array that feeds it.
#[derive(Debug)]
pub(super) struct Feed {
    pub input: InputSpec,
    pub array: Array,
    pub role: Role,
}

/// The inputs of one file.
#[derive(Debug)]
pub(super) struct Feeds(pub Vec<Feed>);

impl Feeds {
    /// Decides the open roles; the number of samples.
    pub fn settle(&mut self) -> Result<usize> {
        let most = self.0.iter().filter_map(Feed::samples).max();
        for feed in self.0.iter_mut().filter(|f| f.role == Role::Samples(None) && f.array.shape[0] == 1) {
            if most > Some(1) {
                feed.role = Role::Constant;
            }
        }
        self.agree()?;
        // Where every input has exactly its declared shape, they are one batch if they agree on its size, else one run.
        let mut sizes = self.0.iter().filter_map(|f| f.array.shape.first().copied());
        let common = sizes.next().filter(|n| sizes.all(|m| m == *n));
        for feed in self.0.iter_mut().filter(|f| f.role == Role::Exact) {
            let scalar = feed.array.shape.is_empty();
            feed.role = match common {
                Some(n) if most.is_none() && !scalar => Role::Samples(Some(n)),
                _ => Role::Constant,
            };
        }
        self.check_symbols()?;
        match most.or(common).unwrap_or(1) {
            0 => Err(Error::input("there are no samples: the first axis has size 0")),
            n => Ok(n),
        }
    }

    /// Whether the arrays can feed one run, and say different numbers of samples (nodes and edges of a graph), or the steps of a sequence
    /// beside a state of fixed sizes.
    pub fn is_one_run(&self) -> bool {
        self.0.iter().all(Feed::feeds_one_run) && (self.agree().is_err() || self.is_sequence())
    }

    fn is_sequence(&self) -> bool {
        let state = |f: &Feed| f.role == Role::Exact && f.is_declared() && f.array.shape.len() > 1;
        self.0.iter().any(Feed::counts_steps) && self.0.iter().any(state)
    }

    /// Decides that all arrays are fed whole, in one run.
    pub fn settle_as_one_run(&mut self) -> Result<()> {
        if let Some(feed) = self.0.iter().find(|f| !f.feeds_one_run()) {
            let (name, declared) = (&feed.input.name, declared(&feed.input));
            return Err(Error::input(format!(
                "array \"{name}\" has {} samples for input {declared}, but the file is one run: no first axis is common to its arrays",
                feed.array.shape[0]
            )));
        }
        for feed in self.0.iter_mut().filter(|f| f.role != Role::PerRun) {
            feed.role = Role::Constant;
        }
        self.check_symbols()
    }

    /// Arrays that count samples have the same number of them.
    fn agree(&self) -> Result<()> {
        // One row beside many samples is fed whole.
        let most = self.0.iter().filter_map(Feed::samples).max();
        let whole = |f: &&Feed| f.role == Role::Samples(None) && f.array.shape[0] == 1 && most > Some(1);
        let counted = self.0.iter().filter(|f| !whole(f));
        let mut counted = counted.filter_map(|f| Some((f.samples()?, &f.input.name)));
        if let Some((m, first)) = counted.next()
            && let Some((n, other)) = counted.find(|(n, _)| *n != m)
        {
            return Err(Error::input(format!(
                "array \"{first}\" has {m} samples on its first axis, array \"{other}\" has {n}"
            )));
        }
        Ok(())
    }

    /// The batch size, where the model or something fed whole decides it.
    pub fn declared_batch(&self) -> Result<Option<usize>> {
        let symbol = self.batch_symbol();
        let sampled = self.0.iter().any(|f| f.samples().is_some());
        let fixed = self.0.iter().any(|f| matches!(f.role, Role::Samples(Some(_))));
        let mut found: Option<(usize, &str)> = None;
        for feed in &self.0 {
            let size = match feed.role {
                Role::Samples(size) => size,
                Role::PerRun => Some(1),
                // Where all its sizes are declared, it says nothing of one that is fixed elsewhere.
                Role::Exact | Role::Constant if sampled && !(fixed && feed.is_declared()) => feed.whole_batch(symbol),
                Role::Exact | Role::Constant => None,
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
        self.0.iter().filter(|f| f.role == Role::Samples(None)).find_map(|f| {
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
        for feed in &self.0 {
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
}

impl Feed {
    /// Samples in the array, where its first axis counts them.
    fn samples(&self) -> Option<usize> {
        match self.role {
            Role::Samples(_) | Role::PerRun => self.array.shape.first().copied(),
            Role::Exact | Role::Constant => None,
        }
    }

    /// Whether the whole array is what one run takes.
    fn feeds_one_run(&self) -> bool {
        match self.role {
            Role::Samples(size) => size.is_none(),
            Role::PerRun => self.array.shape[0] == 1,
            Role::Exact | Role::Constant => true,
        }
    }

    /// Whether the first axis goes by a name of time.
    fn counts_steps(&self) -> bool {
        let first = self.input.ty.shape.as_ref().and_then(|dims| dims.first());
        let Some(Dim::Symbol(name)) = first.filter(|_| self.role == Role::Samples(None)) else { return false };
        let name = name.to_lowercase();
        TIME.iter().any(|word| name.contains(word)) && !name.contains("batch")
    }

    fn is_declared(&self) -> bool {
        self.input.ty.known_shape().is_some()
    }

    /// The batch size that an array which is fed whole goes with; `None` for scalars and the like.
    fn whole_batch(&self, symbol: Option<&str>) -> Option<usize> {
        let dims = self.input.ty.shape.as_deref().unwrap_or_default();
        let sizes = &self.array.shape;
        let is_batch = |d: &Dim| symbol.is_some_and(|s| matches!(d, Dim::Symbol(t) if t == s));
        if let Some(axis) = dims.iter().position(is_batch) {
            return sizes.get(axis).copied();
        }
        match dims {
            [first, ..] if first.known().is_none() => Some(1),
            [_, second, _] if second.known().is_none() => sizes.get(1).copied(),
            [_, _, ..] => Some(1),
            _ => None,
        }
    }
}

/// How `array` feeds `input`, judged without the other inputs.
pub(super) fn role_of(array: &Array, input: &InputSpec) -> Result<Role> {
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
