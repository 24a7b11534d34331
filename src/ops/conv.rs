//! Convolutions: weight `[M, C/group, k…]`, transposed `[C, M/group, k…]`.

use super::rule::CONVOLUTION;
use super::{IntegerForm, OpDef, QuantRule, channels, cost, infer, vjp};

const fn convolution(channel_axis: usize, integer: Option<IntegerForm>) -> QuantRule {
    let axis: fn(&crate::ir::Node, usize) -> usize = if channel_axis == 0 { |_, _| 0 } else { |_, _| 1 };
    QuantRule::Weighted { input: 0, weight: 1, bias: Some(2), channel_axis: axis, both_activations: false, integer }
}

pub(super) static OPS: &[OpDef] = &[
    OpDef::new("Conv", convolution(0, Some(CONVOLUTION)))
        .backward(vjp::convolution::conv)
        .takes(2)
        .infers(infer::window::conv)
        .costs(cost::conv)
        .couples(channels::window::CONV),
    OpDef::new("ConvTranspose", convolution(1, None))
        .backward(vjp::convolution::conv_transpose)
        .takes(2)
        .infers(infer::window::conv_transpose)
        .costs(cost::conv_transpose)
        .couples(channels::window::CONV_TRANSPOSE),
    OpDef::new("DeformConv", QuantRule::Never("sampling at fractional positions needs floats")).takes(3),
];
