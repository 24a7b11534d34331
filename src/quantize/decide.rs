//! Decides what is quantized; changes nothing.
//!
//! Activations become integers at the input of every quantized contraction, and at its output where the
//! target's integer operator has only that. A Relu or Clip behind a contraction belongs to it: the range
//! is that of its output. An operator that rearranges values keeps the scale of what it rearranges.

mod shared;
mod tables;

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use super::chain::{Activations, made_quantized, rearranged_from, settled};
use super::filters::Filters;
use super::operands::{Contraction, contraction, operands};
use super::options::{Format, Granularity, QuantOptions};
use super::params::{QParams, QType};
use super::plan::{ActivationPlan, Decision, NodePlan, QuantPlan, WeightPlan};
use super::{forms, half, n_bits, named, pairs, recurrent, short_floats, tied, weights};
use crate::analysis::makes_angles;
use crate::calibrate::{Range, Ranges};
use crate::error::Result;
use crate::ir::{DType, Model, Node, NodeId, Tensor, Use, ValueId};
use crate::ops::{self, QuantRule};
use crate::target::{Depthwise, OpPlacement, Output, Preset};

/// Where Q/DQ goes around an operator that the user wants and the preset does not know.
const NAMED_BY_USER: OpPlacement = OpPlacement { op_type: "", output: Output::Always, min_depth: 0 };

/// Of a weight that is float16 already.
const HALVES: &str =
    "its weight is float16: integers are computed with between float32 values, --format weight-only stores them";

/// Names of the values whose ranges [`plan`] asks for.
pub fn values_to_observe(model: &Model, options: &QuantOptions) -> Vec<String> {
    if !options.effective_format().is_static() {
        return Vec::new();
    }
    if options.effective_format() == Format::Half {
        return half::values_to_observe(model);
    }
    let named = !options.include.is_empty() || !options.op_types.is_empty();
    let products = named || options.preset().is_ok_and(|p| p.activation_products);
    // Other forms are not written inside subgraphs; there two values may have one name, of which nothing can be observed by it.
    let inside = options.effective_format() == Format::Qdq;
    let inner = model.all_nodes().into_iter().filter(|id| model.node(*id).graph() != model.main());
    let inner: Vec<NodeId> = inner.filter(|_| inside).collect();
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for id in model.all_nodes() {
        model.node(id).outputs().iter().flatten().for_each(|v| *counts.entry(model.name(*v)).or_default() += 1);
    }
    let mut names = Vec::new();
    for id in model.graph(model.main()).nodes().iter().chain(&inner) {
        let operands = match contraction(model, *id) {
            Ok(c) if c.stored_alone.is_some() => vec![],
            Ok(c) => vec![c.x],
            Err(_) if model.node(*id).graph() != model.main() => vec![],
            Err(_) => operands(model, *id).filter(|_| products).map_or(vec![], |(a, b)| vec![a, b]),
        };
        let outputs = model.node(*id).output(0).filter(|_| !operands.is_empty()).map(|y| settled(model, y));
        for v in operands.into_iter().chain(outputs) {
            let name = model.name(v).to_string();
            if !names.contains(&name) && counts.get(name.as_str()).is_none_or(|n| *n == 1) {
                names.push(name);
            }
        }
    }
    names
}

/// Decides for every node. `ranges` are needed for the static forms.
///
/// # Errors
/// Usage, for names in `options` that do not exist.
pub fn plan(model: &Model, ranges: Option<&Ranges>, options: &QuantOptions) -> Result<QuantPlan> {
    let preset = options.preset()?;
    super::algorithm::find(&options.algorithm)?;
    named::known(model, options)?;
    forms::check(options, preset)?;
    let mut options = options.clone();
    let notes = forms::stored_otherwise(&mut options, preset);
    let options = &options;
    let mut plan =
        QuantPlan { options: options.clone(), nodes: vec![], activations: vec![], notes, judged: None, passing: false };
    let quantized = |n: &NodeId| {
        // Integers of weights alone are cast where that is what a runtime folds.
        let stored = || {
            model.node(*n).is("Cast")
                && model.constant_input(*n, 0).is_some_and(|t| t.dtype().is_quantized())
                && model.node(*n).output(0).is_some_and(|v| becomes_weight(model, v))
        };
        ops::of(model.node(*n)).is_some_and(|op| op.holds_integers) || stored()
    };
    if model.all_nodes().iter().any(quantized) {
        plan.notes.push("the model is quantized already: left as it is".into());
        return Ok(plan);
    }
    let filters = Filters::new(options)?;
    plan.notes.extend(named::unmatched(model, &filters, options));
    let decider = Decider { model, ranges, options, preset, filters };
    let mut activations = BTreeMap::new();
    for id in model.all_nodes() {
        let Some(decision) = decider.node(id, &mut activations) else { continue };
        let node = model.node_label(id).to_string();
        plan.nodes.push(NodePlan { node, op_type: model.node(id).op_type.clone(), decision, id });
    }
    if options.effective_format() == Format::WeightOnly {
        shared::leave(model, &mut plan.nodes);
    }
    tied::leave(model, &mut plan.nodes);
    // In graph order, so that a scale is there before what rearranges its values.
    plan.activations = activations.into_values().collect();
    plan.notes.extend(pairs::note(&plan, preset));
    plan.notes.extend(without_blocks(&plan, preset));
    Ok(plan)
}

/// Says which operators have their weights in no blocks where these were asked for.
fn without_blocks(plan: &QuantPlan, preset: &Preset) -> Option<String> {
    let Granularity::Block(size) = plan.options.granularity else { return None };
    let alone = |n: &&NodePlan| matches!(&n.decision, Decision::Quantize { weight, .. } if weight.block.is_none());
    let nodes: Vec<&NodePlan> = plan.nodes.iter().filter(alone).collect();
    let mut types: Vec<&str> = nodes.iter().map(|n| n.op_type.as_str()).collect();
    types.sort_unstable();
    types.dedup();
    let (count, types, name) = (nodes.len(), types.join(", "), preset.name);
    (count > 0).then(|| {
        format!(
            "{count} weights ({types}) have a scale per channel: {name} reads no blocks there, or they are shorter than {size}"
        )
    })
}

/// Whether `v` becomes a weight or a table by nothing but constant factors and terms.
fn becomes_weight(model: &Model, v: ValueId) -> bool {
    model.uses(v).iter().any(|u| {
        let Use::Node { node, input } = *u else { return false };
        let reader = model.node(node);
        match ops::of(reader).map(|op| op.quant) {
            Some(rule @ (QuantRule::Weighted { .. } | QuantRule::Table { .. } | QuantRule::Recurrent { .. })) => {
                rule.weights().contains(&input)
            }
            _ => {
                let constant = |x: &ValueId| *x == v || model.constant(*x).is_some();
                reader.is_one_of(&["Sub", "Mul"])
                    && reader.inputs().iter().flatten().all(constant)
                    && reader.output(0).is_some_and(|y| becomes_weight(model, y))
            }
        }
    })
}

struct Decider<'a> {
    model: &'a Model,
    ranges: Option<&'a Ranges>,
    options: &'a QuantOptions,
    preset: &'a Preset,
    filters: Filters<'a>,
}

impl Decider<'_> {
    /// `None` for a node that no form of quantization concerns.
    fn node(&self, id: NodeId, activations: &mut Activations) -> Option<Decision> {
        let node = self.model.node(id);
        let keep = |reason: String| Some(Decision::Keep { reason });
        let half = self.options.effective_format() == Format::Half;
        if half {
            let decided = half::decide(self.model, self.ranges, id)?;
            let refused = self.filters.refuses(self.model.node_label(id), &node.op_type);
            let decided = refused.map_or(decided, Err);
            return decided.or_else(|reason| Ok::<_, ()>(Decision::Keep { reason })).ok();
        }
        let rule = ops::of(node)?.quant;
        if rule.weights().is_empty() {
            let QuantRule::Contracts(why) = rule else { return None };
            let weight = node.inputs().iter().flatten().any(|v| self.model.constant(*v).is_some());
            return weight.then(|| Decision::Keep { reason: why.into() });
        }
        if let Some(reason) = self.filters.refuses(self.model.node_label(id), &node.op_type) {
            return keep(reason);
        }
        let insists = self.filters.insists(self.model.node_label(id), &node.op_type);
        if !insists && makes_angles(self.model, id) {
            return keep("its results are angles (Sin, Cos), which a step of few bits turns too far".into());
        }
        let decided = match rule {
            _ if short_floats::wanted(self.options.weights).is_some() => self.shortened(id)?,
            QuantRule::Table { table } => self.table(id, table, insists)?,
            QuantRule::Recurrent { .. } => recurrent::decide(self.model, id, (self.options, self.preset), insists),
            _ => self.weighted(id, activations),
        };
        decided.or_else(|reason| Ok::<_, ()>(Decision::Keep { reason })).ok()
    }

    fn weighted(&self, id: NodeId, activations: &mut Activations) -> Result<Decision, String> {
        let node = self.model.node(id);
        let c = match contraction(self.model, id) {
            Err(reason) => return self.product(id, activations, reason),
            Ok(c) if !is_finite(c.tensor) => return Err("its weight holds NaN or infinity".into()),
            Ok(c) => c,
        };
        let inside = node.graph() != self.model.main();
        let format = self.options.effective_format();
        if let Some(why) = c.stored_alone.as_ref().filter(|_| format != Format::WeightOnly) {
            return Err(why.clone());
        }
        match format {
            Format::WeightOnly => self.stored(&c, node),
            _ if c.tensor.dtype() != DType::F32 => Err(HALVES.into()),
            // Where no range was observed, or integers are not computed with, size is gained alone.
            Format::Qdq if inside => self.computed(id, &c, activations).or_else(|_| self.stored(&c, node)),
            Format::Qoperator if inside => self.stored(&c, node),
            _ => self.computed(id, &c, activations),
        }
    }

    /// Weights alone.
    fn stored(&self, c: &Contraction, node: &Node) -> Result<Decision, String> {
        let bytes = c.tensor.byte_len() as u64;
        if bytes < self.options.min_bytes {
            return Err(format!("a weight of {bytes} bytes, --min-bytes is {}", self.options.min_bytes));
        }
        Ok(self.quantize((c, node), None, None))
    }

    /// Weights and what they are multiplied with.
    fn computed(&self, id: NodeId, c: &Contraction, activations: &mut Activations) -> Result<Decision, String> {
        let node = self.model.node(id);
        let format = self.options.effective_format();
        let insists = self.filters.insists(self.model.node_label(id), &node.op_type);
        let integer = match ops::of(node).map(|op| op.quant) {
            Some(QuantRule::Weighted { integer, .. }) => integer,
            _ => None,
        };
        if format != Format::Qdq && integer.is_none() {
            return Err(format!("the standard has no integer {}", node.op_type));
        }
        let placement = match self.preset.contraction(&node.op_type) {
            Some(placement) => placement,
            // Q/DQ can be put around what another runtime than the target's may have in integers.
            None if insists && format == Format::Qdq => &NAMED_BY_USER,
            None => return Err(format!("{} has no integer {}", self.preset.name, node.op_type)),
        };
        let channels = c.tensor.shape()[c.axis].max(1);
        let depth = (c.tensor.len() / channels) as u64;
        let depthwise = node.int_or("group", 1) > 1 && c.tensor.rank() > 2 && c.tensor.shape()[1] == 1;
        if !insists {
            if depth < placement.min_depth && !depthwise {
                let name = self.preset.name;
                return Err(format!("sums of {depth} terms; {name} gains from {} on", placement.min_depth));
            }
            if node.int_or("group", 1) > 1 && self.preset.depthwise == Depthwise::Float {
                return Err(format!("a grouped convolution is faster in float in {}", self.preset.name));
            }
            let chained = made_quantized(self.model, self.preset, c.x, activations);
            if depthwise && self.preset.depthwise == Depthwise::InQuantizedChain && !chained {
                return Err("a depthwise convolution between float operators".into());
            }
        }
        if format == Format::Dynamic {
            return Ok(self.quantize((c, node), None, None));
        }
        if node.graph() != self.model.main() && format != Format::Qdq {
            return Err(format!("inside a subgraph, where the {format} form is not written"));
        }
        let y = node.output(0).ok_or("has no output")?;
        let y = settled(self.model, y);
        let needs_output = placement.output == Output::Always && format == Format::Qdq || format == Format::Qoperator;
        let x_params = self.params(c.x, activations)?;
        let y_params = if needs_output { Some(self.params(y, activations)?) } else { None };
        // An arithmetic operator of integers gives integers to all; anything else stays float for its float readers.
        let all = made_quantized(self.model, self.preset, c.x, activations);
        self.record(c.x, x_params, all, activations);
        if let Some(params) = y_params {
            self.record(y, params, true, activations);
        }
        // A product of matrices is quantized before the bias is added to it.
        let before_bias = format == Format::Qoperator && integer.is_some_and(|i| i.matrices);
        let output = match (y_params, c.bias) {
            (Some(p), Some(bias)) if before_bias => Some(self.without_bias(p, bias)?),
            (p, _) => p,
        };
        Ok(self.quantize((c, node), Some(x_params), output))
    }

    /// A product of two activations; `reason` is why it is nothing else. Integers gain too little there to be the default.
    fn product(&self, id: NodeId, activations: &mut Activations, reason: String) -> Result<Decision, String> {
        let node = self.model.node(id);
        let Some((a, b)) = operands(self.model, id) else { return Err(reason) };
        let wanted = self.preset.activation_products || self.filters.insists(self.model.node_label(id), &node.op_type);
        let format = self.options.effective_format();
        if !wanted || format == Format::WeightOnly {
            return Err(reason);
        }
        if format == Format::Dynamic {
            return Ok(Decision::Product { a: None, b: None, output: None });
        }
        if node.graph() != self.model.main() {
            return Err("inside a subgraph, whose values are not calibrated".into());
        }
        let (a_params, b_params) = (self.params(a, activations)?, self.params(b, activations)?);
        let y = node.output(0).ok_or("has no output")?;
        let output = (format == Format::Qoperator).then(|| self.params(y, activations)).transpose()?;
        for (v, params) in [(a, a_params), (b, b_params)] {
            let all = made_quantized(self.model, self.preset, v, activations);
            self.record(v, params, all, activations);
        }
        Ok(Decision::Product { a: Some(a_params), b: Some(b_params), output })
    }

    /// Parameters that hold y − b wherever those given hold y.
    fn without_bias(&self, p: QParams, bias: &Tensor) -> Result<QParams, String> {
        let b = bias.to_f32().unwrap_or_default();
        let (low, high) = b.iter().fold((f32::INFINITY, f32::NEG_INFINITY), |(l, h), b| (l.min(*b), h.max(*b)));
        let range = p.range();
        self.options.activation_params(Range::new(range.min - high, range.max - low))
    }

    fn quantize(&self, (c, node): (&Contraction, &Node), input: Option<QParams>, output: Option<QParams>) -> Decision {
        let dtype = self.options.weight_type();
        let floats = self.options.effective_format() == Format::WeightOnly
            || input.is_none() && self.options.effective_format().is_static();
        // Integer products take one scale per column of a matrix; a stack of matrices has others in each.
        let stacked = c.is_product && c.tensor.rank() > 2 && !floats;
        let block = match self.options.granularity {
            Granularity::Block(size) if floats && c.summed.1 >= size && self.reads_blocks(c, node) => Some(size),
            _ => None,
        };
        let axis = match (block, self.options.granularity) {
            (Some(_), _) => Some(c.summed.0),
            (None, Granularity::Tensor) => None,
            (None, _) => (!stacked).then_some(c.axis),
        };
        let mut weight = WeightPlan {
            name: self.model.name(c.weight).to_string(),
            dtype,
            axis,
            block,
            channels: 1,
            zero_points: floats && dtype.is_asymmetric(),
            enlarged: 0,
            pairs: self.pairs_of(c).filter(|_| !floats && !stacked),
            floats: c.tensor.dtype(),
            rounded: None,
        };
        weight.channels = weight.sharing().groups(c.tensor.shape()).count();
        // Elsewhere it stays float, and asks nothing of the scales.
        let integer_bias = match self.options.effective_format() {
            Format::Qdq => true,
            Format::Qoperator => !c.is_product,
            _ => false,
        };
        let bias = input.zip(c.bias.filter(|_| integer_bias)).and_then(|(p, b)| Some((b.to_f32()?, p.scale)));
        if let Some((b, scale)) = bias.as_ref().filter(|_| !weight.is_grouped()) {
            let values = c.tensor.to_f32().unwrap_or_default();
            weight.enlarged = weights::scales(&values, c.tensor.shape(), axis, Some((b, *scale))).1;
        }
        Decision::Quantize { weight, input, output, bias: bias.is_some(), shift: None }
    }

    /// The channel axis, where the target's kernels may add products of neighbouring weights in 16 bits.
    fn pairs_of(&self, c: &Contraction) -> Option<usize> {
        let bytes = self.options.weight_type() == QType::S8 && self.options.activation_type().bits() == 8;
        let depthwise = c.groups > 1 && c.groups == c.tensor.shape()[0];
        (bytes && c.in_integers && !depthwise && pairs::are_kept(self.options.reduce_range, self.preset))
            .then_some(c.axis)
    }

    /// Whether the target takes a weight in blocks into this operator: by DequantizeLinear, or as a plain product.
    fn reads_blocks(&self, c: &Contraction, node: &Node) -> bool {
        n_bits::takes(node, c.tensor.rank(), self.options.weight_type(), self.preset)
            || self.preset.takes_dequantize.contains(&node.op_type.as_str())
    }

    fn params(&self, v: ValueId, activations: &Activations) -> Result<QParams, String> {
        let root = rearranged_from(self.model, v);
        if let Some(known) = activations.get(&v).or_else(|| activations.get(&root)) {
            return Ok(known.params);
        }
        let name = self.model.name(v);
        let range =
            self.ranges.and_then(|r| r.get(name)).ok_or_else(|| format!("no range was observed of \"{name}\""))?;
        self.options.activation_params(range).map_err(|why| format!("\"{name}\": {why}"))
    }

    fn record(&self, v: ValueId, params: QParams, all_readers: bool, activations: &mut Activations) {
        let range = params.range();
        let entry = activations.entry(v).or_insert_with(|| ActivationPlan {
            value: self.model.name(v).to_string(),
            params,
            min: range.min,
            max: range.max,
            all_readers: false,
            id: v,
        });
        entry.all_readers |= all_readers;
    }
}

fn is_finite(tensor: &Tensor) -> bool {
    let finite = |values: &[f32]| values.iter().all(|v| v.is_finite());
    tensor.to_f32().is_none_or(|values| values.par_chunks(1 << 16).all(finite))
}
