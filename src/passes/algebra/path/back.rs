//! An affine goes back to what makes its value.
//!
//! ```text
//! Conv, ConvTranspose, Gemm, MatMul by a constant      end: weight and bias
//! BatchNormalization, Layer…, Instance…, Group…        end: scale and bias
//! x·c, c/x, x/c                                        end: c, for a scale
//! x + c, x − c, c − x                                  c takes the shift; end, or the scale goes on to x
//! a·b, a/b, MatMul(a, b)                               a scale goes to a or else to b (not below the line)
//! a + b, a − b, Concat                                 a scale goes to all (a shift, of Concat)
//! Slice, Gather, Split                                 to the part of the input; others may read other parts
//! ```
//!
//! and through what [`super::through`] says.

use super::super::linear::{LINEAR, Linear};
use super::along::{Along, PARTS, Part};
use super::through::{onto, through};
use super::{Plan, Stop};
use crate::ir::{NodeId, Use, ValueId};
use crate::passes::support::{from_f64, has_side_outputs, read_elsewhere};

const NORMS: &[&str] = &["BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization"];

impl Plan<'_> {
    /// Lets `value`, which `reader` has as its input number `input`, be what `along` makes of it now.
    pub fn back(&mut self, value: ValueId, reader: NodeId, input: usize, along: &Along) -> Result<(), Stop> {
        if self.model.constant(value).is_some() {
            return self.adjust(reader, input, value, along, |c, s, t| s * c + t);
        }
        let node = self.model.producer(value).ok_or(None)?;
        if !self.others_keep(value, reader, along) {
            return Err(read_elsewhere(self.model, value).filter(|_| self.nodes.len() > 1));
        }
        self.enter(node)?;
        if reader != self.nodes[0] {
            self.values.push(value);
        }
        let n = self.model.node(node);
        if n.is_one_of(LINEAR)
            && let Some(linear) = Linear::of(self.model, node)
        {
            let linear = linear.map_err(|reason| self.far(reason))?;
            let affine = along.per_channel(linear.output_channels(self.model)).ok_or(None)?;
            if !linear.takes_bias() && !affine.is_scale_only() {
                return Err(None);
            }
            let constants = linear.after(self.model, affine).map_err(|reason| self.far(reason))?;
            self.constants.extend(constants);
            return Ok(());
        }
        if n.is_one_of(NORMS) {
            return self.normalization(node, along);
        }
        if n.is_one_of(PARTS) {
            return self.part(node, value, along);
        }
        let shifts = !along.affine.is_scale_only();
        match n.op_type.as_str() {
            _ if !n.domain().is_empty() => Err(None),
            "Add" | "Sub" => self.sum_back(node, value, along),
            "Mul" | "Div" | "MatMul" if !shifts => self.product_back(node, value, along),
            "Concat" => self.concat_back(node, value, along),
            _ => {
                let before = through(self.model, node, along, true).ok_or_else(|| self.sign(node, along))?;
                let x = self.model.node(node).input(0).ok_or(None)?;
                self.back(x, node, 0, &before)
            }
        }
    }

    /// Why an activation does not let it pass.
    fn sign(&self, node: NodeId, along: &Along) -> Stop {
        let activation = self.model.node(node).is_one_of(&["Relu", "LeakyRelu", "PRelu"]);
        let negative = activation && along.affine.is_scale_only() && !along.is_positive();
        negative.then(|| "a negative factor does not pass an activation".into())
    }

    /// Whether all who read `value` but `reader` read parts that stay as they are.
    fn others_keep(&self, value: ValueId, reader: NodeId, along: &Along) -> bool {
        let keeps = |node: NodeId| {
            let n = self.model.node(node);
            let untouched = |i: &usize| along.affine.scale_of(*i) == 1.0 && along.affine.shift_of(*i) == 0.0;
            n.is_one_of(PARTS)
                && (0..n.outputs().len()).all(|o| {
                    Part::of(self.model, node, o)
                        .is_some_and(|part| along.axis == Some(part.axis) && part.elements.iter().all(untouched))
                })
        };
        let mut own = 0;
        let others = self.model.uses(value).iter().all(|u| match u {
            Use::Node { node, .. } if *node == reader => {
                own += 1;
                true
            }
            Use::Node { node, input: 0 } => keeps(*node),
            _ => false,
        });
        others && own == 1
    }

    fn normalization(&mut self, node: NodeId, along: &Along) -> Result<(), Stop> {
        let n = self.model.node(node);
        if has_side_outputs(self.model, node) || n.int_or("training_mode", 0) != 0 || n.int_or("spatial", 1) == 0 {
            return Err(None);
        }
        let (Some(gamma), beta) = (self.model.constant_input(node, 1), n.input(2)) else { return Err(None) };
        let axis = match n.op_type.as_str() {
            "LayerNormalization" => n.output(0).and_then(|y| self.model.tensor_type(y).rank()?.checked_sub(1)),
            // One scale a group below 21.
            "GroupNormalization" if self.model.onnx_opset() < 21 => None,
            _ => Some(1),
        };
        let affine = &along.affine;
        if along.axis.is_some() && (along.axis != axis || gamma.shape() != [affine.scale.len()]) {
            return Err(None);
        }
        let scale = gamma.to_f64().ok_or(None)?;
        let shift = match beta {
            Some(beta) => {
                self.model.constant(beta).and_then(|b| b.to_f64()).filter(|b| b.len() == scale.len()).ok_or(None)?
            }
            None => vec![0.0; scale.len()],
        };
        let at = |i: usize| if along.axis.is_some() { i } else { 0 };
        let scale: Vec<f64> = scale.iter().enumerate().map(|(i, g)| affine.scale_of(at(i)) * g).collect();
        let shift: Vec<f64> =
            shift.iter().enumerate().map(|(i, b)| affine.scale_of(at(i)) * b + affine.shift_of(at(i))).collect();
        let tensor =
            |v: &[f64]| from_f64(gamma.dtype(), gamma.shape(), v).ok_or_else(|| Some("a factor overflows".into()));
        self.constants.add(node, 1, tensor(&scale)?);
        if beta.is_some() || shift.iter().any(|b| *b != 0.0) {
            self.constants.add(node, 2, tensor(&shift)?);
        }
        Ok(())
    }

    fn part(&mut self, node: NodeId, value: ValueId, along: &Along) -> Result<(), Stop> {
        let n = self.model.node(node);
        let output = n.outputs().iter().position(|o| *o == Some(value)).ok_or(None)?;
        let x = n.input(0).ok_or(None)?;
        let read = n.outputs().iter().flatten().filter(|o| !self.model.uses(**o).is_empty()).count();
        let mask = read > 1 || self.model.uses(x).len() > 1;
        let before = along.untaken(self.model, node, output, mask).ok_or(None)?;
        self.back(x, node, 0, &before)
    }

    fn sum_back(&mut self, node: NodeId, y: ValueId, along: &Along) -> Result<(), Stop> {
        let n = self.model.node(node);
        let (Some(a), Some(b)) = (n.input(0), n.input(1)) else { return Err(None) };
        let constant = (0..2).find(|i| self.model.constant_input(node, *i).is_some());
        if let Some(c) = constant {
            // s·(x − c) + t = s·x − (s·c − t)
            let minus = c == 1 && n.is("Sub");
            self.adjust(node, c, y, along, |v, s, t| if minus { s * v - t } else { s * v + t })?;
            if along.affine.is_shift_only() {
                return Ok(());
            }
            let x = if c == 0 { b } else { a };
            let scale = onto(self.model, &along.scale_only(), y, x).ok_or(None)?;
            return self.back(x, node, 1 - c, &scale);
        }
        if !along.affine.is_scale_only() {
            return Err(None);
        }
        let (first, second) = (onto(self.model, along, y, a).ok_or(None)?, onto(self.model, along, y, b).ok_or(None)?);
        self.back(a, node, 0, &first)?;
        self.back(b, node, 1, &second)
    }

    fn product_back(&mut self, node: NodeId, y: ValueId, along: &Along) -> Result<(), Stop> {
        let n = self.model.node(node);
        let (Some(a), Some(b)) = (n.input(0), n.input(1)) else { return Err(None) };
        let matrices = n.is("MatMul");
        if matrices && along.axis.is_some() {
            return Err(None);
        }
        let divides = n.is("Div");
        if let Some(c) = (0..2).find(|i| self.model.constant_input(node, *i).is_some()) {
            let below = divides && c == 1;
            return self.adjust(node, c, y, along, |v, s, _| if below { v / s } else { v * s });
        }
        let operand = |i: usize, v: ValueId| onto(self.model, along, y, v).map(|along| (i, v, along));
        let operands = [operand(0, a), operand(1, b).filter(|_| !divides)];
        let mut reason = None;
        for (input, value, along) in operands.into_iter().flatten() {
            match self.attempt(|plan| plan.back(value, node, input, &along)) {
                Ok(()) => return Ok(()),
                Err(other) => reason = reason.or(other),
            }
        }
        Err(reason)
    }

    fn concat_back(&mut self, node: NodeId, y: ValueId, along: &Along) -> Result<(), Stop> {
        let inputs = self.model.node(node).inputs().to_vec();
        for (input, value) in inputs.into_iter().enumerate() {
            let value = value.ok_or(None)?;
            let before = along.before_concat(self.model, node, input, y).ok_or(None)?;
            self.back(value, node, input, &before)?;
        }
        Ok(())
    }
}
