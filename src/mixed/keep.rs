//! The fewest nodes in float with which a promise holds.
//!
//! ```text
//! order: worst node first.      F(k) = the promise holds with the worst k in float
//! F(1) F(2) F(4) … F(2ⁿ) holds ─► halve between the last that fails and the first that holds ─► k
//! then from the least of these k on: back to integers where the promise still holds without it
//! ```
//!
//! Each F is a run of the whole model on all data, and where that fails another with ranges, corrections and weights fitted anew. When the time is up, the fewest known to hold is taken; with all in float
//! the outputs are those of the float model, so that something always holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::sensitivity::{Float, places, until};
use super::{Promise, Subject};
use crate::error::Result;
use crate::quantize::{QuantPlan, without};
use crate::validate::accuracy::{Accuracy, worst_agreement, worst_db};

/// Time that the search may take; begun when made.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    begin: Instant,
    limit: Duration,
}

impl Budget {
    /// Of this length, from now on.
    pub fn new(limit: Duration) -> Self {
        Budget { begin: Instant::now(), limit }
    }

    fn is_over(&self) -> bool {
        self.begin.elapsed() >= self.limit
    }

    fn is_half_over(&self) -> bool {
        self.begin.elapsed() >= self.limit / 2
    }
}

/// Makes the plan anew with these nodes, by name, in float for the reasons given; `None` where nothing was fitted.
pub type Refit<'a> = &'a dyn Fn(BTreeMap<String, String>) -> Result<Option<QuantPlan>>;

/// `plan` with as few of its nodes in float as `promise` needs on the data of `subject`; itself where it holds already. A note says what
/// was done.
///
/// # Errors
/// Usage, for a promise that cannot be measured; what the runtime says of the model, or the data of themselves.
pub fn keep(subject: &Subject, plan: &QuantPlan, promise: Promise, budget: Budget, refit: Refit) -> Result<QuantPlan> {
    let before = subject.measure(plan, &subject.batches())?;
    promise.measurable(&before)?;
    if promise.kept_by(&before) || places(plan).is_empty() {
        return Ok(plan.clone());
    }
    // An order of some nodes and time to try it is worth more than one of all.
    let damage = until(&|| budget.is_half_over(), subject, plan)?;
    let order: Vec<usize> = damage.nodes.iter().map(|n| n.place).collect();
    let reason = |place: usize| {
        let alone = damage.nodes.iter().find(|n| n.place == place).and_then(|n| n.damage.sqnr_db);
        let alone = alone.map_or(String::new(), |db| format!(": alone in integers it leaves {db:.1} dB"));
        format!("float for {promise}{alone}")
    };
    let float = |places: &[usize]| -> Float { places.iter().map(|p| (*p, reason(*p))).collect() };
    let mut search = Search { subject, plan, promise, budget, refit, checks: 1 };

    subject.progress.start("mixing", 2 * u64::from(order.len().ilog2()) + 2);
    let mut held: Option<(QuantPlan, Accuracy)> = None;
    let (mut fails, mut holds, mut step) = (0, order.len(), 1);
    while holds - fails > 1 && !budget.is_over() {
        // Doubled until something holds, then halved.
        let k = if held.is_none() { (fails + step).min(holds - 1) } else { fails.midpoint(holds) };
        step *= 2;
        match search.check(&float(&order[..k]))? {
            Some(found) => (held, holds) = (Some(found), k),
            None => fails = k,
        }
    }
    let mut chosen = order[..holds].to_vec();
    // The last one is needed: without it the promise failed.
    for place in order[..holds - 1].iter().rev().take_while(|_| !budget.is_over()) {
        let fewer: Vec<usize> = chosen.iter().filter(|p| *p != place).copied().collect();
        if let Some(found) = search.check(&float(&fewer))? {
            (held, chosen) = (Some(found), fewer);
        }
    }
    subject.progress.finish();

    let after = held.as_ref().map_or_else(|| "float".into(), |(_, after)| words(after));
    let mut mixed = match held {
        Some((mixed, _)) => mixed,
        None => without(subject.model, plan, &float(&chosen))?,
    };
    let cut = if budget.is_over() { "; the time was up before fewer were tried (--time-budget)" } else { "" };
    mixed.notes.push(format!(
        "{} of {} nodes back in float for {promise}: {} ─► {after} on {}, {} checks{cut}",
        chosen.len(),
        order.len(),
        words(&before),
        subject.dataset.describe(),
        search.checks,
    ));
    Ok(mixed)
}

/// What a check needs.
struct Search<'a> {
    subject: &'a Subject<'a>,
    plan: &'a QuantPlan,
    promise: Promise,
    budget: Budget,
    refit: Refit<'a>,
    checks: usize,
}

impl Search<'_> {
    /// A plan with these nodes in float with which the promise holds: the one at hand, else one that is fitted anew, since what was chosen
    /// to make up for the errors of these nodes is an error without them.
    fn check(&mut self, float: &Float) -> Result<Option<(QuantPlan, Accuracy)>> {
        self.subject.progress.step(1);
        let at_hand = without(self.subject.model, self.plan, float)?;
        if let Some(found) = self.measured(at_hand)? {
            return Ok(Some(found));
        }
        if self.budget.is_over() {
            return Ok(None);
        }
        let by_name = float.iter().map(|(place, why)| (self.plan.nodes[*place].node.clone(), why.clone()));
        (self.refit)(by_name.collect())?.map_or(Ok(None), |fitted| self.measured(fitted))
    }

    fn measured(&mut self, plan: QuantPlan) -> Result<Option<(QuantPlan, Accuracy)>> {
        self.checks += 1;
        let found = self.subject.measure(&plan, &self.subject.batches())?;
        Ok(self.promise.kept_by(&found).then_some((plan, found)))
    }
}

/// The outputs in a few words.
fn words(a: &Accuracy) -> String {
    let outputs = a.outputs();
    let agreement = || worst_agreement(&outputs).map(|a| format!("agreement {:.1} %", 100.0 * a));
    let answers = a.task().map(|t| format!("top-1 {:+.2} points", 100.0 * t.top1.difference)).or_else(agreement);
    let told: Vec<String> = worst_db(&outputs).map(|db| format!("{db:.1} dB")).into_iter().chain(answers).collect();
    if told.is_empty() { "nothing measured".into() } else { told.join(", ") }
}
