//! Where inside the model the error is born.
//!
//! Both models run on the same samples with every value tapped that both have by name. A node whose
//! output is clearly worse than the worst of its inputs bore the error; otherwise it inherited it.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use schemars::JsonSchema;
use serde::Serialize;

use super::sums::Sums;
use crate::analysis::value_bytes;
use crate::data::Dataset;
use crate::error::Result;
use crate::ir::Model;
use crate::runtime::{EXACT_DB, Runtime, Shaped, neighbours};

/// An output this much worse than the worst input, in dB, was made worse by the node itself.
const BORN_DB: f64 = 3.0;
/// Bytes of values of one batch that are looked at together; a model with more of them runs once more for each such part.
const ROOM: usize = 96 << 20;

/// Drift of one node's output.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct NodeDrift {
    /// Its name, or that of its first output.
    pub node: String,
    /// Its operator.
    pub op_type: String,
    /// The output that is compared.
    pub value: String,
    /// SQNR of that output, in dB.
    pub sqnr_db: f64,
    /// SQNR of the worst input that both models have.
    pub worst_input_db: f64,
    /// Whether the error came about in this node rather than in those before it.
    pub born_here: bool,
}

/// Drift of every node whose output both models have, worst first, on the first `samples` of the data.
pub fn drift(
    original: &Model,
    rewritten: &Model,
    dataset: &Dataset,
    runtime: &dyn Runtime,
    samples: usize,
) -> Result<Vec<NodeDrift>> {
    let made = |model: &Model| -> Vec<String> {
        let nodes = model.graph(model.main()).nodes().iter();
        let values = nodes.flat_map(|n| model.node(*n).outputs().iter().flatten());
        values.filter(|v| model.constant(**v).is_none()).map(|v| model.name(*v).to_string()).collect()
    };
    let theirs: BTreeSet<String> = made(rewritten).into_iter().collect();
    let shared = made(original).into_iter().filter(|name| theirs.contains(name)).collect();
    let mut sums: BTreeMap<String, Sums> = BTreeMap::new();
    for names in in_room(original, dataset, shared) {
        let (a, b) = (Shaped::new(runtime, original, &names), Shaped::new(runtime, rewritten, &names));
        let mut seen = 0;
        for index in 0..dataset.batch_count() {
            if seen >= samples {
                break;
            }
            let batch = dataset.batch(index)?;
            seen += batch.samples;
            let (ra, rb) = (a.run(&batch.inputs)?, b.run(&batch.inputs)?);
            let [ra, rb] = [&ra, &rb].map(|made| made.iter().map(|(n, t)| (n.as_str(), t)).collect::<HashMap<_, _>>());
            for name in &names {
                let alike = ra.get(name.as_str()).zip(rb.get(name.as_str())).filter(|(r, q)| r.shape() == q.shape());
                let Some((r, q)) = alike.filter(|(r, _)| r.dtype().is_float()) else { continue };
                if let (Some(r), Some(q)) = (r.to_f32(), q.to_f32()) {
                    sums.entry(name.clone()).or_default().add(&r, &q);
                }
            }
        }
    }
    Ok(judge(original, &sums.iter().map(|(name, s)| (name.as_str(), s.sqnr_db())).collect()))
}

/// The values in groups that are held together.
fn in_room(model: &Model, dataset: &Dataset, values: Vec<String>) -> Vec<Vec<String>> {
    // Batches are of about one size.
    let bytes = value_bytes(model, &dataset.shapes(0).unwrap_or_default());
    neighbours(values, |name| bytes.get(name).copied().unwrap_or(0), ROOM)
}

fn judge(model: &Model, db: &BTreeMap<&str, f64>) -> Vec<NodeDrift> {
    let mut nodes = Vec::new();
    for id in model.graph(model.main()).nodes() {
        let node = model.node(*id);
        let Some((value, own)) = node.outputs().iter().flatten().find_map(|v| {
            let name = model.name(*v);
            db.get(name).map(|db| (name, *db))
        }) else {
            continue;
        };
        let inputs = node.inputs().iter().flatten().filter_map(|v| db.get(model.name(*v)).copied());
        let worst_input_db = inputs.fold(EXACT_DB, f64::min);
        nodes.push(NodeDrift {
            node: model.node_label(*id).to_string(),
            op_type: node.op_type.clone(),
            value: value.to_string(),
            sqnr_db: own,
            worst_input_db,
            born_here: own < worst_input_db - BORN_DB,
        });
    }
    nodes.sort_by(|a, b| a.sqnr_db.total_cmp(&b.sqnr_db));
    nodes
}
