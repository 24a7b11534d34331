//! Types of all values, node after node in execution order, by the rules of [`crate::ops`].

use std::collections::HashMap;

use crate::ir::{DType, Dim, GraphEdit, GraphId, Model, NodeId, Tensor, TensorType, Type, ValueId};
use crate::ops::{self, Context};

/// Longer tensors are data, not shapes.
const MAX_VALUE: usize = 256;

/// Elements of small integer tensors that nodes compute, as far as they are known; see [`Context::values`].
#[derive(Debug, Default)]
pub struct Values(HashMap<ValueId, Vec<Dim>>);

impl Values {
    pub fn get(&self, value: ValueId) -> Option<&[Dim]> {
        self.0.get(&value).map(Vec::as_slice)
    }
}

/// Writes what follows from the types of inputs and initializers to the values of the main graph and of its
/// subgraphs. What the file declares stays where inference knows less; a size on which both differ is unknown.
pub fn infer(edit: &mut GraphEdit) -> Values {
    let mut values = Values::default();
    let main = edit.main();
    walk(edit, main, &mut values);
    values
}

fn walk(edit: &mut GraphEdit, graph: GraphId, values: &mut Values) {
    for id in edit.graph(graph).nodes().to_vec() {
        let inner: Vec<GraphId> = edit.node(id).subgraphs().map(|(_, g)| g).collect();
        for graph in inner {
            walk(edit, graph, values);
        }
        visit(edit, id, values);
    }
}

fn visit(edit: &mut GraphEdit, id: NodeId, values: &mut Values) {
    let Some(op) = ops::of(edit.node(id)) else { return };
    if op.infer.is_none() && op.value.is_none() {
        return;
    }
    let context = context(edit, id, values);
    let types = op.infer.and_then(|rule| rule(&context)).unwrap_or_default();
    let value = op.value.and_then(|rule| rule(&context)).filter(|v| v.len() <= MAX_VALUE);
    let outputs = edit.node(id).outputs().to_vec();
    for (output, found) in outputs.iter().zip(types) {
        if let Some(output) = output {
            let merged = merge(found, edit, *output);
            edit.set_inferred(*output, Some(merged));
        }
    }
    if let (Some(Some(output)), Some(value)) = (outputs.first(), value)
        && edit.tensor_type(*output).dtype.is_some_and(is_index)
    {
        values.0.insert(*output, value);
    }
}

fn is_index(dtype: DType) -> bool {
    matches!(dtype, DType::I64 | DType::I32)
}

fn context<'a>(model: &'a Model, id: NodeId, values: &Values) -> Context<'a> {
    let node = model.node(id);
    let types = node.inputs().iter().map(|v| v.map(|v| model.tensor_type(v)).unwrap_or_default()).collect();
    let known = |v: &Option<ValueId>| {
        let small = |t: &&Tensor| is_index(t.dtype()) && t.len() <= MAX_VALUE;
        match model.constant((*v)?) {
            Some(tensor) => Some(small(&tensor).then(|| tensor.to_i64())??.into_iter().map(Dim::Known).collect()),
            None => values.get((*v)?).map(<[Dim]>::to_vec),
        }
    };
    Context { model, node, types, values: node.inputs().iter().map(known).collect() }
}

/// What inference found, completed by what was known before.
fn merge(mut found: TensorType, model: &Model, value: ValueId) -> TensorType {
    let v = model.value(value);
    let declared = v.declared().and_then(Type::as_tensor);
    for known in v.inferred().cloned().into_iter().chain(declared) {
        found.dtype = found.dtype.or(known.dtype);
        found.shape = match (found.shape, known.shape) {
            (Some(a), Some(b)) if a.len() == b.len() => Some(a.into_iter().zip(b).map(|(a, b)| join(a, b)).collect()),
            // Ranks that differ: trust the file, as before.
            (Some(_), Some(b)) => Some(b),
            (a, b) => a.or(b),
        };
    }
    found
}

fn join(found: Dim, known: Dim) -> Dim {
    match (found.known(), known.known()) {
        (Some(a), Some(b)) if a != b => Dim::Unknown,
        (Some(_), _) => found,
        (None, Some(_)) => known,
        (None, None) if matches!(found, Dim::Symbol(_)) => found,
        (None, None) => known,
    }
}
