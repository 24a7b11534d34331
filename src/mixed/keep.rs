//! The fewest nodes in float with which a promise holds.
//!
//! ```text
//! order: worst node first.      F(k) = the promise holds with the worst k in float
//! F(1) F(2) F(4) … F(2ⁿ) holds ─► halve between the last that fails and the first that holds ─► k
//! then from the least of these k on: back to integers where the promise still holds without it
//! ```
//!
//! Each F is a run of the whole model on all data. When the time is up, the fewest known to hold is taken; with all in float
//! the outputs are those of the float model, so that something always holds.

use std::time::{Duration, Instant};

use super::sensitivity::{Float, places, sensitivity};
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
    pub fn new(limit: Duration) -> Self {
        Budget { begin: Instant::now(), limit }
    }

    fn is_over(&self) -> bool {
        self.begin.elapsed() >= self.limit
    }
}

/// `plan` with as few of its nodes in float as `promise` needs on the data of `subject`; itself where it holds already. A note says what
/// was done.
///
/// # Errors
/// What the runtime says of the model, or the data of themselves.
pub fn keep(subject: &Subject, plan: &QuantPlan, promise: Promise, budget: Budget) -> Result<QuantPlan> {
    let all = subject.batches();
    let before = subject.measure(plan, &all)?;
    if promise.kept_by(&before) || places(plan).is_empty() {
        return Ok(plan.clone());
    }
    let damage = sensitivity(subject, plan)?;
    let order: Vec<usize> = damage.nodes.iter().map(|n| n.place).collect();
    let reason = |place: usize| {
        let alone = damage.nodes.iter().find(|n| n.place == place).and_then(|n| n.damage.sqnr_db);
        let alone = alone.map_or(String::new(), |db| format!(": alone in integers it leaves {db:.1} dB"));
        format!("float for {promise}{alone}")
    };
    let float = |places: &[usize]| -> Float { places.iter().map(|p| (*p, reason(*p))).collect() };
    let mut checks = 1;
    let mut held: Option<Accuracy> = None;
    let mut check = |float: &Float| -> Result<bool> {
        checks += 1;
        subject.progress.step(1);
        let found = subject.measure(&without(subject.model, plan, float)?, &all)?;
        let holds = promise.kept_by(&found);
        if holds {
            held = Some(found);
        }
        Ok(holds)
    };

    subject.progress.start("mixing", 2 * order.len().ilog2() as u64 + 2);
    let (mut fails, mut holds, mut step) = (0, order.len(), 1);
    while holds - fails > 1 && !budget.is_over() {
        // Doubled until something holds, then halved.
        let k = if holds == order.len() { (fails + step).min(holds - 1) } else { fails.midpoint(holds) };
        step *= 2;
        match check(&float(&order[..k]))? {
            true => holds = k,
            false => fails = k,
        }
    }
    let mut chosen = order[..holds].to_vec();
    for place in order[..holds].iter().rev() {
        // The last one checked is needed: without it the promise fails.
        if chosen.len() < 2 || budget.is_over() {
            break;
        }
        let fewer: Vec<usize> = chosen.iter().filter(|p| *p != place).copied().collect();
        if place != &order[holds - 1] && check(&float(&fewer))? {
            chosen = fewer;
        }
    }
    subject.progress.finish();

    let mut mixed = without(subject.model, plan, &float(&chosen))?;
    let gain = match &held {
        Some(after) => format!("{} ─► {}", words(&before), words(after)),
        None => format!("{} ─► float", words(&before)),
    };
    let cut = if budget.is_over() { "; the time was up before fewer were tried (--time-budget)" } else { "" };
    mixed.notes.push(format!(
        "{} of {} nodes back in float for {promise}: {gain} on {}, {checks} checks{cut}",
        chosen.len(),
        order.len(),
        subject.dataset.describe(),
    ));
    Ok(mixed)
}

/// The outputs in a few words.
fn words(a: &Accuracy) -> String {
    let outputs = a.outputs();
    if let Some(t) = a.task() {
        return format!("top-1 {:+.2} points", 100.0 * t.top1.difference);
    }
    let agreement = worst_agreement(&outputs).map_or(String::new(), |a| format!(", agreement {:.1} %", 100.0 * a));
    worst_db(&outputs).map_or("nothing measured".into(), |db| format!("{db:.1} dB{agreement}"))
}
