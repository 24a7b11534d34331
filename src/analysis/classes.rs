//! Which outputs have classes along their last axis.

use std::collections::BTreeSet;

use super::{dependency, infer};
use crate::ir::{GraphEdit, Model, Use, ValueId};

/// Outputs of three and more axes whose channels, as contractions make them, are known not to be the last axis: maps have their columns
/// there, detectors the places of their boxes. And states, as keys and values of attention: joined to an input of the model, or of four axes
/// and read on inside. Which of these is largest tells no class.
pub fn without_classes(model: &Model) -> BTreeSet<String> {
    let outputs = model.graph(model.main()).outputs().iter().copied();
    let deep: Vec<_> = outputs.filter(|v| model.tensor_type(*v).rank().is_none_or(|rank| rank > 2)).collect();
    if deep.is_empty() {
        return BTreeSet::new();
    }
    let mut model = model.clone();
    infer(&mut GraphEdit::new(&mut model));
    let groups = dependency::groups(&model);
    let members = || groups.iter().flat_map(|g| &g.members);
    let elsewhere = |v: &_| {
        let last = model.tensor_type(*v).rank().filter(|rank| *rank > 2).map(|rank| rank - 1);
        let mut axes = members().filter(|m| m.value == *v).map(|m| m.axis).peekable();
        last.is_some_and(|last| axes.peek().is_some() && axes.all(|axis| axis != last))
    };
    deep.into_iter().filter(|v| elsewhere(v) || is_state(&model, *v)).map(|v| model.name(v).to_string()).collect()
}

/// Whether an output is what the model goes on with at its next call.
fn is_state(model: &Model, v: ValueId) -> bool {
    let inputs = model.graph(model.main()).inputs();
    let joined = model.producer(v).is_some_and(|n| {
        let n = model.node(n);
        n.is("Concat") && n.inputs().iter().flatten().any(|x| inputs.contains(x))
    });
    let read_on = model.uses(v).iter().any(|u| matches!(u, Use::Node { .. }));
    joined || read_on && model.tensor_type(v).rank().is_some_and(|rank| rank > 3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn columns_of_a_map_are_no_classes() {
        let source = r#"<ir_version: 8, opset_import: ["" : 17]>
            g (float[N, 2, 5, 5] x, float[N, 7, 2] t, float[N, 4, 3] past) =>
              (float[N, 3, 5, 5] map, float[N, 3, 25] boxes, float[N, 7, 3] tokens, float[N, 3] y, float[N, 11, 3] present)
            <float[3, 2, 1, 1] w = {1, 2, 3, 4, 5, 6}, float[2, 3] v = {1, 2, 3, 4, 5, 6}, int64[3] flat = {0, 3, 25}> {
                c = Conv(x, w) map = Sigmoid(c) boxes = Reshape(map, flat)
                tokens = MatMul(t, v) present = Concat<axis = 1>(past, tokens) m = GlobalAveragePool(map) y = Flatten(m) }"#;
        let found = without_classes(&text::parse(source).unwrap());
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["boxes", "map", "present"]);
    }
}
