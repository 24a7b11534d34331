//! One streaming pass over a dataset that fills the statistics of the values asked for.
//!
//! Every core runs batches of its own and observes them at once, so that memory is
//! O(values × bins + cores × one batch's activations) however many samples there are. Merging is exact,
//! so the result does not depend on which core ran which batch.

use std::cmp::Reverse;
use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Calibrator, Statistics};
use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::progress::Progress;
use crate::runtime::{Runtime, Shaped, cores};

/// Runs `dataset` through `model` and observes the floating-point tensors among `values` (names of
/// outputs of nodes, or of inputs of the model).
///
/// # Errors
/// What the data or the runtime refuse; the first error stops the pass.
pub fn collect(
    model: &Model,
    dataset: &Dataset,
    runtime: &dyn Runtime,
    calibrator: Calibrator,
    values: &[String],
    progress: &dyn Progress,
) -> Result<Statistics> {
    let session = Shaped::new(runtime, model, values);
    let batches = dataset.batch_count();
    // Equal shapes one after the other, so that their session is made once; the largest first, so that cores end together.
    let mut order: Vec<usize> = (0..batches).collect();
    order.sort_by_cached_key(|index| Reverse(dataset.shapes(*index).unwrap_or_default()));
    let next = AtomicUsize::new(0);
    progress.start("calibrating", dataset.len() as u64);
    let work = || -> Result<Statistics> {
        let mut own = Statistics::new(calibrator, values.iter().cloned());
        loop {
            let index = next.fetch_add(1, Ordering::Relaxed);
            if index >= batches {
                return Ok(own);
            }
            let done = observe(&session, dataset, order[index], values, &mut own);
            // The others need not go on after an error.
            progress.step(done.inspect_err(|_| next.store(batches, Ordering::Relaxed))?);
        }
    };
    let cores = cores().min(batches.max(1));
    // Threads that end give back what they kept: on those of the pool EfficientNet takes 234 instead of 211 MB.
    let parts: Vec<Result<Statistics>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let gone = |_| Err(Error::internal("a calibration thread panicked"));
        threads.into_iter().map(|t| t.join().unwrap_or_else(gone)).collect()
    });
    progress.finish();
    let mut all = Statistics::new(calibrator, values.iter().cloned());
    for part in parts {
        all.merge(part?)?;
    }
    Ok(all)
}

/// Runs one batch; the number of its samples.
fn observe(session: &Shaped, dataset: &Dataset, index: usize, values: &[String], into: &mut Statistics) -> Result<u64> {
    let batch = dataset.batch(index)?;
    let results = session.run(&batch.inputs)?;
    // By name: a tap in a branch that is not taken is absent. An output that is a tap too comes twice.
    let mut left: HashSet<&str> = values.iter().map(String::as_str).collect();
    for (name, tensor) in &results {
        if left.remove(name.as_str())
            && tensor.dtype().is_float()
            && !tensor.is_empty()
            && let Some(numbers) = tensor.to_f32()
        {
            into.observe(name, &numbers);
        }
    }
    into.samples += batch.samples as u64;
    Ok(batch.samples as u64)
}
