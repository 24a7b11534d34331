//! What a pass is, and what it answers.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use crate::error::Result;
use crate::ir::{GraphEdit, Model, NodeId};

use super::opset;

/// What became of one candidate.
#[must_use]
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Not what the pass looks for.
    NoMatch,
    /// Rewritten.
    Applied,
    /// The pattern, left alone for this reason.
    Refused(String),
}

impl Outcome {
    pub(crate) fn refused(reason: impl Into<String>) -> Self {
        Outcome::Refused(reason.into())
    }
}

/// A rewrite of the graph.
#[derive(Debug, Clone, Copy)]
pub struct Pass {
    /// As `--only` and `--skip` take it.
    pub name: &'static str,
    /// One line for the command line's help.
    pub summary: &'static str,
    /// Runs it once over the whole model.
    pub run: fn(&mut GraphEdit) -> Result<PassReport>,
    /// Whether every output keeps its bits: no arithmetic is redone in another order.
    pub exact: bool,
    /// The name of those that reach the same in several ways: where one is left out, another does its work.
    pub family: Option<&'static str>,
    /// Whether it runs only where the preset of the runtime has it on, when all others have done what they can.
    pub targeted: bool,
    /// Whether it is for float alone: what it writes cuts chains of integers.
    pub float_alone: bool,
    /// Whether it runs only where it is asked for by name.
    pub on_demand: bool,
    /// Whether it runs once, when all others are done.
    pub last: bool,
}

impl Pass {
    pub(super) const fn new(
        name: &'static str,
        summary: &'static str,
        run: fn(&mut GraphEdit) -> Result<PassReport>,
    ) -> Self {
        Pass {
            name,
            summary,
            run,
            exact: false,
            family: None,
            targeted: false,
            float_alone: false,
            on_demand: false,
            last: false,
        }
    }

    pub(super) const fn exact(mut self) -> Self {
        self.exact = true;
        self
    }

    pub(super) const fn of_family(mut self, family: &'static str) -> Self {
        self.family = Some(family);
        self
    }

    pub(super) const fn targeted(mut self) -> Self {
        self.targeted = true;
        self
    }

    pub(super) const fn on_demand(mut self) -> Self {
        self.on_demand = true;
        self
    }

    pub(super) const fn last(mut self) -> Self {
        self.last = true;
        self
    }

    pub(super) const fn float_alone(mut self) -> Self {
        self.float_alone = true;
        self
    }
}

/// A pattern that was found and left alone.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
pub struct Refusal {
    /// The pass that found it.
    pub pass: &'static str,
    /// The node, or the name of its first output.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// Why it was left alone.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { pass, node, op_type, reason } = self;
        write!(f, "{pass:<28} refused at \"{node}\" ({op_type}): {reason}")
    }
}

/// What one run of a pass did.
#[must_use]
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PassReport {
    /// How often it changed something.
    pub applied: usize,
    /// What it found and left alone.
    pub refusals: Vec<Refusal>,
    /// What changed with it beside nodes, and why: the opset, the type of all values.
    pub note: Option<String>,
}

impl PassReport {
    pub(crate) fn applied(applied: usize) -> Self {
        PassReport { applied, ..PassReport::default() }
    }
}

/// Shows `rewrite` every node of the main graph and its subgraphs whose operator is one of the standard's
/// `op_types` (all nodes for an empty list), in execution order, and counts what it answers.
///
/// Nodes that a rewrite removes are skipped, those that it adds are left to the next round.
pub fn for_each(
    edit: &mut GraphEdit,
    pass: &'static str,
    op_types: &[&str],
    mut rewrite: impl FnMut(&mut GraphEdit, NodeId) -> Result<Outcome>,
) -> Result<PassReport> {
    let mut report = PassReport::default();
    for id in edit.all_nodes() {
        if !edit.is_live(id) || !(op_types.is_empty() || edit.node(id).is_one_of(op_types)) {
            continue;
        }
        let outcome = match rewrite(edit, id) {
            Ok(outcome) => outcome,
            Err(error) if edit.is_live(id) => return Err(error.at_node(edit.describe(id))),
            Err(error) => return Err(error),
        };
        match outcome {
            Outcome::NoMatch => {}
            Outcome::Applied => report.applied += 1,
            Outcome::Refused(reason) => report.refusals.push(Refusal {
                pass,
                node: edit.node_label(id).to_string(),
                op_type: edit.node(id).op_type.clone(),
                reason,
            }),
        }
    }
    Ok(report)
}

/// As [`for_each`] for a rewrite whose result is of opset `since`: where the model's is older and `matches` finds something to
/// rewrite, it is raised first.
pub(super) fn for_each_from(
    since: i64,
    edit: &mut GraphEdit,
    pass: &'static str,
    op_types: &[&str],
    matches: impl Fn(&Model, NodeId) -> bool,
    rewrite: impl FnMut(&mut GraphEdit, NodeId) -> Result<Outcome>,
) -> Result<PassReport> {
    let mut note = None;
    if edit.onnx_opset() < since {
        let candidates = edit.all_nodes();
        let Some(first) = candidates.iter().find(|n| edit.node(**n).is_one_of(op_types) && matches(edit, **n)) else {
            return Ok(PassReport::default());
        };
        let (node, op_type) = (edit.node_label(*first).to_string(), edit.node(*first).op_type.clone());
        match opset::raise(edit, since) {
            Ok(how) => note = Some(how.because(format!("{pass} needs an operator of opset {since}")).to_string()),
            Err(refused) => {
                let refusal = Refusal { pass, node, op_type, reason: refused.to_string() };
                return Ok(PassReport { refusals: vec![refusal], ..PassReport::default() });
            }
        }
    }
    Ok(PassReport { note, ..for_each(edit, pass, op_types, rewrite)? })
}
