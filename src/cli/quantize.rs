//! `onnxpress quantize`: weights and activations in fewer bits, and no proof but of what is demanded.

use std::path::PathBuf;

use super::Done;
use super::args::{BudgetArgs, DataArgs, GateArgs, RecoverArgs, calibrating, output};
use super::bars::Bars;
use super::plan::{self, Asked};
use super::printed::Printed;
use super::quant_args::QuantArgs;
use crate::error::{Error, Result};
use crate::pipeline::{self, Job, Optimize};
use crate::report;
use crate::runtime::{self, AUTO};
use crate::validate::ValidateOptions;
use crate::validate::latency::LatencyOptions;

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
    /// Print the report as text or json
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    report: Printed,
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    let path = output(args.output.as_ref(), args.plan, &args.model)?;
    let gates = args.gates.gates();
    if gates.any() && args.data.data.is_none() {
        return Err(Error::usage("--max-drop, --min-speedup and --min-sqnr are measured on --data"));
    }
    args.recover.recover.map(|wanted| wanted.needs(args.data.data.as_ref())).transpose()?;
    let job = Job {
        model: &args.model,
        simplify: Some(args.quant.simplify()?),
        prune: None,
        quantize: Some(args.quant.wanted(args.ranges.as_ref(), &args.budget)?),
        recover: args.recover.recover,
        seed: args.data.seed,
        runtime: runtime::find(&args.runtime)?,
    };
    let runtime = runtime::closest_to(&args.quant.target);
    let Some(path) = path else {
        plan::print(job, &Asked { data: &args.data, gates, runtime, recover: args.recover }, args.report, bars)?;
        return Ok(Done::Well);
    };
    let latency = gates.min_speedup.map(|_| LatencyOptions::default());
    let job = Optimize {
        output: path,
        job,
        runtime,
        beside: Vec::new(),
        validate: gates.any().then(|| ValidateOptions { latency, drift_samples: 0, ..ValidateOptions::default() }),
        gates,
    };
    let report = pipeline::optimize(&job, |model| args.data.both(None, model), bars)?;
    args.report.print(&report, report::quantized)?;
    Ok(Done::of(&report))
}
