/** The page that compares jobs: their curves, fetched four jobs at a time, and kept up to date while jobs train. */

import { ApiError, call, send } from "./api.js";
import { colorOf, drawChart, figure, keepFigures } from "./charts.js";
import { ComparedJob } from "./compared.js";
import { curveControls } from "./curve_controls.js";
import { lossFirst } from "./curves.js";
import { element, refresh, say, t } from "./dom.js";
import { poll } from "./polling.js";

const RUNNING_SECONDS = 3;
const WAITING_SECONDS = 10;
const REFRESH_SECONDS = 10;
const REDRAW_MILLISECONDS = 1000;
const EPOCHS_A_REQUEST = 5000;
const REQUESTS_AT_ONCE = 4;
const UNITS = { seconds: 1, minutes: 60, hours: 3600 };
/** As what the page has of points, events and lines: it shows none, so the service shall send none. */
const NONE = 2 ** 31 - 1;

const curves = document.getElementById("curves");
const loading = document.getElementById("loading");
const valuesOfEpoch = document.getElementById("epoch-values");
const epochNumber = document.getElementById("epoch-number");
const epochTable = document.getElementById("epoch-table");

/** The compared jobs by their id, in the order of the page. */
let compared = new Map();
const chosen = curveControls(draw);
let isDrawing = false;
let drawsAgain = false;
let drawnAt = 0;
let refreshedAt = Date.now();

/** Take over which jobs the page shows. Jobs that stay keep their colour and their epochs. */
function takeJobs() {
  const before = compared;
  compared = new Map();
  const items = [...document.querySelectorAll("[data-part=chosen] [data-job]")];
  const taken = new Set(items.map((item) => before.get(item.dataset.job)?.slot));
  for (const item of items) {
    const { job: id, label, state, started } = item.dataset;
    const job = before.get(id) ?? new ComparedJob(id, freeSlot(taken));
    compared.set(id, Object.assign(job, { label, state, started: Date.parse(started) }));
    const box = item.querySelector("input[type=checkbox]");
    box.checked = !job.isHidden;
    item.querySelector(".swatch").style.background = colorOf(job.slot);
  }
  for (const swatch of document.querySelectorAll("[data-swatch]")) swatch.style.background = colorOf(compared.get(swatch.dataset.swatch)?.slot ?? 0);
}

function freeSlot(taken) {
  let slot = 0;
  while (taken.has(slot)) slot += 1;
  taken.add(slot);
  return slot;
}

async function ask() {
  const jobs = [...compared.values()];
  const missing = jobs.filter((job) => !job.isLoaded);
  await atMost(REQUESTS_AT_ONCE, missing, load);
  showLoading();
  if (missing.length) draw();
  const live = jobs.filter((job) => compared.has(job.id) && isDue(job));
  const changes = await atMost(REQUESTS_AT_ONCE, live, askNews);
  if (changes.includes("state")) await show(location.href);
  else if (changes.includes("epochs") && Date.now() - refreshedAt > 1000 * REFRESH_SECONDS) await show(location.href);
  if (changes.some(Boolean)) draw();
}

function isDue(job) {
  const seconds = { running: RUNNING_SECONDS, queued: WAITING_SECONDS, paused: WAITING_SECONDS }[job.state];
  return seconds !== undefined && Date.now() - (job.askedAt ?? 0) > 900 * seconds;
}

/** Run `work` for each item, some at a time. Resolves to what they return. */
async function atMost(count, items, work) {
  const results = [];
  const queue = items.entries();
  const run = async () => { for (const [i, item] of queue) results[i] = await work(item); };
  await Promise.all(Array.from({ length: count }, run));
  return results;
}

async function load(job) {
  showLoading();
  try {
    let page = null;
    do {
      page = await call("GET", `/jobs/${encodeURIComponent(job.id)}/metrics?limit=${EPOCHS_A_REQUEST}&after=${job.lastEpoch}`);
      job.add(page.data);
    } while (page.next_cursor);
    job.isLoaded = true;
  } catch (error) {
    if (!(error instanceof ApiError) || error.isTemporary) throw error;
    giveUp(job, error);
  }
  showLoading();
  if (Date.now() - drawnAt > REDRAW_MILLISECONDS) draw();
}

/** The service has answered, but not with what was asked for: most likely the job was deleted meanwhile. */
function giveUp(job, error) {
  job.isLoaded = true;
  job.state = "gone";
  say(t("compare.failed", { name: job.label, fault: error.text ?? error.message }), "error");
}

/** Ask what is new of a job. Resolves to what has changed: its `state`, its `epochs`, or nothing. */
async function askNews(job) {
  job.askedAt = Date.now();
  const query = new URLSearchParams({
    epoch: job.lastEpoch, epoch_attempt: job.lastAttempt, point: NONE, point_attempt: NONE, event: NONE, line: NONE,
  });
  try {
    const response = await send("GET", `/jobs/${encodeURIComponent(job.id)}/news?${query}`, undefined, { headers: job.etag ? { "If-None-Match": job.etag } : {} });
    return response.status === 304 ? "" : takeNews(job, await response.json(), response.headers.get("ETag"));
  } catch (error) {
    if (!(error instanceof ApiError) || error.isTemporary) throw error;
    giveUp(job, error);
    return "state";
  }
}

function takeNews(job, news, etag) {
  const before = job.state;
  const known = job.lastEpoch;
  job.truncate(news.valid_epoch);
  job.add(news.epochs);
  job.etag = news.is_complete ? etag : null;
  job.state = news.job.state;
  if (news.job.started_at) job.started = Date.parse(news.job.started_at);
  if (before !== job.state) return "state";
  return news.epochs.length || job.lastEpoch !== known ? "epochs" : "";
}

function showLoading() {
  const done = [...compared.values()].filter((job) => job.isLoaded).length;
  loading.textContent = done === compared.size ? "" : t("compare.loading", { done, all: compared.size });
}

/** Show the page of another address, without loading again what is known. */
async function show(url) {
  refreshedAt = Date.now();
  await refresh({ url, always: url !== location.href });
}

async function go(url) {
  history.pushState(null, "", url);
  refreshedAt = Date.now();
  await refresh({ always: true });
}

function shownJobs() {
  return [...compared.values()].filter((job) => !job.isHidden && job.epochs.length);
}

function metricNamesOf(jobs) {
  const names = new Set(jobs.flatMap((job) => [...job.columns.keys()].map((name) => name.replace(/^val_/, ""))));
  return lossFirst(names);
}

/** The unit of the axis of time, in which the longest job is a number that can be read. */
function unitOf(jobs) {
  const longest = Math.max(0, ...jobs.map((job) => (job.times.at(-1) - job.started) / 1000));
  return longest > 2 * UNITS.hours ? "hours" : longest > 5 * UNITS.minutes ? "minutes" : "seconds";
}

/** Return the charts: for each its key, its title and a function that makes its series. */
function chartsOf(jobs) {
  const unit = chosen.axis === "time" ? unitOf(jobs) : null;
  const seconds = unit && UNITS[unit];
  const x = { title: unit ? t(`compare.${unit}`) : t("curves.epoch"), isTime: false };
  const metrics = metricNamesOf(jobs).map((name) => ({
    key: `metric-${name}`, title: name, names: [name, `val_${name}`], x, seconds,
    series: () => jobs.flatMap((job) => curvesOf(job, name, seconds)),
  }));
  const rates = { key: "rate", title: t("curves.rate"), names: [], x, seconds, series: () => jobs.map((job) => rateOf(job, seconds)).filter((series) => series.x.length) };
  const differ = new Set(jobs.flatMap((job) => job.rates)).size > 1;
  return differ ? [...metrics, rates] : metrics;
}

function curvesOf(job, name, seconds) {
  const style = { color: colorOf(job.slot) };
  return [
    { ...job.seriesOf(name, job.started, seconds), ...style, name: job.label },
    { ...job.seriesOf(`val_${name}`, job.started, seconds), ...style, name: `${job.label} (${t("compare.validation")})`, dash: "dash" },
  ].filter((series) => series.x.length);
}

function rateOf(job, seconds) {
  return { ...job.rateSeries(job.started, seconds), name: job.label, color: colorOf(job.slot), step: true };
}

function optionsOf(chart, target) {
  return { title: chart.title, series: chart.series(), x: chart.x, log: chosen.isLog, read: (x, event) => read(target, chart, x, event) };
}

/** Charts that are far below or above what the reader sees are drawn when they come near. */
const waiting = new Map();
const near = new Set();
const nearness = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    if (isIntersecting) near.add(target);
    else near.delete(target);
  }
  drawWaiting();
}, { rootMargin: "400px" });

function draw() {
  drawnAt = Date.now();
  const charts = chartsOf(shownJobs());
  keepFigures(curves, new Set(charts.map((chart) => chart.key)));
  waiting.clear();
  for (const chart of charts) {
    const target = figure(curves, chart.key, chart.title);
    waiting.set(target, chart);
    nearness.observe(target);
  }
  document.getElementById("curve-controls").hidden = charts.length === 0;
  valuesOfEpoch.hidden = charts.length === 0;
  showEpoch();
  drawWaiting();
}

/** Draw one chart after another, so that the page answers between them. */
async function drawWaiting() {
  drawsAgain = isDrawing;
  if (isDrawing) return;
  isDrawing = true;
  for (const [target, chart] of waiting) {
    if (!near.has(target)) continue;
    waiting.delete(target);
    await drawChart(target, optionsOf(chart, target));
    await new Promise((resolve) => setTimeout(resolve));
  }
  isDrawing = false;
  curves.dataset.jobsDrawn = shownJobs().length;
  if (drawsAgain) drawWaiting();
}

/**
 * Draw all charts again, also those that cannot be seen, and resolve to `{milliseconds, charts, epochs}`: how long
 * their script took. For measurements, as `benchmarks/` makes them.
 */
export async function measureRedraw() {
  let milliseconds = 0;
  const charts = chartsOf(shownJobs());
  for (const chart of charts) {
    const target = figure(curves, chart.key, chart.title);
    for (const job of compared.values()) job.series.clear();
    const begun = performance.now();
    await drawChart(target, optionsOf(chart, target));
    milliseconds += performance.now() - begun;
  }
  return { milliseconds, charts: charts.length, epochs: shownJobs().reduce((sum, job) => sum + job.epochs.length, 0) };
}

/** Show the values of all jobs at a position of a chart, beside the pointer; hide them if `x` is null. */
function read(target, chart, x, event) {
  target.parentElement.querySelector(".reading")?.remove();
  if (x === null) return;
  const rows = shownJobs().flatMap((job) => readingOf(job, chart, x));
  if (!rows.length) return;
  const title = chart.seconds ? `${Number(x.toPrecision(4))} · ${chart.x.title}` : t("compare.epoch", { epoch: Math.round(x) });
  const box = element("div", { class: "reading" }, element("p", {}, title), element("table", {}, element("tbody", {}, ...rows)));
  target.parentElement.append(box);
  place(box, target, event);
  if (!chart.seconds && valuesOfEpoch.open) {
    epochNumber.value = Math.round(x);
    showEpoch();
  }
}

function readingOf(job, chart, x) {
  const i = chart.seconds ? job.indexOfTime(job.started + 1000 * chart.seconds * x) : job.indexOfEpoch(Math.round(x));
  if (i < 0) return [];
  const values = chart.names.length ? chart.names.map((name) => job.textAt(name, i)) : [job.rates[i] ?? ""];
  if (!values.some((value) => value !== "")) return [];
  const swatch = element("span", { class: "swatch" });
  swatch.style.background = colorOf(job.slot);
  const cells = values.map((value, n) => element("td", { class: n ? "validation" : "training" }, String(value)));
  return [element("tr", {}, element("th", { scope: "row" }, swatch, " ", job.label), ...cells)];
}

/** On the side of the pointer that has more room. */
function place(box, target, event) {
  const frame = target.parentElement.getBoundingClientRect();
  const x = event.clientX - frame.left;
  const isLeft = x > frame.width / 2;
  box.style.top = `${target.offsetTop}px`;
  box.style.left = isLeft ? "auto" : `${Math.round(x + 16)}px`;
  box.style.right = isLeft ? `${Math.round(frame.width - x + 16)}px` : "auto";
  box.style.maxWidth = `${Math.round(Math.max(x, frame.width - x) - 20)}px`;
}

/** The table of one epoch: what a pointer reads in the charts, for those who use none. */
function showEpoch() {
  if (!valuesOfEpoch.open) return;
  const jobs = shownJobs();
  epochNumber.max = Math.max(1, ...jobs.map((job) => job.lastEpoch));
  const names = [...new Set(jobs.flatMap((job) => [...job.columns.keys()]))];
  const rows = jobs.map((job) => {
    const i = job.indexOfEpoch(Number(epochNumber.value));
    return element("tr", {}, element("th", { scope: "row" }, job.label), ...names.map((name) => element("td", { class: "figures" }, i < 0 ? "" : job.textAt(name, i))));
  });
  epochTable.tHead.replaceChildren(element("tr", {}, ...[t("compare.job"), ...names].map((name) => element("th", { scope: "col" }, name))));
  epochTable.tBodies[0].replaceChildren(...rows);
}

valuesOfEpoch.addEventListener("toggle", showEpoch);
epochNumber.addEventListener("input", showEpoch);

document.addEventListener("refreshed", () => {
  const before = [...compared.keys()].join();
  takeJobs();
  if ([...compared.keys()].join() === before) return;
  draw();
  askNow();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-go]");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  go(link.href).catch(() => location.assign(link.href));
});

document.addEventListener("change", (event) => {
  const item = event.target.closest("[data-part=chosen] [data-job]");
  if (!item) return;
  compared.get(item.dataset.job).isHidden = !event.target.checked;
  draw();
});

addEventListener("popstate", () => refresh({ always: true }).catch(() => location.reload()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { takeJobs(); draw(); });

function pause() {
  const states = [...compared.values()].map((job) => job.state);
  if (states.includes("running")) return RUNNING_SECONDS;
  return states.includes("queued") || states.includes("paused") ? WAITING_SECONDS : Infinity;
}

takeJobs();
const askNow = poll(ask, pause);
