/**
 * Charts, drawn by Plotly. Only this module knows it, so that another library could take its place.
 *
 * A series is `{name, x, y, dash, color, step}`: `y` holds numbers, and `null` with a word in `words` where a value was
 * NaN or infinite. Nothing is smoothed. Of many points, those are drawn that a screen can show: of each narrow column
 * the first, the lowest, the highest and the last.
 */

import { element } from "./dom.js";

const COLUMNS = 700;
const COLORS = ["#3157d5", "#d9480f", "#2b8a3e", "#9c36b5", "#0b7285", "#c2255c", "#846200", "#5f3dc4", "#364fc7", "#087f5b"];
const DARK_COLORS = ["#8da8ff", "#ffa94d", "#69db7c", "#da77f2", "#3bc9db", "#faa2c1", "#ffe066", "#b197fc", "#91a7ff", "#63e6be"];
const dark = matchMedia("(prefers-color-scheme: dark)");
const drawn = new Map();

/** Return the colour of the n-th series in the reader's scheme. */
export function colorOf(n) {
  const colors = dark.matches ? DARK_COLORS : COLORS;
  return colors[n % colors.length];
}

/**
 * Draw a chart, or draw it again with other content.
 *
 * options: `{title, series, marks, x: {title, isTime}, log, height, legend}`. A mark is `{x, text, kind}`, a vertical
 * line at `x`.
 */
export function drawChart(target, options) {
  drawn.set(target, options);
  return Plotly.react(target, traces(options, target), layout(options), {
    displaylogo: false,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
    toImageButtonOptions: { filename: options.title },
  }).then(() => listen(target));
}

/** Return what a chart shows, for tests and for whoever extends a page: the options it was last drawn with. */
export function contentOf(target) {
  return drawn.get(target);
}

/** Return the element of a chart below `parent`, made if it is missing: a figure with a title. */
export function figure(parent, key, title) {
  const existing = [...parent.children].find((child) => child.dataset.chart === key);
  if (existing) return existing.lastElementChild;
  const target = element("div", { class: "plot" });
  parent.append(element("figure", { "data-chart": key }, element("figcaption", {}, title), target));
  return target;
}

/** Remove the charts below `parent` whose key is not in `keys`. */
export function keepFigures(parent, keys) {
  for (const child of [...parent.children]) {
    if (keys.has(child.dataset.chart)) continue;
    drawn.delete(child.lastElementChild);
    resizes.unobserve(child.lastElementChild);
    Plotly.purge(child.lastElementChild);
    child.remove();
  }
}

/**
 * Return the indexes of the points to draw between two values of `x`: all if there are few, else those that show the
 * same line.
 */
export function visiblePoints(x, y, columns = COLUMNS, from = -Infinity, to = Infinity) {
  let first = 0;
  let last = x.length - 1;
  while (first < last && x[first + 1] < from) first += 1;
  while (last > first && x[last - 1] > to) last -= 1;
  const count = last - first + 1;
  if (count <= 4 * columns) return Array.from({ length: count }, (_, i) => first + i);
  const chosen = [];
  for (let column = 0; column < columns; column += 1) {
    const begin = first + Math.floor((column * count) / columns);
    const end = first + Math.floor(((column + 1) * count) / columns) - 1;
    chosen.push(...extremes(y, begin, end));
  }
  return chosen;
}

function extremes(y, begin, end) {
  let low = begin;
  let high = begin;
  const kept = new Set([begin, end]);
  for (let i = begin; i <= end; i += 1) {
    if (y[i] === null) kept.add(i);
    else {
      if (y[low] === null || y[i] < y[low]) low = i;
      if (y[high] === null || y[i] > y[high]) high = i;
    }
  }
  return [...kept.add(low).add(high)].sort((a, b) => a - b);
}

function traces(options, target) {
  const range = zoomedRange(target);
  return options.series.flatMap((series, i) => {
    const indexes = visiblePoints(series.x, series.y, COLUMNS, range?.[0], range?.[1]);
    const color = series.color ?? colorOf(i);
    return [lineOf(series, indexes, color, options), ...marksOf(series, indexes, color)];
  });
}

function lineOf(series, indexes, color, options) {
  return {
    type: "scatter",
    mode: indexes.length < 40 && !series.thin ? "lines+markers" : "lines",
    name: plain(series.name),
    x: indexes.map((i) => series.x[i]),
    y: indexes.map((i) => series.y[i]),
    line: { color, dash: series.dash ?? "solid", width: series.thin ? 1 : 2, shape: series.step ? "hv" : "linear" },
    marker: { size: 5 },
    opacity: series.thin ? 0.55 : 1,
    connectgaps: false,
    showlegend: options.legend !== false,
    hovertemplate: series.hover ? `${plain(series.name)}: %{y:.6g}<extra>${plain(series.hover)}</extra>` : `${plain(series.name)}: %{y:.6g}<extra></extra>`,
  };
}

/** The values that were NaN or infinite, as marks at the edge of the chart. */
function marksOf(series, indexes, color) {
  const marked = indexes.filter((i) => series.y[i] === null && series.words?.[i]);
  if (!marked.length) return [];
  return [{
    type: "scatter",
    mode: "markers",
    name: plain(series.name),
    x: marked.map((i) => series.x[i]),
    y: marked.map((i) => (series.words[i] === "-Infinity" ? 0.02 : series.words[i] === "Infinity" ? 0.98 : 0.06)),
    yaxis: "y2",
    marker: { color, size: 9, symbol: marked.map((i) => ({ Infinity: "triangle-up", "-Infinity": "triangle-down" })[series.words[i]] ?? "x") },
    text: marked.map((i) => series.words[i]),
    showlegend: false,
    hovertemplate: `${plain(series.name)}: %{text}<extra></extra>`,
  }];
}

function layout(options) {
  const style = getComputedStyle(document.body);
  const color = style.getPropertyValue("--text").trim();
  const grid = style.getPropertyValue("--line").trim();
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid, automargin: true };
  return {
    height: options.height ?? 280,
    margin: { l: 50, r: 12, t: 12, b: 36 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color, family: style.fontFamily, size: 12 },
    hovermode: "x unified",
    hoverlabel: { bgcolor: style.getPropertyValue("--card").trim(), font: { color } },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: { ...axis, title: { text: options.x.title, standoff: 4 }, type: options.x.isTime ? "date" : "linear", ...(options.x.range ? { range: options.x.range } : {}) },
    yaxis: { ...axis, type: options.log ? "log" : "linear", exponentformat: "power", hoverformat: ".6g" },
    yaxis2: { overlaying: "y", range: [0, 1], fixedrange: true, visible: false },
    shapes: (options.marks ?? []).map((mark) => ({
      type: "line", x0: mark.x, x1: mark.x, yref: "paper", y0: 0, y1: 1,
      line: { color: mark.kind === "best" ? colorOf(2) : grid, width: mark.kind === "best" ? 2 : 1.5, dash: mark.kind === "best" ? "dot" : "dashdot" },
    })),
    annotations: (options.marks ?? []).map((mark) => ({
      x: mark.x, yref: "paper", y: 1, yanchor: "top", xanchor: "left", text: plain(mark.text), showarrow: false, textangle: -90,
      font: { size: 10, color: mark.kind === "best" ? colorOf(2) : color },
    })),
    uirevision: `${options.title}|${options.log}|${options.x.isTime}`,
  };
}

/** Plotly itself only notices when the window changes, not when a neighbour takes part of the width. */
const resizes = new ResizeObserver((changes) => {
  for (const { target } of changes) if (drawn.has(target)) Plotly.Plots.resize(target);
});

/** Draw again what a zoom has uncovered: with many points, only those of the visible range are thinned out. */
function listen(target) {
  if (target.dataset.listens) return;
  target.dataset.listens = "true";
  resizes.observe(target);
  target.on("plotly_relayout", (change) => {
    const isZoom = Object.keys(change).some((key) => key.startsWith("xaxis.range") || key === "xaxis.autorange");
    const options = drawn.get(target);
    if (isZoom && options?.series.some((series) => series.x.length > 4 * COLUMNS)) drawChart(target, options);
  });
}

function zoomedRange(target) {
  const axis = target.layout?.xaxis;
  return axis && axis.autorange === false && Array.isArray(axis.range) ? axis.range : null;
}

/** Plotly reads tags and entities in its texts: without `<` and `&` there are none. */
export function plain(text) {
  return String(text).replaceAll("&", "＆").replaceAll("<", "‹").replaceAll(">", "›").replaceAll("%{", "% {");
}

dark.addEventListener("change", () => {
  for (const [target, options] of drawn) drawChart(target, options);
});
