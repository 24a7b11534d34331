//! Inputs of bodies that have the name of a value around them get one of their own.
//!
//! ```text
//! x ─► Loop (body: x ─► …)          x ─► Loop (body: x_1 ─► …)
//! ```
//!
//! The standard forbids to hide a name, but its checker does not look at the inputs of a body, and exporters write such.

use std::collections::HashMap;

use crate::ir::{GraphEdit, GraphId, Model, ValueId};

/// Names in sight, and how often each was given.
type Sight = HashMap<String, usize>;

pub(super) fn unshadow(model: &mut Model) {
    let mut hiding = Vec::new();
    let roots = std::iter::once(model.main()).chain(model.functions().iter().map(|f| f.body));
    for root in roots {
        walk(model, root, &mut Sight::new(), &mut hiding);
    }
    let mut edit = GraphEdit::new(model);
    for value in hiding {
        let name = edit.name(value).to_string();
        let name = edit.fresh_name(&name);
        edit.rename_value(value, &name);
    }
}

/// Adds the inputs of the graphs inside `graph` that hide a value made before their node.
fn walk(model: &Model, graph: GraphId, sight: &mut Sight, hiding: &mut Vec<ValueId>) {
    let g = model.graph(graph);
    let mut defined: Vec<ValueId> = Vec::new();
    let mut define = |sight: &mut Sight, values: &mut dyn Iterator<Item = ValueId>| {
        for v in values {
            *sight.entry(model.name(v).to_string()).or_default() += 1;
            defined.push(v);
        }
    };
    let held = g.inputs().iter().chain(g.initializers()).chain(g.sparse_initializers());
    define(sight, &mut held.copied());
    for id in g.nodes() {
        for (_, body) in model.node(*id).subgraphs() {
            let hides = |v: &&ValueId| sight.get(model.name(**v)).is_some_and(|n| *n > 0);
            hiding.extend(model.graph(body).inputs().iter().filter(hides));
            walk(model, body, sight, hiding);
        }
        define(sight, &mut model.node(*id).outputs().iter().flatten().copied());
    }
    for v in defined {
        if let Some(count) = sight.get_mut(model.name(v)) {
            *count -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ir::{GraphEdit, text};
    use crate::onnx::{load_bytes, to_bytes};

    #[test]
    fn an_input_that_hides_a_value_is_renamed() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[2] x, int64 n, bool go) => (float[2] y)
            { y = Loop (n, go, x) <body: graph = b (int64 i, bool c, float[2] state) => (bool d, float[2] next)
              { d = Identity (c)  next = Add (state, state) }> }";
        let mut model = text::parse(source).unwrap();
        let body = model.node(model.graph(model.main()).nodes()[0]).subgraphs().next().unwrap().1;
        let state = model.graph(body).inputs()[2];
        GraphEdit::new(&mut model).rename_value(state, "x");
        let loaded = load_bytes(to_bytes(&model).unwrap().into(), None).unwrap();
        let body = loaded.node(loaded.graph(loaded.main()).nodes()[0]).subgraphs().next().unwrap().1;
        let inputs: Vec<&str> = loaded.graph(body).inputs().iter().map(|v| loaded.name(*v)).collect();
        assert!(inputs[..2] == ["i", "c"] && inputs[2].starts_with("x") && inputs[2] != "x", "{inputs:?}");
    }
}
