//! Types of outputs from those of inputs, one file a family; shapes may hold symbols and unknown sizes.
//!
//! A rule answers `None`, or [`Dim::Unknown`] for a size, where it cannot tell; arithmetic is checked, so that
//! sizes from a file never overflow.

pub(super) mod control;
pub(super) mod elementwise;
pub(super) mod layout;
pub(super) mod product;
pub(super) mod recurrent;
pub(super) mod reduce;
pub(super) mod value;
pub(super) mod window;

use crate::ir::{DType, Dim, Model, Node, Shape, TensorType};

/// A node and what is known of its inputs.
pub struct Context<'a> {
    /// The model that the node is in.
    pub model: &'a Model,
    /// The node.
    pub node: &'a Node,
    /// One for each input; the default where it is left out or nothing is known.
    pub types: Vec<TensorType>,
    /// Elements of small int64, int32 and boolean inputs in row-major order, as far as they are known; a
    /// symbol is the size of that name. Here a negative [`Dim::Known`] is a number.
    pub values: Vec<Option<Vec<Dim>>>,
}

/// Types of the outputs in order; missing ones at the end are not known.
pub type Infer = fn(&Context) -> Option<Vec<TensorType>>;

/// Elements of the first output, as in [`Context::values`].
pub type InferValue = fn(&Context) -> Option<Vec<Dim>>;

impl Context<'_> {
    /// A size that the outputs of this node share and that has no name otherwise.
    fn named(&self, what: &str) -> Dim {
        let first = self.node.outputs().iter().flatten().next();
        first.map_or(Dim::Unknown, |v| Dim::Symbol(format!("{v}.{what}")))
    }

    fn dtype(&self, input: usize) -> Option<DType> {
        self.types.get(input)?.dtype
    }

    fn shape(&self, input: usize) -> Option<&[Dim]> {
        self.types.get(input)?.shape.as_deref()
    }

    fn has(&self, input: usize) -> bool {
        self.node.input(input).is_some()
    }

    fn value(&self, input: usize) -> Option<&[Dim]> {
        self.values.get(input)?.as_deref()
    }

    /// An input's elements where all are known.
    fn ints(&self, input: usize) -> Option<Vec<i64>> {
        self.value(input)?.iter().map(Dim::number).collect()
    }

    /// Integers that are an attribute in old opsets and an input in new ones. The outer `None`: not known; the
    /// inner one: not given.
    fn ints_of(&self, attr: &str, input: usize) -> Option<Option<Vec<i64>>> {
        match self.node.ints(attr) {
            Some(ints) => Some(Some(ints.to_vec())),
            None if self.has(input) => Some(Some(self.ints(input)?)),
            None => Some(None),
        }
    }
}

/// One output.
fn one(dtype: Option<DType>, shape: Option<Shape>) -> Option<Vec<TensorType>> {
    Some(vec![TensorType { dtype, shape }])
}

/// The product of sizes: a number, the one symbol in it, or unknown.
fn product(dims: &[Dim]) -> Dim {
    let (mut number, mut other) = (1i64, None);
    for dim in dims {
        match (dim.known(), &other) {
            (Some(n), _) => match number.checked_mul(n) {
                Some(n) => number = n,
                None => return Dim::Unknown,
            },
            (None, None) => other = Some(dim.clone()),
            (None, Some(_)) => return Dim::Unknown,
        }
    }
    match other {
        None => Dim::Known(number),
        Some(dim @ Dim::Symbol(_)) if number == 1 => dim,
        Some(_) => Dim::Unknown,
    }
}

/// The name of the lesser of a size and a number: what a slice from 0 to that size leaves of an axis.
fn least(size: &Dim, number: i64) -> Dim {
    match size {
        Dim::Symbol(name) => Dim::Symbol(format!("min({name},{number})")),
        _ => Dim::Unknown,
    }
}

/// Whether `dim` is the lesser of `size` and a number above 1. Broadcast together they are `size`: where the number
/// is less, they do not fit.
fn is_least(dim: &Dim, size: &Dim) -> bool {
    let (Dim::Symbol(dim), Dim::Symbol(size)) = (dim, size) else { return false };
    let number = dim.strip_prefix("min(").and_then(|d| d.strip_prefix(size.as_str())).and_then(|d| d.strip_prefix(','));
    number.and_then(|n| n.strip_suffix(')')).and_then(|n| n.parse::<i64>().ok()).is_some_and(|n| n > 1)
}

/// The shape of two shapes broadcast together, as NumPy does.
fn broadcast(a: &[Dim], b: &[Dim]) -> Shape {
    let rank = a.len().max(b.len());
    let at = |s: &[Dim], i: usize| (i + s.len()).checked_sub(rank).map_or(Dim::Known(1), |i| s[i].clone());
    let join = |i| match (at(a, i), at(b, i)) {
        (Dim::Known(1), d) | (d, Dim::Known(1)) => d,
        (a, b) if a.same(&b) || is_least(&b, &a) => a,
        (a, b) if is_least(&a, &b) => b,
        (Dim::Known(x), Dim::Known(y)) if x >= 0 && y >= 0 => Dim::Unknown,
        (Dim::Known(n), _) | (_, Dim::Known(n)) if n >= 0 => Dim::Known(n),
        _ => Dim::Unknown,
    };
    (0..rank).map(join).collect()
}
