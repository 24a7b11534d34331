//! An affine goes ahead into everything that reads its value.
//!
//! ```text
//! Conv, ConvTranspose, Gemm, MatMul by a constant   end: weight and bias; a shift goes on after MatMul, which has no bias
//! BatchNormalization                                end: γ' = s·γ, μ' = (μ − t)/s
//! x·c, x/c, c/x                                     end: c, for a scale
//! x + c, x − c, c − x                               c takes the shift and 1/s; end, or the scale goes on
//! x·b, x/b, MatMul(x, b)                            a scale goes on
//! x + b                                             a shift by one number goes on
//! Concat                                            goes on for its part; along the axis of Concat
//! Slice, Gather, Split                              goes on for what is taken
//! ```
//!
//! and through what [`super::through`] says. A graph output ends in nothing.

use super::super::affine::Affine;
use super::super::linear::{LINEAR, Linear};
use super::along::{Along, PARTS};
use super::through::{onto, through};
use super::{Plan, Stop};
use crate::ir::{NodeId, Use, ValueId};
use crate::passes::support::{from_f64, has_side_outputs};

impl Plan<'_> {
    /// Lets `value` be x where it was what `along` makes of x: all who read it make up for it.
    pub fn ahead(&mut self, value: ValueId, along: &Along) -> Result<(), Stop> {
        if self.nodes.len() > 1 {
            self.values.push(value);
        }
        for read in self.model.uses(value) {
            match read {
                Use::Node { node, input } => self.reader_ahead(*node, *input, along)?,
                Use::Output { .. } => return Err(None),
            }
        }
        Ok(())
    }

    fn reader_ahead(&mut self, node: NodeId, input: usize, along: &Along) -> Result<(), Stop> {
        self.enter(node)?;
        let n = self.model.node(node);
        let (Some(x), Some(y)) = (n.input(input), n.output(0)) else { return Err(None) };
        if input == 0
            && n.is_one_of(LINEAR)
            && let Some(linear) = Linear::of(self.model, node)
        {
            let linear = linear.map_err(|reason| self.far(reason))?;
            return self.linear_ahead(node, linear, y, along);
        }
        if n.is("BatchNormalization") && input == 0 {
            return self.batch_norm_ahead(node, along);
        }
        if n.is_one_of(PARTS) && input == 0 {
            for (output, value) in n.outputs().iter().enumerate() {
                let Some(value) = value else { continue };
                let after = along.taken(self.model, node, output).ok_or(None)?;
                self.ahead(*value, &after)?;
            }
            return Ok(());
        }
        match n.op_type.as_str() {
            _ if !n.domain().is_empty() => Err(None),
            "Add" | "Sub" => self.sum_ahead(node, input, x, y, along),
            "Mul" | "Div" | "MatMul" if along.affine.is_scale_only() => self.product_ahead(node, input, x, y, along),
            "Concat" => {
                let after = along.after_concat(self.model, node, input, y).ok_or(None)?;
                self.ahead(y, &after)
            }
            _ if input == 0 => {
                let after = through(self.model, node, along, false).ok_or(None)?;
                self.ahead(y, &after)
            }
            _ => Err(None),
        }
    }

    /// γ·(s·x + t − μ)/√(σ² + ε) = s·γ·(x − (μ − t)/s)/√(σ² + ε)
    fn batch_norm_ahead(&mut self, node: NodeId, along: &Along) -> Result<(), Stop> {
        let n = self.model.node(node);
        let infers = n.int_or("training_mode", 0) == 0 && n.int_or("spatial", 1) != 0;
        if !infers || has_side_outputs(self.model, node) || along.axis.is_some_and(|axis| axis != 1) {
            return Err(None);
        }
        let affine = &along.affine;
        let at = |i: usize| if along.axis.is_some() { i } else { 0 };
        let mut change = |input: usize, f: &dyn Fn(f64, f64, f64) -> f64| -> Result<(), Stop> {
            let old = self.model.constant_input(node, input).ok_or(None)?;
            let values = old.to_f64().filter(|v| along.axis.is_none() || v.len() == affine.scale.len()).ok_or(None)?;
            let new = values.iter().enumerate().map(|(i, v)| f(*v, affine.scale_of(at(i)), affine.shift_of(at(i))));
            let new = from_f64(old.dtype(), old.shape(), &new.collect::<Vec<f64>>());
            self.constants.add(node, input, new.ok_or_else(|| Some("a statistic overflows".into()))?);
            Ok(())
        };
        change(1, &|gamma, s, _| gamma * s)?;
        change(3, &|mean, s, t| (mean - t) / s)
    }

    fn linear_ahead(&mut self, node: NodeId, linear: Linear, y: ValueId, along: &Along) -> Result<(), Stop> {
        if self.model.node(node).int_or("transA", 0) != 0 {
            return Err(None);
        }
        let affine = along.per_channel(linear.input_channels(self.model)).ok_or(None)?;
        if linear.takes_bias() || affine.is_scale_only() {
            let constants = linear.before(self.model, affine).map_err(|reason| self.far(reason))?;
            self.constants.extend(constants);
            return Ok(());
        }
        // x·W + t·W, one number for each column.
        let weights =
            linear.dense().filter(|_| self.model.constant_input(node, 1).is_some_and(|w| w.rank() == 2)).ok_or(None)?;
        let column = |w: &[f64]| w.iter().enumerate().map(|(i, w)| w * affine.shift_of(i)).sum();
        let shift: Vec<f64> = weights.chunks(linear.inputs).map(column).collect();
        let last = self.model.tensor_type(y).rank().and_then(|r| r.checked_sub(1)).ok_or(None)?;
        let after = Along::new(last, Affine { scale: vec![1.0; shift.len()], shift });
        let scale = along.scale_only();
        let scale = scale.per_channel(linear.input_channels(self.model)).ok_or(None)?;
        let constants = linear.before(self.model, scale).map_err(|reason| self.far(reason))?;
        self.constants.extend(constants);
        self.ahead(y, &after)
    }

    fn sum_ahead(&mut self, node: NodeId, input: usize, x: ValueId, y: ValueId, along: &Along) -> Result<(), Stop> {
        let after = onto(self.model, along, x, y).ok_or(None)?;
        if self.model.constant_input(node, 1 - input).is_some() {
            let sum = self.model.node(node).is("Add");
            // s·x + t − c = s·(x − (c − t)/s), and c − s·x − t = s·((c − t)/s − x)
            self.adjust(node, 1 - input, y, along, |c, s, t| if sum { (c + t) / s } else { (c - t) / s })?;
            return if along.affine.is_shift_only() { Ok(()) } else { self.ahead(y, &after.scale_only()) };
        }
        if !along.affine.is_shift_only() || along.axis.is_some() {
            return Err(None);
        }
        let negated = self.model.node(node).is("Sub") && input == 1;
        let shift = if negated { -along.affine.shift_of(0) } else { along.affine.shift_of(0) };
        self.ahead(y, &Along { axis: None, affine: Affine { scale: vec![1.0], shift: vec![shift] } })
    }

    fn product_ahead(&mut self, node: NodeId, input: usize, x: ValueId, y: ValueId, along: &Along) -> Result<(), Stop> {
        let n = self.model.node(node);
        let (matrices, below) = (n.is("MatMul"), n.is("Div") && input == 1);
        if matrices && along.axis.is_some() {
            return Err(None);
        }
        let after = if matrices { along.clone() } else { onto(self.model, along, x, y).ok_or(None)? };
        if self.model.constant_input(node, 1 - input).is_some() {
            // x/c by s·x/c takes c/s; c/(s·x) too.
            let divides = n.is("Div");
            return self.adjust(node, 1 - input, y, along, |c, s, _| if divides { c / s } else { c * s });
        }
        if below { Err(None) } else { self.ahead(y, &after) }
    }
}
