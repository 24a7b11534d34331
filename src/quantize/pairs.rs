//! Keeps the products of neighbouring weights within 16 bits.
//!
//! An x86 processor without VNNI multiplies u8 by s8 in pairs and adds the two products in 16 bits (`vpmaddubsw`, Intel SDM 2B): what is
//! beyond 32767 is lost, and the kernels of ONNX Runtime that are built on it say nothing. With activations up to 255
//!
//! ```text
//! 255·w₁ + 255·w₂ ≤ 32767   for all inputs  ⇔  w₁⁺ + w₂⁺ ≤ 128        and the same of the negative parts
//!
//! s_c = max( max|w_c| / 127,  max over pairs (w₁⁺ + w₂⁺, w₁⁻ + w₂⁻) / 127 )        127: rounding may add one to the sum
//! ```
//!
//! Large weights seldom are neighbours: a scale grows by a few percent to a third, where weights of 7 bits (`reduce_range`) would double
//! every one. Rules that round otherwise than to the nearest may overshoot; what is left of such a pair is cut.
//!
//! Neighbours, as ONNX Runtime 1.32 packs them: rows 2j and 2j+1 of a matrix; in a convolution elements 2j and 2j+1 of a group's kernel, input
//! channels innermost. Convolutions of one channel a group and as many outputs have kernels of 32 bits: nothing to keep.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::plan::{Decision, QuantPlan};
use super::{QType, Switch};
use crate::ir::{Tensor, text};
use crate::runtime::{self, Shaped};
use crate::target::Preset;

/// Whether the kernels of `runtime` lose what is beyond 16 bits on this processor; where it is not there to be asked, they may.
pub fn overflows(runtime: &str) -> bool {
    static KNOWN: Mutex<BTreeMap<String, bool>> = Mutex::new(BTreeMap::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    *known.entry(runtime.to_string()).or_insert_with(|| !adds_exactly(runtime).unwrap_or(false))
}

/// Multiplies the largest activations by the largest weights; `None` where that cannot be run.
fn adds_exactly(runtime: &str) -> Option<bool> {
    const DEPTH: usize = 64;
    let w = vec!["127"; DEPTH].join(", ");
    let model = text::parse(&format!(
        "<ir_version: 8, opset_import: [\"\" : 13]>
         g (uint8[4,{DEPTH}] x) => (int32[4,1] y) <int8[{DEPTH},1] w = {{{w}}}> {{ y = MatMulInteger (x, w) }}"
    ));
    let x = ("x".to_string(), Tensor::from_vec([4, DEPTH], vec![255u8; 4 * DEPTH]));
    let y = Shaped::new(runtime::find(runtime).ok()?, &model.ok()?, &[], 1).run(&[x]).ok()?;
    Some(y.first()?.1.to_i64()? == [(255 * 127 * DEPTH) as i64; 4])
}

/// Whether pairs of weights of 8 bits are kept within 16 bits for this target.
pub(super) fn are_kept(wanted: Switch, preset: &Preset) -> bool {
    match wanted {
        Switch::Auto => preset.adds_in_16_bits && overflows(preset.name),
        other => other == Switch::On,
    }
}

/// What was decided by asking this processor, where anything was.
pub(super) fn note(plan: &QuantPlan, preset: &Preset) -> Option<String> {
    let signed = |d: &Decision| matches!(d, Decision::Quantize { weight, .. } if weight.dtype == QType::S8);
    let asked = plan.options.reduce_range == Switch::Auto && preset.adds_in_16_bits && !plan.in_integers().is_empty();
    (asked && plan.nodes.iter().any(|n| signed(&n.decision))).then(|| match are_kept(Switch::Auto, preset) {
        true => {
            "neighbouring weights are kept within 16 bits, in which processors without VNNI add (--reduce-range)".into()
        }
        false => {
            "made for processors that add in 32 bits, as this one; --reduce-range on serves those without VNNI, too"
                .into()
        }
    })
}

/// Largest sum of two weights of one sign.
const MOST: i32 = 128;
/// The same before rounding.
const BEFORE: f32 = 127.0;

/// Where the weights of a channel are, in the order in which they are multiplied.
#[derive(Debug, Clone, Copy)]
struct Rows {
    channels: usize,
    depth: usize,
    /// Distances of channels, of inputs, and of places in a kernel; inputs in a group.
    channel: usize,
    input: usize,
    inputs: usize,
}

impl Rows {
    /// Of a weight `[channels, inputs, kernel…]` with `axis` 0, or `[inputs, channels]` with `axis` 1.
    fn of(shape: &[usize], axis: usize) -> Rows {
        let channels = shape[axis];
        let depth = shape.iter().product::<usize>() / channels.max(1);
        if axis + 1 == shape.len() {
            return Rows { channels, depth, channel: 1, input: channels, inputs: depth.max(1) };
        }
        let inputs = shape.get(1).copied().unwrap_or(1).max(1);
        Rows { channels, depth, channel: depth, input: depth / inputs, inputs }
    }

    fn at(&self, channel: usize, k: usize) -> usize {
        channel * self.channel + (k % self.inputs) * self.input + k / self.inputs
    }

    fn pairs(&self, channel: usize) -> impl Iterator<Item = [usize; 2]> {
        let rows = *self;
        (0..self.depth / 2).map(move |j| [rows.at(channel, 2 * j), rows.at(channel, 2 * j + 1)])
    }
}

/// Enlarges `scales`, one or one a channel along `axis`, until no pair of weights can leave 16 bits.
pub(super) fn make_room(scales: &mut [f32], w: &[f32], shape: &[usize], axis: usize) {
    let rows = Rows::of(shape, axis);
    let largest = |c: usize| {
        let sums = rows.pairs(c).map(|[a, b]| {
            let (a, b) = (w[a], w[b]);
            (a.max(0.0) + b.max(0.0)).max((-a).max(0.0) + (-b).max(0.0))
        });
        sums.fold(0f32, f32::max)
    };
    let needed: Vec<f32> = (0..rows.channels).into_par_iter().map(|c| largest(c) / BEFORE).collect();
    if let [scale] = scales {
        *scale = needed.iter().fold(*scale, |s, n| s.max(*n));
        return;
    }
    scales.iter_mut().zip(&needed).for_each(|(s, n)| *s = s.max(*n));
}

/// Cuts pairs of integers that leave 16 bits all the same, both by half of what is too much; how many there were.
pub(super) fn cut(q: &mut [i32], shape: &[usize], axis: usize) -> usize {
    let rows = Rows::of(shape, axis);
    let mut count = 0;
    for [a, b] in (0..rows.channels).flat_map(|c| rows.pairs(c)) {
        let (x, y) = (q[a], q[b]);
        let over = (x + y).abs() - MOST;
        if x.signum() == y.signum() && over > 0 {
            // What stays is at most 127 in magnitude, as it was.
            let less = |v: i32, by: i32| v - v.signum() * by.min(v.abs());
            (q[a], q[b]) = (less(x, over.div_euclid(2)), less(y, over - over.div_euclid(2)));
            count += 1;
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn neighbours_are_rows_of_a_matrix_and_input_channels_of_a_kernel() {
        let pairs = |shape: &[usize], axis, c| Rows::of(shape, axis).pairs(c).collect::<Vec<_>>();
        // [inputs 4, channels 3]
        assert_eq!(pairs(&[4, 3], 1, 2), [[2, 5], [8, 11]]);
        // [channels 3, inputs 5]: the last has no neighbour.
        assert_eq!(pairs(&[3, 5], 0, 1), [[5, 6], [7, 8]]);
        // Two channels of a kernel of 3 places: both at the first place, both at the second, …
        assert_eq!(pairs(&[2, 2, 3], 0, 1), [[6, 9], [7, 10], [8, 11]]);
        // Of three channels the last one goes with the first at the next place.
        assert_eq!(pairs(&[1, 3, 2], 0, 0), [[0, 2], [4, 1], [3, 5]]);
    }

    #[test]
    fn scales_grow_where_large_weights_meet() {
        let mut scales = [0.01, 0.01];
        // The second channel's large weights have opposite signs.
        make_room(&mut scales, &[1.27, 0.635, 1.27, -1.2], &[2, 2], 0);
        assert!((scales[0] - 0.015).abs() < 1e-6 && scales[1] == 0.01, "{scales:?}");
        let mut one = [0.01];
        make_room(&mut one, &[1.27, 0.635, 1.27, -1.2], &[2, 2], 0);
        assert!((one[0] - 0.015).abs() < 1e-6);
    }

    #[test]
    fn what_is_too_much_is_cut_in_halves() {
        let mut q = [127, 10, -100, -33, 64, 64, -128, 5];
        assert_eq!(cut(&mut q, &[1, 8], 0), 2);
        assert_eq!(q, [123, 5, -98, -30, 64, 64, -128, 5]);
    }

    proptest! {
        #[test]
        fn rounded_weights_never_leave_16_bits(w in proptest::collection::vec(-1f32..1.0, 36), axis in 0usize..2) {
            let shape = if axis == 0 { vec![2, 6, 3] } else { vec![6, 6] };
            let channels = shape[axis];
            let mut scales = vec![1.0 / 127.0; channels];
            make_room(&mut scales, &w, &shape, axis);
            let channel = |i: usize| if axis == 0 { i / 18 } else { i % 6 };
            let mut q: Vec<i32> = w.iter().enumerate().map(|(i, w)| (w / scales[channel(i)]).round_ties_even() as i32).collect();
            prop_assert_eq!(cut(&mut q, &shape, axis), 0);
            let rows = Rows::of(&shape, axis);
            for [a, b] in (0..channels).flat_map(|c| rows.pairs(c)) {
                for (x, y) in [(255, 255), (255, 0), (0, 255)] {
                    let sum = x * q[a] + y * q[b];
                    prop_assert!((-32768..=32767).contains(&sum), "{}", sum);
                }
            }
        }
    }
}
