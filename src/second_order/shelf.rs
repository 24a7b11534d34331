//! Values of batches that wait in a temporary file: memory holds those of the batches at work.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

use crate::error::{Error, Result};
use crate::ir::{DType, Tensor, ValueId};

/// Where a tensor lies.
#[derive(Debug, Clone)]
struct Slot {
    value: ValueId,
    dtype: DType,
    shape: Vec<usize>,
    at: u64,
    bytes: usize,
}

/// Tensors by batch.
#[derive(Debug)]
pub struct Shelf {
    file: Mutex<(File, u64)>,
    slots: Vec<Mutex<Vec<Slot>>>,
}

impl Shelf {
    /// For so many batches, of which nothing waits yet.
    pub fn new(batches: usize) -> Result<Self> {
        let file = tempfile::tempfile().map_err(|e| Error::io(std::env::temp_dir(), e))?;
        Ok(Shelf { file: Mutex::new((file, 0)), slots: (0..batches).map(|_| Mutex::default()).collect() })
    }

    /// Keeps the values of one batch.
    pub fn put(&self, batch: usize, values: &BTreeMap<ValueId, Tensor>) -> Result<()> {
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let (file, end) = &mut *held;
        let mut slots = Vec::with_capacity(values.len());
        for (value, t) in values {
            if t.dtype() == DType::String {
                return Err(Error::runtime("text inside a model cannot wait"));
            }
            let written = file.seek(SeekFrom::Start(*end)).and_then(|_| file.write_all(t.bytes()));
            written.map_err(|e| Error::io(std::env::temp_dir(), e))?;
            let slot =
                Slot { value: *value, dtype: t.dtype(), shape: t.shape().to_vec(), at: *end, bytes: t.byte_len() };
            *end += slot.bytes as u64;
            slots.push(slot);
        }
        *self.slots[batch].lock().unwrap_or_else(PoisonError::into_inner) = slots;
        Ok(())
    }

    /// The values of one batch.
    pub fn get(&self, batch: usize) -> Result<BTreeMap<ValueId, Tensor>> {
        let slots = self.slots[batch].lock().unwrap_or_else(PoisonError::into_inner).clone();
        let mut values = BTreeMap::new();
        let mut held = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for slot in slots {
            let mut bytes = vec![0; slot.bytes];
            let mut read = || {
                held.0.seek(SeekFrom::Start(slot.at))?;
                held.0.read_exact(&mut bytes)
            };
            read().map_err(|e| Error::io(std::env::temp_dir(), e))?;
            values.insert(slot.value, Tensor::from_bytes(slot.dtype, slot.shape, Bytes::from(bytes))?);
        }
        Ok(values)
    }
}
