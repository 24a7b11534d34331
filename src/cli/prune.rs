//! `onnxpress prune`: weights of low importance to zero, or channels and heads out.

use std::path::PathBuf;
use std::str::FromStr;

use super::Done;
use super::args::{DataArgs, RecoverArgs, decider, each_of, number, one_of, output, positive};
use super::bars::Bars;
use super::plan::{self, Asked};
use super::printed::Printed;
use crate::error::{Error, Result};
use crate::passes::SimplifyOptions;
use crate::pipeline::{self, Job, Optimize};
use crate::prune::{ALGORITHMS, CHANNEL_CRITERIA, CRITERIA, Goal, Pattern, PruneOptions, Scope, Threshold};
use crate::report;
use crate::runtime;
use crate::target;
use crate::validate::{Gates, ValidateOptions};

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Where the result goes
    #[arg(short, long, required_unless_present = "plan")]
    output: Option<PathBuf>,
    #[command(flatten)]
    pub(super) data: DataArgs,
    #[command(flatten)]
    prune: PruneArgs,
    #[arg(long, value_name = "A", help = algorithms(), long_help = each_algorithm())]
    algorithm: Option<String>,
    /// Data for the proof, where they differ from those that decide
    #[arg(long, value_name = "DATA", requires = "data")]
    eval: Option<String>,
    /// Runtime that proves the result, as the others that are present do, and decides where --calibration-runtime names none
    /// [default: tract; to decide, another for models that it cannot run]
    #[arg(long, value_name = "R")]
    runtime: Option<String>,
    /// Runtime that runs the data to decide
    #[arg(long, value_name = "R")]
    calibration_runtime: Option<String>,
    /// Threads of one run while timing
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = positive)]
    threads: usize,
    /// Nodes whose name matches keep their weights (repeatable)
    #[arg(long, value_name = "REGEX")]
    exclude: Vec<String>,
    /// Print what would be done, and stop
    #[arg(long)]
    plan: bool,
    /// Print the report as text or json
    #[arg(long, visible_alias = "format", value_name = "FORMAT", value_enum, default_value_t)]
    report: Printed,
}

/// What to prune, shared with `optimize`.
#[derive(clap::Args, Clone)]
pub struct PruneArgs {
    /// Share of the weights that become zero, as 0.5
    #[arg(long, group = "goal", value_name = "F", value_parser = number, allow_negative_numbers = true)]
    sparsity: Option<f64>,
    /// Weights that score below this become zero: as it stands, or times the mean score as 0.01x-mean
    #[arg(long, group = "goal", value_name = "X", allow_negative_numbers = true)]
    threshold: Option<Threshold>,
    /// Share of the multiply-accumulates that is left
    #[arg(long, group = "goal", value_name = "F", value_parser = number)]
    target_macs: Option<f64>,
    /// Share of the compressed size that is left; of channels, of the parameters
    #[arg(long, group = "goal", value_name = "F", value_parser = number)]
    target_size: Option<f64>,
    /// Share of the latency that is left
    #[arg(long, group = "goal", value_name = "F", value_parser = number)]
    target_latency: Option<f64>,
    #[arg(long, value_name = "C", help = criteria(), long_help = each_criterion())]
    criterion: Option<String>,
    /// unstructured, N:M as 2:4, block:RxC, channel or head [default: unstructured]
    #[arg(long, value_name = "P")]
    pattern: Option<Pattern>,
    /// global, layer, or auto: shares by what each layer costs the outputs
    #[arg(long, value_name = "S")]
    scope: Option<Scope>,
    /// Leave the layers after channels that went as they are: to see what solving them anew brings
    #[arg(long)]
    no_compensation: bool,
    #[command(flatten)]
    pub(super) recover: RecoverArgs,
    /// Store zeros as sparse_initializer where that is smaller
    #[arg(long)]
    sparse: bool,
}

/// A pattern and how much goes in a word: `2:4`, `unstructured:0.5` (zeros), `channel:0.6` (multiply-accumulates that are left).
#[derive(Debug, Clone, Copy)]
pub struct PruneSpec {
    pattern: Pattern,
    goal: Goal,
}

impl FromStr for PruneSpec {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Some((pattern, share)) = text.parse::<Pattern>().ok().and_then(|p| Some((p, p.sparsity()?))) {
            return Ok(PruneSpec { pattern, goal: Goal::Sparsity(share) });
        }
        let wrong = || Error::usage(format!("\"{text}\" is not as 2:4, unstructured:0.5 or channel:0.6"));
        let (pattern, share) = text.rsplit_once(':').ok_or_else(wrong)?;
        let (pattern, share) = (pattern.parse::<Pattern>()?, number(share).map_err(|_| wrong())?);
        Ok(PruneSpec { pattern, goal: if pattern.shrinks() { Goal::Macs(share) } else { Goal::Sparsity(share) } })
    }
}

const CRITERION: &str = "How important a weight is";
const OF_CHANNELS: &str = "of channels and heads also";
const ALGORITHM: &str = "What becomes of the weights that stay";
const BEST: &str = "[default: the best for the data at hand; least-squares with --criterion or --threshold]";

fn criteria() -> String {
    let names = one_of(CRITERION, CRITERIA.iter().map(|c| c.name));
    format!("{names}; {} {}", one_of(OF_CHANNELS, CHANNEL_CRITERIA.iter().map(|c| c.name)), best_criterion())
}

fn each_criterion() -> String {
    let weights = each_of(CRITERION, CRITERIA.iter().map(|c| (c.name, c.summary)));
    let channels = each_of(OF_CHANNELS, CHANNEL_CRITERIA.iter().map(|c| (c.name, c.summary)));
    format!("{weights}\n{channels}\n{}", best_criterion())
}

fn best_criterion() -> String {
    format!("[default: the best for the data at hand, of channels {}]", CHANNEL_CRITERIA[0].name)
}

pub(super) fn algorithms() -> String {
    format!("{} {BEST}", one_of(ALGORITHM, ALGORITHMS.iter().map(|a| a.name)))
}

pub(super) fn each_algorithm() -> String {
    format!("{}\n{BEST}", each_of(ALGORITHM, ALGORITHMS.iter().map(|a| (a.name, a.summary))))
}

impl PruneArgs {
    /// `None` where no pruning was asked for.
    pub fn options(&self, spec: Option<PruneSpec>, algorithm: Option<&String>) -> Result<Option<PruneOptions>> {
        let goals = [
            self.sparsity.map(Goal::Sparsity),
            self.threshold.map(Goal::Threshold),
            self.target_macs.map(Goal::Macs),
            self.target_size.map(Goal::Size),
            self.target_latency.map(Goal::Latency),
            spec.map(|s| s.goal),
        ];
        let pattern = spec.map(|s| s.pattern);
        if pattern.is_some() && self.pattern.is_some() {
            return Err(Error::usage("--prune names the pattern; leave --pattern out"));
        }
        let pattern = pattern.or(self.pattern).unwrap_or(Pattern::Unstructured);
        let Some(goal) = goals.into_iter().flatten().next().or(pattern.sparsity().map(Goal::Sparsity)) else {
            let pattern = self.pattern.map(|p| format!("pattern {p}"));
            let how = [
                pattern.as_deref(),
                self.criterion.as_ref().map(|_| "criterion"),
                algorithm.map(|_| "prune-algorithm"),
                self.scope.map(|_| "scope"),
                self.no_compensation.then_some("no-compensation"),
                self.sparse.then_some("sparse"),
            ];
            return match how.into_iter().flatten().next() {
                Some(flag) => {
                    Err(Error::usage(format!("--{flag} says how to prune: give --sparsity or a --target as well")))
                }
                None => Ok(None),
            };
        };
        let options = PruneOptions {
            pattern,
            criterion: self.criterion.clone(),
            algorithm: algorithm.cloned(),
            scope: self.scope,
            compensate: !self.no_compensation,
            recover: self.recover.recover,
            sparse: self.sparse,
            ..PruneOptions::new(goal)
        };
        options.check()?;
        Ok(Some(options))
    }
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    let path = output(args.output.as_ref(), args.plan, &args.model)?;
    let Some(mut options) = args.prune.options(None, args.algorithm.as_ref())? else {
        return Err(Error::usage("give --sparsity, --threshold, a --target or an N:M --pattern"));
    };
    options.exclude.clone_from(&args.exclude);
    options.seed = args.data.seed;
    let order = runtime::in_order(&pipeline::load(&args.model)?);
    // Each runtime has a target of its name.
    let proves = args.runtime.as_deref().unwrap_or(order[0].name());
    if let Ok(target) = target::find(proves) {
        options.block = target.channels;
    }
    // Channels hang together through operators that a clean graph says in their shortest form; zeros need constants.
    let simplify = match options.pattern.shrinks() {
        true => {
            let named = args.runtime.as_deref().and_then(|name| target::find(name).ok());
            SimplifyOptions::for_target(named.unwrap_or_else(target::default))
        }
        false => SimplifyOptions::constant_weights(),
    };
    let (decides, runtime) =
        (runtime::find(decider(args.calibration_runtime.as_ref(), args.runtime.as_ref()))?, runtime::one(proves)?);
    let job = Job {
        model: &args.model,
        simplify: Some(simplify),
        prune: Some(options),
        quantize: None,
        recover: None,
        seed: args.data.seed,
        runtime: decides,
    };
    let gates = Gates::default();
    let Some(path) = path else {
        plan::print(job, &Asked { data: &args.data, gates, runtime, recover: args.prune.recover }, args.report, bars)?;
        return Ok(Done::Well);
    };
    // The built-in one comes last where it is too slow to be shown beside.
    let built_in = runtime::built_in().name();
    let shown =
        |r: &&dyn runtime::Runtime| r.name() != runtime.name() && (r.name() != built_in || order[0].name() == built_in);
    let others = order.iter().copied().filter(|r| shown(r));
    let job = Optimize {
        output: path,
        job,
        runtime,
        beside: others.collect(),
        validate: Some(ValidateOptions { threads: args.threads, ..ValidateOptions::default() }),
        gates,
    };
    let report = pipeline::optimize(&job, |model| args.data.both(args.eval.as_ref(), model), bars)?;
    args.report.print(&report, report::text)?;
    if args.data.data.is_none() {
        tracing::info!("accuracy and latency are measured where --data is given");
    }
    // Where the user named no runtime, the proof of any is one.
    let elsewhere = args.runtime.is_none() && report.beside.iter().any(|b| b.validation.is_some());
    Ok(if report.unproven.is_some() && !elsewhere { Done::Unproven } else { Done::Well })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_pattern_and_goal() {
        let of = |text: &str| text.parse::<PruneSpec>().map(|s| (s.pattern.to_string(), s.goal));
        assert_eq!(of("channel:0.6").unwrap(), ("channel".into(), Goal::Macs(0.6)));
        assert_eq!(of("2:4").unwrap(), ("2:4".into(), Goal::Sparsity(0.5)));
        assert_eq!(of("block:4x1:0.7").unwrap(), ("block:4x1".into(), Goal::Sparsity(0.7)));
        assert_eq!(of("channel").unwrap_err().exit_code(), 2);
    }
}
