//! Quantizing a tensor and back, and how far two tensors are apart.

use crate::ir::Tensor;
use crate::quantize::QParams;
use crate::quantize::params::level;

/// Summed in f32 at most so many at a time.
const RUN: usize = 1024;
const LANES: usize = 8;

/// x ↦ s·(clamp(round(x / s) + z) − z).
pub fn press(values: &[f32], p: &QParams) -> Vec<f32> {
    let (ends, inverse) = (p.ends(), 1.0 / p.scale);
    values.iter().map(|v| level(v * inverse, ends) * p.scale).collect()
}

/// Σ (a − b)².
pub fn squared_distance(a: &[f32], b: &[f32]) -> f64 {
    let run = |a: &[f32], b: &[f32]| {
        let mut lanes = [0f32; LANES];
        for (a, b) in a.chunks(LANES).zip(b.chunks(LANES)) {
            for (lane, (a, b)) in lanes.iter_mut().zip(a.iter().zip(b)) {
                *lane += (a - b) * (a - b);
            }
        }
        f64::from(lanes.iter().sum::<f32>())
    };
    a.chunks(RUN).zip(b.chunks(RUN)).map(|(a, b)| run(a, b)).sum()
}

/// Σ a².
pub fn power(a: &[f32]) -> f64 {
    a.chunks(RUN).map(|a| f64::from(a.iter().map(|a| a * a).sum::<f32>())).sum()
}

/// A tensor pressed through `p`.
pub fn pressed(tensor: &Tensor, p: &QParams) -> Option<Tensor> {
    Some(Tensor::from_vec(tensor.shape(), press(&tensor.to_f32()?, p)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calibrate::Range;
    use crate::quantize::QType;

    #[test]
    fn pressing_is_quantizing_and_dequantizing() {
        for dtype in [QType::U8, QType::S8] {
            let p = QParams::asymmetric(Range::new(-0.7, 3.1), dtype).unwrap();
            let values: Vec<f32> = (-400..400).map(|i| i as f32 * 0.0137).collect();
            for (v, pressed) in values.iter().zip(press(&values, &p)) {
                assert!((pressed - p.dequantize(p.quantize(*v))).abs() < 1e-6, "{v}: {pressed}");
            }
        }
    }

    #[test]
    fn distances_are_sums_of_squares() {
        let (a, b) = (vec![1.0f32; 3001], vec![0.5f32; 3001]);
        assert!((squared_distance(&a, &b) - 750.25).abs() < 1e-6);
        assert!((power(&a) - 3001.0).abs() < 1e-6);
    }
}
