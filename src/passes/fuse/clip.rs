//! A Relu next to a Clip goes into it; one of two Relus goes.
//!
//! ```text
//! clip(relu(x), l, h) = clip(x, max(l, 0), h) when h ≥ 0        relu(clip(x, l, h)) = clip(x, l, h) when l ≥ 0
//!
//! x ─► Relu ─► Clip(0, 6) ─► y                 x ─► Clip(0, 6) ─► y
//! x ─► Relu ─► Relu ─► y                       x ─► Relu ─► y
//! ```
//!
//! Only where the bounds need no change: a lower bound of 0 or above.
//! Refuses when the output is a graph output that no other node can make.

use crate::error::Result;
use crate::ir::{GraphEdit, NodeId};
use crate::passes::support::{bypass, clip_bounds, producer_of};
use crate::passes::{Outcome, Pass, PassReport, for_each};

pub(in crate::passes) const PASS: Pass =
    Pass::new("fuse-clip", "drop a Relu beside a Clip at 0 or beside another Relu", run).exact();

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, &["Relu", "Clip"], |edit, node| Ok(merge(edit, node)))
}

fn merge(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    let not_negative = |edit: &GraphEdit, n: NodeId| {
        edit.node(n).is("Relu") || clip_bounds(edit, n).is_some_and(|b| 0.0 <= b.0 && b.0 <= b.1)
    };
    if !not_negative(edit, node) {
        return Outcome::NoMatch;
    }
    if edit.node(node).is("Relu") {
        let Some(before) = producer_of(edit, node, 0, &["Relu", "Clip"]) else { return Outcome::NoMatch };
        return match edit.node(before).output(0) {
            Some(kept) if not_negative(edit, before) => bypass(edit, node, kept),
            _ => Outcome::NoMatch,
        };
    }
    let Some(x) = producer_of(edit, node, 0, &["Relu"]).and_then(|relu| edit.node(relu).input(0)) else {
        return Outcome::NoMatch;
    };
    edit.set_input(node, 0, Some(x));
    Outcome::Applied
}
