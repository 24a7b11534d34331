//! Clean-up alone, with proof.
//!
//! ```text
//! file ─► specialize ─► simplify, or tune ─► original ≡ result in every runtime ─► file
//!                            └── less, where they differ ──┘
//! ```

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

use super::load;
use crate::data::is_made_up;
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::onnx;
use crate::passes::{self, SimplifyOptions, SimplifyReport, Specialize, simplify};
use crate::progress::Progress;
use crate::runtime;
use crate::target;
use crate::validate::everywhere::{Everywhere, Inputs, check_everywhere};
use crate::validate::tune::{Tuned, tune};
use crate::validate::within::within;

/// What [`clean`] is to do.
pub struct Clean<'a> {
    /// Where the model is.
    pub model: &'a Path,
    /// Where the result goes; `None` runs and writes nothing.
    pub output: Option<&'a Path>,
    /// What is fixed beforehand.
    pub specialize: Specialize,
    /// Which passes run.
    pub simplify: SimplifyOptions,
    /// Whether those are left out that make the model slower in the runtime of its target.
    pub tune: bool,
    /// What original and result are run on.
    pub inputs: Inputs<'a>,
}

/// What [`clean`] did.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Cleaned {
    /// The file that was read.
    pub model: PathBuf,
    /// The file that was written, if one was.
    pub output: Option<PathBuf>,
    /// What became of the graph.
    pub simplify: SimplifyReport,
    /// A pass, or a family of passes, that moves the outputs by more than rounding, and how far: it was left out.
    pub left_out: Option<(String, String)>,
    /// What was timed.
    pub tuned: Option<Tuned>,
    /// How original and result compare.
    pub check: Everywhere,
}

/// Cleans a model, and writes what computes the same.
///
/// # Errors
/// Usage, for passes, names, sizes and values that do not fit the model; what is wrong with the file or the data; a defect of the passes, where
/// the outputs move by more than rounding whatever is left out: nothing is written then.
pub fn clean(wanted: &Clean, progress: &dyn Progress) -> Result<Cleaned> {
    let mut original = load(wanted.model)?;
    passes::specialize(&mut original, &wanted.specialize)?;
    let here = |e: Error| e.in_file(wanted.model);
    let mut done = Cleaned {
        model: wanted.model.to_path_buf(),
        output: wanted.output.map(Path::to_path_buf),
        simplify: SimplifyReport::default(),
        left_out: None,
        tuned: None,
        check: Everywhere::default(),
    };
    let mut model = original.clone();
    if wanted.tune {
        let inputs = wanted.inputs.open(1, &original)?.batch(0)?.inputs;
        let runtime = runtime::closest_to(wanted.simplify.target.unwrap_or_else(target::default).name);
        let (best, report, seen) = tune(&original, &wanted.simplify, &inputs, runtime, progress).map_err(here)?;
        (model, done.simplify, done.tuned) = (best, report, Some(seen));
    } else {
        done.simplify = simplify(&mut model, &wanted.simplify).map_err(here)?;
    }
    let Some(output) = wanted.output else { return Ok(done) };
    let mut model = checked(wanted, &original, model, &mut done)?;
    if wanted.specialize != Specialize::default() {
        passes::declare_outputs(&mut model);
    }
    onnx::emit(&model, output)?;
    Ok(done)
}

/// The result, or one by fewer passes that computes what the original does.
fn checked(wanted: &Clean, original: &Model, result: Model, done: &mut Cleaned) -> Result<Model> {
    done.check = check_everywhere(&wanted.inputs, original, &result)?;
    let Some(off) = done.check.off() else { return Ok(result) };
    let mut last = Everywhere::default();
    let mut holds = |model: &Model| {
        last = check_everywhere(&wanted.inputs, original, model)?;
        Ok(last.off().is_none())
    };
    // What was timed would have to be timed anew.
    let less = match wanted.tune {
        true => None,
        false => within(original, &wanted.simplify, &done.simplify, &mut holds).map_err(|e| e.in_file(wanted.model))?,
    };
    let Some(less) = less else {
        return Err(Error::internal(format!(
            "{off}: nothing is written (--no-check writes all the same, --skip PASS leaves a pass out)"
        )));
    };
    let off = if is_made_up(wanted.inputs.data) {
        format!("{off}, on made-up inputs (--data may tell otherwise)")
    } else {
        off
    };
    (done.left_out, done.simplify, done.check) = (Some((less.left_out, off)), less.report, last);
    Ok(less.model)
}

impl fmt::Display for Cleaned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.check)?;
        writeln!(f, "{}", self.simplify)?;
        if let Some((pass, off)) = &self.left_out {
            writeln!(f, "  {pass:<28} left out: with it {off}")?;
        }
        self.tuned.iter().try_for_each(|tuned| writeln!(f, "{tuned}"))
    }
}
