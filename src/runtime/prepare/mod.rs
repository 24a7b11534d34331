//! The prepared copy: the model as a runtime is given it.
//!
//! Every step is ours and leaves the outputs as they are:
//!
//! 1. taps become graph outputs, so that no later step can lose them;
//! 2. input types become concrete, other declared types are dropped: exporters leave symbols in them
//!    which contradict the data, and runtimes infer types themselves;
//! 3. the opset is raised to 13, from where on no operator needs an attribute that may be missing.
//!
//! The copy shares the weights with the original.

use super::{LoadOptions, TensorTypeConcrete};
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model, Origin, Tensor, TensorType, Type, ValueId};
use crate::passes::inline::{inline_branches, inline_functions};
use crate::passes::opset;

/// A model made ready, with what to feed it and where the results are.
#[derive(Debug)]
pub struct Prepared {
    pub model: Model,
    /// Inputs that are left, in the graph's order.
    pub inputs: Vec<(String, TensorTypeConcrete)>,
    /// The outputs of the original in its order, then the taps.
    pub results: Vec<(String, Source)>,
}

/// Where a result comes from.
#[derive(Debug, Clone)]
pub enum Source {
    /// An output of the prepared graph.
    Output(usize),
    /// It is the input of this name itself.
    Input(String),
    /// It is known without running.
    Constant(Tensor),
}

/// Prepares a copy of `model` for runs as `options` describes them.
pub fn prepare(model: &Model, options: &LoadOptions) -> Result<Prepared> {
    let mut copy = model.clone();
    let mut edit = GraphEdit::new(&mut copy);
    inline_functions(&mut edit)?;
    let wanted = results(&edit, options)?;
    drop_types(&mut edit);
    freeze(&mut edit, options);
    let inputs = concretize(&mut edit, options)?;
    inline_branches(&mut edit)?;
    // Squeeze without axes is understood from there on. A model that cannot be raised is tried as it is.
    if let Err(refused) = opset::raise(&mut edit, 13) {
        tracing::debug!("{refused}");
    }
    let results = place(&mut edit, wanted)?;
    Ok(Prepared { model: copy, inputs, results })
}

/// Names and values of what a run returns.
fn results(model: &Model, options: &LoadOptions) -> Result<Vec<(String, ValueId)>> {
    let graph = model.graph(model.main());
    let outputs = graph.outputs().iter().map(|v| (model.name(*v).to_string(), *v));
    let mut wanted: Vec<_> = outputs.collect();
    let made = graph.nodes().iter().flat_map(|n| model.node(*n).outputs().iter().flatten());
    let all = made.chain(graph.inputs()).chain(graph.initializers());
    let by_name: std::collections::HashMap<&str, ValueId> = all.map(|v| (model.name(*v), *v)).collect();
    for tap in &options.taps {
        let Some(value) = by_name.get(tap.as_str()) else {
            return Err(Error::runtime(format!("value \"{tap}\" cannot be observed: it is not in the main graph")));
        };
        wanted.push((tap.clone(), *value));
    }
    Ok(wanted)
}

/// Lists every wanted value as a graph output once.
fn place(edit: &mut GraphEdit, wanted: Vec<(String, ValueId)>) -> Result<Vec<(String, Source)>> {
    let main = edit.main();
    edit.clear_graph_outputs(main);
    let mut listed: Vec<ValueId> = Vec::new();
    let mut results = Vec::new();
    for (name, value) in wanted {
        let source = if let Some(tensor) = edit.constant(value) {
            Source::Constant(tensor.clone())
        } else if let Origin::Input(_) = edit.value(value).origin() {
            Source::Input(edit.name(value).to_string())
        } else {
            let index = listed.iter().position(|v| *v == value).unwrap_or_else(|| {
                edit.add_graph_output(main, value);
                listed.push(value);
                listed.len() - 1
            });
            Source::Output(index)
        };
        results.push((name, source));
    }
    Ok(results)
}

/// Drops the declared types of all but the inputs of the main graph.
fn drop_types(edit: &mut GraphEdit) {
    let inputs = edit.graph(edit.main()).inputs().to_vec();
    for graph in edit.graphs_under(edit.main()) {
        let g = edit.graph(graph);
        let mut values: Vec<ValueId> = g.value_info().iter().chain(g.outputs()).copied().collect();
        values.extend(g.nodes().iter().flat_map(|n| edit.node(*n).outputs().iter().flatten()));
        for value in values.into_iter().filter(|v| !inputs.contains(v)) {
            let elem = edit.value(value).declared().and_then(Type::as_tensor).and_then(|t| t.dtype);
            let bare = elem.map(|dtype| Type::tensor(&TensorType { dtype: Some(dtype), shape: None }));
            edit.set_declared(value, bare);
        }
    }
}

fn freeze(edit: &mut GraphEdit, options: &LoadOptions) {
    let main = edit.main();
    for input in edit.user_inputs() {
        if let Some(tensor) = options.constants.get(edit.name(input)) {
            let tensor = tensor.clone();
            edit.freeze_input(main, input, tensor);
        }
    }
}

/// Gives every input a concrete type; open dimensions that nothing decides become 1.
fn concretize(edit: &mut GraphEdit, options: &LoadOptions) -> Result<Vec<(String, TensorTypeConcrete)>> {
    let mut inputs = Vec::new();
    for input in edit.user_inputs() {
        let name = edit.name(input).to_string();
        let declared = edit.tensor_type(input);
        let given = options.inputs.iter().find(|(n, _)| *n == name).map(|(_, ty)| ty.clone());
        let ty = match (given, declared.dtype, declared.shape) {
            (Some(ty), ..) => ty,
            (None, Some(dtype), Some(shape)) => {
                let dims = shape.iter().map(|d| d.known().map_or(1, |n| n as usize)).collect();
                TensorTypeConcrete { dtype, dims }
            }
            _ => return Err(Error::runtime(format!("input \"{name}\" has no type, and no data tells it"))),
        };
        let concrete = TensorType::new(ty.dtype, ty.dims.iter().copied());
        edit.set_declared(input, Some(Type::tensor(&concrete)));
        inputs.push((name, ty));
    }
    Ok(inputs)
}
