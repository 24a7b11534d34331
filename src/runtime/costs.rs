//! Ratios of measured times, kept from run to run.
//!
//! ```text
//! { "onnxruntime …, AMD EPYC 9f3c…, onnxpress 0.1.0": { "5b0c…": 1.83, … } }        machine ─► models ─► time of one ÷ time of the other
//! ```
//!
//! A pair of models is known again by what its time depends on: operators, attributes, how they hang together, types and shapes; values of
//! weights and names are none of that. A table that cannot be read is empty, and one that cannot be written is not kept: what is
//! lost is the time to measure again.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};

use super::Runtime;
use crate::error::{Error, Result};
use crate::files;
use crate::ir::{Attr, GraphId, Model, Tensor, ValueId};

/// Integers of at most so many elements are shapes and axes: their values decide what is done.
const SMALL: usize = 64;
/// Digits that a ratio is told with, more than it can be measured to.
const DIGITS: f64 = 1e4;

/// Where the table lies by default: in the user's folder for caches, if there is one.
#[must_use]
pub fn default_path() -> Option<PathBuf> {
    Some(dirs::cache_dir()?.join("onnxpress").join("costs.json"))
}

type Table = BTreeMap<String, BTreeMap<String, f64>>;

/// The part of the table that is of one runtime on this machine.
#[derive(Debug)]
pub struct Costs {
    path: Option<PathBuf>,
    machine: String,
    known: BTreeMap<String, f64>,
    /// Ratios that were taken from the table.
    pub read: usize,
    /// Ratios that were measured now.
    pub measured: usize,
}

impl Costs {
    /// Of `runtime`, from the table at `path`; without one nothing is known, and nothing kept.
    pub fn open(path: Option<&Path>, runtime: &dyn Runtime) -> Self {
        let version = env!("CARGO_PKG_VERSION");
        let machine = format!("{} {}, {}, onnxpress {version}", runtime.name(), runtime.version(), processor());
        let known = path.and_then(|p| table(p).remove(&machine)).unwrap_or_default();
        Costs { path: path.map(Path::to_path_buf), machine, known, read: 0, measured: 0 }
    }

    /// Time of the first of `models` ÷ time of each other on `inputs`, as known or by `measure`.
    ///
    /// # Errors
    /// Those of `measure`.
    pub fn ratios(
        &mut self,
        models: &[&Model],
        inputs: &[(String, Tensor)],
        measure: impl FnOnce() -> Result<Vec<f64>>,
    ) -> Result<Vec<f64>> {
        let Some((first, others)) = models.split_first() else { return Ok(Vec::new()) };
        let fed: Vec<String> = inputs.iter().map(|(_, t)| of_tensor(t)).collect();
        let first = of_model(first);
        let keys: Vec<String> = others.iter().map(|m| digest(&(&fed, &first, of_model(m)))).collect();
        if let Some(all) = keys.iter().map(|k| self.known.get(k).copied()).collect::<Option<Vec<f64>>>() {
            self.read += all.len();
            return Ok(all);
        }
        // What is used now is what is read later.
        let all: Vec<f64> = measure()?.into_iter().map(|r| (r * DIGITS).round() / DIGITS).collect();
        self.measured += all.len();
        self.known.extend(keys.into_iter().zip(all.iter().copied()).filter(|(_, ratio)| ratio.is_finite()));
        Ok(all)
    }

    /// Writes what was measured beside what others wrote meanwhile.
    pub fn keep(&self) {
        let Some(path) = self.path.as_deref().filter(|_| self.measured > 0) else { return };
        let mut all = table(path);
        all.entry(self.machine.clone()).or_default().extend(self.known.clone());
        let written = || -> Result<()> {
            let folder = files::folder_of(path);
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
            let text = serde_json::to_string_pretty(&all).map_err(|e| Error::internal(e.to_string()))?;
            files::persist(files::staged(path, |out| out.write_all(text.as_bytes()))?, path)
        };
        if let Err(error) = written() {
            tracing::debug!("measured times are not kept: {error}");
        }
    }
}

fn table(path: &Path) -> Table {
    let read = std::fs::read(path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
    read.unwrap_or_default()
}

/// Name and abilities of the first processor.
fn processor() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let line = |name: &str| {
        let line = info.lines().find(|l| l.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    let named = || std::env::var("PROCESSOR_IDENTIFIER").ok();
    let name = line("model name").or_else(named).unwrap_or_else(|| std::env::consts::ARCH.into());
    // Two machines may share a name and not their instructions.
    format!("{name} {}", digest(&line("flags").or_else(|| line("Features"))))
}

/// A release of the compiler with another hash measures anew.
fn digest(what: &impl Hash) -> String {
    let mut hasher = DefaultHasher::new();
    what.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn of_tensor(t: &Tensor) -> String {
    let values = if !t.dtype().is_float() && t.len() <= SMALL { format!(" {:?}", t.bytes()) } else { String::new() };
    format!("{} {:?}{values}", t.dtype(), t.shape())
}

/// All that the time of a model depends on.
fn of_model(model: &Model) -> String {
    let mut text = String::new();
    let _ = write!(text, "{:?}", model.opset_imports().iter().map(|o| (&o.domain, o.version)).collect::<Vec<_>>());
    of_graph(model, model.main(), &mut HashMap::new(), &mut text);
    text
}

/// Values go by the order in which they are first named.
fn of_graph(model: &Model, graph: GraphId, numbers: &mut HashMap<ValueId, usize>, text: &mut String) {
    let mut value = |v: &ValueId| match model.constant(*v) {
        Some(t) => of_tensor(t),
        None => {
            let next = numbers.len();
            format!("#{}", numbers.entry(*v).or_insert(next))
        }
    };
    let list = |values: Vec<String>| values.join(", ");
    let g = model.graph(graph);
    let mut lines = vec![list(g.inputs().iter().map(&mut value).collect())];
    let mut inner = Vec::new();
    for id in g.nodes() {
        let n = model.node(*id);
        let mut named =
            |all: &[Option<ValueId>]| list(all.iter().map(|v| v.as_ref().map_or("-".into(), &mut value)).collect());
        let (read, made) = (named(n.inputs()), named(n.outputs()));
        let attrs = n.attrs().iter().map(|a| match &a.value {
            Attr::Tensor(t) => format!("{}={}", a.name, of_tensor(t)),
            Attr::Graph(_) | Attr::Graphs(_) => a.name.clone(),
            other => format!("{}={other:?}", a.name),
        });
        lines.push(format!("{made} = {}.{} <{}> ({read})", n.domain(), n.op_type, list(attrs.collect())));
        inner.extend(n.subgraphs().map(|(_, g)| g));
    }
    lines.push(list(g.outputs().iter().map(&mut value).collect()));
    let _ = write!(text, "{{ {} }}", lines.join("\n"));
    inner.into_iter().for_each(|g| of_graph(model, g, numbers, text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::text;

    fn described(x: &str, w: usize, op: &str) -> String {
        let values = vec!["0.5"; w * w].join(",");
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 17]> g (float[1,{w}] {x}) => (float[1,{w}] y) <float[{w},{w}] w = {{{values}}}> {{
                a = MatMul ({x}, w)
                y = {op} (a)
            }}"
        );
        of_model(&text::parse(&source).unwrap())
    }

    #[test]
    fn a_model_is_known_again_by_what_its_time_depends_on() {
        let one = described("x", 2, "Relu");
        assert_eq!(one, described("other", 2, "Relu"));
        assert_ne!(one, described("x", 3, "Relu"));
        assert_ne!(one, described("x", 2, "Sigmoid"));
    }

    #[test]
    fn a_table_that_is_broken_or_cannot_be_written_is_no_failure() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("costs.json");
        std::fs::write(&path, "{ \"half a").unwrap();
        let runtime = super::super::built_in();
        let model = Model::new(17);
        let ratio = |path: &Path, measured: f64| {
            let mut costs = Costs::open(Some(path), runtime);
            let found = costs.ratios(&[&model, &model], &[], || Ok(vec![measured])).unwrap();
            costs.keep();
            (found, costs.read)
        };
        assert_eq!(ratio(&path, 1.500_04), (vec![1.5], 0));
        assert_eq!(ratio(&path, 9.0), (vec![1.5], 1));
        // A file stands where its folder should be.
        let below = path.join("costs.json");
        assert_eq!(ratio(&below, 2.0), (vec![2.0], 0));
        assert_eq!(ratio(&below, 3.0), (vec![3.0], 0));
    }
}
