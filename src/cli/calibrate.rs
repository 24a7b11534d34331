//! `onnxpress calibrate`: the ranges of activations on data.

use std::path::PathBuf;

use super::Done;
use super::args::{DataArgs, calibrating, check_output};
use super::bars::Bars;
use super::out::say;
use super::quant_args::{QUANTIZATION, QuantArgs};
use crate::calibrate::{Ranges, Statistics, collect};
use crate::error::{Error, Result};
use crate::runtime::{self, AUTO};
use crate::{pipeline, quantize};

#[derive(clap::Args)]
pub struct Args {
    /// The model
    #[arg(required_unless_present = "merge", conflicts_with = "merge")]
    model: Option<PathBuf>,
    /// Where the ranges go, as JSON
    #[arg(short, long)]
    output: PathBuf,
    /// Merge these ranges files instead of observing data
    #[arg(long, value_name = "FILE", num_args = 2.., conflicts_with_all = QUANTIZATION.into_iter().chain(["data", "runtime", "preprocess", "synsets"]))]
    merge: Vec<PathBuf>,
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[command(flatten)]
    quant: QuantArgs,
    #[arg(long, visible_alias = "calibration-runtime", value_name = "R", default_value = AUTO, help = calibrating("Runtime that runs the model"))]
    runtime: String,
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    check_output(&args.output)?;
    let (statistics, ranges) = if args.merge.is_empty() {
        observe(args, bars)?
    } else {
        let merged = merge(&args.merge)?;
        let ranges = merged.ranges();
        if merged.leaves_choice() {
            say!("what each part chose on its data is not merged: the ranges are those of least squared error in all");
        }
        (merged, ranges)
    };
    statistics.save(&ranges, &args.output)?;
    say!("{} values, {} samples, {}", ranges.ranges.len(), ranges.samples, ranges.calibrator);
    for (value, counts) in &ranges.non_finite {
        say!("  {value} held {} NaN and {} infinite values, left out", counts.nan, counts.inf);
    }
    Ok(Done::Well)
}

fn observe(args: &Args, bars: &Bars) -> Result<(Statistics, Ranges)> {
    let path = args.model.as_ref().ok_or_else(|| Error::usage("the model is missing"))?;
    // The values to observe are those of the clean graph, which is what gets quantized.
    let (model, _) = pipeline::load_simplified(path, &args.quant.simplify()?)?;
    let data = args.data.required(&model)?;
    let (options, runtime) = (args.quant.options()?, runtime::find(&args.runtime)?);
    let values = quantize::values_to_observe(&model, &options);
    let statistics = collect(&model, &data, runtime, args.quant.calibrator()?, &values, bars)?;
    let (plan, ranges) = quantize::choose(&model, &options, &statistics, (&data, runtime), bars)?;
    for note in &plan.notes {
        say!("{note}");
    }
    Ok((statistics, ranges))
}

fn merge(files: &[PathBuf]) -> Result<Statistics> {
    let mut all = Statistics::load(&files[0])?;
    for file in &files[1..] {
        all.merge(Statistics::load(file)?).map_err(|e| e.in_file(file))?;
    }
    Ok(all)
}
