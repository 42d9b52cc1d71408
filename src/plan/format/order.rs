//! The order of the keys of a plan, a step and a `retry`, as the reference has it.
//!
//! Keys that are not in the reference stay behind the key they stand behind. Main function: [`sorted`].

use std::collections::BTreeMap;
use std::ops::Range;

use super::structure::Group;
use super::tokens::Token;

/// Returns the tokens in the order in which they are printed.
pub(super) fn sorted(tokens: &mut [Token<'_>], groups: Vec<Group>) -> Vec<usize> {
    let mut by_start = BTreeMap::new();
    for group in groups {
        if is_unsorted(&group) {
            by_start.insert(group.entries[0].0.start, group);
        }
    }
    let mut order = Vec::with_capacity(tokens.len());
    put(0..tokens.len(), tokens, &by_start, &mut order);
    order
}

fn put(
    range: Range<usize>,
    tokens: &mut [Token<'_>],
    groups: &BTreeMap<usize, Group>,
    order: &mut Vec<usize>,
) {
    let mut at = range.start;
    let mut inside = groups.range(range.clone());
    while at < range.end {
        let Some((start, group)) = inside.find(|(start, _)| **start >= at) else { break };
        order.extend(at..*start);
        let entries = &group.entries;
        for (n, sorted) in places(group).into_iter().enumerate() {
            let entry = entries[sorted].0.clone();
            if group.is_flow {
                put_entry(entry, tokens, groups, order);
                // The comma that stands in this place, whoever stood before it.
                let next = entries.get(n + 1).map(|(next, _)| next.start);
                order.extend(next.map(|next| entries[n].0.end..next).into_iter().flatten());
                continue;
            }
            let first = &mut tokens[entry.start];
            first.breaks = first.breaks.max(1);
            if n == 0 && group.has_header && first.text.starts_with('#') {
                // Else its comment would become part of the file's own.
                first.breaks = 2;
            }
            put_entry(entry, tokens, groups, order);
        }
        at = entries.last().map_or(range.end, |(last, _)| last.end);
    }
    order.extend(at..range.end);
}

/// Puts an entry, which may begin with the start of another group only further on.
fn put_entry(
    entry: Range<usize>,
    tokens: &mut [Token<'_>],
    groups: &BTreeMap<usize, Group>,
    order: &mut Vec<usize>,
) {
    order.push(entry.start);
    put(entry.start + 1..entry.end, tokens, groups, order);
}

fn is_unsorted(group: &Group) -> bool {
    places(group).windows(2).any(|pair| pair[0] > pair[1])
}

/// Returns the entries by their number, in their order.
fn places(group: &Group) -> Vec<usize> {
    // A merge comes first: what it brings is then overlaid by what stands below it, for the eye too.
    let mut rank = 0;
    let mut ranked: Vec<(usize, usize)> = Vec::with_capacity(group.entries.len());
    for (n, (_, key)) in group.entries.iter().enumerate() {
        if key == "<<" {
            rank = 0;
        } else if let Some(known) = group.keys.iter().position(|known| known == key) {
            rank = known + 1;
        }
        ranked.push((rank, n));
    }
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, n)| n).collect()
}
