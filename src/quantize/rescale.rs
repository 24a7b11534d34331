//! Channels of a value divided by positive factors, exactly: what writes it is divided, what reads it multiplied.
//!
//! ```text
//! W₁, b₁ ─► Relu ─► Add ─► Relu ─► W₂        W₁/s, b₁/s ─► Relu ─► Add ─► Relu ─► s·W₂
//! W₃, b₃ ───────────┘   └────────► W₄        W₃/s, b₃/s ───────────┘   └────────► s·W₄
//! ```
//!
//! f(x/s) = f(x)/s for s > 0 holds for Relu, PRelu, LeakyRelu and pools, and sums of such values are such values: all that hang together so
//! make one [`Stream`]. Its ends are contractions and normalizations, which have weights for each channel.
//!
//! Refuses, naming the node: where an end is an input or output of the model or an operator of another kind (a Clip to 6 among them), where
//! a weight is computed or shared, and where a channel is not the same thing at both ends.

use std::collections::BTreeSet;

use crate::ir::{GraphEdit, Model, NodeId, Tensor, Use, ValueId};
use crate::ops::{self, ChannelAxis, QuantRule};

/// Values whose channels can have factors, and all that writes or reads them.
#[derive(Debug, Clone)]
pub(super) struct Stream {
    pub values: BTreeSet<ValueId>,
    pub channels: usize,
    pub writers: Vec<Writer>,
    pub readers: Vec<Reader>,
}

/// Makes one of the values.
#[derive(Debug, Clone)]
pub(super) struct Writer {
    pub node: NodeId,
    /// Inputs of the node that hold a number for each channel or rows of them, with the axis of the channels.
    weights: Vec<(usize, usize)>,
    /// Whether it is a contraction, not a normalization.
    pub contracts: bool,
}

/// Contracts one of the values.
#[derive(Debug, Clone)]
pub(super) struct Reader {
    pub node: NodeId,
    weight: usize,
    /// The axis of input channels, and how many groups divide them.
    axis: usize,
    groups: usize,
}

impl Stream {
    /// The one that `value` belongs to.
    ///
    /// # Errors
    /// Why its channels can have no factors.
    pub fn of(model: &Model, value: ValueId) -> Result<Stream, String> {
        let mut stream = Stream { values: BTreeSet::new(), channels: 0, writers: Vec::new(), readers: Vec::new() };
        let mut place = None;
        let mut waiting = vec![value];
        while let Some(v) = waiting.pop() {
            if !stream.values.insert(v) {
                continue;
            }
            stream.writer(model, v, &mut place, &mut waiting)?;
            for u in model.uses(v) {
                match u {
                    Use::Output { .. } => return Err(format!("\"{}\" leaves the graph", model.name(v))),
                    Use::Node { node, input } => stream.reader(model, (*node, *input), &mut place, &mut waiting)?,
                }
            }
        }
        match (stream.writers.is_empty(), stream.readers.is_empty()) {
            (false, false) => Ok(stream),
            _ => Err(format!("\"{}\" is contracted by nothing", model.name(value))),
        }
    }

    fn writer(
        &mut self,
        model: &Model,
        v: ValueId,
        place: &mut Option<ChannelAxis>,
        waiting: &mut Vec<ValueId>,
    ) -> Result<(), String> {
        let id = model.producer(v).ok_or_else(|| format!("\"{}\" is an input or a constant", model.name(v)))?;
        let node = model.node(id);
        let op = ops::of(node).ok_or_else(|| refusal(model, id))?;
        if node.output(0) != Some(v) || node.graph() != model.main() {
            return Err(refusal(model, id));
        }
        if let Some(rule) = op.homogeneous {
            let inputs = (rule.inputs)(model, id).ok_or_else(|| refusal(model, id))?;
            return self.through(model, (id, rule.windowed), inputs, place, waiting);
        }
        let (weights, at, contracts) = match op.quant {
            QuantRule::Weighted { weight, bias, channel_axis, integer: Some(form), .. } => {
                let rank = own(model, id, weight)?.rank();
                let axis = channel_axis(node, rank);
                if form.matrices && rank != 2 {
                    return Err(refusal(model, id));
                }
                let bias = bias.filter(|b| node.input(*b).is_some()).map(|b| (b, 0));
                let at = if form.matrices { ChannelAxis::Last } else { ChannelAxis::Second };
                ([(weight, axis)].into_iter().chain(bias).collect::<Vec<_>>(), at, true)
            }
            _ => {
                let at =
                    op.affine.filter(|_| node.int_or("training_mode", 0) == 0).ok_or_else(|| refusal(model, id))?;
                let weights: Vec<(usize, usize)> =
                    [1, 2].into_iter().filter(|i| node.input(*i).is_some()).map(|i| (i, 0)).collect();
                (weights, at, false)
            }
        };
        self.agree(model, (id, v), at, place)?;
        for (index, axis) in &weights {
            let tensor = own(model, id, *index)?;
            // Of a factor or a term, only one for each channel.
            let channels =
                tensor.shape().get(*axis).filter(|_| *index == weights[0].0 && contracts || tensor.rank() == 1);
            self.count(model, id, channels.copied())?;
        }
        self.writers.push(Writer { node: id, weights, contracts });
        Ok(())
    }

    fn reader(
        &mut self,
        model: &Model,
        (id, input): (NodeId, usize),
        place: &mut Option<ChannelAxis>,
        waiting: &mut Vec<ValueId>,
    ) -> Result<(), String> {
        let node = model.node(id);
        let op = ops::of(node).filter(|_| node.graph() == model.main()).ok_or_else(|| refusal(model, id))?;
        if let Some(rule) = op.homogeneous {
            let inputs = (rule.inputs)(model, id).filter(|i| i.contains(&input)).ok_or_else(|| refusal(model, id))?;
            return self.through(model, (id, rule.windowed), inputs, place, waiting);
        }
        let QuantRule::Weighted { input: x, weight, channel_axis, integer: Some(form), .. } = op.quant else {
            return Err(refusal(model, id));
        };
        let tensor = own(model, id, weight)?;
        if x != input || form.matrices && tensor.rank() != 2 || node.int_or("transA", 0) != 0 {
            return Err(refusal(model, id));
        }
        let groups =
            usize::try_from(node.int_or("group", 1)).ok().filter(|g| *g > 0).ok_or_else(|| refusal(model, id))?;
        let axis = if form.matrices { 1 - channel_axis(node, 2) } else { 1 };
        let value = node.input(input).ok_or_else(|| refusal(model, id))?;
        self.agree(model, (id, value), if form.matrices { ChannelAxis::Last } else { ChannelAxis::Second }, place)?;
        self.count(model, id, tensor.shape().get(axis).map(|c| c * groups))?;
        self.readers.push(Reader { node: id, weight, axis, groups });
        Ok(())
    }

    /// Goes on to all that a homogeneous node reads and makes.
    fn through(
        &mut self,
        model: &Model,
        (id, windowed): (NodeId, bool),
        inputs: Vec<usize>,
        place: &mut Option<ChannelAxis>,
        waiting: &mut Vec<ValueId>,
    ) -> Result<(), String> {
        let node = model.node(id);
        let y = node.output(0).ok_or_else(|| refusal(model, id))?;
        if windowed {
            self.agree(model, (id, y), ChannelAxis::Second, place)?;
        }
        let shape = |v: ValueId| model.tensor_type(v).shape;
        for index in &inputs {
            let x = node.input(*index).ok_or_else(|| refusal(model, id))?;
            // What is broadcast may have one number where others have channels.
            let same = || {
                shape(x)
                    .zip(shape(y))
                    .is_some_and(|(a, b)| a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.same(b)))
            };
            if inputs.len() > 1 && !same() {
                return Err(format!("{} may broadcast", model.describe(id)));
            }
            waiting.push(x);
        }
        waiting.push(y);
        Ok(())
    }

    /// Whether channels are where they were found before.
    fn agree(
        &self,
        model: &Model,
        (id, v): (NodeId, ValueId),
        at: ChannelAxis,
        place: &mut Option<ChannelAxis>,
    ) -> Result<(), String> {
        let flat = model.tensor_type(v).rank() == Some(2);
        match place {
            _ if flat => Ok(()),
            None => {
                *place = Some(at);
                Ok(())
            }
            Some(known) if *known == at => Ok(()),
            Some(_) => Err(format!("{} has its channels on another axis", model.describe(id))),
        }
    }

    fn count(&mut self, model: &Model, id: NodeId, channels: Option<usize>) -> Result<(), String> {
        let channels = channels.filter(|c| *c > 0).ok_or_else(|| refusal(model, id))?;
        if self.channels > 0 && self.channels != channels {
            return Err(format!("{} has {channels} channels, not {}", model.describe(id), self.channels));
        }
        self.channels = channels;
        Ok(())
    }

    /// Divides channel c by `factors[c]`; the values, which are others then, get other names.
    pub fn divide(&self, edit: &mut GraphEdit, factors: &[f32]) {
        for writer in &self.writers {
            for (index, axis) in &writer.weights {
                scaled(edit, (writer.node, *index), |shape, i| 1.0 / factors[along(shape, *axis, i)]);
            }
        }
        for reader in &self.readers {
            scaled(edit, (reader.node, reader.weight), |shape, i| factors[reader.channel(shape, i)]);
        }
        self.values.iter().for_each(|v| edit.renew_value(*v));
    }
}

impl Writer {
    /// The largest magnitude in the weight of each channel.
    pub fn largest(&self, model: &Model, channels: usize) -> Vec<f32> {
        let (index, axis) = self.weights.first().copied().unwrap_or_default();
        largest(model, (self.node, index), channels, |shape, i| along(shape, axis, i))
    }
}

impl Reader {
    /// The largest magnitude of what meets each channel.
    pub fn largest(&self, model: &Model, channels: usize) -> Vec<f32> {
        largest(model, (self.node, self.weight), channels, |shape, i| self.channel(shape, i))
    }

    /// The channel that element `i` of a weight of this shape meets.
    fn channel(&self, shape: &[usize], i: usize) -> usize {
        let own = along(shape, self.axis, i);
        // Output channels are the first axis of what has groups.
        let group = if self.groups > 1 { along(shape, 0, i) * self.groups / shape[0] } else { 0 };
        group * shape[self.axis] + own
    }
}

/// The place of element `i` along an axis.
fn along(shape: &[usize], axis: usize, i: usize) -> usize {
    i / shape[axis + 1..].iter().product::<usize>().max(1) % shape[axis]
}

fn largest(
    model: &Model,
    (node, index): (NodeId, usize),
    channels: usize,
    channel: impl Fn(&[usize], usize) -> usize,
) -> Vec<f32> {
    let mut found = vec![0f32; channels];
    let Some((tensor, values)) = model.constant_input(node, index).and_then(|t| Some((t, t.to_f32()?))) else {
        return found;
    };
    for (i, v) in values.iter().enumerate() {
        let most = &mut found[channel(tensor.shape(), i)];
        *most = most.max(v.abs());
    }
    found
}

/// Gives the node its input with every element multiplied by a factor.
fn scaled(edit: &mut GraphEdit, (node, index): (NodeId, usize), factor: impl Fn(&[usize], usize) -> f32) {
    let Some(value) = edit.node(node).input(index) else { return };
    let Some(tensor) = edit.constant(value).cloned() else { return };
    let Some(values) = tensor.to_f32() else { return };
    let values = values.iter().enumerate().map(|(i, v)| v * factor(tensor.shape(), i)).collect();
    let tensor = Tensor::from_vec(tensor.shape(), values);
    if edit.uses(value).len() == 1 {
        return edit.set_constant(value, tensor);
    }
    let graph = edit.node(node).graph();
    let name = format!("{}_rescaled", edit.name(value));
    let value = edit.add_initializer(graph, &name, tensor);
    edit.set_input(node, index, Some(value));
}

/// The constant of floats that a node reads there; a shared one only where it is no contraction's weight.
fn own(model: &Model, id: NodeId, index: usize) -> Result<&Tensor, String> {
    let tensor = model.constant_input(id, index).filter(|t| t.as_slice::<f32>().is_some());
    let tensor = tensor.ok_or_else(|| format!("{} has weights that are no constant float32", model.describe(id)))?;
    let shared = model.node(id).input(index).is_some_and(|v| model.uses(v).len() > 1);
    match shared && tensor.rank() > 1 {
        true => Err(format!("{} shares its weight", model.describe(id))),
        false => Ok(tensor),
    }
}

fn refusal(model: &Model, id: NodeId) -> String {
    format!("{} does not pass factors of channels on", model.describe(id))
}
