//! Gradients are a graph: from a model and a [`Loss`], a model that gives dL/dW, run by the ordinary runtime.
//!
//! ```text
//! x ─► … ─► MatMul(W) ─► … ─► y                   the forward graph, its shapes concrete
//!                                 ╲
//! target ──────────────────────────► L            the loss
//!          dL/dW ◄─ … ◄─ dL/dy ◄──╯               behind it, node by node, by the rules of its operators
//! ```
//!
//! Reverse accumulation (Griewank and Walther, Evaluating Derivatives, 2nd ed., 2008): one pass back from the loss costs two to
//! three forward runs, however many weights there are. A node takes part only where its output reaches the loss and a value
//! that is asked for reaches it; what lies elsewhere needs no rule and costs nothing.
//!
//! [`differentiate`] builds that model, [`collect()`] adds up Σg, Σ|g| or Σg² over a dataset, sample by sample.

mod backward;
mod collect;
mod loss;
mod still;

pub use collect::{CollectOptions, GradientStatistics, Moment, collect};
pub use loss::{Loss, Target};

use crate::error::Result;
use crate::ir::{GraphEdit, Model, ValueId};
use crate::ops::vjp::Tape;
use crate::runtime::{LoadOptions, Rewrites};

/// A model that gives a loss and its gradients.
#[derive(Debug)]
pub struct Gradient {
    /// The inputs of the original, those of the [`Loss`], and the weights where they are fed. The outputs: the loss, a scalar,
    /// then the gradients.
    pub model: Model,
    /// The name of the loss.
    pub loss: String,
    /// What the loss compares each output with.
    pub targets: Vec<Target>,
    /// For each value that was asked for the name of its gradient, in its shape; or why there is none.
    pub of: Vec<(String, Result<String, String>)>,
}

impl Gradient {
    /// For sessions of its model, whose inputs all have their types declared.
    pub fn load_options(&self) -> LoadOptions {
        LoadOptions { rewrites: Rewrites::Runtime, ..LoadOptions::default() }
    }
}

/// How weights come into a gradient's model.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// As its constants.
    Constant,
    /// As its inputs, under their names, so that a session outlives their change.
    Fed {
        /// Whether the model may have many nodes where that makes each of many runs faster, as in ONNX Runtime; tract takes long to load
        /// them.
        long: bool,
    },
}

/// The model of the loss and of its gradients by `wanted`: names of weights, or of any float32 values of the main graph.
///
/// `options` tell the types of the inputs, all of whose sizes are fixed in the result.
///
/// # Errors
/// Input or runtime, where the forward graph or the loss cannot be built. A value without a gradient is none: see [`Gradient::of`].
pub fn differentiate(
    model: &Model,
    options: &LoadOptions,
    loss: &Loss,
    wanted: &[String],
    weights: Weights,
) -> Result<Gradient> {
    let (model, constants) = still::still(model, options, wanted)?;
    let tape = Tape::new(model, weights == Weights::Fed { long: true });
    let built = loss::build(&tape, loss)?;
    let values: Vec<Option<ValueId>> = wanted.iter().map(|name| still::find(&tape.model(), name)).collect();
    let asked: Vec<ValueId> = values.iter().copied().flatten().collect();
    let mut found = backward::backward(&tape, &built.gradients, &asked);
    let of: Vec<Result<ValueId, String>> = values
        .iter()
        .map(|value| match value {
            Some(value) => found.remove(value).unwrap_or_else(|| Err("it was asked for before".into())),
            None => Err("the main graph has no such value when its shapes are fixed".into()),
        })
        .collect();
    // What has no gradient does not change, and is not fed.
    let changes = |value: &ValueId| values.iter().zip(&of).any(|(v, g)| *v == Some(*value) && g.is_ok());
    let kept: Vec<_> = constants.into_iter().filter(|(v, _)| weights == Weights::Constant || !changes(v)).collect();
    let mut model = tape.into_model();
    let mut edit = GraphEdit::new(&mut model);
    let main = edit.main();
    edit.clear_graph_outputs(main);
    let mut list = |value: ValueId| {
        let output = still::output(&mut edit, value);
        edit.name(output).to_string()
    };
    let loss = list(built.value);
    let of = wanted.iter().cloned().zip(of.into_iter().map(|g| g.map(&mut list))).collect();
    for (value, tensor) in kept {
        edit.freeze_input(main, value, tensor);
    }
    edit.remove_unread_nodes(main);
    edit.remove_unread_initializers(main);
    Ok(Gradient { model, loss, targets: built.targets, of })
}
