//! `onnxpress simplify`: graph clean-up only.

use std::path::PathBuf;

use anstream::println;

use super::Done;
use super::args::check_output;
use crate::error::Result;
use crate::onnx;
use crate::passes::{self, SimplifyOptions};

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Where the result goes
    #[arg(short, long)]
    output: PathBuf,
    /// Only this pass (repeatable)
    #[arg(long, value_name = "PASS")]
    only: Vec<String>,
    /// Not this pass (repeatable)
    #[arg(long, value_name = "PASS")]
    skip: Vec<String>,
    /// Only rewrites that keep every bit of the outputs
    #[arg(long)]
    bit_exact: bool,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    check_output(&args.output)?;
    let mut model = onnx::load(&args.model)?;
    let options = SimplifyOptions { only: args.only.clone(), skip: args.skip.clone(), bit_exact: args.bit_exact };
    let report = passes::simplify(&mut model, &options).map_err(|e| e.in_file(&args.model))?;
    onnx::emit(&model, &args.output)?;
    println!("{} ─► {} nodes", report.nodes_before, report.nodes_after);
    for (pass, count) in &report.passes {
        println!("  {pass:<28} {count:>5}");
    }
    for r in &report.refusals {
        println!("  {:<28} refused at \"{}\" ({}): {}", r.pass, r.node, r.op_type, r.reason);
    }
    Ok(Done::Well)
}
