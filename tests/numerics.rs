//! Every pass keeps what its golden cases compute: each case of `simplify` runs before and after on the same random
//! inputs, and a pass that no case applies is an error. Where tract lacks what a case has, `case.plain` beside it says
//! the same without.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use onnxpress::ir::text;
use onnxpress::ir::{DType, Dim, Model, Tensor, TensorType};
use onnxpress::passes::{PASSES, SimplifyOptions, simplify};
use onnxpress::target;

use crate::bare;
use crate::common::root;
use crate::golden::cases;

#[test]
fn every_pass_keeps_what_its_golden_cases_compute() {
    let folder = root().join("tests/golden");
    let (mut applied, mut wrong) = (BTreeSet::new(), Vec::new());
    for case in cases(&folder) {
        let source = fs::read_to_string(&case).unwrap();
        let flags = source.lines().next().unwrap().strip_prefix("# RUN: simplify");
        let Some(options) = flags.map(options) else { continue };
        let before = text::parse(&source).unwrap();
        let mut after = before.clone();
        let report = simplify(&mut after, &options).unwrap();
        applied.extend(report.passes.into_iter().map(|(pass, _)| pass));
        let plain = fs::read_to_string(case.with_extension("plain"));
        let before = plain.map_or(before, |plain| text::parse(&plain).unwrap());
        if let Err(reason) = compare(&before, &after, 1e-6) {
            wrong.push(format!("{}: {reason}", case.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let without: Vec<_> = PASSES.iter().map(|p| p.name).filter(|name| !applied.contains(*name)).collect();
    assert!(without.is_empty(), "no golden case applies {}", without.join(", "));
}

fn options(flags: &str) -> SimplifyOptions {
    let mut options = SimplifyOptions::default();
    let mut words = flags.split_whitespace();
    while let Some(word) = words.next() {
        let value = words.next().unwrap_or_else(|| panic!("{word} without a value")).to_string();
        match word {
            "--only" => options.only.push(value),
            "--skip" => options.skip.push(value),
            "--target" => options.target = Some(target::find(&value).unwrap()),
            _ => panic!("flag {word}"),
        }
    }
    options
}

/// Whether both compute the same in tract on made-up inputs, within `tolerance` of the largest value of each output.
pub fn compare(before: &Model, after: &Model, tolerance: f64) -> Result<(), String> {
    for size in [1, 3] {
        let mut sizes = BTreeMap::new();
        let inputs: Vec<Tensor> = before
            .user_inputs()
            .into_iter()
            .enumerate()
            .map(|(i, v)| random(&before.tensor_type(v), size, &mut sizes, i as u64 + 1))
            .collect();
        let names = |m: &Model| m.user_inputs().iter().map(|v| m.name(*v).to_string()).collect::<Vec<_>>();
        assert_eq!(names(before), names(after), "the inputs changed");
        let wanted = bare::run(before, &inputs).map_err(|e| format!("before: {e}"))?;
        let found = bare::run(after, &inputs).map_err(|e| format!("after: {e}"))?;
        for (found, wanted) in found.iter().zip(&wanted) {
            let largest = wanted.to_f64().unwrap().iter().fold(0.0f64, |m, v| m.max(v.abs()));
            if !bare::is_close(found, wanted, 0.0, tolerance * largest) {
                return Err(format!("size {size}: {found:?} is not {wanted:?}"));
            }
        }
        if found.len() != wanted.len() {
            return Err("the number of outputs changed".into());
        }
    }
    Ok(())
}

/// Numbers between −4 and 4; each name gets a size of its own, from `size` up.
fn random(ty: &TensorType, size: usize, sizes: &mut BTreeMap<String, usize>, seed: u64) -> Tensor {
    let mut dim = |d: &Dim| match d {
        Dim::Known(n) => *n as usize,
        Dim::Symbol(name) => {
            let next = size + sizes.len();
            *sizes.entry(name.clone()).or_insert(next)
        }
        Dim::Unknown => size,
    };
    let shape: Vec<usize> = ty.shape.as_ref().unwrap().iter().map(&mut dim).collect();
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u32 << 21) as f32 - 4.0
    };
    let values: Vec<f32> = (0..shape.iter().product()).map(|_| next()).collect();
    match ty.dtype {
        Some(DType::F32) => Tensor::from_vec(shape, values),
        Some(DType::I64) => Tensor::from_vec(shape, values.iter().map(|v| *v as i64).collect::<Vec<_>>()),
        dtype => panic!("inputs of type {dtype:?}"),
    }
}
