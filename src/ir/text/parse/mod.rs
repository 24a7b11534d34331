//! Text → syntax tree: model, function, graph, node.

mod attribute;
mod tensor;
mod types;

use super::lex::Cursor;
use crate::error::Result;
use crate::ir::shape::{Type, TypeKind};
use crate::ir::{Attr, Meta, OpsetImport, Props, SparseTensor, Tensor};

#[derive(Default)]
pub(super) struct ModelTree {
    pub meta: Meta,
    pub opset_imports: Vec<OpsetImport>,
    pub graph: GraphTree,
    pub functions: Vec<FunctionTree>,
}

#[derive(Default)]
pub(super) struct FunctionTree {
    pub domain: String,
    pub overload: String,
    pub opset_imports: Vec<OpsetImport>,
    pub attributes: Vec<String>,
    pub defaults: Vec<AttrTree>,
    pub graph: GraphTree,
}

#[derive(Default)]
pub(super) struct GraphTree {
    pub name: String,
    pub inputs: Vec<Info>,
    pub outputs: Vec<Info>,
    pub value_info: Vec<Info>,
    pub initializers: Vec<(Info, Stored)>,
    pub nodes: Vec<NodeTree>,
}

/// A name with its type, at a byte of the text.
pub(super) struct Info {
    pub at: usize,
    pub name: String,
    pub ty: Option<Type>,
}

pub(super) enum Stored {
    Dense(Tensor),
    Sparse(SparseTensor),
}

pub(super) struct NodeTree {
    pub at: usize,
    pub name: String,
    pub domain: String,
    pub op_type: String,
    pub overload: String,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attrs: Vec<AttrTree>,
}

pub(super) struct AttrTree {
    pub name: String,
    pub value: AttrValue,
}

pub(super) enum AttrValue {
    Plain(Attr),
    Graph(GraphTree),
    Graphs(Vec<GraphTree>),
}

pub(super) fn model(text: &str) -> Result<ModelTree> {
    let c = &mut Cursor::new(text);
    let mut tree = ModelTree::default();
    if c.eat("<") {
        c.list(">", |c| {
            let at = c.place();
            let key = c.expect_name("a key of the model")?;
            c.expect(":")?;
            let meta = &mut tree.meta;
            match key.as_str() {
                "ir_version" => meta.ir_version = Some(c.number("an integer")?),
                "opset_import" => tree.opset_imports = opset_imports(c)?,
                "producer_name" => meta.producer_name = Some(c.string()?),
                "producer_version" => meta.producer_version = Some(c.string()?),
                "domain" => meta.domain = Some(c.string()?),
                "model_version" => meta.model_version = Some(c.number("an integer")?),
                "doc_string" => meta.doc = Some(c.string()?),
                "metadata_props" => meta.metadata = props(c)?,
                other => return Err(c.error_at(at, format!("`{other}` is no key of a model"))),
            }
            Ok(())
        })?;
    }
    let name = c.expect_name("the name of the graph")?;
    tree.graph = graph(c, name)?;
    while !c.at_end() {
        tree.functions.push(function(c)?);
    }
    Ok(tree)
}

fn props(c: &mut Cursor) -> Result<Props> {
    let mut props = Props::new();
    c.expect("[")?;
    c.list("]", |c| {
        let key = c.string()?;
        c.expect(":")?;
        props.push((key, c.string()?));
        Ok(())
    })?;
    Ok(props)
}

fn opset_imports(c: &mut Cursor) -> Result<Vec<OpsetImport>> {
    let mut imports = Vec::new();
    c.expect("[")?;
    c.list("]", |c| {
        let domain = c.string()?;
        c.expect(":")?;
        imports.push(OpsetImport { domain, version: c.number("a version")? });
        Ok(())
    })?;
    Ok(imports)
}

fn function(c: &mut Cursor) -> Result<FunctionTree> {
    let mut tree = FunctionTree::default();
    if c.eat("<") {
        c.list(">", |c| {
            let at = c.place();
            let key = c.expect_name("a key of the function")?;
            c.expect(":")?;
            match key.as_str() {
                "opset_import" => tree.opset_imports = opset_imports(c)?,
                "domain" => tree.domain = c.string()?,
                "overload" => tree.overload = c.string()?,
                "doc_string" => drop(c.string()?),
                other => return Err(c.error_at(at, format!("`{other}` is no key of a function"))),
            }
            Ok(())
        })?;
    }
    let name = c.expect_name("the name of a function")?;
    if c.eat("<") {
        c.list(">", |c| {
            let name = c.expect_name("the name of an attribute")?;
            if matches!(c.peek(), Some(b':' | b'=')) {
                tree.defaults.push(attribute::attribute(c, name)?);
            } else {
                tree.attributes.push(name);
            }
            Ok(())
        })?;
    }
    tree.graph = graph(c, name)?;
    Ok(tree)
}

/// What follows the name: `(inputs) => (outputs) <values> { nodes }`.
fn graph(c: &mut Cursor, name: String) -> Result<GraphTree> {
    let mut tree = GraphTree { name, ..GraphTree::default() };
    c.expect("(")?;
    c.list(")", |c| {
        let info = info(c)?;
        if c.eat("=") {
            tree.initializers.push(stored(c, Info { at: info.at, name: info.name.clone(), ty: info.ty.clone() })?);
        }
        tree.inputs.push(info);
        Ok(())
    })?;
    c.expect("=>")?;
    c.expect("(")?;
    c.list(")", |c| {
        tree.outputs.push(info(c)?);
        Ok(())
    })?;
    if c.eat("<") {
        c.list(">", |c| {
            let info = info(c)?;
            if c.eat("=") {
                tree.initializers.push(stored(c, info)?);
            } else {
                tree.value_info.push(info);
            }
            Ok(())
        })?;
    }
    c.expect("{")?;
    while !c.eat("}") {
        tree.nodes.push(node(c)?);
    }
    Ok(tree)
}

fn info(c: &mut Cursor) -> Result<Info> {
    let at = c.place();
    let ty = if types::is_ahead(c) { Some(types::parse(c)?) } else { None };
    Ok(Info { at, name: c.expect_name("a name or a type")?, ty })
}

/// The tensor of an initializer whose type and name were read.
fn stored(c: &mut Cursor, mut info: Info) -> Result<(Info, Stored)> {
    let ty = info.ty.take();
    let tensor = match &ty {
        Some(Type { kind: TypeKind::Tensor { elem, shape }, .. }) => {
            Stored::Dense(tensor::dense(c, info.at, *elem, shape.as_ref())?)
        }
        Some(Type { kind: TypeKind::SparseTensor { elem, shape }, .. }) => {
            Stored::Sparse(tensor::sparse(c, info.at, *elem, shape.as_ref())?)
        }
        _ => return Err(c.error_at(info.at, format!("the initializer \"{}\" needs a tensor type", info.name))),
    };
    Ok((info, tensor))
}

fn node(c: &mut Cursor) -> Result<NodeTree> {
    let at = c.place();
    let mut name = String::new();
    if c.eat("[") {
        name = c.name()?.unwrap_or_default();
        c.expect("]")?;
    }
    let outputs = operands(c)?;
    c.expect("=")?;
    let mut path = vec![c.expect_name("an operator")?];
    while c.eat(".") {
        path.push(c.expect_name("an operator")?);
    }
    let op_type = path.pop().unwrap_or_default();
    let overload = if c.eat(":") { c.expect_name("an overload")? } else { String::new() };
    let mut attrs = attributes(c)?;
    c.expect("(")?;
    let inputs = operands(c)?;
    c.expect(")")?;
    if attrs.is_empty() {
        attrs = attributes(c)?;
    }
    Ok(NodeTree { at, name, domain: path.join("."), op_type, overload, inputs, outputs, attrs })
}

/// Names separated by commas; `""`, or nothing before a comma, is one left out.
fn operands(c: &mut Cursor) -> Result<Vec<String>> {
    let mut names = Vec::new();
    loop {
        match c.name()? {
            Some(name) => names.push(name),
            None if c.peek() == Some(b',') => names.push(String::new()),
            None => return Ok(names),
        }
        if !c.eat(",") {
            return Ok(names);
        }
    }
}

fn attributes(c: &mut Cursor) -> Result<Vec<AttrTree>> {
    let mut attrs = Vec::new();
    if c.eat("<") {
        c.list(">", |c| {
            let name = c.expect_name("the name of an attribute")?;
            attrs.push(attribute::attribute(c, name)?);
            Ok(())
        })?;
    }
    Ok(attrs)
}
