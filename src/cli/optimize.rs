//! `onnxpress optimize`: the main job.

use std::path::PathBuf;

use super::Done;
use super::args::{BudgetArgs, DataArgs, GateArgs, decider, output, positive};
use super::bars::Bars;
use super::out::say;
use super::plan::{self, Asked};
use super::printed::Printed;
use super::prune::{self as prune_args, PruneArgs, PruneSpec};
use super::quant_args::{QUANTIZATION, QuantArgs};
use crate::error::{Error, Result};
use crate::passes::SimplifyOptions;
use crate::pipeline::{self, Job, Optimize};
use crate::prune::PruneOptions;
use crate::recover::Recover;
use crate::report;
use crate::runtime::{self, Runtime};
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
    #[arg(long, value_name = "FORMAT", value_enum, default_value_t)]
    report: Printed,
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
    let job = job(args)?;
    pipeline::trainable(job.recover, job.quantize.as_ref().map(|q| &q.options))?;
    let runtime = runtimes.first().copied().unwrap_or_else(|| runtime::closest_to(&args.quant.target));
    let Some(path) = output(args.output.as_ref(), args.plan, &args.model)? else {
        return plan(args, job, runtime, bars);
    };
    let job = Optimize {
        output: path,
        job,
        runtime,
        beside: runtimes.iter().skip(1).copied().collect(),
        validate: Some(ValidateOptions { threads: args.threads, ..ValidateOptions::default() }),
        gates: args.gates.gates(),
    };
    let report = pipeline::optimize(&job, |model| args.data.both(args.eval.as_ref(), model), bars)?;
    args.report.print(&report, report::text)?;
    Ok(Done::of(&report))
}

fn job(args: &Args) -> Result<Job<'_>> {
    let prune = prune_options(args)?;
    let quantize = match args.no_quantize {
        true => None,
        false => Some(args.quant.wanted(args.ranges.as_ref(), &args.budget)?),
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

fn plan(args: &Args, mut job: Job, runtime: &dyn Runtime, bars: &Bars) -> Result<Done> {
    let recover = args.prune.recover;
    if let Some(options) = &mut job.prune {
        (options.recover, options.trained_later) = (None, recover.recover.is_some());
    }
    let asked = Asked { data: &args.data, gates: args.gates.gates(), runtime, recover };
    plan::print(job, &asked, args.report, bars)?;
    if !args.no_quantize && args.report == Printed::Text && (args.data.data.is_some() || args.eval.is_some()) {
        say!(
            "the proof may leave more nodes in float: where the outputs move further than they may, or the whole is slower"
        );
    }
    Ok(Done::Well)
}
