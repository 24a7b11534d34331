//! Operators that contract their input with a constant weight, and where the channels are in it.
//!
//! ```text
//! Conv            W[m, c/g, …]     out m         in (m / (M/g))·(C/g) + j
//! ConvTranspose   W[c, m/g, …]     out (c / (C/g))·(M/g) + j   in c
//! Gemm            W[k, n] or, with transB, W[n, k]
//! MatMul          W[…, k, n], no bias
//! ```
//!
//! y = W·x + b. An affine map after it gives W' = s·W, b' = s·b + t; one before it gives W' = W·s and
//! b' = b + W·t, where every output sees all of W (no padding).
//!
//! The new constants are decided first, and set only if the file can afford them: see [`super::constants`].

use super::affine::{Affine, Channels};
use super::constants::Constants;
use crate::ir::{GraphEdit, Model, Node, NodeId, Tensor, ValueId};
use crate::passes::support::from_f64;

pub(super) const LINEAR: &[&str] = &["Conv", "ConvTranspose", "Gemm", "MatMul"];
/// So many times more may the squared error of integers be: two bits.
const COARSER: f64 = 16.0;

/// A node of [`LINEAR`] with its constants.
pub(super) struct Linear {
    node: NodeId,
    weight: Tensor,
    /// β·C of a Gemm, one per output channel; `None` where the operator takes none.
    bias: Option<Vec<f64>>,
    /// α of a Gemm.
    alpha: f64,
    layout: Layout,
    pub outputs: usize,
    pub inputs: usize,
}

/// Per element of the weight: index of its output and of its input channel from strides.
struct Layout {
    /// Sizes of the weight as (groups, rows per group, columns, elements of the kernel).
    groups: usize,
    rows: usize,
    columns: usize,
    kernel: usize,
    /// Rows are output channels (Conv, Gemm with transB) and columns input channels, or the reverse.
    rows_are_outputs: bool,
    /// Whether the shared axis is counted on through the groups (input of Conv, output of ConvTranspose).
    batch: bool,
}

impl Layout {
    /// That of a weight of this shape, of rank 2 or more.
    fn of(n: &Node, shape: &[usize]) -> Option<Layout> {
        let matrix = Layout { groups: 1, rows: 0, columns: 0, kernel: 1, rows_are_outputs: false, batch: false };
        match n.op_type.as_str() {
            "Conv" | "ConvTranspose" => {
                let groups =
                    usize::try_from(n.int_or("group", 1)).ok().filter(|g| *g > 0 && shape[0].is_multiple_of(*g))?;
                let (rows, kernel) = (shape[0] / groups, shape[2..].iter().product());
                let rows_are_outputs = n.is("Conv");
                Some(Layout { groups, rows, columns: shape[1], kernel, rows_are_outputs, batch: false })
            }
            "Gemm" if shape.len() == 2 => {
                let rows_are_outputs = n.int_or("transB", 0) != 0;
                Some(Layout { rows: shape[0], columns: shape[1], rows_are_outputs, ..matrix })
            }
            "MatMul" => {
                let [batch @ .., rows, columns] = shape else { return None };
                Some(Layout { groups: batch.iter().product(), rows: *rows, columns: *columns, batch: true, ..matrix })
            }
            _ => None,
        }
    }

    /// Calls `f(element, output channel, input channel)`.
    fn for_each(&self, mut f: impl FnMut(usize, usize, usize)) {
        let mut element = 0;
        for group in 0..self.groups {
            for row in 0..self.rows {
                for column in 0..self.columns {
                    // In a batch of matrices every matrix has the same channels.
                    let (r, c) = if self.batch {
                        (row, column)
                    } else {
                        (group * self.rows + row, group * self.columns + column)
                    };
                    let (output, input) = if self.rows_are_outputs { (r, c) } else { (c, r) };
                    for _ in 0..self.kernel {
                        f(element, output, input);
                        element += 1;
                    }
                }
            }
        }
    }
}

impl Linear {
    /// `None` where `node` is no linear operator with a constant float weight; `Some(Err)` with the reason
    /// where it is one that cannot be changed.
    pub fn of(model: &Model, node: NodeId) -> Option<Result<Linear, String>> {
        let n = model.node(node);
        if !n.is_one_of(LINEAR) {
            return None;
        }
        let weight = model.constant_input(node, 1)?;
        if !weight.dtype().is_float() || weight.rank() < 2 || weight.is_empty() {
            return None;
        }
        let weight = weight.clone();
        let layout = Layout::of(n, weight.shape())?;
        let groups = if layout.batch { 1 } else { layout.groups };
        let (rows, columns) = (groups * layout.rows, groups * layout.columns);
        let (outputs, inputs) = if layout.rows_are_outputs { (rows, columns) } else { (columns, rows) };
        let mut linear = Linear { node, weight, bias: None, alpha: 1.0, layout, outputs, inputs };
        if n.is("MatMul") {
            return Some(Ok(linear));
        }
        if n.is("Gemm") {
            linear.alpha = f64::from(n.float_or("alpha", 1.0));
        }
        Some(bias_of(model, n, outputs).map(|bias| Linear { bias: Some(bias), ..linear }))
    }

    /// Whether its operator has a bias, given or not.
    pub fn takes_bias(&self) -> bool {
        self.bias.is_some()
    }

    /// β·C of a Gemm, or b; zeros where the bias is left out.
    pub fn bias(&self) -> Option<&[f64]> {
        self.bias.as_deref()
    }

    /// α·W of one matrix as `[outputs, inputs]`.
    pub fn dense(&self) -> Option<Vec<f64>> {
        let weight = self.weight.to_f64()?;
        let mut dense = vec![0.0; self.outputs * self.inputs];
        self.layout
            .for_each(|element, output, input| dense[output * self.inputs + input] = self.alpha * weight[element]);
        Some(dense)
    }

    /// The elements of W, in its order, from α·W as `[outputs, inputs]`.
    pub fn undense(&self, dense: &[f64]) -> Vec<f64> {
        let mut weight = vec![0.0; self.weight.len()];
        self.layout
            .for_each(|element, output, input| weight[element] = dense[output * self.inputs + input] / self.alpha);
        weight
    }

    fn is_convolution(&self, model: &Model) -> bool {
        model.node(self.node).is_one_of(&["Conv", "ConvTranspose"])
    }

    /// Where the output has its channels.
    pub fn output_channels(&self, model: &Model) -> Channels {
        let output = model.node(self.node).output(0);
        self.channels(model, output, self.outputs)
    }

    /// Where the input has its channels.
    pub fn input_channels(&self, model: &Model) -> Channels {
        self.channels(model, model.node(self.node).input(0), self.inputs)
    }

    fn channels(&self, model: &Model, value: Option<ValueId>, count: usize) -> Channels {
        let node = model.node(self.node);
        let known = || value.and_then(|v| model.tensor_type(v).rank());
        if self.is_convolution(model) {
            Channels { from_end: self.weight.rank() - 2, count, rank: Some(self.weight.rank()) }
        } else {
            let rank = if node.is("Gemm") { Some(2) } else { known() };
            Channels { from_end: 0, count, rank }
        }
    }

    /// Folds y ↦ s·y + t into the weight and bias. `freed` bytes are no longer needed then.
    pub fn apply_after(self, edit: &mut GraphEdit, affine: &Affine, freed: usize) -> Result<(), String> {
        self.after(edit, affine)?.afford_and_set(edit, freed)
    }

    /// The constants that give s·y + t for y.
    pub fn after(&self, model: &Model, affine: &Affine) -> Result<Constants, String> {
        if !self.takes_bias() && !affine.is_scale_only() {
            return Err("MatMul takes no bias".into());
        }
        let bias = self.bias.as_ref().map(|b| {
            b.iter().enumerate().map(|(o, b)| affine.scale_of(o) * b + affine.shift_of(o)).collect::<Vec<f64>>()
        });
        let weight = (!affine.is_shift_only()).then(|| self.scaled(|output, _| affine.scale_of(output))).transpose()?;
        self.constants(model, weight, bias)
    }

    /// Whether a shift of the input can go into the bias, and why not.
    pub fn takes_shift(&self, model: &Model) -> Result<(), String> {
        let node = model.node(self.node);
        if !self.takes_bias() {
            return Err("MatMul takes no bias".into());
        }
        if node.is("ConvTranspose") {
            return Err("the border of a transposed convolution sees part of the kernel".into());
        }
        if self.is_convolution(model) && node.may_pad() {
            return Err("the convolution pads, and the shift does not reach the padding".into());
        }
        Ok(())
    }

    /// Folds an input x ↦ s·x + t into the weight and bias.
    pub fn apply_before(self, edit: &mut GraphEdit, affine: &Affine, freed: usize) -> Result<(), String> {
        self.before(edit, affine)?.afford_and_set(edit, freed)
    }

    /// The constants that make of x what the present ones make of s·x + t.
    pub fn before(&self, model: &Model, affine: &Affine) -> Result<Constants, String> {
        if !affine.is_scale_only() {
            self.takes_shift(model)?;
        }
        self.inside(model, affine)
    }

    /// As [`Self::apply_before`] as if nothing were padded: for shifts so small that the border does not matter.
    pub fn apply_inside(self, edit: &mut GraphEdit, affine: &Affine, freed: usize) -> Result<(), String> {
        self.inside(edit, affine)?.afford_and_set(edit, freed)
    }

    fn inside(&self, model: &Model, affine: &Affine) -> Result<Constants, String> {
        let coarser = self.coarser(affine);
        if coarser > COARSER {
            let db = 10.0 * coarser.log10();
            return Err(format!("the factors differ so much that integers of the weight would err {db:.0} dB more"));
        }
        let mut bias = self.bias.clone();
        if !affine.is_scale_only() {
            let Some(bias) = &mut bias else { return Err("MatMul takes no bias".into()) };
            let weight = self.weight.to_f64().ok_or("the weight is not of a float type")?;
            self.layout.for_each(|element, output, input| {
                bias[output] += self.alpha * weight[element] * affine.shift_of(input);
            });
        }
        let weight = (!affine.is_shift_only()).then(|| self.scaled(|_, input| affine.scale_of(input))).transpose()?;
        self.constants(model, weight, bias)
    }

    /// How much more the error of integers of the weight is, one scale an output, once the input has no factors any more: inputs with them are
    /// taken to be alike, as a normalization makes them, so that others are 1/s.
    fn coarser(&self, affine: &Affine) -> f64 {
        let Some(weight) = self.weight.to_f64().filter(|_| affine.scale.iter().any(|s| *s != affine.scale[0])) else {
            return 1.0;
        };
        // Of each output: the largest weight and how many there are, and the same with the factors.
        let mut sums = vec![[0f64; 4]; self.outputs];
        self.layout.for_each(|element, output, input| {
            let ([w, n, scaled, inverse], s) = (&mut sums[output], affine.scale_of(input));
            *w = w.max(weight[element].abs());
            *scaled = scaled.max((s * weight[element]).abs());
            *n += 1.0;
            // What is times zero is no error.
            *inverse += if s == 0.0 { 0.0 } else { s.powi(-2) };
        });
        let [before, after] = [0, 2].map(|at| sums.iter().map(|of| of[at].powi(2) * of[at + 1]).sum::<f64>());
        if before > 0.0 { after / before } else { 1.0 }
    }

    /// Folds α and β of a Gemm into the weight and bias.
    pub fn absorb_factors(self, edit: &mut GraphEdit) -> Result<(), String> {
        let weight = (self.alpha != 1.0).then(|| self.scaled(|_, _| self.alpha)).transpose()?;
        self.constants(edit, weight, self.bias.clone())?.afford_and_set(edit, 0)?;
        edit.remove_attr(self.node, "alpha");
        edit.remove_attr(self.node, "beta");
        Ok(())
    }

    /// The weight times a factor per output and input channel.
    fn scaled(&self, factor: impl Fn(usize, usize) -> f64) -> Result<Tensor, String> {
        let mut values = self.weight.to_f64().ok_or("the weight is not of a float type")?;
        self.layout.for_each(|element, output, input| values[element] *= factor(output, input));
        from_f64(self.weight.dtype(), self.weight.shape(), &values).ok_or_else(|| overflow(&self.weight))
    }

    fn constants(&self, model: &Model, weight: Option<Tensor>, bias: Option<Vec<f64>>) -> Result<Constants, String> {
        let mut constants = Constants::default();
        if let Some(weight) = weight {
            constants.add(self.node, 1, weight);
        }
        let had_bias = model.node(self.node).input(2).is_some();
        if let Some(b) = bias.filter(|b| had_bias || b.iter().any(|b| *b != 0.0)) {
            let bias = from_f64(self.weight.dtype(), &[b.len()], &b).ok_or_else(|| overflow(&self.weight))?;
            constants.add(self.node, 2, bias);
        }
        Ok(constants)
    }
}

/// What a node adds to each of its outputs, or why it cannot be told.
fn bias_of(model: &Model, n: &Node, outputs: usize) -> Result<Vec<f64>, String> {
    let Some(bias) = n.input(2) else { return Ok(vec![0.0; outputs]) };
    let beta = if n.is("Gemm") { f64::from(n.float_or("beta", 1.0)) } else { 1.0 };
    let constant = model.constant(bias).and_then(|t| Some((t.shape(), t.to_f64()?)));
    let (shape, b) = constant.ok_or_else(|| format!("the bias {} is not constant", model.name(bias)))?;
    if b.len() == 1 && shape.len() < 2 {
        return Ok(vec![beta * b[0]; outputs]);
    }
    if b.len() == outputs && shape.last() == Some(&outputs) {
        return Ok(b.iter().map(|b| beta * b).collect());
    }
    Err(format!("the bias {} differs by row", model.name(bias)))
}

pub(super) fn overflow(tensor: &Tensor) -> String {
    format!("the folded numbers do not fit {}", tensor.dtype())
}
