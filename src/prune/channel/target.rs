//! How many channels go for a share of MACs, of parameters, or of latency.
//!
//! ```text
//! latency   the largest share of MACs whose model runs in the time wanted, found by halving the interval; original and cut are timed in turns
//! ```

use super::allocate::{Choice, allocate};
use super::budget::{Budget, Unit};
use super::{Ground, cut};
use crate::analysis::dependency::Group;
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::prune::Goal;
use crate::prune::shrink::shrink;
use crate::runtime::timing::{LatencyOptions, interleaved, quantile, ratios};
use crate::runtime::{Rewrites, load_as_it_stands};

/// Halvings of the interval of shares.
const HALVINGS: usize = 6;

/// Channels gone of each group.
///
/// # Errors
/// Usage, where the goal is none for channels or cannot be reached.
pub fn counts(
    model: &Model,
    groups: &[Group],
    (choices, budget): (&[Choice], &Budget),
    goal: Goal,
    ground: Option<Ground>,
) -> Result<Vec<usize>> {
    match goal {
        Goal::Macs(share) => Ok(allocate(choices, &budget.by(Unit::Macs), share)),
        Goal::Size(share) => Ok(allocate(choices, &budget.by(Unit::Parameters), share)),
        Goal::Latency(share) => {
            let ground = ground.ok_or_else(|| Error::usage("--target-latency is measured: give --data"))?;
            by_latency(model, groups, (choices, budget), share, ground)
        }
        other => Err(Error::usage(format!("{other}: channels go by --target-macs, --target-size or --target-latency"))),
    }
}

fn by_latency(
    model: &Model,
    groups: &[Group],
    (choices, budget): (&[Choice], &Budget),
    share: f64,
    ground: Ground,
) -> Result<Vec<usize>> {
    let inputs = ground.dataset.batch(0)?.inputs;
    let time = |counts: &[usize]| -> Result<f64> {
        let mut small = model.clone();
        shrink(&mut small, groups, &cut(groups, choices, counts))?;
        let load = |m: &Model| load_as_it_stands(ground.runtime, m, &inputs, (Rewrites::Runtime, 1));
        let ((before, fed), (after, _)) = (load(model)?, load(&small)?);
        let times = interleaved(&[(&*before, &fed), (&*after, &fed)], &LatencyOptions::default())?;
        Ok(quantile(&ratios(&times[1], &times[0]), 0.5))
    };
    let (mut low, mut high) = (0.0, 1.0);
    let mut best: Option<Vec<usize>> = None;
    for _ in 0..HALVINGS {
        let middle = (low + high) / 2.0;
        let counts = allocate(choices, &budget.by(Unit::Macs), middle);
        let ratio = time(&counts)?;
        tracing::debug!("{middle:.3} of the multiply-accumulates: {ratio:.3} of the latency");
        if ratio <= share {
            (low, best) = (middle, Some(counts));
        } else {
            high = middle;
        }
    }
    best.ok_or_else(|| {
        let least = 100.0 * share;
        Error::usage(format!("no cut of channels brings the latency to {least:.0} % in {}", ground.runtime.name()))
    })
}
