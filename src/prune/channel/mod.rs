//! Channels that go away: which ones, how many of each group, and what the others become.
//!
//! ```text
//! groups ─► order in each (second_order::elimination) ─► damage by so many, measured ─► how many of each for the MACs wanted
//!        ─► shrink ─► layers after the cut solved anew
//! ```
//!
//! [`decide`] makes a [`ChannelPlan`], a printable value that holds the cut and the weights that were solved; [`apply`] writes them.

mod allocate;
mod budget;
mod compensate;
pub mod criterion;
mod decide;
mod ground;
mod order;
mod rows;
mod sensitivity;
mod target;

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use allocate::Choice;
pub use decide::decide;
use ground::Ground;

use super::Goal;
use super::shrink::shrink;
use crate::analysis::dependency::{self, Group};
use crate::analysis::infer;
use crate::error::{Error, Result};
use crate::ir::{GraphEdit, Model};
use crate::second_order::Solved;

/// What goes as one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unit {
    /// A channel, or several that only go together.
    Channels,
    /// An attention head.
    Heads,
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Unit::Channels => "channels",
            Unit::Heads => "heads",
        })
    }
}

/// One group of channels.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct GroupPlan {
    /// The first node that makes them.
    pub node: String,
    /// What is counted.
    pub unit: Unit,
    /// Those that there are, in the layer that has the most.
    pub channels: usize,
    /// Those of it that go.
    pub gone: usize,
    /// What losing them costs the outputs: the share of their energy, as measured for this group alone.
    pub damage: f64,
    /// Why all of them stay.
    pub kept: Option<String>,
}

/// How many channels of every group go, and what that saves.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChannelPlan {
    /// Every group, in the order of the graph.
    pub groups: Vec<GroupPlan>,
    /// Multiply-accumulates of one sample, before and after.
    pub macs: (u64, u64),
    /// Numbers in float constants, before and after.
    pub parameters: (usize, usize),
    /// Layers solved anew.
    pub solved: usize,
    /// Layers after a cut that keep their weights, and why.
    pub unsolved: Vec<(String, String)>,
    /// What is not counted, not reached or not done.
    pub notes: Vec<String>,
    #[serde(skip)]
    cut: Cut,
}

/// A share that is this much smaller than the one asked for is told, where no other choice costs less.
const FURTHER: f64 = 0.02;

impl ChannelPlan {
    /// Without what it does to the model.
    pub(super) fn told(self) -> Self {
        ChannelPlan { cut: Cut::default(), ..self }
    }

    /// What to say where the goal is not reached: no group can lose more.
    fn missed(&self, goal: Goal) -> Option<String> {
        let share = |(before, after): (f64, f64)| after / before.max(1.0);
        let (what, wanted, left) = match goal {
            Goal::Macs(wanted) => ("multiply-accumulates", wanted, share((self.macs.0 as f64, self.macs.1 as f64))),
            Goal::Size(wanted) => ("parameters", wanted, share((self.parameters.0 as f64, self.parameters.1 as f64))),
            _ => return None,
        };
        let why = match left - wanted {
            over if over > 1e-3 => "the other groups keep their channels",
            over if over < -FURTHER => "channels go in blocks, and no choice nearer to that costs the outputs less",
            _ => return None,
        };
        let (asked, left) = (100.0 * wanted, 100.0 * left);
        Some(format!("{asked:.1} % of the {what} were wanted, {left:.1} % are left: {why}"))
    }
}

/// What the plan does to the model that it was made for.
#[derive(Debug, Clone, Default)]
struct Cut {
    groups: Vec<Group>,
    gone: Vec<Vec<bool>>,
    solved: Vec<Solved>,
}

/// What was done.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct ChannelReport {
    /// Groups that lost channels.
    pub groups: usize,
    /// Channels that went, each counted once where several layers lost it.
    pub channels: usize,
    /// Heads that went.
    pub heads: usize,
    /// Multiply-accumulates of one sample, before and after.
    pub macs: (u64, u64),
    /// Numbers in float constants, before and after.
    pub parameters: (usize, usize),
    /// Layers solved anew.
    pub solved: usize,
}

/// Which channels are gone, where so many of each order are.
fn cut(groups: &[Group], choices: &[Choice], counts: &[usize]) -> Vec<Vec<bool>> {
    let mut gone: Vec<Vec<bool>> = groups.iter().map(|g| vec![false; g.stays.len()]).collect();
    for ((gone, choice), n) in gone.iter_mut().zip(choices).zip(counts) {
        choice.order.channels[..*n].iter().for_each(|c| gone[*c] = true);
    }
    gone
}

/// Gives each reader of a small constant a copy of its own, and each value the shape that follows: channels are found in that form.
fn prepare(model: &mut Model) {
    let mut edit = GraphEdit::new(model);
    dependency::unshare(&mut edit);
    infer(&mut edit);
}

/// Cuts the channels of the plan, which was made for this model, and writes the weights that were solved.
///
/// # Errors
/// Internal, where the plan is for another model.
pub fn apply(model: &mut Model, plan: &ChannelPlan) -> Result<ChannelReport> {
    if plan.cut.groups.len() != plan.groups.len() {
        return Err(Error::internal("the plan has no cuts any more"));
    }
    prepare(model);
    shrink(model, &plan.cut.groups, &plan.cut.gone)?;
    let mut edit = GraphEdit::new(model);
    plan.cut.solved.iter().for_each(|solved| solved.put(&mut edit));
    let gone = |unit: Unit| plan.groups.iter().filter(|g| g.unit == unit).map(|g| g.gone).sum();
    Ok(ChannelReport {
        groups: plan.groups.iter().filter(|g| g.gone > 0).count(),
        channels: gone(Unit::Channels),
        heads: gone(Unit::Heads),
        macs: plan.macs,
        parameters: plan.parameters,
        solved: plan.solved,
    })
}

fn percent(after: f64, before: f64) -> f64 {
    100.0 * after / before.max(1.0)
}

impl fmt::Display for ChannelPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for g in &self.groups {
            match &g.kept {
                Some(why) => writeln!(f, "keep      {}  {} {}: {why}", g.node, g.channels, g.unit)?,
                None => {
                    let damage = if g.gone > 0 { format!(", damage {:.1e}", g.damage) } else { String::new() };
                    writeln!(f, "prune     {}  {} of {} {} go{damage}", g.node, g.gone, g.channels, g.unit)?;
                }
            }
        }
        for (node, why) in &self.unsolved {
            writeln!(f, "keep      {node}  its weights: {why}")?;
        }
        let (before, after) = self.macs;
        if before > 0 {
            let share = percent(after as f64, before as f64);
            writeln!(f, "          {before} multiply-accumulates become {after} ({share:.1} %)")?;
        }
        let (before, after) = self.parameters;
        let share = percent(after as f64, before as f64);
        writeln!(f, "          {before} parameters become {after} ({share:.1} %)")
    }
}

impl fmt::Display for ChannelReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((a, b), (p, q)) = (self.macs, self.parameters);
        let some = |n: usize, one: &str| format!("{n} {one}{}", if n == 1 { "" } else { "s" });
        let counted = [(self.channels, "channel"), (self.heads, "head")].into_iter().filter(|(n, _)| *n > 0);
        let cut: Vec<String> = counted.map(|(n, one)| some(n, one)).collect();
        write!(f, "cut {} in {}: ", cut.join(" and "), some(self.groups, "group"))?;
        if a > 0 {
            write!(f, "{:.1} % of the multiply-accumulates and ", percent(b as f64, a as f64))?;
        }
        write!(f, "{:.1} % of the parameters are left, {} layers solved anew", percent(q as f64, p as f64), self.solved)
    }
}
