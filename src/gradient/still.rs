//! The forward graph made ready: concrete shapes, nothing computed that the shapes tell, weights as inputs.
//!
//! ```text
//! Constant W ─► MatMul            input W ─► MatMul         so that no folding takes a weight out of sight
//! Shape(x) ─► … ─► Reshape        [8, 64] ─► Reshape        so that rules see sizes
//! ```

use std::collections::BTreeSet;

use crate::analysis;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NewNode, Place, Tensor, TensorType, Type, ValueId};
use crate::passes::{SimplifyOptions, simplify};
use crate::runtime::{LoadOptions, Rewrites, prepared};

/// What settles shapes and constants, and changes nothing that is computed.
const SETTLE: [&str; 7] = [
    "fold-constants",
    "inline-branches",
    "inline-loops",
    "eliminate-identity",
    "constant-reshape",
    "dead-nodes",
    "common-subexpressions",
];

/// The copy, and those of `wanted` that were constants.
pub(super) fn still(
    model: &Model,
    options: &LoadOptions,
    wanted: &[String],
) -> Result<(Model, Vec<(ValueId, Tensor)>)> {
    let options = LoadOptions { rewrites: Rewrites::Runtime, taps: Vec::new(), ..options.clone() };
    let mut model = prepared(model, &options)?.model;
    settle(&mut model, &["hoist-constants"])?;
    let mut edit = GraphEdit::new(&mut model);
    let main = edit.main();
    let mut constants = Vec::new();
    for name in wanted.iter().collect::<BTreeSet<_>>() {
        let Some(value) = find(&edit, name) else { continue };
        let Some(tensor) = edit.value(value).initializer().cloned() else { continue };
        let ty = TensorType::new(tensor.dtype(), tensor.shape().iter().copied());
        edit.set_declared(value, Some(Type::tensor(&ty)));
        edit.drop_default(main, value);
        edit.add_graph_input(main, value);
        constants.push((value, tensor));
    }
    settle(&mut model, &SETTLE)?;
    analysis::infer(&mut GraphEdit::new(&mut model));
    Ok((model, constants))
}

fn settle(model: &mut Model, passes: &[&str]) -> Result<()> {
    let only = passes.iter().map(|p| (*p).to_string()).collect();
    simplify(model, &SimplifyOptions { only, ..SimplifyOptions::default() }).map(|_| ())
}

/// The value of that name in the main graph.
pub(super) fn find(model: &Model, name: &str) -> Option<ValueId> {
    let main = model.graph(model.main());
    let made = main.nodes().iter().flat_map(|n| model.node(*n).outputs().iter().flatten());
    let mut values = made.chain(main.inputs()).chain(main.initializers());
    values.find(|v| model.name(**v) == name).copied()
}

/// The graph output that holds `value`: itself where a node makes it, else a copy of it.
pub(super) fn output(edit: &mut GraphEdit, value: ValueId) -> ValueId {
    let main = edit.main();
    if edit.is_output(value) {
        return value;
    }
    let value = match edit.producer(value) {
        Some(_) => value,
        None => {
            let ty = edit.tensor_type(value);
            let name = format!("{}_copy", edit.name(value));
            let node = edit.insert(Place::End(main), NewNode::new("Identity").input(value).output(name, Some(ty)));
            // Made with one output just now.
            edit.node(node).output(0).expect("a node just made has its output")
        }
    };
    let ty = edit.tensor_type(value);
    edit.set_declared(value, Some(Type::tensor(&ty)));
    edit.add_graph_output(main, value);
    value
}
