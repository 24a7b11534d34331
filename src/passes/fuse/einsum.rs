//! Einsum of two operands that sums over what only they share becomes MatMul.
//!
//! ```text
//! …k,kn->…n        x ─► MatMul(W)
//! bqd,dhk->bqhk    x ─► MatMul(W as [d, h·k]) ─► Reshape [0, 0, h, k]
//! bqhk,hkd->bqd    x ─► Reshape [0, 0, −1] ─► MatMul(W as [h·k, d])
//! bhqd,bhkd->bhqk  a ─► MatMul(Transpose b)                        two activations, the last two axes in any order
//! ```
//!
//! A constant second operand takes any order of its letters. Runtimes quantize and fuse MatMul, not Einsum.
//!
//! Refuses letters that repeat in one operand or are summed over in one alone, and orders that would need an activation transposed by more
//! than its last two axes.

use crate::error::Result;
use crate::ir::{GraphEdit, NewNode, NodeId, Place, Tensor, ValueId};
use crate::passes::support::{ints, made, permuted};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("einsum-as-matmul", "say Einsum that is a product of matrices as MatMul", run);

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Einsum"], |edit, node| Ok(rewrite(edit, node)))
}

/// The letters of both operands and of the result.
struct Equation {
    a: Vec<char>,
    b: Vec<char>,
    out: Vec<char>,
}

impl Equation {
    /// Of two operands; `None` where the result is not said.
    fn parse(text: &str) -> Option<Result<Equation, String>> {
        let text: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let (operands, out) = text.split_once("->")?;
        let (a, b) = operands.split_once(',').filter(|(_, b)| !b.contains(','))?;
        if text.contains('.') {
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
    let equation = match Equation::parse(text) {
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

/// x·W, where x ends in what is summed over and the result in what only W has.
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
    if [&rows[..], summed].concat() != e.a || [&rows[..], &columns].concat() != e.out {
        return Outcome::refused("its activation would need another order of axes");
    }
    let place = |c: &char| e.b.iter().position(|b| b == c);
    let Some(order) = summed.iter().chain(&columns).map(place).collect::<Option<Vec<_>>>() else {
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
    let mut input = Some(x);
    if summed.len() > 1 {
        input = rows_of(edit, id, x, [&kept[..], &[-1]].concat());
    }
    edit.set_op(id, "MatMul", "");
    edit.remove_attr(id, "equation");
    edit.set_inputs(id, &[input, Some(matrix)]);
    if columns.len() != 1 {
        let Some(y) = edit.detach_output(id, 0) else { return Outcome::NoMatch };
        let product = edit.new_value_like(&format!("{name}_product"));
        edit.attach_output(id, 0, product);
        let outer: Vec<i64> = outer.iter().map(|n| *n as i64).collect();
        let shape = ints(edit, id, &format!("{name}_shape"), [&kept[..], &outer].concat());
        let node = NewNode::new("Reshape").name(format!("{name}_Reshape")).input(product).input(shape);
        edit.insert(Place::After(id), node.output_into(y));
    }
    Outcome::Applied
}

/// `x` in these sizes, for `id`.
fn rows_of(edit: &mut GraphEdit, id: NodeId, x: ValueId, sizes: Vec<i64>) -> Option<ValueId> {
    let name = edit.name(x).to_string();
    let shape = ints(edit, id, &format!("{name}_shape"), sizes);
    let node = NewNode::new("Reshape").name(format!("{name}_Reshape")).input(x).input(shape);
    made(edit, Place::Before(id), node.output(format!("{name}_rows"), None))
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
    for (input, _) in inputs.iter_mut().zip([turn_a, turn_b]).filter(|(_, turn)| *turn) {
        let name = edit.name(*input).to_string();
        let rank = batch.len() as i64 + 2;
        let order: Vec<i64> = (0..rank - 2).chain([rank - 1, rank - 2]).collect();
        let node = NewNode::new("Transpose").name(format!("{name}_Transpose")).input(*input).attr("perm", order);
        *input = made(edit, Place::Before(id), node.output(format!("{name}_turned"), None)).unwrap_or(*input);
    }
    edit.set_op(id, "MatMul", "");
    edit.remove_attr(id, "equation");
    edit.set_inputs(id, &inputs.map(Some));
    Outcome::Applied
}
