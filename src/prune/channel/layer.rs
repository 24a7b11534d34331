//! A contraction whose weights can be solved for, with its bias wherever that stands.
//!
//! ```text
//! Conv, Gemm         the bias is an input, or becomes one
//! MatMul ─► Add b    the constant vector that is added next is the bias
//! ```

use crate::ir::{DType, GraphEdit, Model, NodeId, Tensor, Use, ValueId};
use crate::ops::{self, QuantRule};
use crate::second_order::Contraction;

/// Layers of more weights an output are not solved for: their matrix would not fit.
const DEEPEST: usize = 4608;

#[derive(Debug, Clone)]
pub struct Layer {
    pub node: NodeId,
    pub contraction: Contraction,
    pub x: ValueId,
    pub y: ValueId,
    bias: Bias,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bias {
    /// This input of the node, which may be missing.
    Input(usize),
    /// A constant that is added to the output.
    Added(ValueId),
    None,
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
        if weight.dtype() != DType::F32 {
            return Some(Err(format!("its weight is {}", weight.dtype())));
        }
        if model.uses(contraction.weight).len() > 1 {
            return Some(Err("its weight is read elsewhere".into()));
        }
        if contraction.depth > DEEPEST {
            return Some(Err(format!("{} weights an output are more than {DEEPEST}", contraction.depth)));
        }
        // A factor other than one stands between the product and the sum.
        if [n.float_or("alpha", 1.0), n.float_or("beta", 1.0)] != [1.0, 1.0] {
            return Some(Err("its factors are not one".into()));
        }
        let bias = bias(model, node, &contraction);
        let y = n.output(0)?;
        Some(Ok(Layer { node, x: contraction.input, y, contraction, bias }))
    }

    pub fn has_bias(&self) -> bool {
        self.bias != Bias::None
    }

    /// Numbers an output, the bias last.
    pub fn width(&self) -> usize {
        self.contraction.depth + usize::from(self.has_bias())
    }

    fn outputs(&self) -> usize {
        self.contraction.groups * self.contraction.outputs
    }

    fn bias_value(&self, model: &Model) -> Option<ValueId> {
        match self.bias {
            Bias::Input(i) => model.node(self.node).input(i),
            Bias::Added(v) => Some(v),
            Bias::None => None,
        }
    }

    /// [`Self::width`] numbers for each output of every group.
    pub fn weights(&self, model: &Model) -> Option<Vec<f32>> {
        let (c, outputs) = (&self.contraction, self.outputs());
        let stored = model.constant(c.weight)?.to_f32()?;
        let bias = match self.bias_value(model) {
            Some(v) => model.constant(v)?.to_f32()?.into_owned(),
            None => vec![0.0; outputs],
        };
        let mut found = Vec::with_capacity(outputs * self.width());
        for (o, bias) in bias.iter().enumerate() {
            found.extend((0..c.depth).map(|k| stored[c.element(o, k)]));
            found.extend(self.has_bias().then_some(*bias));
        }
        Some(found)
    }

    /// Stores numbers in the form of [`Self::weights`].
    pub fn set(&self, edit: &mut GraphEdit, numbers: &[f32]) {
        let (c, width) = (&self.contraction, self.width());
        let Some(shape) = edit.constant(c.weight).map(|t| t.shape().to_vec()) else { return };
        let mut stored = vec![0f32; shape.iter().product()];
        for (o, row) in numbers.chunks(width).enumerate() {
            row[..c.depth].iter().enumerate().for_each(|(k, w)| stored[c.element(o, k)] = *w);
        }
        edit.set_constant(c.weight, Tensor::from_vec(shape, stored));
        if !self.has_bias() {
            return;
        }
        let bias: Vec<f32> = numbers.chunks(width).map(|row| row[c.depth]).collect();
        match (self.bias_value(edit), self.bias) {
            (Some(v), _) => {
                let shape = edit.constant(v).map_or_else(|| vec![bias.len()], |t| t.shape().to_vec());
                edit.set_constant(v, Tensor::from_vec(shape, bias));
            }
            (None, Bias::Input(i)) => {
                let (graph, hint) = (edit.node(self.node).graph(), format!("{}.bias", edit.node_label(self.node)));
                let v = edit.add_initializer(graph, &hint, Tensor::from_vec([bias.len()], bias));
                edit.set_input(self.node, i, Some(v));
            }
            (None, _) => {}
        }
    }
}

fn bias(model: &Model, node: NodeId, c: &Contraction) -> Bias {
    let outputs = c.groups * c.outputs;
    let fits = |v: ValueId| {
        let own = model.constant(v).is_some_and(|t| t.dtype() == DType::F32 && t.shape() == [outputs]);
        own && model.uses(v).len() == 1
    };
    let n = model.node(node);
    if let Some(QuantRule::Weighted { bias: Some(input), .. }) = ops::of(n).map(|op| op.quant) {
        return match n.input(input) {
            None => Bias::Input(input),
            Some(v) if fits(v) => Bias::Input(input),
            Some(_) => Bias::None,
        };
    }
    let Some([Use::Node { node, .. }]) = n.output(0).map(|y| model.uses(y)) else { return Bias::None };
    let next = model.node(*node);
    if !ops::of(next).is_some_and(|op| op.sums) {
        return Bias::None;
    }
    next.inputs().iter().flatten().copied().find(|v| fits(*v)).map_or(Bias::None, Bias::Added)
}
