//! `onnxpress prune`: weights of low importance to zero.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::Done;
use super::args::{DataArgs, number, one_of, output, runtimes};
use super::bars::Bars;
use super::out::{put, say};
use crate::error::{Error, Result};
use crate::passes::SimplifyOptions;
use crate::prune::{self, ALGORITHMS, CRITERIA, Data, Goal, Pattern, PruneOptions, Recover, Scope, Threshold};
use crate::report::megabytes;
use crate::runtime::{self, RUNTIMES};
use crate::{files, onnx, pipeline};

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
    #[arg(long, value_name = "A", help = algorithms())]
    algorithm: Option<String>,
    #[arg(long, value_name = "R", default_value = RUNTIMES[0].name(), help = runtimes("Runtime that runs the data"))]
    runtime: String,
    /// Nodes whose name matches keep their weights (repeatable)
    #[arg(long, value_name = "REGEX")]
    exclude: Vec<String>,
    /// Print what would be done, and stop
    #[arg(long)]
    plan: bool,
}

/// What to prune, shared with `optimize`.
#[derive(clap::Args, Clone)]
pub struct PruneArgs {
    /// Share of the weights that become zero, as 0.5
    #[arg(long, value_name = "F", value_parser = number, allow_negative_numbers = true)]
    sparsity: Option<f64>,
    /// Weights that score below this become zero: as it stands, or times the mean score as 0.01x-mean
    #[arg(long, value_name = "X", allow_negative_numbers = true)]
    threshold: Option<Threshold>,
    /// Share of the multiply-accumulates that is left
    #[arg(long, value_name = "F", value_parser = number)]
    target_macs: Option<f64>,
    /// Share of the compressed size that is left
    #[arg(long, value_name = "F", value_parser = number)]
    target_size: Option<f64>,
    /// Share of the latency that is left
    #[arg(long, value_name = "F", value_parser = number)]
    target_latency: Option<f64>,
    #[arg(long, value_name = "C", help = criteria())]
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
    /// Train towards the float model afterwards, as steps=500
    #[arg(long, value_name = "steps=N")]
    recover: Option<Recover>,
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

fn criteria() -> String {
    let names = one_of("How important a weight is", CRITERIA.iter().map(|c| c.name));
    format!("{names} [default: the best for the data at hand]")
}

pub(super) fn algorithms() -> String {
    let names = one_of("What becomes of the weights that stay", ALGORITHMS.iter().map(|a| a.name));
    format!("{names} [default: the best for the data at hand]")
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
        let mut given = goals.into_iter().flatten();
        let Some(goal) = given.next().or(pattern.sparsity().map(Goal::Sparsity)) else {
            return match self.pattern {
                Some(pattern) => Err(Error::usage(format!("--pattern {pattern} needs --sparsity or a --target"))),
                None => Ok(None),
            };
        };
        if given.next().is_some() {
            return Err(Error::usage("give one of --sparsity, --threshold and the --targets"));
        }
        let options = PruneOptions {
            pattern,
            criterion: self.criterion.clone(),
            algorithm: algorithm.cloned(),
            scope: self.scope,
            compensate: !self.no_compensation,
            recover: self.recover,
            sparse: self.sparse,
            ..PruneOptions::new(goal)
        };
        options.check()?;
        Ok(Some(options))
    }
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    let path = output(args.output.as_ref(), args.plan)?;
    let Some(mut options) = args.prune.options(None, args.algorithm.as_ref())? else {
        return Err(Error::usage("give --sparsity, --threshold, a --target or an N:M --pattern"));
    };
    options.exclude.clone_from(&args.exclude);
    options.seed = args.data.seed;
    // Channels hang together through operators that a clean graph says in their shortest form.
    let mut model = match options.pattern.shrinks() {
        true => pipeline::load_simplified(&args.model, &SimplifyOptions::default())?.0,
        false => pipeline::load(&args.model)?,
    };
    let dataset = args.data.data.as_ref().map(|spec| args.data.open(spec, &model)).transpose()?;
    let runtime = runtime::find(&args.runtime)?;
    let data = dataset.as_ref().map(|dataset| Data { dataset, runtime });
    let Some(path) = path else {
        put!("{}", prune::decide(&model, &options, data, bars)?);
        return Ok(Done::Well);
    };
    let (plan, report) = prune::prune(&mut model, &options, data, bars)?;
    onnx::emit(&model, path)?;
    say!("{report}");
    let (before, after) = (files::compressed(&args.model)?, files::compressed(path)?);
    say!(
        "  {} ─► {}, compressed by deflate {} ─► {} ({:.2}× smaller)",
        megabytes(size_of(&args.model)),
        megabytes(size_of(path)),
        megabytes(before),
        megabytes(after),
        before as f64 / after.max(1) as f64
    );
    for note in &report.notes {
        say!("  {note}");
    }
    for t in &plan.tensors {
        if let Some(why) = &t.kept {
            say!("  keep {} ({}): {why}", t.node, t.op_type);
        }
    }
    Ok(Done::Well)
}

/// Bytes of a file.
fn size_of(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |m| m.len())
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
