//! What is known of each operator, as data: one [`OpDef`] an operator, one file a family.
//!
//! Engines (shape inference, quantization, pruning) read these and name no operator themselves.

mod activation;
pub mod channels;
mod control;
mod conv;
mod cost;
mod elementwise;
mod fold;
mod infer;
mod layout;
mod matmul;
mod norm;
mod pool;
mod quantized;
mod random;
mod recurrent;
mod reduce;
mod resize;
mod rule;
mod tabular;
pub mod vjp;

use std::collections::HashMap;
use std::sync::LazyLock;

pub use activation::clip_bounds;
pub use channels::ChannelRule;
pub use cost::{Macs, Shapes};
pub use fold::Fold;
pub(crate) use fold::from_i64;
pub use infer::{Context, Infer, InferValue};
pub use rule::{Bounds, ChannelAxis, Homogeneous, IntegerForm, QuantRule};
pub use vjp::Vjp;

use crate::ir::Node;

/// What is known of an operator.
#[derive(Debug, Clone)]
pub struct OpDef {
    /// Its name.
    pub op_type: &'static str,
    /// `""` is the standard's.
    pub domain: &'static str,
    /// The least number of inputs, in any version.
    pub inputs: usize,
    /// How it takes part in quantization.
    pub quant: QuantRule,
    /// Inputs that are float32, whatever float type the others have.
    pub single: &'static [usize],
    /// The first opset in which it takes float16; the last one there can be where it never does.
    pub half_from: i64,
    /// Whether equal inputs always give equal outputs.
    pub pure: bool,
    /// Whether its output is the sum of its inputs.
    pub sums: bool,
    /// Whether it rounds numbers to integers, or makes numbers of these, so that gradients go through the integers.
    pub rounds: bool,
    /// Whether it reads or makes the integers of quantized tensors.
    pub holds_integers: bool,
    /// Whether factors of channels pass through it; none where they do not.
    pub homogeneous: Option<Homogeneous>,
    /// Whether inputs 1 and 2 are a factor and a term for each channel of its output, and where that has its channels.
    pub affine: Option<ChannelAxis>,
    /// Types of its outputs.
    pub infer: Option<Infer>,
    /// Elements of its output where it computes shapes.
    pub value: Option<InferValue>,
    /// Its outputs where all inputs are constant.
    pub fold: Option<Fold>,
    /// The same up to rounding: sums that each runtime takes in its own order, functions that each has its own of.
    pub fold_rounded: Option<Fold>,
    /// Multiply-accumulates of one run; none where there is no rule.
    pub macs: Option<Macs>,
    /// Gradients of its inputs from those of its outputs.
    pub vjp: Option<Vjp>,
    /// How channels pass through it; where there is no rule, all axes of what it reads and makes keep their sizes.
    pub channels: Option<ChannelRule>,
}

impl OpDef {
    const fn new(op_type: &'static str, quant: QuantRule) -> Self {
        OpDef {
            op_type,
            domain: "",
            inputs: 1,
            quant,
            single: &[],
            half_from: 1,
            pure: true,
            sums: false,
            rounds: false,
            holds_integers: false,
            homogeneous: None,
            affine: None,
            infer: None,
            value: None,
            fold: None,
            fold_rounded: None,
            macs: None,
            vjp: None,
            channels: None,
        }
    }

    const fn of_domain(mut self, domain: &'static str) -> Self {
        self.domain = domain;
        self
    }

    const fn single_precision(mut self, inputs: &'static [usize]) -> Self {
        self.single = inputs;
        self
    }

    const fn half_from(mut self, opset: i64) -> Self {
        self.half_from = opset;
        self
    }

    const fn takes(mut self, inputs: usize) -> Self {
        self.inputs = inputs;
        self
    }

    const fn infers(mut self, rule: Infer) -> Self {
        self.infer = Some(rule);
        self
    }

    const fn tells(mut self, rule: InferValue) -> Self {
        self.value = Some(rule);
        self
    }

    const fn folds(mut self, rule: Fold) -> Self {
        self.fold = Some(rule);
        self
    }

    const fn folds_rounded(mut self, rule: Fold) -> Self {
        self.fold_rounded = Some(rule);
        self
    }

    const fn costs(mut self, rule: Macs) -> Self {
        self.macs = Some(rule);
        self
    }

    const fn adds_up(mut self) -> Self {
        self.sums = true;
        self
    }

    const fn rounds(mut self) -> Self {
        self.rounds = true;
        self
    }

    const fn of_integers(mut self) -> Self {
        self.holds_integers = true;
        self
    }

    const fn scales(mut self, rule: Homogeneous) -> Self {
        self.homogeneous = Some(rule);
        self
    }

    const fn ends_affine(mut self, channels: ChannelAxis) -> Self {
        self.affine = Some(channels);
        self
    }

    const fn backward(mut self, rule: Vjp) -> Self {
        self.vjp = Some(rule);
        self
    }

    const fn couples(mut self, rule: ChannelRule) -> Self {
        self.channels = Some(rule);
        self
    }

    const fn impure(mut self) -> Self {
        self.pure = false;
        self
    }
}

/// Every operator that is known, by family.
static OPS: &[&[OpDef]] = &[
    conv::OPS,
    matmul::OPS,
    elementwise::OPS,
    activation::OPS,
    layout::OPS,
    pool::OPS,
    norm::OPS,
    reduce::OPS,
    recurrent::OPS,
    quantized::OPS,
    control::OPS,
    random::OPS,
    tabular::OPS,
];

/// Every operator that is known.
pub fn all() -> impl Iterator<Item = &'static OpDef> {
    OPS.iter().flat_map(|family| family.iter())
}

/// The operator of this domain (`""` and `"ai.onnx"` are the standard's) and type.
pub fn find(domain: &str, op_type: &str) -> Option<&'static OpDef> {
    static BY_NAME: LazyLock<HashMap<(&str, &str), &'static OpDef>> =
        LazyLock::new(|| all().map(|op| ((op.domain, op.op_type), op)).collect());
    let domain = if domain == "ai.onnx" { "" } else { domain };
    BY_NAME.get(&(domain, op_type)).copied()
}

/// What is known of a node's operator.
pub fn of(node: &Node) -> Option<&'static OpDef> {
    find(node.domain(), &node.op_type)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_is_defined_once() {
        let mut names: Vec<_> = all().map(|op| (op.domain, op.op_type)).collect();
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
        assert!(find("ai.onnx", "Conv").is_some());
        assert!(find("com.example", "Conv").is_none());
    }
}
