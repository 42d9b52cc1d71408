//! Pools: what there is only so much of, and how much of it a step takes.

use serde_json::Value;

use super::code::Code;
use super::diagnostic::Diagnostic;
use super::environments::Layers;
use super::keys::POOL_SIZE_MAX;
use super::reader::{Fields, Reader};
use super::source::{Entry, Node, Yaml};
use super::{Pool, steps, words};

/// Reads `pools`: those of the plan, with the sizes that the chosen environment gives them.
pub(super) fn read(reader: &mut Reader<'_>, layers: &Layers<'_>) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::new();
    for layer in layers.places("pools") {
        let sized = sized(reader, &layer.entry.value);
        if layer.environment.is_none() {
            pools = sized.into_iter().map(|(_, pool)| pool).collect();
            continue;
        }
        for (key, pool) in sized {
            match pools.iter_mut().find(|own| own.name == pool.name) {
                Some(own) if layer.counts => own.size = pool.size,
                Some(_) => {}
                None => reader.report(unknown(key, &pool.name, &pools)),
            }
        }
    }
    pools
}

/// Reads a map of pools with their sizes.
fn sized<'n>(reader: &mut Reader<'_>, node: &'n Node) -> Vec<(&'n Node, Pool)> {
    let entries = match &node.value {
        Yaml::List(_) => {
            let help = "give each pool its size: `pools: { dedicated_sql: 2 }`";
            return reader.wrong_type(node, "`pools`", "a map", help).unwrap_or_default();
        }
        _ => reader.map(node, "`pools`").unwrap_or_default(),
    };
    if let (Yaml::Map(_), []) = (&node.value, entries) {
        reader.report(
            Diagnostic::at(Code::EmptyCollection, node.span(), "`pools` is empty")
                .help("add one with its size, `dedicated_sql: 2`, or remove `pools`"),
        );
    }
    let text = reader.text;
    let mut pools = Vec::new();
    for Entry { key, value } in entries {
        let name = key.key_text(text).unwrap_or_default();
        steps::check_id(reader, key, name, "a pool's name");
        let size = reader.whole(value, &format!("the size of `{name}`"), 1, POOL_SIZE_MAX);
        // A wrong one has been reported; steps that use it are right.
        pools.push((key, Pool { name: name.to_owned(), size: size.unwrap_or(POOL_SIZE_MAX) }));
    }
    pools
}

/// Reads `pool` of a step or of `defaults`: which pools it takes from, by position, and how much.
pub(super) fn of_step(
    reader: &mut Reader<'_>,
    fields: Fields<'_>,
    pools: &[Pool],
) -> Option<Vec<(usize, u64)>> {
    let node = fields.get("pool")?;
    let text = reader.text;
    let named = match &node.value {
        Yaml::Map(entries) => {
            let mut named = Vec::new();
            for Entry { key, value } in entries {
                let name = key.key_text(text).unwrap_or_default();
                let weight = reader.whole(value, &format!("the weight in `{name}`"), 1, POOL_SIZE_MAX);
                named.push((key, name, weight.unwrap_or(1)));
            }
            named
        }
        Yaml::List(_) => {
            let help = "write `pool: dedicated_sql`, or `pool: { dedicated_sql: 2 }` to take more of it";
            return reader.wrong_type(node, "`pool`", "the name of a pool or a map", help);
        }
        _ => vec![(node, reader.words(node, "`pool`", "write the name of a pool, or leave `pool` out")?, 1)],
    };
    let mut taken = Vec::new();
    for (at, name, weight) in named {
        let Some(position) = pools.iter().position(|pool| pool.name == name) else {
            reader.report(unknown(at, name, pools));
            continue;
        };
        let size = pools[position].size;
        if weight > size {
            let message = format!("the step takes {weight} of the pool `{name}`, which has {size}");
            reader.report(
                Diagnostic::at(Code::PoolTooSmall, at.span(), message)
                    .label("it could never start")
                    .help(format!("write at most {size}, or make the pool larger")),
            );
            continue;
        }
        taken.push((position, weight));
    }
    Some(taken)
}

fn unknown(at: &Node, name: &str, pools: &[Pool]) -> Diagnostic {
    let names = || pools.iter().map(|pool| pool.name.as_str());
    let finding = Diagnostic::at(Code::UnknownPool, at.span(), format!("there is no pool `{name}`"));
    if let Some(near) = words::nearest(name, names()) {
        return finding.label(format!("did you mean `{near}`?"));
    }
    if pools.is_empty() {
        return finding.help(format!("declare it at the top of the plan: `pools: {{ {}: 2 }}`", key(name)));
    }
    finding.help(format!("declared are {}; add it below `pools:`", words::list(names(), "and")))
}

/// Writes a name as a key of YAML.
fn key(name: &str) -> String {
    let is_plain = name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-');
    if is_plain { name.to_owned() } else { Value::from(name).to_string() }
}
