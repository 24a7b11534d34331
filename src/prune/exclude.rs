//! Nodes that the user leaves out: their weights stay as they are.

use regex::Regex;

use super::options::PruneOptions;
use crate::error::Result;
use crate::ir::{Model, NodeId, Use, ValueId};
use crate::ops;
use crate::patterns::{compile, excluded};
use crate::recover::{Bound, Bounds};

/// What `--exclude` names.
pub(super) struct Exclude(Vec<Regex>);

impl Exclude {
    /// # Errors
    /// Usage, for what is no regular expression.
    pub fn of(options: &PruneOptions) -> Result<Self> {
        Ok(Exclude(compile("--exclude", &options.exclude)?))
    }

    /// Why the node keeps its weights.
    pub fn node(&self, model: &Model, id: NodeId) -> Option<String> {
        excluded(&self.0, model.node_label(id))
    }

    /// Why a constant stays as it is: one of the nodes that read it, as it is or in another arrangement, is left out.
    pub fn constant(&self, model: &Model, value: ValueId) -> Option<String> {
        model.constant(value).and_then(|_| self.reader(model, value))
    }

    fn reader(&self, model: &Model, value: ValueId) -> Option<String> {
        let why = |u: &Use| match u {
            Use::Node { node, .. } => self
                .node(model, *node)
                .or_else(|| rearranged(model, *node, value).and_then(|made| self.reader(model, made))),
            Use::Output { .. } => None,
        };
        model.uses(value).iter().find_map(why)
    }

    /// The constants of the nodes that are left out, which are not trained.
    pub fn bounds(&self, model: &Model) -> Bounds {
        let read = model.all_nodes().into_iter().flat_map(|n| model.node(n).inputs().iter().flatten());
        read.filter_map(|v| Some((*v, Bound::Fixed(Some(self.constant(model, *v)?))))).collect()
    }
}

/// The output of a node that only rearranges `value`.
fn rearranged(model: &Model, id: NodeId, value: ValueId) -> Option<ValueId> {
    let node = model.node(id);
    let data = ops::of(node).and_then(|op| op.quant.rearranged(node)).and_then(|i| node.input(i));
    data.filter(|v| *v == value).and_then(|_| node.output(0))
}
