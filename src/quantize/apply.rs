//! Carries out a plan.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::plan::{Decision, NodePlan, QuantPlan, WeightPlan};
use super::weights::{self, QuantizedWeight};
use super::{Format, algorithm, guard, integer, product, qdq, qoperator, table, weight_only, write};
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model, Tensor, ValueId};
use crate::ops::{self, QuantRule};
use crate::passes::opset;
use crate::target;

/// Q/DQ per axis is of opset 13; everything else that is written here is older.
const PER_AXIS_OPSET: i64 = 13;
/// The first opset with integer operators.
const INTEGER_OPSET: i64 = 10;
/// The first opset with DynamicQuantizeLinear.
const DYNAMIC_OPSET: i64 = 11;

/// What was done.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct QuantReport {
    pub nodes: usize,
    pub activations: usize,
    pub weights: usize,
    /// Why and how the opset was raised.
    pub opset: Option<String>,
}

/// Weights already quantized, by value and channel axis, so that a shared one is stored once.
pub(super) type Done = BTreeMap<(ValueId, Option<usize>), (ValueId, ValueId, ValueId)>;

/// Writes the plan's decisions into the model that it was made for.
///
/// # Errors
/// Input, where an operator of an old opset stands in the way of raising it.
pub fn apply(model: &mut Model, plan: &QuantPlan) -> Result<QuantReport> {
    let format = plan.options.effective_format();
    let mut report = QuantReport { nodes: plan.quantized(), ..Default::default() };
    if report.nodes == 0 {
        return Ok(report);
    }
    let mut edit = GraphEdit::new(model);
    let needs = match format {
        Format::Qdq | Format::WeightOnly | Format::Qoperator => PER_AXIS_OPSET,
        Format::Integer => INTEGER_OPSET,
        Format::Dynamic => DYNAMIC_OPSET,
    };
    if edit.onnx_opset() < needs {
        let why = format!("the {format} form needs operators of opset {needs}");
        report.opset = Some(opset::raise(&mut edit, needs)?.because(why).to_string());
    }
    if edit.meta.ir_version.is_some_and(|v| v < 7) {
        edit.set_ir_version(7);
    }
    shift_biases(&mut edit, plan);
    let before = edit.graph(edit.main()).initializers().len();
    let (mut done, mut tables) = (Done::new(), table::Stored::new());
    for node in &plan.nodes {
        if !edit.is_live(node.id) {
            continue;
        }
        match &node.decision {
            Decision::Table { .. } => table::node(&mut edit, node, &mut tables)?,
            Decision::Quantize { weight, input, .. } => match format {
                Format::Qdq | Format::Qoperator if input.is_none() => {
                    weight_only::node(&mut edit, plan, node, weight, &mut done)?;
                }
                Format::Qdq => qdq::node(&mut edit, plan, node, weight, &mut done)?,
                Format::Qoperator => qoperator::node(&mut edit, plan, node, weight)?,
                Format::Integer | Format::Dynamic => integer::node(&mut edit, plan, node, weight, &mut done)?,
                Format::WeightOnly => weight_only::node(&mut edit, plan, node, weight, &mut done)?,
            },
            Decision::Product { .. } => match format {
                Format::Qoperator => product::requantizing(&mut edit, node)?,
                Format::Integer | Format::Dynamic => product::accumulating(&mut edit, node)?,
                // Its operands are values of the plan; Q/DQ comes to them below.
                Format::Qdq | Format::WeightOnly => {}
            },
            Decision::Keep { .. } => {}
        }
    }
    if format == Format::Qdq {
        qdq::activations(&mut edit, plan)?;
        guard::guard(&mut edit, target::find(&plan.options.target)?.quantizes_itself)?;
    }
    remove_unread(&mut edit);
    report.activations = plan.activations.len();
    report.weights = done.len().max(edit.graph(edit.main()).initializers().len().saturating_sub(before) / 3);
    edit.sort(edit.main()).map_err(|_| Error::internal("quantization made a cycle"))?;
    Ok(report)
}

/// Adds the planned corrections to the biases, or makes them the bias where there is none.
fn shift_biases(edit: &mut GraphEdit, plan: &QuantPlan) {
    for node in &plan.nodes {
        let Decision::Quantize { shift: Some(shift), .. } = &node.decision else { continue };
        if !edit.is_live(node.id) {
            continue;
        }
        let Some(QuantRule::Weighted { bias: Some(index), .. }) = ops::of(edit.node(node.id)).map(|op| op.quant) else {
            continue;
        };
        let present = edit.node(node.id).input(index);
        let values = present.and_then(|v| edit.constant(v)).and_then(|t| t.to_f32());
        let shifted: Vec<f32> = match values {
            Some(b) if b.len() == shift.len() => b.iter().zip(shift).map(|(b, s)| b + s).collect(),
            Some(_) => continue,
            None => shift.clone(),
        };
        let hint = present.map_or_else(|| format!("{}_bias", node.node), |v| format!("{}_corrected", edit.name(v)));
        let graph = edit.node(node.id).graph();
        let value = edit.add_initializer(graph, &hint, Tensor::from_vec([shifted.len()], shifted));
        edit.set_input(node.id, index, Some(value));
    }
}

/// Quantizes a weight as planned, with room for the bias.
pub(super) fn quantized_weight(
    edit: &GraphEdit,
    plan: &QuantPlan,
    weight: ValueId,
    w: &WeightPlan,
    bias: Option<(&[f32], f32)>,
) -> Result<QuantizedWeight> {
    let lost = || Error::internal(format!("weight \"{}\" is no longer constant", w.name));
    let tensor = edit.constant(weight).ok_or_else(lost)?;
    let values = tensor.to_f32().ok_or_else(lost)?;
    let scales = planned_scales(&values, tensor.shape(), plan, w, bias)?;
    // Where a bias needs other scales, what was rounded for these is void.
    if let Some(rounded) = w.rounded.as_ref().filter(|r| r.scales == scales) {
        return Ok(weights::rounded(rounded, w));
    }
    let algorithm = algorithm::find(&plan.options.algorithm)?;
    Ok(weights::quantize(&values, tensor.shape(), w.axis, scales, w.dtype, algorithm))
}

/// The scales of a weight as planned, with room for the bias.
pub(super) fn planned_scales(
    values: &[f32],
    shape: &[usize],
    plan: &QuantPlan,
    w: &WeightPlan,
    bias: Option<(&[f32], f32)>,
) -> Result<Vec<f32>> {
    let (mut scales, _) = weights::scales(values, shape, w.axis, bias);
    if plan.options.effective_format().is_static() {
        let algorithm = algorithm::find(&plan.options.algorithm)?;
        weights::fit_scales(&mut scales, values, shape, w, bias, algorithm);
    }
    Ok(scales)
}

/// The weight's initializers, quantized when first asked for.
pub(super) fn shared_weight(
    edit: &mut GraphEdit,
    plan: &QuantPlan,
    node: &NodePlan,
    (weight, w): (ValueId, &WeightPlan),
    done: &mut Done,
) -> Result<(ValueId, ValueId, ValueId)> {
    if let Some(known) = done.get(&(weight, w.axis)) {
        return Ok(*known);
    }
    let q = quantized_weight(edit, plan, weight, w, None)?;
    let graph = home(edit, weight, node);
    let made = write::weight(edit, graph, &w.name, &q);
    done.insert((weight, w.axis), made);
    Ok(made)
}

/// The graph that holds `weight`: its readers, in whatever subgraph, can see what is put there.
pub(super) fn home(edit: &GraphEdit, weight: ValueId, node: &NodePlan) -> crate::ir::GraphId {
    match edit.value(weight).origin() {
        crate::ir::Origin::Initializer(graph) | crate::ir::Origin::Input(graph) => graph,
        crate::ir::Origin::Node { node, .. } => edit.node(node).graph(),
        crate::ir::Origin::Detached => edit.node(node.id).graph(),
    }
}

/// Drops initializers and constants that only the float operators read.
fn remove_unread(edit: &mut GraphEdit) {
    for graph in edit.graphs_under(edit.main()) {
        for v in edit.graph(graph).initializers().to_vec() {
            edit.remove_unread_initializer(v);
        }
        for node in edit.graph(graph).nodes().to_vec() {
            let n = edit.node(node);
            let unread = n.outputs().iter().flatten().all(|v| edit.uses(*v).is_empty());
            if n.is("Constant") && unread {
                edit.remove_node(node);
            }
        }
    }
}
