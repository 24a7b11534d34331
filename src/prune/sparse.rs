//! Dense → `sparse_initializer`: the values that are not zero, and their linear indices as int64.

use bytes::BytesMut;

use crate::ir::{SparseTensor, Tensor};

/// The sparse form where it needs fewer bytes than the dense one.
pub fn smaller(t: &Tensor) -> crate::Result<Option<SparseTensor>> {
    let width = t.dtype().bits() / 8;
    let element = |i: usize| &t.bytes()[i * width..(i + 1) * width];
    let indices: Vec<i64> = (0..t.len()).filter(|i| element(*i).iter().any(|b| *b != 0)).map(|i| i as i64).collect();
    if indices.len() * (width + 8) >= t.byte_len() {
        return Ok(None);
    }
    let mut values = BytesMut::with_capacity(indices.len() * width);
    indices.iter().for_each(|i| values.extend_from_slice(element(*i as usize)));
    let count = indices.len();
    Ok(Some(SparseTensor {
        values: Some(Tensor::from_bytes(t.dtype(), [count], values.freeze())?),
        indices: Some(Tensor::from_vec([count], indices)),
        dims: t.shape().iter().map(|d| *d as i64).collect(),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_sparse_only_where_smaller() {
        let mut v = vec![0f32; 12];
        v[7] = 3.0;
        let s = smaller(&Tensor::from_vec([3, 4], v)).unwrap().unwrap();
        assert_eq!(s.indices.unwrap().to_i64().unwrap(), [7]);
        assert!(smaller(&Tensor::from_vec([2], vec![1f32, 0.0])).unwrap().is_none());
    }
}
