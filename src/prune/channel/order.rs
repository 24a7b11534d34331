//! In which order the channels of a group go, and what each step costs the layers that read them.
//!
//! ```text
//! score of channel c = Σ over the layers that sum over the group of E(c) ÷ Σ ‖y‖²        E as in second_order::elimination
//! ```
//!
//! Every layer counts by the share of its own output's energy, so that one that reads large numbers does not outvote the others.

use std::collections::BTreeMap;

use faer::Mat;

use crate::analysis::dependency::{Group, consumers};
use crate::ir::{Model, NodeId};
use crate::second_order::{Elimination, Layer};

const DAMPING: f64 = 0.01;
/// Steps in which the channels of a group go; more channels than these go several at once.
const STEPS: usize = 160;

/// What the weights of layers become, by the place of the layer.
pub type Rewritten = Vec<(usize, Vec<f32>)>;

/// Channels in the order in which they go, as far as they may.
#[derive(Debug, Clone, Default)]
pub struct Order {
    pub channels: Vec<usize>,
    /// Σ of the scores of the first n + 1.
    pub damage: Vec<f64>,
    /// What the layers' weights become by some of the steps: after how many, and the weights of each layer.
    pub stops: Vec<(usize, Rewritten)>,
}

/// What one group of a layer's outputs reads.
#[derive(Debug)]
pub struct Gram {
    /// The lower half of Σ x·xᵀ, row after row, of rows that end in a 1 where there is a bias.
    pub sums: Vec<f32>,
    /// Of each x; none where nothing was read.
    pub variance: Vec<f64>,
}

impl Gram {
    /// Where nothing was read: all inputs count alike, and E(c) is the L2 norm of the weights on c.
    pub fn unknown(width: usize) -> Gram {
        let sums = (0..width).flat_map(|i| (0..=i).map(move |j| if i == j { 1.0 } else { 0.0 })).collect();
        Gram { sums, variance: Vec::new() }
    }

    /// Σ x·xᵀ.
    fn matrix(&self, width: usize) -> Mat<f64> {
        let at = |i: usize, j: usize| f64::from(self.sums[i * (i + 1) / 2 + j]);
        Mat::from_fn(width, width, |i, j| at(i.max(j), i.min(j)))
    }
}

/// Σ ‖w·x‖² over the rows of `weights`, for Σ x·xᵀ.
fn energy(gram: &Mat<f64>, weights: &[f32]) -> f64 {
    let width = gram.nrows();
    let w = Mat::from_fn(width, weights.len() / width.max(1), |k, o| f64::from(weights[o * width + k]));
    let gw = gram * &w;
    (0..w.ncols()).map(|o| w.col(o).transpose() * gw.col(o)).sum()
}

/// A layer that sums over a group, and the weights of each channel.
pub struct Consumer {
    /// Which of the layers.
    pub layer: usize,
    pub blocks: Vec<Vec<usize>>,
}

/// The layers among `layers` that sum over the channels of a group.
pub fn of_group(model: &Model, group: &Group, layers: &BTreeMap<NodeId, usize>, list: &[Layer]) -> Vec<Consumer> {
    let mut found: Vec<Consumer> = Vec::new();
    for reader in consumers(model, group) {
        let Some(layer) = layers.get(&reader.node) else { continue };
        let positions = &group.members[reader.member].channels;
        let depth = list[*layer].contraction.depth;
        let each = depth / positions.len().max(1);
        let mut blocks = vec![Vec::new(); group.stays.len()];
        for (p, channel) in positions.iter().enumerate() {
            blocks[*channel].extend(p * each..(p + 1) * each);
        }
        found.push(Consumer { layer: *layer, blocks });
    }
    found
}

/// Removes channels one by one as long as every axis keeps what it needs: those of the lowest `scores`, or of the lowest cost where there are
/// none. `stops` are shares of the channels.
pub fn order(
    model: &Model,
    group: &Group,
    consumers: &[(&Consumer, &[Gram])],
    layers: &[Layer],
    scores: Option<&[f64]>,
    stops: &[f64],
) -> Option<Order> {
    let mut parts = eliminations(model, consumers, layers).filter(|parts| !parts.is_empty())?;
    let free = group.free();
    let mut order = Order::default();
    let mut gone = vec![false; group.stays.len()];
    let shares = shares(group);
    // Positions of each member that may go.
    let mut left: Vec<usize> = group.members.iter().map(|m| m.channels.len().saturating_sub(m.least)).collect();
    let mut damage = 0.0;
    let each = free.len().div_ceil(STEPS).max(1);
    let mut stops: Vec<usize> = stops.iter().map(|s| (s * free.len() as f64).round() as usize).collect();
    stops.retain(|s| *s > 0);
    loop {
        let may = |c: &&usize| !gone[**c] && shares[**c].iter().all(|(m, n)| left[*m] >= *n);
        let cost = |c: usize| parts.iter().map(|(e, all)| all.iter().map(|x| x.cost(c)).sum::<f64>() / e).sum::<f64>();
        let mut next: Vec<(f64, usize)> =
            free.iter().filter(may).map(|c| (scores.map_or_else(|| cost(*c), |scores| scores[*c]), *c)).collect();
        next.sort_by(|a, b| a.0.total_cmp(&b.0));
        // No further than the next stop, and no axis to its end.
        let stop = stops.iter().map(|s| s.saturating_sub(order.channels.len())).filter(|n| *n > 0).min();
        next.truncate(each.min(stop.unwrap_or(each)));
        let mut taken = Vec::with_capacity(next.len());
        for (_, c) in next {
            if shares[c].iter().all(|(m, n)| left[*m] >= *n) {
                shares[c].iter().for_each(|(m, n)| left[*m] -= n);
                gone[c] = true;
                taken.push(c);
            }
        }
        if taken.is_empty() {
            break;
        }
        let losses = parts.iter_mut().map(|(e, all)| all.iter_mut().map(|x| x.remove(&taken)).sum::<f64>() / *e);
        let loss: f64 = losses.sum();
        for (i, c) in taken.iter().enumerate() {
            order.channels.push(*c);
            order.damage.push(damage + loss * (i + 1) as f64 / taken.len() as f64);
        }
        damage += loss;
        if stops.contains(&order.channels.len()) {
            let weights = consumers.iter().zip(&parts);
            let weights =
                weights.map(|((c, _), (_, all))| (c.layer, all.iter().flat_map(Elimination::weights).collect()));
            order.stops.push((order.channels.len(), weights.collect()));
        }
    }
    Some(order)
}

/// For each consumer its energy, and the eliminations of its groups.
fn eliminations(
    model: &Model,
    consumers: &[(&Consumer, &[Gram])],
    layers: &[Layer],
) -> Option<Vec<(f64, Vec<Elimination>)>> {
    let part = |(consumer, grams): &(&Consumer, &[Gram])| {
        let layer = &layers[consumer.layer];
        let weights = layer.numbers(model)?;
        let (width, mut sum) = (layer.width(), 0.0);
        let mut eliminations = Vec::with_capacity(grams.len());
        for (gram, w) in grams.iter().zip(weights.chunks(layer.contraction.outputs * width)) {
            let gram = gram.matrix(width);
            sum += energy(&gram, w);
            eliminations.push(Elimination::new(gram, w, consumer.blocks.clone(), DAMPING)?);
        }
        Some((sum.max(f64::MIN_POSITIVE), eliminations))
    };
    consumers.iter().map(part).collect()
}

/// For each channel how many positions it has in which members: no axis may lose all of them.
pub fn shares(group: &Group) -> Vec<Vec<(usize, usize)>> {
    let mut shares: Vec<Vec<(usize, usize)>> = vec![Vec::new(); group.stays.len()];
    for (m, member) in group.members.iter().enumerate() {
        for c in &member.channels {
            match shares[*c].last_mut() {
                Some((last, n)) if *last == m => *n += 1,
                _ => shares[*c].push((m, 1)),
            }
        }
    }
    shares
}
