//! `onnxpress sensitivity`: what each node alone costs.

use std::path::PathBuf;

use super::Done;
use super::args::DataArgs;
use super::bars::Bars;
use super::printed::Printed;
use super::quant_args::{QUANTIZATION, QuantArgs};
use crate::error::{Error, Result};
use crate::mixed::{self, Subject};
use crate::pipeline::{self, RangeSource};
use crate::prune::{self, Data, Goal, PruneOptions};
use crate::runtime::{self, AUTO};

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// Data to measure the damage on, where they differ from those for calibration
    #[arg(long, value_name = "DATA")]
    eval: Option<String>,
    /// Ranges found by calibrate
    #[arg(long, value_name = "FILE")]
    ranges: Option<PathBuf>,
    #[command(flatten)]
    quant: QuantArgs,
    /// Runtime that calibrates and measures [default: tract, and another for models that it cannot run; for the damage the target's own where it is present]
    #[arg(long, value_name = "R")]
    runtime: Option<String>,
    /// What pruning each node alone does, at several sparsities, instead of quantizing it
    #[arg(long, conflicts_with_all = QUANTIZATION.into_iter().chain(["eval", "ranges"]))]
    prune: bool,
    /// How important a weight is, with --prune
    #[arg(long, value_name = "C", requires = "prune")]
    criterion: Option<String>,
    /// What becomes of the weights that stay, with --prune
    #[arg(long, value_name = "A", requires = "prune")]
    prune_algorithm: Option<String>,
    /// Print the table as text or json
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    report: Printed,
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    if args.prune {
        return pruned(args, bars);
    }
    let (mut model, _) = pipeline::load_simplified(&args.model, &args.quant.simplify()?)?;
    let data = args.data.both(args.eval.as_ref(), &model)?;
    let named = args.runtime.as_deref();
    let calibrates = named.unwrap_or(AUTO);
    args.quant.one_source(args.ranges.as_ref())?;
    let source = match (&args.ranges, &data.calibration) {
        (Some(path), _) => Some(RangeSource::File(path)),
        (None, Some(data)) => Some(RangeSource::Data(data, runtime::find(calibrates)?, args.quant.calibrator()?)),
        (None, None) => None,
    };
    let plan = pipeline::decide(&mut model, &args.quant.options()?, source, bars)?.plan;
    let dataset = data.validation().ok_or_else(|| Error::usage("the damage is measured on --data or --eval"))?;
    let measures = named.map_or_else(|| Ok(runtime::closest_to(&args.quant.target)), runtime::find)?;
    let subject = Subject::new(&model, (dataset, measures), bars)?;
    let found = mixed::sensitivity(&subject, &plan)?;
    args.report.print(&found, ToString::to_string)?;
    Ok(Done::Well)
}

/// What pruning each node alone does.
fn pruned(args: &Args, bars: &Bars) -> Result<Done> {
    let (model, _) = pipeline::load_simplified(&args.model, &args.quant.simplify()?)?;
    let dataset = args.data.required(&model)?;
    let data = Data { dataset: &dataset, runtime: runtime::find(args.runtime.as_deref().unwrap_or(AUTO))? };
    let options = PruneOptions {
        criterion: args.criterion.clone(),
        algorithm: args.prune_algorithm.clone(),
        exclude: args.quant.exclude.clone(),
        seed: args.data.seed,
        ..PruneOptions::new(Goal::Sparsity(0.5))
    };
    let found = prune::sensitivity(&model, &options, data, bars)?;
    args.report.print(&found, ToString::to_string)?;
    Ok(Done::Well)
}
