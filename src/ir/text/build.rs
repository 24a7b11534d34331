//! Syntax tree → [`Model`]: names become values.

use std::collections::HashMap;

use super::lex::error_at;
use super::parse::{AttrTree, AttrValue, FunctionTree, GraphTree, Info, ModelTree, NodeTree, Stored};
use crate::error::{Error, Result};
use crate::ir::{Attr, Function, GraphEdit, GraphId, Model, NamedAttr, Node, Place, ValueId, verify};

pub(super) fn model(text: &str, tree: ModelTree) -> Result<Model> {
    let mut model = Model::new(1);
    model.meta = tree.meta;
    let main = model.main();
    let mut edit = GraphEdit::new(&mut model);
    edit.remove_opset("");
    for o in tree.opset_imports {
        edit.set_opset(&o.domain, o.version);
    }
    let mut builder = Builder { text, scopes: Vec::new() };
    builder.graph(&mut edit, main, tree.graph)?;
    for f in tree.functions {
        builder.function(&mut edit, f)?;
    }
    verify(&model)?;
    Ok(model)
}

type Names = HashMap<String, ValueId>;

struct Builder<'t> {
    text: &'t str,
    /// Names in sight, innermost graph last.
    scopes: Vec<Names>,
}

impl Builder<'_> {
    fn error(&self, at: usize, message: impl std::fmt::Display) -> Error {
        error_at(self.text, at, message)
    }

    fn function(&mut self, edit: &mut GraphEdit, mut tree: FunctionTree) -> Result<()> {
        let body = edit.add_graph();
        let name = std::mem::take(&mut tree.graph.name);
        self.graph(edit, body, tree.graph)?;
        let function = Function {
            name,
            domain: tree.domain,
            overload: tree.overload,
            attributes: tree.attributes,
            attribute_defaults: self.attributes(edit, tree.defaults)?,
            opset_imports: tree.opset_imports,
            body,
            extra: bytes::Bytes::new(),
        };
        edit.add_function(function);
        Ok(())
    }

    fn graph(&mut self, edit: &mut GraphEdit, id: GraphId, tree: GraphTree) -> Result<()> {
        let mut names = Names::new();
        for info in tree.inputs {
            let value = self.declare(edit, &mut names, info.at, info.name)?;
            edit.set_declared(value, info.ty);
            edit.add_graph_input(id, value);
        }
        for (info, stored) in tree.initializers {
            let value = match names.get(&info.name) {
                Some(input) if edit.value(*input).initializer().is_none() => *input,
                _ => self.declare(edit, &mut names, info.at, info.name)?,
            };
            match stored {
                Stored::Dense(tensor) => edit.attach_initializer(id, value, tensor),
                Stored::Sparse(tensor) => edit.attach_sparse_initializer(id, value, tensor),
            }
        }
        let mut nodes = Vec::with_capacity(tree.nodes.len());
        for mut node in tree.nodes {
            let mut outputs = Vec::with_capacity(node.outputs.len());
            for name in std::mem::take(&mut node.outputs) {
                outputs.push(match name.as_str() {
                    "" => None,
                    _ => Some(self.declare(edit, &mut names, node.at, name)?),
                });
            }
            nodes.push((node, outputs));
        }
        self.scopes.push(names);
        for (node, outputs) in nodes {
            let node = self.node(edit, node, outputs)?;
            edit.insert_node(Place::End(id), node);
        }
        for info in tree.outputs {
            let value = self.find(&info, "graph output")?;
            if edit.value(value).declared().is_none() {
                edit.set_declared(value, info.ty);
            }
            edit.add_graph_output(id, value);
        }
        for info in tree.value_info {
            let value = self.find(&info, "value")?;
            if edit.value(value).declared().is_none() {
                edit.set_declared(value, info.ty);
            }
            edit.list_value_info(id, value);
        }
        self.scopes.pop();
        edit.graph_meta(id).name = Some(tree.name).filter(|n| !n.is_empty());
        edit.sort(id).map_err(|cycle| {
            let at = edit.describe(cycle[0]);
            Error::input(format!("{} nodes wait for each other in a cycle", cycle.len())).at_node(at)
        })
    }

    fn declare(&self, edit: &mut GraphEdit, names: &mut Names, at: usize, name: String) -> Result<ValueId> {
        if name.is_empty() {
            return Err(self.error(at, "a value needs a name"));
        }
        if names.contains_key(&name) {
            return Err(self.error(at, format!("value \"{name}\" is defined twice in one graph")));
        }
        let value = edit.new_value(name.clone(), None);
        names.insert(name, value);
        Ok(value)
    }

    fn look_up(&self, name: &str) -> Option<ValueId> {
        self.scopes.iter().rev().find_map(|s| s.get(name).copied())
    }

    fn find(&self, info: &Info, what: &str) -> Result<ValueId> {
        let missing = || self.error(info.at, format!("{what} \"{}\" is made by nothing", info.name));
        self.look_up(&info.name).ok_or_else(missing)
    }

    fn node(&mut self, edit: &mut GraphEdit, tree: NodeTree, outputs: Vec<Option<ValueId>>) -> Result<Node> {
        let mut inputs = Vec::with_capacity(tree.inputs.len());
        for (i, name) in tree.inputs.iter().enumerate() {
            inputs.push(match name.as_str() {
                "" => None,
                _ => Some(self.look_up(name).ok_or_else(|| {
                    let message = format!("input {i} \"{name}\" of this {} is made by nothing", tree.op_type);
                    self.error(tree.at, message)
                })?),
            });
        }
        Ok(Node {
            name: tree.name,
            op_type: tree.op_type,
            raw_domain: tree.domain,
            overload: tree.overload,
            inputs,
            outputs,
            attrs: self.attributes(edit, tree.attrs)?,
            ..Node::default()
        })
    }

    fn attributes(&mut self, edit: &mut GraphEdit, trees: Vec<AttrTree>) -> Result<Vec<NamedAttr>> {
        let mut attrs = Vec::with_capacity(trees.len());
        for tree in trees {
            let mut add = |graph: GraphTree| {
                let id = edit.add_graph();
                self.graph(edit, id, graph).map(|()| id)
            };
            let value = match tree.value {
                AttrValue::Plain(value) => value,
                AttrValue::Graph(graph) => Attr::Graph(add(graph)?),
                AttrValue::Graphs(graphs) => Attr::Graphs(graphs.into_iter().map(add).collect::<Result<_>>()?),
            };
            attrs.push(NamedAttr { name: tree.name, value, doc: None });
        }
        Ok(attrs)
    }
}
