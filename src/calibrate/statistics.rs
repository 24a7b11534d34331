//! The observers of all values of a model: what one streaming pass fills, and what merges.
//!
//! Saved as the file that [`Ranges`] reads, with the state of every observer beside its range, so that statistics
//! of two parts of a dataset can be merged later into exactly those of the whole.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::ranges::{RangeFile, ValueEntry};
use super::{Calibrator, NonFinite, Observer, Range, Ranges, parse};
use crate::error::{Error, Result};

/// One observer per value, and how many samples they have seen.
pub struct Statistics {
    calibrator: Calibrator,
    /// Samples observed; the caller counts them, since a batch may hold any number.
    pub samples: u64,
    observers: BTreeMap<String, Box<dyn Observer>>,
}

impl Statistics {
    /// Fresh observers for `values`.
    pub fn new<S: Into<String>>(calibrator: Calibrator, values: impl IntoIterator<Item = S>) -> Self {
        let observers = values.into_iter().map(|name| (name.into(), calibrator.observer())).collect();
        Statistics { calibrator, samples: 0, observers }
    }

    /// What the ranges are found by.
    pub fn calibrator(&self) -> Calibrator {
        self.calibrator
    }

    /// Takes in one tensor of the value `name`; a name not seen before gets its observer now.
    pub fn observe(&mut self, name: &str, values: &[f32]) {
        match self.observers.get_mut(name) {
            Some(observer) => observer.observe(values),
            None => {
                let mut observer = self.calibrator.observer();
                observer.observe(values);
                self.observers.insert(name.to_owned(), observer);
            }
        }
    }

    /// Takes in another part's statistics, exactly as if its data had been observed here.
    ///
    /// Fails where the calibrators differ. A value that only one part knows stays as that part has it.
    pub fn merge(&mut self, other: Statistics) -> Result<()> {
        if self.calibrator != other.calibrator {
            return Err(Error::input(format!(
                "calibrated with {}, not with {}; only ranges of one calibrator merge",
                other.calibrator, self.calibrator
            )));
        }
        self.samples = self.samples.saturating_add(other.samples);
        for (name, observer) in other.observers {
            match self.observers.get_mut(&name) {
                Some(own) => own.merge(&*observer)?,
                None => {
                    self.observers.insert(name, observer);
                }
            }
        }
        Ok(())
    }

    /// The range of every value that was observed at least once.
    pub fn ranges(&self) -> Ranges {
        let observers: Vec<(&String, &dyn Observer)> = self.observers.iter().map(|(name, o)| (name, &**o)).collect();
        let ranges = observers.par_iter().filter_map(|(name, o)| Some(((*name).clone(), o.range()?))).collect();
        let non_finite = observers
            .iter()
            .map(|(name, o)| ((*name).clone(), NonFinite { nan: o.extremes().nan, inf: o.extremes().inf }))
            .filter(|(_, counts)| counts.any())
            .collect();
        Ranges { calibrator: self.calibrator.to_string(), samples: self.samples, ranges, non_finite }
    }

    /// Whether some value has several ranges to choose among.
    pub fn leaves_choice(&self) -> bool {
        self.observers.values().any(|o| o.alternatives().len() > 1)
    }

    /// The ranges of every value among which measuring chooses; empty where the calibrator leaves no choice.
    pub fn alternatives(&self) -> BTreeMap<String, Vec<Range>> {
        let observers: Vec<(&String, &dyn Observer)> = self.observers.iter().map(|(name, o)| (name, &**o)).collect();
        let all = observers.par_iter().map(|(name, o)| ((*name).clone(), o.alternatives()));
        all.filter(|(_, ranges)| ranges.len() > 1).collect()
    }

    /// Mean squared error of all that was observed of a value on the 8-bit grid over `range`.
    pub fn error(&self, name: &str, range: Range) -> Option<f64> {
        self.observers.get(name)?.error(range)
    }

    /// Writes `ranges`, which were drawn from these or chosen by measuring, and the states to `path`, whole or not at all.
    pub fn save(&self, ranges: &Ranges, path: &Path) -> Result<()> {
        let mut file = RangeFile::from(ranges);
        for (name, observer) in &self.observers {
            file.values.entry(name.clone()).or_insert_with(ValueEntry::unseen).state = Some(observer.state()?);
        }
        file.save(path)
    }

    /// Reads what [`Statistics::save`] wrote. Fails where the file holds ranges without their states.
    pub fn load(path: &Path) -> Result<Self> {
        Self::from_file(RangeFile::load(path)?).map_err(|e| e.in_file(path))
    }

    fn from_file(file: RangeFile) -> Result<Self> {
        let calibrator = parse(&file.calibrator).map_err(|e| Error::input(e.to_string()))?;
        let mut statistics = Statistics { calibrator, samples: file.samples, observers: BTreeMap::new() };
        for (name, entry) in file.values {
            let state = entry.state.ok_or_else(|| {
                Error::input(format!(
                    "value \"{name}\" has a range but no state to merge; run calibrate on its data again"
                ))
            })?;
            let mut observer = calibrator.observer();
            observer.restore(state).map_err(|e| Error::input(format!("value \"{name}\": {e}")))?;
            statistics.observers.insert(name, observer);
        }
        Ok(statistics)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{CALIBRATORS, Range};
    use super::*;

    fn wave(n: usize, phase: f32) -> Vec<f32> {
        (0..n).map(|i| ((i as f32) * 0.37 + phase).sin() * (1.0 + phase)).collect()
    }

    fn spec(entry: &super::super::Entry) -> Calibrator {
        let parameter = entry.parameter.as_ref().map_or(String::new(), |p| format!(":{}", p.example));
        parse(&format!("{}{parameter}", entry.name)).unwrap()
    }

    #[test]
    fn saved_parts_merge_into_the_whole_for_every_calibrator() {
        let folder = tempfile::tempdir().unwrap();
        for calibrator in CALIBRATORS.iter().map(spec) {
            let mut whole = Statistics::new(calibrator, ["x"]);
            for (part, phase) in [0.0, 2.0].into_iter().enumerate() {
                let mut statistics = Statistics::new(calibrator, ["x", "never"]);
                for s in [&mut whole, &mut statistics] {
                    s.observe("x", &wave(5000, phase));
                    s.observe("y", &[phase, f32::NAN]);
                    s.samples += 10;
                }
                statistics.save(&statistics.ranges(), &folder.path().join(format!("{part}.json"))).unwrap();
            }
            let mut merged = Statistics::load(&folder.path().join("0.json")).unwrap();
            merged.merge(Statistics::load(&folder.path().join("1.json")).unwrap()).unwrap();
            assert_eq!(merged.ranges(), whole.ranges(), "{calibrator}");
            assert_eq!(merged.samples, 20);
            assert_eq!(merged.ranges().non_finite["y"], NonFinite { nan: 2, inf: 0 });
            assert!(!merged.ranges().ranges.contains_key("never"));

            let file = folder.path().join("merged.json");
            merged.save(&merged.ranges(), &file).unwrap();
            assert_eq!(Ranges::load(&file).unwrap(), whole.ranges(), "{calibrator}");
        }
    }

    #[test]
    fn ranges_without_states_load_but_do_not_merge() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.json");
        let mut ranges = Ranges { calibrator: "min-max".into(), samples: 3, ..Ranges::default() };
        ranges.ranges.insert("x".into(), Range::new(-1.5, 2.0));
        RangeFile::from(&ranges).save(&file).unwrap();
        assert_eq!(Ranges::load(&file).unwrap(), ranges);
        let error = Statistics::load(&file).err().unwrap().to_string();
        assert!(error.contains("r.json: value \"x\" has a range but no state to merge"), "{error}");
    }
}
