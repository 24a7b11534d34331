//! Values of batches that wait in temporary files: memory holds those that are at work.
//!
//! A file holds what one step made, and goes with the last value that waits in it: what waits longer is handed on where it lies.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::ir::{DType, Tensor, ValueId};

/// A file, and where the next tensor goes.
type Pages = Arc<Mutex<(File, u64)>>;

/// Where a tensor lies.
#[derive(Debug, Clone)]
struct Slot {
    pages: Pages,
    dtype: DType,
    shape: Vec<usize>,
    at: u64,
    bytes: usize,
}

/// Tensors by batch.
#[derive(Debug)]
pub struct Shelf {
    pages: Pages,
    slots: Vec<Mutex<BTreeMap<ValueId, Slot>>>,
}

impl Shelf {
    /// For so many batches, of which nothing waits yet.
    ///
    /// # Errors
    /// Io, where no temporary file can be made.
    pub fn new(batches: usize) -> Result<Self> {
        Self::holding(vec![BTreeMap::new(); batches])
    }

    /// The next one, in which these values wait on.
    ///
    /// # Errors
    /// Io, where no temporary file can be made.
    pub fn next(&self, kept: &BTreeSet<ValueId>) -> Result<Self> {
        let kept = |slots: &Mutex<BTreeMap<ValueId, Slot>>| {
            let mut slots = slots.lock().unwrap_or_else(PoisonError::into_inner).clone();
            slots.retain(|v, _| kept.contains(v));
            slots
        };
        Self::holding(self.slots.iter().map(kept).collect())
    }

    fn holding(slots: Vec<BTreeMap<ValueId, Slot>>) -> Result<Self> {
        let file = tempfile::tempfile().map_err(|e| Error::io(std::env::temp_dir(), e))?;
        Ok(Shelf { pages: Arc::new(Mutex::new((file, 0))), slots: slots.into_iter().map(Mutex::new).collect() })
    }

    /// Keeps values of one batch.
    ///
    /// # Errors
    /// Io, and text, which cannot wait.
    pub fn put(&self, batch: usize, values: BTreeMap<ValueId, Tensor>) -> Result<()> {
        for (value, t) in values {
            if t.dtype() == DType::String {
                return Err(Error::runtime("text inside a model cannot wait"));
            }
            let mut held = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
            let (file, end) = &mut *held;
            let written = file.seek(SeekFrom::Start(*end)).and_then(|_| file.write_all(t.bytes()));
            written.map_err(|e| Error::io(std::env::temp_dir(), e))?;
            let (at, bytes) = (*end, t.byte_len());
            *end += bytes as u64;
            let slot = Slot { pages: self.pages.clone(), dtype: t.dtype(), shape: t.shape().to_vec(), at, bytes };
            self.slots[batch].lock().unwrap_or_else(PoisonError::into_inner).insert(value, slot);
        }
        Ok(())
    }

    /// The types of what waits of the first batch.
    pub fn types(&self) -> BTreeMap<ValueId, DType> {
        let first = self.slots.first().map(|slots| slots.lock().unwrap_or_else(PoisonError::into_inner));
        first.map(|slots| slots.iter().map(|(v, slot)| (*v, slot.dtype)).collect()).unwrap_or_default()
    }

    /// Those of `wanted` that wait of one batch.
    ///
    /// # Errors
    /// Io.
    pub fn get(&self, batch: usize, wanted: &BTreeSet<ValueId>) -> Result<BTreeMap<ValueId, Tensor>> {
        let slots: Vec<(ValueId, Slot)> = {
            let slots = self.slots[batch].lock().unwrap_or_else(PoisonError::into_inner);
            wanted.iter().filter_map(|v| Some((*v, slots.get(v)?.clone()))).collect()
        };
        let read = |(value, slot): (ValueId, Slot)| {
            let mut bytes = vec![0; slot.bytes];
            {
                let mut held = slot.pages.lock().unwrap_or_else(PoisonError::into_inner);
                let sought = held.0.seek(SeekFrom::Start(slot.at)).and_then(|_| held.0.read_exact(&mut bytes));
                sought.map_err(|e| Error::io(std::env::temp_dir(), e))?;
            }
            Ok((value, Tensor::from_bytes(slot.dtype, slot.shape, Bytes::from(bytes))?))
        };
        slots.into_iter().map(read).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_longer_is_handed_on_and_the_rest_is_gone() {
        let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float x, float y, float z) => (float o) { o = Sum (x, y, z) }";
        let &[a, b, c] = &crate::ir::text::parse(source).unwrap().user_inputs()[..] else { panic!() };
        let of = |v: f32| Tensor::from_vec([2], vec![v, -v]);
        let first = Shelf::new(2).unwrap();
        first.put(0, [(a, of(1.0)), (b, of(2.0))].into()).unwrap();
        first.put(1, [(a, of(3.0)), (b, of(4.0))].into()).unwrap();
        let next = first.next(&[b].into()).unwrap();
        drop(first);
        next.put(1, [(c, of(5.0))].into()).unwrap();
        let all = [a, b, c].into();
        assert_eq!(next.get(0, &all).unwrap(), [(b, of(2.0))].into());
        assert_eq!(next.get(1, &all).unwrap(), [(b, of(4.0)), (c, of(5.0))].into());
        assert_eq!(next.get(1, &[c].into()).unwrap(), [(c, of(5.0))].into());
        assert_eq!(next.types(), [(b, DType::F32)].into());
    }
}
