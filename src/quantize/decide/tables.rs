//! Weights that are only stored another way: tables that are looked up, and short floats.
//!
//! A table of fewer than 8 bits has scales by blocks of a row, and is read by the target's own operator; else it has 8 bits and a scale a row.

use super::{Decider, is_finite};
use crate::ir::{DType, NodeId, Tensor};
use crate::ops::{self, QuantRule};
use crate::quantize::options::{Format, Granularity};
use crate::quantize::params::QType;
use crate::quantize::plan::Decision;
use crate::quantize::short_floats;

/// Elements of a row of a table of 4 bits that share a scale.
const TABLE_BLOCK: usize = 32;

impl Decider<'_> {
    /// Weights alone as shorter floats: any constant that is contracted or looked up.
    pub(super) fn shortened(&self, id: NodeId) -> Option<Result<Decision, String>> {
        let dtype = short_floats::wanted(self.options.weights)?;
        let rule = ops::of(self.model.node(id))?.quant;
        if matches!(rule, QuantRule::Table { .. }) && dtype.bits() == 8 {
            return Some(Err("runtimes look nothing up in tables of 8-bit floats".into()));
        }
        let constant = |index: usize| self.model.constant_input(id, index).filter(|t| t.dtype().is_float());
        if let Some(t) = rule.weights().into_iter().filter_map(constant).find(|t| t.dtype() != DType::F32) {
            return Some(Err(format!("its weight is {}, not float32", t.dtype())));
        }
        let float = |index: usize| self.model.constant_input(id, index).filter(|t| t.dtype() == DType::F32);
        let tensors: Vec<&Tensor> = rule.weights().into_iter().map(float).collect::<Option<_>>()?;
        let bytes: u64 = tensors.iter().map(|t| t.byte_len() as u64).sum();
        let refusal = || tensors.iter().find_map(|t| short_floats::refusal(t, dtype));
        let rank = match rule {
            QuantRule::Weighted { .. } => 2,
            QuantRule::Recurrent { .. } => 3,
            _ => 1,
        };
        let flat = tensors.iter().find(|t| t.rank() < rank || t.is_empty());
        Some(if let Some(flat) = flat {
            Err(format!("its weight has shape {:?}", flat.shape()))
        } else if !tensors.iter().all(|t| is_finite(t)) {
            Err("its weight holds NaN or infinity".into())
        } else if bytes < self.options.min_bytes {
            Err(format!("a weight of {bytes} bytes, --min-bytes is {}", self.options.min_bytes))
        } else if let Some(reason) = refusal() {
            Err(reason)
        } else {
            let short = tensors.iter().map(|t| t.len() * dtype.bits() / 8).sum::<usize>();
            Ok(Decision::Shorten { dtype, bytes: short as u64 })
        })
    }

    pub(super) fn table(&self, id: NodeId, index: usize, insists: bool) -> Option<Result<Decision, String>> {
        let table = self.model.constant_input(id, index)?;
        let weights_only = self.options.effective_format() == Format::WeightOnly;
        if table.dtype() != DType::F32 && (table.dtype() != DType::F16 || !weights_only) {
            return None;
        }
        let bytes = table.byte_len() as u64;
        Some(if !is_finite(table) {
            Err("its table holds NaN or infinity".into())
        } else if table.dtype() != DType::F32 && self.model.node(id).int_or("axis", 0) != 0 {
            Err("its table is float16 and not read by rows".into())
        } else if bytes < self.options.min_bytes {
            Err(format!("a table of {bytes} bytes, --min-bytes is {}", self.options.min_bytes))
        } else if !self.preset.tables && !weights_only && !insists {
            Err(format!("{} gains nothing from an 8-bit table", self.preset.name))
        } else {
            let (dtype, block) = self.table_type(id, table);
            Ok(Decision::Table { dtype, block, bytes: (table.len() * dtype.bits() as usize).div_ceil(8) as u64 })
        })
    }

    /// Fewer than 8 bits where weights have them, rows are read, and the target has an operator that reads them so.
    fn table_type(&self, id: NodeId, table: &Tensor) -> (QType, Option<usize>) {
        let wanted = self.options.weight_type();
        // Two elements lie in a byte.
        let rows =
            table.rank() == 2 && table.shape()[1].is_multiple_of(2) && self.model.node(id).int_or("axis", 0) == 0;
        if !wanted.is_narrow()
            || !rows
            || !self.preset.microsoft
            || self.options.effective_format() != Format::WeightOnly
        {
            return (QType::S8, None);
        }
        let wanted = if let Granularity::Block(size) = self.options.granularity { size } else { TABLE_BLOCK };
        // Not every runtime reads a block that is longer than what is left of a row.
        let whole = |size: &usize| table.shape()[1].is_multiple_of(*size);
        match std::iter::successors(Some(wanted), |size| Some(size / 2))
            .take_while(|s| *s >= Granularity::LEAST)
            .find(whole)
        {
            Some(size) => (QType::U4, Some(size)),
            None => (QType::S8, None),
        }
    }
}
