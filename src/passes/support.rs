//! Small steps that several passes share.

use super::Outcome;
use crate::ir::shape::axis_of;
use crate::ir::{DType, Dim, GraphEdit, Model, NamedAttr, NewNode, Node, NodeId, Origin, Place, Tensor, Use, ValueId};
use crate::ops;

/// Operators that broadcast their operands element by element.
#[rustfmt::skip]
pub(super) const BROADCASTING: &[&str] = &[
    "Add", "And", "BitShift", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Div", "Equal", "Greater", "GreaterOrEqual",
    "Less", "LessOrEqual", "Max", "Mean", "Min", "Mod", "Mul", "Or", "Pow", "Sub", "Sum", "Where", "Xor",
];

/// Operators that give other shapes to the same elements in the same order.
pub(super) const RESHAPES: &[&str] = &["Reshape", "Flatten", "Squeeze", "Unsqueeze"];

/// Axes of more elements are not gone through one by one: a file can declare any size, and what is made per element must not outgrow it.
const LONGEST: usize = 1 << 20;

/// A size that things may be made for one by one.
pub(super) fn length(dim: &Dim) -> Option<usize> {
    usize::try_from(dim.known()?).ok().filter(|n| *n <= LONGEST)
}

/// Inserts a node; its first output.
pub(super) fn made(edit: &mut GraphEdit, place: Place, node: NewNode) -> Option<ValueId> {
    let id = edit.insert(place, node);
    edit.node(id).output(0)
}

/// A new initializer of integers in the graph of `node`, on one axis.
pub(super) fn ints(edit: &mut GraphEdit, node: NodeId, hint: &str, values: Vec<i64>) -> ValueId {
    let graph = edit.node(node).graph();
    edit.add_initializer(graph, hint, Tensor::from_vec([values.len()], values))
}

/// Lets everything that reads the node's only live output read `value` instead, and removes the node.
pub(super) fn bypass(edit: &mut GraphEdit, node: NodeId, value: ValueId) -> Outcome {
    let Some(output) = edit.node(node).output(0) else { return Outcome::NoMatch };
    match edit.replace_uses(output, value) {
        Ok(()) => {
            edit.remove_node(node);
            Outcome::Applied
        }
        Err(reason) => Outcome::Refused(reason),
    }
}

/// Whether outputs other than the first are read.
pub(super) fn has_side_outputs(model: &Model, node: NodeId) -> bool {
    model.node(node).outputs().iter().skip(1).flatten().any(|v| !model.uses(*v).is_empty())
}

/// The node that makes input `index` of `node`, where it is one of `op_types` and in the same graph.
pub(super) fn producer_of(model: &Model, node: NodeId, index: usize, op_types: &[&str]) -> Option<NodeId> {
    let producer = model.producer(model.node(node).input(index)?)?;
    let same_graph = model.node(producer).graph() == model.node(node).graph();
    (same_graph && model.node(producer).is_one_of(op_types)).then_some(producer)
}

/// Why `value`, made by a node that is to change, cannot change with it: someone else reads it.
pub(super) fn read_elsewhere(model: &Model, value: ValueId) -> Option<String> {
    if model.is_output(value) {
        return Some(format!("{} is a graph output", model.name(value)));
    }
    (model.uses(value).len() > 1).then(|| format!("{} is read elsewhere", model.name(value)))
}

/// The axes of a reduction, counted from the front; all where none are given.
pub(super) fn reduced_axes(model: &Model, node: NodeId, rank: usize) -> Option<Vec<usize>> {
    let n = model.node(node);
    let given = match n.input(1) {
        Some(axes) => model.constant(axes)?.to_i64()?,
        None => n.ints("axes").map(<[i64]>::to_vec).unwrap_or_default(),
    };
    match (given.is_empty(), n.int_or("noop_with_empty_axes", 0) != 0) {
        (true, true) => None,
        (true, false) => Some((0..rank).collect()),
        _ => given.iter().map(|a| axis_of(*a, rank)).collect(),
    }
}

/// Rounds `values` to `dtype`; `None` where one becomes infinite or is not a number.
pub(super) fn from_f64(dtype: DType, shape: &[usize], values: &[f64]) -> Option<Tensor> {
    let rounded = Tensor::from_floats(dtype, shape, values.iter().copied())?;
    let finite = match dtype {
        DType::F64 => values.iter().all(|v| v.is_finite()),
        _ => rounded.to_f32()?.iter().all(|v| v.is_finite()),
    };
    finite.then_some(rounded)
}

/// Whether every element of a real numeric tensor is `value`, sign of zero included.
pub(super) fn all_equal(tensor: &Tensor, value: f64) -> bool {
    let Some(values) = tensor.to_f64() else { return false };
    match tensor.dtype().is_float() {
        true => values.iter().all(|v| v.to_bits() == value.to_bits()),
        false => values.iter().all(|v| *v == value),
    }
}

/// Integers that are an attribute in old opsets and a constant input in new ones.
pub(super) fn ints_of(model: &Model, node: NodeId, attr: &str, input: usize) -> Option<Vec<i64>> {
    match model.node(node).ints(attr) {
        Some(ints) => Some(ints.to_vec()),
        None => model.constant_input(node, input)?.to_i64(),
    }
}

/// Gives the node such integers: by an attribute below opset `since`, by a constant input from there on.
pub(super) fn set_ints(edit: &mut GraphEdit, node: NodeId, attr: &str, (input, since): (usize, i64), values: Vec<i64>) {
    if edit.onnx_opset() >= since {
        let hint = format!("{}.{attr}", edit.node_label(node));
        let values = ints(edit, node, &hint, values);
        edit.set_input(node, input, Some(values));
    } else {
        edit.set_input(node, input, None);
        edit.set_attr(node, attr, values);
    }
}

/// The tensor with axis `order[i]` as its axis i; `None` for elements below a byte and for what is no order of its axes.
pub(super) fn permuted(tensor: &Tensor, order: &[usize]) -> Option<Tensor> {
    let perm =
        NamedAttr { name: "perm".into(), value: order.iter().map(|a| *a as i64).collect::<Vec<_>>().into(), doc: None };
    let node = Node::from_parts(Vec::new(), Vec::new(), vec![perm], String::new());
    ops::find("", "Transpose")?.fold?(&node, &[Some(tensor)])?.pop()
}

/// Whether all that reads a value multiplies with it, as its weight.
pub(super) fn is_weight_alone(model: &Model, v: ValueId) -> bool {
    let weight = |u: &Use| match u {
        Use::Node { node, input } => ops::of(model.node(*node)).is_some_and(|op| op.quant.weights().contains(input)),
        Use::Output { .. } => false,
    };
    !model.is_output(v) && model.uses(v).iter().all(weight)
}

/// `tensor` in place of the node that makes `y`.
pub(super) fn made_constant(edit: &mut GraphEdit, id: NodeId, y: ValueId, tensor: Tensor) -> Option<Outcome> {
    let (graph, name) = (edit.node(id).graph(), edit.name(y).to_string());
    let value = edit.add_initializer(graph, &name, tensor);
    edit.replace_uses(y, value).ok()?;
    edit.remove_node(id);
    Some(Outcome::Applied)
}

/// Gives the node `tensor` as its input: in place where only this node reads the present one, else as a
/// new initializer.
pub(super) fn set_constant(edit: &mut GraphEdit, node: NodeId, input: usize, tensor: Tensor) {
    let present = edit.node(node).input(input);
    let own = present.filter(|v| {
        let value = edit.value(*v);
        value.uses().len() == 1 && value.initializer().is_some() && matches!(value.origin(), Origin::Initializer(_))
    });
    if let Some(v) = own {
        edit.set_initializer(v, tensor);
        return;
    }
    let hint = match present {
        Some(v) => edit.name(v).to_string(),
        None => format!("{}.{input}", edit.node_label(node)),
    };
    let graph = edit.node(node).graph();
    let value = edit.add_initializer(graph, &hint, tensor);
    edit.set_input(node, input, Some(value));
}

/// Bytes of the constants that only `node` reads.
pub(super) fn own_bytes(model: &Model, node: NodeId) -> usize {
    let own = |v: &&ValueId| model.uses(**v).len() == 1;
    let inputs = model.node(node).inputs().iter().flatten();
    inputs.filter(own).filter_map(|v| model.constant(*v)).map(Tensor::byte_len).sum()
}

/// Constant bounds of a Clip; infinite where there is none.
pub(super) fn clip_bounds(model: &Model, node: NodeId) -> Option<(f32, f32)> {
    model.node(node).is("Clip").then(|| crate::ops::clip_bounds(model, node))?
}

/// A constant float input of one element whose rank cannot raise that of the result.
pub(super) fn scalar(model: &Model, node: NodeId, input: usize) -> Option<f32> {
    let constant = model.constant_input(node, input).filter(|t| t.dtype().is_float())?;
    let other = model.node(node).input(1 - input)?;
    let narrow = constant.rank() == 0 || model.tensor_type(other).rank().is_some_and(|r| constant.rank() <= r);
    if narrow { constant.scalar_f32() } else { None }
}

/// Whether the value is known to be of a float type.
pub(super) fn is_float(model: &Model, value: ValueId) -> bool {
    model.tensor_type(value).dtype.is_some_and(DType::is_float)
}
