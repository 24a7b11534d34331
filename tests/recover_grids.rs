//! Training under a quantization plan: nearer to the float model in the file that is written, on the grid that was planned, zeros kept.

use std::collections::BTreeMap;

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, Tensor, text};
use onnxpress::onnx;
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, PruneOptions};
use onnxpress::quantize::{self, Activations, Decision, Format, Granularity, QuantOptions, QuantPlan, Weights};
use onnxpress::recover::{RecoverOptions, RecoverReport, Teacher};

use crate::common::{dataset, fixture, tract};
use crate::quantize::{load, open, sqnr, statistics};

fn alone(weights: Weights, granularity: Granularity) -> QuantOptions {
    let base = QuantOptions::for_target("onnxruntime").unwrap();
    QuantOptions { weights, granularity, activations: Activations::None, ..base }
}

fn trained(
    teacher: &Model,
    (model, plan): (&Model, &QuantPlan),
    dataset: &Dataset,
    options: &RecoverOptions,
) -> (Model, QuantPlan, RecoverReport) {
    let (mut model, mut plan) = (model.clone(), plan.clone());
    let teacher = Teacher { model: teacher, inside: true };
    let report = quantize::recover(teacher, (&mut model, &mut plan), dataset, options, &Silent).unwrap();
    (model, plan, report)
}

/// As it is read back from the file.
fn written(model: &Model, plan: &QuantPlan) -> Model {
    let mut model = model.clone();
    quantize::apply(&mut model, plan).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("written.onnx");
    onnx::emit(&model, &file).unwrap();
    onnx::load(&file).unwrap()
}

/// The constants whose names end so.
fn constants(model: &Model, end: &str) -> BTreeMap<String, Tensor> {
    let all = model.graph(model.main()).initializers().iter();
    let named = all.map(|v| (model.name(*v).to_string(), model.constant(*v).unwrap().clone()));
    named.filter(|(name, _)| name.ends_with(end)).collect()
}

/// The share of the outputs' energy that is wrong.
fn error(float: &Model, other: &Model, data: &Dataset) -> f64 {
    10f64.powf(-sqnr(float, other, data) / 10.0)
}

/// Of the weights that `plan` quantizes, by name, the integers in `model`.
fn integers(plan: &QuantPlan, model: &Model) -> BTreeMap<String, Vec<i64>> {
    let names = plan.nodes.iter().filter_map(|n| match &n.decision {
        Decision::Quantize { weight, .. } => Some(weight.name.clone()),
        _ => None,
    });
    let constants = constants(model, "_quantized");
    // Of weights in blocks whole bytes, which hold several.
    names.map(|name| (name.clone(), constants[&format!("{name}_quantized")].to_i64().unwrap())).collect()
}

#[test]
fn few_bits_come_nearer_on_the_planned_grid() {
    // Of the error, what may be left on the samples held back and in the file. A hundred sequences teach less than 200 blended images.
    let (images, sequences) = ([0.6, 0.6], [0.75, 0.9]);
    for (name, weights, granularity, left) in [
        ("digits", Weights::S2, Granularity::Channel, images),
        ("majority", Weights::U2, Granularity::Block(16), sequences),
    ] {
        let model = load(name);
        let data = fixture(&format!("{name}_calib.npz"));
        let calibration = dataset(&data, &model, 5).unwrap();
        let eval = open(&model, &format!("{name}_eval.npz"), 600);
        let plan =
            quantize::weights_alone(&model, &alone(weights, granularity), (&calibration, tract()), &Silent).unwrap();
        let (float, better, report) = trained(&model, (&model, &plan), &calibration, &RecoverOptions::new(100));
        let [before, after] = [written(&model, &plan), written(&float, &better)];
        let errors = [&before, &after].map(|m| error(&model, m, &eval));
        println!("{name} {weights} {granularity}: {errors:.4?} {report}");
        assert!(report.after < left[0] * report.before, "{report}");
        assert!(errors[1] < left[1] * errors[0], "{name}: {errors:?}");
        for end in ["_scale", "_zero_point"] {
            assert_eq!(constants(&before, end), constants(&after, end), "{name}");
        }
        let [before, after] = [&before, &after].map(|m| integers(&plan, m));
        assert!(before.len() >= 4 && before != after, "{name}");
        for (weight, q) in &after {
            let levels = if weights == Weights::S2 { -2..=1 } else { 0..=255 };
            assert!(q.iter().all(|q| levels.contains(q)), "{weight}");
        }
    }
}

#[test]
fn zeros_of_a_mask_stay_under_quantized_values() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 200);
    let eval = open(&model, "digits_eval.npz", 600);
    let mut pruned = model.clone();
    let algorithm = Some("mask".into());
    let how = PruneOptions { algorithm, criterion: Some("magnitude".into()), ..PruneOptions::new(Goal::Sparsity(0.6)) };
    let data = Data { dataset: &calibration, runtime: tract() };
    prune::prune(&mut pruned, &how, Some(data), &Silent).unwrap();
    let options = QuantOptions { weights: Weights::S4, ..QuantOptions::for_target("onnxruntime").unwrap() };
    let statistics = statistics(&pruned, &options, "mse", &calibration);
    let (plan, _) = quantize::choose(&pruned, &options, &statistics, (&calibration, tract()), &Silent).unwrap();
    let (float, better, report) = trained(&model, (&pruned, &plan), &calibration, &RecoverOptions::new(100));
    let [before, after] = [written(&pruned, &plan), written(&float, &better)];
    let errors = [&before, &after].map(|m| error(&model, m, &eval));
    println!("{errors:.4?} {report}");
    assert!(errors[1] < 0.7 * errors[0] && report.best > 0, "{errors:?} {report}");
    assert_eq!(constants(&before, "_scale"), constants(&after, "_scale"), "of weights, values and biases");
    let mut zeros = 0;
    for (name, q) in integers(&plan, &after) {
        let weights = constants(&pruned, &name)[&name].to_f32().unwrap().into_owned();
        let masked: Vec<i64> = weights.iter().zip(&q).filter(|(w, _)| **w == 0.0).map(|(_, q)| *q).collect();
        assert!(masked.iter().all(|q| *q == 0), "{name}");
        zeros += masked.len();
    }
    assert!(zeros > 1000, "{zeros}");
}

#[test]
fn training_that_brings_nothing_leaves_the_plan() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 200);
    let plan =
        quantize::weights_alone(&model, &alone(Weights::S4, Granularity::Channel), (&calibration, tract()), &Silent)
            .unwrap();
    // Steps as large as the weights themselves.
    let wild = RecoverOptions { rate: Some(1.0), ..RecoverOptions::new(3) };
    let (float, same, report) = trained(&model, (&model, &plan), &calibration, &wild);
    assert_eq!((report.best, report.before), (0, report.after));
    assert!(same.notes.last().unwrap().contains("the plan stays as it was"), "{:?}", same.notes);
    let tensors = |m: &Model| m.tensors().cloned().collect::<Vec<_>>();
    assert_eq!(tensors(&written(&model, &plan)), tensors(&written(&float, &same)));
}

#[test]
fn excluded_nodes_stay_as_they_are() {
    let model = load("digits");
    let calibration = open(&model, "digits_calib.npz", 200);
    let options = QuantOptions { exclude: vec!["^/head".into()], ..alone(Weights::S2, Granularity::Channel) };
    let plan = quantize::plan(&model, None, &options).unwrap();
    let (float, _, report) = trained(&model, (&model, &plan), &calibration, &RecoverOptions::new(40));
    assert!(report.best > 0, "{report}");
    assert_eq!(report.refused.iter().filter(|r| r.ends_with("is not trained: --exclude ^/head")).count(), 2);
    let differ = |end: &str| {
        let [before, after] = [&model, &float].map(|m| constants(m, end));
        before.iter().filter(|(name, t)| after.get(*name).is_some_and(|now| now != *t)).count()
    };
    assert_eq!(differ("head.weight") + differ("head.bias"), 0);
    assert!(differ("") > 0, "small weights that stay float are trained");
}

#[test]
fn forms_that_are_not_trained_are_named() {
    let base = QuantOptions::for_target("onnxruntime").unwrap();
    let refused = |options: QuantOptions| quantize::is_trained(&options).unwrap_err().to_string();
    for format in [Format::Dynamic, Format::Integer, Format::Qoperator] {
        let why = refused(QuantOptions { format, ..base.clone() });
        assert!(why.ends_with(&format!("not the {format} form")), "{why}");
    }
    let why = refused(QuantOptions { weights: Weights::BF16, ..base.clone() });
    assert_eq!(why, "--recover trains weights on a grid of integers; bf16 has none");
    assert!(quantize::is_trained(&base).is_ok());
}

#[test]
fn what_keeps_its_levels_is_told() {
    let list = |count: usize, seed: usize| {
        let number = |i: usize| format!("{:.4}", ((i * 7919 + seed * 104_729) % 10_007) as f64 / 5000.0 - 1.0);
        (0..count).map(number).collect::<Vec<_>>().join(", ")
    };
    let source = format!(
        r#"<ir_version: 8, opset_import: ["" : 17]> g (float[batch, 16] x) => (float[batch, 8] y)
        <float[16, 16] v = {{ {} }}, float[1, 64, 16] w = {{ {} }}, float[1, 64, 16] r = {{ {} }}, float[16, 8] u = {{ {} }},
         int64[1] first = {{0}}> {{
            a = MatMul (x, v) b = MatMul (a, v)
            s = Unsqueeze (b, first) [gates] h, t = LSTM <hidden_size = 16> (s, w, r)
            f = Squeeze (t, first) y = MatMul (f, u)
        }}"#,
        list(256, 1),
        list(1024, 2),
        list(1024, 3),
        list(128, 4)
    );
    let model = text::parse(&source).unwrap();
    let options = QuantOptions { min_bytes: 0, ..alone(Weights::S4, Granularity::Channel) };
    let plan = quantize::plan(&model, None, &options).unwrap();
    let dataset = Dataset::open(&DataOptions::new("random:64"), &InputSpec::of(&model)).unwrap();
    let (_, _, report) = trained(&model, (&model, &plan), &dataset, &RecoverOptions::new(4));
    println!("{:#?}", report.refused);
    assert_eq!(report.tensors, 1);
    let told = |what: &str| report.refused.iter().filter(|r| r.contains(what)).count();
    assert_eq!(told("gates (LSTM) keeps its levels: recurrent operators are not trained"), 1);
    assert_eq!(told("several nodes read its weight"), 2);
}
