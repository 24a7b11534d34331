//! The integer form: the standard's accumulating operators, the scale applied after.
//!
//! ```text
//! x ─► Conv(W, b) ─► y
//! x ─► QuantizeLinear(s_x, z_x) ─► ConvInteger(W_q) ─► Cast ─► Mul(s_x·s_W) ─► Add(b) ─► y
//! ```
//!
//! The dynamic form takes s_x and z_x from a DynamicQuantizeLinear at every call. Gemm becomes MatMulInteger,
//! its weight transposed beforehand where transB says so. The bias stays float. Where the target wants it, a static Conv
//! becomes a product of matrices ([`super::convolution`]).

use super::apply::quantized_weight;
use super::convolution::{Convolution, as_matrices};
use super::params::QParams;
use super::plan::{Decision, NodePlan, QuantPlan, WeightPlan};
use super::write::{self, made};
use crate::error::{Error, Result};
use crate::ir::{DType, GraphEdit, GraphId, NewNode, NodeId, Place, Tensor, TensorType, ValueId};
use crate::ops::{self, IntegerForm, QuantRule};

pub(super) fn node(edit: &mut GraphEdit, plan: &QuantPlan, node: &NodePlan, w: &WeightPlan) -> Result<()> {
    let id = node.id;
    let lost = || node.lost();
    let parts = Parts::of(edit, id).ok_or_else(lost)?;
    let weight = quantized_weight(edit, plan, parts.weight, w, None)?;
    let Decision::Quantize { input, .. } = &node.decision else { return Err(lost()) };
    let at = Place::Before(id);
    let name = node.node.clone();

    let x = Activation::of(edit, at, &parts, input.as_ref(), &name);
    let y = edit.node(id).output(0).ok_or_else(lost)?;
    let shape = edit.tensor_type(y).shape;
    let ty = |dtype| Some(TensorType { dtype: Some(dtype), shape: shape.clone() });
    let wanted = plan.options.preset()?.convolutions_as_products;
    let by_matrices = if wanted && !parts.form.matrices && input.is_some() {
        let convolution = Convolution {
            float: id,
            name: &name,
            x: x.integers,
            zero_point: x.zero_point,
            weight: &weight.values,
            plan: w,
            sums: ty(DType::I32),
        };
        as_matrices(edit, &convolution)?
    } else {
        None
    };
    let sums = match by_matrices {
        Some(sums) => sums,
        None => accumulated(edit, node, &parts, (&weight.values, w), &x, ty(DType::I32))?,
    };
    let floats = write::floats(edit, at, &name, sums, shape.clone());

    let scale = x.scale_of_sums(edit, at, &parts, &weight.scales, &name);
    let mut scaled = NewNode::new("Mul").name(format!("{name}_rescale")).input(floats).input(scale);
    if let Some(bias) = parts.bias {
        let value = made(edit, at, scaled.output(format!("{name}_scaled"), ty(DType::F32)));
        let tensor = edit.constant(bias).cloned().ok_or_else(lost)?;
        let tensor = tensor.reshaped(parts.per_channel(tensor.len()))?;
        let bias = edit.add_initializer(parts.graph, &format!("{name}_bias"), tensor);
        scaled = NewNode::new("Add").name(format!("{name}_add_bias")).input(value).input(bias);
    }
    // The new nodes stand before the old one, whose output the last of them takes over.
    let last = edit.insert(at, scaled.no_output());
    edit.remove_node(id);
    edit.attach_output(last, 0, y);
    Ok(())
}

/// The activation in integers.
struct Activation {
    integers: ValueId,
    zero_point: ValueId,
    scale: Scale,
}

enum Scale {
    Known(f32),
    /// At every call.
    Found(ValueId),
}

impl Activation {
    fn of(edit: &mut GraphEdit, at: Place, parts: &Parts, params: Option<&QParams>, name: &str) -> Self {
        match params {
            Some(p) => {
                let (integers, zero_point) = static_input(edit, parts.graph, at, parts.x, p);
                Activation { integers, zero_point, scale: Scale::Known(p.scale) }
            }
            None => {
                let (integers, scale, zero_point) = dynamic_input(edit, at, parts.x, name);
                Activation { integers, zero_point, scale: Scale::Found(scale) }
            }
        }
    }

    /// s_x·s_W.
    fn scale_of_sums(&self, edit: &mut GraphEdit, at: Place, parts: &Parts, weights: &[f32], name: &str) -> ValueId {
        let known = if let Scale::Known(scale) = self.scale { scale } else { 1.0 };
        let scales: Vec<f32> = weights.iter().map(|s| s * known).collect();
        let scale = Tensor::from_vec(parts.per_channel(scales.len()), scales);
        let scale = edit.add_initializer(parts.graph, &format!("{name}_scale"), scale);
        match self.scale {
            Scale::Known(_) => scale,
            Scale::Found(found) => {
                let both = NewNode::new("Mul").name(format!("{name}_scales")).input(found).input(scale);
                made(edit, at, both.output(format!("{name}_scales"), None))
            }
        }
    }
}

/// Sums of products of integers, by the operator's own integer form.
fn accumulated(
    edit: &mut GraphEdit,
    node: &NodePlan,
    parts: &Parts,
    (weight, w): (&Tensor, &WeightPlan),
    x: &Activation,
    ty: Option<TensorType>,
) -> Result<ValueId> {
    let name = &node.node;
    let wq = if parts.transposed { transposed(weight)? } else { weight.clone() };
    let wq = edit.add_initializer(parts.graph, &format!("{}_quantized", w.name), wq);
    let product = NewNode::new(parts.form.accumulating).name(format!("{name}_integer"));
    let mut product = product.input(x.integers).input(wq).input(x.zero_point);
    if w.dtype.middle() != 0 {
        let zero = w.dtype.wide().tensor(&[], &[w.dtype.middle()]);
        product = product.input(edit.add_initializer(parts.graph, &format!("{}_zero_point", w.name), zero));
    }
    if !parts.form.matrices {
        product = product.attrs(edit.node(node.id).attrs().to_vec());
    }
    Ok(made(edit, Place::Before(node.id), product.output(format!("{name}_sums"), ty)))
}

struct Parts {
    graph: GraphId,
    x: ValueId,
    weight: ValueId,
    bias: Option<ValueId>,
    form: IntegerForm,
    transposed: bool,
    rank: usize,
}

impl Parts {
    fn of(edit: &GraphEdit, id: NodeId) -> Option<Parts> {
        let n = edit.node(id);
        let QuantRule::Weighted { input, weight, bias, integer, .. } = ops::of(n)?.quant else { return None };
        let weight = n.input(weight)?;
        Some(Parts {
            graph: n.graph(),
            x: n.input(input)?,
            weight,
            bias: bias.and_then(|b| n.input(b)),
            form: integer?,
            transposed: n.int_or("transB", 0) != 0,
            rank: edit.constant(weight)?.rank(),
        })
    }

    /// The shape of so many numbers, one a channel or one for all: channels are the last axis of a product and the second of a convolution.
    fn per_channel(&self, n: usize) -> Vec<usize> {
        match self.form.matrices {
            _ if n == 1 => vec![],
            true => vec![n],
            false => [vec![1, n], vec![1; self.rank - 2]].concat(),
        }
    }
}

/// QuantizeLinear of `x`, shared by all that read it; the integers and the zero point.
pub(super) fn static_input(
    edit: &mut GraphEdit,
    graph: GraphId,
    at: Place,
    x: ValueId,
    p: &QParams,
) -> (ValueId, ValueId) {
    if let Some((q, z)) =
        write::quantizer_of(edit, x).and_then(|n| Some((edit.node(n).output(0)?, edit.node(n).input(2)?)))
    {
        return (q, z);
    }
    let name = edit.name(x).to_string();
    let (scale, zero) = write::parameters(edit, graph, &name, p);
    (write::quantize(edit, at, x, p, (scale, zero)), zero)
}

/// DynamicQuantizeLinear of `x`, shared by all that read it; integers, scale, zero point.
pub(super) fn dynamic_input(edit: &mut GraphEdit, at: Place, x: ValueId, name: &str) -> (ValueId, ValueId, ValueId) {
    let graph = |edit: &GraphEdit| match at {
        Place::Before(n) | Place::After(n) => edit.node(n).graph(),
        Place::End(g) | Place::Start(g) => g,
    };
    let existing = edit.uses(x).iter().find_map(|u| match u {
        crate::ir::Use::Node { node, .. }
            if edit.node(*node).is("DynamicQuantizeLinear") && edit.node(*node).graph() == graph(edit) =>
        {
            Some(*node)
        }
        _ => None,
    });
    let id = existing.unwrap_or_else(|| {
        let hint = edit.name(x).to_string();
        let ty = |dtype| Some(TensorType { dtype: Some(dtype), shape: Some(vec![]) });
        let integers = TensorType { dtype: Some(DType::U8), shape: edit.tensor_type(x).shape };
        let node = NewNode::new("DynamicQuantizeLinear").name(format!("{name}_dynamic")).input(x);
        let node = node.output(format!("{hint}_quantized"), Some(integers));
        let node =
            node.output(format!("{hint}_scale"), ty(DType::F32)).output(format!("{hint}_zero_point"), ty(DType::U8));
        edit.insert(at, node)
    });
    let out = |i: usize| edit.node(id).output(i).unwrap_or_default();
    (out(0), out(1), out(2))
}

/// `[N, K]` → `[K, N]`, bytes.
pub(super) fn transposed(t: &Tensor) -> Result<Tensor> {
    let &[n, k] = t.shape() else { return Err(Error::internal("transB on a weight that is no matrix")) };
    let bytes = t.bytes();
    let turned: Vec<u8> = (0..k * n).map(|i| bytes[(i % n) * k + i / n]).collect();
    Tensor::from_bytes(t.dtype(), [k, n], turned)
}
