//! The damage of each node alone: what its integers do to the outputs while everything else is float.

use std::collections::BTreeMap;
use std::fmt;

use rayon::prelude::*;
use schemars::JsonSchema;
use serde::Serialize;

use super::Subject;
use crate::error::Result;
use crate::quantize::{Decision, QuantPlan, without};
use crate::validate::accuracy::{Accuracy, OutputDrift, worst_agreement, worst_db};
use crate::validate::paired::Paired;

/// Batches on which the damage of single nodes is measured, spread over the data: an order needs fewer than a promise.
const BATCHES: usize = 16;

/// The damage of every node that is quantized, worst first.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Sensitivity {
    /// Where it was measured.
    pub runtime: String,
    /// As in `100 images`.
    pub data: String,
    /// Batches of them that were run.
    pub batches: usize,
    /// All nodes together.
    pub together: Damage,
    /// Every quantized node alone, worst first.
    pub nodes: Vec<NodeDamage>,
    /// Nodes that stay float in any case, with the reason.
    pub kept: Vec<(String, String)>,
}

/// One node.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeDamage {
    /// Its name, or that of its first output.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// With this node alone quantized.
    #[serde(flatten)]
    pub damage: Damage,
    #[serde(skip)]
    pub(super) place: usize,
}

/// What happens to the outputs.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Damage {
    /// Of the worst output.
    pub sqnr_db: Option<f64>,
    /// Share of positions with the same arg-max.
    pub agreement: Option<f64>,
    /// With labels.
    pub top1: Option<Paired>,
}

impl Damage {
    pub(super) fn of(a: &Accuracy) -> Self {
        let outputs: Vec<OutputDrift> = a.outputs();
        Damage { sqnr_db: worst_db(&outputs), agreement: worst_agreement(&outputs), top1: a.task().map(|t| t.top1) }
    }
}

/// Measures what each quantized node of `plan` does to the outputs alone.
///
/// # Errors
/// What the runtime says of the model, or the data of themselves.
pub fn sensitivity(subject: &Subject, plan: &QuantPlan) -> Result<Sensitivity> {
    until(&|| false, subject, plan)
}

/// The same of the nodes that come before the time is up; of the others nothing is known, and they come last.
pub(super) fn until(is_over: &(dyn Fn() -> bool + Sync), subject: &Subject, plan: &QuantPlan) -> Result<Sensitivity> {
    let all = subject.batches();
    let count = all.len().min(BATCHES);
    let batches: Vec<usize> = (0..count).map(|i| all[i * all.len() / count]).collect();
    let quantized: Vec<usize> = places(plan);
    let alone = |place: &usize| -> Result<NodeDamage> {
        let damage = if is_over() {
            Damage::of(&Accuracy::default())
        } else {
            let others = quantized.iter().filter(|p| *p != place).map(|p| (*p, String::new()));
            let single = without(subject.model, plan, &others.collect())?;
            Damage::of(&subject.measure(&single, &batches)?)
        };
        subject.progress.step(1);
        let node = &plan.nodes[*place];
        Ok(NodeDamage { node: node.node.clone(), op_type: node.op_type.clone(), damage, place: *place })
    };
    subject.progress.start("measuring nodes", quantized.len() as u64);
    let mut nodes = Vec::new();
    for pack in quantized.chunks(subject.beside()) {
        nodes.extend(pack.par_iter().map(alone).collect::<Result<Vec<_>>>()?);
    }
    subject.progress.finish();
    let worth = |n: &NodeDamage| n.damage.sqnr_db.unwrap_or(f64::INFINITY);
    nodes.sort_by(|a, b| worth(a).total_cmp(&worth(b)));
    Ok(Sensitivity {
        runtime: subject.runtime.name().into(),
        data: subject.dataset.describe(),
        batches: batches.len(),
        together: Damage::of(&subject.measure(plan, &batches)?),
        nodes,
        kept: plan.kept().map(|(n, why)| (n.node.clone(), why.to_string())).collect(),
    })
}

/// Places of the nodes that are quantized.
pub(super) fn places(plan: &QuantPlan) -> Vec<usize> {
    let quantized = |i: &usize| !matches!(plan.nodes[*i].decision, Decision::Keep { .. });
    (0..plan.nodes.len()).filter(quantized).collect()
}

/// Reasons for nodes to stay float, by place.
pub(super) type Float = BTreeMap<usize, String>;

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.sqnr_db {
            Some(db) => write!(f, "{db:>8.1} dB")?,
            None => write!(f, "{:>11}", "—")?,
        }
        if let Some(a) = self.agreement {
            write!(f, "  {:>6.2} %", 100.0 * a)?;
        }
        if let Some(t) = self.top1 {
            write!(f, "  {:>+6.2}", 100.0 * t.difference)?;
        }
        Ok(())
    }
}

impl fmt::Display for Sensitivity {
    /// One line a node, worst first, then all together.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let labels = |n: &NodeDamage| format!("{} ({})", n.node, n.op_type);
        let width = self.nodes.iter().map(|n| labels(n).chars().count()).max().unwrap_or(0).clamp(12, 60);
        let agreement = if self.together.agreement.is_some() { "  agreement" } else { "" };
        let top1 = if self.together.top1.is_some() { "  top-1" } else { "" };
        writeln!(
            f,
            "{:<width$}         SQNR{agreement}{top1}     alone in integers, {} batches of {}, in {}",
            "node", self.batches, self.data, self.runtime
        )?;
        for n in &self.nodes {
            writeln!(f, "{:<width$}  {}", labels(n), n.damage)?;
        }
        writeln!(f, "{:<width$}  {}", "all together", self.together)?;
        for (node, why) in &self.kept {
            writeln!(f, "float  {node}  {why}")?;
        }
        Ok(())
    }
}
