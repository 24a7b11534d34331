//! Types: `float[N,3]`, `float` (a scalar), `float[]` (of unknown rank), `seq(…)`, `optional(…)`, ….

use crate::error::Result;
use crate::ir::shape::{DeclaredShape, Type, TypeKind};
use crate::ir::text::{is_type_word, lex::Cursor};
use crate::ir::{DType, Dim};

pub fn is_ahead(c: &mut Cursor) -> bool {
    c.peek_word().is_some_and(is_type_word)
}

pub fn parse(c: &mut Cursor) -> Result<Type> {
    let kind = c.nested(kind)?;
    Ok(Type { kind, denotation: None })
}

fn kind(c: &mut Cursor) -> Result<TypeKind> {
    let word = c.peek_word().filter(|w| is_type_word(w)).ok_or_else(|| c.expected("a type"))?;
    if matches!(word, "seq" | "map" | "optional" | "sparse_tensor" | "opaque") {
        c.word();
        c.expect("(")?;
    }
    let kind = match word {
        "seq" => TypeKind::Sequence(Some(Box::new(parse(c)?))),
        "optional" => TypeKind::Optional(Some(Box::new(parse(c)?))),
        "map" => {
            let key = elem(c)?;
            c.expect(",")?;
            TypeKind::Map { key, value: Some(Box::new(parse(c)?)) }
        }
        "sparse_tensor" => TypeKind::SparseTensor { elem: elem(c)?, shape: shape(c)? },
        "opaque" => opaque(c)?,
        _ => return Ok(TypeKind::Tensor { elem: elem(c)?, shape: shape(c)? }),
    };
    c.expect(")")?;
    Ok(kind)
}

/// `opaque()`, `opaque(name)` or `opaque(domain, name)`.
fn opaque(c: &mut Cursor) -> Result<TypeKind> {
    if c.peek() == Some(b')') {
        return Ok(TypeKind::Opaque { domain: None, name: None });
    }
    let mut path = c.expect_name("the name of a type")?;
    while c.eat(".") {
        path = format!("{path}.{}", c.expect_name("the name of a type")?);
    }
    if c.eat(",") {
        return Ok(TypeKind::Opaque { domain: Some(path), name: Some(c.expect_name("the name of a type")?) });
    }
    Ok(TypeKind::Opaque { domain: None, name: Some(path) })
}

/// `undefined` is an element type that was not given.
fn elem(c: &mut Cursor) -> Result<Option<i32>> {
    match c.peek_word() {
        Some("undefined") => {
            c.word();
            Ok(None)
        }
        Some(word) => {
            let dtype = DType::from_name(word).ok_or_else(|| c.expected("an element type"))?;
            c.word();
            Ok(Some(dtype.code()))
        }
        None => Err(c.expected("an element type")),
    }
}

fn shape(c: &mut Cursor) -> Result<Option<DeclaredShape>> {
    let mut dims = Vec::new();
    if c.eat("[") {
        if c.eat("]") {
            return Ok(None);
        }
        c.list("]", |c| {
            dims.push(match c.peek() {
                Some(b'?') => {
                    c.expect("?")?;
                    Dim::Unknown
                }
                Some(b'"') => Dim::Symbol(c.string()?),
                _ => match c.word() {
                    Some(word) => Dim::Symbol(word.to_string()),
                    None => Dim::Known(c.number("a dimension")?),
                },
            });
            Ok(())
        })?;
    }
    Ok(Some(DeclaredShape { denotations: vec![None; dims.len()], dims }))
}
