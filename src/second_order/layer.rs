//! A contraction whose weights can be solved for, with what makes up for them: a bias, and the other operands of residual sums.
//!
//! ```text
//! x ─► W·x ─► + b ─►(+)─► …        Conv, Gemm         the bias is an input, or becomes one
//!            s ──────┘             MatMul ─► Add b    the constant vector that is added next is the bias
//! ```
//!
//! Refuses a layer inside a subgraph, a weight that is shared or no float32, a product that is scaled, and one of more than `DEEPEST`
//! weights an output.

use super::{Contraction, Order};
use crate::ir::{DType, GraphEdit, Model, NodeId, Tensor, ValueId};
use crate::ops::{self, QuantRule};

/// Weights of an output whose matrix of second moments still fits.
const DEEPEST: usize = 4608;

/// A contraction that can be solved for.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The node that contracts.
    pub node: NodeId,
    /// Where its numbers lie.
    pub contraction: Contraction,
    /// What is added to its outputs, where something is, or can be.
    pub bias: Option<Bias>,
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
    bias: Option<Bias>,
}

impl Solved {
    /// Puts them in their places.
    pub fn put(&self, edit: &mut GraphEdit) {
        edit.set_floats(self.weight, self.weights.clone());
        if let Some(bias) = &self.bias {
            bias.set(edit, bias.values.clone());
        }
    }
}

impl Layer {
    /// `None` where the node is no contraction with a constant weight; a reason where it cannot be solved for.
    pub fn of(model: &Model, node: NodeId) -> Option<Result<Layer, String>> {
        let contraction = match Contraction::of(model, node)? {
            Ok(contraction) => contraction,
            Err(why) => return Some(Err(why)),
        };
        let n = model.node(node);
        let weight = model.constant(contraction.weight)?;
        let why_not = if n.graph() != model.main() {
            "it is inside a subgraph".into()
        } else if model.uses(contraction.weight).len() > 1 {
            "several nodes share its weight".into()
        } else if weight.dtype() != DType::F32 {
            format!("its weight is {}", weight.dtype())
        } else if contraction.depth > DEEPEST {
            format!("{} weights an output are more than {DEEPEST}", contraction.depth)
        } else if [n.float_or("alpha", 1.0), n.float_or("beta", 1.0)] != [1.0, 1.0] {
            "its product is scaled".into()
        } else {
            let bias = Bias::of(model, node, &contraction);
            return Some(Ok(Layer { node, contraction, bias }));
        };
        Some(Err(why_not))
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
        let values = || numbers.chunks(width).map(|row| row[c.depth]).collect();
        let bias = self.bias.as_ref().map(|bias| Bias { values: values(), ..bias.clone() });
        Some(Solved { weight: c.weight, weights, bias })
    }

    /// What is added to its output, one sum after the other, and is there before the layer runs.
    pub fn beside(&self, model: &Model, order: &Order) -> Vec<ValueId> {
        let mut found = Vec::new();
        let mut at = model.node(self.bias.as_ref().map_or(self.node, |b| b.node)).output(0);
        while let Some((sum, other)) = at.and_then(|v| sum_of(model, v)) {
            let node = model.node(sum);
            let Some(value) = node.input(other) else { break };
            if model.constant(value).is_none() {
                if !order.is_there(value, self.node) || !alike(model, value, at) {
                    break;
                }
                found.push(value);
            }
            at = node.output(0);
        }
        found
    }
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

    /// Stores other values: where others read the constant that is there, as one of its own.
    pub fn set(&self, edit: &mut GraphEdit, values: Vec<f32>) {
        let old = edit.node(self.node).input(self.input);
        let tensor = Tensor::from_vec([values.len()], values);
        match old {
            Some(v) if edit.uses(v).len() == 1 => edit.set_floats(v, tensor),
            _ => {
                let hint = old.map_or_else(|| format!("{}.bias", edit.node_label(self.node)), |v| edit.name(v).into());
                let graph = edit.node(self.node).graph();
                // Of the type of the weight, or of the bias that others read, too.
                let stored = edit.node(self.node).inputs().iter().flatten().find_map(|v| edit.constant(*v));
                let tensor = stored.and_then(|t| tensor.saturated(t.dtype())).unwrap_or(tensor);
                let own = edit.add_initializer(graph, &hint, tensor);
                edit.set_input(self.node, self.input, Some(own));
            }
        }
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
