//! An If on a negated condition takes its branches the other way round.
//!
//! ```text
//! c ─► Not ─► If { a } else { b } ─► y        c ─► If { b } else { a } ─► y
//! ```
//!
//! Refuses nothing. The Not stays where something else reads it.

use super::branches;
use crate::error::Result;
use crate::ir::{Attr, GraphEdit};
use crate::passes::support::producer_of;
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("swap-negated-branches", "swap the branches of an If on a negated condition", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["If"], |edit, node| {
        let not = producer_of(edit, node, 0, &["Not"]);
        let (Some([then, other]), Some(condition)) =
            (branches(edit, node), not.and_then(|not| edit.node(not).input(0)))
        else {
            return Ok(Outcome::NoMatch);
        };
        edit.set_attr(node, "then_branch", Attr::Graph(other));
        edit.set_attr(node, "else_branch", Attr::Graph(then));
        edit.set_input(node, 0, Some(condition));
        Ok(Outcome::Applied)
    })
}
