//! What lies beside a model that is written, and that writing never harms what was there.

use std::path::Path;

use onnxpress::ir::{Attr, GraphEdit, Model, NewNode, Place, Tensor};
use onnxpress::onnx::{emit, load};

/// `y = Add(w, small)` with a weight of 2 KiB that is stored outside, all bytes `fill`.
fn model(fill: u8) -> Model {
    let mut model = Model::new(21);
    let main = model.main();
    let mut edit = GraphEdit::new(&mut model);
    let weight = Tensor::from_vec([512], vec![f32::from_bits(u32::from_le_bytes([fill; 4])); 512]);
    let w = edit.new_value("w", None);
    edit.attach_initializer(main, w, weight);
    let small = edit.new_value("small", None);
    edit.attach_initializer(main, small, Tensor::scalar(1.0f32));
    let y = edit.new_value("y", None);
    edit.insert(Place::End(main), NewNode::new("Add").input(w).input(small).output_into(y));
    edit.add_graph_output(main, y);
    model.external_data = true;
    model
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn first_byte(path: &Path) -> u8 {
    let model = load(path).unwrap();
    let main = model.graph(model.main());
    model.value(main.initializers()[0]).initializer().unwrap().bytes()[0]
}

#[test]
fn data_files_are_replaced_behind_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("m.onnx");
    emit(&model(1), &out).unwrap();
    let before = names(dir.path());
    assert_eq!(before.len(), 2, "{before:?}");
    assert!(before[0].starts_with("m.onnx") && before.iter().any(|n| n.ends_with(".data")), "{before:?}");
    assert_eq!(
        std::fs::metadata(dir.path().join(before.iter().find(|n| n.ends_with("a")).unwrap())).unwrap().len(),
        2048
    );

    // The same again: the same names.
    emit(&model(1), &out).unwrap();
    assert_eq!(names(dir.path()), before);

    // Other content: the old data goes with the old model.
    emit(&model(2), &out).unwrap();
    let after = names(dir.path());
    assert_eq!((after.len(), first_byte(&out)), (2, 2), "{after:?}");
    assert_ne!(after, before);

    // Another model that uses it keeps it.
    std::fs::copy(&out, dir.path().join("copy.onnx")).unwrap();
    emit(&model(3), &out).unwrap();
    assert_eq!(names(dir.path()).len(), 4);
    assert_eq!((first_byte(&out), first_byte(&dir.path().join("copy.onnx"))), (3, 2));
}

#[test]
fn a_foreign_data_file_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("m.onnx");
    std::fs::write(dir.path().join("m.onnx.data"), "foreign").unwrap();
    emit(&model(1), &out).unwrap();
    emit(&model(2), &out).unwrap();
    assert_eq!(std::fs::read(dir.path().join("m.onnx.data")).unwrap(), b"foreign");
    assert_eq!((names(dir.path()).len(), first_byte(&out)), (3, 2));
}

#[test]
#[cfg(unix)]
fn a_link_is_followed_and_the_data_lie_beside_the_model() {
    let dir = tempfile::tempdir().unwrap();
    let (link, far) = (dir.path().join("m.onnx"), dir.path().join("far"));
    std::fs::create_dir(&far).unwrap();
    std::os::unix::fs::symlink("far/real.onnx", &link).unwrap();
    for fill in [1, 2] {
        emit(&model(fill), &link).unwrap();
        // Read by either name; the data of before are gone with it.
        assert_eq!((first_byte(&link), first_byte(&far.join("real.onnx"))), (fill, fill));
        let (near, far) = (names(dir.path()), names(&far));
        assert_eq!(near, ["far", "m.onnx"]);
        assert!(far.len() == 2 && far.iter().all(|n| n.starts_with("real.onnx")), "{far:?}");
    }
    assert_eq!(std::fs::read_link(&link).unwrap(), Path::new("far/real.onnx"));
}

#[test]
fn data_alone_leaves_the_old_model_whole() {
    // What a kill between the two renames leaves: the new data beside the old model.
    let dir = tempfile::tempdir().unwrap();
    let (out, other) = (dir.path().join("m.onnx"), dir.path().join("other"));
    emit(&model(1), &out).unwrap();
    std::fs::create_dir(&other).unwrap();
    emit(&model(2), &other.join("m.onnx")).unwrap();
    let data = names(&other).into_iter().find(|n| n.ends_with(".data")).unwrap();
    std::fs::copy(other.join(&data), dir.path().join(&data)).unwrap();
    assert_eq!(first_byte(&out), 1);
}

#[test]
fn what_exceeds_one_message_is_refused_before_writing() {
    let mut model = model(1);
    let main = model.main();
    let mut edit = GraphEdit::new(&mut model);
    // Pages of zeros that nobody touches take no memory.
    let huge = Tensor::from_vec([1usize << 31], vec![0u8; 1 << 31]);
    edit.insert(Place::End(main), NewNode::new("Constant").attr("value", Attr::Tensor(huge)).output("c", None));
    let dir = tempfile::tempdir().unwrap();
    let error = emit(&model, &dir.path().join("m.onnx")).unwrap_err();
    assert!(error.to_string().contains("needs 21474"), "{error}");
    assert!(names(dir.path()).is_empty());
}
