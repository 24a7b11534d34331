//! DynamicQuantizeLSTM (of com.microsoft) in operators of the standard.
//!
//! ```text
//! x̂ = s·(q − z)                    q, s, z of DynamicQuantizeLinear(x), of all steps together; ĥ likewise, of every step
//! i, o, f, g = x̂_t·Ŵ + ĥ_{t−1}·R̂ + b_W + b_R
//! c_t = σ(f)·c_{t−1} + σ(i)·tanh(g)          h_t = σ(o)·tanh(c_t)
//!
//! x ─► DynamicQuantizeLSTM ─► Y, Y_h, Y_c
//! x ─► x̂ ─► MatMul Ŵ ─► Add b ─► Scan over the steps ─► Y, Y_h, Y_c        Scan for each direction, their results joined
//! ```
//!
//! What it multiplies are integers below 2⁸, whose products floats add up to the same. Where several samples are run on several threads
//! ONNX Runtime takes the range of h of a part of them; here it is that of all.
//!
//! Leaves alone, for the runtime to refuse by name: peepholes, lengths of sequences, a clip, other activations, weights that are computed.

use crate::ir::{Attr, DType, GraphEdit, GraphId, Model, NewNode, NodeId, Place, Tensor, TensorType, Type, ValueId};

/// Inputs of the operator.
const X: usize = 0;
const W: usize = 1;
const R: usize = 2;
const B: usize = 3;
const LENGTHS: usize = 4;
const STATES: [usize; 2] = [5, 6];
const PEEPHOLES: usize = 7;
/// Scale and zero point of W, those of R after them.
const PARAMETERS: usize = 8;

/// Axes of the directions in Y, Y_h and Y_c.
const AXES: [i64; 3] = [1, 0, 0];

/// Spells out every one that can be.
pub(super) fn spell_out(edit: &mut GraphEdit) {
    for node in edit.all_nodes() {
        let n = edit.node(node);
        if n.domain() == "com.microsoft"
            && n.op_type == "DynamicQuantizeLSTM"
            && let Some(layer) = Layer::of(edit, node)
        {
            layer.spell_out(edit, node);
        }
    }
}

/// What the integers of a direction stand for: weights with the gates' rows as columns, and the sum of both biases.
struct Direction {
    w: Tensor,
    r: Tensor,
    bias: Tensor,
    backwards: bool,
}

struct Layer {
    x: ValueId,
    hidden: usize,
    states: [Option<ValueId>; 2],
    directions: Vec<Direction>,
}

impl Layer {
    fn of(model: &Model, node: NodeId) -> Option<Self> {
        let n = model.node(node);
        let own = ["activations", "activation_alpha", "activation_beta", "clip"];
        let plain =
            own.iter().all(|a| n.attr(a).is_none()) && n.int_or("input_forget", 0) == 0 && n.int_or("layout", 0) == 0;
        if !plain || n.input(LENGTHS).is_some() || n.input(PEEPHOLES).is_some() || model.onnx_opset() < 13 {
            return None;
        }
        let w = floats(model, node, W, PARAMETERS)?;
        let r = floats(model, node, R, PARAMETERS + 2)?;
        let &[count, hidden, gates] = r.shape() else { return None };
        let backwards: &[bool] = match n.str("direction").unwrap_or("forward") {
            "forward" => &[false],
            "reverse" => &[true],
            _ => &[false, true],
        };
        let inputs = *w.shape().get(1)?;
        let fits = backwards.len() == count && gates == 4 * hidden && w.shape() == [count, inputs, gates];
        let bias = match n.input(B) {
            Some(b) => model.constant(b)?.to_f32()?.into_owned(),
            None => vec![0.0; count * 2 * gates],
        };
        if !fits || bias.len() != count * 2 * gates {
            return None;
        }
        let (w, r) = (w.as_slice::<f32>()?, r.as_slice::<f32>()?);
        let matrix = |all: &[f32], rows: usize, d: usize| {
            Tensor::from_vec([rows, gates], all[d * rows * gates..(d + 1) * rows * gates].to_vec())
        };
        let direction = |(d, backwards): (usize, &bool)| {
            let (of_w, of_r) = bias[d * 2 * gates..(d + 1) * 2 * gates].split_at(gates);
            let bias: Vec<f32> = of_w.iter().zip(of_r).map(|(w, r)| w + r).collect();
            Direction {
                w: matrix(&w, inputs, d),
                r: matrix(&r, hidden, d),
                bias: Tensor::from_vec([gates], bias),
                backwards: *backwards,
            }
        };
        let directions = backwards.iter().enumerate().map(direction).collect();
        Some(Layer { x: n.input(X)?, hidden, states: STATES.map(|i| n.input(i)), directions })
    }

    fn spell_out(self, edit: &mut GraphEdit, node: NodeId) -> Option<()> {
        let Layer { x, hidden, states, directions } = self;
        let outputs: Vec<Option<ValueId>> = edit.node(node).outputs().to_vec();
        let (graph, label) = (edit.node(node).graph(), edit.node_label(node).to_string());
        let mut put = Put { edit, place: Place::Before(node), graph, label };
        let rounded = put.rounded(x)?;
        let start = put.zeros(x, hidden)?;
        let mut results: [Vec<ValueId>; 3] = Default::default();
        for (number, direction) in directions.into_iter().enumerate() {
            let states = states.map(|s| s.map_or(Some(start), |s| put.one(s, number)));
            let found = direction.scan(&mut put, rounded, states)?;
            // Y has its directions after the steps, the last states have them first.
            for ((all, value), axis) in results.iter_mut().zip(found).zip(AXES) {
                let axis = put.constant("axis", Tensor::from_vec([1], vec![axis]));
                all.push(put.op("Unsqueeze", &[value, axis], &[])?);
            }
        }
        for (index, (parts, axis)) in results.into_iter().zip(AXES).enumerate() {
            let Some(old) = outputs.get(index).copied().flatten() else { continue };
            put.edit.detach_output(node, index);
            let joined = NewNode::new("Concat").name(format!("{}_{index}", put.label));
            let joined = joined.inputs(parts.into_iter().map(Some)).attr("axis", axis);
            put.edit.insert(put.place, joined.output_into(old));
        }
        put.edit.remove_node(node);
        Some(())
    }
}

impl Direction {
    /// Y [steps, batch, hidden] and the last h and c [batch, hidden], from x̂ [steps, batch, inputs].
    fn scan(self, put: &mut Put, x: ValueId, states: [Option<ValueId>; 2]) -> Option<[ValueId; 3]> {
        let [w, bias] = [("W", self.w), ("b", self.bias)].map(|(what, t)| put.constant(what, t));
        let product = put.op("MatMul", &[x, w], &[])?;
        let gates = put.op("Add", &[product, bias], &[])?;
        let body = step(put, self.r)?;
        let backwards = i64::from(self.backwards);
        let scan = NewNode::new("Scan").inputs([states[0], states[1], Some(gates)]).attr("num_scan_inputs", 1i64);
        let scan = scan.attr("scan_input_directions", vec![backwards]).attr("scan_output_directions", vec![backwards]);
        let [h, c, y] = put.several(scan.attr("body", Attr::Graph(body)), "scan", ["h", "c", "y"])?;
        Some([y, h, c])
    }
}

/// One step: h, c [batch, hidden] and the part of the gates that x gives [batch, 4·hidden] ─► h, c, h.
fn step(put: &mut Put, r: Tensor) -> Option<GraphId> {
    let graph = put.edit.add_graph();
    put.edit.graph_meta(graph).name = Some(format!("{}_step", put.label));
    let mut inputs = Vec::new();
    for what in ["h", "c", "x"] {
        let name = put.edit.fresh_name(&format!("{}_step_{what}", put.label));
        let value = put.edit.new_value(name, Some(Type::tensor(&TensorType { dtype: Some(DType::F32), shape: None })));
        put.edit.add_graph_input(graph, value);
        inputs.push(value);
    }
    let mut put = Put { edit: &mut *put.edit, place: Place::End(graph), graph, label: put.label.clone() };
    let r = put.constant("R", r);
    let rounded = put.rounded(inputs[0])?;
    let product = put.op("MatMul", &[rounded, r], &[])?;
    let all = put.op("Add", &[inputs[2], product], &[])?;
    let split = NewNode::new("Split").input(all).attr("axis", 1i64);
    let [i, o, f, g] = put.several(split, "gates", ["i", "o", "f", "g"])?;
    let [i, o, f] = [i, o, f].map(|v| put.op("Sigmoid", &[v], &[]));
    let g = put.op("Tanh", &[g], &[])?;
    let kept = put.op("Mul", &[f?, inputs[1]], &[])?;
    let new = put.op("Mul", &[i?, g], &[])?;
    let c = put.op("Add", &[kept, new], &[])?;
    let shown = put.op("Tanh", &[c], &[])?;
    let h = put.op("Mul", &[o?, shown], &[])?;
    // The state, and what is kept of every step: a graph gives out a value once.
    let y = put.op("Identity", &[h], &[])?;
    [h, c, y].into_iter().for_each(|v| put.edit.add_graph_output(graph, v));
    Some(graph)
}

/// Weight number `input` of the node as floats, its scales and zero points at `parameters` and after: one a direction, or one a column.
fn floats(model: &Model, node: NodeId, input: usize, parameters: usize) -> Option<Tensor> {
    let levels = model.constant_input(node, input)?;
    let &[count, rows, columns] = levels.shape() else { return None };
    let scale = model.constant_input(node, parameters)?.to_f32()?;
    let zero = model.constant_input(node, parameters + 1)?.to_i64()?;
    let each = scale.len() / count.max(1);
    if scale.len() != zero.len() || !(scale.len() == count || scale.len() == count * columns) {
        return None;
    }
    let at = |i: usize| i / (rows * columns) * each + if each > 1 { i % columns } else { 0 };
    let values = levels.to_i64()?;
    let values: Vec<f32> = values.iter().enumerate().map(|(i, q)| scale[at(i)] * (q - zero[at(i)]) as f32).collect();
    Some(Tensor::from_vec(levels.shape(), values))
}

/// Where nodes are put, and what their names begin with.
struct Put<'e, 'm> {
    edit: &'e mut GraphEdit<'m>,
    place: Place,
    graph: GraphId,
    label: String,
}

impl Put<'_, '_> {
    fn op(&mut self, op_type: &str, inputs: &[ValueId], attrs: &[(&str, Attr)]) -> Option<ValueId> {
        let name = format!("{}_{}", self.label, op_type.to_lowercase());
        let new = NewNode::new(op_type).name(name.clone()).inputs(inputs.iter().copied().map(Some));
        let new = attrs.iter().fold(new, |n, (name, value)| n.attr(*name, value.clone()));
        let made = self.edit.insert(self.place, new.output(name, None));
        self.edit.node(made).output(0)
    }

    /// A node of several outputs.
    fn several<const N: usize>(&mut self, new: NewNode, name: &str, outputs: [&str; N]) -> Option<[ValueId; N]> {
        let new = new.name(format!("{}_{name}", self.label));
        let new = outputs.iter().fold(new, |n, what| n.output(format!("{}_{what}", self.label), None));
        let made = self.edit.insert(self.place, new);
        let made: Option<Vec<ValueId>> = self.edit.node(made).outputs().iter().copied().collect();
        made?.try_into().ok()
    }

    fn constant(&mut self, what: &str, tensor: Tensor) -> ValueId {
        self.edit.add_initializer(self.graph, &format!("{}_{what}", self.label), tensor)
    }

    /// The value of one direction: [directions, …] ─► […].
    fn one(&mut self, value: ValueId, direction: usize) -> Option<ValueId> {
        let index = self.constant("direction", Tensor::scalar(direction as i64));
        self.op("Gather", &[value, index], &[("axis", 0i64.into())])
    }

    /// A state that is not given: zeros [batch, hidden].
    fn zeros(&mut self, x: ValueId, hidden: usize) -> Option<ValueId> {
        let shape = self.op("Shape", &[x], &[])?;
        let [batch, hidden] = [("batch", 1), ("hidden", hidden as i64)]
            .map(|(what, v)| self.constant(what, Tensor::from_vec([1], vec![v])));
        let batch = self.op("Gather", &[shape, batch], &[])?;
        let shape = self.op("Concat", &[batch, hidden], &[("axis", 0i64.into())])?;
        self.op("ConstantOfShape", &[shape], &[("value", Tensor::from_vec([1], vec![0f32]).into())])
    }

    /// The nearest of 256 levels between the least and the largest element, zero among them.
    fn rounded(&mut self, x: ValueId) -> Option<ValueId> {
        let quantize = NewNode::new("DynamicQuantizeLinear").input(x);
        let [q, s, z] = self.several(quantize, "quantize", ["q", "s", "z"])?;
        let to = || [("to", Attr::Int(i64::from(DType::F32.code())))];
        let q = self.op("Cast", &[q], &to())?;
        let z = self.op("Cast", &[z], &to())?;
        let centred = self.op("Sub", &[q, z], &[])?;
        self.op("Mul", &[centred, s], &[])
    }
}
