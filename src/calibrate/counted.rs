//! The observer of every calibrator that counts values in a histogram; a [`Rule`] draws the range from the counts.

use serde_json::Value;

use super::histogram::Histogram;
use super::{Extremes, Observer, Range, from_json, mse, same_kind, to_json};
use crate::error::Result;

/// What a calibrator makes of the counts.
pub(super) trait Rule: Send + Sync + 'static {
    /// See [`Observer::range`].
    fn range(&self, counts: &Histogram) -> Option<Range>;

    /// See [`Observer::alternatives`].
    fn alternatives(&self, _counts: &Histogram) -> Vec<Range> {
        Vec::new()
    }
}

/// A fresh observer that follows `rule`.
pub(super) fn counted(rule: impl Rule) -> Box<dyn Observer> {
    Box::new(Counted { rule, histogram: Histogram::default() })
}

struct Counted<R> {
    rule: R,
    histogram: Histogram,
}

impl<R: Rule> Observer for Counted<R> {
    fn observe(&mut self, values: &[f32]) {
        self.histogram.observe(values);
    }

    fn merge(&mut self, other: &dyn Observer) -> Result<()> {
        self.histogram.merge(&same_kind::<Self>(other)?.histogram);
        Ok(())
    }

    fn range(&self) -> Option<Range> {
        self.rule.range(&self.histogram)
    }

    fn alternatives(&self) -> Vec<Range> {
        self.rule.alternatives(&self.histogram)
    }

    fn error(&self, range: Range) -> Option<f64> {
        Some(mse::error(&self.histogram, range))
    }

    fn extremes(&self) -> &Extremes {
        &self.histogram.extremes
    }

    fn state(&self) -> Result<Value> {
        to_json(&self.histogram)
    }

    fn restore(&mut self, state: Value) -> Result<()> {
        self.histogram = from_json(state)?;
        Ok(())
    }
}
