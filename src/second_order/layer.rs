//! A contraction whose weights can be solved for, with what makes up for them: a bias, and the other operands of residual sums.
//!
//! ```text
//! x ─► W·x ─► + b ─►(+)─► …        Conv, Gemm         the bias is an input, or becomes one
//!            s ──────┘             MatMul ─► Add b    the constant vector that is added next is the bias
//! ```
//!
//! A weight that several nodes share, as the head of a detector at every scale, is one layer: its rows are those of all its places, and
//! what its biases change by is the same.
//!
//! Refuses a layer inside a subgraph, a weight that is no float32 or read otherwise, too, a product that is scaled, and one of more than
//! `DEEPEST` weights an output.

use super::{Contraction, Order};
use crate::ir::{DType, GraphEdit, Model, NodeId, Tensor, Use, ValueId};
use crate::ops::{self, QuantRule};

/// Weights of an output whose matrix of second moments still fits.
const DEEPEST: usize = 4608;

/// A contraction that can be solved for.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The node that contracts; of several that share the weight, the first in the graph.
    pub node: NodeId,
    /// Where its numbers lie.
    pub contraction: Contraction,
    /// What is added to its outputs, where something is, or can be.
    pub bias: Option<Bias>,
    /// The other nodes that share the weight, in the order of the graph.
    pub others: Vec<Place>,
}

/// Another node that contracts with the weight of a layer.
#[derive(Debug, Clone)]
pub struct Place {
    /// The node.
    pub node: NodeId,
    /// Where its numbers lie.
    pub contraction: Contraction,
    bias: Option<Bias>,
}

/// Where a constant is added to each output channel.
#[derive(Debug, Clone)]
pub struct Bias {
    /// The node that adds it: the layer itself, or a sum behind it.
    pub node: NodeId,
    /// Which of its inputs.
    pub input: usize,
    /// As it is; zeros where there is none yet.
    pub values: Vec<f32>,
}

/// What the constants of a layer become.
#[derive(Debug, Clone)]
pub struct Solved {
    weight: ValueId,
    weights: Tensor,
    biases: Vec<Bias>,
}

impl Solved {
    /// Puts them in their places.
    pub fn put(&self, edit: &mut GraphEdit) {
        edit.set_floats(self.weight, self.weights.clone());
        Bias::put_all(&self.biases, edit);
    }
}

impl Layer {
    /// `None` where the node is no contraction with a constant weight, or one before it in the graph stands for all that share the weight; a
    /// reason where it cannot be solved for.
    pub fn of(model: &Model, node: NodeId) -> Option<Result<Layer, String>> {
        let contraction = match Contraction::of(model, node)? {
            Ok(contraction) => contraction,
            Err(why) => return Some(Err(why)),
        };
        let weight = model.constant(contraction.weight)?;
        let refused = refusal(model, node, &contraction)
            .or_else(|| (weight.dtype() != DType::F32).then(|| format!("its weight is {}", weight.dtype())));
        if let Some(why) = refused {
            return Some(Err(why));
        }
        let others = match others(model, node, &contraction)? {
            Ok(others) => others,
            Err(why) => return Some(Err(why)),
        };
        let bias = Bias::of(model, node, &contraction);
        let alike = others.iter().all(|o| o.bias.is_some() == bias.is_some());
        Some(match alike {
            true => Ok(Layer { node, contraction, bias, others }),
            false => Err("to some nodes that share its weight nothing constant is added".into()),
        })
    }

    /// Every contraction with the weight.
    pub fn contractions(&self) -> impl Iterator<Item = &Contraction> {
        std::iter::once(&self.contraction).chain(self.others.iter().map(|o| &o.contraction))
    }

    /// Every node that contracts with the weight.
    pub fn nodes(&self) -> impl Iterator<Item = NodeId> {
        std::iter::once(self.node).chain(self.others.iter().map(|o| o.node))
    }

    /// Whether `other` reads the same rows of the same inputs.
    pub fn reads_as(&self, other: &Layer) -> bool {
        let mut pairs = self.contractions().zip(other.contractions());
        self.others.len() == other.others.len() && pairs.all(|(a, b)| a.reads_as(b))
    }

    /// Whether a walk in this order comes to all nodes that share the weight at once: none of them reads what another makes.
    pub fn is_together(&self, order: &Order) -> bool {
        self.others.iter().all(|o| order.is_there(o.contraction.input, self.node))
    }

    /// Numbers an output, the bias last.
    pub fn width(&self) -> usize {
        self.contraction.depth + usize::from(self.bias.is_some())
    }

    /// [`Self::width`] numbers for each output channel.
    pub fn numbers(&self, model: &Model) -> Option<Vec<f32>> {
        let c = &self.contraction;
        let stored = model.constant(c.weight)?.to_f32()?;
        let mut found = Vec::with_capacity(c.channels() * self.width());
        for o in 0..c.channels() {
            found.extend((0..c.depth).map(|k| stored[c.element(o, k)]));
            found.extend(self.bias.as_ref().map(|b| b.values[o]));
        }
        Some(found)
    }

    /// What its constants become by numbers in the form of [`Self::numbers`]; `None` where `model` has lost its weight.
    pub fn solved(&self, model: &Model, numbers: &[f32]) -> Option<Solved> {
        let (c, width) = (&self.contraction, self.width());
        let old = model.constant(c.weight)?;
        let mut stored = vec![0f32; old.len()];
        for (o, row) in numbers.chunks(width).enumerate() {
            row[..c.depth].iter().enumerate().for_each(|(k, w)| stored[c.element(o, k)] = *w);
        }
        let mut weights = Tensor::from_vec(old.shape(), stored);
        weights.storage = old.storage.clone();
        let before = self.bias.iter().flat_map(|b| &b.values).zip(numbers.chunks(width));
        let biases = self.moved(before.map(|(old, row)| row[c.depth] - old));
        Some(Solved { weight: c.weight, weights, biases })
    }

    /// Its biases, if it has any, with what is to be added to each output.
    pub fn moved(&self, shifts: impl Iterator<Item = f32> + Clone) -> Vec<Bias> {
        let biases = self.bias.iter().chain(self.others.iter().filter_map(|o| o.bias.as_ref()));
        biases.map(|bias| bias.moved(shifts.clone())).collect()
    }

    /// For each node that shares the weight what is added to its output, one sum after the other, and is there before the layer runs.
    pub fn beside(&self, model: &Model, order: &Order) -> Vec<Vec<ValueId>> {
        let biases = std::iter::once(&self.bias).chain(self.others.iter().map(|o| &o.bias));
        let sums = self.nodes().zip(biases).map(|(node, bias)| bias.as_ref().map_or(node, |b| b.node));
        sums.map(|sum| added(model, sum, (order, self.node))).collect()
    }
}

/// What is added to the output of a node, and is there before another runs.
fn added(model: &Model, node: NodeId, (order, before): (&Order, NodeId)) -> Vec<ValueId> {
    let mut found = Vec::new();
    let mut at = model.node(node).output(0);
    while let Some((sum, other)) = at.and_then(|v| sum_of(model, v)) {
        let node = model.node(sum);
        let Some(value) = node.input(other) else { break };
        if model.constant(value).is_none() {
            if !order.is_there(value, before) || !alike(model, value, at) {
                break;
            }
            found.push(value);
        }
        at = node.output(0);
    }
    found
}

/// Why the weight of a node cannot be solved for, whatever others are.
fn refusal(model: &Model, node: NodeId, contraction: &Contraction) -> Option<String> {
    let n = model.node(node);
    if n.graph() != model.main() {
        Some("it is inside a subgraph".into())
    } else if contraction.depth > DEEPEST {
        Some(format!("{} weights an output are more than {DEEPEST}", contraction.depth))
    } else if [n.float_or("alpha", 1.0), n.float_or("beta", 1.0)] != [1.0, 1.0] {
        Some("its product is scaled".into())
    } else {
        None
    }
}

/// The other nodes that contract with the weight of `node`; `None` where one of them comes before it.
fn others(model: &Model, node: NodeId, contraction: &Contraction) -> Option<Result<Vec<Place>, String>> {
    let uses = model.uses(contraction.weight);
    if uses.len() == 1 {
        return Some(Ok(Vec::new()));
    }
    let contracts = |u: &Use| {
        let Use::Node { node, .. } = u else { return None };
        let other = Contraction::of(model, *node)?.ok().filter(|c| c.shares_weight(contraction))?;
        refusal(model, *node, &other).is_none().then_some((*node, other))
    };
    let Some(mut found) = uses.iter().map(contracts).collect::<Option<Vec<_>>>() else {
        return Some(Err("its weight is read in another way, too".into()));
    };
    let nodes = model.graph(model.main()).nodes();
    found.sort_by_cached_key(|(node, _)| nodes.iter().position(|n| n == node));
    if found.first().is_none_or(|(first, _)| *first != node) {
        return None;
    }
    let place = |(node, contraction): (NodeId, Contraction)| {
        let bias = Bias::of(model, node, &contraction);
        Place { node, contraction, bias }
    };
    Some(Ok(found.into_iter().skip(1).map(place).collect()))
}

/// Whether both have the same shape, as far as it is known.
fn alike(model: &Model, value: ValueId, other: Option<ValueId>) -> bool {
    let shape = |v| model.tensor_type(v).shape;
    shape(value).zip(other.and_then(shape)).is_none_or(|(a, b)| a == b)
}

impl Bias {
    fn of(model: &Model, id: NodeId, contraction: &Contraction) -> Option<Bias> {
        let node = model.node(id);
        let channels = contraction.channels();
        let QuantRule::Weighted { bias, .. } = ops::of(node)?.quant else { return None };
        let Some(bias) = bias else {
            // A product without room for a bias, which a sum with a constant follows.
            let (sum, other) = sum_of(model, node.output(0)?)?;
            let constant = model.constant_input(sum, other)?;
            let fits = constant.dtype() == DType::F32 && constant.shape() == [channels];
            let values = fits.then(|| constant.to_f32())??.into_owned();
            return Some(Bias { node: sum, input: other, values });
        };
        let values = match node.input(bias) {
            None => vec![0.0; channels],
            Some(v) => {
                let constant = model.constant(v).filter(|t| t.dtype() == DType::F32)?;
                match constant.to_f32()?.as_ref() {
                    [one] => vec![*one; channels],
                    // Along the outputs: a column of as many numbers has one for each row.
                    all if all.len() == channels && constant.shape().last() == Some(&channels) => all.to_vec(),
                    _ => return None,
                }
            }
        };
        Some(Bias { node: id, input: bias, values })
    }

    /// With what is to be added to each output.
    fn moved(&self, shifts: impl Iterator<Item = f32>) -> Bias {
        Bias { values: self.values.iter().zip(shifts).map(|(b, shift)| b + shift).collect(), ..self.clone() }
    }

    /// Stores the values of all: where others read the constant that is there, or there is none, as constants of their own, equal ones once.
    pub fn put_all(biases: &[Bias], edit: &mut GraphEdit) {
        let own = |u: &Use| {
            let place = |node, input| biases.iter().any(|b| (b.node, b.input) == (node, input));
            matches!(u, Use::Node { node, input } if place(*node, *input))
        };
        let mut added: Vec<(&[f32], ValueId)> = Vec::new();
        for bias in biases {
            let tensor = Tensor::from_vec([bias.values.len()], bias.values.clone());
            let old = edit.node(bias.node).input(bias.input);
            if let Some(v) = old.filter(|v| edit.uses(*v).iter().all(own)) {
                edit.set_floats(v, tensor);
            } else if let Some((_, equal)) = added.iter().find(|(values, _)| *values == bias.values) {
                edit.set_input(bias.node, bias.input, Some(*equal));
            } else {
                added.push((&bias.values, bias.add(edit, old, tensor)));
            }
        }
    }

    /// Stores `tensor` beside the constant that is there, if there is any.
    fn add(&self, edit: &mut GraphEdit, old: Option<ValueId>, tensor: Tensor) -> ValueId {
        let hint = old.map_or_else(|| format!("{}.bias", edit.node_label(self.node)), |v| edit.name(v).into());
        let graph = edit.node(self.node).graph();
        // Of the type of the weight, or of the bias that others read, too.
        let stored = edit.node(self.node).inputs().iter().flatten().find_map(|v| edit.constant(*v));
        let tensor = stored.and_then(|t| tensor.saturated(t.dtype())).unwrap_or(tensor);
        let own = edit.add_initializer(graph, &hint, tensor);
        edit.set_input(self.node, self.input, Some(own));
        own
    }
}

/// The node that alone reads `v` and adds one other value to it, and the input that is the other one.
fn sum_of(model: &Model, v: ValueId) -> Option<(NodeId, usize)> {
    let sum = model.single_reader(v)?;
    let node = model.node(sum);
    let [Some(a), Some(b)] = node.inputs()[..] else { return None };
    if !ops::of(node)?.sums || a == b || node.graph() != model.main() {
        return None;
    }
    Some((sum, usize::from(a == v)))
}
