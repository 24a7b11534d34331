//! Decisions that need more than statistics: the model runs in pieces on a few batches, and what comes out is compared.
//!
//! | what fits | to |
//! |---|---|
//! | `ranges` | each activation: which of several ranges changes least what is computed from it |
//! | `weight_ranges` | each channel of a weight: the scale with the least error of its output |
//! | `rounding`, `staged` | each weight: GPTQ, all layers at once or layer after layer |
//! | `awq`, `smooth` (`rescaled`) | the channels of an activation: factors that its weights take |
//! | `biases` | each channel: what quantization adds to it on average |
//!
//! | what judges | |
//! |---|---|
//! | `dominant` | which node makes most of the error, and stays in float |
//! | `choose`, `weights_alone` | which plan brings the outputs nearest to those of the float model (`judge`) |
//!
//! Batches that judge are not fitted to ([`Split`](crate::data::Split)). `pieces`, `products` and `press` are what these stand on: the model
//! in parts, products of one activation, tensors quantized and back. All give the same result however many threads there are: batches are
//! added up in their order.

mod awq;
mod biases;
mod choose;
mod dominant;
mod judge;
mod pieces;
mod press;
mod products;
mod ranges;
mod rescaled;
mod rounding;
mod smooth;
mod staged;
mod weight_ranges;
mod weights_alone;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

pub use awq::scale;
use biases::correct;
pub use choose::choose;
use ranges::refine;
use rayon::prelude::*;
pub use rescaled::Rescaled;
pub use smooth::smooth;
pub use weights_alone::weights_alone;

use crate::analysis::dequantized;
use crate::data::Dataset;
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId};
use crate::progress::Progress;
use crate::quantize::plan::{Decision, QuantPlan, WeightPlan};
use crate::quantize::{Format, QParams, apply, guard};
use crate::runtime::{Runtime, cores, neighbours};
use crate::second_order::Contraction;

/// Memory that the values in flight may take, beyond which fewer runs go on at a time.
const ROOM: usize = 96 << 20;

/// Bytes of values that one part of the model is fed, at most.
const GROUP: usize = 8 << 20;
/// Bytes that a run of one part holds: what it is fed, a copy, and what it makes.
const PART: usize = 3 * GROUP;

/// What everything here runs on.
#[derive(Clone, Copy)]
struct Ground<'a> {
    model: &'a Model,
    dataset: &'a Dataset,
    runtime: &'a dyn Runtime,
    progress: &'a dyn Progress,
    /// Bytes of each quantized value in one batch.
    sizes: &'a BTreeMap<String, usize>,
}

impl Ground<'_> {
    /// What is held of a batch of which these values are looked at: all of them, and what [`PART`] says.
    fn held<'n>(&self, names: impl Iterator<Item = &'n String>) -> usize {
        let all = names.filter_map(|n| self.sizes.get(n)).sum::<usize>();
        all + all.min(PART)
    }

    /// What one run of a part is taken to hold beside these: where the values alone fill the room, two go on at a time.
    fn beside<'n>(&self, names: impl Iterator<Item = &'n String>) -> usize {
        if self.held(names) > ROOM { ROOM / 2 } else { PART }
    }

    /// Numbers of `names`, in groups of neighbours whose values together take little memory.
    fn groups(&self, names: &[&str]) -> Vec<Vec<usize>> {
        let bytes = |i: &usize| self.sizes.get(names[*i]).copied().unwrap_or(0);
        neighbours((0..names.len()).collect(), bytes, GROUP)
    }
}

/// A quantized contraction whose weight is its own.
struct Layer<'a> {
    node: NodeId,
    contraction: Contraction,
    weight: &'a WeightPlan,
}

impl Layer<'_> {
    /// What stands for weights of this scale, zero in the middle.
    fn params(&self, scale: f32) -> QParams {
        let dtype = self.weight.dtype;
        QParams { dtype, scale, zero_point: dtype.middle() }
    }
}

/// Layers that are fed the same rows.
type Alike<'a> = Vec<Layer<'a>>;

/// Those of the main graph of `model` that `plan` quantizes, in the forms with quantized activations those whose inputs are, too.
fn contractions<'a>(model: &Model, plan: &'a QuantPlan) -> Vec<Alike<'a>> {
    let mut all: Vec<Alike> = Vec::new();
    let alone = plan.options.effective_format() == Format::WeightOnly;
    for node in &plan.nodes {
        let Decision::Quantize { weight, input, .. } = &node.decision else { continue };
        if input.is_none() && !alone {
            continue;
        }
        let Some(Ok(contraction)) = Contraction::of(model, node.id) else { continue };
        if model.node(node.id).graph() != model.main() || model.uses(contraction.weight).len() > 1 {
            continue;
        }
        let layer = Layer { node: node.id, contraction, weight };
        match all.iter_mut().find(|alike| alike[0].contraction.reads_as(&layer.contraction)) {
            Some(alike) => alike.push(layer),
            None => all.push(vec![layer]),
        }
    }
    all
}

/// The model with `plan` applied as Q/DQ, which says the arithmetic of every static form.
fn as_qdq(model: &Model, plan: &QuantPlan) -> Result<Model> {
    let (mut model, mut plan) = (model.clone(), plan.clone());
    plan.options.format = Format::Qdq;
    plan.passing = true;
    apply(&mut model, &plan)?;
    Ok(model)
}

/// As [`as_qdq`], with weights and biases as the floats that their integers stand for: made ready sooner than with operators
/// that turn the same integers into floats.
pub(super) fn as_pressed(model: &Model, plan: &QuantPlan) -> Result<Model> {
    let mut model = as_floats(model, plan)?;
    // Floats between integers: ONNX Runtime would round them once more, by rules of its own.
    guard::guard(&mut GraphEdit::new(&mut model), plan.options.preset()?.quantizes_itself)?;
    Ok(model)
}

/// As [`as_pressed`], without what keeps a runtime from rounding float operators by itself.
pub(super) fn as_floats(model: &Model, plan: &QuantPlan) -> Result<Model> {
    let mut model = as_qdq(model, plan)?;
    let mut edit = GraphEdit::new(&mut model);
    for id in edit.all_nodes() {
        let node = edit.node(id);
        if !node.is("DequantizeLinear") {
            continue;
        }
        let Some((floats, y)) = dequantized(&edit, id).zip(node.output(0)) else { continue };
        let graph = node.graph();
        let name = format!("{}_floats", edit.name(y));
        let value = edit.add_initializer(graph, &name, floats);
        if edit.replace_uses(y, value).is_ok() {
            edit.remove_node(id);
        }
    }
    Ok(model)
}

/// What `look` sees in each of `items`, in their order; each holds about so many bytes meanwhile.
fn each<I: Sync, T: Send>(
    what: &str,
    items: &[I],
    bytes: usize,
    progress: &dyn Progress,
    look: impl Fn(&I) -> Result<T> + Sync,
) -> Result<Vec<T>> {
    progress.start(what, items.len() as u64);
    let workers = (ROOM / bytes.max(1)).clamp(1, cores()).min(items.len());
    let next = AtomicUsize::new(0);
    let found = Mutex::new(Vec::new());
    let work = || -> Result<()> {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(i) else { return Ok(()) };
            // The others need not go on after an error.
            let seen = look(item).inspect_err(|_| next.store(items.len(), Ordering::Relaxed))?;
            found.lock().unwrap_or_else(PoisonError::into_inner).push((i, seen));
            progress.step(1);
        }
    };
    let done: Vec<Result<()>> = (0..workers).into_par_iter().map(|_| work()).collect();
    progress.finish();
    done.into_iter().collect::<Result<()>>()?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(i, _)| *i);
    Ok(found.into_iter().map(|(_, seen)| seen).collect())
}
