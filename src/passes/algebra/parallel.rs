//! Linear operators on one input whose outputs are summed become one.
//!
//! ```text
//! W₁·x + b₁ + W₂·x + b₂ + x + (s·x + t) = (W₁ + W₂ + 1 + s)·x + (b₁ + b₂ + t)
//!
//! x ─┬► Conv 3×3 ──────────────┐
//!    ├► Conv 1×1 ──────────────┼► Add, Sum ─► y                x ─► Conv 3×3 ─► y
//!    ├► BatchNormalization ────┤
//!    └► x itself, AveragePool ─┘
//! ```
//!
//! The largest kernel stays and takes in the others, each tap where it sees the same element of x: equal strides, equal sizes of the
//! output, pads that differ by the position in the kernel. So no multiplication is added. Grouped and depthwise kernels
//! too, where the channels of the one are among those of the other. BatchNormalization before nothing is a diagonal kernel; its
//! shift goes into the bias and so needs no padding. Products of a matrix take in other products, not x itself: a one on the diagonal
//! beside small weights costs an 8-bit weight its precision, and saves but an addition.
//!
//! The sum may be a tree of additions, and have other terms. Refuses when no kernel holds the other (1×3 and 3×1), when a term has another
//! reader or is a graph output, when a shared weight had to be copied at the file's expense, when a sum overflows.
//! Weights that are not constant and pads by `auto_pad` with strides are no match.

use super::constants::Constants;
use super::linear::{Linear, overflow};
use super::piece::{Frame, Piece};
use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId, ValueId};
use crate::passes::support::{from_f64, own_bytes, producer_of, read_elsewhere};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "merge-parallel",
    "join Conv, BatchNormalization, AveragePool and identity of one input whose outputs are summed",
    run,
)
.of_family("linear");

const SUMS: &[&str] = &["Add", "Sum"];
/// Additions under each other; what lies deeper is a term as it is.
const DEEPEST: usize = 128;
const HOSTS: &[&str] = &["Conv", "Gemm", "MatMul"];

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, SUMS, |edit, node| Ok(merge(edit, node)))
}

/// A term of the sum: an input of one of its nodes.
#[derive(Clone, Copy, PartialEq)]
struct Term {
    node: NodeId,
    input: usize,
    value: ValueId,
}

/// What was decided.
struct Merge {
    host: ValueId,
    constants: Constants,
    taken: Vec<Term>,
    /// Nodes of the terms, readers before what they read.
    nodes: Vec<NodeId>,
}

fn merge(edit: &mut GraphEdit, root: NodeId) -> Outcome {
    // Below 7 an Add broadcasts by attribute.
    let Some(y) = edit.node(root).output(0).filter(|_| edit.onnx_opset() >= 7) else { return Outcome::NoMatch };
    let inside =
        |reader: NodeId| edit.node(reader).is_one_of(SUMS) && edit.node(reader).graph() == edit.node(root).graph();
    if edit.single_reader(y).is_some_and(inside) {
        return Outcome::NoMatch;
    }
    let mut terms = Vec::new();
    terms_of(edit, root, DEEPEST, &mut terms);
    let mut hosts: Vec<(usize, NodeId, Term)> = Vec::new();
    for term in &terms {
        if let Some(host) = producer_of(edit, term.node, term.input, HOSTS)
            && let Some(weight) = edit.constant_input(host, 1)
        {
            hosts.push((weight.len(), host, *term));
        }
    }
    // The largest kernel first; a Gemm before a MatMul, for its bias.
    hosts.sort_by_key(|(size, host, _)| (std::cmp::Reverse(*size), !edit.node(*host).is("Gemm")));
    let mut refused = None;
    for (_, host, term) in hosts {
        match decide(edit, host, term, &terms) {
            Ok(Some(merge)) => {
                if let Err(reason) = edit.can_replace_uses(y, merge.host) {
                    return Outcome::Refused(reason);
                }
                apply(edit, root, y, merge);
                return Outcome::Applied;
            }
            Ok(None) => {}
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    refused.map_or(Outcome::NoMatch, Outcome::Refused)
}

/// The addition that nothing but `node` reads, as its input; `depth` more are gone into.
fn inner(model: &Model, node: NodeId, input: usize, value: ValueId, depth: usize) -> Option<NodeId> {
    producer_of(model, node, input, SUMS).filter(|_| depth > 0 && read_elsewhere(model, value).is_none())
}

/// The terms under `node`, through additions that nothing else reads.
fn terms_of(model: &Model, node: NodeId, depth: usize, terms: &mut Vec<Term>) {
    for (input, value) in model.node(node).inputs().iter().enumerate() {
        let Some(value) = *value else { continue };
        match inner(model, node, input, value, depth) {
            Some(inner) => terms_of(model, inner, depth - 1, terms),
            None => terms.push(Term { node, input, value }),
        }
    }
}

/// What the host takes in; `None` where no other term is linear in its input.
fn decide(model: &Model, host: NodeId, own: Term, terms: &[Term]) -> Result<Option<Merge>, String> {
    let n = model.node(host);
    let (Some(x), Some(weight)) = (n.input(0), model.constant_input(host, 1)) else { return Ok(None) };
    let Some(Ok(linear)) = Linear::of(model, host) else { return Ok(None) };
    let frame = Frame {
        x,
        graph: n.graph(),
        channels: linear.output_channels(model),
        axes: weight.rank() - 2,
        takes_diagonals: n.is("Conv") && linear.inputs == linear.outputs,
    };
    let others = terms.iter().filter(|t| **t != own);
    let pieces: Vec<_> = others.filter_map(|t| Some((*t, Piece::of(model, t.value, &frame)?))).collect();
    if pieces.is_empty() {
        return Ok(None);
    }
    let Some(mut sum) = Piece::of_linear(model, host) else { return Ok(None) };
    if let Some(reason) = read_elsewhere(model, own.value) {
        return Err(reason);
    }
    let (mut taken, mut nodes, mut refused) = (Vec::new(), Vec::new(), None);
    for (term, piece) in pieces {
        let fits = piece.and_then(|piece| match linear.takes_bias() || piece.bias.iter().all(|b| *b == 0.0) {
            true => sum.take(&piece).map(|()| piece),
            false => Err("MatMul takes no bias".to_string()),
        });
        match fits {
            Ok(piece) => {
                taken.push(term);
                nodes.extend(piece.nodes);
            }
            Err(reason) => refused = refused.or(Some(reason)),
        }
    }
    if taken.is_empty() {
        return refused.map_or(Ok(None), Err);
    }
    let values = if n.is("Conv") { sum.weight } else { linear.undense(&sum.weight) };
    let mut constants = Constants::default();
    constants.add(host, 1, from_f64(weight.dtype(), weight.shape(), &values).ok_or_else(|| overflow(weight))?);
    if n.input(2).is_some() || sum.bias.iter().any(|b| *b != 0.0) {
        let bias = from_f64(weight.dtype(), &[sum.bias.len()], &sum.bias).ok_or_else(|| overflow(weight))?;
        constants.add(host, 2, bias);
    }
    constants.afford(model, nodes.iter().map(|n| own_bytes(model, *n)).sum())?;
    Ok(Some(Merge { host: own.value, constants, taken, nodes }))
}

fn apply(edit: &mut GraphEdit, root: NodeId, y: ValueId, merge: Merge) {
    merge.constants.set(edit);
    let mut emptied = Vec::new();
    let rest = without(edit, root, y, DEEPEST, &merge.taken, &mut emptied);
    if let Some(rest) = rest.filter(|rest| *rest != y) {
        // What made part of the sum makes all of it, and so under its name.
        if !edit.is_output(y) {
            edit.swap_identity(y, rest);
        }
        // Decided before: the host is made by a node of this graph and is no output.
        let replaced = edit.replace_uses(y, rest);
        debug_assert_eq!(replaced, Ok(()));
    }
    for node in emptied.into_iter().chain(merge.nodes) {
        edit.remove_node(node);
    }
}

/// Takes the terms out of the sum under `node`, a part of the sum `y`; the value that is the sum of the rest, if any is left. Additions of fewer than
/// two terms are listed, readers before what they read.
fn without(
    edit: &mut GraphEdit,
    node: NodeId,
    y: ValueId,
    depth: usize,
    taken: &[Term],
    emptied: &mut Vec<NodeId>,
) -> Option<ValueId> {
    let place = emptied.len();
    let mut rest = Vec::new();
    for (input, value) in edit.node(node).inputs().to_vec().into_iter().enumerate() {
        let Some(value) = value else { continue };
        if taken.contains(&Term { node, input, value }) {
            continue;
        }
        rest.extend(match inner(edit, node, input, value, depth) {
            Some(inner) => without(edit, inner, y, depth - 1, taken, emptied),
            None => Some(value),
        });
    }
    match rest[..] {
        [] => {
            emptied.insert(place, node);
            None
        }
        [only] => {
            emptied.insert(place, node);
            Some(only)
        }
        _ => {
            let rest: Vec<_> = rest.into_iter().map(Some).collect();
            let sum = edit.node(node).output(0);
            if rest != edit.node(node).inputs() {
                edit.set_inputs(node, &rest);
                // A part of the sum may be smaller without the term; the whole is not.
                if let Some(sum) = sum.filter(|sum| *sum != y) {
                    edit.set_declared(sum, None);
                    edit.set_inferred(sum, None);
                }
            }
            sum
        }
    }
}
