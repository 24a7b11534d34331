//! Which operators compute in another order of the axes, and what of them changes with it.

use super::parameters::{axes_of, axis_of_node, ints_like, scalar_axis};
use crate::analysis::shape_of;
use crate::ir::shape::axis_of;
use crate::ir::{Attr, Dim, Model, NodeId, Tensor};
use crate::passes::support::BROADCASTING;

/// An order of axes: axis i of the moved value is axis `layout[i]` of the present one.
pub type Layout = Vec<usize>;

/// Bytes of a constant that may be stored twice where another node reads it too.
pub const COPIED: usize = 1024;

/// Where a node is entered while a region grows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Input,
    Output,
}

/// A node that can compute in another layout.
#[derive(Debug, Clone)]
pub struct Carry {
    pub from: Layout,
    pub to: Layout,
    /// Inputs that are values in layout `from`; all outputs are in `to`.
    pub data: Vec<usize>,
    pub changes: Vec<Change>,
}

/// What changes in the node.
#[derive(Debug, Clone)]
pub enum Change {
    Attr(&'static str, Attr),
    Input(usize, Tensor),
    /// The constant operand of this index is transposed to `from`.
    Operand(usize),
    /// The output lists something of each axis: a Gather puts it back in order.
    Listed,
}

/// The order of axes that undoes `layout`; also the place of each present axis in it.
pub fn inverse(layout: &[usize]) -> Layout {
    let mut places = vec![0; layout.len()];
    for (place, axis) in layout.iter().enumerate() {
        places[*axis] = place;
    }
    places
}

pub fn is_identity(layout: &[usize]) -> bool {
    layout.iter().enumerate().all(|(i, axis)| i == *axis)
}

/// `layout` without these axes.
fn without(layout: &[usize], axes: &[usize]) -> Layout {
    let left = layout.iter().filter(|a| !axes.contains(a));
    left.map(|a| a - axes.iter().filter(|gone| *gone < a).count()).collect()
}

/// `layout` with new axes, which keep their places.
fn with(layout: &[usize], axes: &[usize]) -> Layout {
    let rank = layout.len() + axes.len();
    let old: Vec<usize> = (0..rank).filter(|i| !axes.contains(i)).collect();
    let mut moved = layout.iter().map(|axis| old[*axis]);
    (0..rank).map(|i| if axes.contains(&i) { i } else { moved.next().unwrap_or(i) }).collect()
}

#[rustfmt::skip]
const UNARY: &[&str] = &[
    "Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "BitwiseNot", "Cast", "Ceil", "Celu", "Clip", "Cos",
    "Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "Identity", "IsInf", "IsNaN",
    "LeakyRelu", "Log", "Mish", "Neg", "Not", "Reciprocal", "Relu", "Round", "Selu", "Sigmoid", "Sign", "Sin", "Sinh",
    "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu",
];

#[rustfmt::skip]
const REDUCE: &[&str] = &[
    "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceProd",
    "ReduceSum", "ReduceSumSquare",
];

/// How `node` computes if its first data input (or its outputs) come in `layout`; `None` where it cannot.
pub fn carry(model: &Model, node: NodeId, side: Side, layout: &[usize]) -> Option<Carry> {
    let n = model.node(node);
    if !n.domain().is_empty() || model.onnx_opset() < 7 {
        return None;
    }
    let at = At { model, node, side, layout };
    let several = n.is_one_of(&["Split"]);
    if !several && n.outputs().len() != 1 {
        return None;
    }
    match n.op_type.as_str() {
        op if UNARY.contains(&op) => at.same(&[0], Vec::new()),
        op if BROADCASTING.contains(&op) || op == "PRelu" => at.broadcast(),
        op if REDUCE.contains(&op) => at.reduce(),
        "Concat" => at.along("axis", None, &(0..n.inputs().len()).collect::<Vec<_>>()),
        "Split" => at.along("axis", Some(0), &[0]),
        "Softmax" | "LogSoftmax" | "Hardmax" if model.onnx_opset() >= 13 => at.along("axis", Some(-1), &[0]),
        "ArgMax" | "ArgMin" => at.arg(),
        "QuantizeLinear" | "DequantizeLinear" => at.quantize(),
        "Slice" => at.slice(),
        "Pad" => at.pad(),
        "Tile" => at.sizes(1),
        "Squeeze" | "Unsqueeze" => at.squeeze(),
        "Gather" => at.gather(),
        "Resize" => at.resize(),
        "BatchNormalization" => at.batch_norm(),
        "Reshape" | "Flatten" => at.reshape(),
        "Shape" => at.shape(),
        _ => None,
    }
}

pub struct At<'a> {
    pub model: &'a Model,
    pub node: NodeId,
    pub side: Side,
    pub layout: &'a [usize],
}

impl At<'_> {
    /// All axes are kept.
    pub(super) fn same(&self, data: &[usize], changes: Vec<Change>) -> Option<Carry> {
        self.carried(self.layout.to_vec(), self.layout.to_vec(), data, changes)
    }

    /// Axes of the input that the output lacks.
    fn dropping(&self, axes: &[usize], changes: Vec<Change>) -> Option<Carry> {
        let (from, to) = match self.side {
            Side::Input => (self.layout.to_vec(), without(self.layout, axes)),
            Side::Output => (with(self.layout, axes), self.layout.to_vec()),
        };
        self.carried(from, to, &[0], changes)
    }

    /// Checks the ranks; constant operands are transposed where that does not store much twice.
    fn carried(&self, from: Layout, to: Layout, operands: &[usize], mut changes: Vec<Change>) -> Option<Carry> {
        let mut data = Vec::new();
        for index in operands {
            let value = self.model.node(self.node).input(*index)?;
            if self.model.tensor_type(value).rank()? != from.len() {
                return None;
            }
            match self.model.constant(value) {
                Some(constant) => changes.push(self.operand(*index, constant)?),
                None => data.push(*index),
            }
        }
        (!data.is_empty()).then_some(Carry { from, to, data, changes })
    }

    fn operand(&self, index: usize, constant: &Tensor) -> Option<Change> {
        let own = self.model.node(self.node).input(index).is_some_and(|v| self.model.uses(v).len() == 1);
        let whole = constant.dtype().bits().is_multiple_of(8);
        (whole && (own || constant.byte_len() <= COPIED)).then_some(Change::Operand(index))
    }

    /// Operands of the full rank are moved, constants of a lower one too, single elements stay.
    fn broadcast(&self) -> Option<Carry> {
        let (mut data, mut changes) = (Vec::new(), Vec::new());
        for (index, value) in self.model.node(self.node).inputs().iter().enumerate() {
            let ty = self.model.tensor_type((*value)?);
            let rank = ty.rank().filter(|r| *r <= self.layout.len())?;
            let single = ty.shape.iter().flatten().all(|d| *d == Dim::Known(1));
            match self.model.constant((*value)?) {
                Some(constant) if constant.len() != 1 => changes.push(self.operand(index, constant)?),
                Some(_) => {}
                None if single => {}
                None if rank == self.layout.len() => data.push(index),
                None => return None,
            }
        }
        self.same(&data, changes)
    }

    fn along(&self, attr: &'static str, default: Option<i64>, data: &[usize]) -> Option<Carry> {
        let axis = axis_of_node(self, attr, default, self.layout.len())?;
        self.same(data, vec![scalar_axis(attr, inverse(self.layout)[axis])])
    }

    fn reduce(&self) -> Option<Carry> {
        let n = self.model.node(self.node);
        let keeps = n.int_or("keepdims", 1) != 0;
        let told = n.ints("axes").is_some() || n.input(1).is_some();
        let noop = n.int_or("noop_with_empty_axes", 0) != 0;
        let given = if told { axes_of(self, keeps || self.side == Side::Input)? } else { Vec::new() };
        if given.is_empty() {
            // All axes, or none.
            let to = if keeps || noop { self.layout.to_vec() } else { Vec::new() };
            return self.carried(self.layout.to_vec(), to, &[0], Vec::new());
        }
        if keeps {
            return self.same(&[0], vec![self.renamed_axes(&given, self.layout)?]);
        }
        let carry = self.dropping(&given, Vec::new())?;
        let renamed = self.renamed_axes(&given, &carry.from)?;
        Some(Carry { changes: vec![renamed], ..carry })
    }

    /// The axes attribute or input with each axis at its place in `layout`.
    fn renamed_axes(&self, axes: &[usize], layout: &[usize]) -> Option<Change> {
        let places = inverse(layout);
        ints_like(self, "axes", 1, axes.iter().map(|a| places[*a] as i64).collect())
    }

    fn arg(&self) -> Option<Carry> {
        let keeps = self.model.node(self.node).int_or("keepdims", 1) != 0;
        let gone = usize::from(!keeps && self.side == Side::Output);
        let axis = axis_of_node(self, "axis", Some(0), self.layout.len() + gone)?;
        let carry = if keeps { self.same(&[0], Vec::new())? } else { self.dropping(&[axis], Vec::new())? };
        let place = inverse(&carry.from)[axis];
        Some(Carry { changes: vec![scalar_axis("axis", place)], ..carry })
    }

    /// One scale for all, or one for each index of an axis.
    fn quantize(&self) -> Option<Carry> {
        let n = self.model.node(self.node);
        match self.model.tensor_type(n.input(1)?).rank()? {
            0 => self.same(&[0], Vec::new()),
            1 if self.model.onnx_opset() >= 13 && n.int_or("block_size", 0) == 0 => self.along("axis", Some(1), &[0]),
            _ => None,
        }
    }

    /// Squeeze drops axes of its input, Unsqueeze is entered from the other side.
    fn squeeze(&self) -> Option<Carry> {
        let squeezes = self.model.node(self.node).is("Squeeze");
        let whole = squeezes == (self.side == Side::Input);
        let axes = axes_of(self, whole).filter(|a| !a.is_empty())?;
        let (long, short) = match whole {
            true => (self.layout.to_vec(), without(self.layout, &axes)),
            false => (with(self.layout, &axes), self.layout.to_vec()),
        };
        let renamed = self.renamed_axes(&axes, &long)?;
        let (from, to) = if squeezes { (long, short) } else { (short, long) };
        self.carried(from, to, &[0], vec![renamed])
    }

    /// A scalar index drops its axis, a list of them keeps it.
    fn gather(&self) -> Option<Carry> {
        let indices = self.model.tensor_type(self.model.node(self.node).input(1)?).rank()?;
        let gone = usize::from(indices == 0 && self.side == Side::Output);
        let axis = axis_of_node(self, "axis", Some(0), self.layout.len() + gone)?;
        let carry = match indices {
            0 => self.dropping(&[axis], Vec::new())?,
            1 => self.same(&[0], Vec::new())?,
            _ => return None,
        };
        let place = inverse(&carry.from)[axis];
        Some(Carry { changes: vec![scalar_axis("axis", place)], ..carry })
    }

    /// Inference takes all axes but that of the channels alike.
    fn batch_norm(&self) -> Option<Carry> {
        let n = self.model.node(self.node);
        let plain = n.int_or("training_mode", 0) == 0 && n.int_or("spatial", 1) != 0;
        if plain && self.layout.get(1) == Some(&1) { self.same(&[0], Vec::new()) } else { None }
    }

    /// Sizes of all axes.
    fn shape(&self) -> Option<Carry> {
        let n = self.model.node(self.node);
        let all = n.attrs().is_empty() && self.side == Side::Input;
        all.then(|| self.carried(self.layout.to_vec(), vec![0], &[0], vec![Change::Listed]))?
    }

    /// A reshape of a value whose axes of more than one element keep their order reads the same elements in the same order.
    fn reshape(&self) -> Option<Carry> {
        let n = self.model.node(self.node);
        let rank = self.model.tensor_type(n.output(0)?).rank()?;
        let x = shape_of(self.model, n.input(0)?).filter(|x| x.len() == self.layout.len())?;
        let wide: Vec<usize> = self.layout.iter().copied().filter(|a| x[*a] != Dim::Known(1)).collect();
        if self.side == Side::Output || !wide.is_sorted() {
            return None;
        }
        let fits = if n.is("Flatten") {
            let axis = n.int_or("axis", 1);
            let cut = if axis == x.len() as i64 { x.len() } else { axis_of(axis, x.len())? };
            let before = |layout: &[usize]| layout[..cut].iter().filter(|a| x[**a] != Dim::Known(1)).count();
            before(self.layout) == before(&(0..x.len()).collect::<Vec<_>>())
        } else {
            let shape = self.model.constant_input(self.node, 1)?.to_i64()?;
            let same = |i: usize| self.layout.get(i).is_some_and(|a| x[*a].same(&x[i]));
            let literal = n.int_or("allowzero", 0) != 0;
            shape.iter().enumerate().all(|(i, s)| *s != 0 || literal || same(i))
        };
        if !fits {
            return None;
        }
        self.carried(self.layout.to_vec(), (0..rank).collect(), &[0], Vec::new())
    }
}
