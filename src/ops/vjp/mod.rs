//! Gradients of the inputs of a node from those of its outputs: the vector-Jacobian product of each operator.
//!
//! For y = f(x) and a number L that depends on y
//!
//! ```text
//! dL/dx = Jᵀ·dL/dy        J = ∂y/∂x, never formed
//! ```
//!
//! A rule reads inputs, outputs and dL/dy from an [`Adjoint`], writes the right-hand side as arithmetic on them, which
//! becomes nodes of standard operators (opset 13 to 17), and gives it to the input. All values are float32 of known shape.
//! Where f has a kink, one of the one-sided derivatives is taken; where elements tie for a maximum, the first one of a pooling
//! window has all of the gradient, and those of a reduction share it. Rounding to integers is taken for the identity (`quantized`).
//!
//! Source: A. Griewank and A. Walther, Evaluating Derivatives, 2nd ed. (2008), chapter 3.

pub(super) mod activation;
pub(super) mod convolution;
pub(super) mod elementwise;
pub(super) mod layout;
pub(super) mod norm;
pub(super) mod pool;
pub(super) mod product;
pub(super) mod quantized;
pub(super) mod reduce;
pub(super) mod resize;
mod tape;
mod window;

use std::cell::RefCell;
use std::ops::Deref;

pub use tape::{Tape, Var};

use crate::ir::{DType, Node, NodeId, ValueId};

/// Gives the gradients of the inputs that are wanted; the error says what of the node has no rule.
pub type Vjp = fn(&Adjoint) -> Result<(), String>;

/// A node seen from behind: the gradients of its outputs are known, those of its inputs are asked for.
pub struct Adjoint<'t> {
    tape: &'t Tape,
    node: Node,
    id: NodeId,
    /// Gradients of the outputs; none where nothing depends on one.
    outputs: Vec<Option<ValueId>>,
    wanted: Vec<bool>,
    given: RefCell<Vec<Option<ValueId>>>,
}

impl Deref for Adjoint<'_> {
    type Target = Tape;

    fn deref(&self) -> &Tape {
        self.tape
    }
}

impl<'t> Adjoint<'t> {
    /// Runs the rule of a node: the gradients of its inputs, none where it is zero or not wanted.
    ///
    /// # Errors
    /// What of the node has no rule.
    pub fn run(
        tape: &'t Tape,
        id: NodeId,
        outputs: Vec<Option<ValueId>>,
        wanted: Vec<bool>,
    ) -> Result<Vec<Option<ValueId>>, String> {
        let node = tape.model().node(id).clone();
        let rule = super::of(&node).and_then(|op| op.vjp).ok_or("its operator has no rule for gradients")?;
        let given = RefCell::new(vec![None; wanted.len()]);
        let adjoint = Adjoint { tape, node, id, outputs, wanted, given };
        adjoint.check()?;
        rule(&adjoint)?;
        Ok(adjoint.given.into_inner())
    }

    fn check(&self) -> Result<(), String> {
        let inputs = self.node.inputs().iter().zip(&self.wanted).filter(|(_, w)| **w).filter_map(|(v, _)| *v);
        for value in inputs.chain(self.node.outputs().iter().copied().flatten()) {
            let model = self.tape.model();
            let ty = model.tensor_type(value);
            if ty.known_shape().is_none() {
                return Err(format!("the shape of {} is not known", model.name(value)));
            }
            if let Some(dtype) = ty.dtype.filter(|d| d.is_float() && *d != DType::F32) {
                return Err(format!("{} is {dtype}; gradients are taken in float32", model.name(value)));
            }
        }
        Ok(())
    }

    /// The input at `index`.
    ///
    /// # Panics
    /// Where it is left out: rules ask for inputs that the operator needs or that are wanted.
    fn x(&self, index: usize) -> Var<'t> {
        self.tape.var(self.node.input(index).expect("an input that the operator needs"))
    }

    fn dtype(&self, index: usize) -> DType {
        self.tape.model().tensor_type(self.x(index).id).dtype.unwrap_or(DType::F32)
    }

    fn has(&self, index: usize) -> bool {
        self.node.input(index).is_some()
    }

    /// The first output.
    fn y(&self) -> Var<'t> {
        self.tape.var(self.node.output(0).expect("a rule runs where an output is read"))
    }

    /// The gradient of output `index`: zeros where nothing depends on it.
    fn gradient(&self, index: usize) -> Option<Var<'t>> {
        let zeros = |value| self.tape.number(0.0).expand(&self.tape.var(value).dims());
        match self.outputs.get(index).copied().flatten() {
            Some(known) => Some(self.tape.var(known)),
            None => self.node.output(index).map(zeros),
        }
    }

    /// The gradient of the first output.
    fn dy(&self) -> Var<'t> {
        self.gradient(0).expect("a rule runs where an output is read")
    }

    fn wants(&self, index: usize) -> bool {
        self.wanted.get(index).copied().unwrap_or(false)
    }

    /// The gradient of an input, summed over the axes along which the input was broadcast.
    fn give(&self, index: usize, gradient: Var) {
        if self.wants(index) {
            let summed = self.tape.var(gradient.id).sum_to(&self.x(index).dims());
            self.given.borrow_mut()[index] = Some(summed.id);
        }
    }

    /// As [`Self::give`], made only where it is wanted.
    fn give_with(&self, index: usize, gradient: impl FnOnce() -> Var<'t>) {
        if self.wants(index) {
            self.give(index, gradient());
        }
    }

    /// Integers that are an attribute in old opsets and a constant input in new ones.
    fn ints_of(&self, attr: &str, input: usize) -> Result<Option<Vec<i64>>, String> {
        if let Some(ints) = self.node.ints(attr) {
            return Ok(Some(ints.to_vec()));
        }
        if !self.has(input) {
            return Ok(None);
        }
        let model = self.tape.model();
        let found = model.constant_input(self.id, input).and_then(|t| t.to_i64());
        found.map(Some).ok_or_else(|| format!("its {attr} are not constant"))
    }

    /// The axis of attribute `axis`.
    fn axis(&self, default: i64) -> Result<usize, String> {
        let (axis, rank) = (self.node.int_or("axis", default), self.x(0).rank());
        crate::ir::shape::axis_of(axis, rank).ok_or_else(|| format!("there is no axis {axis} of {rank}"))
    }
}

/// No gradient passes: the output is constant between its steps.
pub(super) fn nothing(_: &Adjoint) -> Result<(), String> {
    Ok(())
}
