//! Tensors between the IR and tract.
//!
//! Into tract is one copy (tract wants its own alignment); out of tract is none where tract gives the
//! tensor away.

use bytes::Bytes;
use half::f16;
use tract_onnx::prelude::{DatumType, TValue, TractResult};
use tract_onnx::tract_hir::internal::{Blob, IntoTensor, Tensor as TractTensor, tensor1};

use crate::error::{Error, Result};
use crate::ir::{DType, Tensor};

/// Pairs of types that both sides have, with equal bytes.
const SAME: &[(DType, DatumType)] = &[
    (DType::F32, DatumType::F32),
    (DType::F64, DatumType::F64),
    (DType::F16, DatumType::F16),
    (DType::U8, DatumType::U8),
    (DType::I8, DatumType::I8),
    (DType::U16, DatumType::U16),
    (DType::I16, DatumType::I16),
    (DType::U32, DatumType::U32),
    (DType::I32, DatumType::I32),
    (DType::U64, DatumType::U64),
    (DType::I64, DatumType::I64),
    (DType::Bool, DatumType::Bool),
    (DType::String, DatumType::String),
];

/// tract's type; `None` where it has none (bfloat16, float8, sub-byte types, complex).
pub(super) fn datum_type(dtype: DType) -> Option<DatumType> {
    SAME.iter().find(|(ours, _)| *ours == dtype).map(|(_, theirs)| *theirs)
}

fn dtype(datum: DatumType) -> Option<DType> {
    SAME.iter().find(|(_, theirs)| *theirs == datum.unquantized()).map(|(ours, _)| *ours)
}

/// As tract's tensor. Refuses types that tract does not have.
pub(super) fn to_tract(tensor: &Tensor) -> Result<TractTensor> {
    if datum_type(tensor.dtype()).is_none() {
        return Err(Error::runtime(format!("tract has no tensors of type {}", tensor.dtype())));
    }
    build(tensor).map_err(|e| Error::runtime(format!("tensor of shape {:?}: {e}", tensor.shape())))
}

fn build(tensor: &Tensor) -> TractResult<TractTensor> {
    let shape = tensor.shape();
    macro_rules! plain {
        ($($t:ty),*) => {
            $(if let Some(values) = tensor.as_slice::<$t>() {
                return TractTensor::from_shape(shape, &values);
            })*
        };
    }
    plain!(f32, i64, u8, i8, i32, f64, u16, i16, u32, u64);
    match tensor.dtype() {
        DType::Bool => TractTensor::from_shape(shape, &bools(tensor)),
        DType::F16 => TractTensor::from_shape(shape, &halves(tensor)),
        _ => tensor1(&texts(tensor)).into_shape(shape),
    }
}

/// Elements of a boolean tensor.
pub(super) fn bools(tensor: &Tensor) -> Vec<bool> {
    tensor.bytes().iter().map(|b| *b != 0).collect()
}

/// Elements of a float16 tensor.
pub(super) fn halves(tensor: &Tensor) -> Vec<f16> {
    tensor.bytes().chunks_exact(2).map(|c| f16::from_le_bytes([c[0], c[1]])).collect()
}

/// Elements of a tensor of strings.
pub(super) fn texts(tensor: &Tensor) -> Vec<String> {
    tensor.strings().unwrap_or_default().iter().map(|s| String::from_utf8_lossy(s).into_owned()).collect()
}

/// From tract's tensor. Symbolic sizes (tract's `TDim`) become int64.
pub(super) fn from_tract(value: TValue) -> Result<Tensor> {
    convert(value).map_err(|e| Error::runtime(format!("a result of tract cannot be read: {e}")))
}

fn convert(value: TValue) -> TractResult<Tensor> {
    let mut tensor = value.into_tensor();
    if tensor.datum_type() == DatumType::TDim {
        tensor = tensor.cast_to::<i64>()?.into_owned();
    }
    let shape = tensor.shape().to_vec();
    let bad = |e: Error| tract_onnx::tract_hir::internal::format_err!("{e}");
    if tensor.datum_type() == DatumType::String {
        let view = tensor.try_as_plain_ram()?;
        let strings = view.as_slice::<String>()?.iter().map(|s| Bytes::copy_from_slice(s.as_bytes())).collect();
        return Tensor::from_strings(shape, strings).map_err(bad);
    }
    let Some(dtype) = dtype(tensor.datum_type()) else {
        return Err(bad(Error::runtime(format!("type {:?}", tensor.datum_type()))));
    };
    let blob = tensor.into_plain_ram()?.into_blob()?;
    Tensor::from_bytes(dtype, shape, Bytes::from_owner(Owner(blob))).map_err(bad)
}

/// Lets tract's memory be the owner of `Bytes`.
struct Owner(Blob);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_go_there_and_back() {
        let t = Tensor::from_vec([2, 3], vec![1.5f32, -2.0, 0.0, 4.0, 5.0, f32::MAX]);
        assert_eq!(from_tract(to_tract(&t).unwrap().into()).unwrap(), t);
        let t = Tensor::from_vec([], vec![16000i64]);
        assert_eq!(from_tract(to_tract(&t).unwrap().into()).unwrap(), t);
        let t = Tensor::from_bytes(DType::Bool, [3], vec![1u8, 0, 1]).unwrap();
        assert_eq!(from_tract(to_tract(&t).unwrap().into()).unwrap(), t);
        let t = Tensor::from_bytes(DType::F16, [2], vec![0u8, 0x3e, 0, 0xb4]).unwrap();
        assert_eq!(from_tract(to_tract(&t).unwrap().into()).unwrap(), t);
        let t = Tensor::from_strings([2], vec![Bytes::from_static(b"a"), Bytes::from_static(b"bc")]).unwrap();
        assert_eq!(from_tract(to_tract(&t).unwrap().into()).unwrap(), t);
        let t = Tensor::from_vec([2, 0], Vec::<f32>::new());
        assert_eq!(from_tract(to_tract(&t).unwrap().into()).unwrap(), t);
    }

    #[test]
    fn types_that_tract_lacks_are_named() {
        let t = Tensor::from_bytes(DType::BF16, [1], vec![0u8, 0]).unwrap();
        assert_eq!(to_tract(&t).unwrap_err().to_string(), "tract has no tensors of type bfloat16");
    }
}
