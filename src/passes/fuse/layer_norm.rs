//! Say a decomposed layer normalization as LayerNormalization.
//!
//! ```text
//! d = x − mean(x)        y = d/√(mean(d²) + ε)·γ + β        means over the last axis
//!
//! x ─► Sub(ReduceMean(x)) ─► d ─► Div(Sqrt(Add(ReduceMean(Pow(d, 2)), ε))) ─► Mul(γ) ─► Add(β) ─► y
//!
//! x ─► LayerNormalization(γ, β; axis = −1, ε) ─► y
//! ```
//!
//! d² may also be Mul(d, d); γ and β are constant, one number per element of the last axis. Raises the opset to 17, the first with
//! LayerNormalization.
//!
//! Refuses when a value in between has another reader or is a graph output, and when the opset cannot be raised.

use crate::error::Result;
use crate::ir::{DType, GraphEdit, Model, NewNode, NodeId, Place, Tensor, ValueId};
use crate::passes::pass::for_each_from;
use crate::passes::support::{producer_of, scalar};
use crate::passes::{Outcome, Pass, PassReport};

pub(in crate::passes) const PASS: Pass = Pass {
    name: "fuse-layer-norm",
    summary: "say a layer normalization in nine operators as LayerNormalization",
    run,
    exact: false,
};

/// The first with LayerNormalization.
const OPSET: i64 = 17;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    let matches = |model: &Model, node| Pattern::of(model, node).is_some_and(|p| p.read_inside(model).is_ok());
    for_each_from(OPSET, edit, PASS.name, &["Add"], matches, |edit, node| Ok(fuse(edit, node)))
}

/// What ends with the addition of β.
struct Pattern {
    x: ValueId,
    gamma: Tensor,
    beta: Tensor,
    epsilon: f32,
    /// From mean to the multiplication by γ, each with how often its output is read inside.
    nodes: Vec<(NodeId, usize)>,
}

impl Pattern {
    fn of(model: &Model, add_beta: NodeId) -> Option<Pattern> {
        let (scale, beta) = (0..2).find_map(|i| with_constant(model, add_beta, i, "Mul"))?;
        let (divide, gamma) = (0..2).find_map(|i| with_constant(model, scale, i, "Div"))?;
        let root = producer_of(model, divide, 1, &["Sqrt"])?;
        let add_epsilon = producer_of(model, root, 0, &["Add"])?;
        let (variance, epsilon) = (0..2).find_map(|i| {
            let mean = producer_of(model, add_epsilon, i, &["ReduceMean"])?;
            Some((mean, scalar(model, add_epsilon, 1 - i)?))
        })?;
        let square = producer_of(model, variance, 0, &["Pow", "Mul"])?;
        let subtract = producer_of(model, divide, 0, &["Sub"])?;
        let d = model.node(subtract).output(0)?;
        let squares = model.node(square).input(0) == Some(d)
            && match model.node(square).is("Pow") {
                true => scalar(model, square, 1) == Some(2.0),
                false => model.node(square).input(1) == Some(d),
            };
        let mean = producer_of(model, subtract, 1, &["ReduceMean"])?;
        let x = model.node(subtract).input(0)?;
        let same_x = model.node(mean).input(0) == Some(x);
        let ty = model.tensor_type(x);
        let rank = ty.rank()?;
        let size = ty.shape.as_ref()?.last()?.known()?;
        let over_last = |n| over_last_axis(model, n, rank);
        if !squares || !same_x || ty.dtype != Some(DType::F32) || !over_last(mean) || !over_last(variance) {
            return None;
        }
        let per_element = |t: Tensor| {
            let fits =
                t.dtype() == DType::F32 && t.len() as i64 == size && t.shape().last().map(|n| *n as i64) == Some(size);
            t.reshaped([t.len()]).ok().filter(|_| fits)
        };
        let reads_of_d = if model.node(square).is("Pow") { 2 } else { 3 };
        let once = [mean, square, variance, add_epsilon, root, divide, scale].map(|n| (n, 1));
        let nodes = [once.as_slice(), &[(subtract, reads_of_d)]].concat();
        Some(Pattern { x, gamma: per_element(gamma)?, beta: per_element(beta)?, epsilon, nodes })
    }

    /// Whether all that is in between is read nowhere else, and else what is.
    fn read_inside(&self, model: &Model) -> Result<(), String> {
        for (node, reads) in &self.nodes {
            let value = model.node(*node).output(0).ok_or("a node has no output")?;
            if model.is_output(value) {
                return Err(format!("{} is a graph output", model.name(value)));
            }
            if model.uses(value).len() != *reads {
                return Err(format!("{} is read elsewhere", model.name(value)));
            }
        }
        Ok(())
    }
}

/// The producer of input `index` of `node`, where it is an `op_type`, and the constant that is the other input.
fn with_constant(model: &Model, node: NodeId, index: usize, op_type: &str) -> Option<(NodeId, Tensor)> {
    let producer = producer_of(model, node, index, &[op_type])?;
    Some((producer, model.constant_input(node, 1 - index)?.clone()))
}

/// Whether a ReduceMean is over the last axis alone and keeps it.
fn over_last_axis(model: &Model, node: NodeId, rank: usize) -> bool {
    let n = model.node(node);
    let axes = match n.input(1) {
        Some(axes) => model.constant(axes).and_then(Tensor::to_i64),
        None => n.ints("axes").map(<[i64]>::to_vec),
    };
    let last = |a: i64| a == -1 || a == rank as i64 - 1;
    n.int_or("keepdims", 1) != 0 && axes.is_some_and(|a| a.len() == 1 && last(a[0]))
}

fn fuse(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let Some(pattern) = Pattern::of(edit, node) else { return Outcome::NoMatch };
    if let Err(reason) = pattern.read_inside(edit) {
        return Outcome::Refused(reason);
    }
    let Some(y) = edit.node(node).output(0) else { return Outcome::NoMatch };
    let label = edit.node_label(node).to_string();
    let graph = edit.node(node).graph();
    let gamma = edit.add_initializer(graph, &format!("{label}.scale"), pattern.gamma);
    let beta = edit.add_initializer(graph, &format!("{label}.bias"), pattern.beta);
    let normalize = NewNode::new("LayerNormalization")
        .name(edit.node(node).name.clone())
        .inputs([pattern.x, gamma, beta].map(Some))
        .attr("axis", -1i64)
        .attr("epsilon", pattern.epsilon);
    edit.detach_output(node, 0);
    edit.insert(Place::Before(node), normalize.output_into(y));
    edit.remove_node(node);
    // Readers before what they read.
    let mut left: Vec<NodeId> = pattern.nodes.into_iter().map(|(n, _)| n).collect();
    while let Some(at) =
        left.iter().position(|n| edit.node(*n).outputs().iter().flatten().all(|v| edit.uses(*v).is_empty()))
    {
        edit.remove_node(left.swap_remove(at));
    }
    Outcome::Applied
}
