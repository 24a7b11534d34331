//! The prepared copy: the model as a runtime is given it.
//!
//! Every step is ours and leaves the outputs as they are:
//!
//! 1. outputs that are no tensors go, functions are inlined, sparse initializers stored dense, repeated names of nodes made unique,
//!    weights of types that tract does not read widened;
//! 2. input types become concrete, other declared shapes are dropped: exporters leave symbols in them
//!    which contradict the data, and runtimes infer shapes themselves;
//! 3. the opset is raised to 13, from where on no operator needs an attribute that may be missing;
//! 4. taps become graph outputs, so that no later step can lose them;
//! 5. every If whose condition the shapes or the constants decide becomes the branch it takes: runtimes
//!    check the branch that is never taken, too;
//! 6. a DynamicQuantizeLSTM becomes operators of the standard;
//! 7. what is left is simplified, unless it is wanted as it stands: scalar arithmetic folds into convolutions, decomposed activations
//!    become operators where tract runs those no slower, paddings go into the convolution;
//! 8. a DequantizeLinear before a Softmax becomes arithmetic, which tract does not take for a table;
//! 9. the signal of an STFT gets its last axis;
//! 10. a Gemm in float16 becomes a product and a sum.
//!
//! The copy shares the weights with the original.

mod decide;
mod dense;
mod gemm;
mod lstm;
mod names;
mod narrow;
mod results;
mod stft;
mod tables;
mod types;

pub use results::Source;

use super::outputs::{readable, still_there};
use super::{LoadOptions, Rewrites, TensorTypeConcrete};
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NewNode, NodeId, Place, Tensor, ValueId};
use crate::passes::inline::inline_functions;
use crate::passes::{SimplifyOptions, drop_shapes, opset, simplify};
use crate::target;

/// Says which outputs of a part of the model are constant, given the declared types of its inputs.
pub type Known<'a> = &'a dyn Fn(&Model) -> Result<Vec<Option<Tensor>>>;

/// A model made ready, with what to feed it and where the results are.
#[derive(Debug)]
pub struct Prepared {
    /// As the runtime is given it.
    pub model: Model,
    /// Inputs that are left, in the graph's order.
    pub inputs: Vec<(String, TensorTypeConcrete)>,
    /// The outputs of the original in its order, then the taps.
    pub results: Vec<(String, Source)>,
}

/// Prepares a copy of `model` for runs as `options` describes them.
pub fn prepare(model: &Model, options: &LoadOptions, known: Known) -> Result<Prepared> {
    let mut copy = readable(model)?.into_owned();
    let taps = still_there(model, &copy, &options.taps);
    let mut edit = GraphEdit::new(&mut copy);
    inline_functions(&mut edit)?;
    dense::densify(&mut edit)?;
    names::make_unique(&mut edit);
    narrow::widen(&mut edit);
    drop_shapes(&mut edit);
    types::freeze(&mut edit, options);
    let inputs = types::concretize(&mut edit, options)?;
    // A model that cannot be raised is tried as it is.
    if let Err(refused) = opset::raise(&mut edit, 13) {
        tracing::debug!("{refused}");
    }
    let results = results::Results::place(&mut edit, &taps)?;
    decide::inline_decided(&mut edit, known)?;
    let results = results.finish(&mut edit);
    lstm::spell_out(&mut edit);
    decide::remove_unread(&mut edit);
    if options.rewrites == Rewrites::All {
        simplified(&mut copy);
    }
    let mut edit = GraphEdit::new(&mut copy);
    tables::spell_out(&mut edit)?;
    stft::lengthen(&mut edit);
    gemm::spell_out(&mut edit);
    Ok(Prepared { model: copy, inputs, results })
}

/// Inserts a node before another; its first output.
fn before(edit: &mut GraphEdit, node: NodeId, new: NewNode) -> Option<ValueId> {
    let made = edit.insert(Place::Before(node), new);
    edit.node(made).output(0)
}

/// Simplifies the copy; a pass that fails leaves it as it was before.
fn simplified(model: &mut Model) {
    let mut copy = model.clone();
    let options = SimplifyOptions { target: target::find("tract").ok(), ..SimplifyOptions::default() };
    match simplify(&mut copy, &options) {
        Ok(_) => *model = copy,
        Err(error) => tracing::debug!("the prepared copy stays as it is: {error}"),
    }
}
