//! Nodes that the user leaves out: their weights stay as they are.

use regex::Regex;

use super::options::PruneOptions;
use crate::error::{Error, Result};
use crate::ir::{Model, NodeId, Use, ValueId};
use crate::recover::{Bound, Bounds};

/// What `--exclude` names.
pub(super) struct Exclude(Vec<Regex>);

impl Exclude {
    /// # Errors
    /// Usage, for what is no regular expression.
    pub fn of(options: &PruneOptions) -> Result<Self> {
        let wrong = |p: &str, e| Error::usage(format!("--exclude \"{p}\" is no regular expression: {e}"));
        let regex = |p: &String| Regex::new(p).map_err(|e| wrong(p, e));
        Ok(Exclude(options.exclude.iter().map(regex).collect::<Result<_>>()?))
    }

    /// Why the node keeps its weights.
    pub fn node(&self, model: &Model, id: NodeId) -> Option<String> {
        let label = model.node_label(id);
        self.0.iter().find(|r| r.is_match(label)).map(|r| format!("--exclude {r}"))
    }

    /// Why a constant stays as it is: one of the nodes that read it is left out.
    pub fn constant(&self, model: &Model, value: ValueId) -> Option<String> {
        let reader = |u: &Use| match u {
            Use::Node { node, .. } => self.node(model, *node),
            Use::Output { .. } => None,
        };
        model.constant(value).and_then(|_| model.uses(value).iter().find_map(reader))
    }

    /// The constants of the nodes that are left out, which are not trained.
    pub fn bounds(&self, model: &Model) -> Bounds {
        let read = model.all_nodes().into_iter().flat_map(|n| model.node(n).inputs().iter().flatten());
        read.filter_map(|v| Some((*v, Bound::Fixed(Some(self.constant(model, *v)?))))).collect()
    }
}
