//! Integers for weights: one symmetric scale per output channel, or one for all.
//!
//! ```text
//! s_c = max|w_c| / 127      w_q = round(w / s_c)      b_q = round(b / (s_x·s_c))  in int32
//! ```
//!
//! A channel of tiny weights with a large bias would overflow its int32 bias: there the weight's scale is
//! enlarged until the bias fits (the weights of such a channel matter little beside it).

use rayon::prelude::*;

use super::algorithm::Algorithm;
use super::params::{QParams, QType};
use crate::calibrate::Range;
use crate::ir::Tensor;

/// Largest magnitude of an int32 bias, with room for the products that are added to it.
const MAX_BIAS: f64 = (1u64 << 30) as f64;

/// A quantized weight.
pub struct QuantizedWeight {
    pub values: Tensor,
    /// One element per channel; a scalar for one scale.
    pub scale: Tensor,
    pub zero_point: Tensor,
    pub scales: Vec<f32>,
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
    let (outer, channels, inner) = split(shape, axis);
    let mut largest = vec![0f32; channels];
    for o in 0..outer {
        for (c, large) in largest.iter_mut().enumerate() {
            let run = &w[(o * channels + c) * inner..][..inner];
            *large = run.iter().fold(*large, |m, v| m.max(v.abs()));
        }
    }
    let mut enlarged = 0;
    let scale = |(c, large): (usize, &f32)| {
        let range = Range::new(-large, *large);
        let scale = QParams::symmetric(range, QType::S8).map_or(1.0, |p| p.scale);
        let Some((b, x)) = bias else { return scale };
        let most = if axis.is_some() { b[c].abs() } else { b.iter().fold(0f32, |m, v| m.max(v.abs())) };
        let needed = (f64::from(most) / (f64::from(x) * MAX_BIAS)) as f32;
        if needed > scale {
            enlarged += 1;
            return needed;
        }
        scale
    };
    let scales = largest.iter().enumerate().map(scale).collect();
    (scales, enlarged)
}

/// Quantizes a weight by `scales`, symmetrically: zero stays exactly zero.
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
    values.par_chunks_mut(inner).zip(w.par_chunks(inner)).enumerate().for_each(|(i, (out, run))| {
        let params = QParams { dtype, scale: scales[i % channels], zero_point: zero };
        for (o, q) in out.iter_mut().zip((algorithm.round)(run, &params, kernel)) {
            *o = q as u8;
        }
    });
    let values = match dtype {
        QType::U8 => Tensor::from_vec(shape, values),
        QType::S8 => Tensor::from_vec(shape, bytemuck::cast_vec::<u8, i8>(values)),
    };
    let per = |n: usize| if axis.is_some() { vec![n] } else { vec![] };
    QuantizedWeight {
        values,
        scale: Tensor::from_vec(per(channels), scales.clone()),
        zero_point: dtype.tensor(&per(channels), &vec![zero; channels]),
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
    use super::super::algorithm::ALGORITHMS;
    use super::*;

    #[test]
    fn each_channel_has_its_scale_and_zeros_stay() {
        let w = [1.27f32, 0.0, -0.5, 0.0, 12.7, 6.0];
        let (s, _) = scales(&w, &[2, 3], Some(0), None);
        let q = quantize(&w, &[2, 3], Some(0), s, QType::S8, &ALGORITHMS[0]);
        assert!((q.scales[0] - 0.01).abs() < 1e-6 && (q.scales[1] - 0.1).abs() < 1e-6);
        assert_eq!(q.values.to_i64().unwrap(), [127, 0, -50, 0, 127, 60]);
        let (s, _) = scales(&w, &[2, 3], Some(1), None);
        assert_eq!(s.len(), 3);
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
