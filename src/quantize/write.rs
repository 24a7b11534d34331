//! The nodes that every form writes: QuantizeLinear, DequantizeLinear, and their parameters.

use super::params::QParams;
use crate::ir::{
    DType, GraphEdit, GraphId, Model, NewNode, NodeId, Origin, Place, Shape, Tensor, TensorType, Use, ValueId,
};

/// The domain of ONNX Runtime's own operators.
const MICROSOFT: &str = "com.microsoft";

/// Scale and zero point of an activation as initializers of `graph`.
pub fn parameters(edit: &mut GraphEdit, graph: GraphId, name: &str, p: &QParams) -> (ValueId, ValueId) {
    let scale = edit.add_initializer(graph, &format!("{name}_scale"), Tensor::scalar(p.scale));
    let zero = p.dtype.tensor(&[], &[p.zero_point]);
    (scale, edit.add_initializer(graph, &format!("{name}_zero_point"), zero))
}

/// `QuantizeLinear(v)`; the integers.
pub fn quantize(edit: &mut GraphEdit, place: Place, v: ValueId, p: &QParams, (s, z): (ValueId, ValueId)) -> ValueId {
    let name = edit.name(v).to_string();
    let shape = edit.tensor_type(v).shape;
    let ty = TensorType { dtype: Some(p.dtype.dtype()), shape };
    let node = NewNode::new("QuantizeLinear").name(format!("{name}_QuantizeLinear"));
    let node = node.input(v).input(s).input(z).output(format!("{name}_quantized"), Some(ty));
    made(edit, place, node)
}

/// `DequantizeLinear(q)`, along `axis` where the scale is not a scalar, in blocks of so many where it has them; the floats.
pub fn dequantize(
    edit: &mut GraphEdit,
    place: Place,
    (q, s, z): (ValueId, ValueId, Option<ValueId>),
    name: &str,
    axis: Option<usize>,
    block: Option<usize>,
) -> ValueId {
    // Floats are of the type of their scale.
    let ty = TensorType { dtype: edit.tensor_type(s).dtype, shape: edit.tensor_type(q).shape };
    let mut node = NewNode::new("DequantizeLinear").name(format!("{name}_DequantizeLinear")).input(q).input(s);
    node = node.inputs(z.map(Some)).output(format!("{name}_dequantized"), Some(ty));
    if let Some(axis) = axis {
        node = node.attr("axis", axis as i64);
    }
    if let Some(size) = block {
        node = node.attr("block_size", size as i64);
    }
    made(edit, place, node)
}

/// The sums of an integer operator as floats of this shape.
pub fn floats(edit: &mut GraphEdit, at: Place, name: &str, sums: ValueId, shape: Option<Shape>) -> ValueId {
    let ty = TensorType { dtype: Some(DType::F32), shape };
    let cast = NewNode::cast(sums, DType::F32).name(format!("{name}_cast"));
    made(edit, at, cast.output(format!("{name}_floats"), Some(ty)))
}

/// Inserts a node with one output; that output.
pub fn made(edit: &mut GraphEdit, place: Place, node: NewNode) -> ValueId {
    let id = edit.insert(place, node);
    // Every node given here has a first output.
    edit.node(id).output(0).unwrap_or_default()
}

/// Makes the node an operator of ONNX Runtime's own.
pub fn make_microsoft(edit: &mut GraphEdit, node: NodeId, op_type: &str) {
    if edit.opset(MICROSOFT).is_none() {
        edit.set_opset(MICROSOFT, 1);
    }
    edit.set_op(node, op_type, MICROSOFT);
}

/// The QuantizeLinear that reads `v`, if there is one.
pub fn quantizer_of(model: &Model, v: ValueId) -> Option<NodeId> {
    model.uses(v).iter().find_map(|u| match u {
        Use::Node { node, input: 0 } if model.node(*node).is("QuantizeLinear") => Some(*node),
        _ => None,
    })
}

/// Where a node goes that `reader` reads and that makes floats of the initializer `v`: in the graph that holds `v`, for a loop not to do it
/// again and for runtimes to find the integers; right before `reader` where that is the same.
pub fn beside(edit: &GraphEdit, v: ValueId, reader: NodeId) -> Place {
    match edit.value(v).origin() {
        Origin::Initializer(graph) if graph != edit.node(reader).graph() => Place::Start(graph),
        _ => Place::Before(reader),
    }
}

/// Where a node goes that reads `v`: right behind its producer, or first in the graph.
pub fn behind(edit: &GraphEdit, v: ValueId) -> Place {
    match edit.producer(v) {
        Some(node) => Place::After(node),
        None => Place::Start(edit.home(v).unwrap_or(edit.main())),
    }
}
