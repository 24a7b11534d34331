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

use super::Ground;
use super::judge::Judge;
use crate::error::Result;
use crate::quantize::filters::Filters;
use crate::quantize::plan::{Decision, QuantPlan};
use crate::quantize::without;
use crate::runtime::Score;

/// What a node's return to float must gain, in dB: half of the error.
const MOST: f64 = 3.0;
/// From this SQNR on, in dB, nothing is looked for.
const NEAR: f64 = 20.0;
/// One of so many nodes may go back.
const SHARE: usize = 3;
/// Why it stays in float, as the plan says it.
const REASON: &str = "it makes most of the error (--include insists)";

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
        let rounds =
            matches!(node.decision, Decision::Quantize { .. } | Decision::Product { .. } | Decision::Recurrent { .. });
        if rounds && !filters.insists(&node.node, &node.op_type) {
            nodes.push(i);
        }
    }
    for _ in 0..nodes.len() / SHARE {
        if score.sqnr >= NEAR {
            break;
        }
        let Some((node, without, better)) = dominant(ground, (&plan, &score), &nodes, judge)? else { break };
        let (name, before, after) = (&plan.nodes[node].node, score.sqnr, better.sqnr);
        let note = format!(
            "{name} stays in float, since it makes most of the error: {before:.1} dB with it, {after:.1} dB without"
        );
        nodes.retain(|n| *n != node);
        (plan, score) = (without, better);
        plan.notes.push(note);
    }
    Ok((plan, score))
}

/// Of these nodes, two at least, the one that makes most of the error, if one does; the plan without it, and how near that comes.
fn dominant(
    ground: Ground,
    (plan, score): (&QuantPlan, &Score),
    nodes: &[usize],
    judge: &Judge,
) -> Result<Option<(usize, QuantPlan, Score)>> {
    let mut part = nodes;
    loop {
        let (first, second) = part.split_at(part.len().div_ceil(2));
        let halves = [first, second];
        let float = |half: &[usize]| without(ground.model, plan, &half.iter().map(|n| (*n, REASON.into())).collect());
        let plans = halves.into_iter().map(float).collect::<Result<Vec<_>>>()?;
        let scores = judge.scores(&plans.iter().collect::<Vec<_>>())?;
        let best = halves.into_iter().zip(plans).zip(scores).max_by(|(_, a), (_, b)| a.score.total_cmp(&b.score));
        let best = best.filter(|(_, found)| found.score >= score.score + MOST);
        let Some(((half, without), found)) = best else { return Ok(None) };
        if let [node] = half {
            return Ok(Some((*node, without, found)));
        }
        part = half;
    }
}
