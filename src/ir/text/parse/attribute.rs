//! Attributes: `name: type = value`, where the type may be left out unless the value is an empty list.

use super::{AttrTree, AttrValue, graph, tensor, types};
use crate::error::Result;
use crate::ir::shape::{Type, TypeKind};
use crate::ir::text::ATTRIBUTE_TYPES;
use crate::ir::text::lex::{Cursor, Literal};
use crate::ir::{Attr, SparseTensor, Tensor};

/// What follows the name.
pub fn attribute(c: &mut Cursor, name: String) -> Result<AttrTree> {
    let mut kind = None;
    if c.eat(":") {
        let word = c.peek_word().unwrap_or_default();
        let known = ATTRIBUTE_TYPES.iter().find(|(_, n)| *n == word);
        kind = Some(*known.ok_or_else(|| c.expected("the type of an attribute"))?);
        c.word();
    }
    c.expect("=")?;
    let at = c.place();
    let value = if c.eat("@") {
        let name = c.expect_name("the attribute referred to")?;
        let (code, _) = kind.ok_or_else(|| c.error_at(at, "a reference needs the attribute's type before `=`"))?;
        AttrValue::Plain(Attr::Ref { name, kind: code })
    } else {
        let stated = kind.map(|(_, name)| name);
        if c.eat("[") { list(c, at, stated)? } else { single(c, stated)?.one() }
    };
    let found = match &value {
        AttrValue::Plain(a) => kind_of(a),
        AttrValue::Graph(_) => "graph",
        AttrValue::Graphs(_) => "graphs",
    };
    match kind {
        Some((_, stated)) if !matches!(&value, AttrValue::Plain(Attr::Ref { .. })) && stated != found => {
            Err(c.error_at(at, format!("attribute `{name}` is declared {stated} but holds {found}")))
        }
        _ => Ok(AttrTree { name, value }),
    }
}

fn kind_of(a: &Attr) -> &'static str {
    match a {
        Attr::Float(_) => "float",
        Attr::Int(_) => "int",
        Attr::String(_) => "string",
        Attr::Tensor(_) => "tensor",
        Attr::Graph(_) => "graph",
        Attr::SparseTensor(_) => "sparse_tensor",
        Attr::Type(_) => "type_proto",
        Attr::Floats(_) => "floats",
        Attr::Ints(_) => "ints",
        Attr::Strings(_) => "strings",
        Attr::Tensors(_) => "tensors",
        Attr::Graphs(_) => "graphs",
        Attr::SparseTensors(_) => "sparse_tensors",
        Attr::Types(_) => "type_protos",
        Attr::Ref { .. } => "reference",
    }
}

enum Single {
    Int(i64),
    Float(f32),
    String(String),
    Tensor(Tensor),
    Sparse(SparseTensor),
    Type(Type),
    Graph(super::GraphTree),
}

impl Single {
    fn one(self) -> AttrValue {
        AttrValue::Plain(match self {
            Single::Int(v) => Attr::Int(v),
            Single::Float(v) => Attr::Float(v),
            Single::String(v) => Attr::String(v.into()),
            Single::Tensor(v) => Attr::Tensor(v),
            Single::Sparse(v) => Attr::SparseTensor(v),
            Single::Type(v) => Attr::Type(v),
            Single::Graph(g) => return AttrValue::Graph(g),
        })
    }
}

/// The values of a list up to `]`.
fn list(c: &mut Cursor, at: usize, stated: Option<&str>) -> Result<AttrValue> {
    let of = stated.map(|s| s.strip_suffix('s').unwrap_or(s));
    let mut items = Vec::new();
    c.list("]", |c| {
        items.push(single(c, of)?);
        Ok(())
    })?;
    macro_rules! all {
        ($($variant:ident => $make:expr;)*) => {
            match (items.first(), of) {
                $((Some(Single::$variant(_)), _) => {
                    let each = items.into_iter().map(|i| match i { Single::$variant(v) => Some(v), _ => None });
                    each.collect::<Option<Vec<_>>>().map($make)
                })*
                (None, Some("int")) => Some(AttrValue::Plain(Attr::Ints(Vec::new()))),
                (None, Some("float")) => Some(AttrValue::Plain(Attr::Floats(Vec::new()))),
                (None, Some("string")) => Some(AttrValue::Plain(Attr::Strings(Vec::new()))),
                (None, Some("tensor")) => Some(AttrValue::Plain(Attr::Tensors(Vec::new()))),
                (None, Some("sparse_tensor")) => Some(AttrValue::Plain(Attr::SparseTensors(Vec::new()))),
                (None, Some("type_proto")) => Some(AttrValue::Plain(Attr::Types(Vec::new()))),
                (None, Some(_)) => Some(AttrValue::Graphs(Vec::new())),
                (None, None) => return Err(c.error_at(at, "an empty list needs the attribute's type before `=`")),
            }
        };
    }
    let value = all! {
        Int => |v| AttrValue::Plain(Attr::Ints(v));
        Float => |v| AttrValue::Plain(Attr::Floats(v));
        String => |v: Vec<String>| AttrValue::Plain(Attr::Strings(v.into_iter().map(Into::into).collect()));
        Tensor => |v| AttrValue::Plain(Attr::Tensors(v));
        Sparse => |v| AttrValue::Plain(Attr::SparseTensors(v));
        Type => |v| AttrValue::Plain(Attr::Types(v));
        Graph => AttrValue::Graphs;
    };
    value.ok_or_else(|| c.error_at(at, "the values of this list differ in kind"))
}

/// One value; `stated` is its type where the text says it.
fn single(c: &mut Cursor, stated: Option<&str>) -> Result<Single> {
    if stated == Some("graph") {
        return sub_graph(c);
    }
    let word = c.peek_word();
    if types::is_ahead(c) {
        return tensor_or_type(c, stated);
    }
    let special = word.is_some_and(|w| matches!(w.to_ascii_lowercase().as_str(), "nan" | "inf" | "infinity"));
    if word.is_some() && !special {
        return sub_graph(c);
    }
    let at = c.place();
    let not = |c: &Cursor, text: &str, what: &str| c.error_at(at, format!("`{text}` is not {what}"));
    Ok(match c.literal()? {
        Literal::String(s) => Single::String(s),
        Literal::Int(text) if stated != Some("float") => {
            Single::Int(text.parse().map_err(|_| not(c, text, "a 64-bit integer"))?)
        }
        Literal::Int(text) | Literal::Float(text) => Single::Float(text.parse().map_err(|_| not(c, text, "a number"))?),
    })
}

fn sub_graph(c: &mut Cursor) -> Result<Single> {
    let name = c.expect_name("the name of a graph")?;
    c.nested(|c| graph(c, name)).map(Single::Graph)
}

fn tensor_or_type(c: &mut Cursor, stated: Option<&str>) -> Result<Single> {
    let at = c.place();
    let ty = types::parse(c)?;
    let holds_values = match stated {
        Some(stated) => stated != "type_proto",
        None => matches!(c.peek(), Some(b'{' | b'=' | b'"')) || c.peek_word().is_some(),
    };
    if !holds_values {
        return Ok(Single::Type(ty));
    }
    let name = c.name()?;
    c.eat("=");
    match &ty.kind {
        TypeKind::Tensor { elem, shape } => {
            let mut tensor = tensor::dense(c, at, *elem, shape.as_ref())?;
            tensor.name = name;
            Ok(Single::Tensor(tensor))
        }
        TypeKind::SparseTensor { elem, shape } => Ok(Single::Sparse(tensor::sparse(c, at, *elem, shape.as_ref())?)),
        _ => Err(c.error_at(at, "only a tensor type may be followed by values")),
    }
}
