//! Every real model as the runtime prepares it, against what ONNX Runtime answers on the same inputs
//! (`tests/reference/prepared.json`, made by `prepared.py` beside it).

use std::path::Path;

use onnxpress::ir::{DType, Tensor, text};
use onnxpress::onnx;
use onnxpress::runtime::{self, LoadOptions, Rewrites, Shaped};
use serde_json::Value;

use crate::common::{shared, tract};

const REFERENCE: &str = include_str!("reference/prepared.json");

#[test]
fn every_real_model_runs_and_agrees_with_onnx_runtime() {
    let Some(folder) = shared("models") else { return };
    let cases: Vec<Value> = serde_json::from_str(REFERENCE).unwrap();
    let mut wrong = Vec::new();
    let mut right = Vec::new();
    for case in &cases {
        let name = case["model"].as_str().unwrap();
        match check(&folder, name, case) {
            Ok(worst) => {
                println!("{name}: largest relative difference {worst:.1e}");
                right.push(name);
            }
            Err(reason) => wrong.push(format!("{name}: {reason}")),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    right.dedup();
    assert_eq!(right.len(), 13, "{right:?}");
}

#[test]
fn sparse_weights_and_repeated_node_names_run() {
    let model = |weight: &str| {
        let source = format!(
            "<ir_version: 8, opset_import: [\"\" : 17]>
             g (float[2,3] x) => (float[2,2] y) <float[3,2] w = {weight}>
             {{ [n] h = Relu (x) [n] y = MatMul (h, w) }}"
        );
        onnxpress::ir::text::parse(&source).unwrap()
    };
    let dense = model("{0,2,0,0,-1,0}");
    let mut sparse = dense.clone();
    let mut edit = onnxpress::ir::GraphEdit::new(&mut sparse);
    let w = edit.graph(edit.main()).initializers()[0];
    let stored = onnxpress::ir::SparseTensor {
        values: Some(Tensor::from_vec([2], vec![2.0f32, -1.0])),
        indices: Some(Tensor::from_vec([2], vec![1i64, 4])),
        dims: vec![3, 2],
    };
    edit.make_sparse(w, stored);
    let inputs = [("x".to_owned(), Tensor::from_vec([2, 3], vec![1.0f32, 2.0, 3.0, -1.0, 0.5, 4.0]))];
    for model in [&dense, &sparse] {
        let made = Shaped::new(runtime::find("tract").unwrap(), model, &[]).run(&inputs).unwrap();
        assert_eq!(*made[0].1.to_f32().unwrap(), [-3.0, 2.0, -4.0, 0.0]);
    }
}

#[test]
fn a_gemm_in_float16_runs() {
    // 1, 2, 3, 4 and 0.5, -1 by their bits.
    let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[1,2] x) => (float[1,2] y, float[1,2] z)
        <float16[2,2] w = {15360,16384,16896,17408}, float16[2] b = {14336,48128}>
        { h = Cast <to = 10> (x) g = Gemm <transB = 1, alpha = 2.0, beta = 4.0> (h, w, b) y = Cast <to = 1> (g)
          p = Gemm (h, w) z = Cast <to = 1> (p) }";
    let model = text::parse(source).unwrap();
    let x = ("x".to_string(), Tensor::from_vec([1, 2], vec![1f32, -1.0]));
    for rewrites in [Rewrites::All, Rewrites::Runtime] {
        let options = LoadOptions { rewrites, ..LoadOptions::for_inputs(std::slice::from_ref(&x)) };
        let made = tract().load(&model, &options).unwrap().run(std::slice::from_ref(&x)).unwrap();
        // 2·(1 − 2) + 4·0.5, 2·(3 − 4) − 4; 1 − 3, 2 − 4.
        assert_eq!(made[0].1.to_f64().unwrap(), [0.0, -6.0]);
        assert_eq!(made[1].1.to_f64().unwrap(), [-2.0, -2.0]);
    }
}

#[test]
fn a_signal_of_two_axes_has_a_spectrum() {
    const WINDOW: [f32; 8] = [0.25, 0.5, 0.75, 1.0, 1.0, 0.75, 0.5, 0.25];
    let source = "<ir_version: 8, opset_import: [\"\" : 17]>
        g (float[2,16] x) => (float[2,3,5,2] y) <int64 step = {4}, float[8] w = {0.25,0.5,0.75,1,1,0.75,0.5,0.25}>
        { h = Neg (x) y = STFT (h, step, w) }";
    let model = onnxpress::ir::text::parse(source).unwrap();
    let x: Vec<f32> = (0..32).map(|i| ((i * 7 + 3) % 11) as f32 / 5.0 - 1.0).collect();
    let inputs = [("x".to_owned(), Tensor::from_vec([2, 16], x.clone()))];
    for runtime in runtime::RUNTIMES.iter().filter(|r| r.present().is_ok()) {
        let made = Shaped::new(*runtime, &model, &[]).run(&inputs).unwrap();
        assert_eq!(made[0].1.shape(), [2, 3, 5, 2]);
        for (i, found) in made[0].1.to_f32().unwrap().iter().enumerate() {
            let (signal, frame, bin, part) = (i / 30, i / 10 % 3, i / 2 % 5, i % 2);
            let term = |k: usize| {
                let angle = -std::f32::consts::TAU * (bin * k) as f32 / 8.0;
                let turn = if part == 0 { angle.cos() } else { angle.sin() };
                -x[signal * 16 + frame * 4 + k] * WINDOW[k] * turn
            };
            let wanted: f32 = (0..8).map(term).sum();
            assert!((found - wanted).abs() < 1e-5, "{}: y[{i}] is {found}, not {wanted}", runtime.name());
        }
    }
}

/// Runs the case; the largest difference relative to the output's largest value, or what is wrong.
fn check(folder: &Path, name: &str, case: &Value) -> Result<f64, String> {
    let model = onnx::load(&folder.join(format!("{name}.onnx"))).map_err(|e| e.to_string())?;
    let tract = runtime::find("tract").map_err(|e| e.to_string())?;
    let inputs: Vec<_> = case["inputs"].as_array().unwrap().iter().enumerate().map(|(i, v)| input(v, i)).collect();
    let shaped = Shaped::new(tract, &model, &[]);
    let outputs = shaped.run(&inputs).map_err(|e| e.to_string())?;
    let mut worst = 0.0f64;
    for (expected, (name, tensor)) in case["outputs"].as_array().unwrap().iter().zip(&outputs) {
        if expected["name"] != name.as_str() || numbers(&expected["shape"]) != tensor.shape() {
            return Err(format!("output {name} {:?}, not {expected}", tensor.shape()));
        }
        let values = tensor.to_f32().ok_or("not numeric")?;
        let (at, want) = (numbers(&expected["at"]), expected["values"].as_array().unwrap());
        let scale = want.iter().map(|v| v.as_f64().unwrap().abs()).fold(1e-30, f64::max);
        for (at, want) in at.into_iter().zip(want) {
            let (got, want) = (f64::from(values[at]), want.as_f64().unwrap());
            if (got - want).abs() > 1e-4 * scale || got.is_nan() {
                return Err(format!("output {name}[{at}] is {got}, not {want}"));
            }
            worst = worst.max((got - want).abs() / scale);
        }
    }
    Ok(worst)
}

/// Names of real models, each with inputs that it takes.
pub fn cases() -> Vec<(String, Vec<(String, Tensor)>)> {
    let cases: Vec<Value> = serde_json::from_str(REFERENCE).unwrap();
    let inputs =
        |case: &Value| case["inputs"].as_array().unwrap().iter().enumerate().map(|(i, v)| input(v, i)).collect();
    cases.iter().map(|case| (case["model"].as_str().unwrap().to_string(), inputs(case))).collect()
}

fn numbers(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
}

/// The input that `prepared.py` makes.
fn input(spec: &Value, seed: usize) -> (String, Tensor) {
    let shape = numbers(&spec["shape"]);
    let count = shape.iter().product::<usize>() as u64;
    let hash = |i: u64, seed: u64| (((i + 1) * 2_654_435_761 + seed * 40503) % (1 << 32)) >> 8;
    let hashes = (0..count).map(|i| hash(i, seed as u64));
    let tensor = if spec.get("page").is_some() {
        let (width, height) = (shape[shape.len() - 1] as u64, shape[shape.len() - 2] as u64);
        let pixel = |i: u64| {
            let (column, row) = (i % width, i / width % height);
            let mark = hash(column / 3 + 97 * (row / 12), 0).is_multiple_of(3);
            if (12..24).contains(&(row % 40)) && mark { -1.0f32 } else { 1.0 }
        };
        Tensor::from_vec(shape, (0..count).map(pixel).collect())
    } else if let Some(below) = spec.get("below").and_then(Value::as_u64) {
        integers(spec, shape, hashes.map(|h| (h % below) as i64))
    } else if let Some(value) = spec.get("value").and_then(Value::as_i64) {
        integers(spec, shape, hashes.map(|_| value))
    } else {
        Tensor::from_vec(shape, hashes.map(|h| h as f32 / (1u32 << 23) as f32 - 1.0).collect())
    };
    let name = spec["name"].as_str().unwrap().to_string();
    assert_eq!(tensor.dtype() == DType::F32, spec["dtype"] == "float32", "{name}");
    (name, tensor)
}

fn integers(spec: &Value, shape: Vec<usize>, values: impl Iterator<Item = i64>) -> Tensor {
    match spec["dtype"].as_str() {
        Some("int32") => Tensor::from_vec(shape, values.map(|v| v as i32).collect()),
        _ => Tensor::from_vec(shape, values.collect()),
    }
}
