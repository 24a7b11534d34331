//! The standard's node cases, each a model with inputs and expected outputs (`fixtures/backend_tests.py` writes them):
//! all are simplified, and where tract gives the expected outputs for the original it gives them for the result.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use onnxpress::ir::{Model, Tensor, verify};
use onnxpress::onnx;
use onnxpress::onnx::proto::{GraphProto, ModelProto, TensorProto};
use onnxpress::passes::{SimplifyOptions, simplify};
use prost::Message;
use rayon::prelude::*;

use crate::bare;
use crate::common::root;

#[test]
fn every_backend_case_keeps_its_outputs() {
    let folder = root().join("target/onnx-backend");
    let Ok(names) = fs::read_to_string(folder.join("cases.txt")) else {
        println!("skipped: {} holds no cases; fixtures/backend_tests.py writes them", folder.display());
        return;
    };
    let names: Vec<&str> = names.lines().collect();
    let (ran, fewer) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let check = |name: &&str| check(&folder.join(name), &ran, &fewer).err().map(|e| format!("{name}: {e}"));
    let wrong: Vec<String> = names.par_iter().filter_map(check).collect();
    assert!(wrong.is_empty(), "{} of {} cases\n{}", wrong.len(), names.len(), wrong.join("\n"));
    println!("{} cases, {ran:?} compared in tract, {fewer:?} have fewer nodes", names.len());
    assert!(ran.into_inner() * 3 > names.len(), "too few cases were compared");
}

fn check(case: &Path, ran: &AtomicUsize, fewer: &AtomicUsize) -> Result<(), String> {
    let before = onnx::load(&case.join("model.onnx")).map_err(|e| e.to_string())?;
    let mut after = before.clone();
    let report = simplify(&mut after, &SimplifyOptions::default()).map_err(|e| e.to_string())?;
    verify(&after).map_err(|e| e.to_string())?;
    fewer.fetch_add(usize::from(report.nodes_after < report.nodes_before), Ordering::Relaxed);
    let names = |m: &Model| m.graph(m.main()).outputs().iter().map(|v| m.name(*v).to_string()).collect::<Vec<_>>();
    if names(&before) != names(&after) {
        return Err(format!("the outputs are {:?}, not {:?}", names(&after), names(&before)));
    }
    let (Some(inputs), Some(expected)) = (tensors(case, "input"), tensors(case, "output")) else { return Ok(()) };
    let tolerance: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(case.join("tolerance.json")).unwrap()).unwrap();
    let (relative, absolute) = (tolerance["rtol"].as_f64().unwrap(), tolerance["atol"].as_f64().unwrap());
    let close = |found: &[Tensor]| {
        found.len() == expected.len()
            && found.iter().zip(&expected).all(|(f, e)| bare::is_close(f, e, relative, absolute))
    };
    if !bare::run(&before, &inputs).is_ok_and(|found| close(&found)) {
        return Ok(());
    }
    ran.fetch_add(1, Ordering::Relaxed);
    match bare::run(&after, &inputs) {
        Ok(found) if close(&found) => Ok(()),
        Ok(_) => Err("other outputs".into()),
        Err(reason) => Err(format!("tract runs the original only: {reason}")),
    }
}

/// The tensors of the first data set; `None` where one is a sequence or an optional.
fn tensors(case: &Path, what: &str) -> Option<Vec<Tensor>> {
    let files = (0..).map(|i| case.join(format!("data_0/{what}_{i}.pb"))).take_while(|f| f.exists());
    files.map(|f| tensor(&f)).collect()
}

/// Read as the initializer of a model, which is how the library reads tensors.
fn tensor(file: &PathBuf) -> Option<Tensor> {
    let mut proto = TensorProto::decode(Bytes::from(fs::read(file).unwrap())).ok()?;
    proto.name = Some("t".into());
    let graph = GraphProto { initializer: vec![proto], ..GraphProto::default() };
    let model = ModelProto { graph: Some(graph), ..ModelProto::default() };
    let model = onnx::load_bytes(Bytes::from(model.encode_to_vec()), None).ok()?;
    let value = *model.graph(model.main()).initializers().first()?;
    model.value(value).initializer().cloned()
}
