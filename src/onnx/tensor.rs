//! `TensorProto` to and from [`Tensor`], whichever field holds the numbers.

use bytes::{BufMut, Bytes, BytesMut};

use super::external::ExternalFiles;
use super::proto::tensor_proto::DataLocation;
use super::proto::{SparseTensorProto, TensorProto};
use super::{entries, props};
use crate::error::{Error, Result};
use crate::ir::tensor::element_count;
use crate::ir::{DType, SparseTensor, Storage, Tensor};

/// Reads a tensor; its name is left in [`Tensor::name`].
pub fn tensor(mut p: TensorProto, files: &mut ExternalFiles) -> Result<Tensor> {
    let name = p.name.take();
    match read(p, files) {
        Ok(mut t) => {
            t.name = name;
            Ok(t)
        }
        Err(e) => Err(match name {
            Some(name) => Error::new(e.kind(), format!("tensor \"{name}\": {e}")),
            None => e,
        }),
    }
}

fn read(mut p: TensorProto, files: &mut ExternalFiles) -> Result<Tensor> {
    let code = p.data_type();
    let dtype = DType::from_code(code)
        .ok_or_else(|| Error::input(format!("element type {code} is none of the standard's (1 to 28)")))?;
    let size = |d: &i64| usize::try_from(*d).map_err(|_| Error::input(format!("dimension {d} is negative")));
    let dims: Vec<usize> = p.dims.iter().map(size).collect::<Result<_>>()?;
    let external = p.data_location == Some(DataLocation::External as i32);
    let too_large = || Error::input(format!("shape {dims:?} is larger than memory"));
    let count = element_count(&dims).ok_or_else(too_large)?;
    let need = dtype.byte_len(count).ok_or_else(too_large)?;
    let (mut t, storage) = if dtype == DType::String {
        (Tensor::from_strings(dims, p.string_data)?, Storage::Typed)
    } else if external {
        let (location, bytes) = files.read(&p.external_data, need)?;
        (Tensor::from_bytes(dtype, dims, bytes)?, Storage::External { location })
    } else if let Some(raw) = p.raw_data.take_if(|raw| !raw.is_empty() || need == 0) {
        (Tensor::from_bytes(dtype, dims, raw)?, Storage::Raw)
    } else {
        (Tensor::from_bytes(dtype, dims, typed_bytes(dtype, &p)?)?, Storage::Typed)
    };
    t.storage = storage;
    t.doc = p.doc_string;
    t.metadata = props(p.metadata_props);
    Ok(t)
}

/// The numbers of the dtype's typed field as raw data.
fn typed_bytes(dtype: DType, p: &TensorProto) -> Result<Bytes> {
    let mut out = BytesMut::new();
    // With a sign or without: what counts is the bits.
    let beyond = |v: i64| Error::input(format!("element {v} does not fit {dtype}"));
    let fits =
        |v: i32, bits: u32| (-(1 << (bits - 1))..1 << bits).contains(&v).then_some(v).ok_or_else(|| beyond(v.into()));
    match dtype {
        DType::F32 | DType::Complex64 => p.float_data.iter().for_each(|v| out.put_f32_le(*v)),
        DType::F64 | DType::Complex128 => p.double_data.iter().for_each(|v| out.put_f64_le(*v)),
        DType::I64 => p.int64_data.iter().for_each(|v| out.put_i64_le(*v)),
        DType::U64 => p.uint64_data.iter().for_each(|v| out.put_u64_le(*v)),
        DType::U32 => {
            for v in &p.uint64_data {
                out.put_u32_le(u32::try_from(*v).map_err(|_| beyond(*v as i64))?);
            }
        }
        DType::I32 => p.int32_data.iter().for_each(|v| out.put_i32_le(*v)),
        DType::I16 | DType::U16 | DType::F16 | DType::BF16 => {
            for v in &p.int32_data {
                out.put_u16_le(fits(*v, 16)? as u16);
            }
        }
        // One byte an entry; sub-byte types are packed within it.
        _ => {
            for v in &p.int32_data {
                out.put_u8(fits(*v, 8)? as u8);
            }
        }
    }
    Ok(out.freeze())
}

/// A tensor as its message under `name`, in the field that it came in. External ones come as raw data:
/// the writer decides where they go.
pub fn tensor_proto(t: &Tensor, name: Option<String>) -> TensorProto {
    let mut p = TensorProto {
        dims: t.shape().iter().map(|d| *d as i64).collect(),
        data_type: Some(t.dtype().code()),
        name,
        doc_string: t.doc.clone(),
        metadata_props: entries(&t.metadata),
        ..Default::default()
    };
    match (&t.storage, t.strings()) {
        (_, Some(strings)) => p.string_data = strings.to_vec(),
        (Storage::Typed, None) => fill_typed(t, &mut p),
        _ => p.raw_data = Some(t.bytes().clone()),
    }
    p
}

fn fill_typed(t: &Tensor, p: &mut TensorProto) {
    let b = t.bytes();
    let words = || b.chunks_exact(4).map(|c| [c[0], c[1], c[2], c[3]]);
    let longs = || b.chunks_exact(8).map(|c| [c[0], c[1], c[2], c[3], c[4], c[5], c[6], c[7]]);
    let shorts = || b.chunks_exact(2).map(|c| [c[0], c[1]]);
    match t.dtype() {
        DType::F32 | DType::Complex64 => p.float_data = words().map(f32::from_le_bytes).collect(),
        DType::F64 | DType::Complex128 => p.double_data = longs().map(f64::from_le_bytes).collect(),
        DType::I64 => p.int64_data = longs().map(i64::from_le_bytes).collect(),
        DType::U64 => p.uint64_data = longs().map(u64::from_le_bytes).collect(),
        DType::U32 => p.uint64_data = words().map(|w| u64::from(u32::from_le_bytes(w))).collect(),
        DType::I32 => p.int32_data = words().map(i32::from_le_bytes).collect(),
        DType::I16 => p.int32_data = shorts().map(|s| i32::from(i16::from_le_bytes(s))).collect(),
        DType::U16 | DType::F16 | DType::BF16 => {
            p.int32_data = shorts().map(|s| i32::from(u16::from_le_bytes(s))).collect();
        }
        DType::I8 => p.int32_data = b.iter().map(|v| i32::from(*v as i8)).collect(),
        _ => p.int32_data = b.iter().map(|v| i32::from(*v)).collect(),
    }
}

pub fn sparse_tensor(p: SparseTensorProto, files: &mut ExternalFiles) -> Result<SparseTensor> {
    let mut part = |t: Option<TensorProto>| t.map(|t| tensor(t, files)).transpose();
    Ok(SparseTensor { values: part(p.values)?, indices: part(p.indices)?, dims: p.dims })
}

/// `name`, where given, is that of the value whose initializer this is.
pub fn sparse_tensor_proto(t: &SparseTensor, name: Option<&str>) -> SparseTensorProto {
    let part = |t: &Tensor, name: Option<String>| tensor_proto(t, name.or_else(|| t.name.clone()));
    SparseTensorProto {
        values: t.values.as_ref().map(|v| part(v, name.map(str::to_string))),
        indices: t.indices.as_ref().map(|i| part(i, None)),
        dims: t.dims.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(p: TensorProto) {
        let t = tensor(p.clone(), &mut ExternalFiles::new(Vec::new())).unwrap();
        assert_eq!(tensor_proto(&t, t.name.clone()), p);
    }

    #[test]
    fn typed_fields_survive() {
        let base = TensorProto { dims: vec![3], name: Some("t".into()), ..Default::default() };
        let with = |d: DType| TensorProto { data_type: Some(d.code()), ..base.clone() };
        round_trip(TensorProto { float_data: vec![1.5, -2.0, 0.0], ..with(DType::F32) });
        round_trip(TensorProto { int64_data: vec![1, -2, i64::MAX], ..with(DType::I64) });
        round_trip(TensorProto { int32_data: vec![-1, 127, -128], ..with(DType::I8) });
        round_trip(TensorProto { int32_data: vec![65535, 1, 0], ..with(DType::U16) });
        round_trip(TensorProto { int32_data: vec![-32768, 1, 0], ..with(DType::I16) });
        round_trip(TensorProto { int32_data: vec![0x21, 0x03], ..with(DType::U4) });
        round_trip(TensorProto { uint64_data: vec![u64::from(u32::MAX), 0, 7], ..with(DType::U32) });
        round_trip(TensorProto { double_data: vec![0.1, 2.0, 3.0], ..with(DType::F64) });
        round_trip(TensorProto { string_data: vec!["a".into(), "".into(), "ü".into()], ..with(DType::String) });
        round_trip(TensorProto { raw_data: Some(vec![1u8, 2, 3].into()), ..with(DType::Bool) });
    }

    #[test]
    fn lengths_and_codes_are_checked() {
        let read = |p: TensorProto| tensor(p, &mut ExternalFiles::new(Vec::new())).unwrap_err().to_string();
        let p = TensorProto { name: Some("w".into()), data_type: Some(1), dims: vec![-4], ..Default::default() };
        assert_eq!(read(p.clone()), "tensor \"w\": dimension -4 is negative");
        let p = TensorProto { dims: vec![i64::MAX, i64::MAX], ..p };
        assert!(read(p.clone()).contains("larger than memory"));
        let p = TensorProto { data_type: Some(99), ..p };
        assert!(read(p).contains("element type 99"));
    }
}
