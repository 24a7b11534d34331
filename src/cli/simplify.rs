//! `onnxpress simplify`: graph clean-up only.

use std::path::PathBuf;

use super::Done;
use super::args::{each_of, each_target, output, shape, targets};
use super::bars::Bars;
use super::out::say;
use crate::analysis::value_bytes;
use crate::data::{DataOptions, Dataset, InputSpec};
use crate::error::{Error, ErrorKind, Result};
use crate::ir::{DType, Model, NodeId};
use crate::passes::{self, PASSES, SimplifyOptions, Specialize};
use crate::runtime::{self, RUNTIMES};
use crate::validate::check::{ROUNDING, check};
use crate::validate::tune::{Tuned, tune};
use crate::validate::within::within;
use crate::{onnx, pipeline, target};

/// Bytes of weights up to which a model is run without being asked to.
const CHECKED_UNASKED: usize = 1 << 30;

/// Bytes of one value up to which a model is run on sizes that nobody gave.
const LARGEST_UNASKED: usize = 1 << 30;

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
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is NAME=VALUE, as sr=16000")?;
    Ok((name.to_string(), value.to_string()))
}

pub(super) fn run(args: &Args, bars: &Bars) -> Result<Done> {
    let path = output(args.output.as_ref(), args.plan, &args.model)?;
    let target = target::find(&args.target)?;
    let mut model = pipeline::load(&args.model)?;
    let wanted = Specialize {
        shapes: args.shape.clone(),
        freeze: args.freeze.clone(),
        inputs: args.inputs.clone(),
        outputs: args.outputs.clone(),
    };
    passes::specialize(&mut model, &wanted)?;
    let original = model.clone();
    let options = SimplifyOptions {
        only: args.only.clone(),
        skip: args.skip.clone(),
        also: Vec::new(),
        bit_exact: args.bit_exact,
        keep_integers: true,
        target: Some(target),
    };
    let here = |e: Error| e.in_file(&args.model);
    let (mut tuned, mut left_out) = (None, None);
    let mut report = if args.tune.is_some() {
        let data = inputs(args.data.as_deref(), 1, &original)?.batch(0)?.inputs;
        let runtime = runtime::closest_to(target.name);
        let (best, report, seen) = tune(&original, &options, &data, runtime, bars).map_err(here)?;
        (model, tuned) = (best, Some(seen));
        report
    } else {
        passes::simplify(&mut model, &options).map_err(here)?
    };
    if let Some(path) = path {
        let large = original.weight_bytes() > CHECKED_UNASKED;
        let count = args.check.unwrap_or(usize::from((!large || args.data.is_some()) && !args.no_check));
        if count > 0 {
            let checked = |model: &Model| check_all(args.data.as_deref(), count, &original, model);
            let mut found = checked(&model)?;
            if let (Some(off), None) = (&found.off, &args.tune) {
                let mut last = Found::default();
                let mut holds = |model: &Model| {
                    last = checked(model)?;
                    Ok(last.off.is_none())
                };
                if let Some(less) = within(&original, &options, &report, &mut holds).map_err(here)? {
                    left_out = Some(format!("{:<28} left out: with it {off}", less.left_out));
                    (model, report, found) = (less.model, less.report, last);
                }
            }
            for line in &found.told {
                say!("{line}");
            }
            if let Some(off) = found.off {
                return Err(Error::internal(format!(
                    "{off}: nothing is written (--no-check writes all the same, --skip PASS leaves a pass out)"
                )));
            }
        }
        if wanted != Specialize::default() {
            passes::declare_outputs(&mut model);
        }
        onnx::emit(&model, path)?;
    }
    say!("{} ─► {} nodes", report.nodes_before, report.nodes_after);
    for (pass, count) in &report.passes {
        say!("  {pass:<28} {count:>5}");
    }
    if let Some(left_out) = left_out {
        say!("  {left_out}");
    }
    if let Some(tuned) = &tuned {
        say_tuned(tuned)?;
    }
    for note in report.notes() {
        say!("  {note}");
    }
    for r in &report.refusals {
        say!("  {:<28} refused at \"{}\" ({}): {}", r.pass, r.node, r.op_type, r.reason);
    }
    Ok(Done::Well)
}

fn say_tuned(tuned: &Tuned) -> Result<()> {
    let Tuned { runtime, original_ms, result_ms, speedup, .. } = tuned;
    for (pass, gain) in &tuned.without {
        say!("  {pass:<28} left out: {gain:.2}× in {runtime} without it");
    }
    let kept = if tuned.kept_original { ": the original stays as it is" } else { "" };
    say!("latency {original_ms:.2} ms ─► {result_ms:.2} ms, {speedup:.2}× in {runtime}, 1 thread{kept}");
    Ok(())
}

/// What the user gave, or `count` made-up inputs.
fn inputs(data: Option<&str>, count: usize, model: &Model) -> Result<Dataset> {
    let made_up = format!("random:{count}");
    Dataset::open(&DataOptions::new(data.unwrap_or(&made_up)), &InputSpec::of(model))
}

/// Whether a convolution has weights of float16.
fn convolves_halves(model: &Model) -> bool {
    let half = |n: &NodeId| model.constant_input(*n, 1).is_some_and(|w| w.dtype() == DType::F16);
    model.all_nodes().iter().any(|n| model.node(*n).is_one_of(&["Conv", "ConvTranspose"]) && half(n))
}

/// What a check found.
#[derive(Default)]
struct Found {
    /// In which runtimes, by how much.
    told: Vec<String>,
    /// The output that is off by more than rounding, if there is one.
    off: Option<String>,
}

/// Compares both in every runtime that is present. What cannot be run is told.
fn check_all(data: Option<&str>, count: usize, original: &Model, model: &Model) -> Result<Found> {
    let mut found = Found::default();
    let data = match inputs(data, count, original) {
        // Inputs that nobody asked for need not be possible.
        Err(e) if data.is_none() => {
            found.told.push(format!("not checked (--data or --shape gives inputs that are possible): {e}"));
            return Ok(found);
        }
        data => data?,
    };
    let bytes = value_bytes(original, &data.shapes(0)?).into_values().max().unwrap_or(0);
    if data.is_random() && bytes > LARGEST_UNASKED {
        let gigabytes = bytes as f64 / 1e9;
        let smaller = "--shape or --data gives smaller ones";
        found.told.push(format!("not checked: on made-up inputs a value takes {gigabytes:.1} GB ({smaller})"));
        return Ok(found);
    }
    let present: Vec<_> = RUNTIMES.iter().copied().filter(|r| r.present().is_ok()).collect();
    for runtime in &present {
        let name = runtime.name();
        if name == runtime::built_in().name() && present.len() > 1 && convolves_halves(original) {
            found.told.push(format!("not checked in {name}, whose convolutions of float16 take minutes"));
            continue;
        }
        let seen = match check(original, model, &data, count, *runtime) {
            Err(e) if e.kind() == ErrorKind::Runtime => {
                let hint = if data.is_random() { " (--data or --shape gives inputs that are possible)" } else { "" };
                found.told.push(format!("not checked in {name}{hint}: {e}"));
                continue;
            }
            seen => seen?,
        };
        let worst = seen.worst().map_or(0.0, |w| w.1);
        if let Some((output, off)) = seen.worst().filter(|w| w.1 > ROUNDING) {
            found.off = Some(format!("output \"{output}\" is off by {off:.1e} of its largest value in {name}"));
            return Ok(found);
        }
        let off = if worst == 0.0 { "no bit".into() } else { format!("{worst:.1e} of the largest value") };
        let inputs = if seen.inputs == 1 { "input" } else { "inputs" };
        found.told.push(format!("checked in {name} on {} {inputs}: off by {off}", seen.inputs));
        if seen.outputs.len() > 1 {
            found.told.extend(seen.outputs.iter().map(|(output, off)| format!("  {output:<28} {off:.1e}")));
        }
    }
    Ok(found)
}
