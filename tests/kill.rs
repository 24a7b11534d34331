//! A process that is killed leaves no output, or the whole output, and what was there before stays whole; one that is told to end leaves nothing else.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use onnxpress::ir::{GraphEdit, Model, NewNode, Place, Tensor};
use onnxpress::onnx::{emit, load};

/// y = x + w with 32 MB of weights.
fn model() -> Model {
    let mut model = Model::new(17);
    model.meta.ir_version = Some(8);
    let main = model.main();
    let mut edit = GraphEdit::new(&mut model);
    let x = edit.new_value("x", None);
    edit.add_graph_input(main, x);
    let values: Vec<f32> = (0..8 << 20).map(|i| (i % 251) as f32).collect();
    let w = edit.add_initializer(main, "w", Tensor::from_vec([8 << 20], values));
    let y = edit.new_value("y", None);
    edit.insert(Place::End(main), NewNode::new("Add").input(x).input(w).output_into(y));
    edit.add_graph_output(main, y);
    model
}

fn simplify(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
    command.current_dir(folder).args(["simplify", "m.onnx", "-o", "out.onnx"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn first_weight(path: &Path) -> Option<Vec<u8>> {
    let model = load(path).ok()?;
    let w = *model.graph(model.main()).initializers().first()?;
    Some(model.value(w).initializer()?.bytes().to_vec())
}

/// Kills the program at many moments of its work; how often it was killed before it ended by itself.
fn killed(external: bool, old: bool) -> usize {
    let folder = tempfile::tempdir().unwrap();
    let (input, out) = (folder.path().join("m.onnx"), folder.path().join("out.onnx"));
    let mut model = model();
    model.external_data = external;
    emit(&model, &input).unwrap();
    let whole = first_weight(&input).unwrap();

    // The fastest of a few: one that other work slowed would put the kills behind the end.
    let timed = || {
        let begin = Instant::now();
        assert!(simplify(folder.path()).status().unwrap().success());
        begin.elapsed()
    };
    let takes = (0..3).map(|_| timed()).min().unwrap();
    let before = std::fs::read(&out).unwrap();
    let mut early = 0;
    for moment in 0..20 {
        if !old {
            std::fs::remove_file(&out).unwrap_or_default();
        }
        let mut child = simplify(folder.path()).spawn().unwrap();
        std::thread::sleep(takes * moment / 20 + Duration::from_millis(1));
        child.kill().unwrap();
        early += usize::from(!child.wait().unwrap().success());
        if old || out.exists() {
            assert_eq!(std::fs::read(&out).unwrap(), before, "moment {moment}");
            assert_eq!(first_weight(&out).as_ref(), Some(&whole), "moment {moment}");
        }
    }
    early
}

#[test]
fn a_killed_process_leaves_nothing_half_written() {
    for (external, old) in [(false, false), (true, false), (false, true), (true, true)] {
        let early = killed(external, old);
        println!("killed {early} of 20 times before the end (external data {external}, an output before {old})");
        assert!(early >= 5, "the kills came too late to tell anything: {early} of 20");
    }
}

/// Sends the process the signal that ends it politely.
#[cfg(unix)]
fn interrupt(child: &std::process::Child) {
    let done = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(done.success());
}

#[test]
#[cfg(unix)]
fn what_is_not_proven_yet_takes_no_place_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let [model, data] = ["digits.onnx", "digits_calib.npz"].map(crate::common::fixture);
    std::fs::copy(&model, at("m.onnx")).unwrap();
    let before = std::fs::read(&model).unwrap();
    let begin = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
        command.current_dir(folder.path()).args(["optimize", "m.onnx", "-o", "m.onnx", "--data"]).arg(&data);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    };
    let names = || std::fs::read_dir(folder.path()).unwrap().map(|e| e.unwrap().file_name()).collect::<Vec<_>>();
    let mut child = begin();
    // Until something stands beside it: from then on the result is made and proven.
    while names().len() < 2 {
        assert_eq!(child.try_wait().unwrap(), None, "it ended before it could be interrupted");
        std::thread::sleep(Duration::from_millis(1));
    }
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!((names(), std::fs::read(at("m.onnx")).unwrap() == before), (vec!["m.onnx".into()], true));
    assert!(begin().wait().unwrap().success());
    assert_eq!((names(), std::fs::read(at("m.onnx")).unwrap() == before), (vec!["m.onnx".into()], false));
}
