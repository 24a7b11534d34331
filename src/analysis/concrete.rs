//! A model on inputs of given shapes: the sizes of its values, and the memory that they take.

use std::collections::BTreeMap;

use super::infer;
use crate::ir::{Dim, GraphEdit, Model, TensorType};

/// The model with the sizes of all its values, as far as these shapes of its inputs tell them.
pub(super) fn concrete(model: &Model, inputs: &[(String, Vec<usize>)]) -> Model {
    let mut model = model.clone();
    let mut edit = GraphEdit::new(&mut model);
    for value in edit.user_inputs() {
        let declared = edit.tensor_type(value);
        let given = inputs.iter().find(|(name, _)| name == edit.name(value));
        let shape = match given {
            Some((_, dims)) => dims.iter().map(|d| Dim::from(*d)).collect(),
            None => declared.shape.unwrap_or_default().iter().map(|d| Dim::Known(d.known().unwrap_or(1))).collect(),
        };
        edit.set_inferred(value, Some(TensorType { dtype: declared.dtype, shape: Some(shape) }));
    }
    infer(&mut edit);
    model
}

/// Bytes of the values that the nodes of the main graph make from inputs of these shapes, by name; not of those whose sizes only running finds.
pub fn value_bytes(model: &Model, inputs: &[(String, Vec<usize>)]) -> BTreeMap<String, usize> {
    let model = concrete(model, inputs);
    let nodes = model.graph(model.main()).nodes().iter();
    let made = nodes.flat_map(|n| model.node(*n).outputs().iter().flatten());
    let bytes = |v: &_| {
        let TensorType { dtype, shape } = model.tensor_type(*v);
        let sizes = shape?.iter().map(|d| d.known()?.try_into().ok()).collect::<Option<Vec<usize>>>()?;
        dtype?.byte_len(sizes.iter().try_fold(1usize, |count, n| count.checked_mul(*n))?)
    };
    made.filter_map(|v| Some((model.name(*v).to_string(), bytes(v)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn values_take_what_their_shapes_and_types_say() {
        let source = r#"<ir_version: 8, opset_import: ["" : 17]>
            g (float[N, 4] x) => (int64[K, 2] y, float16[N, 4] z) { h = Relu(x) y = NonZero(h) z = Cast<to = 10>(h) }"#;
        let model = text::parse(source).unwrap();
        let found = value_bytes(&model, &[("x".into(), vec![5, 4])]);
        assert_eq!(found, [("h".to_string(), 80), ("z".to_string(), 40)].into());
    }
}
