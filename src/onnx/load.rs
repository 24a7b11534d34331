//! File → [`Model`].

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use prost::Message;

use super::external::ExternalFiles;
use super::proto::{FunctionProto, GraphProto, ModelProto, NodeProto, TensorProto, ValueInfoProto};
use super::shadow::unshadow;
use super::tensor::{sparse_tensor, tensor};
use super::{attribute, props, types};
use crate::error::{Error, Result};
use crate::files::folder_of;
use crate::ir::{
    Function, Graph, GraphEdit, GraphId, Meta, Model, NamedAttr, Node, OpsetImport, Place, QuantAnnotation, ValueId,
    verify,
};
use crate::mapped::Mapped;

/// Loads a model and checks it. Weights stay in the mapped file (and in the files beside it).
pub fn load(path: &Path) -> Result<Model> {
    let map = Mapped::open(path)?;
    // Data lie beside the name that is given, or beside the file that it links to.
    let mut folders = vec![folder_of(path).to_path_buf()];
    folders.extend(path.canonicalize().ok().map(|real| folder_of(&real).to_path_buf()));
    let mut model = read(map.bytes(), folders).map_err(|e| e.in_file(path))?;
    model.files.push(map);
    Ok(model)
}

/// As [`load`], from memory; external data is looked for in `folder`.
pub fn load_bytes(bytes: Bytes, folder: Option<&Path>) -> Result<Model> {
    read(bytes, folder.into_iter().map(Path::to_path_buf).collect())
}

fn read(bytes: Bytes, folders: Vec<PathBuf>) -> Result<Model> {
    if bytes.is_empty() {
        return Err(Error::input("is empty, not an ONNX model"));
    }
    let p = ModelProto::decode(bytes).map_err(|e| Error::input(format!("is not an ONNX model: {e}")).caused_by(e))?;
    let mut model = Loader { files: ExternalFiles::new(folders), scopes: Vec::new() }.model(p)?;
    unshadow(&mut model);
    verify(&model)?;
    Ok(model)
}

type Names = HashMap<String, ValueId>;

pub(super) struct Loader {
    pub(super) files: ExternalFiles,
    /// Names in sight, innermost graph last.
    scopes: Vec<Names>,
}

impl Loader {
    fn model(mut self, mut p: ModelProto) -> Result<Model> {
        let graph = p.graph.take().ok_or_else(|| Error::input("is not an ONNX model: it has no graph"))?;
        let mut model = Model::new(1);
        let imports: Vec<OpsetImport> = p.opset_import.drain(..).map(import).collect();
        let functions = std::mem::take(&mut p.functions);
        model.meta = Meta {
            ir_version: p.ir_version.take(),
            producer_name: p.producer_name.take(),
            producer_version: p.producer_version.take(),
            domain: p.domain.take(),
            model_version: p.model_version.take(),
            doc: p.doc_string.take(),
            metadata: props(std::mem::take(&mut p.metadata_props)),
        };
        model.extra = p.encode_to_vec().into();
        // Before IR version 3 there was none to say, and it is the first.
        if imports.is_empty() && model.meta.ir_version.is_some_and(|v| v >= 3) {
            return Err(Error::input(
                "is no valid ONNX model: it says no opset_import, so what its operators mean is open",
            ));
        }
        let main = model.main();
        let mut edit = GraphEdit::new(&mut model);
        edit.remove_opset("");
        for o in imports {
            let standard = o.domain == "ai.onnx";
            match edit.opset(if standard { "" } else { &o.domain }) {
                // Some exporters write an import once more (skl2onnx 1.20).
                Some(first) if first == o.version => {}
                Some(first) => {
                    let (domain, second) = (&o.domain, o.version);
                    return Err(Error::input(format!(
                        "imports the opset of domain \"{domain}\" twice, as version {first} and as {second}"
                    )));
                }
                None => edit.set_opset(&o.domain, o.version),
            }
        }
        self.graph(&mut edit, main, graph)?;
        for f in functions {
            self.function(&mut edit, f)?;
        }
        model.files = self.files.into_maps();
        model.external_data = !model.files.is_empty();
        Ok(model)
    }

    fn function(&mut self, edit: &mut GraphEdit, mut f: FunctionProto) -> Result<()> {
        let body = edit.add_graph();
        let info = |name: String| ValueInfoProto { name: Some(name), ..Default::default() };
        let graph = GraphProto {
            node: std::mem::take(&mut f.node),
            input: f.input.drain(..).map(info).collect(),
            output: f.output.drain(..).map(info).collect(),
            value_info: std::mem::take(&mut f.value_info),
            ..Default::default()
        };
        let name = f.name.take().unwrap_or_default();
        self.graph(edit, body, graph).map_err(|e| Error::new(e.kind(), format!("function \"{name}\": {e}")))?;
        let defaults = std::mem::take(&mut f.attribute_proto);
        let function = Function {
            name,
            domain: take_text(&mut f.domain),
            overload: take_text(&mut f.overload),
            attributes: std::mem::take(&mut f.attribute),
            attribute_defaults: defaults.into_iter().map(|a| attribute::read(self, edit, a)).collect::<Result<_>>()?,
            opset_imports: f.opset_import.drain(..).map(import).collect(),
            body,
            extra: f.encode_to_vec().into(),
        };
        edit.add_function(function);
        Ok(())
    }

    pub(super) fn graph(&mut self, edit: &mut GraphEdit, id: GraphId, mut p: GraphProto) -> Result<()> {
        let mut names = self.given(edit, id, &mut p)?;
        let mut outputs = Vec::with_capacity(p.node.len());
        for n in &mut p.node {
            let at = label(n);
            let made = std::mem::take(&mut n.output).into_iter().map(|name| match name.as_str() {
                "" => Ok(None),
                _ => declare(edit, &mut names, name).map(Some),
            });
            outputs.push(made.collect::<Result<Vec<_>>>().map_err(|e| e.at_node(at))?);
        }
        self.scopes.push(names);
        for (n, outputs) in std::mem::take(&mut p.node).into_iter().zip(outputs) {
            let at = label(&n);
            let node = self.node(edit, n, outputs).map_err(|e| e.at_node(at))?;
            edit.insert_node(Place::End(id), node);
        }
        for info in std::mem::take(&mut p.output) {
            let value = self.find(info.name()).ok_or_else(|| {
                Error::input(format!("graph output \"{}\" is made by no node, input or initializer", info.name()))
            })?;
            if edit.value(value).declared().is_none() {
                describe(edit, value, info);
            }
            edit.add_graph_output(id, value);
        }
        let names = self.scopes.pop().unwrap_or_default();
        value_info(edit, id, &names, &mut p);
        meta(edit.graph_meta(id), p);
        edit.sort(id).map_err(|cycle| {
            let at = edit.describe(cycle[0]);
            Error::input(format!("{} nodes wait for each other in a cycle", cycle.len())).at_node(at)
        })
    }

    /// Its inputs and initializers, by name.
    fn given(&mut self, edit: &mut GraphEdit, id: GraphId, p: &mut GraphProto) -> Result<Names> {
        let mut names = Names::new();
        for info in std::mem::take(&mut p.input) {
            let value = declare(edit, &mut names, info.name().to_string())?;
            describe(edit, value, info);
            edit.add_graph_input(id, value);
        }
        for t in std::mem::take(&mut p.initializer) {
            self.initializer(edit, id, &mut names, t)?;
        }
        for t in std::mem::take(&mut p.sparse_initializer) {
            let mut t = sparse_tensor(t, &mut self.files)?;
            let name = t.values.as_mut().and_then(|v| v.name.take()).unwrap_or_default();
            t.places().map_err(|e| e.at_node(format!("initializer \"{name}\"")))?;
            let value = declare(edit, &mut names, name)?;
            edit.attach_sparse_initializer(id, value, t);
        }
        Ok(names)
    }

    fn initializer(&mut self, edit: &mut GraphEdit, id: GraphId, names: &mut Names, t: TensorProto) -> Result<()> {
        let mut t = tensor(t, &mut self.files)?;
        let name = t.name.take().unwrap_or_default();
        let value = match names.get(&name) {
            Some(input) if edit.value(*input).initializer().is_none() => *input,
            _ => declare(edit, names, name)?,
        };
        edit.attach_initializer(id, value, t);
        Ok(())
    }

    fn find(&self, name: &str) -> Option<ValueId> {
        self.scopes.iter().rev().find_map(|s| s.get(name).copied())
    }

    fn node(&mut self, edit: &mut GraphEdit, mut n: NodeProto, outputs: Vec<Option<ValueId>>) -> Result<Node> {
        let find = |(i, name): (usize, &String)| match name.as_str() {
            "" => Ok(None),
            name => self
                .find(name)
                .map(Some)
                .ok_or_else(|| Error::input(format!("input {i} \"{name}\" is made by no node, input or initializer"))),
        };
        let inputs: Vec<_> = n.input.iter().enumerate().map(find).collect::<Result<_>>()?;
        n.input.clear();
        let attrs = std::mem::take(&mut n.attribute).into_iter();
        let attrs: Vec<NamedAttr> = attrs.map(|a| attribute::read(self, edit, a)).collect::<Result<_>>()?;
        let mut node = Node::from_parts(inputs, outputs, attrs, take_text(&mut n.domain));
        node.name = take_text(&mut n.name);
        node.op_type = take_text(&mut n.op_type);
        node.overload = take_text(&mut n.overload);
        node.doc = n.doc_string.take();
        node.metadata = props(std::mem::take(&mut n.metadata_props));
        node.extra = n.encode_to_vec().into();
        Ok(node)
    }
}

fn import(o: super::proto::OperatorSetIdProto) -> OpsetImport {
    OpsetImport { domain: o.domain.unwrap_or_default(), version: o.version.unwrap_or_default() }
}

fn declare(edit: &mut GraphEdit, names: &mut Names, name: String) -> Result<ValueId> {
    if name.is_empty() {
        return Err(Error::input("an input or initializer of the graph has no name"));
    }
    if names.contains_key(&name) {
        return Err(Error::input(format!("value \"{name}\" is defined twice in one graph")));
    }
    let value = edit.new_value(name.clone(), None);
    names.insert(name, value);
    Ok(value)
}

fn describe(edit: &mut GraphEdit, value: ValueId, info: ValueInfoProto) {
    edit.set_declared(value, info.r#type.map(types::from_proto));
    edit.set_value_doc(value, info.doc_string);
    *edit.value_metadata(value) = props(info.metadata_props);
}

/// Types that the file states of values inside a graph. An entry that names nothing here, or contradicts what is declared, is kept as it is.
fn value_info(edit: &mut GraphEdit, id: GraphId, names: &Names, p: &mut GraphProto) {
    for info in std::mem::take(&mut p.value_info) {
        let ty = info.r#type.clone().map(types::from_proto);
        let fits = |v: &ValueId| edit.value(*v).declared().is_none_or(|d| Some(d) == ty.as_ref());
        match names.get(info.name()).copied().filter(fits) {
            Some(value) => {
                describe(edit, value, info);
                edit.push_value_info(id, value);
            }
            None => p.value_info.push(info),
        }
    }
}

/// What is left of the message: names, docs, annotations, and what is not known here.
fn meta(graph: &mut Graph, mut p: GraphProto) {
    graph.name = p.name.take();
    graph.doc = p.doc_string.take();
    graph.metadata = props(std::mem::take(&mut p.metadata_props));
    let annotations = std::mem::take(&mut p.quantization_annotation).into_iter();
    graph.quant_annotations = annotations
        .map(|a| QuantAnnotation {
            tensor: a.tensor_name.unwrap_or_default(),
            parameters: props(a.quant_parameter_tensor_names),
        })
        .collect();
    graph.extra = p.encode_to_vec().into();
}

/// Takes a text out of a message; an empty one stays there, so that it is written back as present.
fn take_text(field: &mut Option<String>) -> String {
    match field {
        Some(text) if !text.is_empty() => field.take().unwrap_or_default(),
        _ => String::new(),
    }
}

fn label(n: &NodeProto) -> String {
    let name = n.name.as_deref().filter(|n| !n.is_empty());
    let name = name.or(n.output.first().map(String::as_str)).unwrap_or_default();
    format!("\"{name}\" ({})", n.op_type())
}
