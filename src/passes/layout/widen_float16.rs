//! A model in float16 computed in float32: kernels of integers read and make float32.
//!
//! ```text
//! x f16 ─► Conv(W f16) ─► Relu ─► y f16        x f16 ─► Cast ─► Conv(W f32) ─► Relu ─► Cast ─► y f16
//! ```
//!
//! Every float16 is a float32: weights keep their numbers, and what is computed of them is rounded less. Inputs and outputs of the model
//! keep their type; what casts between the two types inside has nothing left to do.
//!
//! Runs before integers are computed with, where a weight is float16. Refuses where such values meet an operator that is not known here,
//! are in sparse tensors, or leave a subgraph that did not make them.

use crate::error::Result;
use crate::ir::{
    Attr, DType, GraphEdit, GraphId, Model, NamedAttr, NewNode, NodeId, Place, TensorType, Type, Use, ValueId,
};
use crate::ops::{self, QuantRule};
use crate::passes::{Pass, PassReport, Refusal};

pub(in crate::passes) const PASS: Pass =
    Pass::new("widen-float16", "compute a float16 model in float32, between which integers are computed", run)
        .on_demand();

/// Attributes that name the type of what a node makes.
const NAMES_A_TYPE: &[&str] = &["to", "dtype", "output_dtype"];

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let weights: usize = edit.all_nodes().into_iter().map(|id| weights(edit, id)).sum();
    if weights == 0 {
        return Ok(PassReport::default());
    }
    if let Some((id, reason)) = refusal(edit) {
        let (node, op_type) = (edit.node_label(id).to_string(), edit.node(id).op_type.clone());
        let refusals = vec![Refusal { pass: PASS.name, node, op_type, reason }];
        return Ok(PassReport { refusals, ..PassReport::default() });
    }
    let main = edit.main();
    let (inputs, outputs) = (edit.graph(main).inputs().to_vec(), edit.graph(main).outputs().to_vec());
    for v in inputs.iter().copied().filter(|v| is_half(edit, *v)).collect::<Vec<_>>() {
        let wide = wide(edit, v);
        edit.replace_node_uses(v, wide);
        cast(edit, Place::Start(main), (v, wide), DType::F32);
    }
    for y in outputs.iter().copied().filter(|v| is_half(edit, *v) && !inputs.contains(v)).collect::<Vec<_>>() {
        let Some(made_by) = edit.producer(y) else { continue };
        let Some(index) = edit.node(made_by).outputs().iter().position(|v| *v == Some(y)) else { continue };
        let wide = wide(edit, y);
        edit.detach_output(made_by, index);
        edit.attach_output(made_by, index, wide);
        edit.replace_node_uses(y, wide);
        cast(edit, Place::After(made_by), (wide, y), DType::F16);
    }
    let kept = |v: &ValueId| inputs.contains(v) || outputs.contains(v);
    for v in values(edit).into_iter().filter(|v| !kept(v)) {
        retype(edit, v);
    }
    // A constant that is an output, too: its readers have one of their own.
    for v in outputs {
        let constant = edit.value(v).initializer().filter(|t| t.dtype() == DType::F16 && !inputs.contains(&v));
        let Some(tensor) = constant.and_then(|t| t.as_floats(DType::F32)) else { continue };
        let own = edit.add_initializer(main, &format!("{}_float32", edit.name(v)), tensor);
        edit.replace_node_uses(v, own);
    }
    for id in edit.all_nodes() {
        rename_types(edit, id);
    }
    let note = format!(
        "float16 became float32, between which integers are computed ({weights} weights; inputs and outputs stay)"
    );
    Ok(PassReport { note: Some(note), ..PassReport::applied(1) })
}

/// How many weights of a node are float16.
fn weights(model: &Model, id: NodeId) -> usize {
    let rule = ops::of(model.node(id)).map(|op| op.quant);
    let weighted = matches!(rule, Some(QuantRule::Weighted { .. } | QuantRule::Recurrent { .. }));
    let all = rule.filter(|_| weighted).map(|r| r.weights()).unwrap_or_default();
    let half = |i: &usize| model.constant_input(id, *i).is_some_and(|t| t.dtype() == DType::F16);
    all.iter().filter(|i| half(i)).count()
}

fn is_half(model: &Model, v: ValueId) -> bool {
    model.tensor_type(v).dtype == Some(DType::F16)
}

/// The first node that stands in the way, and why.
fn refusal(model: &Model) -> Option<(NodeId, String)> {
    let main = model.graph(model.main());
    let boundary = |v: &ValueId| main.inputs().contains(v) || main.outputs().contains(v);
    let leaves = |v: &ValueId| {
        let inner = |u: &Use| matches!(u, Use::Output { graph, .. } if *graph != model.main());
        boundary(v) && is_half(model, *v) && model.uses(*v).iter().any(inner)
    };
    model.all_nodes().into_iter().find_map(|id| {
        let node = model.node(id);
        let typed = |t: &Type| matches!(t.as_tensor(), Some(t) if t.dtype == Some(DType::F16));
        let says = |a: &Attr| match a {
            Attr::SparseTensor(_) | Attr::SparseTensors(_) => true,
            Attr::Type(t) => typed(t),
            _ => false,
        };
        let around = || node.inputs().iter().chain(node.outputs()).flatten();
        let sparse = |v: &ValueId| model.value(*v).sparse_initializer().is_some();
        let reason = if ops::of(node).is_none() && around().any(|v| is_half(model, *v)) {
            format!("{} is not known here, and has float16", node.op_type)
        } else if around().any(sparse) || node.attrs().iter().any(|a| says(&a.value)) {
            "it has a sparse tensor, or names a type".into()
        } else if let Some(v) = around().find(|v| leaves(v)) {
            format!("a subgraph hands on \"{}\" as it is", model.name(*v))
        } else {
            return None;
        };
        Some((id, reason))
    })
}

/// A new value that is `v` in float32.
fn wide(edit: &mut GraphEdit, v: ValueId) -> ValueId {
    let mut ty = edit.tensor_type(v);
    ty.dtype = Some(DType::F32);
    let wide = edit.new_value_like(&format!("{}_float32", edit.name(v)));
    edit.set_inferred(wide, Some(ty));
    wide
}

fn cast(edit: &mut GraphEdit, place: Place, (from, into): (ValueId, ValueId), to: DType) {
    let name = format!("{}_Cast", edit.name(into));
    edit.insert(place, NewNode::cast(from, to).name(name).output_into(into));
}

/// Every value of the model but those of nodes that are gone.
fn values(model: &Model) -> Vec<ValueId> {
    let of_graph = |g: GraphId| {
        let graph = model.graph(g);
        graph.inputs().iter().chain(graph.initializers()).copied().collect::<Vec<_>>()
    };
    let made = model.all_nodes().into_iter().flat_map(|id| model.node(id).outputs().iter().flatten().copied());
    model.graphs_under(model.main()).into_iter().flat_map(of_graph).chain(made).collect()
}

/// Makes float32 of a float16 value.
fn retype(edit: &mut GraphEdit, v: ValueId) {
    let wide = |t: TensorType| TensorType { dtype: Some(DType::F32), ..t };
    if let Some(tensor) = edit.value(v).initializer().filter(|t| t.dtype() == DType::F16) {
        let Some(tensor) = tensor.as_floats(DType::F32) else { return };
        return edit.set_initializer(v, tensor);
    }
    let half = |t: &TensorType| t.dtype == Some(DType::F16);
    if let Some(ty) = edit.value(v).declared().and_then(Type::as_tensor).filter(half) {
        edit.set_declared(v, Some(Type::tensor(&wide(ty))));
    }
    if let Some(ty) = edit.value(v).inferred().cloned().filter(half) {
        edit.set_inferred(v, Some(wide(ty)));
    }
}

/// What the attributes of a node say of float16, of float32.
fn rename_types(edit: &mut GraphEdit, id: NodeId) {
    let own_cast = edit.node(id).is("Cast") && edit.node(id).output(0).is_some_and(|y| is_half(edit, y));
    let of = |a: &NamedAttr| -> Option<(String, Attr)> {
        let changed = match &a.value {
            Attr::Tensor(t) if t.dtype() == DType::F16 => Attr::Tensor(t.as_floats(DType::F32)?),
            Attr::Int(code) if NAMES_A_TYPE.contains(&a.name.as_str()) && !own_cast => {
                let half = *code == i64::from(DType::F16.code());
                half.then(|| Attr::Int(i64::from(DType::F32.code())))?
            }
            _ => return None,
        };
        Some((a.name.clone(), changed))
    };
    let changed: Vec<(String, Attr)> = edit.node(id).attrs().iter().filter_map(of).collect();
    for (name, value) in changed {
        edit.set_attr(id, &name, value);
    }
}
