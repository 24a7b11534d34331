//! Datasets as their users open them: every format, the ways arrays feed inputs, and what is refused.

mod images;
mod random;

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::{Array1, Array2, Array3, ArrayD, ShapeBuilder};
use ndarray_npy::{NpzWriter, write_npy};
use onnxpress::Result;
use onnxpress::data::{DataOptions, Dataset, InputSpec};
use onnxpress::ir::{DType, Dim, TensorType};
use tempfile::TempDir;

use crate::common::shared;

fn input(name: &str, dtype: DType, dims: &[&str]) -> InputSpec {
    let dim = |d: &&str| match d.parse() {
        Ok(n) => Dim::Known(n),
        Err(_) if *d == "?" => Dim::Unknown,
        Err(_) => Dim::Symbol(d.to_string()),
    };
    InputSpec { name: name.into(), ty: TensorType { dtype: Some(dtype), shape: Some(dims.iter().map(dim).collect()) } }
}

fn options(path: &Path, batch_size: usize) -> DataOptions {
    DataOptions { batch_size, ..DataOptions::new(path.to_str().unwrap()) }
}

fn open(path: &Path, batch_size: usize, inputs: &[InputSpec]) -> Result<Dataset> {
    Dataset::open(&options(path, batch_size), inputs)
}

fn refusal(path: &Path, inputs: &[InputSpec]) -> String {
    let error = open(path, 1, inputs).expect_err("must be refused");
    assert_eq!(error.exit_code(), 3, "{error}");
    let text = error.to_string();
    assert!(!text.contains('\n'), "{text}");
    text.replace(&format!("{}/", path.parent().unwrap().display()), "")
}

/// `x` f32 [10, 2] holding 0..20, `ids` i32 [10], `labels` i64 [10] holding 0..10, and `extra`.
fn sample_npz(folder: &Path, compressed: bool) -> PathBuf {
    let path = folder.join("d.npz");
    let file = fs::File::create(&path).unwrap();
    let mut npz = if compressed { NpzWriter::new_compressed(file) } else { NpzWriter::new(file) };
    npz.add_array("x", &Array2::from_shape_fn((10, 2), |(i, j)| (2 * i + j) as f32)).unwrap();
    npz.add_array("ids", &Array1::from_shape_fn(10, |i| i as i32 - 5)).unwrap();
    npz.add_array("labels", &Array1::from_shape_fn(10, |i| i as i64)).unwrap();
    npz.add_array("extra", &Array1::from_elem(3, 1.0f64)).unwrap();
    npz.finish().unwrap();
    path
}

fn floats(dataset: &Dataset, batch: usize, name: &str) -> Vec<f32> {
    let batch = dataset.batch(batch).unwrap();
    batch.input(name).unwrap().to_f32().unwrap().into_owned()
}

#[test]
fn npz_stored_and_deflated_reads_in_batches() {
    for compressed in [false, true] {
        let folder = TempDir::new().unwrap();
        let path = sample_npz(folder.path(), compressed);
        let inputs = [input("x", DType::F32, &["N", "2"]), input("ids", DType::I64, &["N"])];
        let data = open(&path, 4, &inputs).unwrap();
        assert_eq!((data.len(), data.batch_count(), data.has_labels(), data.is_random()), (10, 3, true, false));
        // The last batch first: a deflated array is inflated past the earlier ones.
        let last = data.batch(2).unwrap();
        assert_eq!((last.first_sample, last.samples), (8, 2));
        assert_eq!(last.labels.as_deref(), Some(&[8, 9][..]));
        assert_eq!(last.inputs[0].1.shape(), [2, 2]);
        assert_eq!(&*last.inputs[0].1.to_f32().unwrap(), [16.0, 17.0, 18.0, 19.0]);
        assert_eq!(last.inputs[1].1.dtype(), DType::I64);
        assert_eq!(last.inputs[1].1.to_i64().unwrap(), [3, 4]);
        assert_eq!(floats(&data, 0, "x"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
        assert_eq!(data.shapes(2).unwrap(), [("x".to_string(), vec![2, 2]), ("ids".to_string(), vec![2])]);
        assert!(data.describe().starts_with("10 samples of "));
    }
}

#[test]
fn limit_and_threads() {
    let folder = TempDir::new().unwrap();
    let path = sample_npz(folder.path(), true);
    let inputs = [input("x", DType::F32, &["N", "2"])];
    let data = Dataset::open(&DataOptions { limit: Some(7), ..options(&path, 2) }, &inputs).unwrap();
    assert_eq!((data.len(), data.batch_count()), (7, 4));
    let sums: Vec<f32> = std::thread::scope(|s| {
        let handles: Vec<_> = (0..4)
            .map(|i| {
                s.spawn({
                    let d = &data;
                    move || floats(d, i, "x").iter().sum()
                })
            })
            .collect();
        handles.into_iter().map(|h| h.join().unwrap()).collect()
    });
    assert_eq!(sums, [6.0, 22.0, 38.0, 25.0]);
}

#[test]
fn declared_batch_size_is_kept_and_the_rest_left_out() {
    let folder = TempDir::new().unwrap();
    let path = sample_npz(folder.path(), false);
    let data = open(&path, 8, &[input("x", DType::F32, &["4", "2"])]).unwrap();
    assert_eq!((data.len(), data.batch_count()), (8, 2));
    assert_eq!(data.batch(1).unwrap().labels.unwrap(), [4, 5, 6, 7]);
    let data = open(&path, 8, &[input("x", DType::F32, &["-1", "2"])]).unwrap();
    assert_eq!((data.len(), data.batch_count()), (10, 2));
    // The model has no sample axis: one sample per run.
    let data = open(&path, 8, &[input("x", DType::F32, &["2"]), input("ids", DType::I32, &[])]).unwrap();
    assert_eq!(data.batch_count(), 10);
    assert_eq!(data.batch(3).unwrap().inputs[0].1.shape(), [2]);
    assert_eq!(data.batch(3).unwrap().inputs[1].1.scalar_i64(), Some(-2));
    // Exactly the declared shape: one batch.
    let data = open(&path, 1, &[input("x", DType::F32, &["10", "2"])]).unwrap();
    assert_eq!((data.len(), data.batch_count(), data.has_labels()), (10, 1, true));
}

#[test]
fn a_declared_state_goes_with_any_batch_that_is_declared() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("states.npz");
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    npz.add_array("x", &Array3::<f32>::zeros((9, 10, 16))).unwrap();
    npz.add_array("h0", &Array3::<f32>::ones((2, 4, 128))).unwrap();
    npz.finish().unwrap();
    let (x, h0) = (input("x", DType::F32, &["4", "10", "16"]), input("h0", DType::F32, &["2", "4", "128"]));
    let data = open(&path, 1, &[x, h0]).unwrap();
    assert_eq!((data.len(), data.batch_count()), (8, 2));
    assert_eq!(data.batch(1).unwrap().inputs[1].1.shape(), [2, 4, 128]);
}

#[test]
fn states_and_scalars_are_fed_whole_in_each_run() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("vad.npz");
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    npz.add_array("input", &Array2::<f32>::zeros((6, 512))).unwrap();
    npz.add_array("state", &Array3::<f32>::ones((2, 1, 128))).unwrap();
    npz.add_array("sr", &ndarray::arr0(16_000i64)).unwrap();
    npz.finish().unwrap();
    let (state, sr) = (input("state", DType::F32, &["2", "batch", "128"]), input("sr", DType::I64, &[]));
    let data = open(&path, 4, &[input("input", DType::F32, &["batch", "sequence"]), state, sr.clone()]).unwrap();
    // The state's batch of one holds for the whole run.
    assert_eq!((data.len(), data.batch_count()), (6, 6));
    let batch = data.batch(5).unwrap();
    assert_eq!(batch.inputs[0].1.shape(), [1, 512]);
    assert_eq!(batch.inputs[1].1.shape(), [2, 1, 128]);
    assert_eq!(batch.inputs[2].1.scalar_i64(), Some(16_000));
    let fixed = input("state", DType::F32, &["2", "1", "128"]);
    let open_state = input("state", DType::F32, &["2", "?", "128"]);
    for state in [fixed, open_state] {
        let data = open(&path, 4, &[input("input", DType::F32, &["?", "?"]), state, sr.clone()]).unwrap();
        assert_eq!(data.batch(1).unwrap().inputs[1].1.shape(), [2, 1, 128]);
        assert_eq!(data.batch_count(), 6);
    }
    // A scalar goes with any batch.
    let data = open(&path, 4, &[input("input", DType::F32, &["?", "?"]), sr]).unwrap();
    assert_eq!(data.batch_count(), 2);
}

#[test]
fn one_row_beside_many_samples_is_fed_whole() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("d.npz");
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    npz.add_array("x", &Array2::<f32>::zeros((6, 4))).unwrap();
    npz.add_array("speaker", &Array2::<f32>::ones((1, 64))).unwrap();
    npz.finish().unwrap();
    let data =
        open(&path, 4, &[input("x", DType::F32, &["N", "4"]), input("speaker", DType::F32, &["N", "64"])]).unwrap();
    assert_eq!((data.len(), data.batch_count()), (6, 6));
    assert_eq!(data.batch(3).unwrap().input("speaker").unwrap().shape(), [1, 64]);
}

#[test]
fn npy_of_any_order_and_endianness() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.npy");
    let c = ArrayD::from_shape_fn(vec![3, 2, 2], |i| (100 * i[0] + 10 * i[1] + i[2]) as f64);
    let mut f = ArrayD::<f64>::zeros(vec![3, 2, 2].f());
    f.assign(&c);
    write_npy(&path, &f).unwrap();
    assert!(fs::read(&path).unwrap().windows(21).any(|w| w == b"'fortran_order': True"));
    let inputs = [input("whatever", DType::F32, &["N", "2", "2"])];
    let data = open(&path, 2, &inputs).unwrap();
    assert_eq!(floats(&data, 0, "whatever"), [0.0, 1.0, 10.0, 11.0, 100.0, 101.0, 110.0, 111.0]);
    assert_eq!(floats(&data, 1, "whatever"), [200.0, 201.0, 210.0, 211.0]);

    let header = format!("{:<117}\n", "{'descr': '>u2', 'fortran_order': False, 'shape': (2, 2, 1), }");
    let mut bytes = [b"\x93NUMPY\x01\x00", &118u16.to_le_bytes()[..], header.as_bytes()].concat();
    bytes.extend([1, 0, 0, 1, 0, 2, 0, 3]);
    fs::write(&path, bytes).unwrap();
    let data = open(&path, 2, &[input("x", DType::F32, &["N", "2", "1"])]).unwrap();
    assert_eq!(floats(&data, 0, "x"), [256.0, 1.0, 2.0, 3.0]);
    assert!(refusal(&path, &[input("a", DType::F32, &["N"]), input("b", DType::F32, &["N"])]).contains("use npz"));
}

#[test]
fn safetensors_by_input_name() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("d.safetensors");
    let half: Vec<u8> = (0..6).flat_map(|i| half::f16::from_f32(i as f32 / 2.0).to_le_bytes()).collect();
    let labels: Vec<u8> = [7i64, 8, 9].iter().flat_map(|v| v.to_le_bytes()).collect();
    let view = |d, s, b| safetensors::tensor::TensorView::new(d, s, b).unwrap();
    let tensors = [
        ("x", view(safetensors::Dtype::F16, vec![3, 2], &half)),
        ("labels", view(safetensors::Dtype::I64, vec![3], &labels)),
    ];
    fs::write(&path, safetensors::serialize(tensors, None).unwrap()).unwrap();
    let inputs = [input("x", DType::F32, &["N", "2"])];
    let data = open(&path, 2, &inputs).unwrap();
    assert_eq!(floats(&data, 1, "x"), [2.0, 2.5]);
    assert_eq!(data.batch(0).unwrap().labels.unwrap(), [7, 8]);
    let whole = fs::read(&path).unwrap();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert!(refusal(&path, &inputs).contains("the file is truncated"));
    fs::write(&path, &whole[..20]).unwrap();
    assert!(refusal(&path, &inputs).contains("its header is said to have"));
}

#[test]
fn folder_of_npz_is_a_batch_each() {
    let folder = TempDir::new().unwrap();
    for (name, rows, columns) in [("b", 3, 5), ("a", 2, 4), ("c", 1, 9)] {
        let mut npz = NpzWriter::new_compressed(fs::File::create(folder.path().join(format!("{name}.npz"))).unwrap());
        npz.add_array("ids", &Array2::from_elem((rows, columns), columns as i32)).unwrap();
        npz.add_array("mask", &Array2::from_elem((rows, columns), 1u8)).unwrap();
        npz.finish().unwrap();
    }
    let inputs = [input("ids", DType::I64, &["N", "L"]), input("mask", DType::I64, &["N", "L"])];
    let data = open(folder.path(), 1, &inputs).unwrap();
    assert_eq!((data.len(), data.batch_count(), data.has_labels()), (6, 3, false));
    let batch = data.batch(1).unwrap();
    assert_eq!((batch.first_sample, batch.samples), (2, 3));
    assert_eq!(batch.inputs[0].1.shape(), [3, 5]);
    assert_eq!(batch.inputs[1].1.to_i64().unwrap(), [1; 15]);
    // A declared batch of one splits the files.
    let inputs = [input("ids", DType::I64, &["1", "L"]), input("mask", DType::I64, &["1", "L"])];
    let data = Dataset::open(&DataOptions { limit: Some(5), ..options(folder.path(), 1) }, &inputs).unwrap();
    assert_eq!((data.len(), data.batch_count()), (5, 5));
    let batch = data.batch(4).unwrap();
    assert_eq!((batch.first_sample, batch.inputs[0].1.shape()), (4, &[1, 5][..]));
}

/// A file of `nodes` nodes and `edges` edges between them, and labels if there are any.
fn graph_npz(path: &Path, nodes: usize, edges: usize, labels: usize) {
    let mut npz = NpzWriter::new(fs::File::create(path).unwrap());
    npz.add_array("feat", &Array2::from_elem((nodes, 3), nodes as f32)).unwrap();
    npz.add_array("edge_feat", &Array2::from_elem((edges, 2), edges as f32)).unwrap();
    npz.add_array("edge_index", &Array2::<i64>::zeros((2, edges))).unwrap();
    npz.add_array("slots", &Array1::<f32>::zeros(1)).unwrap();
    if labels > 0 {
        npz.add_array("labels", &Array1::<i64>::zeros(labels)).unwrap();
    }
    npz.finish().unwrap();
}

#[test]
fn steps_of_a_sequence_beside_a_fixed_state_are_one_sample_of_their_folder() {
    let folder = TempDir::new().unwrap();
    for (name, steps) in [("a.npz", 5), ("b.npz", 2)] {
        let mut npz = NpzWriter::new(fs::File::create(folder.path().join(name)).unwrap());
        npz.add_array("x", &Array2::<f32>::ones((steps, 3))).unwrap();
        npz.add_array("h", &Array2::<f32>::zeros((1, 4))).unwrap();
        npz.finish().unwrap();
    }
    let of = |steps: &str, state: &str| {
        let inputs = [input("x", DType::F32, &[steps, "3"]), input("h", DType::F32, &[state, "4"])];
        let data = open(folder.path(), 4, &inputs).unwrap();
        (data.len(), data.shapes(0).unwrap().into_iter().map(|(_, shape)| shape).collect::<Vec<_>>())
    };
    assert_eq!(of("seq_len", "1"), (2, vec![vec![5, 3], vec![1, 4]]));
    // By the name of a batch, and without a state, the rows are samples.
    let rows = (7, vec![vec![1, 3], vec![1, 4]]);
    assert_eq!((of("N", "1"), of("seq_batch", "1")), (rows.clone(), rows));
}

#[test]
fn a_file_without_a_common_first_axis_is_one_sample_of_its_folder() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    let inputs = [
        input("feat", DType::F32, &["nodes", "3"]),
        input("edge_feat", DType::F32, &["edges", "2"]),
        input("edge_index", DType::I64, &["2", "edges"]),
        input("slots", DType::F32, &["graphs"]),
    ];
    // As many nodes as edges, a node alone, and the usual.
    for (name, nodes, edges) in [("a.npz", 2, 2), ("b.npz", 1, 0), ("c.npz", 10, 20)] {
        graph_npz(&at(name), nodes, edges, 0);
    }
    let data = open(folder.path(), 4, &inputs).unwrap();
    assert_eq!((data.len(), data.batch_count(), data.has_labels()), (3, 3, false));
    for (index, (nodes, edges)) in [(2, 2), (1, 0), (10, 20)].into_iter().enumerate() {
        let batch = data.batch(index).unwrap();
        assert_eq!((batch.first_sample, batch.samples), (index, 1));
        let shapes: Vec<_> = batch.inputs.iter().map(|(_, t)| t.shape().to_vec()).collect();
        assert_eq!(shapes, [vec![nodes, 3], vec![edges, 2], vec![2, edges], vec![1]]);
        assert_eq!(data.shapes(index).unwrap().into_iter().map(|(_, shape)| shape).collect::<Vec<_>>(), shapes);
    }
    assert_eq!(floats(&data, 2, "edge_feat"), [20.0; 40]);

    // Alone such a file says no batches, and sizes of one name must agree.
    let alone = "c.npz: array \"feat\" has 10 samples on its first axis, array \"edge_feat\" has 20";
    assert_eq!(refusal(&at("c.npz"), &inputs), alone);
    let in_folder = |inputs: &[InputSpec]| {
        let text = open(folder.path(), 1, inputs).unwrap_err().to_string();
        text.replace(&format!("{}/", folder.path().display()), "")
    };
    let same = [input("feat", DType::F32, &["n", "3"]), input("edge_feat", DType::F32, &["n", "2"])];
    assert_eq!(in_folder(&same), "b.npz: the model's size n is 1 in array \"feat\" but 0 in array \"edge_feat\"");
    // What a run takes is declared: more of it are samples.
    fs::remove_file(at("b.npz")).unwrap();
    let declared = [input("feat", DType::F32, &["1", "3"]), input("edge_feat", DType::F32, &["edges", "2"])];
    assert_eq!(in_folder(&declared), alone);

    for (name, labels) in [("b.npz", [0, 1]), ("a.npz", [2, 0])] {
        graph_npz(&at("a.npz"), 2, 2, labels[0]);
        graph_npz(&at("b.npz"), 2, 3, labels[1]);
        let why = "its other arrays are one run, not samples on a first axis: the file is one sample, fed without labels; leave them out";
        assert_eq!(in_folder(&inputs), format!("{name}: has array \"labels\", but {why}"));
    }
    fs::remove_file(at("a.npz")).unwrap();
    graph_npz(&at("b.npz"), 2, 3, 0);
    let one = Dataset::open(&DataOptions { limit: Some(1), ..options(folder.path(), 1) }, &inputs).unwrap();
    assert_eq!((one.len(), one.batch_count()), (1, 1));
}

#[test]
fn an_empty_folder_says_what_it_lacks() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("d");
    fs::create_dir_all(path.join("class")).unwrap();
    fs::write(path.join("notes.txt"), "no data").unwrap();
    let (x, ids) = (input("x", DType::F32, &["N", "3", "8", "8"]), input("ids", DType::I64, &["N"]));
    let both = [x.clone(), ids.clone()];
    for inputs in [std::slice::from_ref(&x), std::slice::from_ref(&ids), &both] {
        let message = "d: holds no data (npz, npy, safetensors) and no images (jpg, jpeg, png, webp, bmp)";
        assert_eq!(refusal(&path, inputs), message);
    }
}

#[test]
fn what_does_not_fit_the_model_is_refused_on_opening() {
    let folder = TempDir::new().unwrap();
    let path = sample_npz(folder.path(), true);
    assert_eq!(
        refusal(&path, &[input("x", DType::F32, &["N", "3"])]),
        "d.npz: array \"x\" holds float32 [10, 2]; the model declares this input as float32 [N, 3]"
    );
    assert_eq!(
        refusal(&path, &[input("x", DType::F32, &["N", "3", "4", "5"])]),
        "d.npz: array \"x\" holds float32 [10, 2]; the model declares this input as float32 [N, 3, 4, 5]"
    );
    assert_eq!(
        refusal(&path, &[input("X", DType::F32, &["N", "2"])]),
        "d.npz: there is no array \"X\", which is an input of the model; it has \"x\", \"ids\", \"labels\", \"extra\"; is it \"x\"?"
    );
    assert_eq!(
        refusal(&path, &[input("x", DType::F32, &["N", "2"]), input("extra", DType::F32, &["N"])]),
        "d.npz: array \"x\" has 10 samples on its first axis, array \"extra\" has 3"
    );
    assert!(refusal(&path, &[input("x", DType::String, &["N", "2"])]).contains("declares this input as string"));
    assert!(refusal(&path, &[input("x", DType::F32, &["16", "2"])]).contains("[16, 2]"));
    let missing = folder.path().join("no.npz");
    assert!(refusal(&missing, &[input("x", DType::F32, &["N"])]).starts_with("no.npz: No such file"));
    fs::write(folder.path().join("d.txt"), "").unwrap();
    let error = open(&folder.path().join("d.txt"), 1, &[input("x", DType::F32, &["N"])]).unwrap_err();
    assert_eq!(error.exit_code(), 2);
}

#[test]
fn labels_must_be_as_many_as_samples() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("d.npz");
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    npz.add_array("x", &Array2::<f32>::zeros((4, 2))).unwrap();
    npz.add_array("labels", &Array1::<i64>::zeros(3)).unwrap();
    npz.finish().unwrap();
    let message = refusal(&path, &[input("x", DType::F32, &["N", "2"])]);
    assert_eq!(message, "d.npz: array \"labels\" has 3 labels for 4 samples");
}

#[test]
fn values_are_named_with_their_sample() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("d.npz");
    let mut npz = NpzWriter::new(fs::File::create(&path).unwrap());
    let mut x = Array2::<f32>::zeros((8, 3));
    x[[5, 2]] = f32::NAN;
    npz.add_array("x", &x).unwrap();
    npz.finish().unwrap();
    let data = open(&path, 4, &[input("x", DType::F32, &["N", "3"])]).unwrap();
    assert!(data.batch(0).is_ok());
    let error = data.batch(1).unwrap_err().to_string();
    assert!(error.ends_with("d.npz: array \"x\" holds NaN in sample 5 (element [2])"), "{error}");
}

#[test]
fn damaged_files_are_refused_in_one_line() {
    let folder = TempDir::new().unwrap();
    let inputs = [input("x", DType::F32, &["N", "2"]), input("ids", DType::I64, &["N"])];
    for compressed in [false, true] {
        let path = sample_npz(folder.path(), compressed);
        let whole = fs::read(&path).unwrap();
        let read_all = |bytes: &[u8]| {
            fs::write(&path, bytes).unwrap();
            let data = open(&path, 3, &inputs)?;
            (0..data.batch_count()).try_for_each(|i| data.batch(i).map(drop))
        };
        assert!(read_all(&whole).is_ok());
        for keep in (0..whole.len()).step_by(5) {
            let error = read_all(&whole[..keep]).unwrap_err();
            assert_eq!(error.exit_code(), 3);
            assert!(!error.to_string().contains('\n'), "{error}");
        }
        for i in (0..whole.len()).step_by(3) {
            let mut damaged = whole.clone();
            damaged[i] ^= 0x55;
            if let Err(error) = read_all(&damaged) {
                assert!(!error.to_string().contains('\n'), "{error}");
            }
        }
    }
    let huge = format!("{:<117}\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (4000000000, 4000000000, 2), }");
    let path = folder.path().join("huge.npy");
    fs::write(&path, [b"\x93NUMPY\x01\x00v\x00", huge.as_bytes(), &[0; 64]].concat()).unwrap();
    let message = refusal(&path, &[input("x", DType::F32, &["N", "M", "2"])]);
    assert!(message.contains("takes more than memory can hold bytes, but 64 are there"), "{message}");
    let objects = format!("{:<117}\n", "{'descr': '|O', 'fortran_order': False, 'shape': (2,), }");
    fs::write(&path, [b"\x93NUMPY\x01\x00v\x00", objects.as_bytes(), &[0; 64]].concat()).unwrap();
    let message = refusal(&path, &[input("x", DType::F32, &["N"])]);
    assert_eq!(message, "huge.npy: array \"huge\": holds Python objects; only numbers can be fed");
}

#[test]
fn sentences_of_unequal_length_are_a_batch_per_file() {
    let Some(folder) = shared("data/sts/calib") else { return };
    let inputs = ["input_ids", "attention_mask", "token_type_ids"].map(|n| input(n, DType::I64, &["N", "L"]));
    let data = open(&folder, 1, &inputs).unwrap();
    assert_eq!((data.len(), data.batch_count()), (200, 25));
    assert_eq!(data.batch(7).unwrap().input("attention_mask").unwrap().shape(), [8, 10]);
    assert_eq!(data.batch(21).unwrap().input("input_ids").unwrap().shape(), [8, 22]);
    assert_eq!(data.batch(24).unwrap().first_sample, 192);
}

#[test]
fn question_marks_are_not_one_size() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.npy");
    write_npy(&path, &ndarray::Array4::<f32>::zeros((2, 3, 48, 192))).unwrap();
    let named = |dims: [&str; 4]| {
        let dims = dims.iter().map(|d| d.parse().map_or_else(|_| Dim::Symbol(d.to_string()), Dim::Known)).collect();
        InputSpec { name: "x".into(), ty: TensorType { dtype: Some(DType::F32), shape: Some(dims) } }
    };
    for anonymous in ["?", ""] {
        let [n, h, w] = [anonymous; 3];
        assert_eq!(open(&path, 1, &[named([n, "3", h, w])]).unwrap().len(), 2);
    }
    let shared = refusal(&path, &[named(["N", "3", "L", "L"])]);
    assert!(shared.ends_with("the model's size L is 48 in array \"x\" but 192 in array \"x\""), "{shared}");
}
