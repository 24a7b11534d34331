//! `onnxpress quantize`: weights and activations in fewer bits.

use std::path::PathBuf;

use super::Done;
use super::args::{BudgetArgs, DataArgs, PromiseArgs, QuantArgs, RecoverArgs, output, range_source, runtimes};
use super::bars::Bars;
use super::out::{put, say};
use crate::error::Result;
use crate::mixed::Promise;
use crate::pipeline::{self, Ground};
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
    #[command(flatten)]
    recover: RecoverArgs,
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
    if let Some(wanted) = args.recover.recover {
        quantize::is_trained(&options)?;
        wanted.needs(data.as_ref())?;
    }
    let decided = pipeline::decide(&mut model, &options, source, bars)?;
    let PromiseArgs { max_drop, min_sqnr } = args.promise;
    let promise = max_drop.or(min_sqnr).map(|_| Promise::Bounds { max_drop, min_sqnr });
    let ground = Ground {
        dataset: data.as_ref(),
        seed: args.data.seed,
        runtime: runtime::closest_to(&args.quant.target),
        limit: args.budget.time_budget,
    };
    // A plan is printed before it is trained.
    let wanted = args.recover.recover.filter(|_| path.is_some());
    let (plan, recovered) = pipeline::finish(&mut model, &decided, (wanted, promise), ground, bars)?;
    let Some(path) = path else {
        put!("{plan}");
        if let Some(line) = args.recover.told() {
            say!("{line}");
        }
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
    if let Some(recovered) = recovered {
        say!("  {recovered}");
        for refused in &recovered.refused {
            say!("  {refused}");
        }
    }
    Ok(Done::Well)
}
