//! Keeps the products of neighbouring weights within 16 bits.
//!
//! An x86 processor without VNNI multiplies u8 by s8 in pairs and adds the two products in 16 bits (`vpmaddubsw`, Intel SDM 2B): what is
//! beyond 32767 is lost, and the kernels of ONNX Runtime that are built on it say nothing. With activations up to 255
//!
//! ```text
//! 255·w₁ + 255·w₂ ≤ 32767   for all inputs  ⇔  w₁⁺ + w₂⁺ ≤ 128        and the same of the negative parts
//!
//! s_c = argmin Σ (w − s·q)²        q rounded, then cut in halves where a pair is beyond
//! max|w_c| / 127 ≤ s_c ≤ max over pairs (w₁⁺ + w₂⁺, w₁⁻ + w₂⁻) / 127
//! ```
//!
//! Large weights seldom are neighbours: either a few are cut or the scale grows by a few percent to a third, where weights of 7 bits
//! (`reduce_range`) would double every one. GPTQ cuts a level when it chooses it, and those after it make up for that; other rules are cut afterwards.
//!
//! Neighbours, as ONNX Runtime 1.32 packs them: rows 2j and 2j+1 of a matrix; in a convolution elements 2j and 2j+1 of a group's kernel, input
//! channels innermost. Convolutions of one channel a group and as many outputs have kernels of 32 bits: nothing to keep. So made, the files of the
//! real models give the same bits on an emulated Haswell (`qemu-x86_64 -cpu Haswell`) as with VNNI; ResNet-20 without this: 9.6 dB.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rayon::prelude::*;

use super::plan::{Decision, QuantPlan};
use super::{QParams, QType, Switch};
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
    let y = Shaped::new(runtime::find(runtime).ok()?, &model.ok()?, &[]).run(&[x]).ok()?;
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
/// The same before rounding, which may add one.
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

/// Scales that are tried between the one that was given and the one with which no pair is cut.
const STEPS: i32 = 12;

/// Enlarges `scales`, one or one a channel along `axis`, as far as rounding and cutting pairs together err least.
pub(super) fn make_room(scales: &mut [f32], w: &[f32], shape: &[usize], axis: usize) {
    let rows = Rows::of(shape, axis);
    let all: Vec<usize> = (0..rows.channels).collect();
    let channels = |i: usize| if scales.len() == 1 { &all[..] } else { &all[i..=i] };
    let best: Vec<f32> = (0..scales.len()).into_par_iter().map(|i| rows.best(scales[i], w, channels(i))).collect();
    scales.copy_from_slice(&best);
}

impl Rows {
    /// The scale of these channels, from `least` on, with which their weights err least.
    fn best(&self, least: f32, w: &[f32], channels: &[usize]) -> f32 {
        // Side by side: they are gone through once for each scale.
        let pairs: Vec<[f32; 2]> = channels.iter().flat_map(|c| self.pairs(*c)).map(|at| at.map(|i| w[i])).collect();
        let sum = |[a, b]: &[f32; 2]| (a.max(0.0) + b.max(0.0)).max((-a).max(0.0) + (-b).max(0.0));
        let growth = pairs.iter().map(sum).fold(0f32, f32::max) / BEFORE / least;
        if growth.is_nan() || growth <= 1.0 {
            return least;
        }
        let odd = channels.iter().filter(|_| self.depth % 2 == 1).map(|c| w[self.at(*c, self.depth - 1)]);
        let singles: Vec<f32> = odd.collect();
        let error = |scale: f32| error(scale, &pairs, &singles);
        let tried = (0..=STEPS).map(|i| least * growth.powf(i as f32 / STEPS as f32));
        tried.map(|s| (error(s), s)).min_by(|a, b| a.0.total_cmp(&b.0)).map_or(least, |(_, s)| s)
    }
}

/// Squared error after rounding and cutting.
fn error(scale: f32, pairs: &[[f32; 2]], singles: &[f32]) -> f64 {
    let p = QParams { dtype: QType::S8, scale, zero_point: 0 };
    let off = |q: i32, w: f32| f64::from(p.dequantize(q) - w).powi(2);
    let pair = |[a, b]: &[f32; 2]| {
        let (x, y) = within(p.quantize(*a), p.quantize(*b));
        off(x, *a) + off(y, *b)
    };
    pairs.iter().map(pair).sum::<f64>() + singles.iter().map(|w| off(p.quantize(*w), *w)).sum::<f64>()
}

/// Two neighbours cut, both by half of what is too much, where they leave 16 bits.
fn within(x: i32, y: i32) -> (i32, i32) {
    let over = (x + y).abs() - MOST;
    if x.signum() != y.signum() || over <= 0 {
        return (x, y);
    }
    // What stays is at most 127 in magnitude, as it was.
    let less = |v: i32, by: i32| v - v.signum() * by.min(v.abs());
    (less(x, over.div_euclid(2)), less(y, over - over.div_euclid(2)))
}

/// What a weight may be beside its neighbour, that of each place in a channel's kernel as it is stored; none where it has none.
pub(super) struct Beside(Vec<Option<usize>>);

impl Beside {
    /// Of a weight of this shape with its channels along `axis`.
    pub fn of(shape: &[usize], axis: usize) -> Beside {
        let rows = Rows::of(shape, axis);
        let places = rows.depth / rows.inputs.max(1);
        // Places as they are stored: inputs outermost.
        let stored = |k: usize| (k % rows.inputs) * places + k / rows.inputs;
        let mut beside = vec![None; rows.depth];
        for j in 0..rows.depth / 2 {
            let [a, b] = [stored(2 * j), stored(2 * j + 1)];
            (beside[a], beside[b]) = (Some(b), Some(a));
        }
        Beside(beside)
    }

    /// `q` at place `k`, cut to what fits beside its neighbour; one that is not decided yet is zero.
    pub fn cut(&self, q: i32, k: usize, levels: &[i32]) -> i32 {
        let Some(neighbour) = self.0.get(k).copied().flatten().map(|n| levels[n]) else { return q };
        let most = |same: i32| MOST - same.max(0);
        q.clamp(-most(-neighbour), most(neighbour))
    }
}

/// Cuts pairs of integers that leave 16 bits all the same, both by half of what is too much; how many there were.
pub(super) fn cut(q: &mut [i32], shape: &[usize], axis: usize) -> usize {
    let rows = Rows::of(shape, axis);
    let mut count = 0;
    for [a, b] in (0..rows.channels).flat_map(|c| rows.pairs(c)) {
        let cut = within(q[a], q[b]);
        count += usize::from(cut != (q[a], q[b]));
        (q[a], q[b]) = cut;
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
    fn one_pair_is_cut_where_many_weights_would_be_rounded_worse() {
        // 126 + 8 is 6 too much; eight thousand weights lie between the levels of any scale.
        let mut w: Vec<f32> = (0..8000).map(|i| 0.01 * (i % 40) as f32 * 1.037 - 0.2).collect();
        w.extend([1.26, 0.08]);
        let shape = [1, w.len()];
        let mut scales = [0.01];
        make_room(&mut scales, &w, &shape, 0);
        assert!((0.01..0.0102).contains(&scales[0]), "{scales:?}");
        let pairs: Vec<[f32; 2]> = w.chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        let error = |scale: f32| error(scale, &pairs, &[]);
        assert!(error(scales[0]) < 0.95 * error(0.01 * 134.0 / 127.0), "{}", error(scales[0]));
    }

    #[test]
    fn a_level_is_cut_to_what_its_neighbour_leaves() {
        // Two channels of a kernel of 3 places: inputs 0 and 1 at one place are neighbours.
        let beside = Beside::of(&[2, 2, 3], 0);
        let mut levels = [0; 6];
        levels[1] = 100;
        assert_eq!([127, -127, 20].map(|q| beside.cut(q, 4, &levels)), [28, -127, 20]);
        levels[1] = -100;
        assert_eq!([127, -127, -20].map(|q| beside.cut(q, 4, &levels)), [127, -28, -20]);
        // The last of three rows has none.
        assert_eq!(Beside::of(&[3, 1], 1).cut(127, 2, &[127, 127, 0]), 127);
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
            cut(&mut q, &shape, axis);
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
