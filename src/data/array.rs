//! One array of a data file: what its header says, and its rows as tensors.

use std::ops::Range;
use std::path::PathBuf;

use super::content::Content;
use crate::error::{Error, Result};
use crate::ir::tensor::element_count;
use crate::ir::{DType, Tensor};

#[derive(Debug)]
pub(super) struct Array {
    pub file: PathBuf,
    pub name: String,
    pub dtype: DType,
    pub shape: Vec<usize>,
    big_endian: bool,
    content: Content,
    /// Where the numbers start in `content`.
    start: u64,
}

/// What a header says of the numbers that follow it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Header {
    pub dtype: DType,
    pub big_endian: bool,
    pub fortran_order: bool,
    pub shape: Vec<usize>,
}

impl Array {
    /// Checks that `content` holds, from `start` on, what the header says.
    pub fn new(file: PathBuf, name: String, header: Header, content: Content, start: u64) -> Result<Self> {
        let Header { dtype, big_endian, fortran_order, shape } = header;
        let need = element_count(&shape).and_then(|n| dtype.byte_len(n));
        let there = content.len().saturating_sub(start);
        if need.is_none_or(|n| n as u64 != there) {
            return Err(Error::input(format!(
                "array \"{name}\" is said to be {} {shape:?}, which takes {} bytes, but {there} are there",
                type_name(dtype),
                need.map_or("more than memory can hold".into(), |n| n.to_string()),
            ))
            .in_file(file));
        }
        let mut array = Array { file, name, dtype, shape, big_endian, content, start };
        if fortran_order && array.shape.len() > 1 {
            let bytes = array.content.read(start, there as usize).map_err(|e| array.unreadable(e))?;
            let bytes = row_major(&bytes, &array.shape, dtype.bits() / 8);
            (array.content, array.start) = (Content::Memory(bytes.into()), 0);
        }
        Ok(array)
    }

    /// Rows of axis 0 (0..1 of a scalar: the scalar).
    pub fn rows(&self, rows: Range<usize>) -> Result<Tensor> {
        let mut shape = self.shape.clone();
        let row: usize = shape.iter().skip(1).product();
        if let Some(axis) = shape.first_mut() {
            *axis = rows.len();
        }
        let bytes = |rows: usize| self.dtype.byte_len(rows * row).unwrap_or(usize::MAX);
        let content = self
            .content
            .read(self.start + bytes(rows.start) as u64, bytes(rows.len()))
            .map_err(|e| self.unreadable(e))?;
        let content = if self.big_endian { swapped(&content, self.word()).into() } else { content };
        Tensor::from_bytes(self.dtype, shape, content).map_err(|e| e.in_file(&self.file))
    }

    pub fn whole(&self) -> Result<Tensor> {
        self.rows(0..self.shape.first().copied().unwrap_or(1))
    }

    /// Bytes of one machine number: half an element for complex types.
    fn word(&self) -> usize {
        match self.dtype {
            DType::Complex64 => 4,
            DType::Complex128 => 8,
            d => d.bits() / 8,
        }
    }

    fn unreadable(&self, error: std::io::Error) -> Error {
        let why = match error.kind() {
            std::io::ErrorKind::UnexpectedEof => "its data ends too early: the file is truncated".to_string(),
            _ => error.to_string(),
        };
        Error::input(format!("array \"{}\": {why}", self.name)).in_file(&self.file).caused_by(error)
    }
}

/// The name of a dtype as numpy users know it.
pub(super) fn type_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float32",
        DType::F64 => "float64",
        d => d.name(),
    }
}

fn swapped(bytes: &[u8], word: usize) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if word > 1 {
        bytes.chunks_exact_mut(word).for_each(<[u8]>::reverse);
    }
    bytes
}

/// From Fortran order (first axis fastest) to C order, for elements of `size` bytes.
fn row_major(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let strides: Vec<usize> = shape
        .iter()
        .scan(1, |stride, d| {
            let this = *stride;
            *stride *= d;
            Some(this)
        })
        .collect();
    let mut out = Vec::with_capacity(bytes.len());
    let (mut index, mut from) = (vec![0; shape.len()], 0);
    while out.len() < bytes.len() {
        out.extend_from_slice(&bytes[from * size..][..size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            from += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            from -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fortran_order_is_turned() {
        // [[0, 1, 2], [3, 4, 5]] stored column by column.
        assert_eq!(row_major(&[0, 3, 1, 4, 2, 5], &[2, 3], 1), [0, 1, 2, 3, 4, 5]);
        assert_eq!(row_major(&[0, 4, 2, 6, 1, 5, 3, 7], &[2, 2, 2], 1), [0, 1, 2, 3, 4, 5, 6, 7]);
        assert_eq!(row_major(&[], &[2, 0], 4), [0u8; 0]);
    }

    proptest::proptest! {
        #[test]
        fn fortran_order_is_turned_as_ndarray_does(shape in proptest::collection::vec(0usize..5, 1..5)) {
            let count = shape.iter().product::<usize>();
            let numbers: Vec<u16> = (0..count as u16).collect();
            let array = ndarray::ArrayD::from_shape_vec(ndarray::ShapeBuilder::f(shape.clone()), numbers.clone()).unwrap();
            let expected: Vec<u16> = array.iter().copied().collect();
            let ours = row_major(bytemuck::cast_slice(&numbers), &shape, 2);
            proptest::prop_assert_eq!(ours, bytemuck::cast_slice::<u16, u8>(&expected));
        }
    }

    #[test]
    fn big_endian_words_are_swapped() {
        assert_eq!(swapped(&[1, 2, 3, 4], 2), [2, 1, 4, 3]);
    }
}
