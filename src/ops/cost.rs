//! Multiply-accumulates (MACs) of the operators that are made of them, from concrete shapes.
//!
//! ```text
//! Conv           Y · C/group · k…          each output element sums over one window
//! ConvTranspose  X · M/group · k…          each input element is spread over one window
//! MatMul, Gemm   Y · K
//! LSTM, GRU, RNN T · B · directions · gates·H · (I + H)
//! ```
//!
//! What has no rule here counts as none: elementwise operators and moves cost memory traffic, not MACs.

use crate::ir::Node;

/// A node and the concrete shapes of its inputs and first output, where known.
pub struct Shapes<'a> {
    /// The node.
    pub node: &'a Node,
    /// One for each input; `None` where a size is not known.
    pub inputs: Vec<Option<Vec<u64>>>,
    /// Of the first output.
    pub output: Option<Vec<u64>>,
}

/// MACs of one run; `None` where a shape that counts is not known, or where they exceed 64 bits.
pub type Macs = fn(&Shapes) -> Option<u64>;

impl Shapes<'_> {
    fn input(&self, index: usize) -> Option<&[u64]> {
        self.inputs.get(index)?.as_deref()
    }
}

fn product(dims: &[u64]) -> Option<u64> {
    dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d))
}

fn windows(elements: Option<&[u64]>, weight: Option<&[u64]>) -> Option<u64> {
    product(elements?)?.checked_mul(product(weight?.get(1..)?)?)
}

/// The weight is input 1.
pub fn conv(s: &Shapes) -> Option<u64> {
    windows(s.output.as_deref(), s.input(1))
}

/// QLinearConv: the weight is input 3.
pub fn qlinear_conv(s: &Shapes) -> Option<u64> {
    windows(s.output.as_deref(), s.input(3))
}

pub fn conv_transpose(s: &Shapes) -> Option<u64> {
    windows(s.input(0), s.input(1))
}

/// The first operand is input 0 in all of MatMul's forms.
pub fn matmul(s: &Shapes) -> Option<u64> {
    product(s.output.as_deref()?)?.checked_mul(*s.input(0)?.last()?)
}

pub fn gemm(s: &Shapes) -> Option<u64> {
    let axis = usize::from(s.node.int_or("transA", 0) == 0);
    product(s.output.as_deref()?)?.checked_mul(*s.input(0)?.get(axis)?)
}

/// X `[T, B, I]` (or `[B, T, I]`), W `[directions, gates·H, I]`, R `[directions, gates·H, H]`; DynamicQuantizeLSTM has both transposed.
pub fn recurrent(s: &Shapes) -> Option<u64> {
    let steps = product(s.input(0)?.get(..2)?)?;
    steps.checked_mul(product(s.input(1)?)?.checked_add(product(s.input(2)?)?)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{GraphEdit, Model, NewNode, Place};

    fn macs(rule: Macs, new: NewNode, inputs: &[&[u64]], output: &[u64]) -> Option<u64> {
        let mut model = Model::new(17);
        let main = model.main();
        let id = GraphEdit::new(&mut model).insert(Place::End(main), new);
        let inputs = inputs.iter().map(|d| Some(d.to_vec())).collect();
        rule(&Shapes { node: model.node(id), inputs, output: Some(output.to_vec()) })
    }

    #[test]
    fn macs_are_counted_by_hand() {
        // A depthwise 3×3 convolution: 9 for each of 32·14·14 outputs.
        assert_eq!(
            macs(conv, NewNode::new("Conv"), &[&[1, 32, 14, 14], &[32, 1, 3, 3]], &[1, 32, 14, 14]),
            Some(56_448)
        );
        assert_eq!(macs(gemm, NewNode::new("Gemm"), &[&[2, 8], &[8, 4]], &[2, 4]), Some(64));
        assert_eq!(macs(gemm, NewNode::new("Gemm").attr("transA", 1i64), &[&[8, 2], &[8, 4]], &[2, 4]), Some(64));
        assert_eq!(macs(matmul, NewNode::new("MatMul"), &[&[3, 5, 7], &[7, 2]], &[3, 5, 2]), Some(210));
        let (x, w, r): (&[u64], &[u64], &[u64]) = (&[10, 1, 3], &[2, 16, 3], &[2, 16, 4]);
        assert_eq!(macs(recurrent, NewNode::new("LSTM"), &[x, w, r], &[10, 2, 1, 4]), Some(2240));
        assert_eq!(macs(matmul, NewNode::new("MatMul"), &[&[u64::MAX, 2]], &[u64::MAX]), None);
    }
}
