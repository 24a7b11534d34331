//! A term of a sum that is linear in the sum's common input x, as a kernel.
//!
//! ```text
//! Conv(x)                    its weight and bias
//! x                          1 from each channel to itself, in one tap
//! AveragePool(x)             1/k from each channel to itself, in each of k taps; pads must count
//! MatMul(x, W), Gemm(x, W)   W and the bias: a kernel of one tap
//! s·p + t, p such a term     its weight times s, its bias times s plus t (BatchNormalization, Mul, Add, … by constants)
//! ```

use super::affine::{Affine, Channels};
use super::input_affine::AFFINE;
use super::linear::Linear;
use super::window::Window;
use crate::ir::{GraphId, Model, NodeId, ValueId};
use crate::passes::support::{has_side_outputs, read_elsewhere};

/// weight `[outputs, columns, taps]`, where column j of output o is input channel (o / (outputs/groups))·columns + j.
pub(super) struct Piece {
    pub window: Window,
    pub outputs: usize,
    pub columns: usize,
    taps: usize,
    pub weight: Vec<f64>,
    pub bias: Vec<f64>,
    groups: usize,
    /// Its nodes, readers before what they read.
    pub nodes: Vec<NodeId>,
}

/// What a term must be like to be added to the host.
pub(super) struct Frame {
    pub x: ValueId,
    pub graph: GraphId,
    /// Where its channels are, as many as the output has or another number.
    pub channels: Channels,
    /// Spatial axes.
    pub axes: usize,
    /// Whether x may be a term as it is, scaled or pooled.
    pub takes_diagonals: bool,
}

impl Piece {
    /// The convolution or product `node` by itself.
    pub fn of_linear(model: &Model, node: NodeId) -> Option<Piece> {
        let n = model.node(node);
        let linear = Linear::of(model, node)?.ok()?;
        let shape = model.constant_input(node, 1)?.shape().to_vec();
        let bias = linear.bias().map_or_else(|| vec![0.0; linear.outputs], <[f64]>::to_vec);
        if n.is("Conv") {
            let kernel = &shape[2..];
            let weight = model.constant_input(node, 1)?.to_f64()?;
            let groups = usize::try_from(n.int_or("group", 1)).ok().filter(|g| linear.outputs % g == 0)?;
            return Some(Piece {
                window: Window::of(model, node, kernel)?,
                outputs: linear.outputs,
                columns: shape[1],
                taps: kernel.iter().product(),
                weight,
                bias,
                groups,
                nodes: vec![node],
            });
        }
        if !n.is_one_of(&["MatMul", "Gemm"]) || shape.len() != 2 || n.int_or("transA", 0) != 0 {
            return None;
        }
        Some(Piece {
            window: Window::of_one(0),
            outputs: linear.outputs,
            columns: linear.inputs,
            taps: 1,
            weight: linear.dense()?,
            bias,
            groups: 1,
            nodes: vec![node],
        })
    }

    /// The value as a term over `frame.x`; `None` where it is none, the reason where another reader holds it.
    pub fn of(model: &Model, value: ValueId, frame: &Frame) -> Option<Result<Piece, String>> {
        Self::within(model, value, frame, MOST_STEPS)
    }

    /// The same where at most so many affine operators stand behind it.
    fn within(model: &Model, value: ValueId, frame: &Frame, steps: usize) -> Option<Result<Piece, String>> {
        if value == frame.x {
            return frame.takes_diagonals.then(|| Ok(diagonal(frame, Window::of_one(frame.axes), 1)));
        }
        let node = model.producer(value).filter(|n| model.node(*n).graph() == frame.graph)?;
        if has_side_outputs(model, node) {
            return None;
        }
        let piece = match Self::of_node(model, node, frame, steps)? {
            Ok(piece) => piece,
            Err(reason) => return Some(Err(reason)),
        };
        Some(match read_elsewhere(model, value) {
            Some(reason) => Err(reason),
            None => Ok(piece),
        })
    }

    fn of_node(model: &Model, node: NodeId, frame: &Frame, steps: usize) -> Option<Result<Piece, String>> {
        let n = model.node(node);
        if n.is_one_of(AFFINE) {
            let data = (0..2).find(|i| n.input(*i).is_some_and(|v| model.constant(v).is_none()))?;
            let affine = Affine::of(model, node, data, frame.channels)?;
            let piece = match Self::within(model, n.input(data)?, frame, steps.checked_sub(1)?)? {
                Ok(piece) => piece,
                Err(reason) => return Some(Err(reason)),
            };
            let uniform = affine.scale.len() == 1 && affine.shift.len() == 1;
            let fits = uniform || piece.outputs == frame.channels.count;
            return Some(if fits { Ok(piece.after(node, &affine)) } else { Err("they differ in channels".into()) });
        }
        if n.input(0)? != frame.x {
            return None;
        }
        if n.is("AveragePool") && frame.takes_diagonals {
            return Self::of_pool(model, node, frame).map(Ok);
        }
        Self::of_linear(model, node).map(Ok)
    }

    fn of_pool(model: &Model, node: NodeId, frame: &Frame) -> Option<Piece> {
        let n = model.node(node);
        let kernel: Vec<usize> =
            n.ints("kernel_shape")?.iter().map(|k| usize::try_from(*k).ok()).collect::<Option<_>>()?;
        // A file can declare any kernel.
        kernel.iter().try_fold(1usize, |taps, k| taps.checked_mul(*k)).filter(|taps| *taps <= MOST_TAPS)?;
        let auto = n.auto_pad().is_same();
        let counts = !n.may_pad() || n.int_or("count_include_pad", 0) != 0;
        if kernel.len() != frame.axes || kernel.contains(&0) || auto || !counts || n.int_or("ceil_mode", 0) != 0 {
            return None;
        }
        let window = Window::of(model, node, &kernel)?;
        let mut piece = diagonal(frame, window, kernel.iter().product());
        piece.nodes.push(node);
        Some(piece)
    }

    /// s·p + t, which `node` makes of it.
    fn after(mut self, node: NodeId, affine: &Affine) -> Piece {
        let size = self.columns * self.taps;
        self.weight.iter_mut().enumerate().for_each(|(i, w)| *w *= affine.scale_of(i / size));
        for (o, b) in self.bias.iter_mut().enumerate() {
            *b = affine.scale_of(o) * *b + affine.shift_of(o);
        }
        self.nodes.insert(0, node);
        self
    }

    /// Whether every element of `other` has a place in this kernel; then it is added.
    pub fn take(&mut self, other: &Piece) -> Result<(), String> {
        let places = self.window.places_of(&other.window).ok_or("neither kernel holds the other")?;
        if self.outputs != other.outputs {
            return Err("they differ in channels".into());
        }
        // Where columns of an output begin among all input channels.
        let first = |p: &Piece, o: usize| o / (p.outputs / p.groups) * p.columns;
        let column =
            |o: usize| Some(first(other, o).checked_sub(first(self, o))?).filter(|c| c + other.columns <= self.columns);
        if !(0..self.outputs).all(|o| column(o).is_some()) {
            return Err("neither kernel holds the channels of the other".into());
        }
        let columns: Vec<usize> = (0..self.outputs).filter_map(column).collect();
        for (i, w) in other.weight.iter().enumerate() {
            let (row, tap) = (i / other.taps, i % other.taps);
            let (o, j) = (row / other.columns, row % other.columns);
            self.weight[(o * self.columns + columns[o] + j) * self.taps + places[tap]] += w;
        }
        self.bias.iter_mut().zip(&other.bias).for_each(|(b, c)| *b += c);
        Ok(())
    }
}

/// Affine operators in a row; a longer one is a graph to be left alone.
const MOST_STEPS: usize = 64;

/// Of a pool that is written as a kernel: larger ones grow the file for nothing.
const MOST_TAPS: usize = 1024;

/// Each channel to itself, the mean over all taps.
fn diagonal(frame: &Frame, window: Window, taps: usize) -> Piece {
    let count = frame.channels.count;
    Piece {
        window,
        outputs: count,
        columns: 1,
        taps,
        weight: vec![1.0 / taps as f64; count * taps],
        bias: vec![0.0; count],
        groups: count,
        nodes: Vec::new(),
    }
}
