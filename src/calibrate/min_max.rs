//! The whole observed range: nothing is clipped, and one outlier costs every other value resolution.

use serde_json::Value;

use super::{Decides, Entry, Extremes, Observer, Range, from_json, same_kind, to_json};
use crate::error::{Error, Result};

pub(super) const ENTRY: Entry = Entry {
    name: "min-max",
    parameter: None,
    summary: "the whole observed range, nothing clipped",
    decides: Decides::Rule,
    observer: |_| Box::new(MinMax::default()),
};

/// Range from the smallest to the largest observed value.
#[derive(Default)]
pub(super) struct MinMax {
    extremes: Extremes,
}

impl Observer for MinMax {
    fn observe(&mut self, values: &[f32]) {
        self.extremes.observe(values, |_, _| ());
    }

    fn merge(&mut self, other: &dyn Observer) -> Result<()> {
        self.extremes.merge(&same_kind::<Self>(other)?.extremes);
        Ok(())
    }

    fn range(&self) -> Option<Range> {
        self.extremes.range()
    }

    fn extremes(&self) -> &Extremes {
        &self.extremes
    }

    fn state(&self) -> Result<Value> {
        to_json(&self.extremes)
    }

    fn restore(&mut self, state: Value) -> Result<()> {
        let extremes: Extremes = from_json(state)?;
        if !extremes.is_sound() {
            return Err(Error::input("min is above max"));
        }
        self.extremes = extremes;
        Ok(())
    }
}
