//! Types of values: element type and shape, where dimensions may be symbols or unknown.

use std::fmt;

use super::dtype::DType;

/// One dimension of a shape.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Dim {
    /// A size.
    Known(i64),
    /// A named size that is equal wherever the name occurs.
    Symbol(String),
    /// Nothing is said of it.
    Unknown,
}

impl Dim {
    /// The size where it is known. Exporters write −1 for "unknown"; it is not a size.
    pub fn known(&self) -> Option<i64> {
        match self {
            Dim::Known(n) if *n >= 0 => Some(*n),
            _ => None,
        }
    }

    /// The number where this is an element of a shape tensor, which −1 and other negative ones may be.
    pub fn number(&self) -> Option<i64> {
        match self {
            Dim::Known(n) => Some(*n),
            _ => None,
        }
    }

    /// Certainly the same size.
    pub fn same(&self, other: &Dim) -> bool {
        match (self, other) {
            (Dim::Known(a), Dim::Known(b)) => a == b && *a >= 0,
            (Dim::Symbol(a), Dim::Symbol(b)) => a == b,
            _ => false,
        }
    }
}

impl From<i64> for Dim {
    fn from(n: i64) -> Self {
        Dim::Known(n)
    }
}

impl From<usize> for Dim {
    fn from(n: usize) -> Self {
        Dim::Known(n as i64)
    }
}

impl fmt::Display for Dim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Dim::Known(n) => write!(f, "{n}"),
            Dim::Symbol(s) => f.write_str(s),
            Dim::Unknown => f.write_str("?"),
        }
    }
}

/// The sizes of a tensor, each known, named or open.
pub type Shape = Vec<Dim>;

/// The sizes of a shape in which all are known.
pub fn known_shape(shape: &[Dim]) -> Option<Vec<usize>> {
    shape.iter().map(|d| d.known().map(|n| n as usize)).collect()
}

/// An axis counted from the front; `None` where there is none such.
pub fn axis_of(axis: i64, rank: usize) -> Option<usize> {
    let rank = i64::try_from(rank).ok()?;
    let axis = if axis < 0 { axis.checked_add(rank)? } else { axis };
    if (0..rank).contains(&axis) { usize::try_from(axis).ok() } else { None }
}

/// Element type and shape of a tensor value; `None` where nothing is said about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TensorType {
    /// The type of its elements, where it is known.
    pub dtype: Option<DType>,
    /// Its sizes, where their number is known.
    pub shape: Option<Shape>,
}

impl TensorType {
    /// Of this element type and shape.
    pub fn new(dtype: DType, shape: impl IntoIterator<Item = impl Into<Dim>>) -> Self {
        TensorType { dtype: Some(dtype), shape: Some(shape.into_iter().map(Into::into).collect()) }
    }

    /// The number of axes, where the shape is known.
    pub fn rank(&self) -> Option<usize> {
        self.shape.as_ref().map(Vec::len)
    }

    /// The sizes, where all are numbers.
    pub fn known_shape(&self) -> Option<Vec<usize>> {
        known_shape(self.shape.as_ref()?)
    }
}

impl fmt::Display for TensorType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.dtype {
            Some(d) => write!(f, "{d}")?,
            None => f.write_str("?")?,
        }
        match &self.shape {
            Some(shape) if shape.is_empty() => Ok(()),
            Some(shape) => {
                let dims: Vec<_> = shape.iter().map(Dim::to_string).collect();
                write!(f, "[{}]", dims.join(","))
            }
            None => f.write_str("[]"),
        }
    }
}

/// The declared type of a value: what `ValueInfoProto.type` can say.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// Which kind of value, with its element type and shape.
    pub kind: TypeKind,
    /// What it means, as `"IMAGE"`, in the words of the standard.
    pub denotation: Option<String>,
}

/// The cases of `TypeProto`. `elem` of a tensor is the code as written, so that an unknown one survives.
#[derive(Debug, Clone, PartialEq)]
pub enum TypeKind {
    /// `tensor_type`.
    Tensor {
        /// Code of the element type.
        elem: Option<i32>,
        /// Its sizes.
        shape: Option<DeclaredShape>,
    },
    /// `sparse_tensor_type`.
    SparseTensor {
        /// Code of the element type.
        elem: Option<i32>,
        /// Its sizes.
        shape: Option<DeclaredShape>,
    },
    /// `sequence_type`, of this element type.
    Sequence(Option<Box<Type>>),
    /// `optional_type`, of this element type.
    Optional(Option<Box<Type>>),
    /// `map_type`.
    Map {
        /// Code of the type of its keys.
        key: Option<i32>,
        /// Type of its values.
        value: Option<Box<Type>>,
    },
    /// `opaque_type`.
    Opaque {
        /// Whose it is.
        domain: Option<String>,
        /// Its name there.
        name: Option<String>,
    },
    /// A type that says nothing.
    Unset,
}

/// A shape with the denotation of each dimension ("DATA_BATCH", …) where one is given.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DeclaredShape {
    /// The sizes.
    pub dims: Shape,
    /// One for each of them.
    pub denotations: Vec<Option<String>>,
}

impl Type {
    /// The type of a dense tensor.
    pub fn tensor(t: &TensorType) -> Self {
        let shape = t.shape.clone().map(|dims| DeclaredShape { denotations: vec![None; dims.len()], dims });
        Type { kind: TypeKind::Tensor { elem: t.dtype.map(DType::code), shape }, denotation: None }
    }

    /// The tensor type; `None` for sequences and the like. Exporters write −1, `?` or nothing for any size that they do not know, one
    /// that occurs twice is not the same size.
    pub fn as_tensor(&self) -> Option<TensorType> {
        let TypeKind::Tensor { elem, shape } = &self.kind else { return None };
        let clean = |d: &Dim| match d {
            Dim::Known(n) if *n < 0 => Dim::Unknown,
            Dim::Symbol(s) if matches!(s.as_str(), "" | "?") => Dim::Unknown,
            d => d.clone(),
        };
        Some(TensorType {
            dtype: elem.and_then(DType::from_code),
            shape: shape.as_ref().map(|s| s.dims.iter().map(clean).collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_sizes_are_not_the_same_size() {
        let dims = ["?", "", "N", "N"].map(|s| Dim::Symbol(s.into())).into_iter().chain([Dim::Known(-1)]).collect();
        let shape = Some(DeclaredShape { dims, denotations: vec![None; 5] });
        let declared = Type { kind: TypeKind::Tensor { elem: Some(1), shape }, denotation: None };
        let shape = declared.as_tensor().unwrap().shape.unwrap();
        assert_eq!(shape[0], Dim::Unknown);
        assert!(!shape[0].same(&shape[0]) && !shape[1].same(&shape[4]));
        assert!(shape[2].same(&shape[3]));
    }
}
