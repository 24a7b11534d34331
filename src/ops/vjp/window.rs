//! How a window moves over `[N, C, spatial…]`: what convolution and pooling share.

use super::tape::Cut;
use crate::ir::{Attr, AutoPad, Node};

/// One entry an axis.
#[derive(Clone)]
pub struct Window {
    pub kernel: Vec<usize>,
    pub strides: Vec<usize>,
    pub dilations: Vec<usize>,
    /// Zeros before.
    pub before: Vec<usize>,
    /// Zeros behind, as far as a window reaches them.
    pub after: Vec<usize>,
    /// Elements at the end that no window reaches.
    pub rest: Vec<usize>,
    /// Positions of the window.
    pub positions: Vec<usize>,
}

impl Window {
    /// A window of the node that moves over `input` and takes `positions`, both spatial.
    pub fn of(node: &Node, kernel: &[usize], input: &[usize], positions: &[usize]) -> Result<Window, String> {
        let axes = kernel.len();
        let list = |name: &str, default: i64, count: usize| -> Result<Vec<usize>, String> {
            let list = node.ints(name).map_or_else(|| vec![default; count], <[i64]>::to_vec);
            let list: Vec<usize> = list.iter().filter_map(|n| usize::try_from(*n).ok()).collect();
            if list.len() == count { Ok(list) } else { Err(format!("its {name} are not {count} sizes")) }
        };
        let (strides, dilations) = (list("strides", 1, axes)?, list("dilations", 1, axes)?);
        let pads = list("pads", 0, 2 * axes)?;
        let mut window = Window {
            kernel: kernel.to_vec(),
            before: pads[..axes].to_vec(),
            after: vec![0; axes],
            rest: vec![0; axes],
            positions: positions.to_vec(),
            strides,
            dilations,
        };
        for i in 0..axes {
            // One place has no distance to the next.
            if kernel[i] == 1 {
                window.dilations[i] = 1;
            }
            let reach = window.positions[i].saturating_sub(1) * window.strides[i];
            let span = reach + kernel[i].saturating_sub(1) * window.dilations[i] + 1;
            let total = span.saturating_sub(input[i]);
            match node.auto_pad() {
                AutoPad::SameUpper => window.before[i] = total / 2,
                AutoPad::SameLower => window.before[i] = total.div_ceil(2),
                AutoPad::Valid => window.before[i] = 0,
                AutoPad::Explicit => {}
            }
            let there = window.before[i] + input[i];
            window.after[i] = span.saturating_sub(there);
            window.rest[i] = there.saturating_sub(span);
        }
        Ok(window)
    }

    /// Attributes of the convolution with this window.
    pub fn attrs(&self, group: usize) -> Vec<(&'static str, Attr)> {
        let list = |sizes: &[usize]| Attr::Ints(sizes.iter().map(|n| *n as i64).collect());
        let pads: Vec<usize> = self.before.iter().chain(&self.after).copied().collect();
        vec![
            ("kernel_shape", list(&self.kernel)),
            ("strides", list(&self.strides)),
            ("dilations", list(&self.dilations)),
            ("pads", list(&pads)),
            ("group", Attr::Int(group as i64)),
        ]
    }

    /// Attributes of the transposed convolution from the positions back to all of the input.
    pub fn transposed_attrs(&self, group: usize) -> Vec<(&'static str, Attr)> {
        let rest = Attr::Ints(self.rest.iter().map(|n| *n as i64).collect());
        self.attrs(group).into_iter().chain([("output_padding", rest)]).collect()
    }

    /// Of the padded input what meets the kernel at each of its places, row-major.
    pub fn taps(&self) -> Vec<Vec<Cut>> {
        let mut places = vec![Vec::new()];
        for i in 0..self.kernel.len() {
            let cut = |k: usize| Cut { start: k * self.dilations[i], count: self.positions[i], step: self.strides[i] };
            let longer = |place: &Vec<Cut>| {
                let place = place.clone();
                (0..self.kernel[i]).map(move |k| place.iter().copied().chain([cut(k)]).collect()).collect::<Vec<_>>()
            };
            places = places.iter().flat_map(longer).collect();
        }
        places
    }
}
