//! How many channels of which group go.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::allocate::{Choice, block};
use super::budget::Budget;
use super::compensate::compensate;
use super::criterion::{self, By};
use super::order::{self, Consumer, Gram, Order, of_group};
use super::target::counts;
use super::{ChannelPlan, Cut, Ground, GroupPlan, Unit, cut, prepare, rows, sensitivity};
use crate::analysis::dependency::{self, Group, Reader};
use crate::error::{Error, ErrorKind, Result};
use crate::ir::{DType, Model, NodeId};
use crate::ops::{self, QuantRule};
use crate::progress::Progress;
use crate::prune::exclude::Exclude;
use crate::prune::shrink::{kept, shrink};
use crate::prune::widened::widened;
use crate::prune::{Data, Goal, Pattern, PruneOptions, tensors};
use crate::second_order::{Contraction, Layer};

/// Decides for a simplified model, without data by the weights alone; so too where the runtime cannot run it in steps and the user named
/// no criterion.
///
/// # Errors
/// Usage, where MACs cannot be told or the goal cannot be reached; what the data or the runtime refuse.
pub fn decide(
    model: &Model,
    options: &PruneOptions,
    data: Option<Data>,
    progress: &dyn Progress,
) -> Result<ChannelPlan> {
    let of = |d: Data| -> Result<FirstRun> { Ok((d.dataset.shapes(0)?, d.dataset.batch(0)?.samples)) };
    let first = data.map(of).transpose()?.unwrap_or((Vec::new(), 1));
    match decided(model, options, (data, &first), progress) {
        // A latency is measured: without data there is nothing to go by.
        Err(e)
            if e.kind() == ErrorKind::Runtime
                && options.criterion.is_none()
                && !matches!(options.goal, Goal::Latency(_)) =>
        {
            let mut plan = decided(model, options, (None, &first), progress)?;
            plan.notes.push(format!("pruned by the weights alone, since the model cannot be run in steps: {e}"));
            Ok(plan)
        }
        planned => planned,
    }
}

/// Shapes of the inputs of the first batch, and its samples.
type FirstRun = (Vec<(String, Vec<usize>)>, usize);

fn decided(
    model: &Model,
    options: &PruneOptions,
    (data, (shapes, samples)): (Option<Data>, &FirstRun),
    progress: &dyn Progress,
) -> Result<ChannelPlan> {
    let mut model = model.clone();
    prepare(&mut model);
    let (double, told) = widened(&model)?;
    let model = double.as_ref().unwrap_or(&model);
    let ground = data.map(|data| Ground::new(data, progress));
    let groups = dependency::groups(model);
    let exclude = Exclude::of(options)?;
    let refused = refusals(model, &groups, (options, &exclude));
    let scores = match options.criterion.as_deref().map_or(Ok(By::Reconstruction), criterion::find)? {
        By::Reconstruction => Scores::Reconstruction,
        By::Variance if ground.is_none() => {
            return Err(Error::usage("activation-variance looks at data: give --data"));
        }
        By::Variance => Scores::Variance,
        By::Weights(c) => Scores::Given(criterion::by_weights(model, &groups, (c, options), data, progress)?),
    };
    let (orders, damage) = measured(model, &groups, &refused, &scores, ground)?;

    let steps: Vec<&[usize]> = orders.iter().map(|o| o.channels.as_slice()).collect();
    let budget = Budget::of(model, shapes, &groups, &steps);
    let choice = |g: usize| Choice {
        order: &orders[g],
        damage: &damage[g],
        total: groups[g].stays.len(),
        block: block(model, &groups[g], options.block),
    };
    let choices: Vec<Choice> = (0..groups.len()).map(choice).collect();
    let counts = counts(model, &groups, (&choices, &budget), options.goal, ground)?;
    let none = vec![0; groups.len()];
    if matches!(options.goal, Goal::Macs(_) | Goal::Latency(_)) && budget.macs(&none) == 0.0 {
        let what = why_uncounted(model, &budget).unwrap_or_else(|| why_none(model, &groups, (&refused, &orders)));
        return Err(Error::usage(format!("nothing can be counted: {what}")));
    }
    if counts == none && !matches!(options.goal, Goal::Macs(1.0) | Goal::Size(1.0)) {
        return Err(Error::usage(format!("no channel can go: {}", why_none(model, &groups, (&refused, &orders)))));
    }
    let gone = cut(&groups, &choices, &counts);
    let group = |g: usize| {
        let heads = is_heads(model, &groups[g]);
        let (channels, gone) = if heads { (groups[g].stays.len(), counts[g]) } else { groups[g].widest(&gone[g]) };
        GroupPlan {
            node: groups[g].name.clone(),
            unit: if heads { Unit::Heads } else { Unit::Channels },
            channels,
            gone,
            damage: counts[g].checked_sub(1).map_or(0.0, |last| damage[g][last]),
            kept: refused[g].clone().or_else(|| orders[g].channels.is_empty().then(|| UNREAD.into())),
        }
    };
    let each = |gone: &[usize]| budget.macs(gone) as u64 / (*samples).max(1) as u64;
    let mut plan = ChannelPlan {
        groups: (0..groups.len()).map(group).collect(),
        macs: (each(&none), each(&counts)),
        parameters: (budget.parameters(&none), budget.parameters(&counts)),
        solved: 0,
        unsolved: Vec::new(),
        notes: Vec::from_iter(told),
        cut: Cut { gone, solved: Vec::new(), groups: groups.clone() },
    };
    let uncounted: Vec<String> = budget.uncounted().iter().map(|n| model.describe(*n)).collect();
    if !uncounted.is_empty() {
        let list = uncounted.join(", ");
        plan.notes.push(format!("not counted, since only running tells their multiply-accumulates: {list}"));
    }
    plan.notes.extend(plan.missed(options.goal));
    if let Some(ground) = ground.filter(|_| options.compensate) {
        solve(model, &mut plan, &exclude, ground)?;
    }
    Ok(plan)
}

/// Why no multiply-accumulates are known, where there are nodes that have some.
fn why_uncounted(model: &Model, budget: &Budget) -> Option<String> {
    let nodes: Vec<String> = budget.uncounted().iter().take(TOLD).map(|n| model.describe(*n)).collect();
    let decides = budget.uncounted().iter().any(|n| model.node(*n).subgraphs().next().is_some());
    let advice = if decides { FREEZE } else { "" };
    (!nodes.is_empty()).then(|| format!("only running tells the multiply-accumulates of {}{advice}", nodes.join(", ")))
}

/// Why the model keeps all channels.
fn why_none(model: &Model, groups: &[Group], (refused, orders): (&[Option<String>], &[Order])) -> String {
    let half = |g: &Group| {
        let half = g.members.iter().any(|m| model.constant(m.value).is_some_and(|t| t.dtype() == DType::F16));
        half.then(|| "what is left of float16 weights is not solved again: prune the model in float32".to_string())
    };
    let unread = |order: &Order| order.channels.is_empty().then(|| UNREAD.to_string());
    let why = |(g, (why, order)): (&Group, (&Option<String>, &Order))| {
        Some(format!("those of {}: {}", g.name, why.clone().or_else(|| half(g)).or_else(|| unread(order))?))
    };
    let told: Vec<String> = groups.iter().zip(refused.iter().zip(orders)).filter_map(why).collect();
    if !told.is_empty() {
        let more = if told.len() > TOLD { format!("; and {} more", told.len() - TOLD) } else { String::new() };
        return told[..told.len().min(TOLD)].join("; ") + &more;
    }
    let main = model.main();
    let nested = |n: &&NodeId| {
        let inner = model.node(**n).subgraphs().flat_map(|(_, g)| model.graphs_under(g));
        inner.flat_map(|g| model.graph(g).nodes()).any(|n| Contraction::of(model, *n).is_some())
    };
    let contraction =
        |n: &&NodeId| matches!(ops::of(model.node(**n)).map(|op| op.quant), Some(QuantRule::Weighted { .. }));
    let nodes = model.graph(main).nodes();
    if let Some(n) = nodes.iter().find(nested) {
        return format!("the weights are inside the subgraphs of {}{FREEZE}", model.describe(*n));
    }
    match nodes.iter().find(contraction) {
        Some(n) => format!("the channels of {} are not known", model.describe(*n)),
        None => tensors::without_weights(model),
    }
}

/// What makes a branch of an If, or turns of a Loop, known.
const FREEZE: &str = ": fix what it decides by (simplify --freeze)";

/// Groups named where none can go.
const TOLD: usize = 3;

const UNREAD: &str = "no layer that reads them can be solved for";

/// What channels are ordered by.
enum Scores {
    Reconstruction,
    Variance,
    /// For each group one of each channel.
    Given(Vec<Vec<f64>>),
}

/// The order of every group that is not refused, and what each step costs the outputs; without data what it costs the weights.
fn measured(
    model: &Model,
    groups: &[Group],
    refused: &[Option<String>],
    scores: &Scores,
    ground: Option<Ground>,
) -> Result<(Vec<Order>, Vec<Vec<f64>>)> {
    let nodes = model.graph(model.main()).nodes();
    let layers: Vec<Layer> = nodes.iter().filter_map(|n| Layer::of(model, *n)?.ok()).collect();
    let places: BTreeMap<NodeId, usize> = layers.iter().enumerate().map(|(i, l)| (l.node, i)).collect();
    let consumers = groups.iter().zip(refused).map(|(group, refused)| match refused {
        Some(_) => Vec::new(),
        None => of_group(model, group, &places, &layers),
    });
    let consumers: Vec<Vec<Consumer>> = consumers.collect();
    let order = |g: usize, grams: &BTreeMap<usize, Arc<[Gram]>>| {
        let read: Vec<(&Consumer, &[Gram])> =
            consumers[g].iter().filter_map(|c| Some((c, &**grams.get(&c.layer)?))).collect();
        let scores = match scores {
            Scores::Reconstruction => None,
            Scores::Variance => Some(criterion::by_variance(groups[g].stays.len(), &read)),
            Scores::Given(scores) => Some(scores[g].clone()),
        };
        order::order(model, &groups[g], &read, &layers, scores.as_deref(), &sensitivity::STOPS).unwrap_or_default()
    };
    let mut orders = vec![Order::default(); groups.len()];
    let mut grams: BTreeMap<usize, Arc<[Gram]>> = BTreeMap::new();
    // How often each layer is still to be looked at: several groups may go into one.
    let mut waiting = vec![0usize; layers.len()];
    consumers.iter().flatten().for_each(|c| waiting[c.layer] += 1);
    // A group is ordered as soon as all its layers are read, so that few matrices wait.
    let mut see = |i: usize, found: Arc<[Gram]>| {
        grams.insert(i, found);
        let ready = |g: &usize| {
            let read = &consumers[*g];
            read.iter().any(|c| c.layer == i) && read.iter().all(|c| grams.contains_key(&c.layer))
        };
        let ready: Vec<usize> = (0..groups.len()).filter(ready).collect();
        for g in ready {
            orders[g] = order(g, &grams);
            for c in &consumers[g] {
                waiting[c.layer] -= 1;
                if waiting[c.layer] == 0 {
                    grams.remove(&c.layer);
                }
            }
        }
    };
    let is_read = |i: &usize| consumers.iter().flatten().any(|c| c.layer == *i);
    let read: Vec<(usize, &Layer)> = (0..layers.len()).filter(is_read).map(|i| (i, &layers[i])).collect();
    match ground {
        Some(ground) => rows::inputs(model, &read, ground, see)?,
        None => read.iter().for_each(|(i, l)| {
            see(*i, (0..l.contraction.groups).map(|_| Gram::unknown(l.width())).collect());
        }),
    }
    let damage = match ground {
        Some(ground) => sensitivity::measure(model, groups, &mut orders, &layers, ground)?,
        None => orders.iter().map(|o| o.damage.clone()).collect(),
    };
    Ok((orders, damage))
}

/// Solves the layers after the cut anew.
fn solve(model: &Model, plan: &mut ChannelPlan, exclude: &Exclude, ground: Ground) -> Result<()> {
    let mut pruned = model.clone();
    shrink(&mut pruned, &plan.cut.groups, &plan.cut.gone)?;
    let kept = kept(&plan.cut.groups, &plan.cut.gone);
    for (node, outcome) in compensate(model, &mut pruned, (&kept, exclude), ground)? {
        match outcome {
            Ok(solved) => plan.cut.solved.push(solved),
            Err(why) => plan.unsolved.push((model.node_label(node).to_string(), why)),
        }
    }
    plan.solved = plan.cut.solved.len();
    Ok(())
}

/// Why groups keep all their channels.
fn refusals(model: &Model, groups: &[Group], (options, exclude): (&PruneOptions, &Exclude)) -> Vec<Option<String>> {
    let of = |group: &Group| {
        // The constants of a node are its weights, whether it makes the channels, sums over them or passes them on.
        let excluded = group.members.iter().find_map(|m| exclude.constant(model, m.value));
        let other = options.pattern == Pattern::Head && !is_heads(model, group);
        let stays = group.refusal().map(str::to_string);
        excluded.or(stays).or_else(|| other.then(|| "these are no attention heads".into()))
    };
    groups.iter().map(of).collect()
}

/// Whether each channel is several outputs of the products that make it, next to each other: an attention head. A product that makes query,
/// key and value has each head three times.
fn is_heads(model: &Model, group: &Group) -> bool {
    let makers = dependency::producers(model, group);
    let is_head = |r: &Reader| {
        let channels = &group.members[r.member].channels;
        let runs = channels.chunk_by(|a, b| a == b).count();
        let product = matches!(Contraction::of(model, r.node), Some(Ok(c)) if c.is_product());
        product && runs.is_multiple_of(group.stays.len()) && channels.len() > runs
    };
    !makers.is_empty() && makers.iter().all(is_head)
}
