//! Raising the version of the standard's operators that a model imports.
//!
//! A model is raised only when an inserted operator needs it. What changed between two versions is
//! a table: the operator, the version that changed it, and the rewrite that says the same in
//! the new version. Operators that are not in the table are called the same way in both.
//!
//! All or nothing: when one node cannot be said in the new version, the model stays as it was and the
//! refusal names the node.
//!
//! Source: the "Operator changelog" of the ONNX standard, versions 7 to 25.

mod attribute_input;
mod batch_norm;
mod clip;
mod defaults;
mod dropout;
mod pad;
mod reduce;
mod resize;
mod scatter;
mod slice;
mod softmax;
mod split;
mod squeeze;
mod topk;
mod upsample;

use std::fmt;

use serde::Serialize;

use crate::error::Error;
use crate::ir::{GraphEdit, NodeId};
use crate::passes::tidy::freeze_inputs;

/// The oldest version that can be raised: before it, arithmetic broadcast by attribute.
pub const OLDEST: i64 = 7;
/// The newest version whose changes are in the table.
pub const NEWEST: i64 = 25;

/// What one version changed about one operator.
pub(super) struct Change {
    op_type: &'static str,
    /// The version in which it changed.
    since: i64,
    /// Says the node in the new version; `false` when there was nothing to change, or why it cannot be said.
    apply: fn(&mut GraphEdit, NodeId) -> Result<bool, String>,
}

/// Every change that needs a rewrite or may refuse, by version.
static CHANGES: &[&[Change]] = &[
    scatter::CHANGES,
    upsample::CHANGES,
    batch_norm::CHANGES,
    slice::CHANGES,
    topk::CHANGES,
    clip::CHANGES,
    pad::CHANGES,
    resize::CHANGES,
    dropout::CHANGES,
    squeeze::CHANGES,
    reduce::CHANGES,
    softmax::CHANGES,
    split::CHANGES,
    defaults::CHANGES,
];

/// A model was raised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Raised {
    /// The version before.
    pub from: i64,
    /// The version now.
    pub to: i64,
    /// Why it was raised; empty until [`Raised::because`] says it.
    pub reason: String,
    /// Nodes that had to be said differently.
    pub changed: Vec<String>,
}

impl Raised {
    /// Says what the new version is needed for.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.reason = reason.into();
        self
    }
}

impl fmt::Display for Raised {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opset {} raised to {}", self.from, self.to)?;
        if !self.reason.is_empty() {
            write!(f, ": {}", self.reason)?;
        }
        match self.changed.len() {
            0 => Ok(()),
            n => write!(f, " ({n} node{} rewritten)", if n == 1 { "" } else { "s" }),
        }
    }
}

/// A model could not be raised and is as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refused {
    /// The version that it has.
    pub from: i64,
    /// The version that was wanted.
    pub to: i64,
    /// The node, as `"pool" (Upsample)`; none where the whole model is in the way.
    pub node: Option<String>,
    /// What stands in the way.
    pub reason: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "opset {} cannot be raised to {}: ", self.from, self.to)?;
        if let Some(node) = &self.node {
            write!(f, "node {node}: ")?;
        }
        f.write_str(&self.reason)
    }
}

impl From<Refused> for Error {
    fn from(refused: Refused) -> Self {
        Error::input(refused.to_string())
    }
}

/// Raises the standard's operators to version `to`, in every graph. A model that is there already is
/// left alone.
pub fn raise(edit: &mut GraphEdit, to: i64) -> Result<Raised, Refused> {
    let from = edit.onnx_opset();
    let mut raised = Raised { from, to: to.max(from), reason: String::new(), changed: Vec::new() };
    if to <= from {
        return Ok(raised);
    }
    let refuse = |node, reason: &str| Err(Refused { from, to, node, reason: reason.to_string() });
    if from < OLDEST {
        return refuse(None, "it is older than 7, where arithmetic broadcasts by attributes");
    }
    if to > NEWEST {
        return refuse(None, "that version is newer than the changes known here, which end at 25");
    }
    if !edit.functions().is_empty() {
        return refuse(None, "functions import versions of their own; inline them first");
    }
    let saved = edit.model().clone();
    let mut changed: Vec<(NodeId, String)> = Vec::new();
    // Rewrites add initializers, which below IR version 4 would have to be inputs.
    freeze_inputs::freeze(edit);
    for version in from + 1..=to {
        for node in edit.all_nodes() {
            if !edit.is_live(node) {
                continue;
            }
            let Some(change) = change(edit, node, version) else { continue };
            let described = edit.describe(node);
            match (change.apply)(edit, node) {
                Ok(true) if changed.iter().all(|(n, _)| *n != node) => changed.push((node, described)),
                Ok(_) => {}
                Err(reason) => {
                    edit.replace_model(saved);
                    return refuse(Some(described), &reason);
                }
            }
        }
        edit.set_opset("", version);
    }
    raised.changed = changed.into_iter().map(|(_, described)| described).collect();
    Ok(raised)
}

fn change(edit: &GraphEdit, node: NodeId, version: i64) -> Option<&'static Change> {
    let all = CHANGES.iter().flat_map(|c| c.iter());
    let mut here = all.filter(|c| c.since == version);
    here.find(|c| edit.node(node).is(c.op_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{DType, Model, NewNode, Place, TensorType, Type};

    /// `x` float[2,1,3] → one node → `y`.
    pub(super) fn one_node(opset: i64, node: NewNode) -> (Model, NodeId) {
        let mut model = Model::new(opset);
        let mut edit = GraphEdit::new(&mut model);
        let main = edit.main();
        let x = edit.new_value("x", Some(Type::tensor(&TensorType::new(DType::F32, [2i64, 1, 3]))));
        edit.add_graph_input(main, x);
        let id = edit.insert(Place::End(main), node.name("node").input(x).output("y", None));
        let y = edit.node(id).output(0).unwrap();
        edit.add_graph_output(main, y);
        (model, id)
    }

    /// Makes the data of [`one_node`] of this type.
    pub(super) fn of_type(model: &mut Model, dtype: DType) {
        let x = model.user_inputs()[0];
        GraphEdit::new(model).set_declared(x, Some(Type::tensor(&TensorType::new(dtype, [2i64, 1, 3]))));
    }

    #[test]
    fn attributes_become_inputs_and_the_report_names_the_nodes() {
        let (mut model, id) = one_node(11, NewNode::new("Squeeze").attr("axes", vec![1i64]));
        let mut edit = GraphEdit::new(&mut model);
        let raised = raise(&mut edit, 13).unwrap().because("Squeeze wants it");
        assert_eq!(raised.to_string(), "opset 11 raised to 13: Squeeze wants it (1 node rewritten)");
        assert_eq!(raised.changed, ["\"node\" (Squeeze)"]);
        assert_eq!(edit.constant_input(id, 1).unwrap().to_i64().unwrap(), [1]);
        assert_eq!((edit.node(id).attrs().len(), edit.onnx_opset()), (0, 13));
        crate::ir::verify(&model).unwrap();
    }

    #[test]
    fn a_refusal_leaves_the_model_as_it_was() {
        let (mut model, id) = one_node(8, NewNode::new("BatchNormalization").attr("spatial", 0i64));
        let refused = raise(&mut GraphEdit::new(&mut model), 13).unwrap_err();
        assert_eq!(refused.node.as_deref(), Some("\"node\" (BatchNormalization)"));
        assert!(refused.to_string().starts_with("opset 8 cannot be raised to 13: node \"node\""), "{refused}");
        assert_eq!((model.onnx_opset(), model.node(id).int("spatial")), (8, Some(0)));
    }

    #[test]
    fn nothing_is_done_to_a_model_that_is_there_already() {
        let (mut model, _) = one_node(17, NewNode::new("Relu"));
        let raised = raise(&mut GraphEdit::new(&mut model), 13).unwrap();
        assert_eq!((raised.from, raised.to, raised.changed.len()), (17, 17, 0));
    }

    #[test]
    fn old_and_unknown_versions_are_refused() {
        let (mut model, _) = one_node(6, NewNode::new("Relu"));
        assert!(raise(&mut GraphEdit::new(&mut model), 13).is_err());
        let (mut model, _) = one_node(17, NewNode::new("Relu"));
        assert!(raise(&mut GraphEdit::new(&mut model), NEWEST + 1).is_err());
    }
}
