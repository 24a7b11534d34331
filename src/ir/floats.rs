//! Numbers rounded to the float dtypes of 16 bits and more: the way back of [`Tensor::to_f64`].

use half::{bf16, f16};

use super::{DType, Tensor};

impl Tensor {
    /// `values` rounded to nearest in `dtype`, those too large to infinity; `None` where that is no float of 16 bits or more, or the
    /// values do not fill `shape`.
    pub fn from_floats(
        dtype: DType,
        shape: impl Into<Vec<usize>>,
        values: impl Iterator<Item = f64>,
    ) -> Option<Tensor> {
        let bytes: Vec<u8> = match dtype {
            DType::F64 => values.flat_map(f64::to_le_bytes).collect(),
            DType::F32 => values.flat_map(|v| (v as f32).to_le_bytes()).collect(),
            DType::F16 => values.flat_map(|v| f16::from_f64(v).to_le_bytes()).collect(),
            DType::BF16 => values.flat_map(|v| bf16::from_f64(v).to_le_bytes()).collect(),
            _ => return None,
        };
        Tensor::from_bytes(dtype, shape, bytes).ok()
    }

    /// The same numbers in another type of floats, rounded to it; `None` as [`Tensor::from_floats`], or where it holds no numbers.
    pub fn as_floats(&self, dtype: DType) -> Option<Tensor> {
        self.as_floats_of(dtype, |v| v)
    }

    /// As [`Tensor::as_floats`], but a number that is too large for float16 becomes the largest there is.
    pub fn saturated(&self, dtype: DType) -> Option<Tensor> {
        let most = f64::from(f16::MAX);
        let fits = |v: f64| v.is_infinite() || dtype != DType::F16;
        self.as_floats_of(dtype, |v| if fits(v) { v } else { v.clamp(-most, most) })
    }

    fn as_floats_of(&self, dtype: DType, of: impl Fn(f64) -> f64) -> Option<Tensor> {
        if self.dtype() == dtype {
            return Some(self.clone());
        }
        let mut floats = Tensor::from_floats(dtype, self.shape(), self.to_f64()?.into_iter().map(of))?;
        (floats.storage, floats.name, floats.doc) = (self.storage.clone(), self.name.clone(), self.doc.clone());
        Some(floats)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_once_and_come_back() {
        let of = |dtype| Tensor::from_floats(dtype, [3], [0.1, -2.0, 1e6].into_iter()).map(|t| t.to_f64().unwrap());
        assert_eq!(of(DType::F64).unwrap(), [0.1, -2.0, 1e6]);
        assert_eq!(of(DType::F32).unwrap(), [f64::from(0.1f32), -2.0, 1e6]);
        assert_eq!(of(DType::F16).unwrap(), [0.099_975_585_937_5, -2.0, f64::INFINITY]);
        assert_eq!(of(DType::BF16).unwrap(), [0.100_097_656_25, -2.0, 999_424.0]);
        assert!(of(DType::I8).is_none());
        let large = Tensor::from_vec([3], vec![1e6f32, -1e6, f32::INFINITY]).saturated(DType::F16);
        assert_eq!(large.unwrap().to_f64().unwrap(), [65504.0, -65504.0, f64::INFINITY]);
        assert!(Tensor::from_floats(DType::F32, [2], [1.0].into_iter()).is_none());
    }
}
