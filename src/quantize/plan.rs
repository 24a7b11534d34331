//! What was decided, for every node that could be quantized: a printable value.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use super::options::{Format, QuantOptions};
use super::params::{QParams, QType};
use super::sharing::Sharing;
use crate::calibrate::Range;
use crate::error::Error;
use crate::ir::{DType, NodeId, Tensor, ValueId};

/// Every decision.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct QuantPlan {
    /// What was asked for.
    pub options: QuantOptions,
    /// In graph order.
    pub nodes: Vec<NodePlan>,
    /// Values that become integers, in graph order.
    pub activations: Vec<ActivationPlan>,
    /// What concerns the model as a whole.
    pub notes: Vec<String>,
    /// How near the outputs came on the batches that judge it, in dB.
    #[serde(skip)]
    pub judged: Option<f64>,
    /// Whether it is written to be run once rather than to be stored: weights behind DequantizeLinear, whatever the target takes.
    #[serde(skip)]
    pub(super) passing: bool,
}

/// One node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodePlan {
    /// Its name, or that of its first output.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// What becomes of it.
    pub decision: Decision,
    #[serde(skip)]
    pub(super) id: NodeId,
}

impl NodePlan {
    /// Whether its weights or values become anything else than the floats that they are.
    pub(super) fn is_quantized(&self) -> bool {
        !matches!(self.decision, Decision::Keep { .. })
    }

    /// The error where the model is no longer the one that was planned for.
    pub(super) fn lost(&self) -> Error {
        Error::internal(format!("node \"{}\" lost an operand", self.node))
    }
}

/// What becomes of a node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case", tag = "do")]
#[non_exhaustive]
pub enum Decision {
    /// Its weight, and with the static forms its activations, become integers.
    Quantize {
        /// How its weight becomes integers.
        weight: WeightPlan,
        /// Of the activation that it reads, in the static forms.
        input: Option<QParams>,
        /// Of what it makes, where that is quantized too.
        output: Option<QParams>,
        /// Whether it has a bias, which becomes int32.
        bias: bool,
        /// What is added to the bias of each channel, because quantization takes it away on average.
        #[serde(skip)]
        shift: Option<Vec<f32>>,
    },
    /// A product of two activations becomes one of integers. Without parameters they are found at every call.
    Product {
        /// Of the left operand.
        a: Option<QParams>,
        /// Of the right one.
        b: Option<QParams>,
        /// Of the product, where that is quantized too.
        output: Option<QParams>,
    },
    /// The table that it looks up is stored as integers.
    Table {
        /// Which integers.
        dtype: QType,
        /// With fewer than 8 bits: elements of a block along a row.
        block: Option<usize>,
        /// What they take.
        bytes: u64,
    },
    /// The weights of its gates become integers.
    Recurrent {
        /// For what is read and for the state.
        weights: Vec<WeightPlan>,
        /// Whether they are multiplied as integers, what they meet quantized at every step; else they are only stored so.
        dynamic: bool,
    },
    /// Its weight, or the table that it looks up, is stored in a shorter float.
    Shorten {
        /// The float that it is stored in.
        #[serde(serialize_with = "by_name")]
        #[schemars(with = "String")]
        dtype: DType,
        /// What that takes.
        bytes: u64,
    },
    /// It reads and gives float16.
    Half,
    /// It stays float.
    Keep {
        /// Why.
        reason: String,
    },
}

/// How a weight becomes integers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct WeightPlan {
    /// Of the tensor.
    pub name: String,
    /// Of its integers.
    pub dtype: QType,
    /// The channel axis, or with blocks that which they divide; absent with one scale for the whole tensor.
    pub axis: Option<usize>,
    /// Weights in a block.
    pub block: Option<usize>,
    /// Number of scales.
    pub channels: usize,
    /// Whether each scale has a zero point of its own.
    pub zero_points: bool,
    /// Channels whose scale was enlarged so that the int32 bias fits.
    pub enlarged: usize,
    /// The channel axis, where the products of neighbours are kept within 16 bits.
    pub pairs: Option<usize>,
    /// What its integers stand for, and the type of its scales: float32 or float16.
    #[serde(skip)]
    pub(super) floats: DType,
    /// What it is rounded to by data; without, the algorithm of the options rounds it.
    #[serde(skip)]
    pub(super) rounded: Option<Arc<Rounded>>,
}

/// Integers of a weight and its scales.
#[derive(Debug)]
pub(super) struct Rounded {
    pub params: Vec<QParams>,
    pub values: Tensor,
}

impl Rounded {
    /// What the integers stand for.
    pub fn floats(&self, plan: &WeightPlan) -> Tensor {
        let q = self.values.to_i64().unwrap_or_default();
        plan.dequantized(self.values.shape(), q.into_iter().map(|q| q as i32), &self.params)
    }
}

impl WeightPlan {
    /// A table of two axes in blocks of `size` along `axis`, zero in the middle.
    pub(super) fn blocks(name: &str, (dtype, floats): (QType, DType), axis: usize, size: usize) -> Self {
        let name = name.to_string();
        WeightPlan {
            name,
            dtype,
            axis: Some(axis),
            block: Some(size),
            channels: 0,
            zero_points: false,
            enlarged: 0,
            pairs: None,
            floats,
            rounded: None,
        }
    }

    /// What these integers of a weight of this shape stand for, by the parameters of each group.
    pub(super) fn dequantized(&self, shape: &[usize], q: impl Iterator<Item = i32>, params: &[QParams]) -> Tensor {
        let groups = self.sharing().groups(shape);
        let floats = q.enumerate().map(|(i, q)| params[groups.of(i)].dequantize(q)).collect();
        let floats = Tensor::from_vec(shape, floats);
        floats.as_floats(self.floats).unwrap_or(floats)
    }

    pub(super) fn sharing(&self) -> Sharing {
        match (self.axis, self.block) {
            (None, _) => Sharing::Tensor,
            (Some(axis), None) => Sharing::Channel(axis),
            (Some(axis), Some(size)) => Sharing::Block { axis, size },
        }
    }

    /// Whether its parameters are searched group by group ([`super::grouped`]).
    pub(super) fn is_grouped(&self) -> bool {
        self.dtype.is_narrow() || self.block.is_some()
    }
}

/// A value that becomes integers.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ActivationPlan {
    /// Its name.
    pub value: String,
    /// Scale and zero point.
    pub params: QParams,
    /// Where its range begins, as calibration found it.
    pub min: f32,
    /// Where its range ends.
    pub max: f32,
    /// Whether every reader sees the integers, or only the quantized ones.
    pub all_readers: bool,
    #[serde(skip)]
    pub(super) id: ValueId,
}

fn by_name<S: serde::Serializer>(dtype: &DType, out: S) -> Result<S::Ok, S::Error> {
    out.serialize_str(dtype.name())
}

impl Decision {
    /// Whether the node reads activations with planned scales.
    pub fn computes(&self) -> bool {
        matches!(self, Decision::Quantize { input: Some(_), .. } | Decision::Product { .. })
    }
}

impl QuantPlan {
    /// How many nodes compute in integers, or store theirs.
    pub fn quantized(&self) -> usize {
        self.nodes.iter().filter(|n| n.is_quantized()).count()
    }

    /// Names of the nodes that are to multiply integers, which is up to the runtime: neither those whose weights alone are stored so nor those
    /// that become another operator are among them.
    pub fn in_integers(&self) -> Vec<String> {
        let format = self.options.effective_format();
        let computes = |n: &&NodePlan| match &n.decision {
            Decision::Quantize { input, .. } => {
                format != Format::WeightOnly && (input.is_some() || !format.is_static())
            }
            Decision::Product { .. } => true,
            _ => false,
        };
        self.nodes.iter().filter(computes).map(|n| n.node.clone()).collect()
    }

    /// Nodes that stay float, with the reason.
    pub fn kept(&self) -> impl Iterator<Item = (&NodePlan, &str)> {
        self.nodes.iter().filter_map(|n| match &n.decision {
            Decision::Keep { reason } => Some((n, reason.as_str())),
            _ => None,
        })
    }

    /// `49 of 49 Conv, 1 of 1 Gemm`, by operator in order of first appearance.
    pub fn coverage(&self) -> String {
        let mut all: Vec<(String, usize, usize)> = Vec::new();
        for n in &self.nodes {
            let done = usize::from(!matches!(n.decision, Decision::Keep { .. }));
            match all.iter_mut().find(|(op, ..)| *op == n.op_type) {
                Some(entry) => {
                    entry.1 += done;
                    entry.2 += 1;
                }
                None => all.push((n.op_type.clone(), done, 1)),
            }
        }
        let of: Vec<_> = all.iter().map(|(op, done, all)| format!("{done} of {all} {op}")).collect();
        if of.is_empty() { "no node".into() } else { of.join(", ") }
    }
}

impl ActivationPlan {
    /// What its integers cover.
    pub fn range(&self) -> Range {
        Range::new(self.min, self.max)
    }
}

impl fmt::Display for QuantPlan {
    /// One line a node, then the notes.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.nodes.iter().map(|n| n.node.len() + n.op_type.len() + 3).max().unwrap_or(0).min(60);
        for n in &self.nodes {
            let name = format!("{} ({})", n.node, n.op_type);
            match &n.decision {
                Decision::Quantize { weight, input, output, bias, shift } => {
                    write!(f, "quantize  {name:<width$}  {weight}")?;
                    if let Some(p) = input {
                        write!(f, "  x {p}")?;
                    }
                    if let Some(p) = output {
                        write!(f, "  y {p}")?;
                    }
                    if input.is_none() && self.options.effective_format().is_static() {
                        f.write_str("  weights only: inside a subgraph, with no range or no integer form there")?;
                    }
                    f.write_str(if *bias { "  bias i32" } else { "" })?;
                    f.write_str(if shift.is_some() { " corrected" } else { "" })?;
                    writeln!(f)?;
                }
                Decision::Product { a, b, output } => {
                    write!(f, "quantize  {name:<width$}  two activations")?;
                    for (operand, params) in [("a", a), ("b", b), ("y", output)] {
                        if let Some(p) = params {
                            write!(f, "  {operand} {p}")?;
                        }
                    }
                    writeln!(f)?;
                }
                Decision::Table { dtype, block, bytes } => {
                    let blocks = block.map_or(String::new(), |size| format!(" block:{size}"));
                    writeln!(f, "quantize  {name:<width$}  table {}{blocks} of {bytes} bytes", dtype.name())?;
                }
                Decision::Recurrent { weights, dynamic } => {
                    write!(f, "quantize  {name:<width$}")?;
                    weights.iter().try_for_each(|w| write!(f, "  {w}"))?;
                    writeln!(f, "  {}", if *dynamic { "x and h at every step" } else { "weights only" })?;
                }
                Decision::Shorten { dtype, bytes } => {
                    writeln!(f, "shorten   {name:<width$}  {dtype} of {bytes} bytes")?;
                }
                Decision::Half => writeln!(f, "half      {name:<width$}  float16")?,
                Decision::Keep { reason } => writeln!(f, "keep      {name:<width$}  float: {reason}")?,
            }
        }
        self.notes.iter().try_for_each(|note| writeln!(f, "note      {note}"))
    }
}

impl fmt::Display for WeightPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "W {}", self.dtype.name())?;
        match (self.axis, self.block) {
            (Some(_), Some(size)) => write!(f, " block:{size}[{}]", self.channels)?,
            (Some(_), None) => write!(f, " per-channel[{}]", self.channels)?,
            (None, _) => f.write_str(" per-tensor")?,
        }
        match self.enlarged {
            0 => Ok(()),
            n => write!(f, " ({n} scales enlarged for the bias)"),
        }
    }
}

impl fmt::Display for QParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let r = self.range();
        write!(f, "{} [{:.4}, {:.4}] scale {:.5}", self.dtype.name(), r.min, r.max, self.scale)
    }
}
