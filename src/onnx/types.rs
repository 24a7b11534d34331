//! `TypeProto` to and from [`Type`].

use super::proto::tensor_shape_proto::{Dimension, dimension};
use super::proto::{TensorShapeProto, TypeProto, type_proto};
use crate::ir::Dim;
use crate::ir::shape::{DeclaredShape, Type, TypeKind};

pub fn from_proto(p: TypeProto) -> Type {
    use type_proto::Value;
    let boxed = |t: Option<Box<TypeProto>>| t.map(|t| Box::new(from_proto(*t)));
    let kind = match p.value {
        None => TypeKind::Unset,
        Some(Value::TensorType(t)) => TypeKind::Tensor { elem: t.elem_type, shape: t.shape.map(shape) },
        Some(Value::SparseTensorType(t)) => TypeKind::SparseTensor { elem: t.elem_type, shape: t.shape.map(shape) },
        Some(Value::SequenceType(t)) => TypeKind::Sequence(boxed(t.elem_type)),
        Some(Value::OptionalType(t)) => TypeKind::Optional(boxed(t.elem_type)),
        Some(Value::MapType(t)) => TypeKind::Map { key: t.key_type, value: boxed(t.value_type) },
        Some(Value::OpaqueType(t)) => TypeKind::Opaque { domain: t.domain, name: t.name },
    };
    Type { kind, denotation: p.denotation }
}

fn shape(p: TensorShapeProto) -> DeclaredShape {
    let dim = |d: &Dimension| match &d.value {
        Some(dimension::Value::DimValue(n)) => Dim::Known(*n),
        Some(dimension::Value::DimParam(s)) => Dim::Symbol(s.clone()),
        None => Dim::Unknown,
    };
    DeclaredShape {
        dims: p.dim.iter().map(dim).collect(),
        denotations: p.dim.into_iter().map(|d| d.denotation).collect(),
    }
}

pub fn to_proto(t: &Type) -> TypeProto {
    use type_proto::Value;
    let boxed = |t: &Option<Box<Type>>| t.as_ref().map(|t| Box::new(to_proto(t)));
    let value = match &t.kind {
        TypeKind::Unset => None,
        TypeKind::Tensor { elem, shape } => {
            Some(Value::TensorType(type_proto::Tensor { elem_type: *elem, shape: shape.as_ref().map(shape_proto) }))
        }
        TypeKind::SparseTensor { elem, shape } => Some(Value::SparseTensorType(type_proto::SparseTensor {
            elem_type: *elem,
            shape: shape.as_ref().map(shape_proto),
        })),
        TypeKind::Sequence(e) => Some(Value::SequenceType(Box::new(type_proto::Sequence { elem_type: boxed(e) }))),
        TypeKind::Optional(e) => Some(Value::OptionalType(Box::new(type_proto::Optional { elem_type: boxed(e) }))),
        TypeKind::Map { key, value } => {
            Some(Value::MapType(Box::new(type_proto::Map { key_type: *key, value_type: boxed(value) })))
        }
        TypeKind::Opaque { domain, name } => {
            Some(Value::OpaqueType(type_proto::Opaque { domain: domain.clone(), name: name.clone() }))
        }
    };
    TypeProto { value, denotation: t.denotation.clone() }
}

fn shape_proto(s: &DeclaredShape) -> TensorShapeProto {
    let dim = |(i, d): (usize, &Dim)| Dimension {
        value: match d {
            Dim::Known(n) => Some(dimension::Value::DimValue(*n)),
            Dim::Symbol(s) => Some(dimension::Value::DimParam(s.clone())),
            Dim::Unknown => None,
        },
        denotation: s.denotations.get(i).cloned().flatten(),
    };
    TensorShapeProto { dim: s.dims.iter().enumerate().map(dim).collect() }
}
