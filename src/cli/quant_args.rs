//! The flags of quantization.

use std::path::PathBuf;

use clap::Args;

use super::args::{BudgetArgs, each_of, each_target, one_of, targets};
use crate::calibrate::{self, Calibrator};
use crate::error::{Error, Result};
use crate::passes::SimplifyOptions;
use crate::pipeline::Quantize;
use crate::quantize::{self, Activations, Format, Granularity, QuantOptions, Switch, Weights};
use crate::{names, runtime, target};

/// The flags of quantization alone ([`QuantHow`]), with which those conflict that quantize nothing. By the group clap would list them all.
pub const QUANTIZATION: [&str; 17] = [
    "form",
    "activations",
    "weights",
    "granularity",
    "symmetric_activations",
    "algorithm",
    "smooth",
    "equalize",
    "bias_correction",
    "reduce_range",
    "tune",
    "optimize_for",
    "no_cost_cache",
    "calibrator",
    "include",
    "op_types",
    "min_bytes",
];

/// The target, and what is to be done to its nodes.
#[derive(Args, Clone)]
pub struct QuantArgs {
    #[arg(long, value_name = "T", default_value = target::default().name, help = targets(), long_help = each_target())]
    pub target: String,
    /// Nodes whose name matches stay as they are (repeatable)
    #[arg(long, value_name = "REGEX")]
    pub exclude: Vec<String>,
    #[command(flatten)]
    how: QuantHow,
}

/// What means nothing where nothing is quantized. Absent flags come from the target's preset.
#[derive(Args, Clone)]
struct QuantHow {
    #[arg(long = "format", value_name = "F", value_parser = form, help = one_of("How quantization is written", forms()))]
    form: Option<Format>,
    #[arg(long, value_name = "TYPE", help = one_of("Type of activations", Activations::ALL))]
    activations: Option<Activations>,
    #[arg(long, value_name = "TYPE", help = one_of("Type of weights", Weights::ALL))]
    weights: Option<Weights>,
    #[arg(long, value_name = "G", help = one_of("Scales per weight", Granularity::USAGE))]
    granularity: Option<Granularity>,
    /// Activations with the zero point in the middle
    #[arg(long)]
    symmetric_activations: bool,
    #[arg(long, value_name = "A", help = algorithms(), long_help = each_algorithm())]
    algorithm: Option<String>,
    #[arg(long, value_name = "WHEN", help = one_of("Move the range of large channels into weights", Switch::ALL))]
    smooth: Option<Switch>,
    #[arg(long, value_name = "WHEN", help = one_of("Make channels alike on both sides of activations", Switch::ALL))]
    equalize: Option<Switch>,
    #[arg(long, value_name = "WHEN", help = one_of("Take from biases what quantization adds to a channel on average", Switch::ALL))]
    bias_correction: Option<Switch>,
    #[arg(long, value_name = "WHEN", help = one_of("Keep neighbouring weights so small that processors without VNNI do not overflow", Switch::ALL))]
    reduce_range: Option<Switch>,
    /// Time every node in the target's runtime; what integers do not make faster stays float
    #[arg(long, value_name = "latency", value_parser = ["latency"], conflicts_with = "optimize_for")]
    tune: Option<String>,
    /// latency: what comes out slower than it went in is timed node by node; size: it is taken as it is
    #[arg(long, value_name = "WHAT", default_value = "latency", value_parser = ["latency", "size"])]
    optimize_for: String,
    /// Time anew what was timed in an earlier run, and keep no times for the next
    #[arg(long)]
    no_cost_cache: bool,
    #[arg(long, value_name = "C", help = calibrators(), long_help = each_calibrator())]
    calibrator: Option<String>,
    /// Only nodes whose name matches (repeatable)
    #[arg(long, value_name = "REGEX")]
    include: Vec<String>,
    /// Only these operators, as Conv,MatMul
    #[arg(long, value_name = "LIST", value_delimiter = ',')]
    op_types: Vec<String>,
    /// Tables and lone weights below this many bytes stay as they are
    #[arg(long, value_name = "N", default_value_t = 4096)]
    min_bytes: u64,
}

impl QuantArgs {
    pub fn options(&self) -> Result<QuantOptions> {
        let how = &self.how;
        let mut o = QuantOptions::for_target(&self.target)?;
        o.format = how.form.unwrap_or(o.format);
        o.activations = how.activations.unwrap_or(o.activations);
        o.weights = how.weights.unwrap_or(o.weights);
        o.granularity = how.granularity.map_or_else(|| o.default_granularity(), Ok)?;
        o.symmetric_activations |= how.symmetric_activations;
        o.exclude.clone_from(&self.exclude);
        o.include.clone_from(&how.include);
        o.op_types.clone_from(&how.op_types);
        o.min_bytes = how.min_bytes;
        o.smooth = how.smooth.unwrap_or(o.smooth);
        o.equalize = how.equalize.unwrap_or(o.equalize);
        o.bias_correction = how.bias_correction.unwrap_or(o.bias_correction);
        o.reduce_range = how.reduce_range.unwrap_or(o.reduce_range);
        o.tune = match (&how.tune, how.optimize_for.as_str()) {
            (Some(_), _) => Switch::On,
            (None, "size") => Switch::Off,
            _ => Switch::Auto,
        };
        o.costs = runtime::costs::default_path().filter(|_| !how.no_cost_cache);
        o.algorithm = how.algorithm.clone().unwrap_or(o.algorithm);
        Ok(o)
    }

    /// The rewrites that the target wants before quantization.
    pub fn simplify(&self) -> Result<SimplifyOptions> {
        let options = SimplifyOptions::before_quantization(target::find(&self.target)?);
        Ok(match self.options()?.effective_format() {
            Format::WeightOnly | Format::Half => options,
            _ => options.in_float32(),
        })
    }

    /// The whole of it, with ranges found before or else by the calibrator.
    pub fn wanted(&self, ranges: Option<&PathBuf>, budget: &BudgetArgs) -> Result<Quantize> {
        self.one_source(ranges)?;
        let (options, calibrator) = (self.options()?, self.calibrator()?);
        Ok(Quantize { options, calibrator, ranges: ranges.cloned(), time_budget: budget.time_budget })
    }

    /// Refuses a calibrator beside ranges that are there already.
    pub fn one_source(&self, ranges: Option<&PathBuf>) -> Result<()> {
        match (ranges, &self.how.calibrator) {
            (Some(_), Some(_)) => Err(Error::usage("--calibrator finds ranges, --ranges has them: give one")),
            _ => Ok(()),
        }
    }

    pub fn calibrator(&self) -> Result<Calibrator> {
        let spec = self.how.calibrator.as_deref();
        calibrate::parse(spec.unwrap_or(target::find(&self.target)?.calibrator))
    }
}

/// The forms that a flag names: float16 is asked for by --activations f16.
fn forms() -> impl Iterator<Item = Format> {
    Format::ALL.iter().copied().filter(|form| *form != Format::Half)
}

fn form(text: &str) -> Result<Format> {
    text.parse().map_err(|_| names::unknown("format", text, forms()))
}

const ALGORITHM: &str = "Rule that rounds weights";

fn algorithms() -> String {
    let all = quantize::ALGORITHMS;
    format!("{} [default: {}]", one_of(ALGORITHM, all.iter().map(|a| a.name)), all[0].name)
}

fn each_algorithm() -> String {
    let all = quantize::ALGORITHMS;
    format!("{}\n[default: {}]", each_of(ALGORITHM, all.iter().map(|a| (a.name, a.summary))), all[0].name)
}

const CALIBRATOR: &str = "Rule that finds ranges";

fn calibrators() -> String {
    format!("{} {}", one_of(CALIBRATOR, calibrate::CALIBRATORS.iter().map(calibrate::Entry::usage)), by_target())
}

fn each_calibrator() -> String {
    let all = calibrate::CALIBRATORS.iter().map(|c| (c.usage(), c.summary));
    format!("{}\n{}", each_of(CALIBRATOR, all), by_target())
}

/// The target says which calibrator is its default.
fn by_target() -> String {
    let defaults: Vec<_> = target::PRESETS.iter().map(|p| format!("{} for {}", p.calibrator, p.name)).collect();
    format!("[default: {}]", defaults.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_flag_of_quantization_is_listed() {
        let command = crate::cli::command();
        let optimize = command.find_subcommand("optimize").unwrap();
        let how = optimize.get_groups().find(|g| g.get_id() == "QuantHow").unwrap();
        assert_eq!(how.get_args().map(clap::Id::as_str).collect::<Vec<_>>(), QUANTIZATION);
    }
}
