//! Measured latency has the last word: what the target does not run faster in integers stays float.
//!
//! ```text
//! plan ─► for each planned node, alone:   x ─► Conv ─► Relu                                          ┐ interleaved in
//!                                         x ─► QuantizeLinear ─► ConvInteger ─► … ─► Relu            ┘ both orders
//!      ─► the model as a whole: float against what is left of the plan
//! ```
//!
//! Nodes of the same operator, attributes and shapes are timed once. A node alone pays for quantizing its input, which in the
//! model it may share with others. Afterwards the models are timed as wholes; with all that
//! gain, with all that nearly gain, and with those that gain clearly. The fastest stays, or nothing where none pays.
//! Nodes that the user named are not questioned. What is only stored as integers is timed kind by kind ([`stored_only`]).
//!
//! What is near may fall either way in two runs; `--include` pins a node, `--exclude` rules it out.

use std::collections::BTreeMap;
use std::time::Duration;

use super::chain::settled;
use super::filters::Filters;
use super::plan::{Decision, QuantPlan};
use super::stopwatch::Stopwatch;
use super::stored_only;
use super::subset::without;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId, Tensor, TensorType, Type, ValueId};
use crate::ops::{self, QuantRule};
use crate::progress::Progress;
use crate::runtime::timing::{LatencyOptions, decimals};
use crate::runtime::{Runtime, Shaped};

/// Plans that the whole model is tried with: what gains at least this much alone. A little below 1 may still pay, as the
/// quantizing of an input, which a node alone pays for, is shared in the model.
const LEAST: [f64; 3] = [0.75, 1.0, 1.25];
/// The whole model must gain this much, more than two runs of one model differ by.
const MODEL_GAIN: f64 = 1.05;
const PER_NODE: LatencyOptions = LatencyOptions { min_runs: 5, max_runs: 40, budget: Duration::from_millis(60) };
pub(super) const WHOLE: LatencyOptions =
    LatencyOptions { min_runs: 11, max_runs: 100, budget: Duration::from_millis(1500) };

/// What timing found.
#[derive(Debug, Clone, Default)]
pub struct Measured {
    /// Nodes that stay float, by name, with the reason.
    pub float: BTreeMap<String, String>,
    /// What was measured, and what could not be.
    pub notes: Vec<String>,
}

impl Measured {
    /// `plan` in which these nodes stay float.
    ///
    /// # Errors
    /// As [`without`].
    pub fn plan(&self, model: &Model, plan: &QuantPlan) -> Result<QuantPlan> {
        let reason = |(i, n): (usize, &super::NodePlan)| Some((i, self.float.get(&n.node)?.clone()));
        without(model, plan, &plan.nodes.iter().enumerate().filter_map(reason).collect())
    }
}

/// Times the nodes of `plan` on `inputs` in `runtime`, and tells those that gain nothing there.
///
/// # Errors
/// What the runtime says of the float model.
pub fn measure(
    model: &Model,
    plan: &QuantPlan,
    inputs: &[(String, Tensor)],
    runtime: &dyn Runtime,
    progress: &dyn Progress,
) -> Result<Measured> {
    let filters = Filters::new(&plan.options)?;
    let open: Vec<usize> = (0..plan.nodes.len())
        .filter(|i| {
            let n = &plan.nodes[*i];
            matches!(n.decision, Decision::Quantize { .. })
                && model.node(n.id).graph() == model.main()
                && !filters.insists(&n.node, &n.op_type)
        })
        .collect();
    let ids: Vec<NodeId> = open.iter().map(|i| plan.nodes[*i].id).collect();
    let fed = values_fed(model, &ids, inputs, runtime)?;
    let mut watch = Stopwatch::new(runtime, &plan.options);
    let mut known: BTreeMap<String, Result<f64, String>> = BTreeMap::new();
    let mut gains: Vec<(usize, f64)> = Vec::new();
    let mut found = Measured::default();
    progress.start("timing nodes", open.len() as u64);
    for i in &open {
        progress.step(1);
        let Some(x) = fed.get(&plan.nodes[*i].id) else { continue };
        let key = likeness(model, plan.nodes[*i].id, x);
        let timed =
            known.entry(key).or_insert_with(|| alone(model, plan, *i, x, &mut watch).map_err(|e| e.to_string()));
        let name = runtime.name();
        let reason = match timed {
            Ok(ratio) if *ratio >= LEAST[0] => {
                gains.push((*i, *ratio));
                continue;
            }
            Ok(ratio) => format!("its integer form runs at {} in {name}", times(*ratio)),
            Err(error) => format!("its integer form cannot be timed: {error}"),
        };
        found.float.insert(plan.nodes[*i].node.clone(), reason);
    }
    progress.finish();
    let ratios = || known.values().flatten().copied();
    if !open.is_empty() {
        found.notes.push(format!(
            "{} nodes of {} kinds timed alone in {}: integer forms run at {} to {}",
            open.len(),
            known.len(),
            runtime.name(),
            times(ratios().fold(f64::INFINITY, f64::min)),
            times(ratios().fold(0.0, f64::max)),
        ));
    }
    whole(model, plan, &mut found, &gains, (inputs, &mut watch))?;
    stored_only::measure(model, plan, &mut found, (inputs, &mut watch))?;
    found.notes.extend(watch.stop());
    Ok(found)
}

/// A ratio as it is told.
fn times(ratio: f64) -> String {
    let decimals = decimals(ratio);
    format!("{ratio:.decimals$}x")
}

/// Times the model with each of the plans that [`LEAST`] makes of `gains`, the nodes timed and their ratios; the fastest is
/// kept, and given up where it does not pay.
fn whole(
    model: &Model,
    plan: &QuantPlan,
    found: &mut Measured,
    gains: &[(usize, f64)],
    (inputs, watch): (&[(String, Tensor)], &mut Stopwatch),
) -> Result<()> {
    let name = watch.runtime.name();
    let mut candidates: Vec<(Measured, usize, Model)> = Vec::new();
    let mut before = None;
    for least in LEAST {
        let (kept, left): (Vec<_>, Vec<_>) = gains.iter().partition(|(_, gain)| *gain >= least);
        if kept.is_empty() || before.replace(kept.len()) == Some(kept.len()) {
            continue;
        }
        let mut tried = found.clone();
        let reason = |(i, gain): &(usize, f64)| {
            (plan.nodes[*i].node.clone(), format!("its integer form runs at {} in {name}", times(*gain)))
        };
        tried.float.extend(left.into_iter().map(reason));
        let tried_plan = tried.plan(model, plan)?;
        let mut quantized = model.clone();
        super::apply(&mut quantized, &tried_plan)?;
        candidates.push((tried, tried_plan.quantized(), quantized));
    }
    if candidates.is_empty() {
        return Ok(());
    }
    let models: Vec<&Model> = std::iter::once(model).chain(candidates.iter().map(|(.., m)| m)).collect();
    let ratios = watch.speedups(&models, inputs, &WHOLE)?;
    for (ratio, (_, count, _)) in ratios.iter().zip(&candidates) {
        found.notes.push(format!("the model as a whole runs at {ratio:.2}x in {name} with {count} nodes in integers"));
    }
    let tried = ratios.into_iter().zip(candidates.into_iter().map(|(tried, ..)| tried));
    let Some((ratio, fastest)) = tried.max_by(|a, b| a.0.total_cmp(&b.0)) else { return Ok(()) };
    if ratio >= MODEL_GAIN {
        found.float = fastest.float;
        return Ok(());
    }
    for (i, _) in gains {
        let reason = format!("with it the model runs at {ratio:.2}x in {name}");
        found.float.insert(plan.nodes[*i].node.clone(), reason);
    }
    Ok(())
}

/// The ratio of node `index` by itself, on `x`.
fn alone(model: &Model, plan: &QuantPlan, index: usize, x: &Tensor, watch: &mut Stopwatch) -> Result<f64> {
    let id = plan.nodes[index].id;
    let (float, fed) = fragment(model, id, x);
    let mut integer = float.clone();
    // Of the values that become integers only those around the node are there, the one it reads under another name.
    let outer = data_input(model, id).map(|(_, v)| v);
    let y = model.node(id).output(0).map(|y| settled(model, y));
    let mut activations: Vec<_> =
        plan.activations.iter().filter(|a| [outer, y].contains(&Some(a.id))).cloned().collect();
    activations.iter_mut().filter(|a| Some(a.id) == outer).for_each(|a| a.id = fed.unwrap_or(a.id));
    super::apply(&mut integer, &QuantPlan { nodes: vec![plan.nodes[index].clone()], activations, ..plan.clone() })?;
    let input = float.user_inputs().first().map(|v| float.name(*v).to_string()).unwrap_or_default();
    Ok(watch.speedups(&[&float, &integer], &[(input, x.clone())], &PER_NODE)?[0])
}

/// What each node is fed when the model runs on `inputs`.
fn values_fed(
    model: &Model,
    ids: &[NodeId],
    inputs: &[(String, Tensor)],
    runtime: &dyn Runtime,
) -> Result<BTreeMap<NodeId, Tensor>> {
    let name = |id: &NodeId| Some(model.name(data_input(model, *id)?.1).to_string());
    let mut taps: Vec<String> = ids.iter().filter_map(name).collect();
    taps.sort_unstable();
    taps.dedup();
    if taps.is_empty() {
        return Ok(BTreeMap::new());
    }
    let values: BTreeMap<String, Tensor> = Shaped::new(runtime, model, &taps).run(inputs)?.into_iter().collect();
    Ok(ids.iter().filter_map(|id| Some((*id, values.get(&name(id)?)?.clone()))).collect())
}

/// Index and value of the activation that a contraction reads.
fn data_input(model: &Model, id: NodeId) -> Option<(usize, ValueId)> {
    let QuantRule::Weighted { input, .. } = ops::of(model.node(id))?.quant else { return None };
    Some((input, model.node(id).input(input)?))
}

/// Equal for nodes that take equally long.
fn likeness(model: &Model, id: NodeId, x: &Tensor) -> String {
    let node = model.node(id);
    let shapes: Vec<_> =
        node.inputs().iter().flatten().map(|v| model.constant(*v).map(|t| t.shape().to_vec())).collect();
    let y = node.output(0).map(|y| settled(model, y) != y);
    format!("{} {:?} {:?} {shapes:?} {y:?}", node.op_type, node.attrs(), x.shape())
}

/// The node alone, with the Relu or Clip that belongs to it, and the value that it reads; ids of others stay those of `model`.
fn fragment(model: &Model, id: NodeId, x: &Tensor) -> (Model, Option<ValueId>) {
    let mut part = model.clone();
    let mut edit = GraphEdit::new(&mut part);
    let main = edit.main();
    let mut fed = None;
    if let Some((index, value)) = data_input(&edit, id) {
        let name = format!("{}_alone", edit.name(value));
        let alone = edit.new_value(name, Some(Type::tensor(&TensorType::new(x.dtype(), x.shape().iter().copied()))));
        edit.add_graph_input(main, alone);
        edit.set_input(id, index, Some(alone));
        fed = Some(alone);
    }
    let made: Vec<ValueId> = edit.node(id).output(0).map(|y| settled(&edit, y)).into_iter().collect();
    edit.keep_outputs(main, &made);
    edit.drop_unread_inputs(main);
    (part, fed)
}
