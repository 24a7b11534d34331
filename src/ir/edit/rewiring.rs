//! Readers of one value sent to another.

use super::GraphEdit;
use crate::ir::model::ValueId;
use crate::ir::parts::{Origin, Use};

impl GraphEdit<'_> {
    /// Every node that reads `old` reads `new`; graph outputs stay.
    pub fn replace_node_uses(&mut self, old: ValueId, new: ValueId) {
        let nodes = self.model.uses(old).to_vec();
        for u in nodes {
            if let Use::Node { node, input } = u {
                self.set_input(node, input, Some(new));
            }
        }
    }

    /// Everything that reads `old` reads `new`; the names of graph outputs stay.
    ///
    /// A graph output that was `old` becomes `new` under `old`'s name, for which `new` must be made by a
    /// node of the same graph and be no output itself; else nothing changes and the reason is returned.
    pub fn replace_uses(&mut self, old: ValueId, new: ValueId) -> Result<(), String> {
        self.can_replace_uses(old, new)?;
        let outputs: Vec<_> =
            self.model.uses(old).iter().copied().filter(|u| matches!(u, Use::Output { .. })).collect();
        self.replace_node_uses(old, new);
        for u in outputs {
            if let Use::Output { graph, index } = u {
                self.set_graph_output(graph, index, new);
                self.swap_identity(old, new);
            }
        }
        Ok(())
    }

    /// Whether [`Self::replace_uses`] would, and why not.
    pub fn can_replace_uses(&self, old: ValueId, new: ValueId) -> Result<(), String> {
        let mut outputs = self.model.uses(old).iter().filter_map(|u| match u {
            Use::Output { graph, .. } => Some(*graph),
            Use::Node { .. } => None,
        });
        let Some(graph) = outputs.next() else { return Ok(()) };
        let name = self.model.name(old);
        match self.model.value(new).origin {
            _ if outputs.next().is_some() => return Err(format!("{name} is several graph outputs")),
            Origin::Node { node, .. } if self.model.node(node).graph == graph => {}
            _ => return Err(format!("the graph output {name} would have no node of its own")),
        }
        if self.model.is_output(new) {
            return Err(format!("{name} and {} are both graph outputs", self.model.name(new)));
        }
        Ok(())
    }

    /// `new` gets the name, declared type and docs of `old`, and `old` a fresh name.
    pub(crate) fn swap_identity(&mut self, old: ValueId, new: ValueId) {
        let name = self.model.name(old).to_string();
        let fresh = self.fresh_name(&name);
        let o = self.value_mut(old);
        let (declared, doc) = (o.declared.take(), o.doc.take());
        let metadata = std::mem::take(&mut o.metadata);
        o.name = fresh;
        let n = self.value_mut(new);
        (n.name, n.declared, n.doc, n.metadata) = (name, declared, doc, metadata);
        for g in self.model.graphs.iter_mut().flatten() {
            g.value_info.retain(|v| *v != old && *v != new);
        }
    }
}
