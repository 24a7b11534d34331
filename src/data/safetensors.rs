//! The `.safetensors` format: the length of a JSON header, the header, the numbers in one run.
//!
//! Only the header is read on opening; the `safetensors` crate decodes it.

use std::path::Path;
use std::sync::Arc;

use ::safetensors::tensor::{Dtype, Metadata};

use super::array::{Array, Header};
use super::content::{Content, DataFile};
use crate::error::{Error, Result};
use crate::ir::DType;

/// Longest header that is read, as in the reference implementation.
const LONGEST: u64 = 100_000_000;

#[derive(Debug)]
pub(super) struct Safetensors {
    file: Arc<DataFile>,
    header: Metadata,
    /// Where the numbers start in the file.
    start: u64,
}

impl Safetensors {
    pub fn open(path: &Path) -> Result<Self> {
        let io = |e| Error::io(path, e);
        let bad = |why: String| Error::input(format!("is not a readable safetensors file: {why}")).in_file(path);
        let file = DataFile::open(path).map_err(io)?;
        if file.len < 8 {
            return Err(bad("it ends within its header".into()));
        }
        let mut length = [0; 8];
        file.read_at(0, &mut length).map_err(io)?;
        let length = u64::from_le_bytes(length);
        if length > (file.len - 8).min(LONGEST) {
            return Err(bad(format!("its header is said to have {length} bytes, the file has {}", file.len)));
        }
        let mut text = vec![0; length as usize];
        file.read_at(8, &mut text).map_err(io)?;
        let header = serde_json::from_slice::<Metadata>(&text).map_err(|e| bad(e.to_string()).caused_by(e))?;
        Ok(Safetensors { file, header, start: 8 + length })
    }

    /// Names of the arrays, sorted.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.header.tensors().into_keys().collect();
        names.sort();
        names
    }

    pub fn array(&self, name: &str) -> Option<Result<Array>> {
        let info = self.header.info(name)?;
        let path = &self.file.path;
        let bad = |why: String| Err(Error::input(format!("array \"{name}\" {why}")).in_file(path));
        let Some(dtype) = dtype(info.dtype) else {
            return Some(bad(format!("holds {:?}, which ONNX does not have", info.dtype)));
        };
        let (from, to) = (info.data_offsets.0 as u64, info.data_offsets.1 as u64);
        let Some(start) =
            self.start.checked_add(from).filter(|s| to >= from && to - from <= self.file.len.saturating_sub(*s))
        else {
            return Some(bad("lies beyond the end of the file: the file is truncated".into()));
        };
        let content = Content::Stored { file: self.file.clone(), start, len: to - from };
        let header = Header { dtype, big_endian: false, fortran_order: false, shape: info.shape.clone() };
        Some(Array::new(path.clone(), name.into(), header, content, 0))
    }
}

fn dtype(dtype: Dtype) -> Option<DType> {
    Some(match dtype {
        Dtype::BOOL => DType::Bool,
        Dtype::U8 => DType::U8,
        Dtype::I8 => DType::I8,
        Dtype::U16 => DType::U16,
        Dtype::I16 => DType::I16,
        Dtype::U32 => DType::U32,
        Dtype::I32 => DType::I32,
        Dtype::U64 => DType::U64,
        Dtype::I64 => DType::I64,
        Dtype::F16 => DType::F16,
        Dtype::BF16 => DType::BF16,
        Dtype::F32 => DType::F32,
        Dtype::F64 => DType::F64,
        Dtype::F8_E4M3 => DType::F8E4M3FN,
        Dtype::F8_E5M2 => DType::F8E5M2,
        _ => return None,
    })
}
