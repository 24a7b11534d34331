//! What a node multiplies: an activation by a constant weight, or two activations.

use crate::ir::{DType, Model, NodeId, Tensor, ValueId};
use crate::ops::{self, QuantRule};

/// A contraction of an activation with a constant weight.
pub(super) struct Contraction<'m> {
    pub x: ValueId,
    pub weight: ValueId,
    pub tensor: &'m Tensor,
    pub bias: Option<&'m Tensor>,
    pub axis: usize,
    /// The axis of the weight that is summed over, or the first of them, and its length.
    pub summed: (usize, usize),
    /// A product of matrices rather than a convolution.
    pub is_product: bool,
    /// Whether the standard has it on integers.
    pub in_integers: bool,
    pub groups: usize,
    /// Why it is not computed on integers: its weight can only be stored as such.
    pub stored_alone: Option<String>,
}

/// Of a weight that is an input of the model, too.
const OVERRIDDEN: &str = "its weight is an input whose default a caller may override: freeze-inputs makes it constant";

/// The contraction that a node is, or why it is none that can be quantized.
pub(super) fn contraction(model: &Model, id: NodeId) -> Result<Contraction<'_>, String> {
    let node = model.node(id);
    let rule = ops::of(node).map(|op| op.quant);
    let Some(QuantRule::Weighted { input, weight, bias, channel_axis, both_activations, integer }) = rule else {
        return Err("it contracts no weight".into());
    };
    let x = node.input(input).ok_or("its input is missing")?;
    let w = node.input(weight).ok_or("its weight is missing")?;
    let Some(tensor) = model.constant(w) else {
        let why = match model.value(w).sparse_initializer() {
            Some(_) => "its weight is a sparse initializer, whose zeros take no room as they are",
            None if model.value(w).initializer().is_some() => OVERRIDDEN,
            None if both_activations => "a product of two activations",
            None => "its weight is computed at run time",
        };
        return Err(why.into());
    };
    if model.constant(x).is_some() {
        return Err("its input is constant".into());
    }
    if !matches!(tensor.dtype(), DType::F32 | DType::F16) {
        return Err(format!("its weight is {}, not float32 or float16", tensor.dtype()));
    }
    if tensor.rank() < 2 || tensor.is_empty() {
        return Err(format!("its weight has shape {:?}", tensor.shape()));
    }
    let axis = channel_axis(node, tensor.rank());
    let (bias, mut stored_alone) =
        match bias.and_then(|b| node.input(b)).map(|b| constant_bias(model, b, (tensor, axis))) {
            None => (None, None),
            Some(Ok(bias)) => (Some(bias), None),
            Some(Err(why)) => (None, Some(why)),
        };
    if node.int_or("transA", 0) != 0 {
        stored_alone = Some("it transposes its input".into());
    } else if node.float_or("alpha", 1.0) != 1.0 || node.float_or("beta", 1.0) != 1.0 {
        stored_alone = Some("it scales its product or its bias".into());
    }
    let is_product = integer.is_some_and(|form| form.matrices);
    // The axis beside that of the channels: inputs of a convolution, or the other one of a matrix.
    let summed = if axis + 1 == tensor.rank() {
        axis - 1
    } else if axis == 0 {
        1
    } else {
        0
    };
    let summed = (summed, tensor.shape()[summed]);
    let groups = usize::try_from(node.int_or("group", 1)).unwrap_or(1);
    let in_integers = integer.is_some();
    Ok(Contraction { x, weight: w, tensor, bias, axis, summed, is_product, in_integers, groups, stored_alone })
}

/// The bias of a contraction with this weight, whose channels are along `axis`; why it can be none of integers.
fn constant_bias<'m>(model: &'m Model, b: ValueId, (weight, axis): (&Tensor, usize)) -> Result<&'m Tensor, String> {
    let b = model.constant(b).ok_or("its bias is computed at run time")?;
    let channels = weight.shape()[axis];
    if b.len() != channels || b.shape().last() != Some(&channels) || b.dtype() != weight.dtype() {
        return Err(format!("its bias has shape {:?}, not one element per channel", b.shape()));
    }
    if b.to_f32().is_some_and(|b| b.iter().any(|b| !b.is_finite())) {
        return Err("its bias holds NaN or infinity".into());
    }
    Ok(b)
}

/// The operands of a product of two activations.
pub(super) fn operands(model: &Model, id: NodeId) -> Option<(ValueId, ValueId)> {
    let node = model.node(id);
    let QuantRule::Weighted { input, weight, both_activations: true, .. } = ops::of(node)?.quant else { return None };
    let activation = |v: &ValueId| model.constant(*v).is_none() && model.tensor_type(*v).dtype == Some(DType::F32);
    Some((node.input(input).filter(activation)?, node.input(weight).filter(activation)?))
}
