//! `onnxpress quantize`: weights and activations in fewer bits.

use std::path::PathBuf;

use super::Done;
use super::args::{BudgetArgs, DataArgs, PromiseArgs, QuantArgs, output, range_source, runtimes};
use super::bars::Bars;
use super::out::{put, say};
use crate::error::{Error, Result};
use crate::mixed::Promise;
use crate::pipeline;
use crate::quantize::Format;
use crate::runtime::{self, RUNTIMES};
use crate::{onnx, quantize};

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Where the result goes
    #[arg(short, long, required_unless_present = "plan")]
    output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// Ranges found by calibrate
    #[arg(long, value_name = "FILE", conflicts_with = "data")]
    ranges: Option<PathBuf>,
    #[command(flatten)]
    quant: QuantArgs,
    #[arg(long, visible_alias = "calibration-runtime", value_name = "R", default_value = RUNTIMES[0].name(), help = runtimes("Runtime that calibrates"))]
    runtime: String,
    #[command(flatten)]
    promise: PromiseArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Print what would be done, and stop
    #[arg(long)]
    plan: bool,
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    let path = output(args.output.as_ref(), args.plan)?;
    let options = args.quant.options()?;
    let (mut model, _) = pipeline::load_simplified(&args.model, &args.quant.simplify()?)?;
    let data = args.data.data.as_ref().map(|spec| args.data.open(spec, &model)).transpose()?;
    let source = range_source(args.ranges.as_ref(), data.as_ref(), &args.runtime, &args.quant)?;
    let decided = pipeline::decide(&mut model, &options, source, bars)?;
    let mut plan = decided.plan.clone();
    if let PromiseArgs { max_drop, min_sqnr } = args.promise
        && max_drop.or(min_sqnr).is_some()
    {
        let no_data = || Error::usage("--max-drop and --min-sqnr are measured on --data");
        let dataset = data.as_ref().ok_or_else(no_data)?;
        let promise = Promise::Bounds { max_drop, min_sqnr };
        let ground = (dataset, runtime::closest_to(&args.quant.target), args.budget.time_budget);
        plan = pipeline::keep(&model, &decided, promise, ground, bars)?;
    }
    let Some(path) = path else {
        put!("{plan}");
        return Ok(Done::Well);
    };
    let report = quantize::apply(&mut model, &plan)?;
    onnx::emit(&model, path)?;
    let format = options.effective_format();
    let stored = if format == Format::Half { "f16" } else { options.weights.name() };
    say!("{} in {stored}, {format}", plan.coverage());
    for (node, reason) in plan.kept() {
        say!("  keep {} ({}): {reason}", node.node, node.op_type);
    }
    for line in plan.notes.iter().chain(&report.opset) {
        say!("  {line}");
    }
    Ok(Done::Well)
}
