//! What was done and what it brought: one value, printed as text, JSON or markdown.

mod markdown;
mod text;

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Serialize;

pub use markdown::markdown;
pub use text::{comparison, count, megabytes, quantized, simplified, sizes, text};

use crate::error::{Error, ErrorKind, Result};
use crate::passes::SimplifyReport;
use crate::prune::{PrunePlan, PruneReport};
use crate::quantize::{QuantPlan, QuantReport};
use crate::recover::RecoverReport;
use crate::runtime::Runtime;
use crate::validate::ran::Ran;
use crate::validate::size::Size;
use crate::validate::{Missed, Validation};

/// Version of the JSON layout; it rises when a field changes its meaning or goes.
const SCHEMA_VERSION: u32 = 1;

/// What a run did and found: what `--report` writes.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Report {
    /// The file that was read.
    pub model: PathBuf,
    /// The file that was written.
    pub output: PathBuf,
    /// What the run took in all, in s.
    pub seconds: f64,
    /// What became of the graph.
    pub simplify: Option<SimplifyReport>,
    /// What pruning did.
    pub prune: Option<PruneReport>,
    /// What pruning decided, tensor by tensor or group by group.
    pub prune_plan: Option<PrunePlan>,
    /// What quantization did.
    pub quantize: Option<QuantReport>,
    /// What quantization decided, node by node.
    pub plan: Option<QuantPlan>,
    /// Training under the plan; that of what was pruned alone is in `prune`.
    pub recovered: Option<RecoverReport>,
    /// Before and after.
    pub sizes: Option<(Size, Size)>,
    /// Original and result side by side, in the runtime that judges.
    pub validation: Option<Validation>,
    /// The same in other runtimes.
    pub beside: Vec<Beside>,
    /// What of the plan truly runs in integers.
    pub ran: Option<Ran>,
    /// Why the runtime could not run original and result on the data.
    pub unproven: Option<String>,
    /// Gates that were not met.
    pub missed: Vec<Missed>,
}

/// What another runtime than the judging one makes of original and result.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Beside {
    /// Its name.
    pub runtime: String,
    /// What it found.
    pub validation: Option<Validation>,
    /// Why it could not run them.
    pub unproven: Option<String>,
}

impl Beside {
    /// # Errors
    /// What is not the runtime's refusal.
    pub fn of(runtime: &dyn Runtime, found: Result<Validation>) -> Result<Self> {
        let (validation, unproven) = match found {
            Ok(validation) => (Some(validation), None),
            Err(e) if e.kind() == ErrorKind::Runtime => (None, Some(e.to_string())),
            Err(e) => return Err(e),
        };
        Ok(Beside { runtime: runtime.name().into(), validation, unproven })
    }
}

impl Report {
    /// Of nothing done yet to `model`, which becomes `output`.
    pub fn new(model: &Path, output: &Path) -> Self {
        Report {
            model: model.to_path_buf(),
            output: output.to_path_buf(),
            seconds: 0.0,
            simplify: None,
            prune: None,
            prune_plan: None,
            quantize: None,
            plan: None,
            recovered: None,
            sizes: None,
            validation: None,
            beside: Vec::new(),
            ran: None,
            unproven: None,
            missed: Vec::new(),
        }
    }
}

/// A report with the version of its layout.
#[derive(Serialize, JsonSchema)]
struct Versioned<T> {
    /// Rises when a field changes its meaning or goes.
    schema_version: u32,
    #[serde(flatten)]
    report: T,
}

/// A report as indented JSON, with the version of its layout.
pub fn json(report: &impl Serialize) -> Result<String> {
    indented(&Versioned { schema_version: SCHEMA_VERSION, report })
}

/// The same of several reports: one as an object, more as a list.
pub fn json_of_each<T: Serialize>(reports: &[T]) -> Result<String> {
    match reports {
        [one] => json(one),
        _ => {
            let versioned = |report| Versioned { schema_version: SCHEMA_VERSION, report };
            indented(&reports.iter().map(versioned).collect::<Vec<_>>())
        }
    }
}

/// The JSON schema of a report.
pub fn schema<T: JsonSchema>() -> Result<String> {
    indented(&schemars::schema_for!(Versioned<T>))
}

fn indented(value: &impl Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::internal(format!("the report is no JSON: {e}")))
}
