//! Einsum of two operands that sums over what only they share becomes MatMul.
//!
//! ```text
//! …k,kn->…n        x ─► MatMul(W)
//! bqd,dhk->bqhk    x ─► MatMul(W as [d, h·k]) ─► Reshape [0, 0, h, k]
//! bqhk,hkd->bqd    x ─► Reshape [0, 0, −1] ─► MatMul(W as [h·k, d])
//! bhqk,hkd->bqd    x ─► Transpose ─► Reshape [0, 0, −1] ─► MatMul(W as [h·k, d])
//! bhqd,bhkd->bhqk  a ─► MatMul(Transpose b)                        two activations, the last two axes in any order
//! ```
//!
//! A constant second operand takes any order of its letters, and the activation beside it and the result are turned where they must be, as
//! runtimes do it inside. Runtimes quantize and fuse MatMul, not Einsum.
//!
//! Refuses letters that repeat in one operand or are summed over in one alone, and products of two activations that would need one of these
//! transposed by more than its last two axes.

use crate::error::Result;
use crate::ir::{GraphEdit, NewNode, NodeId, Place, Tensor, ValueId};
use crate::passes::support::{ints, made, permuted};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("einsum-as-matmul", "say Einsum that is a product of matrices as MatMul", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Einsum"], |edit, node| Ok(rewrite(edit, node)))
}

/// Letters that no equation has.
const OPEN: &str = "0123456789";

/// The letters of both operands and of the result.
struct Equation {
    a: Vec<char>,
    b: Vec<char>,
    out: Vec<char>,
}

impl Equation {
    /// Of two operands, the first of this rank; `None` where the result is not said.
    fn parse(text: &str, rank: Option<usize>) -> Option<Result<Equation, String>> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (operands, out) = text.split_once("->")?;
        let (a, b) = operands.split_once(',').filter(|(_, b)| !b.contains(','))?;
        // Open axes of the first operand alone have letters of their own.
        let open = rank.and_then(|rank| rank.checked_sub(a.strip_prefix("...")?.len())).filter(|n| *n <= OPEN.len());
        let named = |s: &str| s.replacen("...", open.map_or("...", |n| &OPEN[..n]), 1);
        let [a, b, out] = [named(a), b.to_string(), named(out)];
        if [&a, &b, &out].iter().any(|s| s.contains('.')) {
            return Some(Err(format!("{text} leaves axes open")));
        }
        let [a, b, out] = [a, b, out].map(|s| s.chars().collect::<Vec<_>>());
        let twice = |s: &[char]| s.iter().enumerate().any(|(i, c)| s[..i].contains(c));
        if twice(&a) || twice(&b) || twice(&out) {
            return Some(Err(format!("{text} repeats a letter in one operand")));
        }
        let lone = a.iter().chain(&b).any(|c| !(out.contains(c) || a.contains(c) && b.contains(c)));
        if lone {
            return Some(Err(format!("{text} sums over an axis of one operand alone")));
        }
        Some(Ok(Equation { a, b, out }))
    }

    /// Letters in both operands: those that the result has, and those that are summed over, as `a` has them.
    fn shared(&self) -> (Vec<char>, Vec<char>) {
        self.a.iter().filter(|c| self.b.contains(c)).partition(|c| self.out.contains(c))
    }
}

fn rewrite(edit: &mut GraphEdit, id: NodeId) -> Outcome {
    let node = edit.node(id);
    let (Some(text), [Some(a), Some(b)]) = (node.str("equation"), node.inputs()) else { return Outcome::NoMatch };
    let (a, b) = (*a, *b);
    let equation = match Equation::parse(text, edit.tensor_type(a).rank()) {
        None => return Outcome::NoMatch,
        Some(Err(reason)) => return Outcome::Refused(reason),
        Some(Ok(equation)) => equation,
    };
    let (batch, summed) = equation.shared();
    if summed.is_empty() {
        return Outcome::Refused("it sums over nothing".into());
    }
    let constant = edit.constant(b).cloned();
    match constant.filter(|_| batch.is_empty()) {
        Some(weight) => by_weight(edit, id, a, &weight, (&equation, &summed)),
        None => of_activations(edit, id, [a, b], (&equation, &batch, &summed)),
    }
}

/// x·W, x with what is summed over last, and the result with what only W has last.
fn by_weight(
    edit: &mut GraphEdit,
    id: NodeId,
    x: ValueId,
    weight: &Tensor,
    (e, summed): (&Equation, &[char]),
) -> Outcome {
    let own: Vec<char> = e.b.iter().copied().filter(|c| !summed.contains(c)).collect();
    let rows: Vec<char> = e.a.iter().copied().filter(|c| !summed.contains(c)).collect();
    let columns: Vec<char> = e.out.iter().copied().filter(|c| own.contains(c)).collect();
    let (fed, made) = ([&rows[..], summed].concat(), [&rows[..], &columns].concat());
    let weighs = [summed, &columns].concat();
    let found = (orders(&e.a, &fed), orders(&e.b, &weighs), orders(&made, &e.out));
    let (Some(before), Some(order), Some(after)) = found else {
        return Outcome::NoMatch;
    };
    if weight.rank() != order.len() {
        return Outcome::refused("its equation does not fit the shape of its weight");
    }
    let sizes: Vec<usize> = order.iter().map(|i| weight.shape()[*i]).collect();
    let (inner, outer) = sizes.split_at(summed.len());
    let matrix = [inner.iter().product::<usize>(), outer.iter().product()];
    let Some(Ok(matrix)) = permuted(weight, &order).map(|w| w.reshaped(matrix)) else {
        return Outcome::refused(format!("its weight is {}, which is not permuted here", weight.dtype()));
    };
    let name = edit.node_label(id).to_string();
    let graph = edit.node(id).graph();
    let matrix = edit.add_initializer(graph, &format!("{name}_matrix"), matrix);
    let kept = vec![0i64; rows.len()];
    let mut input = if is_sorted(&before) { x } else { transposed(edit, id, x, &before) };
    if summed.len() > 1 {
        input = rows_of(edit, id, input, [&kept[..], &[-1]].concat());
    }
    edit.set_op(id, "MatMul", "");
    edit.remove_attr(id, "equation");
    edit.set_inputs(id, &[Some(input), Some(matrix)]);
    let mut last = id;
    if columns.len() != 1 {
        let outer: Vec<i64> = outer.iter().map(|n| *n as i64).collect();
        let shape = ints(edit, id, &format!("{name}_shape"), [&kept[..], &outer].concat());
        last = behind(edit, last, NewNode::new("Reshape").name(format!("{name}_Reshape")), Some(shape));
    }
    if !is_sorted(&after) {
        let after: Vec<i64> = after.iter().map(|i| *i as i64).collect();
        behind(edit, last, NewNode::new("Transpose").name(format!("{name}_Transpose")).attr("perm", after), None);
    }
    Outcome::Applied
}

/// Where each letter of `to` is in `from`.
fn orders(from: &[char], to: &[char]) -> Option<Vec<usize>> {
    to.iter().map(|c| from.iter().position(|f| f == c)).collect()
}

fn is_sorted(order: &[usize]) -> bool {
    order.iter().copied().eq(0..order.len())
}

/// `x` in these sizes, for `id`.
fn rows_of(edit: &mut GraphEdit, id: NodeId, x: ValueId, sizes: Vec<i64>) -> ValueId {
    let name = edit.name(x).to_string();
    let shape = ints(edit, id, &format!("{name}_shape"), sizes);
    let node = NewNode::new("Reshape").name(format!("{name}_Reshape")).input(x).input(shape);
    made(edit, Place::Before(id), node.output(format!("{name}_rows"), None)).unwrap_or(x)
}

/// `x` with its axes in this order, for `id`.
fn transposed(edit: &mut GraphEdit, id: NodeId, x: ValueId, order: &[usize]) -> ValueId {
    let name = edit.name(x).to_string();
    let order: Vec<i64> = order.iter().map(|i| *i as i64).collect();
    let node = NewNode::new("Transpose").name(format!("{name}_Transpose")).input(x).attr("perm", order);
    made(edit, Place::Before(id), node.output(format!("{name}_turned"), None)).unwrap_or(x)
}

/// Makes what `id` made by `node` from what it makes now.
fn behind(edit: &mut GraphEdit, id: NodeId, node: NewNode, other: Option<ValueId>) -> NodeId {
    let Some(y) = edit.detach_output(id, 0) else { return id };
    let product = edit.new_value_like(&format!("{}_product", edit.name(y)));
    edit.attach_output(id, 0, product);
    let node = other.into_iter().fold(node.input(product), NewNode::input);
    edit.insert(Place::After(id), node.output_into(y))
}

/// A product of two stacks of matrices, whose last two axes may be turned.
fn of_activations(
    edit: &mut GraphEdit,
    id: NodeId,
    operands: [ValueId; 2],
    (e, batch, summed): (&Equation, &[char], &[char]),
) -> Outcome {
    let of = |letters: &[char]| -> Vec<char> {
        letters.iter().copied().filter(|c| !batch.contains(c) && !summed.contains(c)).collect()
    };
    let (&[k], [m, n]) = (summed, [of(&e.a), of(&e.b)]) else {
        return Outcome::refused("it sums over several axes of activations");
    };
    let (&[m], &[n]) = (&m[..], &n[..]) else {
        return Outcome::refused("its operands have more than rows and columns of their own");
    };
    let with = |ends: [char; 2]| [batch, &ends].concat();
    let turned = [(&e.a, with([m, k]), with([k, m])), (&e.b, with([k, n]), with([n, k]))]
        .map(|(is, plain, turned)| if *is == plain { Some(false) } else { (*is == turned).then_some(true) });
    let ([Some(turn_a), Some(turn_b)], true) = (turned, e.out == with([m, n])) else {
        return Outcome::refused("its activations would need another order of axes");
    };
    let mut inputs = operands;
    let rank = batch.len() + 2;
    let order: Vec<usize> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
    for (input, _) in inputs.iter_mut().zip([turn_a, turn_b]).filter(|(_, turn)| *turn) {
        *input = transposed(edit, id, *input, &order);
    }
    edit.set_op(id, "MatMul", "");
    edit.remove_attr(id, "equation");
    edit.set_inputs(id, &inputs.map(Some));
    Outcome::Applied
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_axes_of_an_activation_are_those_before_the_named_ones() {
        let of = |text: &str, rank| Equation::parse(text, rank).unwrap().map(|e| e.out.into_iter().collect::<String>());
        assert_eq!(of("...k,kn->...n", Some(3)), Ok("01n".into()));
        assert_eq!(of("...k,kn->...n", None), Err("...k,kn->...n leaves axes open".into()));
        assert_eq!(of("...k,...kn->...n", Some(3)), Err("...k,...kn->...n leaves axes open".into()));
    }
}
