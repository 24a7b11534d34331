//! The QDQ form: QuantizeLinear and DequantizeLinear around float operators, for runtimes that fuse them.
//!
//! ```text
//! x ─► Conv(W, b) ─► Relu ─► y        x ─► Q ─► DQ ─► Conv(DQ(W_q), DQ(b_q)) ─► Relu ─► Q ─► DQ ─► y
//! ```

use std::collections::BTreeMap;

use super::apply::{Done, quantized_weight, shared_weight};
use super::plan::{Decision, NodePlan, QuantPlan, WeightPlan};
use super::storage::{Form, Stored};
use super::weights;
use super::write::{self, dequantize};
use crate::error::Result;
use crate::ir::{GraphEdit, GraphId, Origin, Place, Use};
use crate::ops::{self, QuantRule};

/// Weight and bias of one node.
pub(super) fn node(
    edit: &mut GraphEdit,
    plan: &QuantPlan,
    node: &NodePlan,
    w: &WeightPlan,
    done: &mut Done,
) -> Result<()> {
    let id = node.id;
    let lost = || node.lost();
    let Some(QuantRule::Weighted { weight, bias, .. }) = ops::of(edit.node(id)).map(|op| op.quant) else {
        return Err(lost());
    };
    let graph = edit.node(id).graph();
    let weight_value = edit.node(id).input(weight).ok_or_else(lost)?;
    let bias_index = bias.unwrap_or(usize::MAX);
    let bias_value = edit.node(id).input(bias_index);
    let Decision::Quantize { input: Some(x), .. } = &node.decision else { return Err(lost()) };
    let Some(bias_value) = bias_value else {
        let stored = shared_weight(edit, plan, node, (weight_value, w), done)?;
        let dq = stored.floats(edit, Place::Before(id), w);
        edit.set_input(id, weight, Some(dq));
        return Ok(());
    };
    // The scale of the weight depends on the bias, so a weight with one is not shared.
    let b = edit.constant(bias_value).and_then(|t| t.to_f32()).ok_or_else(lost)?.into_owned();
    let qw = quantized_weight(edit, plan, weight_value, w, Some((&b, x.scale)))?;
    let form = Form::of(plan, edit.node(id), w, true)?;
    let dq = Stored::put(edit, graph, w, &qw, form)?.floats(edit, Place::Before(id), w);
    edit.set_input(id, weight, Some(dq));

    let (ints, unit) = weights::bias(&b, x.scale, &qw.scales);
    let name = edit.name(bias_value).to_string();
    let axis = (unit.rank() == 1).then_some(0);
    let ints = edit.add_initializer(graph, &format!("{name}_quantized"), ints);
    let unit = edit.add_initializer(graph, &format!("{name}_scale"), unit);
    let dq = dequantize(edit, Place::Before(id), (ints, unit, None), &name, axis, None);
    edit.set_input(id, bias_index, Some(dq));
    Ok(())
}

/// Q/DQ at every value of the plan.
pub(super) fn activations(edit: &mut GraphEdit, plan: &QuantPlan) -> Result<()> {
    let quantized: Vec<_> = plan.nodes.iter().filter(|n| n.decision.computes()).map(|n| n.id).collect();
    for a in &plan.activations {
        let v = a.id;
        let home = edit.home(v);
        let read = |u: &Use| match u {
            Use::Node { node, .. } => a.all_readers || quantized.contains(node),
            Use::Output { .. } => a.all_readers && matches!(edit.value(v).origin(), Origin::Node { .. }),
        };
        let graph_of = |u: &Use| match u {
            Use::Node { node, .. } => edit.node(*node).graph(),
            Use::Output { graph, .. } => *graph,
        };
        // Runtimes fuse what stands in one graph: each that reads the value has its own pair.
        let mut readers: BTreeMap<GraphId, Vec<Use>> = BTreeMap::new();
        for u in edit.uses(v).iter().filter(|u| read(u)) {
            readers.entry(graph_of(u)).or_default().push(*u);
        }
        for (graph, readers) in readers {
            let place = if Some(graph) == home { write::behind(edit, v) } else { Place::Start(graph) };
            let parameters = write::parameters(edit, graph, &a.value, &a.params);
            let q = write::quantize(edit, place, v, &a.params, parameters);
            let place = write::behind(edit, q);
            let dq = dequantize(edit, place, (q, parameters.0, Some(parameters.1)), &a.value, None, None);
            for u in readers {
                match u {
                    Use::Node { node, input } => edit.set_input(node, input, Some(dq)),
                    Use::Output { graph, index } => output_from(edit, (graph, index), v, dq),
                }
            }
        }
    }
    Ok(())
}

/// Makes `dq` the graph output that `v` was, under its name.
fn output_from(
    edit: &mut GraphEdit,
    (graph, index): (crate::ir::GraphId, usize),
    v: crate::ir::ValueId,
    dq: crate::ir::ValueId,
) {
    edit.set_graph_output(graph, index, dq);
    edit.swap_identity(v, dq);
}
