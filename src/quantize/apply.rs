//! Carries out a plan.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;

use super::params::{NARROW_OPSET, PER_AXIS_OPSET, storable};
use super::plan::{ActivationPlan, Decision, NodePlan, QuantPlan, Rounded, WeightPlan};
use super::sharing::Sharing;
use super::storage::{self, Form, Stored};
use super::weights::{self, QuantizedWeight};
use super::{
    Format, algorithm, grouped, guard, half, integer, pairs, product, qdq, qoperator, recurrent, short_floats, table,
    weight_only,
};
use crate::error::{Error, Result};
use crate::ir::{DType, GraphEdit, Model, NodeId, Tensor, ValueId};
use crate::ops::{self, QuantRule};
use crate::passes::{Seen, opset};

/// The first version of files with Q/DQ per axis, and with integers of 4 and 16 bits and blocks in Q/DQ.
const PER_AXIS_IR: i64 = 7;
const NARROW_IR: i64 = 10;
/// The first opset with floats of 8 bits, and the first version of files that have them.
const FLOAT8_OPSET: i64 = 19;
const FLOAT16_SCALE_OPSET: i64 = 19;
const FLOAT8_IR: i64 = 9;
/// The first opset with integer operators.
const INTEGER_OPSET: i64 = 10;
/// The first opset with DynamicQuantizeLinear.
const DYNAMIC_OPSET: i64 = 11;

/// What was done.
#[derive(Debug, Clone, Default, Serialize, JsonSchema)]
pub struct QuantReport {
    /// Nodes whose weights or values became integers or short floats.
    pub nodes: usize,
    /// Values that became integers.
    pub activations: usize,
    /// Weights and tables that did.
    pub weights: usize,
    /// Why and how the opset was raised.
    pub opset: Option<String>,
}

/// Weights already quantized, by value, how it shares scales and how it is read, so that a shared one is stored once.
pub(super) type Done = BTreeMap<(ValueId, Sharing, Form), Stored>;

/// Writes the plan's decisions into the model that it was made for.
///
/// # Errors
/// Input, where an operator of an old opset stands in the way of raising it.
pub fn apply(model: &mut Model, plan: &QuantPlan) -> Result<QuantReport> {
    let format = plan.options.effective_format();
    let mut report = QuantReport {
        nodes: plan.quantized(),
        activations: plan.activations.len(),
        weights: weights_of(model, plan),
        opset: None,
    };
    if report.nodes == 0 {
        return Ok(report);
    }
    let mut edit = GraphEdit::new(model);
    report.opset = raise_versions(&mut edit, plan)?;
    if format == Format::Half {
        half::apply(&mut edit, plan)?;
    }
    shift_biases(&mut edit, plan);
    let before = edit.graph(edit.main()).initializers().len();
    let mut written = Written::new(table::Tables::of(&edit, plan));
    for node in &plan.nodes {
        if edit.is_live(node.id) {
            write(&mut edit, plan, node, &mut written)?;
        }
    }
    if format == Format::Qdq {
        qdq::activations(&mut edit, plan)?;
        // What passes is guarded when its weights are floats.
        if !plan.passing {
            guard::guard(&mut edit, plan.options.preset()?.quantizes_itself)?;
        }
    }
    store_once(&mut edit, before);
    written.tables.twins.store_once(&mut edit, before);
    remove_unread(&mut edit);
    edit.sort(edit.main()).map_err(|_| Error::internal("quantization made a cycle"))?;
    Ok(report)
}

/// What several nodes may read, so that it is stored once.
struct Written<'a> {
    weights: Done,
    tables: table::Tables<'a>,
    short: short_floats::Stored,
    rows: recurrent::Rows,
}

impl<'a> Written<'a> {
    fn new(tables: table::Tables<'a>) -> Self {
        Written { weights: Done::default(), tables, short: Default::default(), rows: Default::default() }
    }
}

/// Writes what was decided for one node.
fn write(edit: &mut GraphEdit, plan: &QuantPlan, node: &NodePlan, written: &mut Written<'_>) -> Result<()> {
    let format = plan.options.effective_format();
    match &node.decision {
        Decision::Table { dtype, block, .. } => written.tables.write(edit, node, (*dtype, *block)),
        Decision::Quantize { weight, input, .. } => match format {
            Format::Qdq | Format::Qoperator if input.is_none() => {
                weight_only::node(edit, plan, node, (weight, false), &mut written.weights)
            }
            Format::Qdq => qdq::node(edit, plan, node, weight, &mut written.weights),
            Format::Qoperator => qoperator::node(edit, plan, node, weight),
            Format::Integer | Format::Dynamic => integer::node(edit, plan, node, weight),
            Format::WeightOnly | Format::Half => {
                let tied = written.tables.twins.in_one_order(edit, node.id);
                weight_only::node(edit, plan, node, (weight, tied), &mut written.weights)
            }
        },
        Decision::Recurrent { weights, dynamic } => {
            recurrent::node(edit, plan, node, (weights, *dynamic), &mut written.rows)
        }
        Decision::Shorten { dtype, .. } => short_floats::node(edit, node, *dtype, &mut written.short),
        Decision::Product { .. } => match format {
            Format::Qoperator => product::requantizing(edit, node),
            Format::Integer | Format::Dynamic => product::accumulating(edit, node),
            // Its operands are values of the plan; Q/DQ comes to them at the end.
            Format::Qdq | Format::WeightOnly | Format::Half => Ok(()),
        },
        Decision::Half | Decision::Keep { .. } => Ok(()),
    }
}

/// Raises the opset and the version of the file to what the plan writes; how, where the opset was older.
fn raise_versions(edit: &mut GraphEdit, plan: &QuantPlan) -> Result<Option<String>> {
    let (needs, why) = needed_opset(edit, plan)?;
    let older = edit.onnx_opset() < needs;
    let why = format!("{why} operators of opset {needs}");
    let raised = older.then(|| opset::raise(edit, needs).map(|raised| raised.because(why).to_string())).transpose()?;
    let ir = match needs {
        NARROW_OPSET.. => NARROW_IR,
        FLOAT8_OPSET.. => FLOAT8_IR,
        _ => PER_AXIS_IR,
    };
    if edit.meta.ir_version.is_some_and(|v| v < ir) {
        edit.set_ir_version(ir);
    }
    Ok(raised)
}

/// The opset of what the plan writes, and whose it is.
fn needed_opset(model: &Model, plan: &QuantPlan) -> Result<(i64, String)> {
    let options = &plan.options;
    let format = options.effective_format();
    let form = match format {
        Format::Qdq | Format::WeightOnly | Format::Qoperator | Format::Half => PER_AXIS_OPSET,
        Format::Integer => INTEGER_OPSET,
        Format::Dynamic => DYNAMIC_OPSET,
    };
    let preset = options.preset()?;
    // What passes becomes floats before anything reads it.
    let packed = storage::is_packed(options, preset) && !plan.passing;
    let blocks = |w: &WeightPlan| w.block.is_some() && !preset.n_bits && !plan.passing;
    let half_scales = |n: &NodePlan, w: &WeightPlan| {
        let own_operator = preset.n_bits && w.block.is_some();
        let form = Form::of(plan, model.node(n.id), w, false);
        w.floats != DType::F32 && !own_operator && form.is_ok_and(|form| form == Form::Plain)
    };
    let of_weight = |n: &NodePlan| match &n.decision {
        Decision::Quantize { weight, .. } if blocks(weight) => {
            Some((weight.dtype.opset().max(NARROW_OPSET), "blocks of weights need".into()))
        }
        Decision::Quantize { weight, .. } if weight.dtype.is_narrow() && packed => {
            Some((weight.dtype.opset(), format!("weights of {} bits need", weight.dtype.bits())))
        }
        Decision::Quantize { weight, .. } if half_scales(n, weight) => {
            Some((FLOAT16_SCALE_OPSET, "scales in float16 need".into()))
        }
        Decision::Recurrent { weights, .. } if packed => {
            weights.first().map(|w| (w.dtype.opset(), format!("weights of {} bits need", w.dtype.bits())))
        }
        Decision::Shorten { dtype, .. } if dtype.bits() == 8 => Some((FLOAT8_OPSET, format!("{dtype} needs"))),
        _ => None,
    };
    let of_value =
        |a: &ActivationPlan| (a.params.dtype.opset(), format!("activations of {} bits need", a.params.dtype.bits()));
    let all = plan.nodes.iter().filter_map(of_weight).chain(plan.activations.iter().map(of_value));
    // Integers of 8 bits need what their form needs.
    let above = all.filter(|(opset, _)| *opset > PER_AXIS_OPSET).max_by_key(|(opset, _)| *opset);
    Ok(above.unwrap_or_else(|| (form, format!("the {format} form needs"))))
}

/// Adds the planned corrections to the biases, or makes them the bias where there is none.
pub(super) fn shift_biases(edit: &mut GraphEdit, plan: &QuantPlan) {
    for node in &plan.nodes {
        let Decision::Quantize { shift: Some(shift), .. } = &node.decision else { continue };
        if !edit.is_live(node.id) {
            continue;
        }
        let Some(QuantRule::Weighted { bias: Some(index), .. }) = ops::of(edit.node(node.id)).map(|op| op.quant) else {
            continue;
        };
        shift_bias(edit, node.id, index, shift);
    }
}

/// Adds `shift` to the bias, input number `index`, or makes it the bias where there is none; one of another length stays as it is.
pub(super) fn shift_bias(edit: &mut GraphEdit, id: NodeId, index: usize, shift: &[f32]) {
    let present = edit.node(id).input(index);
    let values = present.and_then(|v| edit.constant(v)).and_then(|t| t.to_f32());
    let shifted: Vec<f32> = match values {
        Some(b) if b.len() == shift.len() => b.iter().zip(shift).map(|(b, s)| b + s).collect(),
        Some(_) => return,
        None => shift.to_vec(),
    };
    let corrected = |v| format!("{}_corrected", edit.name(v));
    let hint = present.map_or_else(|| format!("{}_bias", edit.node_label(id)), corrected);
    let graph = edit.node(id).graph();
    let shifted = Tensor::from_vec([shifted.len()], shifted);
    // In the type of what it is added to.
    let beside = [present, edit.node(id).input(1)].into_iter().flatten();
    let floats = beside.filter_map(|v| edit.tensor_type(v).dtype).find(|d| d.is_float());
    let value = floats.and_then(|floats| shifted.as_floats(floats)).unwrap_or(shifted);
    let value = edit.add_initializer(graph, &hint, value);
    edit.set_input(id, index, Some(value));
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
    // Where a bias needs larger scales, what was rounded for these is void.
    let fits = |r: &&std::sync::Arc<Rounded>| bias.is_none_or(|bias| weights::fits(&r.params, bias));
    let algorithm = algorithm::find(&plan.options.algorithm)?;
    let mut quantized = match w.rounded.as_ref().filter(fits) {
        Some(rounded) => QuantizedWeight::rounded(rounded, w),
        None if w.is_grouped() => grouped::quantize(&values, tensor.shape(), w, bias, algorithm),
        None => {
            let scales = planned_scales(&values, tensor.shape(), plan, w, bias)?;
            weights::quantize(&values, tensor.shape(), w.axis, scales, w.dtype, algorithm)
        }
    };
    if let Some((axis, q)) = w.pairs.zip(quantized.values.as_slice::<i8>()) {
        let mut q: Vec<i32> = q.iter().map(|q| i32::from(*q)).collect();
        pairs::cut(&mut q, tensor.shape(), axis);
        quantized.values = w.dtype.tensor(tensor.shape(), &q);
    }
    quantized.scale = quantized.scale.as_floats(w.floats).ok_or_else(lost)?;
    let packed = storage::is_packed(&plan.options, plan.options.preset()?);
    Ok(if packed { quantized } else { storage::wide(quantized) })
}

/// The scales of a weight of 8 bits as planned, with room for the bias.
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
    if let Some(axis) = w.pairs {
        pairs::make_room(&mut scales, values, shape, axis);
    }
    scales.iter_mut().for_each(|s| *s = storable(*s, w.floats));
    Ok(scales)
}

/// The weight's initializers, quantized when first asked for.
pub(super) fn shared_weight(
    edit: &mut GraphEdit,
    plan: &QuantPlan,
    node: &NodePlan,
    (weight, w): (ValueId, &WeightPlan),
    done: &mut Done,
) -> Result<Stored> {
    let input = matches!(node.decision, Decision::Quantize { input: Some(_), .. });
    let form = Form::of(plan, edit.node(node.id), w, input)?;
    let key = (weight, w.sharing(), form);
    if let Some(known) = done.get(&key) {
        return Ok(*known);
    }
    let q = quantized_weight(edit, plan, weight, w, None)?;
    let graph = home(edit, weight, node);
    let made = Stored::put(edit, graph, w, &q, form)?;
    done.insert(key, made);
    Ok(made)
}

/// The graph that holds `weight`: its readers, in whatever subgraph, can see what is put there.
pub(super) fn home(edit: &GraphEdit, weight: ValueId, node: &NodePlan) -> crate::ir::GraphId {
    edit.home(weight).unwrap_or_else(|| edit.node(node.id).graph())
}

/// How many weights and tables the nodes of the plan read that are not left float.
fn weights_of(model: &Model, plan: &QuantPlan) -> usize {
    let read = |n: &NodePlan| {
        let rule = match n.decision {
            Decision::Keep { .. } | Decision::Half | Decision::Product { .. } => None,
            _ => ops::of(model.node(n.id)).map(|op| op.quant),
        };
        let inputs = rule.map(|r| r.weights()).unwrap_or_default();
        inputs.into_iter().filter_map(|i| model.node(n.id).input(i)).collect::<Vec<_>>()
    };
    plan.nodes.iter().flat_map(read).collect::<BTreeSet<ValueId>>().len()
}

/// Makes one of equal weights among the initializers from number `first` on: a weight that several nodes read becomes integers for each
/// of them, whose scales may differ with what they read and add.
fn store_once(edit: &mut GraphEdit, first: usize) {
    let mut seen = Seen::default();
    let added = edit.graph(edit.main()).initializers().to_vec().split_off(first);
    for v in added {
        if edit.value(v).initializer().is_some_and(|t| t.rank() >= 2) {
            seen.merge(edit, v);
        }
    }
}

/// Drops initializers and constants that only the float operators read.
fn remove_unread(edit: &mut GraphEdit) {
    for graph in edit.graphs_under(edit.main()) {
        edit.remove_unread_initializers(graph);
        for node in edit.graph(graph).nodes().to_vec() {
            let n = edit.node(node);
            let unread = n.outputs().iter().flatten().all(|v| edit.uses(*v).is_empty());
            if n.is("Constant") && unread {
                edit.remove_node(node);
            }
        }
    }
}
