/**
 * Charts, drawn by Plotly. Only this module knows it, so that another library could take its place.
 *
 * A series is `{name, x, y, dash, color, step}`: `y` holds numbers, and `null` with a word in `words` where a value was
 * NaN or infinite. Nothing is smoothed. Of many points, those are drawn that a screen can show: of each narrow column
 * the lowest and the highest.
 */

import { element } from "./dom.js";

const MAX_COLUMNS = 1000;
const MIN_COLUMNS = 200;
/** The points of all series of a chart. A redraw of twenty jobs takes about a tenth of a second with as many. */
const MAX_POINTS = 16_000;
/** With more, thin lines can be told apart better. */
const MANY_SERIES = 12;
const COLORS = [
  "#3157d5", "#d9480f", "#2b8a3e", "#9c36b5", "#0b7285", "#c2255c", "#846200", "#5f3dc4", "#f03e3e", "#1098ad",
  "#5c940d", "#e64980", "#7a4419", "#228be6", "#6b7280", "#c77d00", "#1b1e28", "#087f5b", "#845ef7", "#a61e4d",
];
const DARK_COLORS = [
  "#8da8ff", "#ffa94d", "#69db7c", "#da77f2", "#3bc9db", "#faa2c1", "#ffe066", "#b197fc", "#ff8787", "#66d9e8",
  "#c0eb75", "#fcc2d7", "#d4a373", "#74c0fc", "#adb5bd", "#ffd43b", "#f8f9fa", "#38d9a9", "#d0bfff", "#f783ac",
];
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
 * options: `{title, series, marks, x: {title, isTime}, log, height, legend, read}`. A mark is `{x, text, kind}`, a
 * vertical line at `x`. `read(x, event)` shows the values at a position in place of the chart's own labels, which know
 * the drawn points alone; it is called with null when the pointer leaves. Such a chart has no legend: the page has it.
 */
export function drawChart(target, options) {
  drawn.set(target, options);
  return Plotly.react(target, traces(options, target), layout(options), {
    displaylogo: false,
    // «Share chart» would send the chart to a company's server.
    showSendToCloud: false,
    plotlyServerURL: "",
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
 * Return the indexes of the points to draw between two values of `x`: all if there are few, else the lowest and the
 * highest of each column, and where values that are not finite begin and end.
 */
export function visiblePoints(x, y, columns = MAX_COLUMNS, from = -Infinity, to = Infinity) {
  const first = Math.max(0, countBelow(x, from) - 1);
  const last = Math.min(x.length - 1, countBelow(x, to) + 1);
  const count = last - first + 1;
  if (count <= 2 * columns) return Array.from({ length: Math.max(0, count) }, (_, i) => first + i);
  const chosen = [first];
  for (let column = 0; column < columns; column += 1) {
    const begin = first + Math.floor((column * count) / columns);
    const end = first + Math.floor(((column + 1) * count) / columns) - 1;
    addExtremes(chosen, y, begin, end);
  }
  if (chosen.at(-1) !== last) chosen.push(last);
  return chosen;
}

/** How many of the sorted values are below a limit. */
function countBelow(values, limit) {
  if (limit === Infinity) return values.length;
  let low = 0;
  let high = values.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (values[middle] < limit) low = middle + 1;
    else high = middle;
  }
  return low;
}

function addExtremes(chosen, y, begin, end) {
  let low = -1;
  let high = -1;
  let firstGap = -1;
  let lastGap = -1;
  for (let i = begin; i <= end; i += 1) {
    if (y[i] === null) {
      if (firstGap < 0) firstGap = i;
      lastGap = i;
    } else {
      if (low < 0 || y[i] < y[low]) low = i;
      if (high < 0 || y[i] > y[high]) high = i;
    }
  }
  for (const i of [low, high, firstGap, lastGap].sort((a, b) => a - b)) if (i > chosen.at(-1)) chosen.push(i);
}

function columnsOf(options) {
  return Math.max(MIN_COLUMNS, Math.min(MAX_COLUMNS, Math.floor(MAX_POINTS / (2 * options.series.length))));
}

function traces(options, target) {
  const range = zoomedRange(target);
  const columns = columnsOf(options);
  return options.series.flatMap((series, i) => {
    const indexes = visiblePoints(series.x, series.y, columns, range?.[0], range?.[1]);
    const color = series.color ?? colorOf(i);
    return [lineOf(series, indexes, color, options), ...marksOf(series, indexes, color, i, options)];
  });
}

function lineOf(series, indexes, color, options) {
  return {
    type: "scatter",
    mode: indexes.length < 40 && !series.thin ? "lines+markers" : "lines",
    name: plain(series.name),
    x: indexes.map((i) => series.x[i]),
    y: indexes.map((i) => series.y[i]),
    line: { color, dash: series.dash ?? "solid", width: series.thin || options.series.length > MANY_SERIES ? 1 : 2, shape: series.step ? "hv" : "linear" },
    marker: { size: 5 },
    opacity: series.thin ? 0.55 : 1,
    connectgaps: false,
    showlegend: options.legend !== false && !options.read,
    ...(options.read ? { hoverinfo: "none" } : { hovertemplate: labelOf(series) }),
  };
}

function labelOf(series) {
  return series.hover ? `${plain(series.name)}: %{y:.6g}<extra>${plain(series.hover)}</extra>` : `${plain(series.name)}: %{y:.6g}<extra></extra>`;
}

const MARK_SYMBOLS = { Infinity: "triangle-up", "-Infinity": "triangle-down" };
const MARK_HEIGHTS = { Infinity: 0.97, "-Infinity": 0.03 };
const NAN_HEIGHT = 0.07;
const NAN_LEVELS = 20;

/** The values that were NaN or infinite, as marks at the edges of the chart. Each series has its own height for NaN. */
function marksOf(series, indexes, color, number, options) {
  const marked = indexes.filter((i) => series.y[i] === null && series.words?.[i]);
  if (!marked.length) return [];
  const height = NAN_HEIGHT + (options.series.length > 4 ? (number % NAN_LEVELS) * 0.02 : 0);
  return [{
    type: "scatter",
    mode: "markers",
    name: plain(series.name),
    x: marked.map((i) => series.x[i]),
    y: marked.map((i) => MARK_HEIGHTS[series.words[i]] ?? height),
    yaxis: "y2",
    marker: { color, size: 9, symbol: marked.map((i) => MARK_SYMBOLS[series.words[i]] ?? "x") },
    text: marked.map((i) => series.words[i]),
    showlegend: false,
    ...(options.read ? { hoverinfo: "none" } : { hovertemplate: `${plain(series.name)}: %{text}<extra></extra>` }),
  }];
}

function layout(options) {
  const style = getComputedStyle(document.body);
  const color = style.getPropertyValue("--text").trim();
  const grid = style.getPropertyValue("--line").trim();
  // Without `automargin`: to measure the labels of the axes takes as long as to draw the lines of twenty jobs, and Plotly
  // complains in the console of a narrow chart that gets other margins with each measurement.
  const axis = { gridcolor: grid, zerolinecolor: grid, linecolor: grid };
  return {
    height: options.height ?? 280,
    margin: { l: 64, r: 12, t: 12, b: 42 },
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { color, family: style.fontFamily, size: 12 },
    hovermode: options.read ? "x" : "x unified",
    hoverdistance: options.read ? -1 : 20,
    hoverlabel: { bgcolor: style.getPropertyValue("--card").trim(), font: { color } },
    modebar: { bgcolor: "rgba(0,0,0,0)", color: style.getPropertyValue("--faint").trim(), activecolor: color },
    legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0 },
    xaxis: { ...axis, title: { text: options.x.title, standoff: 4 }, type: options.x.isTime ? "date" : "linear", ...(options.x.range ? { range: options.x.range } : {}), ...(options.read ? { showspikes: true, spikemode: "across", spikesnap: "cursor", spikethickness: 1, spikedash: "solid", spikecolor: color } : {}) },
    yaxis: { ...axis, type: options.log ? "log" : "linear", exponentformat: "power", hoverformat: ".6g", ...(options.read && !options.log ? { tickformat: ".5~g" } : {}) },
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
    if (isZoom && options?.series.some((series) => series.x.length > 2 * columnsOf(options))) drawChart(target, options);
  });
  target.on("plotly_hover", (hover) => drawn.get(target)?.read?.(hover.xvals[0], hover.event));
  target.on("plotly_unhover", () => drawn.get(target)?.read?.(null));
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
