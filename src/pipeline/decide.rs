//! Deciding a quantization plan: what is timed, what is calibrated, what is tried.
//!
//! ```text
//! equalize ─► smooth ─► values ─► statistics ─► time nodes, where wanted ─► choose among plans by held-back data ─► plan
//!                          └──────────────────────────────────────────► again, with more nodes in float ─► plan
//! ```

use std::collections::BTreeMap;
use std::path::Path;

use crate::calibrate::{Calibrator, Ranges, Statistics, collect};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::{Model, Tensor};
use crate::progress::Progress;
use crate::quantize::algorithm::{self, ByData};
use crate::quantize::{self, Format, Granularity, QuantOptions, QuantPlan, Switch};
use crate::runtime::{self, Runtime};
use crate::target;

/// Where the ranges of activations come from.
#[derive(Clone, Copy)]
pub enum RangeSource<'a> {
    /// Found before, by `calibrate`.
    File(&'a Path),
    /// Found by this calibrator on data that this runtime runs.
    Data(&'a Dataset, &'a dyn Runtime, Calibrator),
}

/// A plan, and what it takes to make another for the same model.
pub struct Decided<'a> {
    /// What becomes of each node.
    pub plan: QuantPlan,
    /// As asked for, with the nodes that timing left float.
    options: QuantOptions,
    /// What was done before the plan was chosen, and holds of each that is chosen anew.
    notes: Vec<String>,
    timed: bool,
    fitted: Option<Fitted<'a>>,
    pub(super) eased: Option<Eased>,
}

/// What was done to a model to make it easier to quantize: of no use where it is not.
#[derive(Clone)]
pub(super) struct Eased {
    before: Model,
    notes: Vec<String>,
}

impl Eased {
    /// The model as it was before, where `plan` quantizes nothing of it; the plan says nothing of what was done then.
    pub fn undone(&self, plan: &mut QuantPlan) -> Option<&Model> {
        let useless = plan.quantized() == 0;
        if useless {
            plan.notes.retain(|note| !self.notes.contains(note));
        }
        useless.then_some(&self.before)
    }
}

/// What a plan was fitted to.
struct Fitted<'a> {
    statistics: Statistics,
    dataset: &'a Dataset,
    runtime: &'a dyn Runtime,
}

impl Decided<'_> {
    /// Whether its nodes were timed in a runtime.
    #[must_use]
    pub fn is_timed(&self) -> bool {
        self.timed
    }

    /// Adds a note that holds of every plan.
    fn note(&mut self, note: String) {
        self.plan.notes.push(note.clone());
        self.notes.push(note);
    }

    /// Times the nodes in `runtime` and makes the plan anew without those that integers do not make faster there.
    ///
    /// # Errors
    /// As [`decide`].
    pub fn tune(
        &mut self,
        model: &Model,
        inputs: &[(String, Tensor)],
        runtime: &dyn Runtime,
        progress: &dyn Progress,
    ) -> Result<()> {
        let timed = quantize::measure(model, &self.plan, inputs, runtime, progress)?;
        self.plan = match self.again(model, timed.float.clone(), progress)? {
            Some(plan) => plan,
            None => timed.plan(model, &self.plan)?,
        };
        self.options.float.extend(timed.float);
        self.timed = true;
        timed.notes.into_iter().for_each(|note| self.note(note));
        Ok(())
    }

    /// The plan fitted anew with these nodes, by name, in float besides: what was chosen to make up for their errors need no longer.
    /// `None` where nothing is fitted to data.
    ///
    /// # Errors
    /// As [`decide`].
    pub fn again(
        &self,
        model: &Model,
        float: BTreeMap<String, String>,
        progress: &dyn Progress,
    ) -> Result<Option<QuantPlan>> {
        let Some(f) = &self.fitted else { return Ok(None) };
        let mut options = self.options.clone();
        options.float.extend(float);
        let (mut plan, _) = quantize::choose(model, &options, &f.statistics, (f.dataset, f.runtime), progress)?;
        plan.notes.extend(self.notes.iter().cloned());
        Ok(Some(plan))
    }
}

/// The quantization plan, with ranges from a file or from data where the form needs them. `model` is first made easier to quantize where
/// that pays ([`quantize::equalize`], and with data [`quantize::smooth`] or [`quantize::scale`]), which the plan notes.
///
/// # Errors
/// Usage, for what the form needs and is not there; what the data or the runtime refuse.
pub fn decide<'a>(
    model: &mut Model,
    options: &QuantOptions,
    source: Option<RangeSource<'a>>,
    progress: &dyn Progress,
) -> Result<Decided<'a>> {
    // With a scale for each output channel equalization has little to gain, and what nobody measures nobody can choose.
    let measured = matches!(&source, Some(RangeSource::Data(_, _, c)) if c.leaves_choice());
    let open = options.granularity == Granularity::Tensor && measured && options.effective_format().is_static();
    if options.equalize == Switch::Off || options.equalize == Switch::Auto && !open {
        return once(model, options, source, progress);
    }
    if let Some(RangeSource::File(path)) = source {
        return Err(Error::usage("--equalize on changes the values whose ranges it holds: give --data").in_file(path));
    }
    let before = model.clone();
    let mut other = model.clone();
    let equalized = quantize::equalize(&mut other).to_string();
    let mut with = once(&mut other, options, source, progress)?;
    if options.equalize == Switch::Auto {
        let mut without = once(model, options, source, progress)?;
        let [a, b] = [&without, &with].map(|d| d.plan.judged.unwrap_or(f64::NEG_INFINITY));
        if b <= a {
            without.note(format!("not equalized: the outputs come to {a:.1} dB, equalized to {b:.1} dB"));
            return Ok(without);
        }
        with.note(format!("the outputs come to {b:.1} dB, not equalized to {a:.1} dB"));
    }
    let mut notes = with.eased.take().map_or(Vec::new(), |eased| eased.notes);
    notes.push(equalized.clone());
    with.note(equalized);
    with.eased = Some(Eased { before, notes });
    *model = other;
    Ok(with)
}

/// The plan for the model as it is, but for what is smoothed or scaled.
fn once<'a>(
    model: &mut Model,
    options: &QuantOptions,
    source: Option<RangeSource<'a>>,
    progress: &dyn Progress,
) -> Result<Decided<'a>> {
    let before = model.clone();
    let mut notes: Vec<String> = match &source {
        Some(RangeSource::Data(dataset, runtime, _)) if options.effective_format() == Format::WeightOnly => {
            let scaled = quantize::scale(model, options, (dataset, *runtime), progress)?;
            scaled.iter().map(ToString::to_string).collect()
        }
        Some(RangeSource::Data(dataset, runtime, calibrator)) => {
            let wanted = options.smooth == Switch::On || calibrator.leaves_choice();
            let options = QuantOptions { smooth: if wanted { options.smooth } else { Switch::Off }, ..options.clone() };
            let smoothed = quantize::smooth(model, &options, (dataset, *runtime), progress)?;
            smoothed.iter().map(ToString::to_string).collect()
        }
        _ => Vec::new(),
    };
    let eased = (!notes.is_empty()).then(|| Eased { before, notes: notes.clone() });
    let model = &*model;
    let mut options = options.clone();
    let values = quantize::values_to_observe(model, &options);
    let alone = options.effective_format() == Format::WeightOnly;
    let by_data = matches!(source, Some(RangeSource::Data(..))) && (alone || !values.is_empty());
    let what = match algorithm::find(&options.algorithm)?.by_data {
        ByData::Always if !by_data => Some("needs --data, and a form with static activations or none"),
        ByData::Scaled if !by_data || !alone => Some("needs --data, and weights alone (--activations none)"),
        _ => None,
    };
    if let Some(what) = what {
        return Err(Error::usage(format!("algorithm {} {what}", options.algorithm)));
    }
    let (mut fitted, mut timed) = (None, false);
    let mut plan = match source {
        Some(RangeSource::Data(dataset, runtime, _)) if alone => {
            quantize::weights_alone(model, &options, (dataset, runtime), progress)?
        }
        _ if values.is_empty() => quantize::plan(model, None, &options)?,
        Some(RangeSource::File(path)) => from_file(model, path, &values, &options)?,
        Some(RangeSource::Data(dataset, runtime, calibrator)) => {
            let statistics = collect(model, dataset, runtime, calibrator, &values, progress)?;
            if let Some(name) = timed_in(&options)? {
                let first = quantize::plan(model, Some(&statistics.ranges()), &options)?;
                let found =
                    quantize::measure(model, &first, &dataset.batch(0)?.inputs, runtime::find(name)?, progress)?;
                notes.extend(found.notes);
                options.float = found.float;
                timed = true;
            }
            let plan = quantize::choose(model, &options, &statistics, (dataset, runtime), progress)?.0;
            fitted = Some(Fitted { statistics, dataset, runtime });
            plan
        }
        None => {
            let form = options.effective_format();
            return Err(Error::usage(format!(
                "the {form} form needs --data or --ranges; dynamic and weight-only need none"
            )));
        }
    };
    plan.notes.extend(notes.iter().cloned());
    Ok(Decided { plan, options, notes, timed, fitted, eased })
}

/// The plan with the ranges of a file.
fn from_file(model: &Model, path: &Path, values: &[String], options: &QuantOptions) -> Result<QuantPlan> {
    if let Some(flag) = options.insists_on_data() {
        return Err(Error::usage(format!("{flag} looks at data, not at ranges: give --data")).in_file(path));
    }
    let ranges = Ranges::load(path)?;
    let missing = values.iter().filter(|v| ranges.get(v).is_none()).count();
    let mut plan = quantize::plan(model, Some(&ranges), options)?;
    if let Some(name) = timed_in(options)? {
        plan.notes.push(format!("no node was timed in {name}, which takes --data: some may be slower than in float"));
    }
    if plan.quantized() == 0 && missing > 0 {
        let all = values.len();
        let message =
            format!("lacks the range of {missing} of the {all} values that this model needs: it is another's");
        return Err(Error::input(message).in_file(path));
    }
    Ok(plan)
}

/// The runtime in which nodes are timed. A form that the user chose against the preset is wanted for something else than its speed there.
fn timed_in(options: &QuantOptions) -> Result<Option<&'static str>> {
    let preset = target::find(&options.target)?;
    Ok(match options.tune {
        Switch::On => Some(preset.name),
        Switch::Auto if options.effective_format().name() == preset.format => preset.timed_in,
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn what_was_eased_for_nothing_is_as_it_was() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[2,2] x) => (float[2,2] y)
            <float[2,2] w = {1,2,3,5}> { y = MatMul (x, w) }";
        let model = text::parse(source).unwrap();
        let plan = |exclude: &[&str]| {
            let exclude = exclude.iter().map(ToString::to_string).collect();
            let form = Format::WeightOnly;
            let options = QuantOptions {
                format: form,
                min_bytes: 0,
                exclude,
                ..QuantOptions::for_target("onnxruntime").unwrap()
            };
            let mut plan = quantize::plan(&model, None, &options).unwrap();
            plan.notes = vec!["smoothed".into(), "timed".into()];
            plan
        };
        let eased = Eased { before: model.clone(), notes: vec!["smoothed".into()] };
        let (mut some, mut none) = (plan(&[]), plan(&["."]));
        assert_eq!((eased.undone(&mut some).is_some(), some.notes.len()), (false, 2));
        assert_eq!((eased.undone(&mut none).is_some(), none.notes), (true, vec!["timed".to_string()]));
    }
}
