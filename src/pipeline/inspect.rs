//! What is in a model, and what could be done with it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use super::load;
use crate::error::Result;
use crate::ir::{Model, ValueId};
use crate::passes::{SimplifyOptions, SimplifyReport, simplify};
use crate::quantize::{QuantOptions, QuantPlan, outline};
use crate::report::{count, megabytes};
use crate::target;
use crate::validate::size::{Size, size};

/// What [`inspect`] tells.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Inspection {
    /// What wrote the file, and its version.
    pub producer: String,
    /// Version of the format.
    pub ir_version: Option<i64>,
    /// Opsets by domain.
    pub opsets: BTreeMap<String, i64>,
    /// Names and types.
    pub inputs: Vec<String>,
    /// Names and types.
    pub outputs: Vec<String>,
    /// Bytes, parameters, work.
    pub size: Size,
    /// How many of each operator, in subgraphs and functions, too.
    pub operators: BTreeMap<String, usize>,
    /// What clean-up would do.
    pub simplify: SimplifyReport,
    /// Whether the target's own form is decided on data, which this plan had none of.
    pub needs_data: bool,
    /// What quantization would do.
    pub plan: QuantPlan,
}

/// What is in this file, and what the preset of that name would make of it.
///
/// # Errors
/// Usage, for a preset that does not exist; what is wrong with the file.
pub fn inspect(path: &Path, target: &str) -> Result<Inspection> {
    let model = load(path)?;
    let preset = target::find(target)?;
    let cleaned = |wanted: SimplifyOptions| {
        let mut clean = model.clone();
        simplify(&mut clean, &wanted.in_float32()).map(|report| (clean, report)).map_err(|e| e.in_file(path))
    };
    let (_, simplify) = cleaned(SimplifyOptions::for_target(preset))?;
    let options = QuantOptions::for_target(target)?;
    let (clean, _) = cleaned(SimplifyOptions::before_quantization(preset))?;
    let plan = outline(&clean, &options)?;
    let typed = |v: &ValueId| format!("{}: {}", model.name(*v), model.tensor_type(*v));
    let text = |s: &Option<String>| s.clone().unwrap_or_default();
    Ok(Inspection {
        producer: format!("{} {}", text(&model.meta.producer_name), text(&model.meta.producer_version)),
        ir_version: model.meta.ir_version,
        opsets: model.opset_imports().iter().map(|o| (o.domain.clone(), o.version)).collect(),
        inputs: model.user_inputs().iter().map(typed).collect(),
        outputs: model.graph(model.main()).outputs().iter().map(typed).collect(),
        size: size(&model, path, None),
        operators: operators(&model),
        simplify,
        needs_data: options.format.is_static(),
        plan,
    })
}

fn operators(model: &Model) -> BTreeMap<String, usize> {
    let mut operators = BTreeMap::new();
    for id in model.all_nodes() {
        let n = model.node(id);
        let domain = if n.domain().is_empty() { String::new() } else { format!("{}.", n.domain()) };
        *operators.entry(format!("{domain}{}", n.op_type)).or_default() += 1;
    }
    operators
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let opset = |(domain, version): (&String, &i64)| match domain.as_str() {
            "" => version.to_string(),
            domain => format!("{domain} {version}"),
        };
        let opsets: Vec<_> = self.opsets.iter().map(opset).collect();
        writeln!(f, "producer   {}", self.producer.trim())?;
        writeln!(f, "version    IR {}, opset {}", self.ir_version.unwrap_or_default(), opsets.join(", "))?;
        let macs = self.size.macs.map_or(String::new(), |m| format!(", {} MACs with open sizes at 1", count(m)));
        writeln!(f, "size       {}, {} parameters{macs}", megabytes(self.size.bytes), self.size.parameters)?;
        writeln!(f, "inputs     {}", self.inputs.join("\n           "))?;
        writeln!(f, "outputs    {}", self.outputs.join("\n           "))?;
        let operators: Vec<_> = self.operators.iter().map(|(op, n)| format!("{n} {op}")).collect();
        writeln!(f, "operators  {}", operators.join(", "))?;
        writeln!(f, "\nsimplify   {}", self.simplify)?;
        writeln!(f, "\nquantize for {}", self.plan.options.target)?;
        if self.needs_data {
            writeln!(
                f,
                "  without data, and so without ranges; with --data, optimize --plan decides on what flows through the model"
            )?;
        }
        write!(f, "{}", self.plan)
    }
}
