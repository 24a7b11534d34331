//! Mixed precision in numbers: what each node costs alone, and the fewest in float that keep a promise.

use std::collections::BTreeMap;
use std::time::Duration;

use onnxpress::data::Dataset;
use onnxpress::ir::Model;
use onnxpress::mixed::{Budget, Promise, Subject, keep, sensitivity};
use onnxpress::progress::Silent;
use onnxpress::quantize::{self, Decision, Format, QuantOptions, QuantPlan};

use crate::common::{fixture, tract};
use crate::quantize::{load, open, sqnr, statistics};

fn planned(model: &Model, data: &Dataset, options: &QuantOptions) -> QuantPlan {
    let ranges = statistics(model, options, "min-max", data).ranges();
    quantize::plan(model, Some(&ranges), options).unwrap()
}

fn floats(plan: &QuantPlan) -> Vec<usize> {
    (0..plan.nodes.len()).filter(|i| matches!(plan.nodes[*i].decision, Decision::Keep { .. })).collect()
}

fn db(subject: &Subject, plan: &QuantPlan) -> f64 {
    subject.measure(plan, &subject.batches()).unwrap().outputs()[0].sqnr_db
}

const LONG: Duration = Duration::from_secs(600);

#[test]
fn a_promise_is_kept_with_no_node_too_many() {
    let model = load("digits");
    let data = open(&model, "digits_eval.npz", 100);
    let plan = planned(&model, &data, &QuantOptions::for_target("onnxruntime").unwrap());
    let subject = Subject::new(&model, (&data, tract()), &Silent).unwrap();
    let before = db(&subject, &plan);
    let bound = |gain: f64| Promise::Bounds { max_drop: None, min_sqnr: Some(before + gain) };
    let all = plan.quantized();
    let mut counts = Vec::new();
    for gain in [-1.0, 1.0, 4.0, 100.0] {
        let mixed = keep(&subject, &plan, bound(gain), Budget::new(LONG), &|_| Ok(None)).unwrap();
        let float = floats(&mixed);
        let reached = db(&subject, &mixed);
        println!("{} of {all} in float: {reached:.1} dB for {:.1}", float.len(), before + gain);
        assert!(reached >= before + gain || float.len() == all, "{reached}");
        // With any one of them back in integers the promise is broken.
        for back in float.iter().filter(|_| gain < 100.0) {
            let fewer: BTreeMap<usize, String> =
                float.iter().filter(|p| *p != back).map(|p| (*p, String::new())).collect();
            let fewer = quantize::without(&model, &plan, &fewer).unwrap();
            assert!(db(&subject, &fewer) < before + gain, "{} is needlessly float", plan.nodes[*back].node);
        }
        counts.push(float.len());
    }
    assert_eq!(counts[0], 0, "what holds stays as it is");
    assert_eq!(counts[3], all, "only the float model reaches it");
    assert!(0 < counts[1] && counts[1] <= counts[2] && counts[2] < all, "{counts:?}");

    let hasty = keep(&subject, &plan, bound(1.0), Budget::new(Duration::ZERO), &|_| Ok(None)).unwrap();
    assert_eq!(floats(&hasty).len(), all, "without time what surely holds is taken");
    assert!(hasty.notes.last().unwrap().contains("the time was up"), "{:?}", hasty.notes);
}

#[test]
fn damage_alone_is_that_of_a_model_with_one_quantized_node() {
    let model = load("digits");
    let data = open(&model, "digits_eval.npz", 100);
    let options = QuantOptions::for_target("onnxruntime").unwrap();
    let plan = planned(&model, &data, &options);
    let subject = Subject::new(&model, (&data, tract()), &Silent).unwrap();
    let found = sensitivity(&subject, &plan).unwrap();
    assert_eq!(found.nodes.len(), plan.quantized());
    let each: Vec<f64> = found.nodes.iter().map(|n| n.damage.sqnr_db.unwrap()).collect();
    assert!(each.is_sorted(), "{each:?}");
    assert!(found.together.sqnr_db.unwrap() < each[0] + 0.1);
    let mut compared = 0;
    for node in &found.nodes {
        let others = found.nodes.iter().filter(|n| n.node != node.node);
        let exclude = others.map(|n| format!("^{}$", n.node)).collect();
        let alone = planned(&model, &data, &QuantOptions { exclude, ..options.clone() });
        // A depthwise convolution is not quantized alone, where nothing around it is.
        if alone.quantized() == 0 {
            continue;
        }
        compared += 1;
        let mut pressed = model.clone();
        quantize::apply(&mut pressed, &alone).unwrap();
        let (by_hand, told) = (sqnr(&model, &pressed, &data), node.damage.sqnr_db.unwrap());
        assert!((by_hand - told).abs() < 0.1, "{}: {by_hand} by exclusion, {told} told", node.node);
    }
    assert!(compared >= 3, "{compared}");
    let table = found.to_string();
    assert_eq!(table.lines().count(), found.nodes.len() + found.kept.len() + 2, "{table}");
}

#[test]
fn a_plan_without_nothing_is_the_plan() {
    for (name, format) in [("digits", Format::Qdq), ("majority", Format::Qdq), ("digits", Format::Integer)] {
        let model = load(name);
        let data = open(&model, &format!("{name}_calib.npz"), 50);
        let options = QuantOptions { format, ..QuantOptions::for_target("onnxruntime").unwrap() };
        let plan = planned(&model, &data, &options);
        let same = quantize::without(&model, &plan, &BTreeMap::new()).unwrap();
        let values = |p: &QuantPlan| p.activations.iter().map(|a| (a.value.clone(), a.all_readers)).collect::<Vec<_>>();
        assert_eq!(values(&same), values(&plan), "{name} {format}");
    }
}

#[test]
fn the_command_line_keeps_a_promise() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (fixture("digits.onnx"), fixture("digits_eval.npz"));
    let run = |args: &[&str]| {
        let common = ["--data", data.to_str().unwrap(), "--limit", "100", "--calibrator", "min-max", "--quiet"];
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_onnxpress"));
        let done = command.args(args).args(common).current_dir(&dir).env_remove("VIRTUAL_ENV").output().unwrap();
        (done.status.code().unwrap(), String::from_utf8(done.stdout).unwrap())
    };
    let (code, said) = run(&["quantize", model.to_str().unwrap(), "-o", "a.onnx", "--min-sqnr", "38"]);
    assert!(code == 0 && said.contains("back in float for --min-sqnr 38"), "{code} {said}");
    let (code, said) = run(&["optimize", model.to_str().unwrap(), "-o", "b.onnx", "--min-sqnr", "38"]);
    assert!(code == 0 && said.contains("back in float for --min-sqnr 38"), "{code} {said}");
    let (code, said) = run(&["sensitivity", model.to_str().unwrap(), "--report", "json"]);
    let table: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert!(code == 0 && table["nodes"][0]["sqnr_db"].as_f64().unwrap() > 10.0, "{said}");
}
