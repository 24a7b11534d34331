//! `onnxpress simplify`: graph clean-up only.

use std::path::PathBuf;

use super::Done;
use super::args::{each_of, each_target, output, shape, targets};
use super::bars::Bars;
use super::printed::Printed;
use crate::error::Result;
use crate::passes::{PASSES, SimplifyOptions, Specialize};
use crate::pipeline::{self, Clean};
use crate::target;
use crate::validate::everywhere::Inputs;

const SKIP: &str = "Not this pass (repeatable)";

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Where the result goes
    #[arg(short, long, required_unless_present = "plan")]
    output: Option<PathBuf>,
    /// Only this pass (repeatable; --help lists them at --skip)
    #[arg(long, value_name = "PASS")]
    only: Vec<String>,
    #[arg(long, value_name = "PASS", help = SKIP, long_help = each_of(SKIP, PASSES.iter().map(|p| (p.name, p.summary))))]
    skip: Vec<String>,
    #[arg(long, value_name = "T", default_value = target::default().name, help = targets(), long_help = each_target())]
    target: String,
    /// Only rewrites that keep every bit of the outputs
    #[arg(long)]
    bit_exact: bool,
    /// Fix the sizes of an input, as input=1,3,224,224; −1 keeps the declared size (repeatable)
    #[arg(long, value_name = "NAME=DIMS", value_parser = shape)]
    shape: Vec<(String, Vec<i64>)>,
    /// Make an input a constant, as sr=16000 (repeatable)
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    freeze: Vec<(String, String)>,
    /// Values that are fed instead of computed, as a,b
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    inputs: Vec<String>,
    /// Values that are the outputs, as a,b
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    outputs: Vec<String>,
    /// Time the model with and without each pass, and leave out those that make it slower
    #[arg(long, value_name = "WHAT", value_parser = ["latency"])]
    tune: Option<String>,
    /// Run original and result on so many inputs; nothing is written if they differ by more than rounding [default: 1,
    /// and 0 for models above 1 GiB]
    #[arg(long, value_name = "N", conflicts_with = "plan")]
    check: Option<usize>,
    /// Write without running anything
    #[arg(long, conflicts_with = "check")]
    no_check: bool,
    /// Inputs for the check
    #[arg(long, value_name = "DATA", conflicts_with = "no_check")]
    data: Option<String>,
    /// Print what would be done, and stop
    #[arg(long)]
    plan: bool,
    /// Print the report as text or json
    #[arg(long, visible_alias = "report", value_name = "FORMAT", value_enum, default_value_t)]
    format: Printed,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is NAME=VALUE, as sr=16000")?;
    Ok((name.to_string(), value.to_string()))
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    let output = output(args.output.as_ref(), args.plan, &args.model)?;
    let wanted = Clean {
        model: &args.model,
        output,
        specialize: Specialize {
            shapes: args.shape.clone(),
            freeze: args.freeze.clone(),
            inputs: args.inputs.clone(),
            outputs: args.outputs.clone(),
        },
        simplify: SimplifyOptions {
            only: args.only.clone(),
            skip: args.skip.clone(),
            bit_exact: args.bit_exact,
            ..SimplifyOptions::for_target(target::find(&args.target)?)
        },
        tune: args.tune.is_some(),
        inputs: Inputs { data: args.data.as_deref(), count: if args.no_check { Some(0) } else { args.check } },
    };
    args.format.print(&pipeline::clean(&wanted, bars)?, ToString::to_string)?;
    Ok(Done::Well)
}
