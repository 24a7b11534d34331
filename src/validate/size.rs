//! What a model weighs: bytes on disk, parameters, zeros, multiply-accumulates.

use std::path::Path;

use schemars::JsonSchema;
use serde::Serialize;

use crate::analysis::macs;
use crate::data::Batch;
use crate::error::{Error, Result};
use crate::files;
use crate::ir::{DType, Model, SparseTensor, Storage, Tensor};
use crate::passes::{SimplifyOptions, simplify};

/// How large a model is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, JsonSchema)]
pub struct Size {
    /// The file and its external data.
    pub bytes: u64,
    /// The same compressed by zstd ([`packed`]); told of pruned models, whose zeros only a compressed file leaves out.
    pub compressed: Option<u64>,
    /// Elements of the stored tensors of two or more dimensions.
    pub parameters: u64,
    /// Of those, zeros.
    pub zeros: u64,
    /// Operator nodes: subgraphs counted, `Constant` not.
    pub nodes: usize,
    /// Multiply-accumulates for one sample, where shapes tell them.
    pub macs: Option<u64>,
}

/// Weighs a model; `path` is its file, `batch` what it is fed. Without a batch, open sizes count as 1.
pub fn size(model: &Model, path: &Path, batch: Option<&Batch>) -> Size {
    let inputs = batch.iter().flat_map(|b| &b.inputs).map(|(name, t)| (name.clone(), t.shape().to_vec()));
    let samples = batch.map_or(1, |b| b.samples.max(1)) as u64;
    let weights = || model.tensors().filter(|t| t.rank() >= 2);
    let external: u64 = beside(model).map(|t| t.byte_len() as u64).sum();
    let graphs = model.graphs_under(model.main());
    let sparse = graphs.iter().flat_map(|g| model.graph(*g).sparse_initializers());
    let sparse: Vec<_> = sparse.filter_map(|v| model.value(*v).sparse_initializer()).collect();
    let elements = |t: &SparseTensor| t.dims.iter().fold(1, |n: u64, d| n.saturating_mul(d.unsigned_abs()));
    let stored = |t: &SparseTensor| t.values.as_ref().map_or(0, |v| v.len() as u64);
    Size {
        bytes: std::fs::metadata(path).map_or(0, |m| m.len()) + external,
        compressed: None,
        parameters: total(weights().map(|t| t.len() as u64).chain(sparse.iter().map(|t| elements(t)))),
        zeros: total(weights().map(zeros).chain(sparse.iter().map(|t| elements(t).saturating_sub(stored(t))))),
        nodes: model.operator_count(),
        macs: work(model, &inputs.collect::<Vec<_>>()).map(|m| m / samples),
    }
}

/// A file may claim sparse tensors of any size.
fn total(counts: impl Iterator<Item = u64>) -> u64 {
    counts.fold(0, u64::saturating_add)
}

/// MACs of a run: of the model as it is, or, where its own computations hide the shapes, of its clean form.
fn work(model: &Model, inputs: &[(String, Vec<usize>)]) -> Option<u64> {
    macs(model, inputs).or_else(|| {
        let mut clean = model.clone();
        simplify(&mut clean, &SimplifyOptions::default()).ok()?;
        macs(&clean, inputs)
    })
}

/// Bytes of a model's file and of the tensors that lie beside it, compressed.
///
/// # Errors
/// Io.
pub fn packed(model: &Model, path: &Path) -> Result<u64> {
    let weigh = |t: &Tensor| files::compressed_size(&t.bytes()[..]).map_err(|e| Error::io(path, e));
    Ok(files::compressed(path)? + beside(model).map(weigh).sum::<Result<u64>>()?)
}

/// The tensors that lie beside the file.
fn beside(model: &Model) -> impl Iterator<Item = &Tensor> {
    model.tensors().filter(|t| model.external_data && matches!(t.storage, Storage::External { .. }))
}

/// Zeros of a tensor; of a quantized one, the bytes that are 0 where its type is signed.
fn zeros(t: &Tensor) -> u64 {
    match t.dtype() {
        DType::F32 => t.as_slice::<f32>().map_or(0, |v| v.iter().filter(|v| **v == 0.0).count() as u64),
        DType::I8 => t.bytes().iter().filter(|b| **b == 0).count() as u64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn negative_zero_is_a_zero() {
        assert_eq!(zeros(&Tensor::from_vec([2, 2], vec![0.0f32, -0.0, 1.0, 2.0])), 2);
        assert_eq!(zeros(&Tensor::from_vec([2], vec![0i8, 3])), 1);
    }
}
