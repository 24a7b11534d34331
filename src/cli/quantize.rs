//! `onnxpress quantize`: weights and activations in fewer bits.

use std::path::PathBuf;

use super::Done;
use super::args::{BudgetArgs, DataArgs, GateArgs, QuantArgs, RecoverArgs, calibrating, output, range_source};
use super::bars::Bars;
use super::out::{put, say};
use crate::error::{Error, Result};
use crate::mixed::Promise;
use crate::pipeline::{self, Ground};
use crate::quantize::Format;
use crate::runtime::{self, AUTO};
use crate::validate::latency::LatencyOptions;
use crate::{onnx, quantize, report, validate};

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
    #[arg(long, visible_alias = "calibration-runtime", value_name = "R", default_value = AUTO, help = calibrating("Runtime that calibrates"))]
    runtime: String,
    #[command(flatten)]
    gates: GateArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    #[command(flatten)]
    recover: RecoverArgs,
    /// Print what would be done, and stop
    #[arg(long)]
    plan: bool,
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    let path = output(args.output.as_ref(), args.plan, &args.model)?;
    let options = args.quant.options()?;
    let clean = args.quant.simplify()?;
    let (mut model, mut cleaned) = pipeline::load_simplified(&args.model, &clean)?;
    let data = args.data.data.as_ref().map(|spec| args.data.open(spec, &model)).transpose()?;
    let source = range_source(args.ranges.as_ref(), data.as_ref(), &args.runtime, &args.quant)?;
    if let Some(wanted) = args.recover.recover {
        quantize::is_trained(&options)?;
        wanted.needs(data.as_ref())?;
    }
    let gates = args.gates.gates();
    let timed = data.as_ref().filter(|_| gates.min_speedup.is_some());
    if gates.min_speedup.is_some() && timed.is_none() {
        return Err(Error::usage("--min-speedup is measured on --data"));
    }
    let decided = pipeline::decide(&mut model, &options, source, bars)?;
    let promise = Some(Promise::of(&gates)).filter(|p| *p != Promise::WithinNoise);
    let runtime = runtime::closest_to(&args.quant.target);
    let ground = Ground { dataset: data.as_ref(), seed: args.data.seed, runtime, limit: args.budget.time_budget };
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
    let applied = quantize::apply(&mut model, &plan)?;
    if let Some(floats) = clean.without_integers(&cleaned, plan.quantized()) {
        (model, cleaned) = pipeline::load_simplified(&args.model, &floats)?;
    }
    // As it came: the result may take its place.
    let original = timed.map(|_| pipeline::load(&args.model)).transpose()?;
    onnx::emit(&model, path)?;
    let format = options.effective_format();
    let stored = if format == Format::Half { "f16" } else { options.weights.name() };
    say!("{} in {stored}, {format}", plan.coverage());
    for (node, reason) in plan.kept() {
        say!("  keep {} ({}): {reason}", node.node, node.op_type);
    }
    for line in plan.notes.iter().chain(&cleaned.changed).chain(&applied.opset) {
        say!("  {line}");
    }
    if let Some(recovered) = recovered {
        say!("  {recovered}");
        for refused in &recovered.refused {
            say!("  {refused}");
        }
    }
    let Some((data, original)) = timed.zip(original) else { return Ok(Done::Well) };
    let written = onnx::load(path)?;
    let inputs = data.batch(0)?.inputs;
    let latency = validate::time(&original, &written, &inputs, runtime, 1, &LatencyOptions::default())?;
    say!("  {}", report::speedup(&latency));
    let missed = gates.missed_by(None, &[], Some(&latency));
    for missed in &missed {
        say!("  {}", report::miss(missed));
    }
    Ok(if missed.is_empty() { Done::Well } else { Done::GateMissed })
}
