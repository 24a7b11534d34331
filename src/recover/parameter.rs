//! What is trained: numbers, and where the model holds only some of them the grid that it rounds them to.
//!
//! ```text
//! w ─► round ─► ŵ ─► model ─► L        w ← w − η·dL/dŵ, cut to the ends of the grid
//! ```
//!
//! The gradient by the rounded numbers moves those that are not rounded: many small steps so move one from level to level (the
//! straight-through estimator; Bengio, Léonard and Courville, Estimating or Propagating Gradients Through Stochastic Neurons, 2013).

use std::collections::BTreeMap;

use crate::ir::{Model, Tensor, ValueId};
use crate::ops::{self, QuantRule};

/// The numbers that a model can hold of a parameter.
pub trait Grid: Send + Sync {
    /// Those that stand for `numbers`, which have the order of the parameter's elements.
    fn rounded(&self, numbers: &[f32]) -> Vec<f32>;

    /// Moves numbers beyond the ends of the grid to these.
    fn clip(&self, numbers: &mut [f32]);
}

/// How a parameter is trained that is not free.
pub enum Bound {
    /// On a grid.
    Grid {
        /// Which numbers there are.
        grid: Box<dyn Grid>,
        /// Where training begins.
        begin: Vec<f32>,
    },
    /// Not at all. The reason reaches the report; without one there is nothing to tell.
    Fixed(Option<String>),
}

/// By the parameter's value in the student.
pub type Bounds = BTreeMap<ValueId, Bound>;

/// A parameter of the student.
pub(super) struct Parameter<'a> {
    pub name: String,
    pub value: ValueId,
    pub shape: Vec<usize>,
    pub numbers: Vec<f32>,
    /// Weights that are zero stay so; biases are free.
    pub keeps_zeros: bool,
    pub grid: Option<&'a dyn Grid>,
}

impl Parameter<'_> {
    /// As the model computes with it.
    pub fn held(&self, numbers: &[f32]) -> Tensor {
        let held = self.grid.map_or_else(|| numbers.to_vec(), |grid| grid.rounded(numbers));
        Tensor::from_vec(self.shape.clone(), held)
    }
}

/// Weights and biases of contractions in the main graph, in graph order, each once; and why some are none.
pub(super) fn parameters<'a>(model: &Model, bounds: &'a Bounds) -> (Vec<Parameter<'a>>, Vec<String>) {
    let (mut found, mut refused): (Vec<Parameter>, Vec<String>) = (Vec::new(), Vec::new());
    let mut seen = std::collections::BTreeSet::new();
    for id in model.graph(model.main()).nodes() {
        let node = model.node(*id);
        let Some(QuantRule::Weighted { weight, bias, .. }) = ops::of(node).map(|op| op.quant) else { continue };
        for (input, is_weight) in [(Some(weight), true), (bias, false)] {
            let Some(value) = input.and_then(|i| node.input(i)) else { continue };
            let Some(tensor) = model.constant(value).filter(|t| t.dtype().is_float() && seen.insert(value)) else {
                continue;
            };
            let name = model.name(value).to_string();
            let Some(numbers) = tensor.as_slice::<f32>() else {
                refused.push(format!("{name} is not trained: it is {}, training computes in float32", tensor.dtype()));
                continue;
            };
            let (grid, numbers) = match bounds.get(&value) {
                None => (None, numbers.into_owned()),
                Some(Bound::Grid { grid, begin }) => (Some(&**grid), begin.clone()),
                Some(Bound::Fixed(why)) => {
                    refused.extend(why.iter().map(|why| format!("{name} is not trained: {why}")));
                    continue;
                }
            };
            found.push(Parameter {
                name,
                value,
                shape: tensor.shape().to_vec(),
                numbers,
                keeps_zeros: is_weight,
                grid,
            });
        }
    }
    (found, refused)
}
