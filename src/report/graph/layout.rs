//! Where boxes and arrows go: columns from left to right, as few crossings as a few sweeps find.
//!
//! Longest-path layers, split where one is too tall; places in between for arrows that cross columns, so that none runs
//! behind a box; barycentre ordering; and then heights near those of the neighbours. Lengths are pixels.

use std::collections::BTreeMap;

/// The height of a box.
pub(super) const BOX_HEIGHT: f64 = 44.0;

/// The height that an arrow takes where it crosses a column.
const LANE_HEIGHT: f64 = 8.0;

/// The least gap between two things of a column, and between two arrows that cross it.
const ROW_GAP: f64 = 14.0;
const LANE_GAP: f64 = 4.0;

/// The least gap between two columns.
const COLUMN_GAP: f64 = 56.0;

/// How often all columns are put in order, and how often all heights are.
const SWEEPS: usize = 4;

/// How many places for crossing arrows a drawing may have, for each box. With more, arrows run behind boxes.
const LANES_PER_BOX_MAX: usize = 4;

/// The fewest boxes that a column may hold before its layer is split.
const COLUMN_BOXES_MIN: usize = 12;

/// Where everything is.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    /// The boxes, as they were given.
    pub(super) boxes: Vec<Rect>,
    /// The points that the arrows go through, as they were given: two for each gap between columns.
    pub(super) paths: Vec<Vec<(f64, f64)>>,
    /// How wide all of it is.
    pub(super) width: f64,
    /// How high.
    pub(super) height: f64,
}

/// The place of a box.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rect {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// What is to be placed.
pub(super) struct Sizes<'a> {
    /// The layer of each box. An arrow leads to a later one.
    pub(super) layers: &'a [usize],
    /// The width of each box.
    pub(super) widths: &'a [f64],
    /// The arrows: from, to, and how much room the words at them need.
    pub(super) arrows: &'a [(usize, usize, f64)],
}

/// Places boxes and arrows.
pub(super) fn place(sizes: &Sizes<'_>) -> Placed {
    let mut grid = Grid::new(sizes);
    grid.order();
    grid.split(sizes);
    grid.lay_lanes(sizes);
    grid.order();
    grid.settle();
    grid.finish(sizes)
}

/// Things in columns: boxes first, then the places where arrows cross a column.
struct Grid {
    boxes: usize,
    /// The column of each thing.
    column_of: Vec<usize>,
    /// The things of each column, from above.
    columns: Vec<Vec<usize>>,
    /// The things that each thing is joined to on its left, and on its right.
    left: Vec<Vec<usize>>,
    right: Vec<Vec<usize>>,
    /// The lanes of each arrow. Arrows from one box share theirs as far as they go together.
    lanes: Vec<Vec<usize>>,
    /// The middle of each thing.
    middle: Vec<f64>,
}

impl Grid {
    fn new(sizes: &Sizes<'_>) -> Self {
        let boxes = sizes.layers.len();
        let mut columns = vec![Vec::new(); sizes.layers.iter().max().map_or(0, |last| last + 1)];
        for (node, &layer) in sizes.layers.iter().enumerate() {
            columns[layer].push(node);
        }
        columns.retain(|column| !column.is_empty());
        let mut grid = Self {
            boxes,
            column_of: vec![0; boxes],
            columns,
            left: vec![Vec::new(); boxes],
            right: vec![Vec::new(); boxes],
            lanes: vec![Vec::new(); sizes.arrows.len()],
            middle: vec![0.0; boxes],
        };
        grid.number();
        for &(from, to, _) in sizes.arrows {
            grid.join(from, to);
        }
        grid
    }

    fn join(&mut self, from: usize, to: usize) {
        self.right[from].push(to);
        self.left[to].push(from);
    }

    fn number(&mut self) {
        for (at, column) in self.columns.iter().enumerate() {
            for &thing in column {
                self.column_of[thing] = at;
            }
        }
    }

    fn height(&self, thing: usize) -> f64 {
        if thing < self.boxes { BOX_HEIGHT } else { LANE_HEIGHT }
    }

    /// Puts every column in the order of what its things are joined to, from left to right and back, a few times.
    fn order(&mut self) {
        for sweep in 0..SWEEPS {
            // A thing's rank is its distance from the middle of its column, so that columns of any height compare.
            let mut rank = vec![0.0; self.column_of.len()];
            for column in &self.columns {
                for (at, &thing) in column.iter().enumerate() {
                    rank[thing] = at as f64 - column.len() as f64 / 2.0;
                }
            }
            let forward = sweep % 2 == 0;
            let count = self.columns.len();
            for step in 0..count {
                let at = if forward { step } else { count - 1 - step };
                let neighbours = if forward { &self.left } else { &self.right };
                let mut column = std::mem::take(&mut self.columns[at]);
                let mut keys: Vec<(f64, usize)> = column
                    .iter()
                    .map(|&thing| (mean(&neighbours[thing], &rank, rank[thing]), thing))
                    .collect();
                keys.sort_by(|a, b| a.0.total_cmp(&b.0));
                for (slot, (_, thing)) in column.iter_mut().zip(keys) {
                    *slot = thing;
                }
                for (place, &thing) in column.iter().enumerate() {
                    rank[thing] = place as f64 - column.len() as f64 / 2.0;
                }
                self.columns[at] = column;
            }
        }
    }

    /// Splits layers that are too tall into columns that stand side by side.
    fn split(&mut self, sizes: &Sizes<'_>) {
        let root = (2.0 * sizes.layers.len() as f64).sqrt().ceil() as usize;
        let most = root.max(COLUMN_BOXES_MIN);
        let columns = std::mem::take(&mut self.columns);
        for column in columns {
            let parts = column.len().div_ceil(most);
            let each = column.len().div_ceil(parts.max(1)).max(1);
            self.columns.extend(column.chunks(each).map(<[usize]>::to_vec));
        }
        self.number();
    }

    /// Gives every arrow that crosses columns a place in each of them.
    fn lay_lanes(&mut self, sizes: &Sizes<'_>) {
        let crossed = |grid: &Self, from: usize, to: usize| grid.column_of[from] + 1..grid.column_of[to];
        let mut furthest: BTreeMap<usize, usize> = BTreeMap::new();
        for &(from, to, _) in sizes.arrows {
            let furthest = furthest.entry(from).or_default();
            *furthest = (*furthest).max(crossed(self, from, to).len());
        }
        if furthest.values().sum::<usize>() > LANES_PER_BOX_MAX * self.boxes {
            return;
        }
        self.left.iter_mut().chain(&mut self.right).for_each(Vec::clear);
        let mut known: BTreeMap<(usize, usize), usize> = BTreeMap::new();
        for (arrow, &(from, to, _)) in sizes.arrows.iter().enumerate() {
            let mut before = from;
            for column in crossed(self, from, to) {
                let lane = match known.get(&(from, column)) {
                    Some(&lane) => lane,
                    None => self.new_lane(before, column),
                };
                known.insert((from, column), lane);
                self.lanes[arrow].push(lane);
                before = lane;
            }
            self.join(before, to);
        }
    }

    /// Makes a place for an arrow in a column, joined to what it comes from.
    fn new_lane(&mut self, before: usize, column: usize) -> usize {
        let lane = self.column_of.len();
        self.column_of.push(column);
        self.columns[column].push(lane);
        self.left.push(Vec::new());
        self.right.push(Vec::new());
        self.middle.push(0.0);
        self.join(before, lane);
        lane
    }

    /// Returns the least gap between two neighbours of a column.
    fn gap(&self, above: usize, below: usize) -> f64 {
        if above < self.boxes || below < self.boxes { ROW_GAP } else { LANE_GAP }
    }

    /// Finds the heights: near the middle of what a thing is joined to, in the order of its column.
    fn settle(&mut self) {
        for column in &self.columns {
            let mut y = 0.0;
            for &thing in column {
                self.middle[thing] = y + self.height(thing) / 2.0;
                y += self.height(thing) + ROW_GAP;
            }
            for &thing in column {
                self.middle[thing] -= y / 2.0;
            }
        }
        for sweep in 0..2 * SWEEPS {
            let forward = sweep % 2 == 0;
            let count = self.columns.len();
            for step in 0..count {
                let at = if forward { step } else { count - 1 - step };
                let neighbours = if forward { &self.left } else { &self.right };
                let column = &self.columns[at];
                let wanted: Vec<f64> = column
                    .iter()
                    .map(|&thing| mean(&neighbours[thing], &self.middle, self.middle[thing]))
                    .collect();
                // How far each thing is below the first if all stand as close as they may.
                let mut below = vec![0.0; column.len()];
                for n in 1..column.len() {
                    let (above, thing) = (column[n - 1], column[n]);
                    let halves = f64::midpoint(self.height(above), self.height(thing));
                    below[n] = below[n - 1] + halves + self.gap(above, thing);
                }
                let free: Vec<f64> =
                    wanted.iter().zip(&below).map(|(wanted, below)| wanted - below).collect();
                for (n, (&thing, kept)) in column.iter().zip(rising(&free)).enumerate() {
                    self.middle[thing] = kept + below[n];
                }
            }
        }
    }

    fn finish(&self, sizes: &Sizes<'_>) -> Placed {
        let widths: Vec<f64> = self
            .columns
            .iter()
            .map(|column| {
                let boxes = column.iter().filter(|thing| **thing < self.boxes);
                boxes.map(|&thing| sizes.widths[thing]).fold(0.0, f64::max)
            })
            .collect();
        // Words stand before the column that an arrow leads to.
        let mut gaps = vec![COLUMN_GAP; self.columns.len()];
        for &(_, to, words) in sizes.arrows {
            let gap = &mut gaps[self.column_of[to]];
            *gap = gap.max(words + COLUMN_GAP);
        }
        let mut x = 0.0;
        let mut lefts = Vec::with_capacity(widths.len());
        for (at, width) in widths.iter().enumerate() {
            if at > 0 {
                x += gaps[at];
            }
            lefts.push(x);
            x += width;
        }
        let half = |thing: usize| self.height(thing) / 2.0;
        let things = 0..self.middle.len();
        let top = things.clone().map(|thing| self.middle[thing] - half(thing)).fold(f64::INFINITY, f64::min);
        let bottom = things.map(|thing| self.middle[thing] + half(thing)).fold(f64::NEG_INFINITY, f64::max);
        let middle = |thing: usize| (self.middle[thing] - top).round();
        let boxes = (0..self.boxes).map(|node| {
            let column = self.column_of[node];
            Rect {
                x: lefts[column],
                y: middle(node) - BOX_HEIGHT / 2.0,
                width: widths[column],
                height: BOX_HEIGHT,
            }
        });
        let paths = sizes.arrows.iter().zip(&self.lanes).map(|(&(from, to, _), lanes)| {
            let mut points = vec![(lefts[self.column_of[from]] + widths[self.column_of[from]], middle(from))];
            for &lane in lanes {
                let column = self.column_of[lane];
                points.push((lefts[column], middle(lane)));
                points.push((lefts[column] + widths[column], middle(lane)));
            }
            points.push((lefts[self.column_of[to]], middle(to)));
            points
        });
        Placed {
            boxes: boxes.collect(),
            paths: paths.collect(),
            width: x,
            height: if self.boxes == 0 { 0.0 } else { (bottom - top).round() },
        }
    }
}

/// Returns the rising numbers that are nearest to some: where they fall, several take their mean.
fn rising(numbers: &[f64]) -> Vec<f64> {
    let mut blocks: Vec<(f64, usize)> = Vec::new();
    for &number in numbers {
        let mut last = (number, 1);
        while let Some(&(sum, count)) = blocks.last()
            && sum / count as f64 > last.0 / last.1 as f64
        {
            blocks.pop();
            last = (sum + last.0, count + last.1);
        }
        blocks.push(last);
    }
    blocks.into_iter().flat_map(|(sum, count)| std::iter::repeat_n(sum / count as f64, count)).collect()
}

/// Returns the mean of what some things have, and something else for none.
fn mean(things: &[usize], of: &[f64], otherwise: f64) -> f64 {
    if things.is_empty() {
        return otherwise;
    }
    things.iter().map(|&thing| of[thing]).sum::<f64>() / things.len() as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{Strategy, prop, prop_assert, proptest};

    use super::{Sizes, place};

    /// Layers, widths and arrows.
    type Given = (Vec<usize>, Vec<f64>, Vec<(usize, usize, f64)>);

    /// Makes graphs whose arrows lead to later layers.
    fn graphs() -> impl Strategy<Value = Given> {
        let nodes = prop::collection::vec((0..8_usize, 80..240_u32), 1..60);
        let arrows = prop::collection::vec((0..60_usize, 0..60_usize, 0..90_u32), 0..120);
        (nodes, arrows).prop_map(|(nodes, arrows)| {
            let layers: Vec<usize> = nodes.iter().map(|node| node.0).collect();
            let widths = nodes.iter().map(|node| f64::from(node.1)).collect();
            let arrows = arrows.into_iter().filter_map(|(a, b, words)| {
                let (a, b) = (a % layers.len(), b % layers.len());
                let (from, to) = if layers[a] < layers[b] { (a, b) } else { (b, a) };
                (layers[from] < layers[to]).then_some((from, to, f64::from(words)))
            });
            let arrows = arrows.collect();
            (layers, widths, arrows)
        })
    }

    proptest! {
        #[test]
        fn boxes_never_overlap_and_arrows_lead_right((layers, widths, arrows) in graphs()) {
            let placed = place(&Sizes { layers: &layers, widths: &widths, arrows: &arrows });
            prop_assert!(placed.boxes.len() == layers.len());
            for (at, a) in placed.boxes.iter().enumerate() {
                prop_assert!(a.width >= widths[at], "a box is narrower than its text");
                prop_assert!(a.x >= 0.0 && a.y >= 0.0);
                prop_assert!(a.x + a.width <= placed.width && a.y + a.height <= placed.height + 1.0);
                for b in &placed.boxes[..at] {
                    let apart = a.x + a.width < b.x || b.x + b.width < a.x || a.y + a.height < b.y || b.y + b.height < a.y;
                    prop_assert!(apart, "{a:?} {b:?}");
                }
            }
            for (path, &(from, to, _)) in placed.paths.iter().zip(&arrows) {
                prop_assert!(path.windows(2).all(|pair| pair[0].0 <= pair[1].0));
                prop_assert!((path[0].0 - placed.boxes[from].x - placed.boxes[from].width).abs() < 0.1);
                prop_assert!((path[path.len() - 1].0 - placed.boxes[to].x).abs() < 0.1);
            }
        }

        #[test]
        fn the_same_graph_has_the_same_picture((layers, widths, arrows) in graphs()) {
            let sizes = Sizes { layers: &layers, widths: &widths, arrows: &arrows };
            prop_assert!(place(&sizes) == place(&sizes));
        }
    }

    #[test]
    fn nothing_is_placed_nowhere() {
        let placed = place(&Sizes { layers: &[], widths: &[], arrows: &[] });
        assert!(placed.boxes.is_empty());
        assert!(placed.width.abs() < 0.1);
    }

    #[test]
    fn an_arrow_past_a_column_does_not_run_behind_its_box() {
        let arrows = [(0, 1, 0.0), (1, 2, 0.0), (0, 2, 0.0)];
        let placed = place(&Sizes { layers: &[0, 1, 2], widths: &[100.0; 3], arrows: &arrows });
        let middle = &placed.boxes[1];
        let lane = placed.paths[2][1];
        assert!(lane.1 < middle.y || lane.1 > middle.y + middle.height, "{placed:?}");
    }
}
