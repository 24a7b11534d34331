//! Bodies of functions and loops copied into the graph around them, under names of their own.

use std::collections::HashMap;

use crate::ir::{Attr, GraphEdit, GraphId, NamedAttr, NewNode, Place, ValueId};

/// A body being copied into the graph around it.
pub struct Copy<'a> {
    pub prefix: String,
    /// From values of the body to those of the copy; `None` is an input that is left out.
    pub values: HashMap<ValueId, Option<ValueId>>,
    /// What an attribute of this name of the caller is.
    pub given: &'a dyn Fn(&str) -> Option<Attr>,
}

impl Copy<'_> {
    pub fn nodes(&mut self, edit: &mut GraphEdit, from: GraphId, place: Place) {
        for id in edit.graph(from).nodes().to_vec() {
            let node = edit.node(id).clone();
            let attrs: Vec<NamedAttr> = node.attrs().iter().filter_map(|a| self.attr(edit, a)).collect();
            let mut new = NewNode::new(node.op_type.clone()).domain(node.raw_domain()).overload(node.overload.clone());
            new = new.attrs(attrs);
            if !node.name.is_empty() {
                new = new.name(format!("{}/{}", self.prefix, node.name));
            }
            new = new.inputs(node.inputs().iter().map(|v| v.and_then(|v| self.value(v))));
            for output in node.outputs() {
                new = match output {
                    Some(v) => new.output(format!("{}/{}", self.prefix, edit.name(*v)), None),
                    None => new.no_output(),
                };
            }
            let made = edit.insert(place, new);
            for (old, new) in node.outputs().iter().zip(edit.node(made).outputs().to_vec()) {
                if let Some(old) = old {
                    self.values.insert(*old, new);
                }
            }
        }
    }

    pub fn initializers(&mut self, edit: &mut GraphEdit, from: GraphId, to: GraphId) {
        for value in edit.graph(from).initializers().to_vec() {
            if let Some(tensor) = edit.value(value).initializer().cloned() {
                let name = format!("{}/{}", self.prefix, edit.name(value));
                let new = edit.add_initializer(to, &name, tensor);
                self.values.insert(value, Some(new));
            }
        }
        for value in edit.graph(from).sparse_initializers().to_vec() {
            if let Some(tensor) = edit.value(value).sparse_initializer().cloned() {
                let new = edit.new_value_like(&format!("{}/{}", self.prefix, edit.name(value)));
                edit.attach_sparse_initializer(to, new, tensor);
                self.values.insert(value, Some(new));
            }
        }
    }

    pub fn value(&self, value: ValueId) -> Option<ValueId> {
        // What the body does not know is a value of an outer graph.
        self.values.get(&value).copied().unwrap_or(Some(value))
    }

    /// The attribute with the caller's value, and with its graphs copied; `None` leaves it out.
    fn attr(&mut self, edit: &mut GraphEdit, attr: &NamedAttr) -> Option<NamedAttr> {
        let value = match &attr.value {
            Attr::Ref { name, .. } => (self.given)(name)?,
            Attr::Graph(g) => Attr::Graph(self.graph(edit, *g)),
            Attr::Graphs(gs) => Attr::Graphs(gs.iter().map(|g| self.graph(edit, *g)).collect()),
            other => other.clone(),
        };
        Some(NamedAttr { name: attr.name.clone(), value, doc: attr.doc.clone() })
    }

    fn graph(&mut self, edit: &mut GraphEdit, from: GraphId) -> GraphId {
        let to = edit.add_graph();
        let old = edit.graph(from).clone();
        edit.graph_meta(to).name = old.name.clone();
        for input in old.inputs() {
            let (name, declared) = (format!("{}/{}", self.prefix, edit.name(*input)), edit.value(*input).declared());
            let declared = declared.cloned();
            let name = edit.fresh_name(&name);
            let new = edit.new_value(name, declared);
            edit.add_graph_input(to, new);
            self.values.insert(*input, Some(new));
        }
        self.initializers(edit, from, to);
        self.nodes(edit, from, Place::End(to));
        for output in old.outputs() {
            if let Some(new) = self.value(*output) {
                if edit.value(new).declared().is_none() {
                    let declared = edit.value(*output).declared().cloned();
                    edit.set_declared(new, declared);
                }
                edit.add_graph_output(to, new);
            }
        }
        to
    }
}
