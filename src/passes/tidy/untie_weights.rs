//! A table that is a weight, too, once it is transposed, becomes two constants.
//!
//! ```text
//! W ─┬─► Gather ─► …                         W  ─► Gather ─► …
//!    └─► Transpose ─► MatMul                 Wᵀ ─► MatMul
//! ```
//!
//! Every number stays. Runs when all other passes are done, so that nothing is folded into one of the two, and before weights become
//! integers: what stays float then is stored once again, and integers of both are ([`crate::quantize::apply`]). What multiplies nothing is no match,
//! nor is a Transpose whose output others read, too, or that is a graph output.

use crate::error::Result;
use crate::ir::{DType, GraphEdit, NodeId, Tensor};
use crate::passes::support::{is_weight_alone, made_constant};
use crate::passes::tidy::fold_constants::{evaluate, exact};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("untie-weights", "make constants of weights that are the transposes of tables", run)
        .on_demand()
        .exact()
        .last();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Transpose"], |edit, id| Ok(untie(edit, id).unwrap_or(Outcome::NoMatch)))
}

fn untie(edit: &mut GraphEdit, id: NodeId) -> Option<Outcome> {
    let y = edit.node(id).output(0)?;
    let matrix = |t: &&Tensor| t.rank() == 2 && matches!(t.dtype(), DType::F16 | DType::F32);
    let table = edit.constant_input(id, 0).filter(matrix)?;
    if edit.uses(y).is_empty() || !is_weight_alone(edit, y) {
        return None;
    }
    let turned = evaluate(edit, id, &[Some(table)], exact)?.pop()?;
    made_constant(edit, id, y, turned)
}
