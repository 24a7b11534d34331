//! Weights alone of 4 or 2 bits in an operator of their own: MatMulNBits (com.microsoft).
//!
//! ```text
//! x ─► MatMul(W [K, N]) ─► y        x ─► MatMulNBits(W_q [N, ⌈K/B⌉, B·bits/8], scales [N·⌈K/B⌉], zero points) ─► y
//! ```
//!
//! For targets that have it and do not make it of DequantizeLinear themselves. The levels are unsigned, the middle one standing for zero
//! unless zero points say otherwise; two or four lie in a byte, low bits first.

use super::params::QType;
use super::plan::{NodePlan, WeightPlan};
use super::weights::QuantizedWeight;
use super::write;
use crate::error::{Error, Result};
use crate::ir::{DType, GraphEdit, Node, Tensor};
use crate::ops::{self, QuantRule};
use crate::target::Preset;

/// Whether a weight of this rank and type that `node` multiplies with is written so for a target.
pub(super) fn takes(node: &Node, rank: usize, dtype: QType, preset: &Preset) -> bool {
    preset.n_bits && can_take(node, rank, dtype)
}

/// Whether the operator can be written in place of `node`.
pub(super) fn can_take(node: &Node, rank: usize, dtype: QType) -> bool {
    let product = matches!(
        ops::of(node).map(|op| op.quant),
        Some(QuantRule::Weighted { bias: None, integer: Some(form), .. }) if form.matrices
    );
    product && rank == 2 && matches!(dtype.bits(), 2 | 4)
}

/// Whether it is planned to be written so.
pub(super) fn fits(node: &Node, w: &WeightPlan, rank: usize, preset: &Preset) -> bool {
    takes(node, rank, w.dtype, preset) && w.block.is_some() && w.axis == Some(0)
}

/// A matrix `[K, N]` in blocks along K as the operator holds it: row after row of `[N, K]`.
pub(super) struct Packed {
    /// Levels, `[N, ⌈K/B⌉·B·bits/8]` bytes.
    pub levels: Tensor,
    /// `[N·⌈K/B⌉]`
    pub scales: Vec<f32>,
    /// `[N, ⌈K/B⌉·bits/8]`, rounded up to whole bytes.
    pub zeros: Option<Tensor>,
}

impl Packed {
    pub fn of(q: &QuantizedWeight, w: &WeightPlan) -> Result<Packed> {
        let lost = || Error::internal(format!("\"{}\" is no matrix in blocks", w.name));
        let (size, bits) = (w.block.ok_or_else(lost)?, w.dtype.bits() as usize);
        let &[k, n] = q.values.shape() else { return Err(lost()) };
        let (blocks, middle) = (k.div_ceil(size), 1 << (bits - 1));
        let unsigned = |t: &Tensor| -> Option<Vec<i64>> {
            let up = if w.dtype.middle() == 0 { middle } else { 0 };
            Some(t.to_i64()?.into_iter().map(|v| v + up).collect())
        };
        let levels = unsigned(&q.values).ok_or_else(lost)?;
        // Places behind the end of the last block stand for zero.
        let level = |c: usize, at: usize| if at < k { levels[at * n + c] } else { middle };
        // Without zero points the operator takes the middle level for zero, not the lowest.
        let zeros = match &q.zero_point {
            _ if !w.zero_points => None,
            Some(z) => Some(unsigned(z).ok_or_else(lost)?),
            None => Some(vec![0; n * blocks]),
        };
        let zeros = zeros.map(|z| packed(n, blocks, bits, |c, b| if b < blocks { z[b * n + c] } else { 0 }));
        Ok(Packed {
            levels: packed(n, blocks * size, bits, level)?,
            scales: (0..n * blocks).map(|i| q.scales[i % blocks * n + i / blocks]).collect(),
            zeros: zeros.transpose()?,
        })
    }
}

/// The activations as int8 in blocks, too: what ONNX Runtime chooses for a DequantizeLinear that it takes into the operator.
const ACCURACY_LEVEL: i64 = 4;

/// Replaces the product by one that reads `q`, a matrix `[K, N]` in blocks along K.
pub(super) fn node(
    edit: &mut GraphEdit,
    preset: &Preset,
    node: &NodePlan,
    w: &WeightPlan,
    q: &QuantizedWeight,
) -> Result<()> {
    let lost = || node.lost();
    let (id, bits) = (node.id, w.dtype.bits() as usize);
    let size = w.block.ok_or_else(lost)?;
    let &[k, n] = q.values.shape() else { return Err(lost()) };
    let packed = Packed::of(q, w)?;
    let graph = edit.node(id).graph();
    let name = &w.name;
    let values = packed.levels.reshaped([n, k.div_ceil(size), size * bits / 8])?;
    let values = edit.add_initializer(graph, &format!("{name}_quantized"), values);
    let scales = Tensor::from_vec([packed.scales.len()], packed.scales).as_floats(w.floats).ok_or_else(lost)?;
    let scales = edit.add_initializer(graph, &format!("{name}_scale"), scales);
    let x = edit.node(id).input(0).ok_or_else(lost)?;
    let mut inputs = vec![Some(x), Some(values), Some(scales)];
    if let Some(zeros) = packed.zeros {
        let zeros = zeros.reshaped([zeros.len()])?;
        inputs.push(Some(edit.add_initializer(graph, &format!("{name}_zero_point"), zeros)));
    }
    write::make_microsoft(edit, id, "MatMulNBits");
    edit.set_inputs(id, &inputs);
    for (attribute, value) in [("K", k), ("N", n), ("bits", bits), ("block_size", size)] {
        edit.set_attr(id, attribute, value as i64);
    }
    if preset.microsoft {
        edit.set_attr(id, "accuracy_level", ACCURACY_LEVEL);
    }
    Ok(())
}

/// Rows of so many numbers, each row in whole bytes.
fn packed(rows: usize, columns: usize, bits: usize, value: impl Fn(usize, usize) -> i64) -> Result<Tensor> {
    let per_byte = 8 / bits;
    let width = columns.div_ceil(per_byte);
    let byte = |row: usize, at: usize| {
        (0..per_byte).fold(0u8, |byte, i| byte | ((value(row, at * per_byte + i) as u8) << (i * bits)))
    };
    let bytes: Vec<u8> =
        (0..rows).flat_map(|row| (0..width).map(move |at| (row, at))).map(|(r, at)| byte(r, at)).collect();
    Tensor::from_bytes(DType::U8, [rows, width], bytes)
}
