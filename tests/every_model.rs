//! Every real model is pruned, or refused with a reason: the result is a valid file that runs wherever the original runs.

use std::path::Path;
use std::time::Instant;

use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{Model, Tensor, verify};
use onnxpress::passes::{SimplifyOptions, Specialize, simplify, specialize};
use onnxpress::progress::Silent;
use onnxpress::prune::{self, Data, Goal, Pattern, PruneOptions, PrunePlan};
use onnxpress::runtime::{self, RUNTIMES, Shaped};
use onnxpress::{onnx, pipeline};

use crate::common::{decibels, runtimes, shared};

/// A model, its data, and the sampling rate that it is fixed to.
struct Case {
    name: &'static str,
    data: &'static str,
    rate: &'static str,
    /// Whether it must lose channels, and whether it must get zeros.
    must: [bool; 2],
}

const fn case(name: &'static str, data: &'static str, must: [bool; 2]) -> Case {
    Case { name, data, rate: "", must }
}

const fn at_16_khz(name: &'static str) -> Case {
    Case { name, data: "random:8", rate: "16000", must: [true, true] }
}

/// Those that take seconds.
const SMALL: [Case; 5] = [
    at_16_khz("silero_vad"),
    at_16_khz("silero_vad_16k_op15"),
    case("silero_vad", "random:8", [false, true]),
    case("silero_vad_16k_op15", "random:8", [false, true]),
    case("tashkeel_rawi_v3_int8", "random:8", [false, false]),
];

const LARGE: [Case; 10] = [
    case("magika_v3_3", "random:8", [false, true]),
    case("plcmos_v2", "random:8", [true, true]),
    case("aecmos_1663915512", "random:8", [true, true]),
    case("effnetlite0", "imagenet/calib.npz", [true, true]),
    case("cifar10_resnet", "cifar10/calib.npz", [true, true]),
    case("cifar10_resnet_bn", "cifar10/calib.npz", [true, true]),
    case("minilm_l6_v2", "sts/calib", [true, true]),
    case("ppocrv4_rec", "ocr/rec_calib.npz", [true, true]),
    case("ppocrv4_det", "ocr/det_calib.npz", [true, true]),
    case("ppocr_v2_cls", "ocr/cls_calib.npz", [true, true]),
];

/// The outputs of one batch, or why the runtime does not run it.
fn outputs(model: &Model, runtime: &dyn runtime::Runtime, data: &Dataset) -> onnxpress::Result<Vec<(String, Tensor)>> {
    Shaped::new(runtime, model, &[]).run(&data.batch(0)?.inputs)
}

/// The model as it is pruned, and the file that it is compared with: one whose rate is fixed is both after `simplify`, since ONNX
/// Runtime reads memory that is not its own in an If that a constant decides (seen in 1.32).
fn opened(case: &Case, folder: &Path) -> [Model; 2] {
    let mut model = pipeline::load(&folder.join(format!("{}.onnx", case.name))).unwrap();
    if !case.rate.is_empty() {
        let shapes = vec![("input".into(), vec![1, 512]), ("state".into(), vec![2, 1, 128])];
        let freeze = vec![("sr".into(), case.rate.into())];
        specialize(&mut model, &Specialize { shapes, freeze, ..Specialize::default() }).unwrap();
    }
    let original = model.clone();
    simplify(&mut model, &SimplifyOptions::default()).unwrap();
    let original = if case.rate.is_empty() { original } else { model.clone() };
    [model, original]
}

/// SQNR of the worst output of floats, in dB.
fn worst_db(before: &[(String, Tensor)], after: &[(String, Tensor)]) -> f64 {
    let pairs = before.iter().zip(after).filter_map(|((_, a), (_, b))| a.to_f32().zip(b.to_f32()));
    pairs.map(|(a, b)| decibels(&a, &b)).fold(f64::INFINITY, f64::min)
}

/// What is wrong with the file of `model` where the original runs, and in how many runtimes that is; where outputs are `judged`, also those
/// that zeros would be nearer to.
fn faults(model: &Model, original: &Model, data: &Dataset, judged: bool) -> (Vec<String>, usize) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pruned.onnx");
    onnx::emit(model, &file).unwrap();
    let written = pipeline::load(&file).unwrap();
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for runtime in runtimes() {
        let Ok(before) = outputs(original, runtime, data) else { continue };
        compared += 1;
        let after = match outputs(&written, runtime, data) {
            Ok(after) => after,
            Err(e) => {
                wrong.push(e.to_string());
                continue;
            }
        };
        let finite = |t: &Tensor| t.to_f32().is_none_or(|v| v.iter().all(|x| x.is_finite()));
        let fits = |((_, a), (_, b)): (&(String, Tensor), &(String, Tensor))| a.shape() == b.shape() && finite(b);
        if before.len() != after.len() || !before.iter().zip(&after).all(fits) {
            wrong.push(format!("other shapes, or no numbers, in {}", runtime.name()));
            continue;
        }
        let db = worst_db(&before, &after);
        println!("{db:.1} dB in {}", runtime.name());
        if judged && db <= 0.0 {
            wrong.push(format!("{db:.1} dB in {}", runtime.name()));
        }
    }
    (wrong, compared)
}

/// Where less is gone than was wanted and nothing says why.
fn missed(plan: &PrunePlan) -> Option<String> {
    let pruned = || plan.tensors.iter().filter(|t| t.kept.is_none());
    let all: usize = pruned().map(|t| t.shape.iter().product::<usize>()).sum();
    let zeros: usize = pruned().map(|t| t.zeros).sum();
    let share = |part: f64, whole: f64| part / whole.max(1.0);
    let (wanted, left) = match (plan.options.goal, &plan.channels) {
        (Goal::Macs(left), Some(c)) => (left, share(c.macs.1 as f64, c.macs.0 as f64)),
        (Goal::Sparsity(wanted), None) => (1.0 - wanted, share((all - zeros) as f64, all as f64)),
        (goal, _) => return Some(format!("no plan for {goal}")),
    };
    let told = plan.notes.iter().any(|n| n.contains("were wanted")) && left < 1.0;
    (left > wanted + 0.01 && !told).then(|| format!("{left:.3} are left where {wanted:.3} were wanted"))
}

/// What is wrong with a model pruned one way, `must` saying that it cannot be refused, and in how many runtimes it was compared.
fn tried(case: &Case, options: &PruneOptions, must: bool, [model, original]: &[Model; 2]) -> (Vec<String>, usize) {
    let spec = if case.data.starts_with("random") {
        case.data.into()
    } else {
        shared(&format!("data/{}", case.data)).unwrap()
    };
    let spec = DataOptions { limit: Some(32), ..DataOptions::new(spec.to_string_lossy()) };
    let dataset = Dataset::open(&spec, &InputSpec::of(model)).unwrap();
    let data = Data { dataset: &dataset, runtime: runtime::find("tract").unwrap() };
    let (begin, mut pruned) = (Instant::now(), model.clone());
    let (told, wrong, compared) = match prune::prune(&mut pruned, options, Some(data), &Silent) {
        // A reason names what stands in the way.
        Err(e) if must || !e.to_string().contains('"') => (format!("refused: {e}"), vec![e.to_string()], 0),
        Err(e) => (format!("refused: {e}"), Vec::new(), 0),
        Ok((plan, report)) => {
            verify(&pruned).unwrap();
            let missed = missed(&plan);
            // On noise there is no voice to detect: all of the output is nearly zero.
            let judged = must && !case.data.starts_with("random");
            let (faults, compared) = faults(&pruned, original, &dataset, judged);
            let wrong = faults.into_iter().chain(missed).collect();
            (format!("{report}; {}", report.notes.join("; ")), wrong, compared)
        }
    };
    println!("{} {} ({:.0} s, {compared} compared): {told}", case.name, case.rate, begin.elapsed().as_secs_f64());
    (wrong.into_iter().map(|w| format!("{} {}: {w}", case.name, case.rate)).collect(), compared)
}

/// `wanted` comparisons with the original, where both runtimes are present; else as many as are told.
fn all(cases: &[Case], wanted: Option<usize>) {
    let Some(folder) = shared("models") else { return };
    let channels = PruneOptions { pattern: Pattern::Channel, ..PruneOptions::new(Goal::Macs(0.8)) };
    let zeros = PruneOptions::new(Goal::Sparsity(0.5));
    let (mut wrong, mut compared) = (Vec::new(), 0);
    for case in cases {
        let models = opened(case, &folder);
        for (options, must) in [(&channels, case.must[0]), (&zeros, case.must[1])] {
            let (faults, count) = tried(case, options, must, &models);
            wrong.extend(faults);
            compared += count;
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    // Where an original does not run, nothing is compared.
    println!("{compared} comparisons");
    assert!(
        runtimes().len() < RUNTIMES.len() || wanted.is_none_or(|wanted| compared == wanted),
        "{compared} comparisons"
    );
}

#[test]
fn small_models_are_pruned_or_say_why_not() {
    all(&SMALL, Some(10));
}

#[test]
#[ignore = "minutes, real models: cargo test --release -- --ignored"]
fn large_models_are_pruned_or_say_why_not() {
    all(&LARGE, None);
}
