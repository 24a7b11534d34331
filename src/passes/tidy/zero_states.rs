//! A recurrent layer starts from zeros by itself: an initial state of zeros is left out.
//!
//! ```text
//! ConstantOfShape(0) ─► Slice ─► h
//! x, W, R, B, , h ─► GRU ─► y                       x, W, R, B ─► GRU ─► y
//! ```
//!
//! Zeros are constants of zeros, ConstantOfShape of zero, and what is moved or selected from those, of whatever
//! size. A state that is computed otherwise is no match.

use crate::error::Result;
use crate::ir::{GraphEdit, Model, ValueId};
use crate::passes::support::all_equal;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass = Pass::new(
    "drop-zero-states",
    "leave out initial states of zeros, which LSTM, GRU and RNN start from by themselves",
    run,
)
.exact();

/// Initial hidden and cell state.
const STATES: [usize; 2] = [5, 6];

/// A chain of movers is not longer in practice.
const MAX_DEPTH: usize = 16;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &[], |edit, node| {
        let n = edit.node(node);
        let contributed = n.domain() == "com.microsoft" && n.op_type == "DynamicQuantizeLSTM";
        if !n.is_one_of(&["LSTM", "GRU", "RNN"]) && !contributed {
            return Ok(Outcome::NoMatch);
        }
        let mut outcome = Outcome::NoMatch;
        for input in STATES {
            if edit.node(node).input(input).is_some_and(|state| is_zero(edit, state, MAX_DEPTH)) {
                edit.set_input(node, input, None);
                outcome = Outcome::Applied;
            }
        }
        Ok(outcome)
    })
}

const MOVERS: &[&str] = &[
    "Slice",
    "Gather",
    "Reshape",
    "Squeeze",
    "Unsqueeze",
    "Transpose",
    "Expand",
    "Identity",
    "Tile",
    "Flatten",
    "Split",
    "Cast",
];

/// Whether every element is certainly zero.
fn is_zero(model: &Model, value: ValueId, depth: usize) -> bool {
    if let Some(tensor) = model.constant(value) {
        return all_equal(tensor, 0.0);
    }
    let Some(node) = model.producer(value).filter(|_| depth > 0).map(|n| model.node(n)) else { return false };
    if node.is("ConstantOfShape") {
        return node.tensor("value").is_none_or(|t| all_equal(t, 0.0));
    }
    let inputs = match () {
        () if node.is_one_of(MOVERS) => node.inputs().get(..1).unwrap_or_default(),
        () if node.is("Concat") => node.inputs(),
        () => return false,
    };
    !inputs.is_empty() && inputs.iter().all(|v| v.is_some_and(|v| is_zero(model, v, depth - 1)))
}
