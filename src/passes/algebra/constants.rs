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
        let largest = copied().max_by_key(|(_, bytes)| *bytes).filter(|_| grows > freed + NODE_BYTES);
        let Some((largest, _)) = largest else { return Ok(()) };
        let (name, adds) = (model.name(largest), grows - freed);
        Err(match copied().count() - 1 {
            0 => format!("{name} is shared: a copy of it would add {adds} bytes to the file"),
            more => format!("{name} and {more} more are shared: copies of them would add {adds} bytes to the file"),
        })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn what_is_too_large_to_copy_is_named_by_its_largest() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[1,64] x) => (float[1,64] y, float[1,64] z)
            <float[64] bias = {0}, float[64,64] weight = {0}> { y = Gemm (x, weight, bias)  z = Gemm (x, weight, bias) }";
        let source = source.replace("bias = {0}", &format!("bias = {{{}}}", vec!["0"; 64].join(",")));
        let source = source.replace("weight = {0}", &format!("weight = {{{}}}", vec!["0"; 4096].join(",")));
        let model = text::parse(&source).unwrap();
        let node = model.graph(model.main()).nodes()[0];
        let floats = |shape: &[usize]| Tensor::from_vec(shape, vec![1.0f32; shape.iter().product()]);
        let mut constants = Constants::default();
        constants.add(node, 2, floats(&[64]));
        let said = |constants: &Constants, freed| constants.afford(&model, freed).unwrap_err();
        assert_eq!(said(&constants, 0), "bias is shared: a copy of it would add 256 bytes to the file");
        assert_eq!(constants.afford(&model, 128), Ok(()));
        constants.add(node, 1, floats(&[64, 64]));
        let both = "weight and 1 more are shared: copies of them would add 16540 bytes to the file";
        assert_eq!(said(&constants, 100), both);
    }
}
