//! Half of the weights of every real model to zero: what ran the original runs the file, or the refusal says why.

use std::collections::BTreeMap;

use onnxpress::ir::verify;
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Goal, PruneOptions};
use onnxpress::runtime::Shaped;
use onnxpress::{onnx, pipeline};

use crate::common::{files, runtimes, shared};
use crate::prepared;

/// How many cases each runtime runs the original of.
const RUNS: [(&str, usize); 2] = [("tract", 14), ("onnxruntime", 14)];

#[test]
fn every_real_model_is_halved_or_refused_with_a_reason() {
    let Some(folder) = shared("models") else { return };
    let out = tempfile::tempdir().unwrap();
    let cases = prepared::cases();
    let (mut halved, mut refused) = (0, Vec::new());
    // Runs by runtime: where the original does not run, nothing is compared.
    let mut compared: BTreeMap<&str, usize> = BTreeMap::new();
    for path in files(&folder, Some("onnx")) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let model = pipeline::load(&path).unwrap();
        let mut pruned = model.clone();
        let report = match prune::prune(&mut pruned, &PruneOptions::new(Goal::Sparsity(0.5)), None, &Silent) {
            Ok((_, report)) => report,
            Err(e) => {
                println!("{name}: {e}");
                assert_eq!(e.exit_code(), 3, "{name}: {e}");
                refused.push(name.to_string());
                continue;
            }
        };
        println!("{name}: {report}");
        assert!(report.zeros * 100 >= report.weights * 45, "{name}: {report}");
        let file = out.path().join(format!("{name}.onnx"));
        onnx::emit(&pruned, &file).unwrap();
        let written = onnx::load(&file).unwrap();
        verify(&written).unwrap();
        let runs = cases.iter().filter(|(of, _)| of == name);
        for (runtime, (_, inputs)) in runs.flat_map(|c| runtimes().into_iter().map(move |r| (r, c))) {
            let run = |model| Shaped::new(runtime, model, &[]).run(inputs);
            let Ok(expected) = run(&model) else { continue };
            *compared.entry(runtime.name()).or_default() += 1;
            let made = run(&written).unwrap_or_else(|e| panic!("{name} in {}: {e}", runtime.name()));
            for ((output, a), (_, b)) in expected.iter().zip(&made) {
                assert_eq!(a.shape(), b.shape(), "{name}: {output}");
                assert!(b.to_f32().is_none_or(|v| v.iter().all(|v| v.is_finite())), "{name}: {output}");
            }
        }
        halved += 1;
    }
    assert_eq!((halved, refused), (12, vec!["tashkeel_rawi_v3_int8".to_string()]));
    assert_eq!(compared, RUNS.into_iter().filter(|(name, _)| runtimes().iter().any(|r| r.name() == *name)).collect());
}
