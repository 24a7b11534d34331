//! Scale and zero point: the affine map between real numbers and integers of 2 to 16 bits.
//!
//! ```text
//! q = clamp(round(x / s) + z, q_min, q_max)        x' = s·(q − z)
//! ```
//!
//! Rounding is half to even, as ONNX's QuantizeLinear. Every range is widened to hold zero, so that zero is exact
//! (padding, Relu and pruned weights rely on it), and inside the range |x − x'| ≤ s/2.
//!
//! Refuses ranges that are not finite. A range of width zero gets scale 1: all its values are zero.

use half::f16;
use schemars::JsonSchema;
use serde::Serialize;

use crate::calibrate::Range;
use crate::ir::{DType, Tensor};

/// Q/DQ per axis is of this opset; what else is written for 8 bits is older.
pub(super) const PER_AXIS_OPSET: i64 = 13;
/// The first opset with integers of 4 and 16 bits and with blocks in Q/DQ.
pub(super) const NARROW_OPSET: i64 = 21;
/// The first opset with integers of 2 bits.
const TWO_BITS_OPSET: i64 = 25;

/// An integer type that values are quantized to; `u` from zero on, `s` around zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum QType {
    /// 0 … 65535.
    U16,
    /// −32768 … 32767.
    S16,
    /// 0 … 255.
    U8,
    /// −128 … 127.
    S8,
    /// 0 … 15.
    U4,
    /// −8 … 7.
    S4,
    /// The middle eight levels of s4, or the lower ones of u4, as which it is stored.
    U3,
    /// The middle eight levels of s4: −4 … 3.
    S3,
    /// 0 … 3.
    U2,
    /// −2 … 1.
    S2,
}

impl QType {
    /// Bits of one integer.
    pub fn bits(self) -> u32 {
        match self {
            QType::U16 | QType::S16 => 16,
            QType::U8 | QType::S8 => 8,
            QType::U4 | QType::S4 => 4,
            QType::U3 | QType::S3 => 3,
            QType::U2 | QType::S2 => 2,
        }
    }

    fn is_signed(self) -> bool {
        matches!(self, QType::S16 | QType::S8 | QType::S4 | QType::S3 | QType::S2)
    }

    /// Whether its levels are so few that scales are searched, not taken from the largest value.
    pub fn is_narrow(self) -> bool {
        self.bits() < 8
    }

    /// Whether a weight of this type has a zero point of its own for each scale. Integer kernels want 128 of u8.
    pub fn is_asymmetric(self) -> bool {
        self.is_narrow() && !self.is_signed()
    }

    /// The lowest level.
    pub fn min(self) -> i32 {
        if self.is_signed() { -(1 << (self.bits() - 1)) } else { 0 }
    }

    /// The highest level.
    pub fn max(self) -> i32 {
        self.min() + (1 << self.bits()) - 1
    }

    /// The zero point of a symmetric scale.
    pub fn middle(self) -> i32 {
        if self.is_signed() { 0 } else { 1 << (self.bits() - 1) }
    }

    /// As `s8`.
    pub fn name(self) -> &'static str {
        match self {
            QType::U16 => "u16",
            QType::S16 => "s16",
            QType::U8 => "u8",
            QType::S8 => "s8",
            QType::U4 => "u4",
            QType::S4 => "s4",
            QType::U3 => "u3",
            QType::S3 => "s3",
            QType::U2 => "u2",
            QType::S2 => "s2",
        }
    }

    /// The type that it is stored in.
    pub fn dtype(self) -> DType {
        match self {
            QType::U16 => DType::U16,
            QType::S16 => DType::I16,
            QType::U8 => DType::U8,
            QType::S8 => DType::I8,
            QType::U4 | QType::U3 => DType::U4,
            QType::S4 | QType::S3 => DType::I4,
            QType::U2 => DType::U2,
            QType::S2 => DType::I2,
        }
    }

    /// The first opset whose DequantizeLinear reads it, per channel.
    pub fn opset(self) -> i64 {
        match self.dtype() {
            DType::U8 | DType::I8 => PER_AXIS_OPSET,
            DType::U2 | DType::I2 => TWO_BITS_OPSET,
            _ => NARROW_OPSET,
        }
    }

    /// The type of 8 bits with its levels among others.
    pub fn wide(self) -> QType {
        match self.is_narrow() {
            true if self.is_signed() => QType::S8,
            true => QType::U8,
            false => self,
        }
    }

    /// Integers of this type, given wider; each is clamped. Types below a byte are packed, low bits first.
    pub(super) fn tensor(self, shape: &[usize], values: &[i32]) -> Tensor {
        let clamped = values.iter().map(|v| (*v).clamp(self.min(), self.max()));
        match self.dtype() {
            DType::U16 => Tensor::from_vec(shape, clamped.map(|v| v as u16).collect()),
            DType::I16 => Tensor::from_vec(shape, clamped.map(|v| v as i16).collect()),
            DType::U8 => Tensor::from_vec(shape, clamped.map(|v| v as u8).collect()),
            DType::I8 => Tensor::from_vec(shape, clamped.map(|v| v as i8).collect()),
            narrow => Tensor::packed(narrow, shape, clamped),
        }
    }
}

/// The quantization of one tensor by one scale.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct QParams {
    /// The type of the integers.
    pub dtype: QType,
    /// Real size of one step; positive and finite.
    pub scale: f32,
    /// The integer that stands for zero.
    pub zero_point: i32,
}

impl QParams {
    /// The map that spends all levels on `range`, widened to hold zero.
    pub fn asymmetric(range: Range, dtype: QType) -> Result<Self, String> {
        let (min, max) = finite(range)?;
        let width = max - min;
        let (q_min, q_max) = (f64::from(dtype.min()), f64::from(dtype.max()));
        let Some(scale) = usable(width / (q_max - q_min)) else {
            return Ok(QParams { dtype, scale: 1.0, zero_point: if min < 0.0 { dtype.max() } else { dtype.min() } });
        };
        let zero_point = (q_min - min / f64::from(scale)).round_ties_even().clamp(q_min, q_max) as i32;
        Ok(QParams { dtype, scale, zero_point })
    }

    /// The map with zero in the middle (0 of s8, 128 of u8) and as many levels to each side (127).
    pub fn symmetric(range: Range, dtype: QType) -> Result<Self, String> {
        let (min, max) = finite(range)?;
        let scale = usable(max.max(-min) / f64::from(dtype.max() - dtype.middle())).unwrap_or(1.0);
        Ok(QParams { dtype, scale, zero_point: dtype.middle() })
    }

    /// The level nearest to `x`, the outermost ones for what lies beyond them.
    #[inline]
    pub fn quantize(&self, x: f32) -> i32 {
        let level = lifted(x / self.scale, self.ends());
        level.to_bits() as i32 - TO_INTEGER.to_bits() as i32 + self.zero_point
    }

    /// The levels at both ends, counted from that of zero.
    #[inline]
    pub(super) fn ends(&self) -> (f32, f32) {
        ((self.dtype.min() - self.zero_point) as f32, (self.dtype.max() - self.zero_point) as f32)
    }

    /// The number that a level stands for.
    pub fn dequantize(&self, q: i32) -> f32 {
        (q - self.zero_point) as f32 * self.scale
    }

    /// What the levels cover.
    pub fn range(&self) -> Range {
        Range::new(self.dequantize(self.dtype.min()), self.dequantize(self.dtype.max()))
    }

    /// Whether clamping to `[low, high]` before quantizing changes nothing, the levels ending there anyway.
    pub fn implies_clamp(&self, low: f32, high: f32) -> bool {
        self.quantize(low) == self.dtype.min() && self.quantize(high) == self.dtype.max()
    }
}

/// 1.5·2²³, whose neighbours are one apart: adding it rounds half to even, vector work on every processor.
const TO_INTEGER: f32 = 12_582_912.0;

/// The level nearest to `y` between whole `ends`, [`TO_INTEGER`] too large.
#[inline]
fn lifted(y: f32, (low, high): (f32, f32)) -> f32 {
    // The ends are whole, so clamping first gives the same; NaN becomes the lower one.
    let y = if y > low { y } else { low };
    let y = if y < high { y } else { high };
    y + TO_INTEGER
}

/// The level nearest to `y` between whole `ends`, half to even.
#[inline]
pub(super) fn level(y: f32, ends: (f32, f32)) -> f32 {
    lifted(y, ends) - TO_INTEGER
}

fn finite(range: Range) -> Result<(f64, f64), String> {
    if !range.min.is_finite() || !range.max.is_finite() || range.min > range.max {
        return Err(format!("its range [{}, {}] is not finite", range.min, range.max));
    }
    let range = range.with_zero();
    Ok((f64::from(range.min), f64::from(range.max)))
}

/// A scale that f32 can hold as a normal number; `None` where the range is (as good as) zero wide.
fn usable(scale: f64) -> Option<f32> {
    let scale = scale as f32;
    scale.is_normal().then_some(scale)
}

/// A scale as floats of this type hold it: what is rounded by it is rounded by no other.
pub(super) fn storable(scale: f32, floats: DType) -> f32 {
    match floats {
        DType::F16 => f16::from_f32(scale).max(f16::MIN_POSITIVE_SUBNORMAL).to_f32(),
        _ => scale,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_relu6_range_uses_every_level_and_implies_the_clamp() {
        let p = QParams::asymmetric(Range::new(0.0, 6.0), QType::U8).unwrap();
        assert_eq!((p.zero_point, p.quantize(6.0), p.quantize(-1.0)), (0, 255, 0));
        assert!((p.scale - 0.0235294).abs() < 1e-7);
        assert!(p.implies_clamp(0.0, 6.0) && p.implies_clamp(0.0, f32::INFINITY) && !p.implies_clamp(0.0, 5.9));
        let s = QParams::asymmetric(Range::new(-1.0, 6.0), QType::U8).unwrap();
        assert!(!s.implies_clamp(0.0, 6.0));
    }

    #[test]
    fn degenerate_ranges() {
        let zero = QParams::asymmetric(Range::new(0.0, 0.0), QType::U8).unwrap();
        assert_eq!((zero.scale, zero.zero_point, zero.dequantize(zero.quantize(0.0))), (1.0, 0, 0.0));
        let constant = QParams::asymmetric(Range::new(3.0, 3.0), QType::S8).unwrap();
        assert!((constant.dequantize(constant.quantize(3.0)) - 3.0).abs() < 1e-6);
        assert!(QParams::asymmetric(Range::new(f32::NAN, 1.0), QType::U8).is_err());
        assert!(QParams::symmetric(Range::new(0.0, f32::INFINITY), QType::U8).is_err());
        let tiny = QParams::asymmetric(Range::new(0.0, 1e-44), QType::U8).unwrap();
        assert_eq!(tiny.scale, 1.0);
        let huge = QParams::asymmetric(Range::new(f32::MIN, f32::MAX), QType::U8).unwrap();
        assert!(huge.scale.is_finite() && huge.dequantize(255).is_finite());
    }

    #[test]
    fn halves_round_to_even_and_what_is_no_number_stays_inside() {
        let p = QParams { dtype: QType::S8, scale: 1.0, zero_point: 0 };
        let q =
            [0.5, 1.5, 2.5, -0.5, -1.5, 126.5, 1e30, f32::INFINITY, f32::NEG_INFINITY, f32::NAN].map(|x| p.quantize(x));
        assert_eq!(q, [0, 2, 2, 0, -2, 126, 127, 127, -128, -128]);
        let p = QParams { dtype: QType::U8, scale: 0.5, zero_point: 3 };
        assert_eq!([0.25, 0.75, -1.5, -9.0, 125.9, 126.1].map(|x| p.quantize(x)), [3, 5, 0, 0, 255, 255]);
    }

    #[test]
    fn narrow_types_have_their_levels_and_are_packed() {
        for (dtype, levels) in [(QType::S4, (-8, 7)), (QType::U4, (0, 15)), (QType::S3, (-4, 3)), (QType::U2, (0, 3))] {
            assert_eq!((dtype.min(), dtype.max()), levels);
            let values: Vec<i32> = (0..5).map(|i| levels.0 + i).collect();
            let tensor = dtype.tensor(&[5], &values);
            assert_eq!(tensor.byte_len(), if dtype.bits() == 2 { 2 } else { 3 });
            let clamped: Vec<i64> = values.iter().map(|v| i64::from((*v).min(levels.1))).collect();
            assert_eq!(tensor.to_i64().unwrap(), clamped, "{}", dtype.name());
        }
        assert_eq!(QParams::symmetric(Range::new(-0.7, 0.3), QType::S4).unwrap().scale, 0.1);
        assert_eq!(QParams::asymmetric(Range::new(-0.5, 1.0), QType::U4).unwrap().zero_point, 5);
        assert_eq!(QParams::symmetric(Range::new(-3.2767, 3.0), QType::S16).unwrap().quantize(1.0), 10_000);
    }

    #[test]
    fn symmetric_is_centred() {
        let p = QParams::symmetric(Range::new(-0.5, 2.54), QType::U8).unwrap();
        assert_eq!((p.zero_point, p.quantize(2.54), p.quantize(-2.54), p.quantize(-9.0)), (128, 255, 1, 0));
        assert_eq!(QParams::symmetric(Range::new(-0.5, 2.54), QType::S8).unwrap().zero_point, 0);
    }

    proptest! {
        #[test]
        fn error_is_at_most_half_a_step_and_zero_is_exact(
            a in -1e6f32..1e6, b in -1e6f32..1e6, t in 0f32..=1.0, symmetric: bool, signed: bool,
        ) {
            let dtype = if signed { QType::S8 } else { QType::U8 };
            let range = Range::new(a.min(b), a.max(b)).with_zero();
            let make = if symmetric { QParams::symmetric } else { QParams::asymmetric };
            let p = make(range, dtype).unwrap();
            prop_assert_eq!(p.dequantize(p.quantize(0.0)), 0.0);
            let x = range.min + (range.max - range.min) * t;
            let error = (f64::from(x) - f64::from(p.dequantize(p.quantize(x)))).abs();
            prop_assert!(error <= f64::from(p.scale) * 0.50001, "{} off by {} with step {}", x, error, p.scale);
            prop_assert!((dtype.min()..=dtype.max()).contains(&p.zero_point));
        }
    }
}
