//! How important a channel is.
//!
//! ```text
//! reconstruction         what the outputs of the layers that read it lose when their other weights make up for it (see order)
//! activation-variance    E[(x − x̄)²] of its values where layers read them: a constant channel is made up for by biases
//! the others             Σ of the scores of its weights, in the layers that make it and in those that read it
//! ```
//!
//! So magnitude is the L1 norm of a channel's weights, l2 the square of their L2 norm, taylor Σ E|g·w|, fisher Σ mean(g²)·w².

use std::collections::BTreeSet;

use super::order::{Consumer, Gram};
use crate::analysis::dependency::{Group, consumers, producers};
use crate::error::{Error, Result};
use crate::ir::Model;
use crate::progress::Progress;
use crate::prune::criterion::{self, Criterion, Scored};
use crate::prune::{Data, Needs, PruneOptions, statistics, tensors};

/// A criterion that channels have a name of their own for.
#[derive(Debug)]
pub struct ChannelCriterion {
    /// As `--criterion` takes it.
    pub name: &'static str,
    /// One line for help.
    pub summary: &'static str,
    by: By,
}

/// Where scores come from.
#[derive(Debug, Clone, Copy)]
pub enum By {
    /// What the layers after the channels cannot give without them.
    Reconstruction,
    /// How much the values of the channel vary.
    Variance,
    /// A criterion of weights, added up over the channel.
    Weights(&'static Criterion),
}

static L2: Criterion = Criterion {
    name: "l2",
    summary: "the smallest weights",
    needs: Needs::Nothing,
    score: |s| s.weights.iter().map(|w| w * w).collect(),
};

/// Those that are not criteria of single weights; the first is the default.
pub static CHANNEL_CRITERIA: &[ChannelCriterion] = &[
    ChannelCriterion {
        name: "reconstruction",
        summary: "channels without which the layers after them can still give their outputs",
        by: By::Reconstruction,
    },
    ChannelCriterion { name: "l2", summary: "channels whose weights have the smallest L2 norm", by: By::Weights(&L2) },
    ChannelCriterion { name: "activation-variance", summary: "channels whose values vary least", by: By::Variance },
];

/// The criterion of that name; that of single weights called `hessian` is reconstruction for channels.
///
/// # Errors
/// Usage, with the names there are.
pub fn find(name: &str) -> Result<By> {
    if let Some(own) = CHANNEL_CRITERIA.iter().find(|c| c.name == name || name == "hessian") {
        return Ok(own.by);
    }
    let unknown = |_| Error::usage(format!("there is no criterion \"{name}\"; for channels there are {}", names()));
    criterion::find(name).map(By::Weights).map_err(unknown)
}

/// The names that channels can be scored by.
pub fn names() -> String {
    let own = CHANNEL_CRITERIA.iter().map(|c| c.name);
    let names: Vec<&str> = own.chain(criterion::CRITERIA.iter().map(|c| c.name)).collect();
    names.join(", ")
}

/// For each group the score of each channel from its weights, higher where it matters more.
pub fn by_weights(
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
        let readers = producers(model, group).into_iter().chain(consumers(model, group));
        // Nodes that share a weight read it once.
        let weights: BTreeSet<_> = readers.map(|r| (r.weight, r.member)).collect();
        for (weight, member) in weights {
            let Some(i) = tensors.iter().position(|t| t.value == weight) else { continue };
            let member = &group.members[member];
            let inner: usize = tensors[i].shape[member.axis + 1..].iter().product();
            for (at, score) in scores[i].iter().enumerate() {
                sums[member.channels[at / inner % member.channels.len()]] += f64::from(*score);
            }
        }
        sums
    };
    Ok(groups.iter().map(of_group).collect())
}

/// The variance of each channel, the mean over all places where a layer reads it.
pub fn by_variance(channels: usize, read: &[(&Consumer, &[Gram])]) -> Vec<f64> {
    let of = |c: usize| {
        let places = read.iter().flat_map(|(consumer, grams)| {
            grams.iter().flat_map(move |gram| consumer.blocks[c].iter().filter_map(|k| gram.variance.get(*k)))
        });
        let (sum, count) = places.fold((0.0, 0usize), |(sum, count), v| (sum + v, count + 1));
        sum / count.max(1) as f64
    };
    (0..channels).map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_has_the_mean_variance_of_its_places() {
        let consumer = Consumer { layer: 0, blocks: vec![vec![0, 1], vec![2]] };
        let gram = [Gram { sums: Vec::new(), variance: vec![1.0, 3.0, 0.5] }];
        assert_eq!(by_variance(2, &[(&consumer, &gram)]), [2.0, 0.5]);
    }

    #[test]
    fn names_are_found_and_others_told() {
        assert!(matches!(find("hessian").unwrap(), By::Reconstruction));
        assert!(matches!(find("taylor").unwrap(), By::Weights(c) if c.name == "taylor"));
        assert!(find("variance").unwrap_err().to_string().ends_with("random"));
    }
}
