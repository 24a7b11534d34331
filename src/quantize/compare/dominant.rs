//! A node that makes most of the error stays in float.
//!
//! Errors of the nodes add up in the outputs, so that one whose return to float gains [`MOST`] dB makes half of the error power or more. It
//! lies in every part of the nodes whose return gains as much, and halves lead to it:
//!
//! ```text
//! all nodes ─► halves, each in float for itself: neither gains 3 dB ─► there is none
//!                                                one does           ─► its halves ─► … ─► a node
//! ```
//!
//! That takes 2·log₂ n judgements instead of n; where no node dominates, two or four. Repeated until the outputs are near
//! enough or the next node makes less than half of what is left; never for more than every third node, or one that the user named.
//! A spectrogram's convolution, whose small values count as much as its large ones, is such a node.

use std::collections::BTreeMap;

use super::Ground;
use super::judge::{Judge, Score};
use crate::error::Result;
use crate::quantize::options::Filters;
use crate::quantize::plan::{Decision, QuantPlan};
use crate::quantize::without;

/// What a node's return to float must gain, in dB: half of the error.
const MOST: f64 = 3.0;
/// From this SQNR on, in dB, nothing is looked for.
const NEAR: f64 = 20.0;
/// One of so many nodes may go back.
const SHARE: usize = 3;

/// `plan`, which `score` says how near comes, with the nodes in float that make most of its error.
///
/// # Errors
/// What the data or the runtime refuse.
pub(super) fn leave_out(
    ground: Ground,
    (mut plan, mut score): (QuantPlan, Score),
    judge: &Judge,
) -> Result<(QuantPlan, Score)> {
    let filters = Filters::new(&plan.options)?;
    let mut nodes: Vec<usize> = Vec::new();
    for (i, node) in plan.nodes.iter().enumerate() {
        let rounds = node.decision.computes() || matches!(node.decision, Decision::Recurrent { .. });
        if rounds && !filters.insists(&node.node, &node.op_type) {
            nodes.push(i);
        }
    }
    for _ in 0..nodes.len() / SHARE {
        if score.sqnr >= NEAR {
            break;
        }
        let Some((node, better)) = dominant(ground, &plan, &score, &nodes, judge)? else { break };
        let reason = "it makes most of the error (--include insists)".to_string();
        let name = plan.nodes[node].node.clone();
        plan = without(ground.model, &plan, &BTreeMap::from([(node, reason)]))?;
        let (before, after) = (score.sqnr, better.sqnr);
        plan.notes.push(format!(
            "{name} stays in float, since it makes most of the error: {before:.1} dB with it, {after:.1} dB without"
        ));
        nodes.retain(|n| *n != node);
        score = better;
    }
    Ok((plan, score))
}

/// Of these nodes the one that makes most of the error, if one does, and how near the plan comes without it.
fn dominant(
    ground: Ground,
    plan: &QuantPlan,
    score: &Score,
    nodes: &[usize],
    judge: &Judge,
) -> Result<Option<(usize, Score)>> {
    let mut part = nodes;
    loop {
        let halves = part.split_at(part.len().div_ceil(2));
        let halves: Vec<&[usize]> = [halves.0, halves.1].into_iter().filter(|half| !half.is_empty()).collect();
        let float = |half: &&[usize]| without(ground.model, plan, &half.iter().map(|n| (*n, String::new())).collect());
        let plans: Vec<QuantPlan> = halves.iter().map(float).collect::<Result<_>>()?;
        let scores = judge.scores(&plans.iter().collect::<Vec<_>>())?;
        let best = halves.into_iter().zip(scores).max_by(|a, b| a.1.score.total_cmp(&b.1.score));
        let Some((half, found)) = best.filter(|(_, found)| found.score >= score.score + MOST) else { return Ok(None) };
        if let [node] = half {
            return Ok(Some((*node, found)));
        }
        part = half;
    }
}
