//! New constants of nodes, all decided before the first is set.
//!
//! A constant that another node reads too is not changed but copied, which is refused where the file would grow by
//! more than the node that goes away.

use crate::ir::{GraphEdit, Model, NodeId, Tensor};
use crate::passes::support::set_constant;

/// About what a node takes in the file.
const NODE_BYTES: usize = 128;

/// Tensors for inputs of nodes.
#[derive(Debug, Clone, Default)]
pub(super) struct Constants(Vec<(NodeId, usize, Tensor)>);

impl Constants {
    /// Input number `input` of `node` becomes this tensor.
    pub fn add(&mut self, node: NodeId, input: usize, tensor: Tensor) {
        self.0.push((node, input, tensor));
    }

    /// With those of another change.
    pub fn extend(&mut self, others: Constants) {
        self.0.extend(others.0);
    }

    /// Nodes, inputs and what they become.
    pub fn all(&self) -> impl Iterator<Item = (NodeId, usize, &Tensor)> {
        self.0.iter().map(|(node, input, tensor)| (*node, *input, tensor))
    }

    /// Whether the file grows by no more than a node once `freed` bytes are gone, and why not.
    pub fn afford(&self, model: &Model, freed: usize) -> Result<(), String> {
        let shared = |n: NodeId, input| model.node(n).input(input).filter(|v| model.uses(*v).len() > 1);
        let copied = || self.0.iter().filter_map(|(n, input, tensor)| Some((shared(*n, *input)?, tensor.byte_len())));
        let grows: usize = copied().map(|(_, bytes)| bytes).sum();
        match copied().next().filter(|_| grows > freed + NODE_BYTES) {
            Some((first, _)) => {
                let name = model.name(first);
                Err(format!("{name} is shared: a copy of it would add {} bytes to the file", grows - freed))
            }
            None => Ok(()),
        }
    }

    /// Sets them.
    pub fn set(self, edit: &mut GraphEdit) {
        for (node, input, tensor) in self.0 {
            set_constant(edit, node, input, tensor);
            // The bias of a Gemm holds its factor then.
            if input == 2 && edit.node(node).is("Gemm") {
                edit.remove_attr(node, "beta");
            }
        }
    }

    pub fn afford_and_set(self, edit: &mut GraphEdit, freed: usize) -> Result<(), String> {
        self.afford(edit, freed)?;
        self.set(edit);
        Ok(())
    }
}
