//! Integers of 8 bits for weights: one symmetric scale per output channel, or one for all. Fewer bits and blocks: [`super::grouped`].
//!
//! ```text
//! s_c = max|w_c| / 127      w_q = round(w / s_c)      b_q = round(b / (s_x·s_c))  in int32
//! ```
//!
//! Static forms give channels of few weights the scale that rounds them best instead ([`super::algorithm`]).
//!
//! A channel of tiny weights with a large bias would overflow its int32 bias: there the weight's scale is
//! enlarged until the bias fits (the weights of such a channel matter little beside it).

use rayon::prelude::*;

use super::algorithm::Algorithm;
use super::params::{QParams, QType};
use super::plan::{Rounded, WeightPlan};
use crate::calibrate::Range;
use crate::ir::Tensor;

/// Largest magnitude of an int32 bias, with room for the products that are added to it.
const MAX_BIAS: f64 = (1u64 << 30) as f64;

/// A quantized weight.
pub struct QuantizedWeight {
    pub values: Tensor,
    /// One element per channel; a scalar for one scale.
    pub scale: Tensor,
    /// Left out where zero is zero and blocks would store many.
    pub zero_point: Option<Tensor>,
    pub scales: Vec<f32>,
}

impl QuantizedWeight {
    /// Of the integers and the parameters of each group.
    pub(super) fn of(plan: &WeightPlan, shape: &[usize], values: &[i32], params: &[QParams]) -> Self {
        Self::made(plan, plan.dtype.tensor(shape, values), params)
    }

    /// A weight that was rounded already.
    pub(super) fn rounded(rounded: &Rounded, plan: &WeightPlan) -> Self {
        Self::made(plan, rounded.values.clone(), &rounded.params)
    }

    fn made(plan: &WeightPlan, values: Tensor, params: &[QParams]) -> Self {
        let shape = plan.sharing().scale_shape(values.shape());
        let scales: Vec<f32> = params.iter().map(|p| p.scale).collect();
        let zeros: Vec<i32> = params.iter().map(|p| p.zero_point).collect();
        let plain = plan.is_grouped() && zeros.iter().all(|z| *z == 0);
        QuantizedWeight {
            scale: Tensor::from_vec(shape.clone(), scales.clone()),
            zero_point: (!plain).then(|| plan.dtype.tensor(&shape, &zeros)),
            values,
            scales,
        }
    }
}

/// Outer size, channels and inner size of a shape around `axis`; everything is one channel without.
fn split(shape: &[usize], axis: Option<usize>) -> (usize, usize, usize) {
    match axis {
        Some(a) => (shape[..a].iter().product(), shape[a], shape[a + 1..].iter().product()),
        None => (1, 1, shape.iter().product()),
    }
}

/// The scales of a weight. `bias` and the input's scale, where there is an int32 bias to fit.
pub fn scales(w: &[f32], shape: &[usize], axis: Option<usize>, bias: Option<(&[f32], f32)>) -> (Vec<f32>, usize) {
    let (_, channels, inner) = split(shape, axis);
    let largest = largest(w, channels, inner);
    let mut enlarged = 0;
    let scale = |(c, large): (usize, &f32)| {
        let range = Range::new(-large, *large);
        let scale = QParams::symmetric(range, QType::S8).map_or(1.0, |p| p.scale);
        let Some((b, x)) = bias else { return scale };
        let most = if axis.is_some() { b[c].abs() } else { b.iter().fold(0f32, |m, v| m.max(v.abs())) };
        let needed = room(most, x) as f32;
        if needed > scale {
            enlarged += 1;
            return needed;
        }
        scale
    };
    let scales = largest.iter().enumerate().map(scale).collect();
    (scales, enlarged)
}

/// Enlarges scales until a bias, given with the input's scale, fits.
pub(super) fn make_room(params: &mut [QParams], (bias, input): (&[f32], f32)) {
    let all = params.len();
    for (c, b) in bias.iter().enumerate() {
        let p = &mut params[if all == bias.len() { c } else { 0 }];
        p.scale = p.scale.max(room(b.abs(), input) as f32);
    }
}

/// The weight's scale below which a bias of this magnitude overflows, beside the input's scale.
fn room(bias: f32, input: f32) -> f64 {
    f64::from(bias) / (f64::from(input) * MAX_BIAS)
}

/// Whether the scales of `params` leave room for a bias, given with the input's scale.
pub(super) fn fits(params: &[QParams], (bias, input): (&[f32], f32)) -> bool {
    let scale = |c: usize| f64::from(params.get(c).or(params.first()).map_or(0.0, |p| p.scale));
    bias.iter().enumerate().all(|(c, b)| scale(c) >= room(b.abs(), input))
}

/// Makes each scale the one that rounds its channel best, where the channel is small enough to gain and its bias leaves room.
pub fn fit_scales(
    scales: &mut [f32],
    w: &[f32],
    shape: &[usize],
    plan: &WeightPlan,
    bias: Option<(&[f32], f32)>,
    algorithm: &Algorithm,
) {
    let (outer, channels, inner) = split(shape, plan.axis);
    let kernel = shape.get(2..).map_or(1, |k| k.iter().product());
    if plan.axis.is_none() || outer * inner > FITTED {
        return;
    }
    scales.par_iter_mut().enumerate().for_each(|(c, scale)| {
        let needed = bias.map_or(0.0, |(b, x)| room(b[c].abs(), x));
        if f64::from(*scale) < 2.0 * needed {
            return;
        }
        let runs = (0..outer).flat_map(|o| &w[(o * channels + c) * inner..][..inner]);
        let params = QParams { dtype: plan.dtype, scale: *scale, zero_point: plan.dtype.middle() };
        *scale = super::algorithm::scale::best(&runs.copied().collect::<Vec<_>>(), &params, kernel, algorithm);
    });
}

/// Channels of more weights have nothing to gain from another scale.
const FITTED: usize = 64;

/// Weights that one task looks at, at least.
const TASK: usize = 1 << 16;

/// Largest magnitude of each channel.
fn largest(w: &[f32], channels: usize, inner: usize) -> Vec<f32> {
    let row = (channels * inner).max(1);
    let rows = TASK.div_ceil(row);
    let of_rows = |rows: &[f32]| {
        let mut largest = vec![0f32; channels];
        for row in rows.chunks(row) {
            if inner == 1 {
                largest.iter_mut().zip(row).for_each(|(m, v)| *m = larger(*m, v.abs()));
            } else {
                largest.iter_mut().zip(row.chunks(inner)).for_each(|(m, run)| *m = larger(*m, magnitude(run)));
            }
        }
        largest
    };
    let both = |mut a: Vec<f32>, b: Vec<f32>| {
        a.iter_mut().zip(&b).for_each(|(m, v)| *m = larger(*m, *v));
        a
    };
    if w.len() > rows * row {
        w.par_chunks(rows * row).map(of_rows).reduce(|| vec![0f32; channels], both)
    } else if inner >= TASK {
        // One row of many weights: a task a channel.
        w.par_chunks(inner).map(magnitude).collect()
    } else {
        of_rows(w)
    }
}

fn larger(a: f32, b: f32) -> f32 {
    if b > a { b } else { a }
}

/// Largest magnitude, in as many running maxima as fill vector registers.
fn magnitude(run: &[f32]) -> f32 {
    let mut lanes = [0f32; 16];
    let (blocks, rest) = run.as_chunks::<16>();
    for block in blocks {
        lanes.iter_mut().zip(block).for_each(|(m, v)| *m = larger(*m, v.abs()));
    }
    lanes.iter().chain(rest).fold(0.0, |m, v| larger(m, v.abs()))
}

/// Quantizes a weight to 8 bits by `scales`, symmetrically: zero stays exactly zero.
pub fn quantize(
    w: &[f32],
    shape: &[usize],
    axis: Option<usize>,
    scales: Vec<f32>,
    dtype: QType,
    algorithm: &Algorithm,
) -> QuantizedWeight {
    let (_, channels, inner) = split(shape, axis);
    let zero = dtype.middle();
    let kernel = shape.get(2..).map_or(1, |k| k.iter().product());
    let mut values = vec![0u8; w.len()];
    let inner = inner.max(1);
    // Bits of an i8 and of a u8 are written alike.
    if inner == 1 {
        // Neighbours belong to different channels: no rule has more than one weight to look at.
        let rows = channels * TASK.div_ceil(channels.max(1));
        values.par_chunks_mut(rows).zip(w.par_chunks(rows)).for_each(|(out, w)| {
            for (out, w) in out.chunks_mut(channels).zip(w.chunks(channels)) {
                for ((o, w), scale) in out.iter_mut().zip(w).zip(&scales) {
                    *o = QParams { dtype, scale: *scale, zero_point: zero }.quantize(*w) as u8;
                }
            }
        });
    } else {
        let runs = values.par_chunks_mut(inner).zip(w.par_chunks(inner)).enumerate();
        runs.with_min_len(TASK.div_ceil(inner)).for_each(|(i, (out, run))| {
            let params = QParams { dtype, scale: scales[i % channels], zero_point: zero };
            for (o, q) in out.iter_mut().zip((algorithm.round)(run, &params, kernel)) {
                *o = q as u8;
            }
        });
    }
    let values = match zero {
        0 => Tensor::from_vec(shape, bytemuck::cast_vec::<u8, i8>(values)),
        _ => Tensor::from_vec(shape, values),
    };
    let shape = if axis.is_some() { vec![scales.len()] } else { vec![] };
    QuantizedWeight {
        values,
        scale: Tensor::from_vec(shape.clone(), scales.clone()),
        zero_point: Some(dtype.tensor(&shape, &vec![zero; scales.len()])),
        scales,
    }
}

/// The int32 bias in units of `input scale × weight scale`.
pub fn bias(b: &[f32], input_scale: f32, scales: &[f32]) -> (Tensor, Tensor) {
    let unit: Vec<f32> = (0..b.len()).map(|i| input_scale * scales[if scales.len() == 1 { 0 } else { i }]).collect();
    let q: Vec<i32> = b.iter().zip(&unit).map(|(b, s)| (f64::from(*b) / f64::from(*s)).round() as i32).collect();
    let unit = if scales.len() == 1 { Tensor::scalar(unit[0]) } else { Tensor::from_vec([unit.len()], unit) };
    (Tensor::from_vec([q.len()], q), unit)
}

#[cfg(test)]
mod tests {
    use super::super::algorithm;
    use super::*;

    #[test]
    fn each_channel_has_its_scale_and_zeros_stay() {
        let w = [1.27f32, 0.0, -0.5, 0.0, 12.7, 6.0];
        let (s, _) = scales(&w, &[2, 3], Some(0), None);
        let q = quantize(&w, &[2, 3], Some(0), s, QType::S8, algorithm::default());
        assert!((q.scales[0] - 0.01).abs() < 1e-6 && (q.scales[1] - 0.1).abs() < 1e-6);
        assert_eq!(q.values.to_i64().unwrap(), [127, 0, -50, 0, 127, 60]);
        let (s, _) = scales(&w, &[2, 3], Some(1), None);
        assert_eq!(s.len(), 3);
    }

    #[test]
    fn large_weights_in_tasks_are_quantized_as_one_by_one() {
        for (shape, axis) in [([700, 300], 1), ([700, 300], 0), ([3, 70_000], 0), ([70_000, 3], 1)] {
            let w: Vec<f32> = (0..210_000).map(|i| ((i * 7919) % 10_007) as f32 / 5000.0 - 1.0).collect();
            let channel = |i: usize| if axis == 0 { i / shape[1] } else { i % shape[1] };
            let mut largest = vec![0f32; shape[axis]];
            w.iter().enumerate().for_each(|(i, v)| largest[channel(i)] = largest[channel(i)].max(v.abs()));
            let (s, _) = scales(&w, &shape, Some(axis), None);
            assert!(s.iter().zip(&largest).all(|(s, m)| (s - m / 127.0).abs() < 1e-7), "{shape:?} {axis}");
            let rounding = crate::quantize::algorithm::NEAREST;
            let q = quantize(&w, &shape, Some(axis), s.clone(), QType::S8, rounding).values.to_i64().unwrap();
            let nearest = |i: usize| (w[i] / s[channel(i)]).round_ties_even() as i64;
            assert!((0..w.len()).all(|i| q[i] == nearest(i)), "{shape:?} {axis}");
        }
    }

    #[test]
    fn a_bias_that_would_overflow_enlarges_the_scale() {
        let w = [1e-12f32, 1.0];
        let (s, enlarged) = scales(&w, &[2, 1], Some(0), Some((&[5.0, 5.0], 0.1)));
        assert_eq!(enlarged, 1);
        let (q, _) = bias(&[5.0, 5.0], 0.1, &s);
        let q = q.to_i64().unwrap();
        assert!((q[0] - (1 << 30)).abs() <= 64 && q[1] > 0, "{q:?}");
    }
}
