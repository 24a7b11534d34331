//! The whole story: file → clean → quantize → prune → file → proof.

use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::calibrate::{Calibrator, collect};
use crate::data::Dataset;
use crate::error::{Error, ErrorKind, Result};
use crate::ir::Model;
use crate::passes::{self, SimplifyOptions, SimplifyReport};
use crate::progress::Progress;
use crate::prune::{self, PruneOptions};
use crate::quantize::algorithm::{self, ByData};
use crate::quantize::{self, QuantOptions, QuantPlan, Switch};
use crate::report::Report;
use crate::runtime::{self, Runtime};
use crate::target;
use crate::validate::{Gates, ValidateOptions, size, validate};
use crate::{analysis, calibrate::Ranges, onnx};

/// What [`optimize`] is to do.
pub struct Optimize<'a> {
    pub model: &'a Path,
    pub output: &'a Path,
    pub simplify: SimplifyOptions,
    pub prune: Option<PruneOptions>,
    /// `None` leaves the arithmetic in float.
    pub quantize: Option<QuantOptions>,
    pub calibrator: Calibrator,
    /// Ranges found before; else they are calibrated on the data.
    pub ranges: Option<PathBuf>,
    /// Runs the model on the data whose ranges are observed.
    pub calibration_runtime: &'a dyn Runtime,
    /// Runs original and result for the proof.
    pub runtime: &'a dyn Runtime,
    pub validate: ValidateOptions,
    pub gates: Gates,
}

/// Data for calibration, and those for validation where they are others.
pub struct Data {
    pub calibration: Dataset,
    pub validation: Option<Dataset>,
}

impl Data {
    fn validation(&self) -> &Dataset {
        self.validation.as_ref().unwrap_or(&self.calibration)
    }
}

/// Simplifies, prunes and quantizes, writes the file, reads it back and compares it with the original. A runtime that
/// cannot run them leaves the file, and the report says why it is unproven.
pub fn optimize(
    o: &Optimize,
    open: impl FnOnce(&Model) -> Result<Option<Data>>,
    progress: &dyn Progress,
) -> Result<Report> {
    let begin = Instant::now();
    let original = load(o.model)?;
    let data = open(&original)?;
    let mut model = original.clone();
    let mut report = Report::new(o.model, o.output);

    report.simplify = Some(passes::simplify(&mut model, &o.simplify).map_err(|e| e.in_file(o.model))?);
    if let Some(options) = &o.prune {
        let plan = prune::plan(&model, options)?;
        report.prune = Some(prune::apply(&mut model, &plan)?);
    }
    if let Some(options) = &o.quantize {
        let source = o.ranges.as_deref().map(RangeSource::File);
        let source =
            source.or(data.as_ref().map(|d| RangeSource::Data(&d.calibration, o.calibration_runtime, o.calibrator)));
        let plan = decide(&mut model, options, source, progress)?;
        report.quantize = Some(quantize::apply(&mut model, &plan)?);
        report.plan = Some(plan);
    }
    onnx::emit(&model, o.output)?;

    let written = onnx::load(o.output)?;
    let batch = data.as_ref().map(|d| d.validation().batch(0)).transpose()?;
    let weigh = |model, path| size::size(model, path, batch.as_ref());
    report.sizes = Some((weigh(&original, o.model), weigh(&written, o.output)));
    if let Some(data) = &data {
        match validate(&original, &written, data.validation(), o.runtime, &o.validate, progress) {
            Ok(proof) => {
                o.gates.measured(&proof)?;
                report.missed = o.gates.missed(&proof);
                report.validation = Some(proof);
            }
            Err(e) if e.kind() == ErrorKind::Runtime => report.unproven = Some(e.to_string()),
            Err(e) => return Err(e),
        }
    }
    report.seconds = begin.elapsed().as_secs_f64();
    Ok(report)
}

/// The model in the file, of whose nodes every one has the inputs that it needs.
pub fn load(path: &Path) -> Result<Model> {
    let model = onnx::load(path)?;
    analysis::arity(&model).map_err(|e| e.in_file(path))?;
    Ok(model)
}

/// The model in the clean form in which it is calibrated and quantized, and what was done to it.
pub fn load_simplified(path: &Path, options: &SimplifyOptions) -> Result<(Model, SimplifyReport)> {
    let mut model = load(path)?;
    let report = passes::simplify(&mut model, options).map_err(|e| e.in_file(path))?;
    Ok((model, report))
}

/// Where the ranges of activations come from.
pub enum RangeSource<'a> {
    File(&'a Path),
    Data(&'a Dataset, &'a dyn Runtime, Calibrator),
}

/// The quantization plan, with ranges from a file or from data where the form needs them. With data, `model` is first made easier
/// to quantize where that pays ([`quantize::smooth`]), which the plan notes.
pub fn decide(
    model: &mut Model,
    options: &QuantOptions,
    source: Option<RangeSource>,
    progress: &dyn Progress,
) -> Result<QuantPlan> {
    let smoothed = match &source {
        Some(RangeSource::Data(dataset, runtime, calibrator)) => {
            let wanted = options.smooth == Switch::On || calibrator.leaves_choice();
            let options = QuantOptions { smooth: if wanted { options.smooth } else { Switch::Off }, ..options.clone() };
            quantize::smooth(model, &options, (dataset, *runtime), progress)?
        }
        _ => Vec::new(),
    };
    let model = &*model;
    let values = quantize::values_to_observe(model, options);
    let data = match source {
        Some(RangeSource::Data(dataset, ..)) if !values.is_empty() => Some(dataset),
        _ => None,
    };
    if data.is_none() && algorithm::find(&options.algorithm)?.by_data == ByData::Always {
        return Err(Error::usage(format!("algorithm {} needs --data and a static form", options.algorithm)));
    }
    let planned = |ranges: Option<&Ranges>| quantize::plan(model, ranges, options);
    let mut plan = match source {
        _ if values.is_empty() => planned(None)?,
        Some(RangeSource::File(path)) => {
            let ranges = Ranges::load(path)?;
            let missing = values.iter().filter(|v| ranges.get(v).is_none()).count();
            let plan = planned(Some(&ranges))?;
            if plan.quantized() == 0 && missing > 0 {
                let all = values.len();
                let message =
                    format!("lacks the range of {missing} of the {all} values that this model needs: it is another's");
                return Err(Error::input(message).in_file(path));
            }
            plan
        }
        Some(RangeSource::Data(dataset, runtime, calibrator)) => {
            let statistics = collect(model, dataset, runtime, calibrator, &values, progress)?;
            quantize::choose(model, options, &statistics, (dataset, runtime), progress)?.0
        }
        None => {
            let form = options.effective_format();
            return Err(Error::usage(format!(
                "the {form} form needs --data or --ranges; dynamic and weight-only need none"
            )));
        }
    };
    // A form that the user chose against the preset is wanted for something else than its speed here.
    let preset = target::find(&options.target)?;
    if let (Some(name), Some(data), true) = (preset.timed_in, data, options.effective_format().name() == preset.format)
    {
        quantize::measure(model, &mut plan, &data.batch(0)?.inputs, runtime::find(name)?, progress)?;
    }
    plan.notes.extend(smoothed.iter().map(ToString::to_string));
    Ok(plan)
}
