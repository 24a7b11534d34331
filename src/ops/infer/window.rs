//! Convolution and pooling: `[N, C, spatial…]`, one window size a spatial axis.

use super::{Context, one};
use crate::ir::{AutoPad, DType, Dim, Shape, TensorType};

/// How a window moves along one axis, in elements.
struct Window {
    size: i64,
    stride: i64,
    /// Both ends together.
    pads: i64,
    same: bool,
    ceil: bool,
}

impl Window {
    /// `(in + pads − size) / stride + 1`, rounded down; with `auto_pad` SAME `in / stride`, rounded up.
    fn positions(&self, dim: &Dim) -> Option<Dim> {
        if self.stride < 1 || self.size < 1 {
            return None;
        }
        let Some(n) = dim.known() else {
            let kept = self.stride == 1 && (self.same || self.pads == self.size - 1);
            return kept.then(|| dim.clone());
        };
        if self.same {
            return Some(Dim::Known(n.checked_add(self.stride - 1)? / self.stride));
        }
        let room = n.checked_add(self.pads)?.checked_sub(self.size)?;
        // Whether the last, partial window counts differs between versions of the standard.
        let told = room >= 0 && !(self.ceil && room % self.stride != 0);
        told.then(|| Dim::Known(room / self.stride + 1))
    }
}

/// Windows of each axis; sizes are those of the kernel without dilation.
fn windows(c: &Context, sizes: &[Dim]) -> Option<Vec<Option<Window>>> {
    let spatial = sizes.len();
    let list = |name: &str, count: usize, default: i64| {
        let list = c.node.ints(name).map_or_else(|| vec![default; count], <[i64]>::to_vec);
        (list.len() == count).then_some(list)
    };
    let (strides, dilations) = (list("strides", spatial, 1)?, list("dilations", spatial, 1)?);
    let auto = c.node.auto_pad();
    let pads = match auto {
        AutoPad::Explicit => list("pads", spatial.checked_mul(2)?, 0)?,
        _ => vec![0; spatial * 2],
    };
    let window = |i: usize| {
        Some(Window {
            size: sizes[i].known()?.checked_sub(1)?.checked_mul(dilations[i])?.checked_add(1)?,
            stride: strides[i],
            pads: pads[i].checked_add(pads[i + spatial])?,
            same: auto.is_same(),
            ceil: c.node.int_or("ceil_mode", 0) != 0,
        })
    };
    Some((0..spatial).map(window).collect())
}

fn slide(c: &Context, sizes: &[Dim], channels: Dim) -> Option<Shape> {
    let Some(x) = c.shape(0) else {
        // The window alone tells the rank.
        let head = [Dim::Unknown, channels];
        return Some(head.into_iter().chain(sizes.iter().map(|_| Dim::Unknown)).collect());
    };
    if x.len() != sizes.len() + 2 {
        return None;
    }
    let spatial = windows(c, sizes)?;
    let moved = spatial.iter().zip(&x[2..]).map(|(w, d)| w.as_ref()?.positions(d));
    let head = [x[0].clone(), channels];
    Some(head.into_iter().chain(moved.map(|d| d.unwrap_or(Dim::Unknown))).collect())
}

/// Weight `[M, C/group, k…]`.
pub fn conv(c: &Context) -> Option<Vec<TensorType>> {
    let w = c.shape(1)?;
    one(c.dtype(0), slide(c, w.get(2..)?, w[0].clone()))
}

/// The product of two tensors of 8 bits, not yet scaled.
pub fn conv_integer(c: &Context) -> Option<Vec<TensorType>> {
    let w = c.shape(1)?;
    one(Some(DType::I32), slide(c, w.get(2..)?, w[0].clone()))
}

/// x, its scale and zero point, w, its scale and zero point, those of the output, bias.
pub fn qlinear_conv(c: &Context) -> Option<Vec<TensorType>> {
    let w = c.shape(3)?;
    one(c.dtype(7), slide(c, w.get(2..)?, w[0].clone()))
}

/// The second output, indices, is shaped like the first.
pub fn pool(c: &Context) -> Option<Vec<TensorType>> {
    let kernel: Vec<Dim> = c.node.ints("kernel_shape")?.iter().map(|k| Dim::Known(*k)).collect();
    let channels = c.shape(0).and_then(|x| x.get(1)).cloned().unwrap_or(Dim::Unknown);
    let shape = slide(c, &kernel, channels);
    Some(vec![TensorType { dtype: c.dtype(0), shape: shape.clone() }, TensorType { dtype: Some(DType::I64), shape }])
}

pub fn global_pool(c: &Context) -> Option<Vec<TensorType>> {
    let x = c.shape(0)?;
    let head = x.get(..2)?.iter().cloned();
    one(c.dtype(0), Some(head.chain(x[2..].iter().map(|_| Dim::Known(1))).collect()))
}

/// Weight `[C, M/group, k…]`; `(in − 1)·stride + output_padding + size − pads`.
pub fn conv_transpose(c: &Context) -> Option<Vec<TensorType>> {
    let (x, w) = (c.shape(0)?, c.shape(1)?);
    let sizes = w.get(2..)?;
    if x.len() != w.len() {
        return None;
    }
    let channels = w[1].known().and_then(|m| m.checked_mul(c.node.int_or("group", 1)));
    let plain = c.node.ints("output_shape").is_none() && c.node.auto_pad() == AutoPad::Explicit;
    let windows = windows(c, sizes)?;
    let extra = |i: usize| c.node.ints("output_padding").map_or(Some(0), |p| p.get(i).copied());
    let spread = |i: usize| {
        let w = windows[i].as_ref().filter(|_| plain)?;
        let reach = x[i + 2].known()?.checked_sub(1)?.checked_mul(w.stride)?;
        reach.checked_add(w.size)?.checked_add(extra(i)?)?.checked_sub(w.pads).filter(|n| *n >= 0).map(Dim::Known)
    };
    let head = [x[0].clone(), channels.map_or(Dim::Unknown, Dim::Known)];
    let tail = (0..sizes.len()).map(|i| spread(i).unwrap_or(Dim::Unknown));
    one(c.dtype(0), Some(head.into_iter().chain(tail).collect()))
}
