//! Decisions that need more than statistics: the model runs in pieces on a few batches, and what comes out is compared.
//!
//! - `refine`: which of several ranges changes least what is computed from a value
//! - `correct`: by how much quantization shifts each channel on average, to be taken from its bias
//! - [`choose`]: which plan brings the outputs nearest to those of the float model
//!
//! Both give the same result however many threads there are: batches are added up in their order.

mod biases;
mod choose;
mod pieces;
mod press;
mod ranges;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use biases::correct;
pub use choose::choose;
use ranges::refine;

use crate::data::Dataset;
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::progress::Progress;
use crate::quantize::plan::QuantPlan;
use crate::quantize::{Format, apply};

/// Memory that the values of the batches in flight may take, beyond which fewer run at a time.
const ROOM: usize = 128 << 20;

/// The model with `plan` applied as Q/DQ, which says the arithmetic of every static form.
fn as_qdq(model: &Model, plan: &QuantPlan) -> Result<Model> {
    let (mut model, mut plan) = (model.clone(), plan.clone());
    plan.options.format = Format::Qdq;
    apply(&mut model, &plan)?;
    Ok(model)
}

/// Which `count` batches are looked at, spread evenly; all where there are fewer.
fn spread(dataset: &Dataset, count: usize) -> Vec<usize> {
    let all = dataset.batch_count();
    let count = count.min(all);
    (0..count).map(|i| i * all / count).collect()
}

/// What `look` sees in each of these batches, in their order. It also says how many bytes it held meanwhile.
fn each_batch<T: Send>(
    what: &str,
    batches: &[usize],
    progress: &dyn Progress,
    look: impl Fn(usize) -> Result<(T, usize)> + Sync,
) -> Result<Vec<T>> {
    let Some((first, rest)) = batches.split_first() else { return Ok(Vec::new()) };
    progress.start(what, batches.len() as u64);
    // The first alone: it tells how much memory one takes.
    let (seen, bytes) = look(*first)?;
    progress.step(1);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let workers = (ROOM / bytes.max(1)).clamp(1, cores).min(rest.len());
    let next = AtomicUsize::new(0);
    let found = Mutex::new(vec![(0, seen)]);
    let work = || -> Result<()> {
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(batch) = rest.get(i) else { return Ok(()) };
            // The others need not go on after an error.
            let (seen, _) = look(*batch).inspect_err(|_| next.store(rest.len(), Ordering::Relaxed))?;
            found.lock().unwrap_or_else(PoisonError::into_inner).push((i + 1, seen));
            progress.step(1);
        }
    };
    let done: Vec<Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        let gone = |_| Err(Error::internal("a measuring thread panicked"));
        threads.into_iter().map(|t| t.join().unwrap_or_else(gone)).collect()
    });
    progress.finish();
    done.into_iter().collect::<Result<()>>()?;
    let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
    found.sort_by_key(|(i, _)| *i);
    Ok(found.into_iter().map(|(_, seen)| seen).collect())
}
