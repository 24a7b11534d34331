//! Normalizations of layers, instances, groups, and by the root mean square.

use proptest::prelude::*;
use proptest::sample::select;

use super::{READERS, Reader, Source, numbers, reduce};
use crate::rewrites::{leaves_alone, rewrites};

/// What is normalized over which axes, and how it is written.
#[derive(Debug, Clone)]
struct Norm {
    opset: i64,
    x: &'static str,
    centred: bool,
    axes: Vec<i64>,
    square: bool,
    division: usize,
    swapped: bool,
    /// Shapes of γ and β, where there are any.
    gamma: Option<&'static str>,
    beta: Option<&'static str>,
}

/// Shape of x, its last axis, and the shapes that have one number per element of it or one for all.
const LAST: &[(&str, i64, &[&str])] =
    &[("N,4", 1, &["4", "1,4", ""]), ("2,N,4", 2, &["4", "1,1,4", "1"]), ("N,2,W,3", 3, &["3", "1,3", ""])];
/// The same with the spatial axes, and one number per channel.
const SPATIAL: &[(&str, &[i64], &[&str])] = &[
    ("N,2,3", &[2], &["2,1", "1,2,1"]),
    ("N,4,H,W", &[2, 3], &["4,1,1", "1,4,1,1", ""]),
    ("2,3,2,3,2", &[2, 3, 4], &["3,1,1,1"]),
];

fn written(norm: Norm) -> impl Strategy<Value = Norm> {
    let parts = (select(vec![12i64, 13, 17, 18]), any::<bool>(), 0..5usize, any::<bool>());
    parts.prop_map(move |(opset, square, division, swapped)| Norm { opset, square, division, swapped, ..norm.clone() })
}

fn norms(centred: bool, spatial: bool) -> impl Strategy<Value = Norm> {
    let blank = move |x, axes: Vec<i64>, gamma, beta| Norm {
        opset: 0,
        x,
        centred,
        axes,
        square: false,
        division: 0,
        swapped: false,
        gamma,
        beta,
    };
    let forms = (0..3usize, any::<bool>(), prop::option::of(0..3usize), prop::option::of(0..3usize));
    forms.prop_flat_map(move |(at, negative, gamma, beta)| {
        let (x, axes, shapes) = match spatial {
            true => (SPATIAL[at].0, SPATIAL[at].1.to_vec(), SPATIAL[at].2),
            false => (LAST[at].0, vec![LAST[at].1], LAST[at].2),
        };
        let rank = x.split(',').count() as i64;
        let axes = axes.into_iter().rev().map(|a| if negative { a - rank } else { a }).collect();
        let shape = |i: Option<usize>| i.map(|i| shapes[i % shapes.len()]);
        // With one spatial axis, only γ and β tell an instance from a layer.
        let gamma = if spatial && at == 0 { Some(shapes[0]) } else { shape(gamma) };
        written(blank(x, axes, gamma, shape(beta).filter(|_| centred)))
    })
}

fn constant(name: &str, shape: &str) -> String {
    let count = shape.split(',').filter_map(|n| n.parse::<usize>().ok()).product();
    let dims = if shape.is_empty() { String::new() } else { format!("[{shape}]") };
    format!(", float{dims} {name} = {{{}}}", numbers(count))
}

impl Norm {
    fn source(&self) -> Source<'static> {
        let d = if self.centred { "d" } else { "x" };
        let mut body = Vec::new();
        if self.centred {
            body.push(reduce(self.opset, "ReduceMean", "mean", "x", &self.axes, true));
            body.push("d = Sub (x, mean)".into());
        }
        body.push(if self.square { format!("p = Mul ({d}, {d})") } else { format!("p = Pow ({d}, two)") });
        body.push(reduce(self.opset, "ReduceMean", "v", "p", &self.axes, true));
        let order = |a: &str, b: &str| if self.swapped { format!("{b}, {a}") } else { format!("{a}, {b}") };
        body.push(format!("e = Add ({})", order("v", "eps")));
        body.push(match self.division {
            0 => format!("s = Sqrt (e)\nn = Div ({d}, s)"),
            1 => format!("s = Pow (e, half)\nn = Div ({d}, s)"),
            2 => format!("r = Sqrt (e)\ns = Reciprocal (r)\nn = Mul ({})", order(d, "s")),
            3 => format!("r = Pow (e, half)\ns = Reciprocal (r)\nn = Mul ({})", order(d, "s")),
            _ => format!("s = Pow (e, minus)\nn = Mul ({})", order(d, "s")),
        });
        let mut constants =
            "float two = {2}, float half = {0.5}, float minus = {-0.5}, float eps = {0.001}".to_string();
        let mut last = "n";
        if let Some(shape) = self.gamma {
            constants += &constant("gamma", shape);
            body.push(format!("scaled = Mul ({})", order(last, "gamma")));
            last = "scaled";
        }
        if let Some(shape) = self.beta {
            constants += &constant("beta", shape);
            body.push(format!("shifted = Add ({})", order(last, "beta")));
            last = "shifted";
        }
        let body = body.join("\n").replace(&format!("\n{last} ="), "\ny =");
        Source { opset: self.opset, x: self.x, y: self.x, constants, body, again: None }
    }

    /// What makes it another computation: exponents, axes, what is squared.
    fn near_miss(&self, which: usize) -> Source<'static> {
        let mut other = self.clone();
        if which == 0 {
            // Over one axis more.
            other.axes.push(if other.axes[0] < 0 { -(self.x.split(',').count() as i64) } else { 0 });
        }
        let mut source = other.source();
        let body = source.body.clone();
        match which {
            1 => source.constants = source.constants.replace("two = {2}", "two = {2.001}"),
            2 => source.constants = source.constants.replace("0.5", "0.501"),
            // What is squared is not what is divided.
            _ => {
                let d = if self.centred { "d" } else { "x" };
                source.body = body
                    .replace(&format!("p = Mul ({d}, {d})"), &format!("z = Exp ({d})\np = Mul ({d}, z)"))
                    .replace(&format!("p = Pow ({d}"), &format!("z = Exp ({d})\np = Pow (z"));
            }
        }
        source
    }
}

/// Groups of channels as PyTorch writes them.
fn groups(x: &'static str, groups: &str, scale: &str, shape: &str, gamma: bool, beta: bool) -> Source<'static> {
    let mut constants = format!(
        "int64[3] groups = {{{groups}}}, float[2] scale = {{{scale}}}, float[2] zeros = {{0,0}}, int64[4] shape = {{{shape}}}"
    );
    let mut body = "a = Reshape (x, groups)
                    n = InstanceNormalization <epsilon = 0.001> (a, scale, zeros)
                    o = Reshape (n, shape)"
        .to_string();
    let mut last = "o";
    if gamma {
        constants += &constant("gamma", "4,1,1");
        body += "\nscaled = Mul (o, gamma)";
        last = "scaled";
    }
    if beta {
        constants += &constant("beta", "1,4,1,1");
        body += &format!("\nshifted = Add (beta, {last})");
        last = "shifted";
    }
    let body = body.replace(&format!("{last} ="), "y =");
    Source { opset: 13, x, y: x, constants, body, again: None }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn layer_norm_is_said_in_one(norm in norms(true, false)) {
        rewrites("fuse-layer-norm", &norm.source().text())?;
    }

    #[test]
    fn instance_norm_is_said_in_one(norm in norms(true, true)) {
        rewrites("fuse-instance-norm", &norm.source().text())?;
    }

    #[test]
    fn rms_norm_is_said_in_one(norm in norms(false, false)) {
        rewrites("fuse-rms-norm", &norm.source().text())?;
    }

    #[test]
    fn other_normalizations_stay(norm in norms(true, false), which in 0..4usize) {
        prop_assume!(which != 1 || !norm.square);
        prop_assume!(which != 2 || matches!(norm.division, 1 | 3 | 4));
        let text = norm.near_miss(which).text();
        for pass in ["fuse-layer-norm", "fuse-instance-norm", "fuse-rms-norm"] {
            leaves_alone(pass, &text)?;
        }
    }

    #[test]
    fn other_root_mean_squares_stay(norm in norms(false, false), which in 0..4usize) {
        prop_assume!(which != 1 || !norm.square);
        prop_assume!(which != 2 || matches!(norm.division, 1 | 3 | 4));
        leaves_alone("fuse-rms-norm", &norm.near_miss(which).text())?;
    }

    #[test]
    fn normalizations_that_are_read_inside_stay(
        norm in norms(true, false), value in select(vec!["mean", "d", "p", "v", "e", "s"]), reader in select(READERS),
    ) {
        let source = Source { again: Some((value, reader)), ..norm.source() };
        leaves_alone("fuse-layer-norm", &source.text())?;
        leaves_alone("fuse-instance-norm", &source.text())?;
    }

    #[test]
    fn a_scale_that_is_read_elsewhere_is_left_outside(norm in norms(true, false), reader in select(vec![Reader::Output, Reader::Node])) {
        prop_assume!(norm.gamma.is_some() || norm.beta.is_some());
        rewrites("fuse-layer-norm", &Source { again: Some(("n", reader)), ..norm.source() }.text())?;
    }

    #[test]
    fn a_scale_of_higher_rank_is_left_outside(norm in norms(true, false), pass in select(vec!["fuse-layer-norm", "fuse-rms-norm"])) {
        let centred = pass == "fuse-layer-norm";
        let source = Norm { x: "N,4", axes: vec![-1], gamma: Some("1,1,4"), beta: None, centred, ..norm }.source();
        rewrites(pass, &Source { y: "1,N,4", ..source }.text())?;
    }

    #[test]
    fn group_norm_is_said_in_one(dynamic: bool, batch in select(vec!["0", "-1"]), gamma: bool, beta: bool) {
        let x = if dynamic { "N,4,3,2" } else { "2,4,3,2" };
        let rest = if batch == "0" { "-1" } else { "12" };
        rewrites("fuse-group-norm", &groups(x, &format!("{batch},2,{rest}"), "1,1", "0,4,3,2", gamma, beta).text())?;
    }

    #[test]
    fn other_groups_stay(which in 0..4usize, gamma: bool, reader in select(READERS)) {
        let good = ("0,2,-1", "1,1", "0,4,3,2");
        let (split, scale, shape) = match which {
            0 => (good.0, "1,1.001", good.2),
            1 => (good.0, good.1, "0,4,2,3"),
            // Groups across the batch.
            2 => ("1,2,-1", good.1, good.2),
            _ => good,
        };
        let again = (which == 3).then_some(("n", reader));
        let source = Source { again, ..groups("2,4,3,2", split, scale, shape, gamma, false) };
        let y = if which == 1 { "2,4,2,3" } else { "2,4,3,2" };
        leaves_alone("fuse-group-norm", &Source { y, ..source }.text())?;
    }
}
