//! The model cut at the values that become integers, so that each piece runs on its own inputs.
//!
//! ```text
//! x ─► Conv ─► y ─► HardSwish ─► z ─► Conv ─► …        y, z quantized
//!
//! x̃ ─► Conv ─► y      ỹ ─► HardSwish ─► z      z̃ ─► Conv ─► …
//! ```
//!
//! A cut value is an input twice: x̃ for those that read the integers, x for those that read the float. What a piece makes
//! of x̃ is compared with what it makes of x: an error is seen where it counts, and none is inherited.
//!
//! [`Part`] runs some of the pieces side by side, and nothing else.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use super::press::pressed;
use crate::error::{Error, Result};
use crate::ir::{DType, GraphEdit, Model, NodeId, Tensor, TensorType, Type, Use, ValueId};
use crate::quantize::QParams;
use crate::quantize::plan::{ActivationPlan, QuantPlan};
use crate::runtime::{Runtime, Shaped};

/// A model whose pieces run side by side.
#[derive(Debug)]
pub struct Pieces {
    model: Model,
    pub cuts: Vec<Cut>,
}

/// A value at which the model is cut.
#[derive(Debug)]
pub struct Cut {
    pub id: ValueId,
    pub name: String,
    /// Whether something else makes it, so that an error in it is inherited from there.
    computed: bool,
    /// The input read by what reads integers.
    pressed: ValueId,
    /// The input read by what reads floats, if anything does.
    plain: Option<ValueId>,
    /// Outputs of pieces that depend on `pressed`.
    pub reaches: Vec<ValueId>,
}

impl Pieces {
    /// Cuts `model` where `plan`, made for it, puts integers.
    pub fn cut(model: &Model, plan: &QuantPlan) -> Pieces {
        let mut copy = model.clone();
        let mut edit = GraphEdit::new(&mut copy);
        let quantized: HashSet<NodeId> = plan.nodes.iter().filter(|n| n.decision.computes()).map(|n| n.id).collect();
        let mut cuts = Vec::new();
        // What a subgraph holds cannot be cut out of it.
        let outside = |a: &&ActivationPlan| model.home(a.id) == Some(model.main());
        for a in plan.activations.iter().filter(outside) {
            let readers = edit.uses(a.id).iter().filter_map(|u| match u {
                Use::Node { node, input } => Some((*node, *input)),
                Use::Output { .. } => None,
            });
            let (integers, floats): (Vec<_>, Vec<_>) =
                readers.collect::<Vec<_>>().into_iter().partition(|(n, _)| a.all_readers || quantized.contains(n));
            let pressed = input(&mut edit, &format!("{}_pressed", a.value), a.id);
            for (node, index) in integers {
                edit.set_input(node, index, Some(pressed));
            }
            let plain = (!floats.is_empty()).then(|| input(&mut edit, &format!("{}_plain", a.value), a.id));
            for (node, index) in floats {
                edit.set_input(node, index, plain);
            }
            let computed = edit.producer(a.id).is_some();
            cuts.push(Cut { id: a.id, name: a.value.clone(), computed, pressed, plain, reaches: vec![] });
        }
        let computed = cuts.iter().filter(|c| c.computed).map(|c| c.id);
        let outputs: BTreeSet<ValueId> = computed.chain(copy.graph(copy.main()).outputs().iter().copied()).collect();
        for cut in &mut cuts {
            cut.reaches = reached(&copy, cut.pressed).into_iter().filter(|v| outputs.contains(v)).collect();
        }
        Pieces { model: copy, cuts }
    }

    /// Names of some of its values.
    pub fn names<'a>(&'a self, values: &'a [ValueId]) -> impl Iterator<Item = &'a str> {
        values.iter().map(|v| self.model.name(*v))
    }

    /// The pieces that make `outputs`.
    pub fn part(&self, outputs: &[ValueId]) -> Part {
        let (model, inputs) = restricted(&self.model, outputs);
        let mut feeds = Vec::new();
        for (index, cut) in self.cuts.iter().enumerate() {
            let used = |v: ValueId| inputs.contains(&v);
            if used(cut.pressed) {
                feeds.push(Feed { input: name(&model, cut.pressed), value: cut.name.clone(), cut: Some(index) });
            }
            if let Some(plain) = cut.plain.filter(|v| used(*v)) {
                feeds.push(Feed { input: name(&model, plain), value: cut.name.clone(), cut: None });
            }
        }
        let outputs = outputs.iter().map(|v| name(&model, *v)).collect();
        Part { model, feeds, outputs }
    }
}

fn name(model: &Model, v: ValueId) -> String {
    model.name(v).to_string()
}

/// Some pieces, as a model of their own.
pub struct Part {
    pub model: Model,
    feeds: Vec<Feed>,
    /// Names of what it makes.
    pub outputs: Vec<String>,
}

struct Feed {
    input: String,
    /// The value of the original that is fed.
    value: String,
    /// The cut it is pressed at, if it is read as integers.
    cut: Option<usize>,
}

/// The float values of one batch, by name.
pub type Floats = BTreeMap<String, Tensor>;

impl Part {
    /// Names of the values that it is fed.
    pub fn needs(&self) -> impl Iterator<Item = &String> {
        self.feeds.iter().map(|f| &f.value)
    }

    /// Of what is fed, the value that is pressed at a cut.
    pub fn pressed<'a>(&self, fed: &'a [(String, Tensor)], cut: usize) -> Option<&'a Tensor> {
        let at = self.feeds.iter().position(|f| f.cut == Some(cut))?;
        fed.get(at).map(|(_, tensor)| tensor)
    }

    /// What to feed, where cuts are pressed as `params` says; the model's own inputs come last.
    pub fn fed<'a>(
        &self,
        floats: &Floats,
        inputs: &[(String, Tensor)],
        params: impl Fn(usize) -> Option<&'a QParams>,
    ) -> Result<Vec<(String, Tensor)>> {
        let feed = |f: &Feed| {
            let missing = || Error::runtime(format!("value \"{}\" was not observed", f.value));
            let float = floats.get(&f.value).ok_or_else(missing)?;
            let value = match f.cut.and_then(&params) {
                Some(p) => pressed(float, p).ok_or_else(missing)?,
                None => float.clone(),
            };
            Ok((f.input.clone(), value))
        };
        let fed: Result<Vec<_>> = self.feeds.iter().map(feed).collect();
        let mut fed = fed?;
        fed.extend(own(&self.model, inputs));
        Ok(fed)
    }
}

/// Those of `inputs` that the model has.
fn own(model: &Model, inputs: &[(String, Tensor)]) -> Vec<(String, Tensor)> {
    let graph = model.graph(model.main());
    let has = |(name, _): &&(String, Tensor)| graph.inputs().iter().any(|v| model.name(*v) == name);
    inputs.iter().filter(has).cloned().collect()
}

/// Runs the float model as far as some of its values need.
pub struct Original {
    model: Model,
}

impl Original {
    /// For the values of these names.
    pub fn new(model: &Model, names: &BTreeSet<&String>) -> Self {
        let nodes = model.graph(model.main()).nodes().iter();
        let made = nodes.flat_map(|n| model.node(*n).outputs().iter().flatten().copied());
        let outputs: Vec<ValueId> = made.filter(|v| names.iter().any(|n| *n == model.name(*v))).collect();
        Original { model: restricted(model, &outputs).0 }
    }

    pub fn session<'a>(&'a self, runtime: &'a dyn Runtime) -> Shaped<'a> {
        Shaped::new(runtime, &self.model, &[])
    }

    /// The values on one batch, its inputs among them.
    pub fn values(&self, session: &Shaped, inputs: &[(String, Tensor)]) -> Result<Floats> {
        let made = session.run(&own(&self.model, inputs))?;
        Ok(made.into_iter().chain(inputs.iter().cloned()).collect())
    }
}

/// The model with these outputs only, without what they do not need; the inputs that are left.
fn restricted(model: &Model, outputs: &[ValueId]) -> (Model, HashSet<ValueId>) {
    let mut copy = model.clone();
    let mut edit = GraphEdit::new(&mut copy);
    let main = edit.main();
    edit.keep_outputs(main, outputs);
    edit.drop_unread_inputs(main);
    let inputs = edit.graph(main).inputs().iter().copied().collect();
    (copy, inputs)
}

/// A new input of the type of `like`.
fn input(edit: &mut GraphEdit, name: &str, like: ValueId) -> ValueId {
    let name = edit.fresh_name(name);
    let ty = TensorType { dtype: Some(DType::F32), shape: edit.tensor_type(like).shape };
    let value = edit.new_value(name, Some(Type::tensor(&ty)));
    edit.add_graph_input(edit.main(), value);
    value
}

/// All that is computed from `v`, in subgraphs too.
fn reached(model: &Model, v: ValueId) -> BTreeSet<ValueId> {
    let mut seen = BTreeSet::new();
    let mut waiting = vec![v];
    while let Some(v) = waiting.pop() {
        if !seen.insert(v) {
            continue;
        }
        for u in model.uses(v) {
            let made_by = match u {
                Use::Node { node, .. } => Some(*node),
                Use::Output { graph, .. } => model.graph(*graph).owner(),
            };
            waiting.extend(made_by.iter().flat_map(|n| model.node(*n).outputs().iter().flatten()));
        }
    }
    seen
}
