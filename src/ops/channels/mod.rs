//! How the channels of an operator's inputs and outputs hang together: what must go where one goes.
//!
//! ```text
//! Conv       X[·, c] ~ W[·, c]      Y[·, m] ~ W[m] ~ b[m]        an output channel is a row of the weight and a number of the bias
//! Add        A[…, i] ~ Y[…, i] ~ B[…, i]                         but where one of them is broadcast
//! Concat     Y[start + i] ~ X[i]                                 Reshape [C] → [H, D]:  X[i] ~ Y[i ÷ D]
//! ```
//!
//! A rule lists the axes whose positions can go and what goes with them; every other axis of the operator keeps its size, for the
//! reason that the rule gives. Where sizes stand in attributes or constant inputs (Split, Reshape, Slice), the rule says what they become.
//! The dependency graph of structured pruning is made of these (Fang et al., "DepGraph", CVPR 2023).

pub(super) mod elementwise;
pub(super) mod layout;
pub(super) mod norm;
pub(super) mod product;
pub(super) mod recurrent;
pub(super) mod reduce;
pub(super) mod reshape;
pub(super) mod select;
pub(super) mod window;

use crate::ir::shape::axis_of;
use crate::ir::{Attr, Model, Node, Shape, Tensor};

/// An input or output of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Port {
    /// The input at this place.
    Input(usize),
    /// The output at this place.
    Output(usize),
}

/// An axis, counted from the front.
pub type Axis = (Port, usize);

/// Position i of `axis` and position `map(i)` of `with` go together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Coupling {
    /// Each of whose positions goes with one of `with`.
    pub axis: Axis,
    /// The axis of another input or output.
    pub with: Axis,
    /// Which goes with which.
    pub map: Map,
}

/// Which position of another axis belongs to position i.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Map {
    /// i
    Same,
    /// first + i
    From(usize),
    /// i ÷ block mod turns
    Grid {
        /// So many of these belong to one of the other.
        block: usize,
        /// The other is gone through so many positions at a time.
        turns: usize,
    },
}

impl Map {
    /// The position of the other axis that belongs to `i`.
    pub fn at(self, i: usize) -> usize {
        match self {
            Map::Same => i,
            Map::From(first) => first + i,
            Map::Grid { block, turns } => i / block.max(1) % turns.max(1),
        }
    }

    /// One position of the other for n of these.
    fn blocks(n: usize) -> Map {
        Map::Grid { block: n, turns: usize::MAX }
    }

    /// The n positions of the other again and again.
    fn turns(n: usize) -> Map {
        Map::Grid { block: 1, turns: n }
    }
}

/// How channels pass through an operator.
#[derive(Debug, Clone, Copy)]
pub struct ChannelRule {
    /// The axes whose positions can go; what is not among them keeps its size.
    pub couple: fn(&Operands) -> Vec<Coupling>,
    /// Why the others do: said after the node's name.
    pub fixed: &'static str,
    /// What its attributes and constant inputs become when positions go.
    pub resize: Option<Resize>,
}

impl ChannelRule {
    pub(super) const fn new(couple: fn(&Operands) -> Vec<Coupling>, fixed: &'static str) -> Self {
        ChannelRule { couple, fixed, resize: None }
    }

    pub(super) const fn resizes(mut self, resize: Resize) -> Self {
        self.resize = Some(resize);
        self
    }
}

/// `None` where it does not know; the group is left alone then.
pub type Resize = fn(&Operands, &Kept) -> Option<Vec<Change>>;

/// Which positions of an axis stay; `None` where all do.
pub type Kept<'a> = dyn Fn(Axis) -> Option<Vec<bool>> + 'a;

/// A change of a node that follows from channels that went.
#[derive(Debug, Clone)]
pub enum Change {
    /// An attribute takes this value.
    Attr(&'static str, Attr),
    /// An attribute is left out.
    NoAttr(&'static str),
    /// A constant input becomes this.
    Input(usize, Tensor),
}

/// A node and the shapes of what it reads and makes, before anything goes.
pub struct Operands<'a> {
    /// The model that the node is in.
    pub model: &'a Model,
    /// The node.
    pub node: &'a Node,
    /// One for each input; `None` where it is left out or nothing is known.
    pub inputs: Vec<Option<Shape>>,
    /// One for each output.
    pub outputs: Vec<Option<Shape>>,
}

impl Operands<'_> {
    /// Sizes of an input or output, where they are known.
    pub fn shape(&self, port: Port) -> Option<&Shape> {
        match port {
            Port::Input(i) => self.inputs.get(i)?.as_ref(),
            Port::Output(i) => self.outputs.get(i)?.as_ref(),
        }
    }

    /// How many axes it has.
    pub fn rank(&self, port: Port) -> Option<usize> {
        self.shape(port).map(Vec::len)
    }

    /// The size of an axis, where it is known.
    pub fn size(&self, (port, axis): Axis) -> Option<usize> {
        usize::try_from(self.shape(port)?.get(axis)?.known()?).ok()
    }

    fn constant(&self, input: usize) -> Option<&Tensor> {
        self.model.constant(self.node.input(input)?)
    }

    /// Integers that are an attribute in old opsets and a constant input in new ones. The outer `None`: not known; the inner one: not
    /// given.
    fn ints_of(&self, attr: &str, input: usize) -> Option<Option<Vec<i64>>> {
        match self.node.ints(attr) {
            Some(ints) => Some(Some(ints.to_vec())),
            None if self.node.input(input).is_some() => Some(Some(self.constant(input)?.to_i64()?)),
            None => Some(None),
        }
    }

    /// The attribute `axis` of an operator whose first input has that axis.
    fn axis(&self, default: i64) -> Option<usize> {
        axis_of(self.node.int_or("axis", default), self.rank(Port::Input(0))?)
    }
}

pub(super) const X: Port = Port::Input(0);
pub(super) const Y: Port = Port::Output(0);

/// Position i of `axis` and position i of `with`.
fn same(axis: Axis, with: Axis) -> Coupling {
    Coupling { axis, with, map: Map::Same }
}

/// How many of these stay.
fn count(kept: &[bool]) -> usize {
    kept.iter().filter(|k| **k).count()
}
