//! From the numbers a file holds to the type the model declares, refusing what would change a value's meaning.
//!
//! Floats narrow and widen by rounding; whole numbers go to any type that holds them (u8 pixels to float, int32 ids to
//! int64, 1.0 to 1). NaN and infinities are refused, also those that narrowing makes, and named with their sample.

use std::borrow::Cow;
use std::path::Path;

use super::array::type_name;
use crate::error::{Error, Result};
use crate::ir::{DType, Tensor};

/// Where a tensor's numbers come from, for messages.
pub(super) struct Origin<'a> {
    pub file: Option<&'a Path>,
    /// As in `array "x"`.
    pub what: String,
    /// Number of the first sample; `None` for what is fed whole.
    pub first_sample: Option<usize>,
}

/// Whether numbers of type `have` can be fed where the model declares `want`, their values permitting.
pub(super) fn is_convertible(have: DType, want: DType) -> bool {
    have == want || (is_plain(have) && is_plain(want))
}

fn is_plain(dtype: DType) -> bool {
    dtype.is_float() || dtype == DType::Bool || int_range(dtype).is_some()
}

/// Smallest and largest value of a byte-sized or wider integer type.
fn int_range(dtype: DType) -> Option<(i128, i128)> {
    let bits = dtype.bits() as u32;
    match dtype {
        DType::U8 | DType::U16 | DType::U32 | DType::U64 => Some((0, (1 << bits) - 1)),
        DType::I8 | DType::I16 | DType::I32 | DType::I64 => Some((-(1 << (bits - 1)), (1 << (bits - 1)) - 1)),
        _ => None,
    }
}

/// `tensor` in the type that the model declares (`None`: any).
pub(super) fn to_declared(tensor: Tensor, want: Option<DType>, origin: &Origin) -> Result<Tensor> {
    check_finite(&tensor, origin, "")?;
    let want = want.unwrap_or(tensor.dtype());
    if want == tensor.dtype() {
        return Ok(tensor);
    }
    let shape = tensor.shape().to_vec();
    let impossible = || {
        let (have, want) = (type_name(tensor.dtype()), type_name(want));
        origin.error(format!("{} holds {have}, which cannot be fed as {want}", origin.what))
    };
    let converted = match want {
        DType::F32 => Tensor::from_vec(shape, tensor.to_f32().ok_or_else(impossible)?.into_owned()),
        DType::F16 | DType::BF16 => {
            let values = tensor.to_f32().ok_or_else(impossible)?;
            Tensor::from_floats(want, shape, values.iter().map(|v| f64::from(*v))).ok_or_else(impossible)?
        }
        DType::F64 => Tensor::from_vec(shape, tensor.to_f64().ok_or_else(impossible)?),
        DType::Bool => {
            let values = whole(&tensor, (0, 1), want, origin)?;
            Tensor::from_bytes(want, shape, values.iter().map(|v| *v as u8).collect::<Vec<_>>())?
        }
        _ => {
            let range = int_range(want).ok_or_else(impossible)?;
            let values = whole(&tensor, range, want, origin)?;
            let size = want.bits() / 8;
            let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes().into_iter().take(size)).collect();
            Tensor::from_bytes(want, shape, bytes)?
        }
    };
    check_finite(&converted, origin, " as the model's type")?;
    Ok(converted)
}

/// The values as integers, where each is whole and in `range`; two's complement for u64.
fn whole(tensor: &Tensor, range: (i128, i128), want: DType, origin: &Origin) -> Result<Vec<i64>> {
    let refuse = |i: usize, value: String| {
        let place = origin.place(tensor, i);
        let kind = if want == DType::Bool { "0 or 1" } else { type_name(want) };
        origin.error(format!("{} holds {value} in {place}, the model wants {kind}", origin.what))
    };
    if let DType::U64 = tensor.dtype() {
        let values = tensor.as_slice::<u64>().unwrap_or(Cow::Borrowed(&[]));
        let outside = values.iter().position(|v| i128::from(*v) > range.1);
        return match outside {
            Some(i) => Err(refuse(i, values[i].to_string())),
            None => Ok(values.iter().map(|v| *v as i64).collect()),
        };
    }
    if let Some(values) = tensor.to_i64() {
        return match values.iter().position(|v| i128::from(*v) < range.0 || i128::from(*v) > range.1) {
            Some(i) => Err(refuse(i, values[i].to_string())),
            None => Ok(values),
        };
    }
    let values = tensor
        .to_f64()
        .ok_or_else(|| origin.error(format!("{} holds {}, not numbers", origin.what, type_name(tensor.dtype()))))?;
    let fits = |v: &f64| v.fract() == 0.0 && *v >= range.0 as f64 && (*v as i128) <= range.1;
    match values.iter().position(|v| !fits(v)) {
        Some(i) => Err(refuse(i, values[i].to_string())),
        None => Ok(values.iter().map(|v| *v as i128 as i64).collect()),
    }
}

fn check_finite(tensor: &Tensor, origin: &Origin, how: &str) -> Result<()> {
    let report = |found: Option<usize>, nan: fn(&Tensor, usize) -> bool| match found {
        None => Ok(()),
        Some(i) => {
            let value = if nan(tensor, i) { "NaN" } else { "an infinity" };
            Err(origin.error(format!("{} holds {value}{how} in {}", origin.what, origin.place(tensor, i))))
        }
    };
    match tensor.dtype() {
        DType::F64 => report(tensor.as_slice::<f64>().and_then(|v| v.iter().position(|v| !v.is_finite())), |t, i| {
            t.as_slice::<f64>().is_some_and(|v| v[i].is_nan())
        }),
        DType::F32 | DType::F16 | DType::BF16 => {
            report(tensor.to_f32().and_then(|v| v.iter().position(|v| !v.is_finite())), |t, i| {
                t.to_f32().is_some_and(|v| v[i].is_nan())
            })
        }
        _ => Ok(()),
    }
}

impl Origin<'_> {
    pub fn error(&self, message: String) -> Error {
        match self.file {
            Some(file) => Error::input(message).in_file(file),
            None => Error::input(message),
        }
    }

    /// As in `sample 17 (element [0, 12, 5])`.
    fn place(&self, tensor: &Tensor, flat: usize) -> String {
        let mut index = vec![0; tensor.rank()];
        let mut rest = flat;
        for axis in (0..tensor.rank()).rev() {
            let size = tensor.shape()[axis].max(1);
            (index[axis], rest) = (rest % size, rest / size);
        }
        match (self.first_sample, index.split_first()) {
            (Some(first), Some((row, []))) => format!("sample {}", first + row),
            (Some(first), Some((row, element))) => format!("sample {} (element {element:?})", first + row),
            _ => format!("element {index:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin() -> Origin<'static> {
        Origin { file: Some(Path::new("d.npz")), what: "array \"x\"".into(), first_sample: Some(10) }
    }

    fn convert(tensor: Tensor, want: DType) -> Result<Tensor> {
        to_declared(tensor, Some(want), &origin())
    }

    #[test]
    fn pixels_and_ids_change_type() {
        let t = convert(Tensor::from_vec([2, 2], vec![0u8, 1, 128, 255]), DType::F32).unwrap();
        assert_eq!(&*t.as_slice::<f32>().unwrap(), [0.0, 1.0, 128.0, 255.0]);
        let t = convert(Tensor::from_vec([2], vec![-3i32, 70_000]), DType::I64).unwrap();
        assert_eq!(t.to_i64().unwrap(), [-3, 70_000]);
        let t = convert(Tensor::from_vec([2], vec![-1i64, 127]), DType::I8).unwrap();
        assert_eq!(&*t.as_slice::<i8>().unwrap(), [-1, 127]);
        let t = convert(Tensor::from_vec([2], vec![2.0f64, -5.0]), DType::I32).unwrap();
        assert_eq!(t.to_i64().unwrap(), [2, -5]);
        let t = convert(Tensor::from_vec([2], vec![1.5f64, -0.1]), DType::F16).unwrap();
        assert_eq!(&*t.to_f32().unwrap(), [1.5, -0.099_975_586]);
        let t = convert(Tensor::from_vec([1], vec![u64::MAX]), DType::F64).unwrap();
        assert_eq!(&*t.as_slice::<f64>().unwrap(), [18_446_744_073_709_551_615.0]);
        let t = convert(Tensor::from_vec([2], vec![1i64, 0]), DType::Bool).unwrap();
        assert_eq!(t.to_i64().unwrap(), [1, 0]);
    }

    #[test]
    fn values_that_do_not_fit_are_named_with_their_sample() {
        let message = |t, want| convert(t, want).unwrap_err().to_string();
        let t = Tensor::from_vec([2, 3], vec![0i64, 1, 2, 3, 400, 5]);
        assert_eq!(
            message(t, DType::U8),
            "d.npz: array \"x\" holds 400 in sample 11 (element [1]), the model wants uint8"
        );
        let t = Tensor::from_vec([3], vec![0.0f32, 1.0, 0.5]);
        assert_eq!(message(t, DType::I64), "d.npz: array \"x\" holds 0.5 in sample 12, the model wants int64");
        let t = Tensor::from_vec([1], vec![u64::MAX]);
        assert!(message(t, DType::I64).contains("holds 18446744073709551615 in sample 10"));
        let t = Tensor::from_vec([1], vec![2i32]);
        assert!(message(t, DType::Bool).ends_with("the model wants 0 or 1"));
        let t = Tensor::from_vec([1], vec![9_223_372_036_854_775_808.0f64]);
        assert!(message(t, DType::I64).contains("the model wants int64"));
    }

    #[test]
    fn what_is_not_finite_is_refused() {
        let t = Tensor::from_vec([2, 2, 2], vec![0.0f32, 1.0, 2.0, 3.0, 4.0, f32::NAN, 6.0, 7.0]);
        assert_eq!(
            convert(t, DType::F32).unwrap_err().to_string(),
            "d.npz: array \"x\" holds NaN in sample 11 (element [0, 1])"
        );
        let t = Tensor::from_vec([2], vec![0.0f64, f64::NEG_INFINITY]);
        assert_eq!(
            convert(t, DType::F32).unwrap_err().to_string(),
            "d.npz: array \"x\" holds an infinity in sample 11"
        );
        let t = Tensor::from_vec([1], vec![1e6f32]);
        assert!(convert(t, DType::F16).unwrap_err().to_string().contains("an infinity as the model's type"));
    }
}
