//! An Expand before an operator that broadcasts goes where another operand has the sizes that it makes.
//!
//! ```text
//! x: [1, 3] ─► Expand([N, 3]) ─► Add(·, y: [N, 3]) ─► z        x ─► Add(·, y) ─► z
//! ```
//!
//! Every size that the Expand makes must be x's own or certainly that of another operand: known, or of the same source. Other readers keep the Expand.

use crate::analysis::{self, shape_of};
use crate::error::Result;
use crate::ir::{Dim, GraphEdit, Model, NodeId, ValueId};
use crate::passes::support::{BROADCASTING, producer_of};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("drop-expands", "leave to a broadcasting operator what an Expand before it does", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    // Below 7 operators broadcast by an attribute.
    if edit.onnx_opset() < 7 {
        return Ok(PassReport::default());
    }
    analysis::infer(edit);
    for_each(edit, PASS.name, BROADCASTING, |edit, node| {
        let expanded = (0..edit.node(node).inputs().len()).find_map(|i| Some((i, source(edit, node, i)?)));
        Ok(expanded.map_or(Outcome::NoMatch, |(index, x)| {
            edit.set_input(node, index, Some(x));
            Outcome::Applied
        }))
    })
}

/// What the Expand of this operand expands, where the node does as much.
fn source(model: &Model, node: NodeId, index: usize) -> Option<ValueId> {
    let expand = producer_of(model, node, index, &["Expand"])?;
    let x = model.node(expand).input(0)?;
    let (own, made) = (shape_of(model, x)?, shape_of(model, model.node(expand).output(0)?)?);
    let others = model.node(node).inputs().iter().enumerate().filter(|(i, _)| *i != index);
    let others: Vec<Vec<Dim>> = others.filter_map(|(_, v)| shape_of(model, (*v)?)).collect();
    // Axes are counted from the last.
    let has =
        |shape: &[Dim], back: usize| shape.iter().rev().nth(back).is_some_and(|d| d.same(&made[made.len() - 1 - back]));
    // A size of 1 is that of an axis that another operand has.
    let given = |shape: &Vec<Dim>, back: usize| made[made.len() - 1 - back] == Dim::Known(1) && shape.len() > back;
    let kept = |back: usize| has(&own, back) || others.iter().any(|shape| has(shape, back) || given(shape, back));
    (own.len() <= made.len() && (0..made.len()).all(kept)).then_some(x)
}
