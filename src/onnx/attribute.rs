//! `AttributeProto` to and from [`NamedAttr`].

use super::emit;
use super::load::Loader;
use super::proto::AttributeProto;
use super::proto::attribute_proto::AttributeType as Kind;
use super::tensor::{sparse_tensor, sparse_tensor_proto, tensor, tensor_proto};
use super::types;
use crate::error::{Error, Result};
use crate::ir::{Attr, GraphEdit, Model, NamedAttr};

pub fn read(loader: &mut Loader, edit: &mut GraphEdit, a: AttributeProto) -> Result<NamedAttr> {
    let name = a.name.clone().unwrap_or_default();
    let doc = a.doc_string.clone();
    let value = read_value(loader, edit, a).map_err(|e| Error::new(e.kind(), format!("attribute \"{name}\": {e}")))?;
    Ok(NamedAttr { name, value, doc })
}

fn read_value(loader: &mut Loader, edit: &mut GraphEdit, a: AttributeProto) -> Result<Attr> {
    let kind = stated_or_seen(&a);
    if let Some(name) = a.ref_attr_name.filter(|r| !r.is_empty()) {
        return Ok(Attr::Ref { name, kind: kind as i32 });
    }
    let missing = || Error::input(format!("is declared {} but holds none", kind.as_str_name()));
    Ok(match kind {
        Kind::Undefined => return Err(Error::input("has neither a type nor a value")),
        Kind::Float => Attr::Float(a.f.unwrap_or_default()),
        Kind::Int => Attr::Int(a.i.unwrap_or_default()),
        Kind::String => Attr::String(a.s.unwrap_or_default()),
        Kind::Floats => Attr::Floats(a.floats),
        Kind::Ints => Attr::Ints(a.ints),
        Kind::Strings => Attr::Strings(a.strings),
        Kind::Tensor => Attr::Tensor(tensor(a.t.ok_or_else(missing)?, &mut loader.files)?),
        Kind::Tensors => {
            Attr::Tensors(a.tensors.into_iter().map(|t| tensor(t, &mut loader.files)).collect::<Result<_>>()?)
        }
        Kind::SparseTensor => {
            Attr::SparseTensor(sparse_tensor(a.sparse_tensor.ok_or_else(missing)?, &mut loader.files)?)
        }
        Kind::SparseTensors => {
            let each = a.sparse_tensors.into_iter().map(|t| sparse_tensor(t, &mut loader.files));
            Attr::SparseTensors(each.collect::<Result<_>>()?)
        }
        Kind::TypeProto => Attr::Type(types::from_proto(a.tp.ok_or_else(missing)?)),
        Kind::TypeProtos => Attr::Types(a.type_protos.into_iter().map(types::from_proto).collect()),
        Kind::Graph => {
            let id = edit.add_graph();
            loader.graph(edit, id, a.g.ok_or_else(missing)?)?;
            Attr::Graph(id)
        }
        Kind::Graphs => {
            let mut ids = Vec::new();
            for g in a.graphs {
                let id = edit.add_graph();
                loader.graph(edit, id, g)?;
                ids.push(id);
            }
            Attr::Graphs(ids)
        }
    })
}

/// The attribute's type; files of IR version 1 state none, there the field that is filled tells.
fn stated_or_seen(a: &AttributeProto) -> Kind {
    let seen = [
        (a.f.is_some(), Kind::Float),
        (a.i.is_some(), Kind::Int),
        (a.s.is_some(), Kind::String),
        (a.t.is_some(), Kind::Tensor),
        (a.g.is_some(), Kind::Graph),
        (a.tp.is_some(), Kind::TypeProto),
        (a.sparse_tensor.is_some(), Kind::SparseTensor),
        (!a.floats.is_empty(), Kind::Floats),
        (!a.ints.is_empty(), Kind::Ints),
        (!a.strings.is_empty(), Kind::Strings),
        (!a.tensors.is_empty(), Kind::Tensors),
        (!a.graphs.is_empty(), Kind::Graphs),
    ];
    match a.r#type() {
        Kind::Undefined => seen.iter().find(|(filled, _)| *filled).map_or(Kind::Undefined, |(_, kind)| *kind),
        stated => stated,
    }
}

pub fn write(model: &Model, a: &NamedAttr) -> AttributeProto {
    let mut p = AttributeProto { name: Some(a.name.clone()), doc_string: a.doc.clone(), ..AttributeProto::default() };
    let kind = match &a.value {
        Attr::Float(v) => {
            p.f = Some(*v);
            Kind::Float
        }
        Attr::Int(v) => {
            p.i = Some(*v);
            Kind::Int
        }
        Attr::String(v) => {
            p.s = Some(v.clone());
            Kind::String
        }
        Attr::Floats(v) => {
            p.floats.clone_from(v);
            Kind::Floats
        }
        Attr::Ints(v) => {
            p.ints.clone_from(v);
            Kind::Ints
        }
        Attr::Strings(v) => {
            p.strings.clone_from(v);
            Kind::Strings
        }
        Attr::Tensor(t) => {
            p.t = Some(tensor_proto(t, t.name.clone()));
            Kind::Tensor
        }
        Attr::Tensors(ts) => {
            p.tensors = ts.iter().map(|t| tensor_proto(t, t.name.clone())).collect();
            Kind::Tensors
        }
        Attr::SparseTensor(t) => {
            p.sparse_tensor = Some(sparse_tensor_proto(t, None));
            Kind::SparseTensor
        }
        Attr::SparseTensors(ts) => {
            p.sparse_tensors = ts.iter().map(|t| sparse_tensor_proto(t, None)).collect();
            Kind::SparseTensors
        }
        Attr::Type(t) => {
            p.tp = Some(types::to_proto(t));
            Kind::TypeProto
        }
        Attr::Types(ts) => {
            p.type_protos = ts.iter().map(types::to_proto).collect();
            Kind::TypeProtos
        }
        Attr::Graph(g) => {
            p.g = Some(emit::graph_proto(model, *g));
            Kind::Graph
        }
        Attr::Graphs(gs) => {
            p.graphs = gs.iter().map(|g| emit::graph_proto(model, *g)).collect();
            Kind::Graphs
        }
        Attr::Ref { name, kind } => {
            p.ref_attr_name = Some(name.clone());
            Kind::try_from(*kind).unwrap_or(Kind::Undefined)
        }
    };
    p.r#type = Some(kind as i32);
    p
}
