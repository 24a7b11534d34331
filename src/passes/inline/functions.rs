//! Calls of functions that the model defines become the functions' bodies.
//!
//! ```text
//! f(a; alpha) := Mul(Elu(a; alpha), a)
//! x ─► f(alpha = 2) ─► y        x ─► Elu(alpha = 2) ─► Mul(·, x) ─► y
//! ```
//!
//! Attributes that the body takes from its caller get the caller's value, else the function's default, else
//! are left out. Names inside get the call's name before them. Fails on functions that call themselves, on those that
//! would become more nodes than any model has, on a graph handed to a function, and on a function whose operators are of another
//! version than the model's.

use std::collections::HashMap;

use super::copy::Copy;
use super::hand_over;
use crate::error::{Error, Result};
use crate::ir::{Attr, Function, GraphEdit, Model, NamedAttr, NodeId, Place};
use crate::passes::{Pass, PassReport};

pub(in crate::passes) const PASS: Pass =
    Pass::new("inline-functions", "put the bodies of the model's functions where they are called", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    Ok(PassReport::applied(inline_functions(edit)?))
}

/// Calls inside calls go no deeper than this; a deeper one is taken for a function that calls itself.
const DEEPEST: usize = 64;

/// Nodes that all bodies together may become. Functions that call others twice each double it level by level.
const MOST_NODES: u64 = 1 << 18;

/// Inlines every call and drops the functions; returns the number of calls.
pub fn inline_functions(edit: &mut GraphEdit) -> Result<usize> {
    if edit.functions().is_empty() {
        return Ok(0);
    }
    let functions = edit.functions().to_vec();
    hand_no_graphs(edit, &functions)?;
    let mut sizes = vec![None; functions.len()];
    let all = size(edit, &functions, &edit.all_nodes(), &mut sizes, 0)?;
    if all > MOST_NODES {
        return Err(Error::input(format!("functions that call each other become over {MOST_NODES} nodes")));
    }
    let mut calls = 0;
    loop {
        let found: Vec<(NodeId, usize)> =
            edit.all_nodes().into_iter().filter_map(|n| Some((n, called(edit, &functions, n)?))).collect();
        if found.is_empty() {
            edit.remove_functions();
            return Ok(calls);
        }
        for (node, function) in found {
            inline(edit, node, &functions[function]).map_err(|e| e.at_node(edit.describe(node)))?;
            calls += 1;
        }
    }
}

/// How many nodes these become; `sizes` keeps what each function's body becomes.
fn size(
    model: &Model,
    functions: &[Function],
    nodes: &[NodeId],
    sizes: &mut [Option<u64>],
    depth: usize,
) -> Result<u64> {
    if depth > DEEPEST {
        return Err(Error::input(format!("functions call each other more than {DEEPEST} deep")));
    }
    let mut sum = 0u64;
    for node in nodes {
        let own = match called(model, functions, *node) {
            None => 1,
            Some(f) => match sizes[f] {
                Some(known) => known,
                None => {
                    let graphs = model.graphs_under(functions[f].body);
                    let body: Vec<NodeId> = graphs.iter().flat_map(|g| model.graph(*g).nodes()).copied().collect();
                    let found = size(model, functions, &body, sizes, depth + 1)?;
                    sizes[f] = Some(found);
                    found
                }
            },
        };
        sum = sum.saturating_add(own);
    }
    Ok(sum)
}

/// A graph that is an attribute of a call, or the default of one, would be held by every node that takes it.
fn hand_no_graphs(model: &Model, functions: &[Function]) -> Result<()> {
    let is_graph = |a: &&NamedAttr| matches!(a.value, Attr::Graph(_) | Attr::Graphs(_));
    for f in functions {
        if let Some(a) = f.attribute_defaults.iter().find(is_graph) {
            let message =
                format!("function \"{}\": the default of \"{}\" is a graph, which is not supported", f.name, a.name);
            return Err(Error::input(message));
        }
    }
    let roots = functions.iter().map(|f| f.body).chain([model.main()]);
    for node in roots.flat_map(|g| model.graphs_under(g)).flat_map(|g| model.graph(g).nodes()) {
        let graph =
            model.node(*node).attrs().iter().find(is_graph).filter(|_| called(model, functions, *node).is_some());
        if let Some(a) = graph {
            let message = format!("\"{}\" hands a function a graph, which is not supported", a.name);
            return Err(Error::input(message).at_node(model.describe(*node)));
        }
    }
    Ok(())
}

/// Which of the functions the node calls.
fn called(model: &Model, functions: &[Function], node: NodeId) -> Option<usize> {
    let n = model.node(node);
    functions.iter().position(|f| f.name == n.op_type && f.domain == n.domain() && f.overload == n.overload)
}

fn inline(edit: &mut GraphEdit, node: NodeId, function: &Function) -> Result<()> {
    for import in &function.opset_imports {
        match edit.opset(&import.domain) {
            None => edit.set_opset(&import.domain, import.version),
            Some(version) if version == import.version => {}
            Some(version) => {
                return Err(Error::input(format!(
                    "function \"{}\" is written for opset {} of \"{}\", the model imports {version}",
                    function.name, import.version, import.domain
                )));
            }
        }
    }
    let call = edit.node(node).clone();
    let given = |name: &str| {
        let default = || function.attribute_defaults.iter().find(|d| d.name == name).map(|d| &d.value);
        call.attr(name).or_else(default).cloned()
    };
    let mut copy = Copy { prefix: edit.node_label(node).to_string(), values: HashMap::new(), given: &given };
    let (inputs, outputs) = (edit.graph(function.body).inputs().to_vec(), edit.graph(function.body).outputs().to_vec());
    for (index, input) in inputs.into_iter().enumerate() {
        copy.values.insert(input, call.input(index));
    }
    copy.nodes(edit, function.body, Place::Before(node));
    for (index, output) in outputs.into_iter().enumerate() {
        if let Some(Some(new)) = copy.values.get(&output) {
            hand_over(edit, node, index, *new);
        }
    }
    edit.remove_node(node);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{DType, NewNode, OpsetImport, TensorType, Type, verify};

    /// Functions of which each calls the one before twice, and a call of the last.
    fn doubling(count: usize) -> Model {
        let mut model = Model::new(17);
        let mut edit = GraphEdit::new(&mut model);
        edit.set_opset("own", 1);
        for i in 0..count {
            let body = edit.add_graph();
            let a = edit.new_value("a", None);
            edit.add_graph_input(body, a);
            let (op, domain) = if i == 0 { ("Relu".into(), "") } else { (format!("f{}", i - 1), "own") };
            let mut last = a;
            for name in ["b", "c"] {
                let call = NewNode::new(op.clone()).domain(domain).name(name).input(last).output(name, None);
                let call = edit.insert(Place::End(body), call);
                last = edit.node(call).output(0).unwrap();
            }
            edit.add_graph_output(body, last);
            edit.add_function(Function {
                name: format!("f{i}"),
                domain: "own".into(),
                overload: String::new(),
                attributes: Vec::new(),
                attribute_defaults: Vec::new(),
                opset_imports: Vec::new(),
                body,
                extra: bytes::Bytes::new(),
            });
        }
        let main = edit.main();
        let x = edit.new_value("x", Some(Type::tensor(&TensorType::new(DType::F32, [2i64]))));
        edit.add_graph_input(main, x);
        let last = NewNode::new(format!("f{}", count - 1)).domain("own").name("call").input(x).output("y", None);
        let last = edit.insert(Place::End(main), last);
        let y = edit.node(last).output(0).unwrap();
        edit.add_graph_output(main, y);
        model
    }

    #[test]
    fn calls_that_double_are_counted_before_they_are_made() {
        let mut few = doubling(5);
        assert_eq!(inline_functions(&mut GraphEdit::new(&mut few)).unwrap(), 31);
        assert_eq!(few.operator_count(), 32);
        let error = inline_functions(&mut GraphEdit::new(&mut doubling(40))).unwrap_err().to_string();
        assert_eq!(error, "functions that call each other become over 262144 nodes");
    }

    #[test]
    fn a_call_becomes_the_body_with_the_callers_attribute() {
        let mut model = Model::new(17);
        let mut edit = GraphEdit::new(&mut model);
        let main = edit.main();
        let body = edit.add_graph();
        let a = edit.new_value("a", None);
        edit.add_graph_input(body, a);
        let alpha = Attr::Ref { name: "alpha".into(), kind: 1 };
        let elu = NewNode::new("Elu").name("elu").input(a).output("e", None).attr("alpha", alpha);
        let elu = edit.insert(Place::End(body), elu);
        let e = edit.node(elu).output(0).unwrap();
        let mul = edit.insert(Place::End(body), NewNode::new("Mul").input(e).input(a).output("m", None));
        let m = edit.node(mul).output(0).unwrap();
        edit.add_graph_output(body, m);
        edit.set_opset("own", 1);
        edit.add_function(Function {
            name: "f".into(),
            domain: "own".into(),
            overload: String::new(),
            attributes: vec!["alpha".into()],
            attribute_defaults: Vec::new(),
            opset_imports: vec![OpsetImport { domain: String::new(), version: 17 }],
            body,
            extra: bytes::Bytes::new(),
        });
        let x = edit.new_value("x", Some(Type::tensor(&TensorType::new(DType::F32, [2i64]))));
        edit.add_graph_input(main, x);
        let call = NewNode::new("f").domain("own").name("call").input(x).output("y", None).attr("alpha", 2.0f32);
        let call = edit.insert(Place::End(main), call);
        let y = edit.node(call).output(0).unwrap();
        edit.add_graph_output(main, y);
        assert_eq!(inline_functions(&mut edit).unwrap(), 1);
        verify(&model).unwrap();
        let nodes = model.all_nodes();
        assert_eq!(nodes.iter().map(|n| model.node(*n).op_type.as_str()).collect::<Vec<_>>(), ["Elu", "Mul"]);
        assert_eq!(model.node(nodes[0]).float("alpha"), Some(2.0));
        assert_eq!(model.node(nodes[0]).name, "call/elu");
        assert_eq!(model.name(model.graph(main).outputs()[0]), "y");
        assert!(model.functions().is_empty());
    }
}
