//! What `--plan` prints of the main job, or of a part of it: what would be done, and nothing is.

use schemars::JsonSchema;
use serde::Serialize;

use super::args::{DataArgs, RecoverArgs};
use super::bars::Bars;
use super::printed::Printed;
use crate::error::Result;
use crate::mixed::Promise;
use crate::passes::SimplifyReport;
use crate::pipeline::{self, Job};
use crate::prune::PrunePlan;
use crate::quantize::QuantPlan;
use crate::recover::Recover;
use crate::report;
use crate::runtime::Runtime;
use crate::validate::Gates;

/// What would be done.
#[derive(Serialize, JsonSchema)]
pub(super) struct Plan {
    simplify: Option<SimplifyReport>,
    prune: Option<PrunePlan>,
    quantize: Option<QuantPlan>,
    recover: Option<Recover>,
}

/// What the flags ask for besides the job.
pub(super) struct Asked<'a> {
    pub data: &'a DataArgs,
    pub gates: Gates,
    /// Tells whether the gates are met.
    pub runtime: &'a dyn Runtime,
    pub recover: RecoverArgs,
}

/// Prints what the job would do, nodes that the gates want in float among it. A plan is printed before it is trained.
pub(super) fn print(mut job: Job, asked: &Asked, printed: Printed, bars: &Bars) -> Result<()> {
    job.recover = None;
    let mut model = pipeline::load(job.model)?;
    let data = asked.data.data.as_ref().map(|spec| asked.data.open(spec, &model)).transpose()?;
    let planned = pipeline::plan(&job, &mut model, data.as_ref(), bars)?;
    let promise = Promise::of(&asked.gates);
    let quantize = match (planned.decided, &data, &job.quantize) {
        (Some(decided), Some(data), Some(q)) if promise != Promise::WithinNoise => {
            let ground = (data, asked.runtime, q.time_budget);
            Some(pipeline::keep(&model, &decided, promise, ground, bars)?)
        }
        (decided, ..) => decided.map(|decided| decided.plan),
    };
    let plan = Plan {
        simplify: planned.simplify,
        prune: planned.prune.map(|(plan, _)| plan),
        quantize,
        recover: asked.recover.recover,
    };
    let told = asked.recover.told().map(|line| line + "\n");
    printed.print(&plan, |plan| {
        let simplify = plan.simplify.as_ref().map(report::simplified);
        let (prune, quantize) = (plan.prune.as_ref(), plan.quantize.as_ref());
        let decided = [simplify, prune.map(ToString::to_string), quantize.map(ToString::to_string), told];
        decided.into_iter().flatten().collect()
    })
}
