//! A value as a product: c · xⁿ · others, whatever the order in which it is multiplied.
//!
//! ```text
//! Mul(Mul(x, ½), g)    Mul(x, Div(g, 2))    Div(Mul(g, x), 2)        all: ½ · x¹ · g
//! Mul(x, Mul(x, x))    Pow(x, 3)                                     both: x³
//! ```

use crate::ir::{GraphId, Model, NodeId, ValueId};
use crate::passes::support::scalar;

/// Patterns are shallow; a longer chain of products is something else.
const MAX_DEPTH: usize = 4;

#[derive(Default)]
pub(super) struct Product {
    pub factor: f64,
    /// How often `x` is a factor.
    pub power: usize,
    /// The factors that are neither `x` nor a number.
    pub others: Vec<ValueId>,
    /// The nodes that multiply.
    pub nodes: Vec<NodeId>,
}

impl Product {
    /// What `value` is made of by the nodes of `graph`.
    pub fn of(model: &Model, graph: GraphId, value: ValueId, x: ValueId) -> Product {
        let mut product = Product { factor: 1.0, ..Product::default() };
        product.expand(model, graph, value, x, MAX_DEPTH);
        product
    }

    /// Whether it is `factor`·xⁿ and nothing else.
    pub fn is(&self, factor: f64, power: usize) -> bool {
        self.power == power && self.others.is_empty() && is_near(self.factor, factor)
    }

    fn expand(&mut self, model: &Model, graph: GraphId, value: ValueId, x: ValueId, depth: usize) {
        if value == x {
            self.power += 1;
            return;
        }
        let maker = model.producer(value).filter(|n| model.node(*n).graph() == graph && depth > 0);
        let Some((node, factor, values)) = maker.and_then(|n| Some((n, split(model, n)?))).map(|(n, s)| (n, s.0, s.1))
        else {
            self.others.push(value);
            return;
        };
        if !self.nodes.contains(&node) {
            self.nodes.push(node);
        }
        self.factor *= factor;
        for value in values {
            self.expand(model, graph, value, x, depth - 1);
        }
    }
}

/// The number and the values whose product a node makes.
fn split(model: &Model, node: NodeId) -> Option<(f64, Vec<ValueId>)> {
    let n = Some(model.node(node)).filter(|n| n.domain().is_empty())?;
    let (a, b) = (n.input(0)?, n.input(1)?);
    let number = |input| scalar(model, node, input).map(f64::from);
    match n.op_type.as_str() {
        "Mul" => Some(match (number(0), number(1)) {
            (_, Some(c)) => (c, vec![a]),
            (Some(c), None) => (c, vec![b]),
            (None, None) => (1.0, vec![a, b]),
        }),
        "Div" => number(1).map(|c| (1.0 / c, vec![a])),
        "Pow" => [2.0, 3.0].iter().position(|p| number(1) == Some(*p)).map(|i| (1.0, vec![a; i + 2])),
        _ => None,
    }
}

/// Equal up to the rounding of float32 numbers and of few products of them.
pub(super) fn is_near(found: f64, wanted: f64) -> bool {
    (found - wanted).abs() <= 4.0 * f64::from(f32::EPSILON) * wanted.abs()
}

/// The values that are multiplied to make `value`, and what they are made of: what its `x` may be.
pub(super) fn factors(model: &Model, value: ValueId) -> Vec<ValueId> {
    let mut found = vec![value];
    let mut at = 0;
    while let Some(value) = found.get(at).copied() {
        at += 1;
        let maker = model.producer(value).filter(|_| found.len() <= 2 * MAX_DEPTH);
        let more = maker.and_then(|n| split(model, n)).map(|(_, values)| values).unwrap_or_default();
        for value in more {
            if !found.contains(&value) {
                found.push(value);
            }
        }
    }
    found.split_off(1)
}
