//! Whether a clean-up left the outputs as they were, in every runtime that is present.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use super::check::{Checked, check};
use crate::analysis::value_bytes;
use crate::data::{DataOptions, Dataset, InputSpec};
use crate::error::{ErrorKind, Result};
use crate::ir::{Dim, Model};
use crate::runtime::{RUNTIMES, built_in, reads_halves};

/// Bytes of weights up to which a model is run without being asked to.
const WEIGHTS: usize = 1 << 30;
/// Bytes of one value up to which a model is run on sizes that nobody gave.
const VALUE: usize = 1 << 30;
/// Steps of a sequence where those that were made up are too many.
const STEPS: i64 = 16;
const HINT: &str = "--data or --shape gives inputs that are possible";

/// What original and result are run on.
#[derive(Debug, Clone, Copy, Default)]
pub struct Inputs<'a> {
    /// As `--data` takes it; made up where there are none.
    pub data: Option<&'a str>,
    /// How many of them; by itself one, and none of a model above 1 GiB on inputs that are made up.
    pub count: Option<usize>,
}

impl Inputs<'_> {
    /// How many of them original and result are run on.
    fn count(&self, original: &Model) -> usize {
        let unasked = usize::from(self.data.is_some() || original.weight_bytes() <= WEIGHTS);
        self.count.unwrap_or(unasked)
    }

    /// So many of them for this model.
    ///
    /// # Errors
    /// What the data refuse.
    pub fn open(&self, count: usize, model: &Model) -> Result<Dataset> {
        let made_up = format!("random:{count}");
        Dataset::open(&DataOptions::new(self.data.unwrap_or(&made_up)), &InputSpec::of(model))
    }

    /// So many that are made up, with sequences of few steps: a model may have positions for no more.
    fn short(count: usize, model: &Model) -> Result<Dataset> {
        let inputs = InputSpec::of(model);
        let size = |(axis, dim): (usize, &Dim)| if axis == 0 || dim.known().is_some() { -1 } else { STEPS };
        let short = |i: &InputSpec| {
            let shape = i.ty.shape.as_ref().filter(|s| s.len() <= 3)?;
            Some((i.name.clone(), shape.iter().enumerate().map(size).collect()))
        };
        let shapes = inputs.iter().filter_map(short).collect();
        Dataset::open(&DataOptions { shapes, ..DataOptions::new(format!("random:{count}")) }, &inputs)
    }
}

/// What came of running original and result.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct Everywhere {
    /// In each runtime that ran them; the last alone may be off by more than rounding.
    pub checked: Vec<Checked>,
    /// Where they were not run, and why.
    pub unchecked: Vec<String>,
}

impl Everywhere {
    /// What is off by more than rounding.
    pub fn off(&self) -> Option<String> {
        self.checked.last().and_then(Checked::off)
    }
}

impl fmt::Display for Everywhere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.unchecked.iter().try_for_each(|why| writeln!(f, "{why}"))?;
        self.checked.iter().try_for_each(|checked| writeln!(f, "{checked}"))
    }
}

/// Runs both in one runtime after the other, until they are off by more than rounding.
///
/// # Errors
/// What the data refuse that were given, and the runtimes but for a model that they cannot run.
pub fn check_everywhere(inputs: &Inputs, original: &Model, result: &Model) -> Result<Everywhere> {
    let mut found = Everywhere::default();
    let count = inputs.count(original);
    if count == 0 {
        return Ok(found);
    }
    let data = match inputs.open(count, original) {
        // Inputs that nobody asked for need not be possible.
        Err(e) if inputs.data.is_none() => {
            found.unchecked.push(format!("not checked ({HINT}): {e}"));
            return Ok(found);
        }
        data => data?,
    };
    found = check_on(&data, count, original, result)?;
    if found.checked.is_empty()
        && inputs.data.is_none()
        && let Ok(short) = Inputs::short(count, original)
    {
        let again = check_on(&short, count, original, result)?;
        return Ok(if again.checked.is_empty() { found } else { again });
    }
    Ok(found)
}

fn check_on(data: &Dataset, count: usize, original: &Model, result: &Model) -> Result<Everywhere> {
    let mut found = Everywhere::default();
    let bytes = value_bytes(original, &data.shapes(0)?).into_values().max().unwrap_or(0);
    if data.is_random() && bytes > VALUE {
        let gigabytes = bytes as f64 / 1e9;
        let why = format!(
            "not checked: on made-up inputs a value takes {gigabytes:.1} GB (--shape or --data gives smaller ones)"
        );
        found.unchecked.push(why);
        return Ok(found);
    }
    let present: Vec<_> = RUNTIMES.iter().copied().filter(|r| r.present().is_ok()).collect();
    for runtime in &present {
        let name = runtime.name();
        if name == built_in().name() && present.len() > 1 && reads_halves(original) {
            found.unchecked.push(format!("not checked in {name}, which takes minutes for float16"));
            continue;
        }
        match check(original, result, data, count, *runtime) {
            Err(e) if e.kind() == ErrorKind::Runtime => {
                let hint = if data.is_random() { format!(" ({HINT})") } else { String::new() };
                found.unchecked.push(format!("not checked in {name}{hint}: {e}"));
            }
            checked => {
                found.checked.push(checked?);
                if found.off().is_some() {
                    break;
                }
            }
        }
    }
    Ok(found)
}
