// Views of one layer in two nets, and of their difference: what is pointed at in one is told by all.

import { Bars } from "./bars.js";
import { Grid } from "./grid.js";
import { orderOf } from "./tiles.js";

/** @param {(Grid | Bars)[]} views side by side; the last one is the difference */
export function linkViews(views) {
  const grids = views.filter((view) => view instanceof Grid);
  const bars = views.filter((view) => view instanceof Bars);
  const last = grids[grids.length - 1];
  for (const grid of grids) {
    grid.follow = (unit) => {
      for (const other of grids) if (other !== grid) other.point(unit);
    };
    // Tiles stay side by side: all are ordered by the size of their differences.
    grid.orderBy = (sort) => orderOf((last.tiles ??= last.load()), sort, true);
  }
  for (const bar of bars) {
    bar.follow = (place) => {
      for (const other of bars) if (other !== bar) other.tell(place);
    };
  }
}
