//! The standard's node cases, each a model with inputs and expected outputs (`fixtures/backend_tests.py` writes them):
//! all are simplified, and where tract gives the expected outputs for the original it gives them for the result.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use onnxpress::ir::{Model, Tensor, ValueId, verify};
use onnxpress::onnx;
use onnxpress::onnx::proto::{GraphProto, ModelProto, NodeProto, TensorProto};
use onnxpress::passes::{SimplifyOptions, simplify};
use prost::Message;
use rayon::prelude::*;

use crate::bare;
use crate::common::root;

/// Their folder and their names, where they were written.
pub fn cases() -> Option<(PathBuf, Vec<String>)> {
    let folder = root().join("target/onnx-backend");
    let Ok(names) = fs::read_to_string(folder.join("cases.txt")) else {
        println!("skipped: {} holds no cases; fixtures/backend_tests.py writes them", folder.display());
        return None;
    };
    Some((folder, names.lines().map(String::from).collect()))
}

#[test]
fn every_backend_case_keeps_its_outputs() {
    let Some((folder, names)) = cases() else { return };
    let (ran, fewer) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let check = |name: &String| check(&folder.join(name), &ran, &fewer).err().map(|e| format!("{name}: {e}"));
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
    let (relative, absolute) = tolerance(case);
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

#[test]
fn what_is_folded_is_what_the_standard_expects() {
    let Some((folder, names)) = cases() else { return };
    let found: Vec<(&String, Option<bool>)> = names.par_iter().map(|n| (n, folded(&folder.join(n)))).collect();
    let wrong: Vec<&String> = found.iter().filter(|f| f.1 == Some(false)).map(|f| f.0).collect();
    let right = found.iter().filter(|f| f.1 == Some(true)).count();
    println!("{right} of {} cases are folded", names.len());
    assert!(wrong.is_empty(), "{wrong:?}");
    assert!(right > 250, "too few were folded");
}

/// Whether the outputs are as expected where all inputs are constants; `None` where they are not folded.
fn folded(case: &Path) -> Option<bool> {
    let mut proto = ModelProto::decode(Bytes::from(fs::read(case.join("model.onnx")).unwrap())).ok()?;
    let graph = proto.graph.as_mut()?;
    for (i, input) in std::mem::take(&mut graph.input).into_iter().enumerate() {
        let bytes = fs::read(case.join(format!("data_0/input_{i}.pb"))).ok()?;
        graph.initializer.push(TensorProto { name: input.name, ..TensorProto::decode(Bytes::from(bytes)).ok()? });
    }
    for output in &mut graph.output {
        let made = output.name.replace(format!("{}_read", output.name()));
        let (op_type, read) = (Some("Identity".to_string()), output.name().to_string());
        let node = NodeProto { op_type, input: vec![made?], output: vec![read], ..NodeProto::default() };
        graph.node.push(node);
    }
    let mut model = onnx::load_bytes(Bytes::from(proto.encode_to_vec()), None).ok()?;
    simplify(&mut model, &SimplifyOptions::default()).ok()?;
    let outputs = model.graph(model.main()).outputs().to_vec();
    let constant = |v: &ValueId| {
        let read = model.producer(*v).map(|n| model.node(n)).filter(|n| n.is("Identity"))?;
        model.constant(read.input(0)?).cloned()
    };
    let found: Vec<Tensor> = outputs.iter().map(constant).collect::<Option<_>>()?;
    let (expected, tolerance) = (tensors(case, "output")?, tolerance(case));
    let close = |(f, e): (&Tensor, &Tensor)| bare::is_close(f, e, tolerance.0, tolerance.1);
    Some(found.len() == expected.len() && found.iter().zip(&expected).all(close))
}

/// Relative and absolute.
fn tolerance(case: &Path) -> (f64, f64) {
    let text = fs::read_to_string(case.join("tolerance.json")).unwrap();
    let tolerance: serde_json::Value = serde_json::from_str(&text).unwrap();
    (tolerance["rtol"].as_f64().unwrap(), tolerance["atol"].as_f64().unwrap())
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
