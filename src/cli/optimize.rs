//! `onnxpress optimize`: the main job.

use std::path::PathBuf;

use super::Done;
use super::args::{BudgetArgs, DataArgs, GateArgs, QUANTIZATION, QuantArgs, decider, output, positive};
use super::bars::Bars;
use super::out::{self, say};
use super::prune::{self as prune_args, PruneArgs, PruneSpec};
use crate::error::{Error, Result};
use crate::passes::{SimplifyOptions, SimplifyReport};
use crate::pipeline::{self, Job, Optimize, Quantize};
use crate::prune::{PruneOptions, PrunePlan};
use crate::quantize::QuantPlan;
use crate::recover::Recover;
use crate::report;
use crate::runtime;
use crate::target;
use crate::validate::ValidateOptions;

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Where the result goes
    #[arg(short, long, required_unless_present = "plan")]
    output: Option<PathBuf>,
    /// A TOML file that says the same as these flags; flags win
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    #[command(flatten)]
    pub(super) data: DataArgs,
    /// Data for validation, where it differs from that for calibration
    #[arg(long, value_name = "DATA")]
    eval: Option<String>,
    /// Ranges found by calibrate
    #[arg(long, value_name = "FILE")]
    ranges: Option<PathBuf>,
    #[command(flatten)]
    quant: QuantArgs,
    /// Type of the arithmetic, which is the default
    #[arg(long = "quantize", value_name = "TYPE", value_parser = ["int8"], conflicts_with = "no_quantize")]
    _quantize: Option<String>,
    /// Leave the arithmetic in float
    #[arg(long, conflicts_with_all = QUANTIZATION.into_iter().chain(["ranges"]))]
    no_quantize: bool,
    /// Prune in this pattern and so far: 2:4, unstructured:0.5 (zeros), channel:0.6 (multiply-accumulates that are left)
    #[arg(long = "prune", group = "goal", value_name = "PATTERN:F")]
    spec: Option<PruneSpec>,
    #[command(flatten)]
    prune: PruneArgs,
    #[arg(long, value_name = "A", help = prune_args::algorithms(), long_help = prune_args::each_algorithm())]
    prune_algorithm: Option<String>,
    #[command(flatten)]
    gates: GateArgs,
    #[command(flatten)]
    budget: BudgetArgs,
    /// Runtimes that prove the result; the first one decides, and calibrates where --calibration-runtime names none
    /// [default: tract, and another for models that it cannot run; for the proof the target's own where it is present]
    #[arg(long, value_name = "R", value_delimiter = ',')]
    runtime: Vec<String>,
    /// Runtime that runs the data for calibration
    #[arg(long, value_name = "R")]
    calibration_runtime: Option<String>,
    /// Threads of one run while timing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    threads: usize,
    /// Print what would be done, and stop
    #[arg(long)]
    plan: bool,
    /// Print the report as text or json
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    report: String,
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    let runtimes = runtime::find_all(&args.runtime)?;
    if args.data.data.is_none() && args.ranges.is_none() {
        let form = args.quant.options()?.effective_format();
        if !args.no_quantize && form.is_static() {
            return Err(Error::usage(format!(
                "the {form} form needs --data or --ranges (--data random:8 tries it out)"
            )));
        }
    }
    if args.gates.gates().any() && !args.plan && args.data.data.is_none() && args.eval.is_none() {
        return Err(Error::usage("--max-drop, --min-speedup and --min-sqnr are measured on --data or --eval"));
    }
    args.prune.recover.recover.map(|wanted| wanted.needs(args.data.data.as_ref())).transpose()?;
    args.quant.one_source(args.ranges.as_ref())?;
    let job = job(args)?;
    pipeline::trainable(job.recover, job.quantize.as_ref().map(|q| &q.options))?;
    let Some(path) = output(args.output.as_ref(), args.plan, &args.model)? else {
        return plan(args, job, bars);
    };
    let job = Optimize {
        output: path,
        job,
        runtime: runtimes.first().copied().unwrap_or_else(|| runtime::closest_to(&args.quant.target)),
        beside: runtimes.iter().skip(1).copied().collect(),
        validate: ValidateOptions { threads: args.threads, ..ValidateOptions::default() },
        gates: args.gates.gates(),
    };
    let report = pipeline::optimize(&job, |model| args.data.both(args.eval.as_ref(), model), bars)?;
    match args.report.as_str() {
        "json" => say!("{}", report::json(&report)?),
        _ => say!("{}", report::text(&report)),
    }
    Ok(match (&report.unproven, report.missed.is_empty()) {
        (Some(_), _) => Done::Unproven,
        (None, false) => Done::GateMissed,
        (None, true) => Done::Well,
    })
}

fn job(args: &Args) -> Result<Job<'_>> {
    let prune = prune_options(args)?;
    let quantize = match args.no_quantize {
        true => None,
        false => Some(Quantize {
            options: args.quant.options()?,
            calibrator: args.quant.calibrator()?,
            ranges: args.ranges.clone(),
            time_budget: args.budget.time_budget,
        }),
    };
    Ok(Job {
        model: &args.model,
        simplify: Some(simplify_options(args)?),
        recover: recover_at_end(args, prune.is_some()),
        prune,
        quantize,
        seed: args.data.seed,
        runtime: runtime::find(decider(args.calibration_runtime.as_ref(), args.runtime.first()))?,
    })
}

fn simplify_options(args: &Args) -> Result<SimplifyOptions> {
    match args.no_quantize {
        true => Ok(SimplifyOptions::for_target(target::find(&args.quant.target)?)),
        false => args.quant.simplify(),
    }
}

/// What to prune; `--exclude` keeps a node from both, pruning and quantization.
fn prune_options(args: &Args) -> Result<Option<PruneOptions>> {
    let Some(options) = args.prune.options(args.spec, args.prune_algorithm.as_ref())? else { return Ok(None) };
    if options.sparse && !args.no_quantize {
        return Err(Error::usage(
            "--sparse is for float weights: 8-bit ones take less room than the 8-byte indices of sparse ones (--no-quantize)",
        ));
    }
    if options.sparse && !target::find(&args.quant.target)?.sparse_initializers {
        return Err(Error::usage(format!("{} reads no sparse initializers: leave --sparse out", args.quant.target)));
    }
    let block = target::find(&args.quant.target)?.channels;
    // What is quantized, too, is trained once, at the end.
    let (recover, trained_later) =
        (options.recover.filter(|_| args.no_quantize), !args.no_quantize && options.recover.is_some());
    let (exclude, seed) = (args.quant.exclude.clone(), args.data.seed);
    Ok(Some(PruneOptions { exclude, block, recover, trained_later, seed, ..options }))
}

/// Training once, under the masks and the grids together; what is pruned alone is trained by the pruner.
fn recover_at_end(args: &Args, prunes: bool) -> Option<Recover> {
    args.prune.recover.recover.filter(|_| !(args.no_quantize && prunes))
}

fn plan(args: &Args, mut job: Job, bars: &Bars) -> Result<Done> {
    // A plan is printed before it is trained.
    let recover = args.prune.recover.recover;
    job.recover = None;
    if let Some(options) = &mut job.prune {
        (options.recover, options.trained_later) = (None, recover.is_some());
    }
    let mut model = pipeline::load(&args.model)?;
    let data = args.data.data.as_ref().map(|spec| args.data.open(spec, &model)).transpose()?;
    let planned = pipeline::plan(&job, &mut model, data.as_ref(), bars)?;
    let plan = Plan {
        schema_version: report::SCHEMA_VERSION,
        simplify: planned.simplify,
        prune: planned.prune.map(|(plan, _)| plan),
        quantize: planned.decided.map(|decided| decided.plan),
        recover,
    };
    if args.report == "json" {
        say!("{}", report::json(&plan)?);
        return Ok(Done::Well);
    }
    plan.simplify.iter().try_for_each(|s| out::write(format_args!("{}", report::simplified(s))))?;
    plan.prune.iter().try_for_each(|p| out::write(format_args!("{p}")))?;
    plan.quantize.iter().try_for_each(|p| out::write(format_args!("{p}")))?;
    if let Some(line) = args.prune.recover.told() {
        say!("{line}");
    }
    if plan.quantize.is_some() && (args.data.data.is_some() || args.eval.is_some()) {
        say!(
            "the proof may leave more nodes in float: where the outputs move further than they may, or the whole is slower"
        );
    }
    Ok(Done::Well)
}

/// What would be done.
#[derive(serde::Serialize)]
struct Plan {
    schema_version: u32,
    simplify: Option<SimplifyReport>,
    prune: Option<PrunePlan>,
    quantize: Option<QuantPlan>,
    recover: Option<Recover>,
}
