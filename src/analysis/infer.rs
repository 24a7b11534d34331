//! Types of all values, node after node in execution order, by the rules of [`crate::ops`].

use std::collections::HashMap;

use crate::ir::{DType, Dim, GraphEdit, GraphId, Model, NodeId, Shape, Tensor, TensorType, Type, ValueId};
use crate::ops::{self, Context};

/// Longer tensors are data, not shapes.
const MAX_VALUE: usize = 256;

/// Elements of small integer tensors that nodes compute, as far as they are known; see [`Context::values`].
#[derive(Debug, Default)]
pub struct Values(HashMap<ValueId, Vec<Dim>>);

impl Values {
    /// The elements of an integer tensor, each a number, a name or open; `None` where nothing is known of them.
    pub fn get(&self, value: ValueId) -> Option<&[Dim]> {
        self.0.get(&value).map(Vec::as_slice)
    }
}

/// Writes what follows from the types of inputs and initializers to the values of the main graph and of its
/// subgraphs. What the file declares stays where inference knows less; a size on which both differ is unknown, and of ranks that differ
/// that of the operators counts.
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
    if op.infer.is_none() && op.value.is_none() && op.quant.dtype_from().is_none() {
        return;
    }
    let context = context(edit, id, values);
    let mut types = op.infer.and_then(|rule| rule(&context)).unwrap_or_default();
    if types.is_empty()
        && let Some(dtype) = op.quant.dtype_from().and_then(|input| context.types.get(input)?.dtype)
    {
        types = vec![TensorType { dtype: Some(dtype), shape: None }];
    }
    let value = op.value.and_then(|rule| rule(&context)).filter(|v| v.len() <= MAX_VALUE);
    let outputs = edit.node(id).outputs().to_vec();
    for (output, found) in outputs.iter().zip(types) {
        if let Some(output) = output {
            let merged = merge(found, edit, *output);
            edit.set_inferred(*output, Some(merged));
        }
    }
    if let (Some(Some(output)), Some(value)) = (outputs.first(), value)
        && let Some(dtype) = edit.tensor_type(*output).dtype.filter(|d| is_index(*d))
    {
        values.0.insert(*output, value.into_iter().map(|d| within(dtype, d)).collect());
    }
}

/// An element as the dtype stores it: a cast may have changed it.
fn within(dtype: DType, element: Dim) -> Dim {
    match (dtype, &element) {
        (DType::Bool, Dim::Known(n)) => Dim::Known(i64::from(*n != 0)),
        (DType::Bool, _) => Dim::Unknown,
        (DType::I32, Dim::Known(n)) if i32::try_from(*n).is_err() => Dim::Unknown,
        _ => element,
    }
}

fn is_index(dtype: DType) -> bool {
    matches!(dtype, DType::I64 | DType::I32 | DType::Bool)
}

/// How names begin that a size which is not known goes by; no file's do.
const OWN: char = '%';

/// What is known of a value as a file may say it: sizes that only inference has a name for are open.
pub fn declarable(model: &Model, value: ValueId) -> TensorType {
    let open = |dim: Dim| if matches!(&dim, Dim::Symbol(s) if s.starts_with(OWN)) { Dim::Unknown } else { dim };
    let ty = model.tensor_type(value);
    TensorType { shape: ty.shape.map(|dims| dims.into_iter().map(open).collect()), ..ty }
}

/// The shape of a value, where a size that is not known goes by a name of its own.
pub fn shape_of(model: &Model, value: ValueId) -> Option<Shape> {
    let name = |(axis, dim): (usize, Dim)| match dim {
        Dim::Unknown => Dim::Symbol(format!("{value}.{axis}")),
        dim => dim,
    };
    Some(model.tensor_type(value).shape?.into_iter().enumerate().map(name).collect())
}

fn context<'a>(model: &'a Model, id: NodeId, values: &Values) -> Context<'a> {
    let node = model.node(id);
    let ty = |v: ValueId| TensorType { dtype: model.tensor_type(v).dtype, shape: shape_of(model, v) };
    let types = node.inputs().iter().map(|v| v.map(ty).unwrap_or_default()).collect();
    let known = |v: &Option<ValueId>| {
        let small = |t: &&Tensor| is_index(t.dtype()) && t.len() <= MAX_VALUE;
        match model.constant((*v)?) {
            Some(tensor) => Some(small(&tensor).then(|| tensor.to_i64())??.into_iter().map(Dim::Known).collect()),
            None => values.get((*v)?).map(<[Dim]>::to_vec).or_else(|| open(model, (*v)?)),
        }
    };
    Context { model, node, types, values: node.inputs().iter().map(known).collect() }
}

/// A single index of which nothing is known: what it is multiplied with may decide.
fn open(model: &Model, value: ValueId) -> Option<Vec<Dim>> {
    let ty = model.tensor_type(value);
    let single = ty.dtype.is_some_and(is_index) && ty.known_shape().is_some_and(|s| s.iter().all(|n| *n == 1));
    single.then(|| vec![Dim::Unknown])
}

/// What inference found, completed by what was known before.
fn merge(mut found: TensorType, model: &Model, value: ValueId) -> TensorType {
    let v = model.value(value);
    let declared = v.declared().and_then(Type::as_tensor);
    for known in v.inferred().cloned().into_iter().chain(declared) {
        found.dtype = found.dtype.or(known.dtype);
        found.shape = match (found.shape, known.shape) {
            (Some(a), Some(b)) if a.len() == b.len() => Some(a.into_iter().zip(b).map(|(a, b)| join(a, b)).collect()),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    fn types(source: &str) -> Vec<String> {
        let mut model = text::parse(source).unwrap();
        infer(&mut GraphEdit::new(&mut model));
        model.graph(model.main()).outputs().iter().map(|v| model.tensor_type(*v).to_string()).collect()
    }

    #[test]
    fn sizes_of_a_resize_are_rounded_as_runtimes_do() {
        // 3 times the nearest number to 7/3 is below 7 in double precision, and 7 in single.
        let source =
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[3] x) => (float[] y) <float[1] k = {2.3333333}>
            { r = Resize <mode = \"nearest\"> (x, , k) y = Relu (r) }";
        assert_eq!(types(source), ["float[7]"]);
    }

    #[test]
    fn what_is_picked_by_indices_has_their_shape() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]>
            g (float[B,4,5] x, int64[B,4,2] i, int64[7,1] rows, bool[4] c) => (a, b, d, e, f) <int64[1] k = {3}>
            { a = GatherElements <axis = 2> (x, i)  b = GatherND (x, rows)  d, e = TopK (x, k)
              f = Compress <axis = 1> (x, c) }";
        let found = types(source);
        assert_eq!(found[..4], ["float[B,4,2]", "float[7,4,5]", "float[B,4,3]", "int64[B,4,3]"]);
        assert!(found[4].starts_with("float[B,") && found[4].ends_with(",5]"), "{found:?}");
    }

    #[test]
    fn columns_of_a_table_keep_their_shape_and_become_floats() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17, \"ai.onnx.ml\" : 3]> g (double[N,4] x) => (y, z)
            { y = ai.onnx.ml.Scaler <offset = [1.0], scale = [2.0]> (x)  z = ai.onnx.ml.Imputer (x) }";
        assert_eq!(types(source), ["float[N,4]", "double[N,4]"]);
    }

    #[test]
    fn of_ranks_that_differ_that_of_the_operators_counts() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[2,3] x) => (float[N] y) { y = Relu (x) }";
        assert_eq!(types(source), ["float[2,3]"]);
    }

    #[test]
    fn an_output_dtype_decides() {
        let source = "<ir_version: 11, opset_import: [\"\" : 23]> g (uint8[3] q, float[3] x) => (d, e, u)
            <float s = {0.5}>
            { d = DequantizeLinear <output_dtype = 10> (q, s)
              e = DequantizeLinear (q, s)
              u = QuantizeLinear <output_dtype = 3> (x, s) }";
        assert_eq!(types(source), ["float16[3]", "float[3]", "int8[3]"]);
    }
}
