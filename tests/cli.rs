//! The command line as a child process: exit codes, what is printed where, and that runs repeat.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use onnxpress::ir::text;
use onnxpress::onnx;
use serde_json::Value;

use crate::common;

fn fixture(name: &str) -> String {
    common::fixture(name).to_string_lossy().into_owned()
}

/// Runs the program in `folder`, its output piped, without what the caller's environment says of colours.
fn run(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onnxpress"));
    for name in ["NO_COLOR", "CLICOLOR_FORCE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.current_dir(folder).args(args).output().unwrap()
}

fn code(folder: &Path, args: &[&str]) -> i32 {
    let done = run(folder, args);
    done.status.code().unwrap_or_else(|| panic!("{args:?} was ended: {}", String::from_utf8_lossy(&done.stderr)))
}

fn json(done: &Output) -> Value {
    let said = String::from_utf8_lossy(&done.stderr);
    serde_json::from_slice(&done.stdout).unwrap_or_else(|e| panic!("{e}: {said}"))
}

#[test]
fn runtimes_stand_side_by_side() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (fixture("digits.onnx"), fixture("digits_calib.npz"));
    let present = onnxpress::runtime::find("onnxruntime").unwrap().present();
    let args =
        ["validate", &model, &model, "--data", &data, "--limit", "4", "--no-latency", "--runtime", "tract,onnxruntime"];
    let done = run(dir.path(), &args);
    let said = String::from_utf8_lossy(&done.stdout);
    match present {
        Ok(_) => assert!(said.contains("in tract") && said.contains("in onnxruntime"), "{said}"),
        Err(why) => println!("skipped: {why}"),
    }
    let done = run(
        dir.path(),
        &[
            "optimize",
            &model,
            "-o",
            "o.onnx",
            "--data",
            &data,
            "--limit",
            "8",
            "--runtime",
            "tract",
            "--calibration-runtime",
            "tract",
        ],
    );
    assert_eq!(done.status.code(), Some(0), "{}", String::from_utf8_lossy(&done.stderr));
}

#[test]
fn exit_codes_tell_what_happened() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (fixture("digits.onnx"), fixture("digits_eval.npz"));
    let folder = dir.path();
    assert_eq!(code(folder, &["--version"]), 0);
    assert_eq!(code(folder, &["simplify", &model, "-o", "a.onnx"]), 0);
    let compare = ["validate", &model, "a.onnx", "--data", &data, "--limit", "20", "--no-latency"];
    assert_eq!(code(folder, &compare), 0);

    // A gate that is missed.
    assert_eq!(code(folder, &["prune", &model, "-o", "b.onnx", "--sparsity", "0.9"]), 0);
    let gate = ["validate", &model, "b.onnx", "--data", &data, "--limit", "20", "--no-latency", "--min-sqnr", "60"];
    assert_eq!(code(folder, &gate), 1);

    // Bad usage.
    for args in [
        &["press", &model][..],
        &["simplify", &model],
        &["simplify", &model, "-o", "no/folder/a.onnx"],
        &["simplify", &model, "-o", "."],
        &["simplify", &model, "-o", "c.onnx", "--only", "no-such-pass"],
        &["quantize", &model, "-o", "c.onnx", "--target", "no-such-target"],
        &["quantize", &model, "-o", "c.onnx", "--format", "qdq"],
        &["prune", &model, "-o", "c.onnx"],
        &["validate", &model, &model, "--data", &data, "--runtime", "no-such-runtime"],
        // Gates that nothing would measure.
        &["validate", &model, &model, "--data", &data, "--no-latency", "--min-speedup", "2"],
        &["validate", &model, &model, "--data", &data, "--min-speedup", "nan"],
        &["optimize", &model, "-o", "c.onnx", "--format", "weight-only", "--min-sqnr", "9"],
        &["optimize", &model, "-o", "c.onnx", "--data", &data, "--sparsity", "0.9", "--sparse"],
        &["prune", &model, "-o", "c.onnx", "--pattern", "0:4"],
        &["prune", &model, "-o", "c.onnx", "--threshold", "-1"],
        &["prune", &model, "-o", "c.onnx", "--sparsity", "0.5", "--target-macs", "0.5"],
        &["prune", &model, "-o", "c.onnx", "--sparsity", "0.5", "--runtime", "auto"],
        &["optimize", &model, "-o", "c.onnx", "--data", &data, "--runtime", "auto"],
        &["optimize", &model, "-o", "c.onnx", "--no-quantize", "--weights", "s4"],
        &["optimize", &model, "-o", "c.onnx", "--no-quantize", "--ranges", "digits.json"],
        &["optimize", &model, "-o", "c.onnx", "--data", &data, "--criterion", "taylor", "--prune-algorithm", "admm"],
        &["calibrate", "-o", "r.json", "--merge", "a.json", "b.json", "--calibrator", "mse"],
        &["simplify", &model, "--plan", "--check", "3"],
        &["optimize", &model, "--plan", "--data", &data, "--recover", "steps=3", "--format", "qoperator"],
        &["optimize", &model, "-o", "c.onnx", "--recipe", "a.toml", "--recipe", "b.toml"],
        &["quantize", &model, "-o", "c.onnx", "--format", "dynamic", "--recipe", "a.toml"],
        &["bench", &model, "--threads", "0"],
        &["bench", &model, "--runtime", "tract,tract"],
        &["inspect", &model, "--ort-lib", "no/such/library.so"],
    ] {
        assert_eq!(code(folder, args), 2, "{args:?}");
    }

    // Bad input.
    let calibrate = ["calibrate", &model, "--data", &data, "--limit", "10", "-o", "digits.json"];
    assert_eq!(code(folder, &[&calibrate[..], &["--calibrator", "min-max"]].concat()), 0);
    std::fs::write(folder.join("bad.onnx"), "no model").unwrap();
    for args in [
        &["simplify", "bad.onnx", "-o", "c.onnx"][..],
        &["inspect", "absent.onnx"],
        &["quantize", &model, "-o", "c.onnx", "--data", "absent.npz"],
        &["validate", &model, "bad.onnx", "--data", &data],
        &["validate", &model, &fixture("majority.onnx"), "--data", &data],
        &["quantize", &fixture("majority.onnx"), "-o", "c.onnx", "--ranges", "digits.json"],
    ] {
        assert_eq!(code(folder, args), 3, "{args:?}");
    }
    assert!(!folder.join("c.onnx").exists());

    // Sizes that random data made up and the model cannot take.
    let calibrate = ["calibrate", &fixture("majority.onnx"), "--data", "random:2", "-o", "r.json"];
    let done = run(folder, &calibrate);
    assert_eq!(done.status.code(), Some(4));
    assert!(String::from_utf8_lossy(&done.stderr).contains("--shape NAME=DIMS gives them"));
}

#[test]
fn what_no_runtime_can_run_is_written_and_called_unproven() {
    let dir = tempfile::tempdir().unwrap();
    let source = "<ir_version: 8, opset_import: [\"\" : 17, \"none.such\" : 1]>
        g (float[2,4] x) => (float[2,3] y) <float[4,3] w = {1,2,3,4,5,6,7,8,9,10,11,12}>
        { h = none.such.Strange (x) y = MatMul (h, w) }";
    onnx::emit(&text::parse(source).unwrap(), &dir.path().join("m.onnx")).unwrap();
    let args =
        ["optimize", "m.onnx", "-o", "o.onnx", "--data", "random:2", "--format", "weight-only", "--runtime", "tract"];
    let done = run(dir.path(), &args);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert_eq!(done.status.code(), Some(4), "{said}{}", String::from_utf8_lossy(&done.stderr));
    assert!(
        said.contains("unproven  the file is written, but not compared") && said.contains("node \"h\" (Strange)"),
        "{said}"
    );
    assert!(onnx::load(&dir.path().join("o.onnx")).is_ok());
    // What has to be run first leaves no file.
    let args = ["optimize", "m.onnx", "-o", "q.onnx", "--data", "random:2", "--runtime", "tract"];
    assert_eq!(code(dir.path(), &args), 4);
    assert!(!dir.path().join("q.onnx").exists());
}

#[test]
fn what_the_built_in_runtime_cannot_run_is_proven_in_another() {
    let dir = tempfile::tempdir().unwrap();
    let source = "<ir_version: 8, opset_import: [\"\" : 17]> g (float[2,2] x) => (float d)
        <float[2,2] w = {1,2,3,5}> { h = MatMul (x, w) d = Det (h) }";
    onnx::emit(&text::parse(source).unwrap(), &dir.path().join("m.onnx")).unwrap();
    let validate = ["validate", "m.onnx", "m.onnx", "--data", "random:2", "--no-latency"];
    let prune = ["prune", "m.onnx", "-o", "p.onnx", "--sparsity", "0.5", "--data", "random:2"];
    let wanted = if crate::common::onnxruntime().is_some() { 0 } else { 4 };
    assert_eq!([&validate[..], &prune].map(|args| code(dir.path(), args)), [wanted; 2]);
    assert_eq!(code(dir.path(), &[&validate[..], &["--runtime", "tract"]].concat()), 4);
}

#[test]
fn nothing_is_coloured_when_piped() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (fixture("digits.onnx"), fixture("digits_calib.npz"));
    for args in [
        &["--help"][..],
        &["inspect", &model],
        &["simplify", &model, "-o", "a.onnx"],
        &["quantize", &model, "-o", "b.onnx", "--data", &data, "--limit", "20"],
        &["prune", &model, "-o", "c.onnx", "--sparsity", "0.5"],
        &["validate", &model, "b.onnx", "--data", &data, "--limit", "20", "--no-latency"],
        &["validate", &model, "b.onnx", "--data", "random:2", "--no-latency"],
        &["inspect", "absent.onnx"],
        &["press"],
    ] {
        let done = run(dir.path(), args);
        let said = [done.stdout, done.stderr].concat();
        assert!(!said.is_empty(), "{args:?}");
        assert!(!said.contains(&0x1B) && !said.contains(&b'\r'), "{args:?}: {}", String::from_utf8_lossy(&said));
    }
}

#[test]
fn json_says_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (fixture("digits.onnx"), fixture("digits_calib.npz"));
    let inspected = json(&run(dir.path(), &["inspect", &model, "--format", "json"]));
    assert_eq!(inspected["schema_version"], 1);
    assert_eq!(inspected["operators"]["Conv"].as_u64(), Some(7), "{}", inspected["operators"]);

    let optimize = ["optimize", &model, "-o", "a.onnx", "--data", &data, "--limit", "20", "--report", "json"];
    let report = json(&run(dir.path(), &optimize));
    assert_eq!(report["schema_version"], 1);
    assert!(report["plan"].is_object() && report["validation"].is_object());
    let bytes = |i: usize| report["sizes"][i]["bytes"].as_u64().unwrap();
    assert_eq!(bytes(0), std::fs::metadata(&model).unwrap().len());
    assert_eq!(bytes(1), std::fs::metadata(dir.path().join("a.onnx")).unwrap().len());
    let compare = ["validate", &model, "a.onnx", "--data", &data, "--limit", "20", "--no-latency", "--format", "json"];
    let compared = json(&run(dir.path(), &compare));
    assert_eq!((compared["schema_version"].as_u64(), compared["missed"].as_array().map(Vec::len)), (Some(1), Some(0)));
}

#[test]
fn what_is_printed_as_json_is_what_its_schema_says() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (fixture("digits.onnx"), fixture("digits_calib.npz"));
    let sampled = ["--data", &data, "--limit", "20"];
    for (subcommand, flags, schema) in [
        ("inspect", &[&model, "--format", "json"][..], "inspect"),
        ("simplify", &[&model, "-o", "a.onnx", "--format", "json"], "simplify"),
        ("simplify", &[&model, "--plan", "--format", "json", "--tune", "latency"], "simplify"),
        ("quantize", &[&[&model, "-o", "a.onnx", "--report", "json"][..], &sampled].concat(), "quantize"),
        (
            "quantize",
            &[&[&model, "-o", "a.onnx", "--report", "json", "--min-sqnr", "9"][..], &sampled].concat(),
            "quantize",
        ),
        ("prune", &[&model, "-o", "a.onnx", "--sparsity", "0.5", "--report", "json"], "prune"),
        ("prune", &[&model, "--sparsity", "0.5", "--plan", "--report", "json"], "plan"),
        (
            "optimize",
            &[&[&model, "--plan", "--report", "json", "--prune", "channel:0.8"][..], &sampled].concat(),
            "plan",
        ),
        ("validate", &[&[&model, "a.onnx", "--no-latency", "--format", "json"][..], &sampled].concat(), "validate"),
        ("bench", &[&model, "a.onnx", "--format", "json", "--runtime", "tract"], "bench"),
        ("sensitivity", &[&[&model, "--report", "json"][..], &sampled].concat(), "sensitivity"),
        ("sensitivity", &[&[&model, "--prune", "--report", "json"][..], &sampled].concat(), "sensitivity-prune"),
    ] {
        let printed = json(&run(dir.path(), &[&[subcommand][..], flags].concat()));
        let schema = json(&run(dir.path(), &["schema", schema]));
        assert_eq!(printed["schema_version"], 1, "{subcommand}");
        fits(&printed, &schema, &schema, subcommand);
    }
}

/// Whether a value has the fields of a schema and no other, all the way down.
fn fits(value: &Value, schema: &Value, root: &Value, place: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(name) => &root["$defs"][name.strip_prefix("#/$defs/").unwrap()],
        None => schema,
    };
    if let Some(any) = schema["anyOf"].as_array() {
        // An optional one: null, or what the first says.
        return if value.is_null() {
            assert_eq!(any[1]["type"], "null", "{place}")
        } else {
            fits(value, &any[0], root, place)
        };
    }
    if let (Some(fields), Some(values)) = (schema["properties"].as_object(), value.as_object()) {
        let required = schema["required"].as_array().into_iter().flatten();
        required.for_each(|name| assert!(values.contains_key(name.as_str().unwrap()), "{place} lacks {name}"));
        for (name, value) in values {
            let field =
                fields.get(name).unwrap_or_else(|| panic!("{place} has {name}, of which its schema knows nothing"));
            fits(value, field, root, &format!("{place}.{name}"));
        }
    }
    if let (Some(values), true) = (value.as_array(), schema["items"].is_object()) {
        values.iter().for_each(|value| fits(value, &schema["items"], root, place));
    }
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (fixture("digits.onnx"), fixture("digits_calib.npz"));
    for (name, flags) in [
        ("simplify", &[][..]),
        ("quantize", &["--data", &data, "--limit", "40"]),
        ("quantize", &["--format", "dynamic"]),
        ("prune", &["--sparsity", "0.5"]),
    ] {
        let write = |out: &str| -> Vec<u8> {
            let args = [&[name, model.as_str(), "-o", out], flags].concat();
            let done = run(dir.path(), &args);
            assert_eq!(done.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&done.stderr));
            std::fs::read(dir.path().join(out)).unwrap()
        };
        let (a, b) = (write("a.onnx"), write("b.onnx"));
        assert!(a.len() > 10_000, "{name}: {} bytes", a.len());
        assert!(a == b, "{name} {flags:?}: two runs differ");
        // Over itself, and over another file.
        assert!(a == write("a.onnx"), "{name} {flags:?}: a third run differs");
    }
}

#[test]
fn flags_win_over_the_recipe() {
    let dir = tempfile::tempdir().unwrap();
    let (model, recipe): (String, PathBuf) = (fixture("digits.onnx"), dir.path().join("recipe.toml"));
    let job = |flags: &[&str]| {
        let args =
            [&["optimize", &model, "--no-quantize", "--recipe", "recipe.toml", "--report", "json"], flags].concat();
        run(dir.path(), &args)
    };
    let sparsity = |done: &Output| json(done)["prune"].clone();

    std::fs::write(&recipe, "sparsity = 0.5\noutput = \"recipe.onnx\"\n").unwrap();
    let (of_recipe, of_flag) = (job(&[]), job(&["--sparsity", "0.25", "-o", "flag.onnx"]));
    assert!(dir.path().join("recipe.onnx").exists() && dir.path().join("flag.onnx").exists());
    assert_ne!(sparsity(&of_recipe), sparsity(&of_flag));
    // The same as without any recipe.
    let plain = ["optimize", &model, "--no-quantize", "--report", "json", "--sparsity", "0.25", "-o", "plain.onnx"];
    assert_eq!(sparsity(&run(dir.path(), &plain)), sparsity(&of_flag));
    let read = |name: &str| std::fs::read(dir.path().join(name)).unwrap();
    assert!(read("plain.onnx") == read("flag.onnx"));
    assert!(read("plain.onnx") != read("recipe.onnx"));

    std::fs::write(&recipe, "sparsty = 0.5\n").unwrap();
    let done = job(&["-o", "x.onnx"]);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(2));
    assert_eq!(said.trim_end(), "error: recipe.toml: unknown key \"sparsty\"; did you mean \"sparsity\"?");
}

#[test]
fn training_is_asked_for_in_both_jobs() {
    let dir = tempfile::tempdir().unwrap();
    let (model, data) = (fixture("digits.onnx"), fixture("digits_calib.npz"));
    let done = |args: &[&str]| {
        let done = run(dir.path(), args);
        let said = [&done.stdout[..], &done.stderr].map(|s| String::from_utf8_lossy(s).into_owned());
        (done.status.code(), said.concat(), done)
    };
    let quantize = ["quantize", &model, "-o", "q.onnx", "--weights", "s2", "--activations", "none"];
    let (code, said, _) = done(&[&quantize[..], &["--recover", "steps=8"]].concat());
    assert_eq!((code, said.contains("--recover trains on data: give --data")), (Some(2), true), "{said}");
    let form = ["--data", &data, "--format", "dynamic", "--recover", "steps=8"];
    let (code, said, _) = done(&[&["quantize", &model, "-o", "q.onnx"][..], &form].concat());
    assert_eq!((code, said.contains("not the dynamic form")), (Some(2), true), "{said}");
    let nothing = ["optimize", &model, "-o", "o.onnx", "--no-quantize", "--data", &data, "--recover", "steps=8"];
    let (code, said, _) = done(&nothing);
    assert_eq!((code, said.contains("there is neither")), (Some(2), true), "{said}");
    assert!(!dir.path().join("q.onnx").exists());

    let (code, said, _) = done(&[&quantize[..], &["--data", &data, "--recover", "steps=40,lr=0.007"]].concat());
    assert_eq!((code, said.contains("tensors trained for ")), (Some(0), true), "{said}");

    // Once, under the masks and the grids together.
    let recipe = "recover = \"steps=40\"\nsparsity = 0.85\nweights = \"s2\"\n";
    std::fs::write(dir.path().join("recipe.toml"), recipe).unwrap();
    let optimize = ["optimize", &model, "--recipe", "recipe.toml", "--data", &data, "--runtime", "tract"];
    let (code, said, _) = done(&[&optimize[..], &["--plan"]].concat());
    let line = "recover   steps=40 towards the float model, zeros and scales kept";
    assert_eq!((code, said.contains(line)), (Some(0), true), "{said}");
    let (code, said, report) = done(&[&optimize[..], &["-o", "o.onnx", "--report", "json"]].concat());
    assert_eq!(code, Some(0), "{said}");
    let report = json(&report);
    assert!(report["prune"]["recovered"].is_null() && report["recovered"]["seconds"].is_number(), "{said}");
    assert!(report["recovered"]["after"].as_f64() < report["recovered"]["before"].as_f64(), "{said}");
}

#[test]
#[cfg(unix)]
fn an_output_is_a_file_or_none_yet() {
    use std::os::unix::fs::FileTypeExt;

    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    assert!(Command::new("mkfifo").arg(folder.join("pipe")).status().unwrap().success());
    std::os::unix::fs::symlink("pipe", folder.join("link")).unwrap();
    std::os::unix::fs::symlink("no/folder", folder.join("nowhere")).unwrap();
    // The model is not looked at: it is refused before any work.
    for command in [
        &["simplify", "absent.onnx"][..],
        &["quantize", "absent.onnx"],
        &["prune", "absent.onnx", "--sparsity", "0.5"],
        &["optimize", "absent.onnx", "--data", "random:2"],
        &["calibrate", "absent.onnx", "--data", "random:2"],
    ] {
        for (output, why) in [
            ("pipe", "pipe: is a device, a pipe or a socket, not a file to write"),
            ("link", "link: is a device, a pipe or a socket, not a file to write"),
            (".", ".: is a folder, not a file to write"),
            ("nowhere", "nowhere: its folder does not exist"),
            ("-", "an output is a file; standard output takes none (./- is a file of that name)"),
        ] {
            let done = run(folder, &[command, &["-o", output]].concat());
            assert_eq!(String::from_utf8_lossy(&done.stderr), format!("error: {why}\n"), "{command:?}");
            assert_eq!(done.status.code(), Some(2));
        }
    }
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 3);
    assert!(std::fs::metadata(folder.join("pipe")).unwrap().file_type().is_fifo());
    assert_eq!(code(folder, &["simplify", &fixture("digits.onnx"), "-o", "./-", "--no-check"]), 0);
    assert!(folder.join("-").is_file());
}

#[test]
#[cfg(unix)]
fn a_model_that_its_result_replaces_is_named_once() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let fresh = || std::fs::copy(fixture("digits.onnx"), folder.join("m.onnx")).unwrap();
    let before = fresh();
    std::os::unix::fs::symlink("m.onnx", folder.join("link.onnx")).unwrap();
    let warning = |args: &[&str]| {
        let done = run(folder, args);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert_eq!(done.status.code(), Some(0), "{said}");
        said.lines()
            .filter(|l| l.contains("replaced"))
            .map(|l| l.trim_start()["WARN ".len()..].into())
            .collect::<Vec<String>>()
    };
    let weight_only = ["--format", "weight-only"];
    for args in [
        &["simplify", "m.onnx", "-o", "m.onnx", "--no-check"][..],
        &["quantize", "m.onnx", "-o", "./m.onnx", "--format", "weight-only"],
        &["prune", "m.onnx", "-o", "link.onnx", "--sparsity", "0.5"],
        &["optimize", "m.onnx", "-o", "m.onnx", "--runtime", "tract", "--format", "weight-only"],
    ] {
        fresh();
        assert_eq!(warning(args), ["m.onnx is replaced by its result"], "{args:?}");
        assert_ne!(std::fs::read(folder.join("m.onnx")).unwrap(), std::fs::read(fixture("digits.onnx")).unwrap());
        assert!(folder.join("link.onnx").is_symlink());
    }
    fresh();
    // By a link to the model it is the same; another file, and a plan, replace nothing.
    let by_link = [&["quantize", "link.onnx", "-o", "m.onnx"], &weight_only[..]].concat();
    assert_eq!(warning(&by_link), ["link.onnx is replaced by its result"]);
    fresh();
    assert!(warning(&[&["quantize", "m.onnx", "-o", "other.onnx"], &weight_only[..]].concat()).is_empty());
    assert!(warning(&[&["quantize", "m.onnx", "-o", "m.onnx", "--plan"], &weight_only[..]].concat()).is_empty());
    assert_eq!(std::fs::metadata(folder.join("m.onnx")).unwrap().len(), before);
}
