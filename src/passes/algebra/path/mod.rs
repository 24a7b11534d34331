//! A scale or shift by constants moves along the graph to where a constant takes it in.
//!
//! ```text
//! x ─► Conv(W, b) ─► Relu ─► Mul(2) ─► y                        x ─► Conv(2·W, 2·b) ─► Relu ─► y
//! q ─► MatMul(W) ─► Reshape ─► Transpose ─► Mul(0.125) ─►       q ─► MatMul(0.125·W) ─► Reshape ─► Transpose ─►
//! x ─► Mul(s) ─┬► Conv(V)                                       x ─┬► Conv(s·V)
//!              └► Relu ─► Conv(W)                                  └► Relu ─► Conv(s·W)
//! ```
//!
//! Back to what makes the value, where only that affine operator reads it, or else ahead into everything that reads it. The
//! whole path is decided before anything changes, and the operator goes; nothing is put in its place. Ends of a path:
//! the weight and bias of Conv, ConvTranspose, Gemm, MatMul, the factors of a normalization, the constant of Add, Sub, Mul, Div. What it
//! passes, and on which terms, is said in [`back`] and [`ahead`]; how per-channel numbers follow their axis in [`along`].
//!
//! Refuses factors that are zero, or change the magnitude by more than 2³⁰; half floats; new constants that overflow
//! or fall below normal numbers, or would make integers of a weight two bits coarser; the ½ and the bias of a decomposed GELU; a shared weight that had to be copied at the file's expense; a value on the way that others read.

mod ahead;
mod along;
mod back;
mod through;

use super::affine::{Affine, Channels};
use super::constants::Constants;
use super::gelu;
use super::input_affine::AFFINE;
use crate::error::Result;
use crate::ir::{DType, GraphEdit, GraphId, Model, NodeId, Tensor, ValueId};
use crate::passes::support::{bypass, from_f64, has_side_outputs, own_bytes};
use crate::passes::{Outcome, Pass, PassReport, for_each};
use along::Along;

pub(in crate::passes) const PASS: Pass = Pass::new(
    "move-affine",
    "move Mul, Add, … by constants past Relu, Reshape, Transpose, pooling, … into a weight",
    run,
)
.of_family("affine");

/// Paths are short; a longer one is a graph to be left alone.
const MAX_NODES: usize = 64;

/// Factors beyond this could carry a value on the way out of its range.
const LARGEST_FACTOR: f64 = (1u64 << 30) as f64;

fn run(edit: &mut GraphEdit) -> Result<PassReport> {
    for_each(edit, PASS.name, AFFINE, |edit, node| Ok(move_away(edit, node)))
}

/// Why a path ends without end: `None` where an operator is simply none that could be passed.
type Stop = Option<String>;

/// What is decided so far.
struct Plan<'m> {
    model: &'m Model,
    graph: GraphId,
    constants: Constants,
    /// Nodes that were passed or changed, none twice.
    nodes: Vec<NodeId>,
    /// Values between its nodes, which hold other numbers then.
    values: Vec<ValueId>,
}

fn move_away(edit: &mut GraphEdit, node: NodeId) -> Outcome {
    if edit.onnx_opset() < 7 || has_side_outputs(edit, node) {
        return Outcome::NoMatch;
    }
    let n = edit.node(node);
    let found = (0..2).find_map(|i| Some((i, n.input(i)?, source(edit, node, i)?)));
    let (Some((index, x, along)), Some(y)) = (found, n.output(0)) else { return Outcome::NoMatch };
    let wide = |s: &f64| !(1.0 / LARGEST_FACTOR..=LARGEST_FACTOR).contains(&s.abs());
    if along.affine.scale.iter().any(wide) || along.affine.shift.iter().any(|t| !t.is_finite()) {
        return Outcome::NoMatch;
    }
    if gelu::is_half(edit, node) || (along.affine.is_shift_only() && gelu::is_argument(edit, y)) {
        return Outcome::NoMatch;
    }
    let plan = || Plan {
        model: edit,
        graph: n.graph(),
        constants: Constants::default(),
        nodes: vec![node],
        values: Vec::new(),
    };
    let freed = own_bytes(edit, node);
    let (mut before, mut after) = (plan(), plan());
    let back = edit.can_replace_uses(y, x).map_err(Some);
    let back = back.and_then(|()| before.back(x, node, index, &along)).and_then(|()| before.finish(freed));
    let reason = match back {
        Ok((constants, values)) => {
            set(edit, constants, &values);
            // It holds now what the affine operator made.
            if !edit.is_output(y) {
                edit.swap_identity(y, x);
            }
            return bypass(edit, node, x);
        }
        Err(reason) => reason,
    };
    match after.ahead(y, &along).and_then(|()| after.finish(freed)) {
        Ok((constants, values)) => {
            set(edit, constants, &values);
            bypass(edit, node, x)
        }
        Err(other) => reason.or(other).map_or(Outcome::NoMatch, Outcome::Refused),
    }
}

/// The constants are written, and the values that change with them are known by other names.
fn set(edit: &mut GraphEdit, constants: Constants, values: &[ValueId]) {
    constants.set(edit);
    values.iter().for_each(|v| edit.renew_value(*v));
}

/// What `node` does to its input number `data`, which is not constant.
fn source(model: &Model, node: NodeId, data: usize) -> Option<Along> {
    let x = model.node(node).input(data).filter(|x| model.constant(*x).is_none())?;
    let ty = model.tensor_type(x);
    if model.node(node).is("BatchNormalization") {
        let count = model.constant_input(node, 1).filter(|t| is_wide(t))?.len();
        let rank = ty.rank().filter(|r| *r >= 2)?;
        let channels = Channels { from_end: rank - 2, count, rank: Some(rank) };
        return Some(Along::new(1, Affine::of(model, node, data, channels)?));
    }
    if model.node(node).is("Neg") {
        let one = Channels { from_end: 0, count: 1, rank: None };
        let wide = matches!(ty.dtype, Some(DType::F32 | DType::F64));
        return Affine::of(model, node, data, one).filter(|_| wide).map(|affine| Along::new(0, affine));
    }
    let constant = model.constant_input(node, 1 - data).filter(|t| is_wide(t))?;
    // The one axis along which the constant differs; x must be as long there, or it would be broadened.
    let axes: Vec<usize> = (0..constant.rank()).filter(|a| constant.shape()[*a] != 1).collect();
    let from_end = |a: &usize| constant.rank() - 1 - a;
    let channels = match &axes[..] {
        // A shape of rank 0 or more: only a constant of rank 0 certainly leaves it.
        [] if constant.rank() == 0 => Channels { from_end: 0, count: 1, rank: None },
        [] => Channels { from_end: 0, count: 1, rank: Some(ty.rank()?) },
        [axis] => {
            let (rank, count) = (ty.rank().filter(|r| *r >= constant.rank())?, constant.shape()[*axis]);
            let dim = &ty.shape.as_ref()?[rank - 1 - from_end(axis)];
            let fits = dim.known() == Some(count as i64);
            Some(Channels { from_end: from_end(axis), count, rank: Some(rank) }).filter(|_| fits)?
        }
        _ => return None,
    };
    let axis = channels.rank.map_or(0, |rank| rank.saturating_sub(1 + channels.from_end));
    let affine = Affine::of(model, node, data, channels)?;
    Some(Along::new(axis, affine))
}

/// Half floats have no room for factors.
fn is_wide(tensor: &Tensor) -> bool {
    matches!(tensor.dtype(), DType::F32 | DType::F64) && !tensor.is_empty()
}

impl Plan<'_> {
    /// The node is on the path from here on.
    fn enter(&mut self, node: NodeId) -> Result<(), Stop> {
        let foreign = self.model.node(node).graph() != self.graph;
        if foreign || self.nodes.contains(&node) || self.nodes.len() >= MAX_NODES {
            return Err(None);
        }
        self.nodes.push(node);
        Ok(())
    }

    /// The reason, where it is not one of two neighbours, which other passes tell.
    fn far(&self, reason: String) -> Stop {
        Some(reason).filter(|_| self.nodes.len() > 2)
    }

    /// Tries `way` and forgets what it decided where it has no end.
    fn attempt(&mut self, way: impl FnOnce(&mut Self) -> Result<(), Stop>) -> Result<(), Stop> {
        let (constants, nodes, values) = (self.constants.clone(), self.nodes.clone(), self.values.clone());
        way(self).inspect_err(|_| (self.constants, self.nodes, self.values) = (constants, nodes, values))
    }

    /// A new constant for an input: `f(c, s, t)` of its elements, the affine broadcast against `value`, which the node makes.
    fn adjust(
        &mut self,
        node: NodeId,
        input: usize,
        value: ValueId,
        along: &Along,
        f: impl Fn(f64, f64, f64) -> f64,
    ) -> Result<(), Stop> {
        let tensor = self.model.constant_input(node, input).filter(|t| is_wide(t)).ok_or(None)?;
        let values = tensor.to_f64().ok_or(None)?;
        let affine = &along.affine;
        let (shape, values) = match along.axis {
            None => {
                let (s, t) = (affine.scale_of(0), affine.shift_of(0));
                (tensor.shape().to_vec(), values.iter().map(|c| f(*c, s, t)).collect::<Vec<f64>>())
            }
            Some(axis) => {
                let n = affine.scale.len();
                let behind = self.model.tensor_type(value).rank().and_then(|r| r.checked_sub(1 + axis)).ok_or(None)?;
                let own = tensor.rank().checked_sub(1 + behind).map(|a| tensor.shape()[a]);
                if own == Some(n) {
                    let step: usize = tensor.shape()[tensor.rank() - behind..].iter().product();
                    let at = |i: usize| i / step % n;
                    let new =
                        values.iter().enumerate().map(|(i, c)| f(*c, affine.scale_of(at(i)), affine.shift_of(at(i))));
                    (tensor.shape().to_vec(), new.collect())
                } else if let [c] = values[..] {
                    let shape = [vec![n], vec![1; behind]].concat();
                    (shape, (0..n).map(|i| f(c, affine.scale_of(i), affine.shift_of(i))).collect())
                } else {
                    return Err(None);
                }
            }
        };
        let tensor =
            from_f64(tensor.dtype(), &shape, &values).ok_or_else(|| Some("a constant on the way overflows".into()))?;
        self.constants.add(node, input, tensor);
        Ok(())
    }

    /// What was decided, if the file can afford it and the numbers are normal.
    fn finish(&mut self, freed: usize) -> Result<(Constants, Vec<ValueId>), Stop> {
        let constants = std::mem::take(&mut self.constants);
        let least = f64::from(f32::MIN_POSITIVE);
        let low = |t: &Tensor| t.to_f64().map_or(0, |v| v.iter().filter(|v| **v != 0.0 && v.abs() < least).count());
        let lowers = |(node, input, new): (NodeId, usize, &Tensor)| {
            low(new) > self.model.constant_input(node, input).map_or(0, low)
        };
        if constants.all().any(|(.., new)| !is_wide(new)) {
            return Err(Some("the constants are half floats".into()));
        }
        if constants.all().any(lowers) {
            return Err(Some("a constant would fall below normal numbers".into()));
        }
        constants.afford(self.model, freed).map_err(|reason| self.far(reason))?;
        Ok((constants, std::mem::take(&mut self.values)))
    }
}
