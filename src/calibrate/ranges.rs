//! Ranges by value name, and the JSON file they live in.
//!
//! ```text
//! {
//!   "schema_version": 1, "calibrator": "percentile:99.99", "samples": 100,
//!   "values": {
//!     "relu_1": {"min": 0.0, "max": 5.81, "state": {…}},
//! ```
//!
//! One line per value, so that a range can be edited by hand and two files compared by `diff`. `state` is what merging
//! needs ([`super::Statistics`]) and may be left out. The file is written beside its place and renamed into it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Range;
use crate::error::{Error, Result};
use crate::files::{persist, staged};

/// Version of the file's layout; a file of a later one is refused.
const SCHEMA_VERSION: u32 = 1;

/// How many values of a tensor were no finite number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NonFinite {
    /// NaN.
    pub nan: u64,
    /// Infinities of either sign.
    pub inf: u64,
}

impl NonFinite {
    /// Whether there was one.
    pub fn any(&self) -> bool {
        self.nan > 0 || self.inf > 0
    }
}

/// What calibration found: the range of every value that was observed.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ranges {
    /// The spec of the calibrator, as `percentile:99.99`.
    pub calibrator: String,
    /// Samples that the ranges come from.
    pub samples: u64,
    /// By the name of the value.
    pub ranges: BTreeMap<String, Range>,
    /// Values that held NaN or infinities, which the range leaves out.
    pub non_finite: BTreeMap<String, NonFinite>,
}

impl Ranges {
    /// The range of the value of this name.
    pub fn get(&self, value: &str) -> Option<Range> {
        self.ranges.get(value).copied()
    }

    /// Reads a ranges file; states in it are skipped.
    pub fn load(path: &Path) -> Result<Self> {
        let file = RangeFile::load(path)?;
        let mut ranges = Ranges { calibrator: file.calibrator, samples: file.samples, ..Ranges::default() };
        for (name, entry) in file.values {
            if entry.counts.any() {
                ranges.non_finite.insert(name.clone(), entry.counts);
            }
            if let Some(range) = entry.range(&name).map_err(|e| e.in_file(path))? {
                ranges.ranges.insert(name, range);
            }
        }
        Ok(ranges)
    }
}

/// The file as it is written.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RangeFile {
    schema_version: u32,
    pub calibrator: String,
    pub samples: u64,
    pub values: BTreeMap<String, ValueEntry>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ValueEntry {
    /// Absent where nothing finite was observed.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    min: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    max: Option<f32>,
    #[serde(skip_serializing_if = "no_counts", default)]
    counts: NonFinite,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub state: Option<Value>,
}

fn no_counts(counts: &NonFinite) -> bool {
    !counts.any()
}

impl ValueEntry {
    /// Of no number so far.
    pub fn unseen() -> Self {
        ValueEntry { min: None, max: None, counts: NonFinite::default(), state: None }
    }

    fn range(&self, name: &str) -> Result<Option<Range>> {
        match (self.min, self.max) {
            (None, None) => Ok(None),
            (Some(min), Some(max)) if min <= max && min.is_finite() && max.is_finite() => Ok(Some(Range { min, max })),
            (min, max) => {
                let text = |bound: Option<f32>| bound.map_or("nothing".to_owned(), |b| b.to_string());
                Err(Error::input(format!(
                    "value \"{name}\" has min {} and max {}; both are finite numbers, min not above max",
                    text(min),
                    text(max)
                )))
            }
        }
    }
}

impl From<&Ranges> for RangeFile {
    fn from(ranges: &Ranges) -> Self {
        let mut values = BTreeMap::new();
        for (name, range) in &ranges.ranges {
            let entry = ValueEntry { min: Some(range.min), max: Some(range.max), ..ValueEntry::unseen() };
            values.insert(name.clone(), entry);
        }
        for (name, counts) in &ranges.non_finite {
            values.entry(name.clone()).or_insert_with(ValueEntry::unseen).counts = *counts;
        }
        RangeFile {
            schema_version: SCHEMA_VERSION,
            calibrator: ranges.calibrator.clone(),
            samples: ranges.samples,
            values,
        }
    }
}

impl RangeFile {
    /// Reads a file that [`Self::save`] wrote.
    ///
    /// # Errors
    /// Input, for a file that is none.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = std::fs::read(path).map_err(|e| Error::io(path, e))?;
        let fault = |message: String| Error::input(message).in_file(path);
        let value: Value = serde_json::from_slice(&bytes).map_err(|e| fault(format!("is no JSON: {e}")))?;
        let version = value.get("schema_version").and_then(Value::as_u64);
        if version != Some(u64::from(SCHEMA_VERSION)) {
            let found = version.map_or("none".to_owned(), |v| v.to_string());
            return Err(fault(format!(
                "ranges file has schema_version {found}, expected {SCHEMA_VERSION}; run calibrate again"
            )));
        }
        serde_json::from_value(value).map_err(|e| fault(format!("is no ranges file: {e}")))
    }

    /// Writes JSON, whole or not at all.
    ///
    /// # Errors
    /// Input, where the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<()> {
        let text = self.text()?;
        persist(staged(path, |file| file.write_all(text.as_bytes()))?, path)
    }

    /// JSON with one line per value.
    fn text(&self) -> Result<String> {
        fn json(value: &impl Serialize) -> Result<String> {
            serde_json::to_string(value).map_err(|e| Error::internal(e.to_string()))
        }
        let mut text = format!(
            "{{\n  \"schema_version\": {}, \"calibrator\": {}, \"samples\": {},\n  \"values\": {{",
            self.schema_version,
            json(&self.calibrator)?,
            self.samples
        );
        for (i, (name, entry)) in self.values.iter().enumerate() {
            text += if i == 0 { "\n" } else { ",\n" };
            text += &format!("    {}: {}", json(name)?, json(entry)?);
        }
        text += "\n  }\n}\n";
        Ok(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str) -> Result<Ranges> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        Ranges::load(file.path())
    }

    #[test]
    fn one_line_per_value_and_nothing_lost() {
        let mut ranges = Ranges { calibrator: "min-max".into(), samples: 7, ..Ranges::default() };
        ranges.ranges.insert("a/\"b\"".into(), Range::new(-0.1, 3.4e38));
        ranges.ranges.insert("z".into(), Range::new(0.0, 1e-40));
        ranges.non_finite.insert("z".into(), NonFinite { nan: 1, inf: 2 });
        let text = RangeFile::from(&ranges).text().unwrap();
        assert_eq!(text.lines().count(), 7);
        assert_eq!(load(&text).unwrap(), ranges);
        assert_eq!(load(&RangeFile::from(&Ranges::default()).text().unwrap()).unwrap(), Ranges::default());
    }

    #[test]
    fn broken_files_are_named_with_what_is_wrong() {
        let error = |text: &str| load(text).unwrap_err().to_string();
        assert!(error("{").contains("is no JSON"));
        assert!(error("{\"schema_version\": 9}").contains("schema_version 9, expected 1"));
        assert!(error("{\"schema_version\": 1}").contains("missing field `calibrator`"));
        let with = |value: &str| {
            error(&format!(
                "{{\"schema_version\":1,\"calibrator\":\"min-max\",\"samples\":1,\"values\":{{\"x\":{value}}}}}"
            ))
        };
        assert!(with("{\"min\": 2, \"max\": 1}").contains("value \"x\" has min 2 and max 1"));
        assert!(with("{\"max\": 1}").contains("value \"x\" has min nothing and max 1"));
    }

    #[test]
    fn an_output_that_cannot_be_written_is_an_io_error() {
        let error = RangeFile::from(&Ranges::default()).save(Path::new("no/such/folder/r.json")).unwrap_err();
        assert_eq!(error.exit_code(), 3);
        assert!(error.to_string().starts_with("no/such/folder/r.json: "));
    }
}
