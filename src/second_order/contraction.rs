//! A node that contracts its input with a constant weight, as a product of matrices.
//!
//! ```text
//! y[o, p] = Σ_k W[o, k]·x[k, p]        o output channel of its group, p sample and position, k input channel and place in the kernel
//! ```
//!
//! Refuses a padding that the node leaves to its runtime, transposed inputs, and weights that are no matrix or kernel.

use crate::ir::{Model, NodeId, Tensor, ValueId};
use crate::ops::{self, QuantRule};

/// A contraction and where its numbers lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contraction {
    /// The activation.
    pub input: ValueId,
    /// The weight.
    pub weight: ValueId,
    /// Number of groups.
    pub groups: usize,
    /// Output channels of a group.
    pub outputs: usize,
    /// Weights of an output channel.
    pub depth: usize,
    window: Option<Window>,
    /// Whether the weight holds `[depth, outputs]` instead of `[outputs, depth]`.
    transposed: bool,
}

/// The window that a convolution moves over rows and columns; one row where it has one spatial axis.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    /// Input channels of a group.
    channels: usize,
    kernel: [usize; 2],
    strides: [usize; 2],
    dilations: [usize; 2],
    /// Before and after.
    pads: [[usize; 2]; 2],
}

impl Contraction {
    /// `None` where the node is no contraction with a constant weight; a reason where it cannot be said as a product.
    pub fn of(model: &Model, node: NodeId) -> Option<Result<Contraction, String>> {
        let n = model.node(node);
        let QuantRule::Weighted { input, weight, channel_axis, integer, .. } = ops::of(n)?.quant else { return None };
        let shape = model.constant_input(node, weight)?.shape().to_vec();
        let (input, weight) = (n.input(input)?, n.input(weight)?);
        let Some(form) = integer else { return Some(Err("its output positions overlap".into())) };
        if form.matrices {
            let [a, b] = shape[..] else { return Some(Err("its weight is no matrix".into())) };
            if n.int_or("transA", 0) != 0 {
                return Some(Err("its input is transposed".into()));
            }
            let transposed = channel_axis(n, 2) == 1;
            let (outputs, depth) = if transposed { (b, a) } else { (a, b) };
            return Some(Ok(Contraction { input, weight, groups: 1, outputs, depth, window: None, transposed }));
        }
        let Some((channels, rest)) = shape.split_first() else { return Some(Err("its weight is no kernel".into())) };
        let groups = usize::try_from(n.int_or("group", 1)).ok().filter(|g| *g > 0 && channels % g == 0)?;
        let Some(window) = Window::of(model, node, &shape) else {
            return Some(Err("its window is not known".into()));
        };
        let (depth, outputs) = (rest.iter().product(), channels / groups);
        Some(Ok(Contraction { input, weight, groups, outputs, depth, window: Some(window), transposed: false }))
    }

    /// Whether it is a product of matrices, not a convolution.
    pub fn is_product(&self) -> bool {
        self.window.is_none()
    }

    /// All output channels.
    pub fn channels(&self) -> usize {
        self.groups * self.outputs
    }

    /// The axis of the weight that counts output channels.
    pub fn channel_axis(&self) -> usize {
        usize::from(self.transposed)
    }

    /// The axis of the weight that counts input channels, of a group where there are several.
    pub fn input_axis(&self) -> usize {
        1 - self.channel_axis()
    }

    /// Output positions of all samples of `x`.
    fn positions(&self, x: &[usize]) -> Option<usize> {
        match &self.window {
            Some(window) => window.positions(x).map(|(samples, out)| samples * out[0] * out[1]),
            None => x.iter().product::<usize>().checked_div(self.depth),
        }
    }

    /// Numbers `[channels]` of `y`, the output for `x` or what has its shape, at the positions at which [`Contraction::rows`] takes at
    /// most `most` rows of `x`, one position after the other. `None` where `y` has another shape.
    pub fn at_rows(&self, y: &Tensor, x: &[usize], most: usize) -> Option<Vec<f32>> {
        let values = y.to_f32()?;
        let channels = self.channels();
        let all = self.positions(x)?;
        let count = all.min(most);
        let (axis, inner) = match self.is_product() {
            true => (y.rank().checked_sub(1)?, 1),
            false => (1, y.shape().get(2..)?.iter().product::<usize>()),
        };
        if y.shape().get(axis) != Some(&channels) || values.len() != all * channels || inner == 0 {
            return None;
        }
        let at = |i: usize| {
            let p = i * all / count;
            let begin = p / inner * channels * inner + p % inner;
            values[begin..].iter().step_by(inner).take(channels)
        };
        Some((0..count).flat_map(at).copied().collect())
    }

    /// Whether `other` reads the same rows of the same input.
    pub fn reads_as(&self, other: &Contraction) -> bool {
        let key = |c: &Contraction| (c.input, c.groups, c.depth, c.window.clone());
        key(self) == key(other)
    }

    /// Whether `other` has the same weight, in the same form.
    pub fn shares_weight(&self, other: &Contraction) -> bool {
        let key = |c: &Contraction| (c.weight, c.groups, c.outputs, c.depth, c.transposed);
        key(self) == key(other)
    }

    /// Where in the weight the number `k` of output channel `o`, counted over all groups, lies.
    pub fn element(&self, o: usize, k: usize) -> usize {
        if self.transposed { k * self.outputs + o } else { o * self.depth + k }
    }

    /// Rows `[groups·depth]` of what meets the weights at `most` positions of `x` or at all, spread evenly; how many.
    /// `None` where `x` has another shape than the weight expects.
    pub fn rows(&self, x: &Tensor, most: usize) -> Option<(Vec<f32>, usize)> {
        let values = x.to_f32()?;
        match &self.window {
            Some(window) => window.rows(&values, x.shape(), self.groups, most),
            None => {
                let all = values.len().checked_div(self.depth)?;
                if x.shape().last() != Some(&self.depth) {
                    return None;
                }
                let count = all.min(most);
                let row = |i: usize| &values[i * all / count * self.depth..][..self.depth];
                Some(((0..count).flat_map(row).copied().collect(), count))
            }
        }
    }
}

impl Window {
    fn of(model: &Model, node: NodeId, weight: &[usize]) -> Option<Window> {
        let n = model.node(node);
        let spatial = weight.len().checked_sub(2).filter(|s| (1..=2).contains(s))?;
        if n.auto_pad().is_same() {
            return None;
        }
        let sizes = |name: &str, count: usize, default: usize| match n.ints(name) {
            None => Some(vec![default; count]),
            Some(given) if given.len() == count => given.iter().map(|v| usize::try_from(*v).ok()).collect(),
            Some(_) => None,
        };
        // A missing row axis has size one.
        let two = |v: &[usize], default: usize| if spatial == 2 { [v[0], v[1]] } else { [default, v[0]] };
        let pads = sizes("pads", 2 * spatial, 0)?;
        let (before, after) = pads.split_at(spatial);
        let strides = two(&sizes("strides", spatial, 1)?, 1);
        Some(Window {
            channels: weight[1],
            kernel: two(&weight[2..], 1),
            strides,
            dilations: two(&sizes("dilations", spatial, 1)?, 1),
            pads: [two(before, 0), two(after, 0)],
        })
        .filter(|w| w.strides.iter().chain(&w.dilations).chain(&w.kernel).all(|s| *s > 0))
    }

    /// Samples of an input of this shape, and positions of the window in them.
    fn positions(&self, shape: &[usize]) -> Option<(usize, [usize; 2])> {
        let (samples, size) = match *shape {
            [n, _, h, w] => (n, [h, w]),
            [n, _, w] => (n, [1, w]),
            _ => return None,
        };
        let out = [0, 1].map(|a| {
            let span = self.dilations[a] * (self.kernel[a] - 1) + 1;
            let padded = size[a] + self.pads[0][a] + self.pads[1][a];
            padded.checked_sub(span).map_or(0, |room| room / self.strides[a] + 1)
        });
        Some((samples, out))
    }

    /// What the kernel's columns meet of one row, the first of them at `first`; zeros outside.
    fn row(&self, line: &[f32], first: isize, into: &mut Vec<f32>) {
        let (width, end) = (line.len() as isize, first + self.kernel[1] as isize);
        if self.dilations[1] == 1 && first >= 0 && end <= width {
            into.extend_from_slice(&line[first as usize..end as usize]);
            return;
        }
        let at = |k: usize| usize::try_from(first + (k * self.dilations[1]) as isize).ok();
        into.extend((0..self.kernel[1]).map(|k| at(k).and_then(|x| line.get(x)).copied().unwrap_or(0.0)));
    }

    fn rows(&self, values: &[f32], shape: &[usize], groups: usize, most: usize) -> Option<(Vec<f32>, usize)> {
        let (samples, out) = self.positions(shape)?;
        let (channels, size) = match *shape {
            [_, c, h, w] => (c, [h, w]),
            [_, c, w] => (c, [1, w]),
            _ => return None,
        };
        if channels != self.channels * groups {
            return None;
        }
        let all = samples * out[0] * out[1];
        let count = all.min(most);
        let mut rows = Vec::with_capacity(count * channels * self.kernel[0] * self.kernel[1]);
        for i in 0..count {
            let p = i * all / count;
            let (sample, y, x) = (p / (out[0] * out[1]), p / out[1] % out[0], p % out[1]);
            let first = [y, x].map(|o| o as isize);
            let first = [0, 1].map(|a| first[a] * self.strides[a] as isize - self.pads[0][a] as isize);
            for channel in 0..channels {
                let plane = &values[(sample * channels + channel) * size[0] * size[1]..][..size[0] * size[1]];
                for ky in 0..self.kernel[0] {
                    let at = first[0] + (ky * self.dilations[0]) as isize;
                    match usize::try_from(at).ok().filter(|y| *y < size[0]) {
                        Some(y) => self.row(&plane[y * size[1]..][..size[1]], first[1], &mut rows),
                        None => rows.resize(rows.len() + self.kernel[1], 0.0),
                    }
                }
            }
        }
        Some((rows, count))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    #[test]
    fn a_weight_without_axes_is_refused() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[1,1,4] x) => (float[1,1,4] y)
                      <float w = {2}> { y = Conv (x, w) }";
        let model = text::parse(source).unwrap();
        let node = model.graph(model.main()).nodes()[0];
        assert_eq!(Contraction::of(&model, node), Some(Err("its weight is no kernel".into())));
    }
}
