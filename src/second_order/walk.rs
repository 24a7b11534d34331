//! Versions of a model, walked side by side from contraction to contraction, so that every value is computed once.
//!
//! ```text
//! n₀ n₁ n₂ │ n₃ n₄ …        what is made before the bar and read after it waits in a file; a step runs the nodes up to the next bar
//! ```
//!
//! Nodes come in the order of how many contractions lie before them at most, so that the short way around a residual block is done before
//! the end of the long one. Those that share a weight come together, unless one reads what another makes. A step of one version is a model of its own: what waits is its input, what will be waiting its output.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::shelf::Shelf;
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::{DType, GraphEdit, Model, NodeId, Tensor, TensorType, Type, Use, ValueId};
use crate::ops::{self, QuantRule};
use crate::runtime::{Runtime, Shaped};

/// Integers of at most so many elements are sizes and axes: a session is made for each of their values.
const SMALL: usize = 64;

/// The place behind all nodes, where only the outputs are left.
pub const END: usize = usize::MAX;

/// The nodes of a model in the order in which they are walked, and what each value needs.
#[derive(Debug)]
pub struct Order {
    place: HashMap<NodeId, usize>,
    /// Values that depend on the inputs of the model, with the place of what makes them (0 for inputs) and of their last reader.
    spans: BTreeMap<ValueId, (usize, usize)>,
}

impl Order {
    /// Of the nodes of the main graph.
    pub fn of(model: &Model) -> Self {
        let nodes = model.graph(model.main()).nodes();
        let levels = levels(model, nodes);
        let mut order = nodes.to_vec();
        order.sort_by_key(|id| levels[id]);
        // Place 0 is that of the inputs.
        let place: HashMap<NodeId, usize> = order.iter().enumerate().map(|(i, id)| (*id, i + 1)).collect();
        let mut spans: BTreeMap<ValueId, (usize, usize)> =
            model.user_inputs().into_iter().map(|v| (v, (0, 0))).collect();
        for (i, id) in order.iter().enumerate() {
            let read = reads(model, *id);
            let varies = read.iter().any(|v| spans.contains_key(v));
            for v in read {
                spans.entry(v).and_modify(|span| span.1 = i + 1);
            }
            if varies {
                spans.extend(model.node(*id).outputs().iter().flatten().map(|v| (*v, (i + 1, 0))));
            }
        }
        // Outputs wait until the end.
        for v in model.graph(model.main()).outputs() {
            spans.entry(*v).and_modify(|span| span.1 = END);
        }
        Order { place, spans }
    }

    /// The first place of a node that makes or reads one of these values; [`END`] where none does.
    pub fn first(&self, model: &Model, values: impl Iterator<Item = ValueId>) -> usize {
        let node = |u: &Use| match u {
            Use::Node { node, .. } => Some(*node),
            Use::Output { .. } => None,
        };
        let around = |v: ValueId| model.producer(v).into_iter().chain(model.uses(v).iter().filter_map(node)).collect();
        values.flat_map(|v| -> Vec<NodeId> { around(v) }).filter_map(|n| self.place(n)).min().unwrap_or(END)
    }

    /// Where a node of the main graph comes.
    pub fn place(&self, node: NodeId) -> Option<usize> {
        self.place.get(&node).copied()
    }

    /// Whether `value` depends on the inputs of the model and is made before `node` runs.
    pub fn is_there(&self, value: ValueId, node: NodeId) -> bool {
        let made = self.spans.get(&value).map(|span| span.0);
        made.zip(self.place(node)).is_some_and(|(made, place)| made < place)
    }

    /// What is made before `place` and read there or later.
    fn waiting(&self, place: usize) -> BTreeSet<ValueId> {
        self.spans.iter().filter(|(_, (made, read))| *made < place && *read >= place).map(|(v, _)| *v).collect()
    }
}

/// How many contractions lie before each node at most, itself included, where those that share a weight lie at the same place.
fn levels(model: &Model, nodes: &[NodeId]) -> HashMap<NodeId, usize> {
    let mut least: HashMap<NodeId, usize> = HashMap::new();
    let mut shared = sharing(model, nodes);
    loop {
        let mut raised = Vec::new();
        // Each turn settles one weight more at least, unless a node waits for itself.
        for _ in 0..=shared.len() {
            let mut levels: HashMap<NodeId, usize> = HashMap::new();
            for id in nodes {
                let read = reads(model, *id);
                let before = read.iter().filter_map(|v| levels.get(&model.producer(*v)?)).max().copied().unwrap_or(0);
                let own = before + usize::from(is_contraction(model, *id));
                levels.insert(*id, own.max(least.get(id).copied().unwrap_or(0)));
            }
            let last = |group: &Vec<NodeId>| group.iter().map(|n| levels[n]).max().unwrap_or(0);
            raised = (0..shared.len()).filter(|i| shared[*i].iter().any(|n| levels[n] < last(&shared[*i]))).collect();
            if raised.is_empty() {
                return levels;
            }
            least.extend(raised.iter().flat_map(|i| shared[*i].iter().map(|n| (*n, last(&shared[*i])))));
        }
        raised.into_iter().rev().for_each(|i| drop(shared.remove(i)));
        least.clear();
    }
}

/// The contractions of each weight that several share.
fn sharing(model: &Model, nodes: &[NodeId]) -> Vec<Vec<NodeId>> {
    let mut by_weight: BTreeMap<ValueId, Vec<NodeId>> = BTreeMap::new();
    for id in nodes {
        if let Some(QuantRule::Weighted { weight, .. }) = ops::of(model.node(*id)).map(|op| op.quant)
            && let Some(v) = model.node(*id).input(weight).filter(|v| model.constant(*v).is_some())
        {
            by_weight.entry(v).or_default().push(*id);
        }
    }
    by_weight.into_values().filter(|all| all.len() > 1).collect()
}

/// What a node reads, its subgraphs included.
fn reads(model: &Model, id: NodeId) -> Vec<ValueId> {
    let node = model.node(id);
    let captured = node.subgraphs().flat_map(|(_, g)| model.captures(g));
    node.inputs().iter().flatten().copied().chain(captured).collect()
}

fn is_contraction(model: &Model, id: NodeId) -> bool {
    matches!(ops::of(model.node(id)).map(|op| op.quant), Some(QuantRule::Weighted { .. }))
}

/// Where the versions are: they differ in weights alone.
pub struct Walk<'a> {
    order: &'a Order,
    dataset: &'a Dataset,
    runtime: &'a dyn Runtime,
    /// Numbers of the batches that are walked with.
    batches: Vec<usize>,
    waiting: BTreeSet<ValueId>,
    /// Of each version.
    shelves: Vec<Shelf>,
}

/// Values of one batch.
pub type Values = BTreeMap<ValueId, Tensor>;

impl<'a> Walk<'a> {
    /// So many versions, at the inputs.
    ///
    /// # Errors
    /// Io, where no temporary file can be made.
    pub fn new(
        (model, versions): (&Model, usize),
        order: &'a Order,
        (dataset, runtime): (&'a Dataset, &'a dyn Runtime),
        mut batches: Vec<usize>,
    ) -> Result<Self> {
        // Equal shapes one after the other, so that their session is made once.
        batches.sort_by_cached_key(|index| dataset.shapes(*index).unwrap_or_default());
        let waiting = model.user_inputs().into_iter().collect();
        let shelves = (0..versions).map(|_| Shelf::new(batches.len())).collect::<Result<_>>()?;
        Ok(Walk { order, dataset, runtime, batches, waiting, shelves })
    }

    /// How many batches are walked with.
    pub fn batches(&self) -> usize {
        self.batches.len()
    }

    /// Which batch of the dataset comes at place `i`.
    pub fn number(&self, i: usize) -> usize {
        self.batches[i]
    }

    /// Runs all versions up to the node at `place`, which lies ahead; its inputs are there then.
    ///
    /// # Errors
    /// What the data or the runtime refuse, and io.
    pub fn advance(&mut self, versions: &[&Model], place: usize) -> Result<()> {
        let waiting = self.order.waiting(place);
        for (i, model) in versions.iter().enumerate().take(self.shelves.len()) {
            let next = self.shelves[i].next(&waiting)?;
            self.through(&self.shelves[i], model, &waiting, |batch, made| next.put(batch, made))?;
            self.shelves[i] = next;
        }
        self.waiting = waiting;
        Ok(())
    }

    /// The outputs that `model` makes from here on, with the numbers of the batches: a version of the first that differs from it in what
    /// lies ahead. Outputs that are there already are not among them.
    ///
    /// # Errors
    /// What the data or the runtime refuse, and io.
    pub fn ahead(&self, model: &Model) -> Result<Vec<(usize, Values)>> {
        let Some(shelf) = self.shelves.first() else { return Ok(Vec::new()) };
        self.through(shelf, model, &self.order.waiting(END), |batch, made| Ok((self.batches[batch], made)))
    }

    /// What `model` makes, batch by batch, of what waits in `shelf` until these values are there.
    fn through<T: Send>(
        &self,
        shelf: &Shelf,
        model: &Model,
        waiting: &BTreeSet<ValueId>,
        see: impl Fn(usize, Values) -> Result<T> + Sync,
    ) -> Result<Vec<T>> {
        let inputs = |batch: &usize| Ok(self.dataset.batch(*batch)?.inputs);
        let Some(first) = self.batches.first() else { return Ok(Vec::new()) };
        let step = Step::new(model, &self.waiting, waiting, &shelf.types());
        if step.made.is_empty() {
            return Ok(Vec::new());
        }
        let read = step.inputs.iter().map(|(v, _)| *v).collect();
        let fed = step.fed(&shelf.get(0, &read)?, || inputs(first))?;
        let small =
            |(_, t): &&(String, Tensor)| !t.dtype().is_float() && t.len() <= SMALL && t.dtype() != DType::String;
        let constants = fed.iter().filter(small).map(|(name, _)| name.clone()).collect();
        let session = Shaped::new(self.runtime, &step.model, &[]).deciding_by(constants);
        let run = |(i, batch): (usize, &usize)| -> Result<T> {
            let made = session.run(&step.fed(&shelf.get(i, &read)?, || inputs(batch))?)?;
            let mut made: HashMap<String, Tensor> = made.into_iter().collect();
            let new = step.made.iter().map(|(v, name)| {
                let missing = || Error::runtime(format!("value \"{name}\" was not made"));
                Ok((*v, made.remove(name).ok_or_else(missing)?))
            });
            see(i, new.collect::<Result<_>>()?)
        };
        self.batches.par_iter().enumerate().map(run).collect()
    }

    /// Those of `wanted` that wait of batch `i` in each version, or are inputs of the model.
    ///
    /// # Errors
    /// What the data refuse, and io.
    pub fn values(&self, i: usize, model: &Model, wanted: &BTreeSet<ValueId>) -> Result<Vec<Values>> {
        let waits = |v: &ValueId| wanted.contains(v) && self.waiting.contains(v);
        let own: Vec<ValueId> = model.user_inputs().into_iter().filter(waits).collect();
        let inputs = if own.is_empty() { Vec::new() } else { self.dataset.batch(self.batches[i])?.inputs };
        let of = |shelf: &Shelf| -> Result<Values> {
            let mut values = shelf.get(i, wanted)?;
            for v in own.iter().copied() {
                let fed = inputs.iter().find(|(name, _)| name == model.name(v));
                values.extend(fed.map(|(_, t)| (v, t.clone())));
            }
            Ok(values)
        };
        self.shelves.iter().map(of).collect()
    }
}

/// The nodes between two bars.
struct Step {
    model: Model,
    /// The inputs that feed it what waited.
    inputs: Vec<(ValueId, String)>,
    /// What it makes.
    made: Vec<(ValueId, String)>,
}

impl Step {
    /// `types` of values that waited: the model may not say them. Sizes that a cut says outright are no longer computed:
    /// values that this version has lost are none of its own.
    fn new(
        model: &Model,
        have: &BTreeSet<ValueId>,
        want: &BTreeSet<ValueId>,
        types: &BTreeMap<ValueId, DType>,
    ) -> Self {
        let mut copy = model.clone();
        let mut edit = GraphEdit::new(&mut copy);
        let main = edit.main();
        let own = edit.user_inputs();
        let mut inputs = Vec::new();
        for v in have.iter().filter(|v| model.is_live_value(**v) && !own.contains(v)) {
            let name = edit.fresh_name(&format!("{}_waiting", model.name(*v)));
            let ty = edit.tensor_type(*v);
            let dtype = ty.dtype.or(types.get(v).copied());
            let input = edit.new_value(&name, Some(Type::tensor(&TensorType { dtype, shape: ty.shape })));
            for u in edit.uses(*v).to_vec() {
                if let Use::Node { node, input: index } = u {
                    edit.set_input(node, index, Some(input));
                }
            }
            edit.add_graph_input(main, input);
            inputs.push((*v, input, name));
        }
        let new = want.difference(have).filter(|v| model.is_live_value(**v) && !own.contains(v));
        let made: Vec<(ValueId, String)> = new.map(|v| (*v, model.name(*v).to_string())).collect();
        edit.keep_outputs(main, &made.iter().map(|(v, _)| *v).collect::<Vec<_>>());
        edit.drop_unread_inputs(main);
        let left = |(v, input, name): (ValueId, ValueId, String)| copy.is_live_value(input).then_some((v, name));
        let inputs = inputs.into_iter().filter_map(left).collect();
        Step { model: copy, inputs, made }
    }

    /// What it is fed of what waits and, where it reads any, of the inputs of the whole model.
    fn fed(
        &self,
        waiting: &BTreeMap<ValueId, Tensor>,
        inputs: impl FnOnce() -> Result<Vec<(String, Tensor)>>,
    ) -> Result<Vec<(String, Tensor)>> {
        let of = |(v, name): &(ValueId, String)| {
            let missing = || Error::runtime(format!("value \"{name}\" was not kept"));
            Ok((name.clone(), waiting.get(v).ok_or_else(missing)?.clone()))
        };
        let fed: Result<Vec<_>> = self.inputs.iter().map(of).collect();
        let names: Vec<&str> = self.model.user_inputs().into_iter().map(|v| self.model.name(v)).collect();
        let inputs = if names.len() > self.inputs.len() { inputs()? } else { Vec::new() };
        let own = inputs.into_iter().filter(|(name, _)| names.contains(&name.as_str()));
        Ok(fed?.into_iter().chain(own).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    /// The places of nodes by their names.
    fn places(nodes: &str) -> impl Fn(&str) -> usize {
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[N,2] x) => (float[N,2] y, float[N,2] z)
             <float[2,2] w = {{1,2,3,4}}, float[2,2] v = {{1,1,2,3}}, float[2,2] u = {{0,1,2,0}}> {{ {nodes} }}"
        );
        let model = text::parse(&source).unwrap();
        let order = Order::of(&model);
        move |name: &str| {
            let nodes = model.graph(model.main()).nodes();
            order.place(*nodes.iter().find(|n| model.node_label(**n) == name).unwrap()).unwrap()
        }
    }

    #[test]
    fn nodes_that_share_a_weight_come_when_all_that_they_read_is_there() {
        // a and d share w, of which d waits for c; b and y share v.
        let at = places(
            "[a] a = MatMul (x, w) [b] y = MatMul (a, v) [c] c = MatMul (x, u) [d] d = MatMul (c, w) [y] z = MatMul (d, v)",
        );
        assert!(at("c") < at("a").min(at("d")), "{} {} {}", at("c"), at("a"), at("d"));
        assert!(at("a").max(at("d")) < at("b").min(at("y")));
    }

    #[test]
    fn a_node_that_would_wait_for_itself_does_not() {
        let at = places(
            "[a] a = MatMul (x, w) [b] b = MatMul (a, v) [c] c = MatMul (b, w) [d] y = MatMul (c, v) [e] z = MatMul (x, u)",
        );
        assert!(at("a") < at("b") && at("b") < at("c") && at("c") < at("d") && at("e") < at("b"));
    }
}
