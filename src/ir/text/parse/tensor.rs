//! Tensors: `{1, 2, 3}` after a type whose dimensions are all numbers.

use bytes::{BufMut, Bytes, BytesMut};

use crate::error::Result;
use crate::ir::shape::DeclaredShape;
use crate::ir::text::lex::Cursor;
use crate::ir::{DType, SparseTensor, Tensor};

pub fn dense(c: &mut Cursor, at: usize, elem: Option<i32>, shape: Option<&DeclaredShape>) -> Result<Tensor> {
    let (dtype, dims) = concrete(c, at, elem, shape)?;
    if c.peek() == Some(b'[') {
        return Err(c.error("tensors that lie in other files are not read from text"));
    }
    let mut values = Values::new(dtype);
    c.expect("{")?;
    if c.eat("...") {
        return Err(c.error_at(at, "the values of this tensor were left out when it was printed"));
    }
    c.list("}", |c| values.read(c))?;
    values.tensor(dims).map_err(|e| c.error_at(at, e))
}

/// `{3: 1.5, 7: 2}` with linear indices, or `{[0,3]: 1.5}` with one per axis.
pub fn sparse(c: &mut Cursor, at: usize, elem: Option<i32>, shape: Option<&DeclaredShape>) -> Result<SparseTensor> {
    let (dtype, dims) = concrete(c, at, elem, shape)?;
    let mut values = Values::new(dtype);
    let (mut indices, mut count) = (Vec::new(), 0usize);
    let mut per_axis = None;
    c.expect("{")?;
    c.list("}", |c| {
        let bracket = c.eat("[");
        if *per_axis.get_or_insert(bracket) != bracket {
            return Err(c.error("linear indices and indices per axis are mixed"));
        }
        let before = indices.len();
        if bracket {
            c.list("]", |c| {
                indices.push(c.number::<i64>("an index")?);
                Ok(())
            })?;
        } else {
            indices.push(c.number::<i64>("an index")?);
        }
        if bracket && indices.len() - before != dims.len() {
            return Err(c.error(format!("an index needs {} numbers", dims.len())));
        }
        c.expect(":")?;
        count += 1;
        values.read(c)
    })?;
    let index_shape = if per_axis == Some(true) { vec![count, dims.len()] } else { vec![count] };
    Ok(SparseTensor {
        values: Some(values.tensor(vec![count]).map_err(|e| c.error_at(at, e))?),
        indices: Some(Tensor::from_vec(index_shape, indices)),
        dims: dims.iter().map(|d| *d as i64).collect(),
    })
}

fn concrete(
    c: &mut Cursor,
    at: usize,
    elem: Option<i32>,
    shape: Option<&DeclaredShape>,
) -> Result<(DType, Vec<usize>)> {
    let dtype = elem.and_then(DType::from_code);
    let dims = shape.and_then(|s| crate::ir::shape::known_shape(&s.dims));
    match (dtype, dims) {
        (Some(dtype), Some(dims)) => Ok((dtype, dims)),
        _ => Err(c.error_at(at, "a tensor needs an element type and a shape of numbers")),
    }
}

/// The values read so far, as the bytes of a tensor.
struct Values {
    dtype: DType,
    bytes: BytesMut,
    strings: Vec<Bytes>,
}

impl Values {
    fn new(dtype: DType) -> Self {
        Values { dtype, bytes: BytesMut::new(), strings: Vec::new() }
    }

    fn read(&mut self, c: &mut Cursor) -> Result<()> {
        let out = &mut self.bytes;
        match self.dtype {
            DType::String => self.strings.push(c.string()?.into()),
            DType::F32 | DType::Complex64 => out.put_f32_le(c.number("a number")?),
            DType::F64 | DType::Complex128 => out.put_f64_le(c.number("a number")?),
            DType::I64 => out.put_i64_le(c.number("a 64-bit integer")?),
            DType::U64 => out.put_u64_le(c.number("an unsigned 64-bit integer")?),
            DType::I32 => out.put_i32_le(c.number("a 32-bit integer")?),
            DType::U32 => out.put_u32_le(c.number("an unsigned 32-bit integer")?),
            DType::I16 => out.put_i16_le(c.number("a 16-bit integer")?),
            DType::U16 => out.put_u16_le(c.number("an unsigned 16-bit integer")?),
            DType::F16 | DType::BF16 => out.put_u16_le(c.number("the bits of a 16-bit float")?),
            DType::I8 => out.put_i8(c.number("an 8-bit integer")?),
            DType::U8 => out.put_u8(c.number("an unsigned 8-bit integer")?),
            _ => {
                // Bool, 8-bit floats, and the packed bytes of narrower types, which others may write signed.
                let at = c.place();
                let v: i64 = c.number("a byte")?;
                let byte = u8::try_from(v).or_else(|_| i8::try_from(v).map(|v| v as u8));
                out.put_u8(byte.map_err(|_| c.error_at(at, format!("{v} is not a byte")))?);
            }
        }
        Ok(())
    }

    fn tensor(self, dims: Vec<usize>) -> Result<Tensor> {
        match self.dtype {
            DType::String => Tensor::from_strings(dims, self.strings),
            dtype => Tensor::from_bytes(dtype, dims, self.bytes.freeze()),
        }
    }
}
