//! The fewest nodes in float with which a promise holds.
//!
//! ```text
//! order: worst node first.      F(k) = the promise holds with the worst k in float
//! F(k₀) F(k₀ + 1) F(k₀ + 3) … F(k₀ + 2ⁿ − 1) holds ─► halve between the last that fails and the first that holds ─► k
//! halve below k with ranges, corrections and weights fitted anew ─► k
//! then from the least of these k on: back to integers where the promise still holds without it
//! ```
//!
//! k₀ is 1, or where an SQNR is promised the least k of which it follows from the errors of the other nodes, if they add up:
//! SQNR = −10·log₁₀ Σ 10^(−dB/10). Each F is a run of the whole model on all data. When the time is up, the fewest known to hold is taken; with all in float
//! the outputs are those of the float model, so that something always holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::sensitivity::{Float, NodeDamage, places, until};
use super::{Promise, Subject};
use crate::error::Result;
use crate::quantize::{QuantPlan, without};
use crate::validate::accuracy::{Accuracy, worst_agreement, worst_db};

/// What fitting anew may bring, in dB: a plan that is further from its promise is not worth the time.
const REFIT_DB: f64 = 6.0;

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
    let wanted = promise.decibels(&before);
    let (mut fails, mut holds) = (0, order.len());
    let mut step = wanted.map_or(1, |wanted| enough(&damage.nodes, wanted));
    while holds - fails > 1 && !budget.is_over() {
        // Further and further until something holds, then halved.
        let k = if held.is_none() { (fails + step).min(holds - 1) } else { fails.midpoint(holds) };
        step = if fails == 0 { 1 } else { 2 * step };
        match search.check(&float(&order[..k]))? {
            Some(found) => (held, holds) = (Some(found), k),
            None => fails = k,
        }
    }
    let (mut fails, mut fitted) = (0, false);
    while holds - fails > 1 && !budget.is_over() {
        let k = fails.midpoint(holds);
        match search.fitted(&float(&order[..k]))? {
            Some(found) => (held, holds, fitted) = (Some(found), k, true),
            None => fails = k,
        }
    }
    let mut chosen = order[..holds].to_vec();
    // The last one is needed: without it the promise failed.
    for place in order[..holds - 1].iter().rev().take_while(|_| !budget.is_over()) {
        let fewer: Vec<usize> = chosen.iter().filter(|p| *p != place).copied().collect();
        let found = if fitted { search.fitted(&float(&fewer)) } else { search.check(&float(&fewer)) };
        if let Some(found) = found? {
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

/// How many of the nodes, which are in the order of their damage, are to be in float if the errors of the others add up to `wanted` dB.
fn enough(nodes: &[NodeDamage], wanted: f64) -> usize {
    let error = |n: &NodeDamage| n.damage.sqnr_db.map_or(0.0, |db| 10f64.powf(-db / 10.0));
    let mut left: f64 = nodes.iter().map(error).sum();
    let allowed = 10f64.powf(-wanted / 10.0);
    let needed = nodes.iter().take_while(|n| {
        let over = left > allowed;
        left -= error(n);
        over
    });
    needed.count().max(1)
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
    /// The plan at hand with these nodes in float, if the promise holds with it.
    fn check(&mut self, float: &Float) -> Result<Option<(QuantPlan, Accuracy)>> {
        let (at_hand, found) = self.at_hand(float)?;
        Ok(self.promise.kept_by(&found).then_some((at_hand, found)))
    }

    fn at_hand(&mut self, float: &Float) -> Result<(QuantPlan, Accuracy)> {
        self.subject.progress.step(1);
        let at_hand = without(self.subject.model, self.plan, float)?;
        let found = self.measured(&at_hand)?;
        Ok((at_hand, found))
    }

    /// The same, else one that is fitted anew, since what was chosen to make up for the errors of these nodes is an error without them.
    fn fitted(&mut self, float: &Float) -> Result<Option<(QuantPlan, Accuracy)>> {
        let (at_hand, found) = self.at_hand(float)?;
        if self.promise.kept_by(&found) {
            return Ok(Some((at_hand, found)));
        }
        let missing = self.promise.decibels(&found).zip(worst_db(&found.outputs())).map(|(wanted, db)| wanted - db);
        if self.budget.is_over() || missing.is_some_and(|db| db > REFIT_DB) {
            return Ok(None);
        }
        let by_name = float.iter().map(|(place, why)| (self.plan.nodes[*place].node.clone(), why.clone()));
        let Some(fitted) = (self.refit)(by_name.collect())? else { return Ok(None) };
        let found = self.measured(&fitted)?;
        Ok(self.promise.kept_by(&found).then_some((fitted, found)))
    }

    fn measured(&mut self, plan: &QuantPlan) -> Result<Accuracy> {
        self.checks += 1;
        self.subject.measure(plan, &self.subject.batches())
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

#[cfg(test)]
mod tests {
    use super::super::sensitivity::Damage;
    use super::*;

    #[test]
    fn errors_that_add_up_tell_how_many_are_enough() {
        let node = |db: f64| NodeDamage {
            node: "n".into(),
            op_type: "Conv".into(),
            damage: Damage { sqnr_db: Some(db), agreement: None, top1: None },
            place: 0,
        };
        let nodes: Vec<NodeDamage> = [3.0, 5.0, 13.0, 13.0, 30.0].map(node).into();
        // Two of 13 dB are 10 dB.
        assert_eq!((enough(&nodes, 9.8), enough(&nodes, 11.0), enough(&nodes, 29.0)), (2, 3, 4));
        assert_eq!((enough(&nodes, 40.0), enough(&nodes, -10.0)), (5, 1));
    }
}
