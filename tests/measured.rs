//! What timing in the target runtime makes of a plan, with a runtime whose times are made up: each integer product takes
//! as long as its name says.

use std::time::Duration;

use onnxpress::calibrate::{Range, Ranges};
use onnxpress::ir::{self, GraphEdit, Model, Tensor};
use onnxpress::progress::Silent;
use onnxpress::quantize::{self, QuantOptions, QuantPlan};
use onnxpress::runtime::{LoadOptions, Runtime, Session};
use onnxpress::{Error, Result};

/// Three layers of different shapes, so that each is timed; names say whether integers take a quarter or four times as long.
fn model() -> Model {
    let text = r#"<ir_version: 8, opset_import: ["" : 17]>
        g (float[1,128] x) => (float[1,128] y)
        <float[1,1] w1 = {0}, float[1,1] w2 = {0}, float[1,1] w3 = {0}>
        {
           [first_fast] a = MatMul (x, w1)
           [clamp] r = Relu (a)
           [second_slow] b = MatMul (r, w2)
           [third_fast] y = MatMul (b, w3)
        }"#;
    let mut model = ir::text::parse(text).unwrap();
    let mut edit = GraphEdit::new(&mut model);
    for (weight, shape) in
        edit.graph(edit.main()).initializers().to_vec().into_iter().zip([[128, 128], [128, 144], [144, 128]])
    {
        let values = (0..shape.iter().product()).map(|k: usize| ((k * 37) % 255) as f32 / 127.0 - 1.0).collect();
        edit.set_initializer(weight, Tensor::from_vec(shape, values));
    }
    model
}

fn plan(model: &Model, options: &QuantOptions) -> QuantPlan {
    let mut ranges = Ranges::default();
    for value in ["x", "r", "b", "y", "a"] {
        ranges.ranges.insert(value.into(), Range::new(-1.0, 1.0));
    }
    quantize::plan(model, Some(&ranges), options).unwrap()
}

/// Sleeps by node: a float product takes 4 ms, in integers what its name says. The model as a whole may take more.
struct Made {
    whole: f64,
}

struct MadeSession {
    outputs: Vec<String>,
    millis: f64,
}

impl Runtime for Made {
    fn name(&self) -> &'static str {
        "made"
    }

    fn load(&self, model: &Model, options: &LoadOptions) -> Result<Box<dyn Session>> {
        let labels: Vec<&str> = model.all_nodes().into_iter().map(|n| model.node_label(n)).collect();
        let of = |label: &&str| match *label {
            l if l.ends_with("_integer") && l.contains("fast") => 1.0,
            l if l.ends_with("_integer") => 16.0,
            l if l.ends_with("_fast") || l.ends_with("_slow") => 4.0,
            _ => 0.0,
        };
        let integers = labels.iter().filter(|l| l.ends_with("_integer")).count();
        let millis = labels.iter().map(of).sum::<f64>() + if integers > 1 { self.whole } else { 0.0 };
        let outputs = model.graph(model.main()).outputs().iter().map(|v| model.name(*v).to_string());
        Ok(Box::new(MadeSession { outputs: outputs.chain(options.taps.clone()).collect(), millis }))
    }
}

impl Session for MadeSession {
    fn run(&self, inputs: &[(String, Tensor)]) -> Result<Vec<(String, Tensor)>> {
        let [(_, x)] = inputs else { return Err(Error::input(format!("{} inputs, not one", inputs.len()))) };
        std::thread::sleep(Duration::from_secs_f64(self.millis / 1e3));
        Ok(self.outputs.iter().map(|name| (name.clone(), x.clone())).collect())
    }
}

fn measured(options: &QuantOptions, runtime: &Made) -> QuantPlan {
    let model = model();
    let plan = plan(&model, options);
    assert_eq!(plan.quantized(), 3);
    let x = Tensor::from_vec([1, 128], vec![0.5f32; 128]);
    let found = quantize::measure(&model, &plan, &[("x".into(), x)], runtime, &Silent).unwrap();
    let mut plan = found.plan(&model, &plan).unwrap();
    plan.notes.extend(found.notes);
    plan
}

fn reasons(plan: &QuantPlan) -> Vec<(String, String)> {
    plan.kept().map(|(n, why)| (n.node.clone(), why.to_string())).collect()
}

#[test]
fn a_node_that_is_slower_in_integers_stays_float_and_the_plan_says_by_how_much() {
    let options = QuantOptions::for_target("tract").unwrap();
    let plan = measured(&options, &Made { whole: 0.0 });
    let kept = reasons(&plan);
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(kept[0].0, "second_slow");
    assert!(kept[0].1.starts_with("its integer form runs at 0.") && kept[0].1.ends_with("x in made"), "{kept:?}");
    assert!(plan.notes.iter().any(|n| n.starts_with("3 nodes of ")), "{:?}", plan.notes);

    let mut model = model();
    quantize::apply(&mut model, &plan).unwrap();
    ir::verify(&model).unwrap();
    let integer = |op| model.all_nodes().into_iter().filter(|n| model.node(*n).is(op)).count();
    assert_eq!((integer("MatMulInteger"), integer("MatMul")), (2, 1));
}

#[test]
fn a_plan_that_makes_the_whole_model_slower_is_given_up() {
    let options = QuantOptions::for_target("tract").unwrap();
    let plan = measured(&options, &Made { whole: 40.0 });
    assert_eq!(plan.quantized(), 0);
    assert!(plan.activations.is_empty());
    let kept = reasons(&plan);
    assert!(kept[0].1.starts_with("with it the model runs at 0.") && kept[2].1 == kept[0].1, "{kept:?}");
}

#[test]
fn what_the_user_named_is_not_questioned() {
    let options = QuantOptions { include: vec![".".into()], ..QuantOptions::for_target("tract").unwrap() };
    assert_eq!(measured(&options, &Made { whole: 40.0 }).quantized(), 3);
}

/// Runs and loads of another runtime, counted.
struct Counted {
    inner: Made,
    loads: std::sync::atomic::AtomicUsize,
}

impl Runtime for Counted {
    fn name(&self) -> &'static str {
        "counted"
    }

    fn load(&self, model: &Model, options: &LoadOptions) -> Result<Box<dyn Session>> {
        self.loads.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        self.inner.load(model, options)
    }
}

#[test]
fn a_second_run_takes_the_same_decisions_and_times_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let costs = Some(folder.path().join("not/yet/there/costs.json"));
    let measured = |costs: Option<std::path::PathBuf>, whole: f64| {
        let model = model();
        let options = QuantOptions { costs, ..QuantOptions::for_target("tract").unwrap() };
        let plan = plan(&model, &options);
        let runtime = Counted { inner: Made { whole }, loads: Default::default() };
        let x = Tensor::from_vec([1, 128], vec![0.5f32; 128]);
        let found = quantize::measure(&model, &plan, &[("x".into(), x)], &runtime, &Silent).unwrap();
        (found, runtime.loads.into_inner())
    };
    let (first, loads) = measured(costs.clone(), 0.0);
    // What nodes are fed; three nodes alone and the whole, float and integers.
    assert_eq!(loads, 1 + 3 * 2 + 2);
    // The whole would take longer now, which nobody looks at.
    let (second, loads) = measured(costs, 40.0);
    assert_eq!((loads, &second.float), (1, &first.float));
    assert_eq!(second.float.len(), 1);
    let (own, shared) = second.notes.split_last().unwrap();
    assert_eq!(shared, first.notes);
    assert_eq!(own, "4 of 4 ratios were measured in an earlier run on this machine (--no-cost-cache measures anew)");
    // Without the table it does.
    let (anew, loads) = measured(None, 40.0);
    assert_eq!((loads, anew.float.len()), (1 + 3 * 2 + 2, 3));
}
