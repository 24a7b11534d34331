//! Which elements of its input a convolution or pooling sees.
//!
//! ```text
//! tap i of output o is input element  o·stride + i·dilation − pad        outputs  ⌊(n + growth − 1)/stride⌋ + 1
//! ```
//!
//! Elements outside the input are zeros. Two windows of equal strides and growth give outputs of equal size for every n, and one
//! whose taps are all among those of the other can be written into it.

use crate::ir::{AutoPad, Model, NodeId};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    /// Per axis, where each tap lies from the place of the output.
    taps: Vec<Vec<i64>>,
    strides: Vec<i64>,
    growth: Vec<i64>,
}

impl Window {
    /// That of a 1×1 kernel that moves in steps of one.
    pub fn of_one(axes: usize) -> Window {
        Window { taps: vec![vec![0]; axes], strides: vec![1; axes], growth: vec![0; axes] }
    }

    /// That of a node with this kernel; `None` where its pads depend on the size of the input.
    pub fn of(model: &Model, node: NodeId, kernel: &[usize]) -> Option<Window> {
        let n = model.node(node);
        let axes = kernel.len();
        let list = |name: &str, default: i64, len: usize| match n.ints(name) {
            Some(list) => Some(list.to_vec()).filter(|l| l.len() == len),
            None => Some(vec![default; len]),
        };
        let (strides, dilations) = (list("strides", 1, axes)?, list("dilations", 1, axes)?);
        let reach: Vec<i64> =
            kernel.iter().zip(&dilations).map(|(k, d)| d.checked_mul(*k as i64 - 1)).collect::<Option<_>>()?;
        let pads = match n.auto_pad() {
            AutoPad::Explicit => list("pads", 0, 2 * axes)?,
            AutoPad::Valid => vec![0; 2 * axes],
            same if strides.iter().all(|s| *s == 1) => {
                let begins = reach.iter().map(|r| if same == AutoPad::SameLower { r - r / 2 } else { r / 2 });
                let begins: Vec<i64> = begins.collect();
                let ends: Vec<i64> = reach.iter().zip(&begins).map(|(r, b)| r - b).collect();
                [begins, ends].concat()
            }
            _ => return None,
        };
        let growth = (0..axes).map(|a| pads[a].checked_add(pads[axes + a])?.checked_sub(reach[a]));
        let taps = (0..axes).map(|a| (0..kernel[a] as i64).map(|i| i * dilations[a] - pads[a]).collect());
        Some(Window { taps: taps.collect(), strides, growth: growth.collect::<Option<_>>()? })
    }

    /// The tap of this window that is each tap of `other`, both counted row by row; `None` where outputs differ in size or
    /// a tap is not among these.
    pub fn places_of(&self, other: &Window) -> Option<Vec<usize>> {
        if self.strides != other.strides || self.growth != other.growth {
            return None;
        }
        let mut places = vec![0];
        for (own, others) in self.taps.iter().zip(&other.taps) {
            let found: Vec<usize> =
                others.iter().map(|tap| own.iter().position(|t| t == tap)).collect::<Option<Vec<_>>>()?;
            places = places.iter().flat_map(|p| found.iter().map(move |f| p * own.len() + f)).collect();
        }
        Some(places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::{GraphEdit, NewNode, Place};

    fn window(node: NewNode, kernel: &[usize]) -> Option<Window> {
        let mut model = Model::new(17);
        let main = model.main();
        let id = GraphEdit::new(&mut model).insert(Place::End(main), node);
        Window::of(&model, id, kernel)
    }

    #[test]
    fn a_smaller_kernel_lies_within_a_larger_one() {
        let conv = |pads: i64, dilation: i64| {
            NewNode::new("Conv").attr("pads", vec![pads; 4]).attr("dilations", vec![dilation; 2])
        };
        let large = window(conv(1, 1), &[3, 3]).unwrap();
        let one = Window::of_one(2);
        assert_eq!(large.places_of(&one).unwrap(), [4]);
        assert_eq!(one.places_of(&large), None);
        let row = window(NewNode::new("Conv").attr("pads", vec![0i64, 1, 0, 1]), &[1, 3]).unwrap();
        assert_eq!(large.places_of(&row).unwrap(), [3, 4, 5]);
        // Taps two apart, seen in a kernel of five and not in one of three.
        let apart = window(conv(2, 2), &[3, 3]).unwrap();
        let five = window(conv(2, 1), &[5, 5]).unwrap();
        assert_eq!(five.places_of(&apart).unwrap(), [0, 2, 4, 10, 12, 14, 20, 22, 24]);
        assert_eq!(large.places_of(&apart), None);
        // Pads of SAME_UPPER are known where the stride is 1.
        let same = window(NewNode::new("Conv").attr("auto_pad", "SAME_UPPER"), &[3, 3]).unwrap();
        assert_eq!(same, large);
        let strided = NewNode::new("Conv").attr("auto_pad", "SAME_UPPER").attr("strides", vec![2i64, 2]);
        assert_eq!(window(strided, &[3, 3]), None);
    }
}
