//! `onnxpress inspect`: what is in a model, and what could be done with it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Serialize;

use super::Done;
use super::args::{each_target, targets};
use super::out::{put, say};
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::passes::{self, SimplifyOptions, SimplifyReport};
use crate::quantize::{self, QuantOptions, QuantPlan};
use crate::validate::size::{Size, size};
use crate::{pipeline, report, target};

#[derive(clap::Args)]
pub struct Args {
    /// The model
    model: PathBuf,
    /// Print as text or json
    #[arg(long, visible_alias = "report", value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    format: String,
    #[arg(long, value_name = "T", default_value = target::default().name, help = targets(), long_help = each_target())]
    target: String,
}

#[derive(Serialize)]
struct Inspection {
    schema_version: u32,
    producer: String,
    ir_version: Option<i64>,
    opsets: BTreeMap<String, i64>,
    inputs: Vec<String>,
    outputs: Vec<String>,
    size: Size,
    operators: BTreeMap<String, usize>,
    simplify: SimplifyReport,
    /// Whether the target's own form is decided on data, which this plan had none of.
    needs_data: bool,
    plan: QuantPlan,
}

pub(super) fn run(args: &Args) -> Result<Done> {
    let model = pipeline::load(&args.model)?;
    let target = target::find(&args.target)?;
    let cleaned = |wanted: SimplifyOptions| {
        let mut clean = model.clone();
        let report = passes::simplify(&mut clean, &wanted).map_err(|e| e.in_file(&args.model))?;
        Ok::<_, Error>((clean, report))
    };
    let (_, simplify) = cleaned(SimplifyOptions::for_target(target).in_float32())?;
    let options = QuantOptions::for_target(&args.target)?;
    let (clean, _) = cleaned(SimplifyOptions::before_quantization(target).in_float32())?;
    let plan = quantize::outline(&clean, &options)?;
    let inspection = inspect(&model, args, simplify, plan, options.format.is_static());
    if args.format == "json" {
        say!("{}", report::json(&inspection)?);
    } else {
        show(&inspection)?;
    }
    Ok(Done::Well)
}

fn inspect(model: &Model, args: &Args, simplify: SimplifyReport, plan: QuantPlan, needs_data: bool) -> Inspection {
    let mut operators = BTreeMap::new();
    for id in model.all_nodes() {
        let n = model.node(id);
        let domain = if n.domain().is_empty() { String::new() } else { format!("{}.", n.domain()) };
        *operators.entry(format!("{domain}{}", n.op_type)).or_default() += 1;
    }
    let typed = |v: &crate::ir::ValueId| format!("{}: {}", model.name(*v), model.tensor_type(*v));
    let main = model.graph(model.main());
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    Inspection {
        schema_version: report::SCHEMA_VERSION,
        producer: format!("{} {}", text(&model.meta.producer_name), text(&model.meta.producer_version)),
        ir_version: model.meta.ir_version,
        opsets: model.opset_imports().iter().map(|o| (o.domain.clone(), o.version)).collect(),
        inputs: model.user_inputs().iter().map(typed).collect(),
        outputs: main.outputs().iter().map(typed).collect(),
        size: size(model, &args.model, None),
        operators,
        simplify,
        needs_data,
        plan,
    }
}

fn show(i: &Inspection) -> Result<()> {
    let opsets: Vec<_> =
        i.opsets.iter().map(|(d, v)| if d.is_empty() { v.to_string() } else { format!("{d} {v}") }).collect();
    say!("producer   {}", i.producer.trim());
    say!("version    IR {}, opset {}", i.ir_version.unwrap_or_default(), opsets.join(", "));
    let macs = i.size.macs.map_or(String::new(), |m| format!(", {} MACs with open sizes at 1", report::count(m)));
    say!("size       {}, {} parameters{macs}", report::megabytes(i.size.bytes), i.size.parameters);
    say!("inputs     {}", i.inputs.join("\n           "));
    say!("outputs    {}", i.outputs.join("\n           "));
    let operators: Vec<_> = i.operators.iter().map(|(op, n)| format!("{n} {op}")).collect();
    say!("operators  {}", operators.join(", "));
    say!("\nsimplify   {} ─► {} nodes", i.simplify.nodes_before, i.simplify.nodes_after);
    for (pass, count) in &i.simplify.passes {
        say!("  {pass:<28} {count:>5}");
    }
    for r in &i.simplify.refusals {
        say!("  {:<28} refused at \"{}\" ({}): {}", r.pass, r.node, r.op_type, r.reason);
    }
    for note in i.simplify.notes() {
        say!("  {note}");
    }
    say!("\nquantize for {}", i.plan.options.target);
    if i.needs_data {
        say!(
            "  without data, and so without ranges; with --data, optimize --plan decides on what flows through the model"
        );
    }
    put!("{}", i.plan);
    Ok(())
}
