//! Tensors: dtype, shape and little-endian bytes that may lie inside the mapped file.
//!
//! A tensor is copy-on-write: cloning shares the bytes, and changing one means building a new one.
//! Whatever field the file stored the numbers in, they read the same here ([`Storage`] remembers the
//! field, so that an untouched tensor is written back as it came).

use std::borrow::Cow;

use bytemuck::{AnyBitPattern, NoUninit};
use bytes::Bytes;
use half::{bf16, f16};

use super::dtype::DType;
use super::float8;
use crate::error::{Error, Result};

/// Names and values, in file order (`metadata_props` and the like).
pub type Props = Vec<(String, String)>;

/// Which field of the file holds a tensor's numbers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Storage {
    /// `raw_data`, little-endian.
    #[default]
    Raw,
    /// The typed field of the dtype (`float_data`, `int32_data`, …).
    Typed,
    /// A file beside the model.
    External {
        /// As the model named it.
        location: String,
    },
}

#[derive(Debug, Clone, PartialEq)]
enum Data {
    Bytes(Bytes),
    Strings(Vec<Bytes>),
}

/// A dense tensor. Shape in elements; bytes little-endian, row-major, sub-byte types packed low bits first.
#[derive(Debug, Clone, PartialEq)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    data: Data,
    /// Where the numbers were found, and go again.
    pub storage: Storage,
    /// `TensorProto.name` where it is not the name of a value (tensors in attributes).
    pub name: Option<String>,
    /// `doc_string`.
    pub doc: Option<String>,
    /// `metadata_props`.
    pub metadata: Props,
}

/// `SparseTensorProto`: `values` at linear or per-axis `indices` of a tensor of shape `dims`.
#[derive(Debug, Clone, PartialEq)]
pub struct SparseTensor {
    /// Its elements that are not zero.
    pub values: Option<Tensor>,
    /// Their places, one number each or one an axis.
    pub indices: Option<Tensor>,
    /// Its sizes.
    pub dims: Vec<i64>,
}

impl SparseTensor {
    fn bad(&self, what: &str) -> Error {
        Error::input(format!("sparse tensor of shape {:?}: {what}", self.dims))
    }

    fn parts(&self) -> Result<(&Tensor, &Tensor, Vec<usize>)> {
        let shape = self.dims.iter().map(|d| usize::try_from(*d).ok()).collect::<Option<Vec<_>>>();
        match (&self.values, &self.indices, shape) {
            (Some(values), Some(indices), Some(shape)) => Ok((values, indices, shape)),
            (_, _, None) => Err(self.bad("a size is negative")),
            _ => Err(self.bad("a part is missing")),
        }
    }

    /// Where each value lies in the tensor, row by row.
    ///
    /// # Errors
    /// Input, where an index lies outside, or values and indices do not match.
    pub fn places(&self) -> Result<Vec<usize>> {
        let (values, indices, shape) = self.parts()?;
        let count = element_count(&shape).ok_or_else(|| self.bad("it has too many elements"))?;
        let places = indices.to_i64().ok_or_else(|| self.bad("its indices are no integers"))?;
        // Linear indices, or one row of coordinates for each value.
        let per_value = if indices.rank() == 2 { shape.len() } else { 1 };
        if places.len() != values.len() * per_value {
            return Err(self.bad("values and indices differ in number"));
        }
        let linear = |place: &[i64]| match indices.rank() {
            2 => place.iter().zip(&shape).try_fold(0usize, |at, (i, n)| {
                let i = usize::try_from(*i).ok().filter(|i| i < n)?;
                Some(at * n + i)
            }),
            _ => usize::try_from(place[0]).ok().filter(|i| *i < count),
        };
        let linear = places.chunks(per_value.max(1)).map(linear).collect::<Option<_>>();
        linear.ok_or_else(|| self.bad("an index lies outside"))
    }

    /// The tensor with its zeros, which must take at most `limit` bytes.
    ///
    /// # Errors
    /// Input, where an index lies outside, values and indices do not match, or it would be too large.
    pub fn dense(&self, limit: usize) -> Result<Tensor> {
        let (values, _, shape) = self.parts()?;
        let width = values.dtype().bits() / 8;
        let count = element_count(&shape).filter(|n| n.checked_mul(width).is_some_and(|b| b <= limit));
        let count = count.ok_or_else(|| self.bad("it is too large to be stored dense"))?;
        if width == 0 || values.dtype().bits() % 8 != 0 {
            return Err(self.bad("elements of its type are no whole bytes"));
        }
        let mut bytes = vec![0u8; count * width];
        for (place, value) in self.places()?.into_iter().zip(values.bytes().chunks_exact(width)) {
            bytes[place * width..][..width].copy_from_slice(value);
        }
        Tensor::from_bytes(values.dtype(), shape, bytes)
    }
}

/// A Rust type that is the element of a dtype.
pub trait Element: NoUninit + AnyBitPattern + PartialEq {
    /// Which one.
    const DTYPE: DType;
}

macro_rules! elements {
    ($($t:ty => $d:ident),*) => { $(impl Element for $t { const DTYPE: DType = DType::$d; })* };
}
elements!(f32 => F32, f64 => F64, u8 => U8, i8 => I8, u16 => U16, i16 => I16, u32 => U32, i32 => I32, u64 => U64, i64 => I64);

impl Tensor {
    /// Checks that `bytes` is exactly what `dtype` and `shape` need.
    pub fn from_bytes(dtype: DType, shape: impl Into<Vec<usize>>, bytes: impl Into<Bytes>) -> Result<Self> {
        let (shape, bytes) = (shape.into(), bytes.into());
        let need = element_count(&shape).and_then(|n| dtype.byte_len(n));
        if dtype == DType::String || need != Some(bytes.len()) {
            return Err(Error::input(format!(
                "a {dtype} tensor of shape {shape:?} needs {} bytes of data, there are {}",
                need.map_or("more than memory can hold".into(), |n| n.to_string()),
                bytes.len()
            )));
        }
        Ok(Self::raw(dtype, shape, Data::Bytes(bytes)))
    }

    /// A tensor of strings.
    ///
    /// # Errors
    /// Input, where their number is not that of the shape.
    pub fn from_strings(shape: impl Into<Vec<usize>>, strings: Vec<Bytes>) -> Result<Self> {
        let shape = shape.into();
        if element_count(&shape) != Some(strings.len()) {
            return Err(Error::input(format!(
                "a string tensor of shape {shape:?} does not hold {} strings",
                strings.len()
            )));
        }
        Ok(Self::raw(DType::String, shape, Data::Strings(strings)))
    }

    /// From numbers; the vector becomes the tensor's bytes without a copy.
    ///
    /// # Panics
    /// When `values` is not as long as `shape` says: a defect of the caller, not of the input.
    pub fn from_vec<T: Element + Send + 'static>(shape: impl Into<Vec<usize>>, values: Vec<T>) -> Self {
        let shape = shape.into();
        assert_eq!(element_count(&shape), Some(values.len()), "{} values for shape {shape:?}", values.len());
        Self::raw(T::DTYPE, shape, Data::Bytes(Bytes::from_owner(Owned(values))))
    }

    /// Integers of 4 or 2 bits, low bits first; more bits than the type has are cut off.
    ///
    /// # Panics
    /// When there are other than as many as `shape` says: a defect of the caller, not of the input.
    pub fn packed(dtype: DType, shape: impl Into<Vec<usize>>, values: impl ExactSizeIterator<Item = i32>) -> Self {
        let shape = shape.into();
        assert_eq!(element_count(&shape), Some(values.len()), "{} values for shape {shape:?}", values.len());
        let bits = dtype.bits();
        let (per_byte, mask) = (8 / bits, (1i32 << bits) - 1);
        let mut bytes = vec![0u8; values.len().div_ceil(per_byte)];
        for (i, v) in values.enumerate() {
            bytes[i / per_byte] |= ((v & mask) as u8) << (i % per_byte * bits);
        }
        Self::raw(dtype, shape, Data::Bytes(bytes.into()))
    }

    /// One number, of rank 0.
    pub fn scalar<T: Element + Send + 'static>(value: T) -> Self {
        Self::from_vec([], vec![value])
    }

    fn raw(dtype: DType, shape: Vec<usize>, data: Data) -> Self {
        Tensor { dtype, shape, data, storage: Storage::Raw, name: None, doc: None, metadata: Vec::new() }
    }

    /// The type of its elements.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Its sizes.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The number of its axes.
    pub fn rank(&self) -> usize {
        self.shape.len()
    }

    /// Number of elements.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of the numbers as stored (the lengths of the strings for a string tensor).
    pub fn byte_len(&self) -> usize {
        match &self.data {
            Data::Bytes(b) => b.len(),
            Data::Strings(s) => s.iter().map(Bytes::len).sum(),
        }
    }

    /// Little-endian bytes; empty for strings.
    pub fn bytes(&self) -> &Bytes {
        static EMPTY: Bytes = Bytes::new();
        match &self.data {
            Data::Bytes(b) => b,
            Data::Strings(_) => &EMPTY,
        }
    }

    /// Its elements, where they are strings.
    pub fn strings(&self) -> Option<&[Bytes]> {
        match &self.data {
            Data::Strings(s) => Some(s),
            Data::Bytes(_) => None,
        }
    }

    /// The same numbers in another shape of equal element count.
    pub fn reshaped(&self, shape: impl Into<Vec<usize>>) -> Result<Self> {
        let shape = shape.into();
        if element_count(&shape) != Some(self.len()) {
            return Err(Error::input(format!("shape {:?} cannot become {shape:?}", self.shape)));
        }
        Ok(Self::raw(self.dtype, shape, self.data.clone()))
    }

    /// The elements where the dtype is exactly `T`; borrowed where the bytes are aligned.
    pub fn as_slice<T: Element>(&self) -> Option<Cow<'_, [T]>> {
        let Data::Bytes(bytes) = &self.data else { return None };
        if self.dtype != T::DTYPE {
            return None;
        }
        Some(match bytemuck::try_cast_slice(bytes) {
            Ok(slice) => Cow::Borrowed(slice),
            Err(_) => Cow::Owned(bytemuck::pod_collect_to_vec(bytes)),
        })
    }

    /// Any real numeric dtype as `f32` (rounding where it must); `None` for strings, complex and the other floats of 8 bits or fewer.
    pub fn to_f32(&self) -> Option<Cow<'_, [f32]>> {
        if self.dtype == DType::F32 {
            return self.as_slice();
        }
        Some(Cow::Owned(match self.dtype {
            DType::F64 => self.as_slice::<f64>()?.iter().map(|v| *v as f32).collect(),
            DType::U64 => self.as_slice::<u64>()?.iter().map(|v| *v as f32).collect(),
            DType::F16 => self.words().map(|w| f16::from_bits(w).to_f32()).collect(),
            DType::BF16 => self.words().map(|w| bf16::from_bits(w).to_f32()).collect(),
            d @ (DType::F8E4M3FN | DType::F8E5M2) => {
                self.bytes().iter().map(|b| float8::decode(d, *b)).collect::<Option<_>>()?
            }
            _ => self.to_i64()?.iter().map(|v| *v as f32).collect(),
        }))
    }

    /// Any real numeric dtype as `f64`, exactly but for 64-bit integers; `None` where [`Self::to_f32`] has none.
    pub fn to_f64(&self) -> Option<Vec<f64>> {
        Some(match self.dtype {
            DType::F64 => self.as_slice::<f64>()?.into_owned(),
            DType::U64 => self.as_slice::<u64>()?.iter().map(|v| *v as f64).collect(),
            d if d.is_float() => self.to_f32()?.iter().map(|v| f64::from(*v)).collect(),
            _ => self.to_i64()?.iter().map(|v| *v as f64).collect(),
        })
    }

    /// Any integer or boolean dtype as `i64` (u64 wraps); `None` for the rest.
    pub fn to_i64(&self) -> Option<Vec<i64>> {
        macro_rules! widen {
            ($t:ty) => {
                self.as_slice::<$t>()?.iter().map(|v| *v as i64).collect()
            };
        }
        Some(match self.dtype {
            DType::I64 => self.as_slice::<i64>()?.into_owned(),
            DType::I32 => widen!(i32),
            DType::I16 => widen!(i16),
            DType::I8 => widen!(i8),
            DType::U64 => widen!(u64),
            DType::U32 => widen!(u32),
            DType::U16 => widen!(u16),
            DType::U8 => widen!(u8),
            DType::Bool => self.bytes().iter().map(|b| i64::from(*b != 0)).collect(),
            DType::I4 | DType::U4 | DType::I2 | DType::U2 => self.unpacked(),
            _ => return None,
        })
    }

    /// 16-bit words.
    fn words(&self) -> impl Iterator<Item = u16> + '_ {
        self.bytes().chunks_exact(2).map(|c| u16::from_le_bytes([c[0], c[1]]))
    }

    fn unpacked(&self) -> Vec<i64> {
        let bits = self.dtype.bits();
        let (per_byte, signed) = (8 / bits, matches!(self.dtype, DType::I4 | DType::I2));
        let (mask, sign) = ((1i64 << bits) - 1, 1i64 << (bits - 1));
        let bytes = self.bytes();
        (0..self.len())
            .map(|i| {
                let v = i64::from(bytes[i / per_byte]) >> (i % per_byte * bits) & mask;
                if signed && v & sign != 0 { v - (mask + 1) } else { v }
            })
            .collect()
    }

    /// The only element of a one-element numeric tensor.
    pub fn scalar_f32(&self) -> Option<f32> {
        if self.len() == 1 { self.to_f32().map(|v| v[0]) } else { None }
    }

    /// Its only element, of any numeric type, as an integer.
    pub fn scalar_i64(&self) -> Option<i64> {
        if self.len() == 1 { self.to_i64().map(|v| v[0]) } else { None }
    }
}

/// Elements of a shape; `None` on overflow.
pub fn element_count(shape: &[usize]) -> Option<usize> {
    shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
}

/// Lets a vector of numbers be the owner of `Bytes`.
struct Owned<T>(Vec<T>);

impl<T: NoUninit> AsRef<[u8]> for Owned<T> {
    fn as_ref(&self) -> &[u8] {
        bytemuck::cast_slice(&self.0)
    }
}

#[cfg(target_endian = "big")]
compile_error!("tensor bytes are little-endian and are viewed in place");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_integers_stay_positive() {
        assert_eq!(Tensor::from_vec([1], vec![u64::MAX]).to_f32().unwrap()[0], 18_446_744_073_709_551_615.0);
    }

    #[test]
    fn a_vector_becomes_bytes_and_reads_back_borrowed() {
        let t = Tensor::from_vec([2, 2], vec![1.0f32, -2.0, 3.0, 4.5]);
        assert!(matches!(t.as_slice::<f32>(), Some(Cow::Borrowed(s)) if s == [1.0, -2.0, 3.0, 4.5]));
        assert_eq!(t.as_slice::<i32>(), None);
    }

    #[test]
    fn length_must_fit_the_shape() {
        assert!(Tensor::from_bytes(DType::F32, [3], vec![0u8; 11]).is_err());
        assert!(Tensor::from_bytes(DType::F32, [usize::MAX, 8], vec![0u8; 11]).is_err());
        assert!(Tensor::from_bytes(DType::U4, [3], vec![0u8; 2]).is_ok());
    }

    #[test]
    fn four_and_two_bit_integers_unpack_low_bits_first() {
        let t = Tensor::from_bytes(DType::I4, [3], vec![0x8f, 0x07]).unwrap();
        assert_eq!(t.to_i64().unwrap(), [-1, -8, 7]);
        let t = Tensor::from_bytes(DType::U2, [4], vec![0b11_10_01_00]).unwrap();
        assert_eq!(t.to_i64().unwrap(), [0, 1, 2, 3]);
    }

    #[test]
    fn sparse_becomes_dense_by_either_kind_of_index_or_is_refused() {
        let sparse = |indices: Tensor| SparseTensor {
            values: Some(Tensor::from_vec([2], vec![5.0f32, 7.0])),
            indices: Some(indices),
            dims: vec![2, 3],
        };
        let dense = |indices: Tensor| sparse(indices).dense(1 << 10).map(|t| t.to_f32().unwrap().into_owned());
        assert_eq!(dense(Tensor::from_vec([2], vec![1i64, 5])).unwrap(), [0.0, 5.0, 0.0, 0.0, 0.0, 7.0]);
        assert_eq!(dense(Tensor::from_vec([2, 2], vec![0i64, 2, 1, 0])).unwrap(), [0.0, 0.0, 5.0, 7.0, 0.0, 0.0]);
        for wrong in [vec![1i64, 6], vec![-1, 0]] {
            let error = dense(Tensor::from_vec([2], wrong)).unwrap_err().to_string();
            assert_eq!(error, "sparse tensor of shape [2, 3]: an index lies outside");
        }
        assert!(dense(Tensor::from_vec([2, 2], vec![0i64, 3, 1, 0])).is_err());
        assert!(dense(Tensor::from_vec([1], vec![0i64])).is_err());
        assert!(sparse(Tensor::from_vec([2], vec![1i64, 5])).dense(20).is_err());
    }

    #[test]
    fn half_floats_widen() {
        let bytes: Vec<u8> = [f16::from_f32(1.5), f16::from_f32(-0.25)].iter().flat_map(|h| h.to_le_bytes()).collect();
        assert_eq!(&*Tensor::from_bytes(DType::F16, [2], bytes).unwrap().to_f32().unwrap(), [1.5, -0.25]);
    }
}
