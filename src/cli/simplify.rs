//! `onnxpress simplify`: graph clean-up only.

use std::path::PathBuf;

use anstream::println;

use super::Done;
use super::args::{output, shape};
use crate::error::Result;
use crate::onnx;
use crate::passes::{self, SimplifyOptions, Specialize};

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Where the result goes
    #[arg(short, long, required_unless_present = "plan")]
    output: Option<PathBuf>,
    /// Only this pass (repeatable)
    #[arg(long, value_name = "PASS")]
    only: Vec<String>,
    /// Not this pass (repeatable)
    #[arg(long, value_name = "PASS")]
    skip: Vec<String>,
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
    /// Print what would be done, and stop
    #[arg(long)]
    plan: bool,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("it is NAME=VALUE, as sr=16000")?;
    Ok((name.to_string(), value.to_string()))
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let path = output(args.output.as_ref(), args.plan)?;
    let mut model = onnx::load(&args.model)?;
    let wanted = Specialize {
        shapes: args.shape.clone(),
        freeze: args.freeze.clone(),
        inputs: args.inputs.clone(),
        outputs: args.outputs.clone(),
    };
    passes::specialize(&mut model, &wanted)?;
    let options = SimplifyOptions { only: args.only.clone(), skip: args.skip.clone(), bit_exact: args.bit_exact };
    let report = passes::simplify(&mut model, &options).map_err(|e| e.in_file(&args.model))?;
    if wanted != Specialize::default() {
        passes::declare_outputs(&mut model);
    }
    if let Some(path) = path {
        onnx::emit(&model, path)?;
    }
    println!("{} ─► {} nodes", report.nodes_before, report.nodes_after);
    for (pass, count) in &report.passes {
        println!("  {pass:<28} {count:>5}");
    }
    for raised in &report.raised {
        println!("  {raised}");
    }
    for r in &report.refusals {
        println!("  {:<28} refused at \"{}\" ({}): {}", r.pass, r.node, r.op_type, r.reason);
    }
    Ok(Done::Well)
}
