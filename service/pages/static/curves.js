/** What the epochs and points of a job become in charts. Pure functions: tests and other pages use them, too. */

import { t } from "./dom.js";

/** Keras's callbacks log the rate among the metrics. It has a chart and a column of its own. */
export const RATE = "learning_rate";

/** Return the names of the metrics without `val_`, `loss` first, each once. */
export function metricNames(epochs, points = []) {
  const names = new Set();
  for (const row of [...epochs, ...points]) for (const name of Object.keys(row.metrics)) names.add(name.replace(/^val_/, ""));
  names.delete(RATE);
  return lossFirst(names);
}

/** Return names of metrics with the loss, which all jobs have, before the others. */
export function lossFirst(names) {
  return [...names].sort((a, b) => (b === "loss") - (a === "loss"));
}

/** Return a series of one metric over the epochs. `x`: returns the position of an epoch. */
export function seriesOf(epochs, name, x, options = {}) {
  const rows = epochs.filter((epoch) => name in epoch.metrics);
  return {
    name,
    x: rows.map(x),
    y: rows.map((epoch) => epoch.metrics[name]),
    words: rows.map((epoch) => epoch.non_finite_values[name]),
    ...options,
  };
}

/** The curves of one metric: training solid, validation dashed, and thin what was measured within epochs. */
export function curvesOf(epochs, points, name, x, colors) {
  const within = points.length ? [seriesOf(points, name, x, { thin: true, color: colors[0], name: `${name} (${t("curves.within")})` })] : [];
  const curves = [
    seriesOf(epochs, name, x, { color: colors[0] }),
    seriesOf(epochs, `val_${name}`, x, { color: colors[1], dash: "dash" }),
    ...within,
  ];
  return curves.filter((series) => series.x.length > 0);
}

/** The learning rate of each epoch, in steps. */
export function rateCurve(epochs, x, color) {
  const rows = epochs.filter((epoch) => epoch.learning_rate !== null);
  return { name: t("curves.rate"), x: rows.map(x), y: rows.map((epoch) => epoch.learning_rate), step: true, color };
}

/** Return the position of an epoch or a point: its number, or the moment of its end. */
export function position(axis, steps) {
  if (axis === "time") return (row) => row.finished_at ?? row.at;
  return (row) => (row.step === undefined ? row.epoch : row.epoch - 1 + row.step / Math.max(row.step, steps || row.step));
}

/** The epochs at which another attempt went on, and the best one. */
export function marksOf(epochs, best, x) {
  const marks = [];
  epochs.forEach((epoch, i) => {
    if (i > 0 && epoch.attempt !== epochs[i - 1].attempt) {
      marks.push({ x: x(epoch), text: t("curves.attempt", { attempt: epoch.attempt }), kind: "attempt" });
    }
  });
  const bestRow = best && epochs.find((epoch) => epoch.epoch === best.epoch);
  if (bestRow) marks.push({ x: x(bestRow), text: t("curves.best"), kind: "best" });
  return marks;
}
