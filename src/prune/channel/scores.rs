//! Scores of whole channels from a criterion that scores weights.
//!
//! ```text
//! score of channel c = Σ of the scores of its weights, in the layers that make it and in those that read it
//! ```
//!
//! So magnitude is the L1 norm of a channel, taylor Σ|g·w|, fisher Σ g²w².

use crate::analysis::dependency::{Group, consumers, producers};
use crate::error::Result;
use crate::ir::Model;
use crate::progress::Progress;
use crate::prune::criterion::{Criterion, Scored};
use crate::prune::{Data, PruneOptions, statistics, tensors};

/// For each group the score of each channel, higher where it matters more.
pub fn of_channels(
    model: &Model,
    groups: &[Group],
    (criterion, options): (&Criterion, &PruneOptions),
    data: Option<Data>,
    progress: &dyn Progress,
) -> Result<Vec<Vec<f64>>> {
    let tensors = tensors::listed(model, options)?;
    let mut scores = vec![Vec::new(); tensors.len()];
    statistics::each(criterion.needs, (model, &tensors), (data, options.seed), progress, |i, statistics| {
        if let Some(weights) = tensors[i].numbers(model) {
            let scored = Scored { weights: &weights, statistics, seed: options.seed ^ i as u64 };
            scores[i] = (criterion.score)(&scored);
        }
    })?;
    let of_group = |group: &Group| {
        let mut sums = vec![0f64; group.stays.len()];
        for reader in producers(model, group).into_iter().chain(consumers(model, group)) {
            let Some(i) = tensors.iter().position(|t| t.value == reader.weight) else { continue };
            let member = &group.members[reader.member];
            let inner: usize = tensors[i].shape[member.axis + 1..].iter().product();
            for (at, score) in scores[i].iter().enumerate() {
                sums[member.channels[at / inner % member.channels.len()]] += f64::from(*score);
            }
        }
        sums
    };
    Ok(groups.iter().map(of_group).collect())
}
