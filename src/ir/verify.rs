//! The invariants of a model, checked after every pass in tests and debug builds, and after loading.

use std::collections::{HashMap, HashSet};

use super::model::{GraphId, Model, ValueId};
use super::parts::{Origin, Use};
use crate::error::{Error, Result};

/// Checks that
/// - every value that is read is made once, by a node, an input or an initializer of a graph that encloses the reader;
/// - nodes are in execution order;
/// - the kept producers and readers are those that the nodes and graphs list;
/// - names of values are unique in their scope and not empty.
pub fn verify(model: &Model) -> Result<()> {
    let mut uses: HashMap<ValueId, Vec<Use>> = HashMap::new();
    let mut seen = HashSet::new();
    walk(model, model.main(), &mut Scope::default(), &mut uses, &mut seen)?;
    for f in model.functions() {
        walk(model, f.body, &mut Scope::default(), &mut uses, &mut seen)?;
    }
    for v in &seen {
        let kept = model.uses(*v);
        let found = uses.get(v).map_or(&[][..], Vec::as_slice);
        if kept.len() != found.len() || !kept.iter().all(|u| found.contains(u)) {
            return Err(Error::internal(format!(
                "value \"{}\" keeps readers {kept:?}, there are {found:?}",
                model.name(*v)
            )));
        }
    }
    Ok(())
}

#[derive(Default)]
struct Scope {
    values: HashSet<ValueId>,
    names: HashMap<String, usize>,
}

impl Scope {
    fn define(&mut self, model: &Model, value: ValueId, what: &str) -> Result<()> {
        let name = model.name(value);
        if name.is_empty() {
            return Err(Error::input(format!("{what} has an empty name")));
        }
        let count = self.names.entry(name.to_string()).or_default();
        *count += 1;
        if *count > 1 || !self.values.insert(value) {
            return Err(Error::input(format!("value \"{name}\" is defined twice in one scope")));
        }
        Ok(())
    }

    fn leave(&mut self, model: &Model, defined: &[ValueId]) {
        for v in defined {
            self.values.remove(v);
            if let Some(count) = self.names.get_mut(model.name(*v)) {
                *count -= 1;
            }
        }
    }
}

fn walk(
    model: &Model,
    graph: GraphId,
    scope: &mut Scope,
    uses: &mut HashMap<ValueId, Vec<Use>>,
    seen: &mut HashSet<ValueId>,
) -> Result<()> {
    let g = model.graph(graph);
    let mut defined = Vec::new();
    for v in g.inputs() {
        check_origin(model, *v, Origin::Input(graph))?;
        scope.define(model, *v, "a graph input")?;
        defined.push(*v);
    }
    for v in g.initializers().iter().chain(g.sparse_initializers()) {
        if model.value(*v).origin() != Origin::Input(graph) {
            check_origin(model, *v, Origin::Initializer(graph))?;
            scope.define(model, *v, "an initializer")?;
            defined.push(*v);
        }
    }
    for id in g.nodes() {
        let node = model.node(*id);
        if node.op_type.is_empty() {
            return Err(Error::input("has no operator type").at_node(model.describe(*id)));
        }
        if node.graph() != graph {
            return Err(Error::internal("sits in another graph than it says").at_node(model.describe(*id)));
        }
        for (input, v) in node.inputs().iter().enumerate() {
            let Some(v) = v else { continue };
            if !scope.values.contains(v) {
                let message = format!("input {input} \"{}\" is read before it is made, or never made", model.name(*v));
                return Err(Error::input(message).at_node(model.describe(*id)));
            }
            uses.entry(*v).or_default().push(Use::Node { node: *id, input });
        }
        for (_, nested) in node.subgraphs() {
            walk(model, nested, scope, uses, seen)?;
        }
        for (output, v) in node.outputs().iter().enumerate() {
            let Some(v) = v else { continue };
            check_origin(model, *v, Origin::Node { node: *id, output })?;
            scope.define(model, *v, "an output").map_err(|e| e.at_node(model.describe(*id)))?;
            defined.push(*v);
        }
    }
    for (index, v) in g.outputs().iter().enumerate() {
        if !scope.values.contains(v) {
            return Err(Error::input(format!("graph output \"{}\" is made by no node", model.name(*v))));
        }
        uses.entry(*v).or_default().push(Use::Output { graph, index });
    }
    seen.extend(&defined);
    scope.leave(model, &defined);
    Ok(())
}

fn check_origin(model: &Model, value: ValueId, origin: Origin) -> Result<()> {
    if !model.is_live_value(value) {
        return Err(Error::internal(format!("{value} was removed but is still listed")));
    }
    let kept = model.value(value).origin();
    if kept == origin {
        return Ok(());
    }
    Err(Error::internal(format!("value \"{}\" keeps origin {kept:?}, it is {origin:?}", model.name(value))))
}
